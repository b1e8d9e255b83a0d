"""Readings of one metric become needs per slot: each rule in numbers worked by hand."""

from datetime import UTC, datetime, timedelta

import polars as pl
import pytest

from persona_platform.frames import TS
from persona_platform.replay.cases_metrics import Measure, measure_of
from persona_platform.replay.cases_needs import needs_of, own_slot, series_steps
from persona_platform.utilization.metrics import Role

START = datetime(2025, 3, 3, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
QUARTER = timedelta(minutes=15)


def read(*rows: tuple[float, float], workload: str = "w") -> pl.DataFrame:
    """(minutes after START, value) of one workload."""
    table = [(workload, START + at * MINUTE, value) for at, value in rows]
    return pl.DataFrame(table, schema={"workload_id": pl.String, "ts": TS, "value": pl.Float64}, orient="row")


def needs(metric: str, values: pl.DataFrame, limits: pl.DataFrame | None = None, slot: timedelta = QUARTER):
    """(minutes after START, amount, saturated) of each slot."""
    measure = measure_of(metric)
    made = needs_of(values, read() if limits is None else limits, series_steps(values), measure, slot)
    assert made.columns == ["workload_id", "slot", "saturated", measure.need]
    return [((at - START) / MINUTE, amount, full) for _, at, full, amount in made.iter_rows()]


@pytest.mark.parametrize(
    ("metric", "expected"),
    [
        ("cpu_cores", Measure("cpu_cores", "cpu_cores", Role.AMOUNT, 1.0, "cpu_cores_alloc")),
        ("cpu_pct", Measure("cpu_pct", "cpu_cores", Role.SHARE, 0.01, "cpu_cores_alloc")),
        ("cpu_pct_max", Measure("cpu_pct_max", "cpu_cores", Role.SHARE, 0.01, "cpu_cores_alloc")),
        ("mem_norm", Measure("mem_norm", "mem_bytes", Role.SHARE, 1.0, "mem_bytes_alloc")),
        ("gpu_seconds", Measure("gpu_seconds", "gpus", Role.WORK)),
        ("requests", Measure("requests", "requests", Role.COUNT)),
        ("active_users", Measure("active_users", "active_users", Role.GAUGE)),
        ("mem_bytes_alloc", Measure("mem_bytes_alloc", "mem_bytes", Role.AMOUNT)),
        ("latency_ms", Measure("latency_ms", "cpu_cores", Role.GAUGE, known=False)),
        ("cpu_raw_sum", Measure("cpu_raw_sum", "cpu_cores", Role.AMOUNT, known=False)),
    ],
)
def test_how_a_metric_is_read(metric: str, expected: Measure) -> None:
    assert measure_of(metric) == expected


def test_a_slot_has_the_mean_of_its_readings() -> None:
    assert needs("cpu_cores", read((0, 1), (5, 2), (10, 6), (15, 4))) == [(0, 3.0, False), (15, 4.0, False)]


def test_a_gauge_is_taken_as_it_is() -> None:
    assert needs("active_users", read((0, 10), (5, 20), (10, 30))) == [(0, 20.0, False)]


def test_counts_are_per_second_of_their_own_step_and_a_missing_one_is_not_zero() -> None:
    assert needs("requests", read((0, 600), (5, 300), (15, 900), (20, 900))) == [(0, 1.5, False), (15, 3.0, False)]


def test_work_is_divided_by_its_interval() -> None:
    assert needs("gpu_seconds", read((0, 600), (5, 300), (10, 300))) == [(0, pytest.approx(4 / 3), False)]


def test_a_share_is_of_what_is_allocated_then_last_that_day_then_typically() -> None:
    day = 1440
    values = read((0, 50), (15, 50), (30, 50), (day, 50))
    limits = read((0, 8), (15, 0), (20, 4))
    # At its instant 8; an allocation of 0 is none, so the day's last, 4; on the next day the median of the only
    # day's median of 8 and 4.
    assert needs("cpu_pct", values, limits) == [(0, 4.0, False), (15, 2.0, False), (30, 2.0, False), (day, 3.0, False)]


def test_without_an_allocation_a_share_is_of_one_whole() -> None:
    assert needs("cpu_pct", read((0, 50))) == [(0, 0.5, False)]
    assert needs("mem_norm", read((0, 0.25))) == [(0, 0.25, False)]


@pytest.mark.parametrize(
    ("metric", "value", "limit", "saturated"),
    [
        ("cpu_pct", 98.0, None, True),
        ("cpu_pct", 97.9, None, False),
        ("cpu_norm", 1.0, None, False),
        ("cpu_norm", 0.98, 2.0, True),
        ("cpu_cores", 1.96, 2.0, True),
        ("cpu_cores", 1.95, 2.0, False),
        ("cpu_cores", 1.96, None, False),
        ("disk_bytes", 2.0, 2.0, False),
        ("requests", 100.0, None, False),
    ],
)
def test_a_slot_is_saturated_where_a_reading_stood_at_its_limit(
    metric: str, value: float, limit: float | None, saturated: bool
) -> None:
    values = read((0, value), (5, 0))
    limits = None if limit is None else read((0, limit))
    ((_, _, found),) = needs(metric, values, limits)
    assert found is saturated


def test_a_long_reading_stands_for_each_slot_of_its_interval_within_its_day() -> None:
    values = read((0, 3600), (60, 7200), (120, 3600), (1425, 3600))
    hours = [(60 * hour + at, rate, False) for hour, rate in enumerate((1.0, 2.0, 1.0)) for at in (0, 15, 30, 45)]
    assert needs("requests", values) == [*hours, (1425, 1.0, False)]


def test_the_step_of_a_series_is_that_of_its_days_and_gaps_do_not_count() -> None:
    day = 1440
    regular = read(*((at, 1) for at in range(0, 100, 5)), (2 * day, 1), (2 * day + 60, 1))
    daily = read((0, 1), (day, 1), (3 * day, 1), (4 * day, 1), workload="x")
    single = read((0, 1), workload="y")
    found = dict(series_steps(pl.concat([regular, daily, single])).iter_rows())
    assert found == {"w": 300e6, "x": 86_400e6, "y": None}


@pytest.mark.parametrize(
    ("step_s", "slot_min"),
    [(10, 1), (60, 1), (298, 5), (300, 5), (303, 5), (420, 8), (900, 15), (3000, 60), (3600, 60), (604_800, 1440)],
)
def test_the_datas_own_step_becomes_a_slot_that_divides_the_day(step_s: int, slot_min: int) -> None:
    steps = pl.DataFrame({"workload_id": ["a", "b", "c"], "step": [1e6, step_s * 1e6, None]}).with_columns(
        pl.col("step").cast(pl.Float64)
    )
    assert own_slot(steps.filter(pl.col("workload_id") != "a")) == slot_min * MINUTE
    assert own_slot(steps.filter(pl.col("workload_id") == "c")) is None
