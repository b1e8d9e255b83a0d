select workload_id, pool, team, tier, az, timezone, storage_class
from {{ source('raw', 'workloads') }}
