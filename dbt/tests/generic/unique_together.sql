{# No two rows agree in all of `columns`. With `by_day` only the days being built are looked at. #}
{% test unique_together(model, columns, by_day=false) %}
select {{ columns | join(', ') }}, count(*) as copies
from {{ model }}
where {{ built_days_only(by_day) }}
group by all
having count(*) > 1
{% endtest %}
