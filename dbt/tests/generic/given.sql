{# Never null. With `by_day` only the days being built are looked at. #}
{% test given(model, column_name, by_day=false) %}
select {{ column_name }}
from {{ model }}
where {{ column_name }} is null and {{ built_days_only(by_day) }}
{% endtest %}
