select metric, role, need, factor
from {{ source('raw', 'metrics') }}
