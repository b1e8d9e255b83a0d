{{ config(time_column='slot', order_by='zone, slot', ahead=true) }}

with slots as (
    select make_timestamptz(day_us + unnest(range(0, 86400000000, ({{ slot_us() }})::bigint))) as slot
    from (select epoch_us(unnest(getvariable('built_days')::date[])) as day_us)
),

-- Events are instants: they mark each slot that they overlap, in every zone.
marked as (
    select slot, list_sort(list(distinct kind)) as events
    from slots
    inner join {{ ref('stg_calendar_events') }}
        on starts_at < slot + to_microseconds({{ slot_us() }}) and ends_at > slot
    group by slot
),

local_slots as (
    select zone, slot, slot at time zone zone as wall, (slot at time zone zone)::date as date
    from slots
    cross join (select distinct timezone as zone from {{ ref('stg_workloads') }})
)

-- Where the calendar has no such day, weekends are known, and the first and last weekday of the month.
select
    s.zone,
    s.slot,
    ((isodow(wall) - 1) * 24 + hour(wall))::utinyint as hour_of_week,
    coalesce(d.day_type, if(isodow(wall) >= 6, 'weekend', 'working')) as day_type,
    coalesce(
        d.is_month_begin, (day(date) = 1 and isodow(date) <= 5) or (day(date) in (2, 3) and isodow(date) = 1)
    ) as is_month_begin,
    coalesce(
        d.is_month_end,
        (date = last_day(date) and isodow(date) <= 5)
        or (isodow(date) = 5 and last_day(date) - date in (1, 2))
    ) as is_month_end,
    coalesce(m.events, []::varchar[]) as events
from local_slots as s
left join {{ ref('stg_calendar_days') }} as d using (zone, date)
left join marked as m using (slot)
