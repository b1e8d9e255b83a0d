{# A mart as one Parquet file a UTC day, `<PERSONA_MARTS>/<model>/day=YYYY-MM-DD/part.parquet`, and a view over
   them. A run rewrites the days in the variable `days` and no others; a day without rows loses its file. Days are
   computed some at a time (about four million samples), which bounds memory; each file is written aside and then
   moved to its place, so that a reader sees the old one or the new one.

   Config: `time_column` names the column whose UTC day a row belongs to; `order_by` sorts within a file; with
   `ahead` the days from the newest sample to `horizon_days` after it are rebuilt as well. #}
{% materialization parquet_by_day, adapter='duckdb' %}
    {%- set time_column = config.require('time_column') -%}
    {%- set folder = env_var('PERSONA_MARTS') ~ '/' ~ model.name -%}
    {%- set quoted = folder | replace("'", "''") -%}
    {%- set target_relation = this.incorporate(type='view') -%}
    {%- set existing = load_cached_relation(this) -%}
    {%- set part = 'temp."' ~ model.name ~ '__part"' -%}

    {{ run_hooks(pre_hooks) }}

    {%- set scratch = run_query("select scratch_part('" ~ quoted ~ "')").columns[0][0] | replace("'", "''") -%}
    {%- for chunk in built_chunks(config.get('ahead', false)) -%}
        {%- set listed = chunk | join("', date '") -%}
        {% do run_query("set variable built_days = [date '" ~ listed ~ "']") %}
        {% do run_query("set variable built_from = timestamptz '" ~ chunk[0] ~ " 00:00:00+00'") %}
        {% do run_query("set variable built_until = timestamptz '" ~ chunk[-1] ~ " 00:00:00+00' + interval 24 hours") %}
        {% do run_query(
            "create or replace temp table " ~ model.name ~ "__part as select *, " ~ utc_day(time_column)
            ~ " as day from (\n" ~ sql ~ "\n)"
        ) %}
        {%- set found = run_query("select distinct day::varchar from " ~ part).columns[0].values() | list -%}
        {%- for day in chunk -%}
            {%- if day in found -%}
                {% do run_query(
                    "copy (select * exclude (day) from " ~ part ~ " where day = date '" ~ day ~ "' order by "
                    ~ config.require('order_by') ~ ") to '" ~ scratch ~ "' (format parquet, compression zstd)"
                ) %}
                {% do run_query("select publish_part('" ~ quoted ~ "', '" ~ day ~ "')") %}
            {%- else -%}
                {% do run_query("select remove_part('" ~ quoted ~ "', '" ~ day ~ "')") %}
            {%- endif -%}
        {%- endfor -%}
        {% do run_query("drop table " ~ part) %}
    {%- endfor -%}

    {%- set files = run_query("select count(*) from glob('" ~ quoted ~ "/*/part.parquet')").columns[0][0] -%}
    {%- if existing is not none and existing.type != 'view' -%}
        {{ drop_relation_if_exists(existing) }}
    {%- endif -%}
    {% call statement('main') -%}
        create or replace view {{ target_relation }} as
        {% if files > 0 -%}
            from read_parquet('{{ quoted }}/*/part.parquet', hive_partitioning = true, hive_types = {'day': date})
        {%- else -%}
            select *, {{ utc_day(time_column) }} as day from (
{{ sql }}
) where false
        {%- endif %}
    {%- endcall %}

    {{ run_hooks(post_hooks) }}
    {% do persist_docs(target_relation, model) %}
    {{ adapter.commit() }}
    {{ return({'relations': [target_relation]}) }}
{% endmaterialization %}

{# Lists of days, as text, that are computed together. #}
{% macro built_chunks(ahead) %}
    {%- set days = var('days') -%}
    {%- if days is none -%}
        {%- set asked = 'select day from ' ~ source('raw', 'days') ~ ' where changed > done' -%}
    {%- elif days -%}
        {%- set asked = "select unnest([date '" ~ days | join("', date '") ~ "']) as day" -%}
    {%- else -%}
        {%- set asked = 'select null::date as day where false' -%}
    {%- endif -%}
    {%- if ahead -%}
        {%- set asked = asked ~ ' union select unnest(generate_series(newest, newest + '
            ~ (var('horizon_days') | int) ~ ', interval 1 day))::date from (select max(day) as newest from '
            ~ source('raw', 'days') ~ ' where samples > 0)' -%}
    {%- endif -%}
    {%- set rows = run_query(
        'select day::varchar, (sum(coalesce(samples, 0) + 20000) over (order by day) // 4000000)::integer as chunk from ('
        ~ asked ~ ') left join ' ~ source('raw', 'days') ~ ' using (day) order by day'
    ) -%}
    {%- set chunks = {} -%}
    {%- for row in rows -%}
        {% do chunks.setdefault(row[1], []).append(row[0]) %}
    {%- endfor -%}
    {{ return(chunks.values() | list) }}
{% endmacro %}
