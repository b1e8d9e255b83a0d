select workload_id, ts, metric, value, dataset
from {{ source('raw', 'utilization_samples') }}
