-- Events of the calendar, and those that came as samples: series named event:KIND with a value above 0. Such an
-- event lasts one step of its series, and an hour at most: its rows mark moments, and a kick-off every three days
-- does not last three days.
with sampled as (
    select series, metric, ts, value, epoch(ts) - epoch(lag(ts) over (partition by series, metric order by ts)) as step_s
    from {{ source('raw', 'covariates') }}
    where starts_with(series, 'event:')
),

steps as (
    select series, metric, median(step_s) as step_s
    from sampled
    group by all
)

select kind, name, starts_at, ends_at, zone
from {{ source('raw', 'calendar_events') }}
union all by name
select
    substr(series, 7) as kind,
    metric as name,
    ts as starts_at,
    ts + to_seconds(least(coalesce(steps.step_s, 3600), 3600)) as ends_at,
    'UTC' as zone
from sampled
inner join steps using (series, metric)
where value > 0
