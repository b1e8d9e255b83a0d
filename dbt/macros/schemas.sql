{# Schemas as named in dbt_project.yml, without the target's in front: there is one target, and its file is ours. #}
{% macro generate_schema_name(custom_schema_name, node) -%}
    {{ custom_schema_name or target.schema }}
{%- endmacro %}
