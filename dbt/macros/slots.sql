{# The start of the slot that an instant (microseconds since 1970) lies in. Slots divide the day. #}
{% macro slot_us() -%}
    (select slot_s * 1000000 from {{ ref('stg_state') }})
{%- endmacro %}

{# The UTC day of an instant, by arithmetic: a cast through the time zone costs twenty times as much. #}
{% macro utc_day(ts) -%}
    (date '1970-01-01' + (epoch_us({{ ts }}) // 86400000000)::integer)
{%- endmacro %}

{# The rows of the days that are being built. The materialization sets the variables, some days at a time;
   the bounds let DuckDB skip the row groups of other days. #}
{% macro in_built_days(ts) -%}
    {{ ts }} >= getvariable('built_from')::timestamptz and {{ ts }} < getvariable('built_until')::timestamptz
    and list_contains(getvariable('built_days')::date[], {{ utc_day(ts) }})
{%- endmacro %}

{# How many slots a reading covers, from its own on: its step, but not beyond its UTC day. #}
{% macro slots_covered(step_s, us) -%}
    greatest(1, least(
        round({{ step_s }} * 1000000 / {{ slot_us() }}),
        (86400000000 - ({{ us }} - {{ us }} % {{ slot_us() }}) % 86400000000) // {{ slot_us() }}
    ))::integer
{%- endmacro %}

{# The contract's columns: frames.RESOURCES, frames.RATE_ACTIVITIES and frames.GAUGE_ACTIVITIES. #}
{% macro resources() -%}
    {{ return(['cpu_cores', 'mem_bytes', 'disk_bytes', 'disk_read_bytes', 'disk_write_bytes', 'net_in_bytes',
               'net_out_bytes', 'gpus']) }}
{%- endmacro %}
{% macro activities() -%}
    {{ return(['requests', 'jobs', 'departures', 'departures_scheduled', 'active_users', 'latency_ms',
               'error_rate', 'queue_depth']) }}
{%- endmacro %}
