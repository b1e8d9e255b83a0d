from datetime import timedelta

import numpy as np
import polars as pl
import pytest
from forecasting_scenes import HOUR, START, slots, targets, units, workloads
from hypothesis import given, settings
from hypothesis import strategies as st

from persona_platform.errors import InputError
from persona_platform.forecasting.units import demand_in_units
from persona_platform.frames import OBSERVED, TS


def needs(*rows):
    schema = {
        "workload_id": pl.String,
        "slot": TS,
        "saturated": pl.Boolean,
        "cpu_cores": pl.Float64,
        "mem_bytes": pl.Float64,
    }
    return pl.DataFrame([(w, START + i * HOUR, s, c, m) for w, i, s, c, m in rows], schema=schema, orient="row")


POOL = workloads(web=["a", "b", "c"])
UNIT = units(web={"cpu_cores": 2.0, "mem_bytes": 10.0})


def test_demand_is_the_largest_over_the_amounts_of_the_units_needs():
    first = [("a", 0, False, 4.0, 10.0), ("b", 0, False, 2.0, 50.0)]
    second = [("a", 1, False, 8.0, 1.0), ("b", 1, True, 0.0, 1.0)]
    found = demand_in_units(needs(*first, *second), POOL, targets("web"), UNIT, HOUR)
    assert found.schema == pl.Schema(OBSERVED)
    assert found["demand"].to_list() == [6.0, 4.0]
    assert found["saturated"].to_list() == [False, True]


def test_every_slot_between_the_first_and_last_reading_is_there_and_null_where_too_little_was_read():
    rows = [(w, 0, False, 2.0, 0.0) for w in "abc"] + [("a", 2, False, 2.0, 0.0), ("a", 4, False, 2.0, None)]
    rows += [("b", 4, False, 2.0, None)]
    found = demand_in_units(needs(*rows), POOL, targets("web"), UNIT, HOUR)
    assert found["slot"].to_list() == slots(5).to_list()
    assert found["demand"].to_list() == [3.0, None, None, None, 2.0]


def test_half_is_counted_among_the_workloads_read_that_day():
    rows = [(w, 23, False, 2.0, 0.0) for w in "abc"] + [("a", 24, False, 2.0, 0.0)]
    found = demand_in_units(needs(*rows), POOL, targets("web"), UNIT, HOUR)
    assert found["demand"].to_list() == [3.0, 1.0]


def test_two_targets_of_a_pool_count_the_same_needs_in_their_own_units():
    both = pl.concat([targets("web"), targets("buffer").with_columns(pool=pl.lit("web"))])
    found = demand_in_units(
        needs(("a", 0, False, 4.0, 5.0)),
        POOL,
        both,
        units(web={"cpu_cores": 2.0}, buffer={"mem_bytes": 1.0}),
        HOUR,
    )
    assert dict(found.select("target", "demand").iter_rows()) == {"web": 2.0, "buffer": 5.0}


def test_a_repeated_row_counts_once_and_order_does_not_matter():
    rows = [("a", 0, False, 4.0, 1.0), ("b", 0, False, 4.0, 1.0), ("b", 1, False, 4.0, 1.0)]
    once = demand_in_units(needs(*rows), POOL, targets("web"), UNIT, HOUR)
    assert once.equals(demand_in_units(needs(*rows[::-1], *rows), POOL, targets("web"), UNIT, HOUR))


@pytest.mark.parametrize(
    "frame",
    [needs(), needs(("stranger", 0, False, 1.0, 1.0)), needs(("a", 0, False, None, None)).drop("mem_bytes")],
)
def test_nothing_read_is_no_rows(frame):
    assert demand_in_units(frame, POOL, targets("web"), UNIT, HOUR).is_empty()


@settings(deadline=None, max_examples=30)
@given(st.integers(1, 20), st.floats(0.1, 1e9))
def test_demand_is_as_many_units_as_the_sum_holds(count, amount):
    frame = needs(*((w, i, False, 1.5 * amount, None) for i in range(count) for w in "abc"))
    found = demand_in_units(frame, POOL, targets("web"), units(web={"cpu_cores": amount}), HOUR)
    assert found["demand"].to_list() == pytest.approx([4.5] * count)


@pytest.mark.parametrize(
    ("unit", "says"),
    [
        (units(web={"cpu_cores": 0.0}), "must be positive"),
        (units(web={"cpu_cores": 1.0}, ghost={"cpu_cores": 1.0}), "ghost"),
    ],
)
def test_units_that_cannot_be_are_refused(unit, says):
    with pytest.raises(InputError, match=says):
        demand_in_units(needs(("a", 0, False, 1.0, 1.0)), POOL, targets("web"), unit, timedelta(hours=1))


def test_the_demand_is_the_same_to_the_last_digit_however_often_it_is_counted():
    rng = np.random.default_rng(0)
    names = [f"w{i:03d}" for i in range(300)]
    rows = [
        (w, i, False, float(v), None) for w in names for i, v in enumerate(rng.random(24) * 10.0 ** rng.integers(9))
    ]
    read, pool = needs(*rows), workloads(web=names)
    first = demand_in_units(read, pool, targets("web"), UNIT, HOUR)
    for _ in range(10):
        assert demand_in_units(read, pool, targets("web"), UNIT, HOUR).equals(first)
