{# A value, where there is one, is no less than `lowest` (and no more than `highest`), and no NaN. #}
{% test at_least(model, column_name, lowest=0, highest=none, by_day=false) %}
select {{ column_name }}
from {{ model }}
where {{ built_days_only(by_day) }}
    and ({{ column_name }} < {{ lowest }} or isnan({{ column_name }}::double)
        {%- if highest is not none %} or {{ column_name }} > {{ highest }} {%- endif %})
{% endtest %}
