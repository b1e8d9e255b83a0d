select zone, date, day_type, holiday, is_month_begin, is_month_end
from {{ source('raw', 'calendar_days') }}
