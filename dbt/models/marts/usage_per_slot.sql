{{ config(time_column='slot', order_by='workload_id, slot') }}

with readings as (
    select
        s.workload_id,
        s.ts,
        m.need,
        m.role,
        m.factor,
        s.value * m.factor as value,
        series.step_s
    from {{ ref('stg_utilization_samples') }} as s
    inner join {{ ref('stg_metrics') }} as m using (metric)
    left join {{ ref('series') }} as series using (workload_id, metric)
    where {{ in_built_days('s.ts') }} and m.role in ('amount', 'amount_max', 'share', 'share_max', 'work')
),

-- What was allocated, at the instants at which it was read; none is as good as unread.
limits as (
    select s.workload_id, m.need, s.ts, s.value as amount
    from {{ ref('stg_utilization_samples') }} as s
    inner join {{ ref('stg_metrics') }} as m using (metric)
    where {{ in_built_days('s.ts') }} and m.role = 'limit' and s.value > 0
),

limits_of_day as (
    select workload_id, need, {{ utc_day('ts') }} as day, max_by(amount, ts) as amount
    from limits
    group by all
),

typical_limits as (
    select workload_id, m.need, typical as amount
    from {{ ref('series') }}
    inner join {{ ref('stg_metrics') }} as m using (metric)
    where m.role = 'limit' and typical is not null
),

limited as (
    select
        r.workload_id,
        r.need,
        r.role,
        epoch_us(r.ts) as us,
        r.step_s,
        r.value,
        r.factor,
        coalesce(at_ts.amount, of_day.amount, typical_limits.amount) as amount
    from readings as r
    left join limits as at_ts using (workload_id, need, ts)
    left join limits_of_day as of_day
        on r.workload_id = of_day.workload_id and r.need = of_day.need and {{ utc_day('r.ts') }} = of_day.day
    left join typical_limits on r.workload_id = typical_limits.workload_id and r.need = typical_limits.need
),

-- Amounts in units of the resource. A workload may report both an amount and a share of it: the amount wins.
amounts as (
    select
        workload_id,
        need,
        us,
        step_s,
        role in ('amount', 'amount_max', 'work') as is_amount,
        role in ('amount_max', 'share_max') as is_peak,
        case
            when role in ('share', 'share_max') then value * coalesce(amount, 1)
            when role = 'work' then value / coalesce(step_s, (select slot_s from {{ ref('stg_state') }}))
            else value
        end as amount,
        need in ('cpu_cores', 'mem_bytes') and case
            -- A percentage is one of what is allocated, known or not; a norm is scaled to its own largest value.
            when role in ('share', 'share_max') then value >= 0.98 and (amount is not null or factor = 0.01)
            when role in ('amount', 'amount_max') then value >= 0.98 * amount
        end as saturated
    from limited
),

-- Threads add in any order: fsum (Kahan's) comes to the same, where sum differs in the last digit.
by_need as (
    select
        workload_id,
        need,
        us - us % {{ slot_us() }} as slot_us,
        {{ slots_covered('coalesce(step_s, 0)', 'us') }} as covers,
        fsum(amount) filter (is_amount and not is_peak) as amount_sum,
        count(*) filter (is_amount and not is_peak) as amount_count,
        max(amount) filter (is_amount) as amount_peak,
        fsum(amount) filter (not is_amount and not is_peak) as share_sum,
        count(*) filter (not is_amount and not is_peak) as share_count,
        max(amount) filter (not is_amount) as share_peak,
        coalesce(bool_or(saturated), false) as saturated
    from amounts
    group by all
),

-- A reading whose step is longer than a slot stands for each slot of its interval.
spread as (
    select * exclude (slot_us, covers), slot_us as slot_us
    from by_need
    where covers = 1
    union all by name
    select * exclude (slot_us, covers), slot_us + {{ slot_us() }} * unnest(range(covers)) as slot_us
    from by_need
    where covers > 1
),

merged as (
    select
        workload_id,
        need,
        slot_us,
        coalesce(
            fsum(amount_sum) / nullif(sum(amount_count), 0), fsum(share_sum) / nullif(sum(share_count), 0)
        ) as mean,
        coalesce(max(amount_peak), max(share_peak)) as peak,
        greatest(sum(amount_count), sum(share_count)) as readings,
        bool_or(saturated) as saturated
    from spread
    group by all
)

select
    workload_id,
    make_timestamptz(slot_us::bigint) as slot,
    {%- for resource in resources() %}
    max(mean) filter (need = '{{ resource }}') as {{ resource }},
    {%- endfor %}
    {%- for resource in resources() %}
    max(peak) filter (need = '{{ resource }}') as {{ resource }}_max,
    {%- endfor %}
    max(readings)::uinteger as readings,
    bool_or(saturated) as saturated
from merged
group by workload_id, slot_us
