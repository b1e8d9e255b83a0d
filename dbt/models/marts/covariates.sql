{{ config(time_column='ts', order_by='series, metric, ts') }}

select series, metric, ts, value, known_at
from {{ ref('stg_covariates') }}
where {{ in_built_days('ts') }}
