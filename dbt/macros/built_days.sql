{# A condition on the column `day` of a mart: the days of this run, or all where none were named. #}
{% macro built_days_only(by_day) -%}
    {%- set days = var('days') -%}
    {%- if not by_day or days is none -%}
        true
    {%- elif days -%}
        day in (date '{{ days | join("', date '") }}')
    {%- else -%}
        false
    {%- endif -%}
{%- endmacro %}
