-- A reading (weather, carbon) is known once its interval is over: at ts plus the median step of its series, or an
-- hour after it where a series has one reading only. What a calendar announces came with its own instant.
with stepped as (
    select *, epoch(ts) - epoch(lag(ts) over (partition by series, metric order by ts)) as step_s
    from {{ source('raw', 'covariates') }}
    where not starts_with(series, 'event:')
),

steps as (
    select series, metric, median(step_s) as step_s
    from stepped
    group by all
)

select
    series,
    metric,
    ts,
    value,
    coalesce(known_at, ts + to_seconds(coalesce(steps.step_s, 3600))) as known_at
from stepped
inner join steps using (series, metric)
