-- Until a series has two readings the slot is not known; it is then the shortest one.
select coalesce(slot_s, 900) as slot_s
from {{ source('raw', 'state') }}
