{{ config(materialized='table') }}

-- Computed once a run: the models below read it for each chunk of days.
select workload_id, metric, step_s, typical
from {{ source('raw', 'series') }}
