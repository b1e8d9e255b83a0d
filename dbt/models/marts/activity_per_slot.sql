{{ config(time_column='slot', order_by='workload_id, slot') }}

with readings as (
    select
        s.workload_id,
        m.need,
        epoch_us(s.ts) as us,
        series.step_s,
        -- A count is of its interval: per second by the series' own step, or by the slot where it is not known.
        case
            when m.role = 'count' then s.value / coalesce(series.step_s, (select slot_s from {{ ref('stg_state') }}))
            else s.value
        end as value
    from {{ ref('stg_utilization_samples') }} as s
    inner join {{ ref('stg_metrics') }} as m using (metric)
    left join {{ ref('series') }} as series using (workload_id, metric)
    where {{ in_built_days('s.ts') }} and m.role in ('count', 'gauge')
),

-- fsum as in usage_per_slot: the same whatever the order.
by_need as (
    select
        workload_id,
        need,
        us - us % {{ slot_us() }} as slot_us,
        {{ slots_covered('coalesce(step_s, 0)', 'us') }} as covers,
        fsum(value) as total,
        count(*) as readings
    from readings
    group by all
),

-- A reading whose step is longer than a slot stands for each slot of its interval.
spread as (
    select workload_id, need, slot_us, total, readings
    from by_need
    where covers = 1
    union all by name
    select workload_id, need, slot_us + {{ slot_us() }} * unnest(range(covers)) as slot_us, total, readings
    from by_need
    where covers > 1
),

merged as (
    select workload_id, need, slot_us, fsum(total) / sum(readings) as mean, sum(readings) as readings
    from spread
    group by all
)

select
    workload_id,
    make_timestamptz(slot_us::bigint) as slot,
    {%- for activity in activities() %}
    max(mean) filter (need = '{{ activity }}') as {{ activity }},
    {%- endfor %}
    max(readings)::uinteger as readings
from merged
group by workload_id, slot_us
