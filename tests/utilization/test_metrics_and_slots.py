"""What a metric becomes, and how long a slot is."""

from datetime import UTC, datetime, timedelta

import polars as pl
import pytest

from persona_platform.errors import ConfigError
from persona_platform.frames import ACTIVITIES, RESOURCES
from persona_platform.utilization.metrics import METRICS, Role, check_metric_map, metrics_frame
from persona_platform.utilization.slots import check_slot, median_step, slot_for


@pytest.mark.parametrize(
    ("name", "role", "column", "factor"),
    [
        ("cpu_cores", Role.AMOUNT, "cpu_cores", 1.0),
        ("cpu_pct", Role.SHARE, "cpu_cores", 0.01),
        ("cpu_pct_max", Role.SHARE_MAX, "cpu_cores", 0.01),
        ("cpu_cores_alloc", Role.LIMIT, "cpu_cores", 1.0),
        ("mem_norm", Role.SHARE, "mem_bytes", 1.0),
        ("mem_bytes_max", Role.AMOUNT_MAX, "mem_bytes", 1.0),
        ("gpu_seconds", Role.WORK, "gpus", 1.0),
        ("requests", Role.COUNT, "requests", 1.0),
        ("latency_ms", Role.GAUGE, "latency_ms", 1.0),
    ],
)
def test_a_metric_becomes(name: str, role: Role, column: str, factor: float) -> None:
    metric = METRICS[name]
    assert (metric.role, metric.column, metric.factor) == (role, column, factor)


@pytest.mark.parametrize("name", ["is_anomaly", "load1_norm", "cpu_raw_sum", "grok_asg_metric", "disk_util_norm"])
def test_what_no_model_uses_is_not_in_the_table(name: str) -> None:
    assert name not in METRICS


def test_the_table_leads_to_every_resource_and_activity_and_nowhere_else() -> None:
    table = metrics_frame()
    assert set(table["need"]) == {*RESOURCES, *ACTIVITIES}
    assert table["metric"].is_unique().all()


def test_renaming_to_an_unknown_metric_is_refused_with_the_nearest() -> None:
    check_metric_map({"cpu_raw_sum": "cpu_cores"})
    with pytest.raises(ConfigError, match="did you mean 'cpu_cores'"):
        check_metric_map({"cpu_raw_sum": "cpu_core"})


@pytest.mark.parametrize(
    ("step", "slot"),
    [
        (timedelta(seconds=15), timedelta(minutes=15)),
        (timedelta(minutes=5), timedelta(minutes=15)),
        (timedelta(seconds=900.4), timedelta(minutes=15)),
        (timedelta(minutes=17), timedelta(minutes=18)),
        (timedelta(minutes=50), timedelta(hours=1)),
        (timedelta(hours=1), timedelta(hours=1)),
        (timedelta(hours=5), timedelta(hours=6)),
        (timedelta(days=7), timedelta(days=1)),
    ],
)
def test_a_slot_is_the_median_step_but_a_quarter_of_an_hour_at_least_and_divides_the_day(
    step: timedelta, slot: timedelta
) -> None:
    assert slot_for(step) == slot
    assert check_slot(slot) == slot


@pytest.mark.parametrize("slot", [timedelta(minutes=7), timedelta(seconds=30), timedelta(0), timedelta(days=2)])
def test_a_slot_that_does_not_divide_a_day_is_refused(slot: timedelta) -> None:
    with pytest.raises(ConfigError, match="does not divide a day"):
        check_slot(slot)


def test_the_median_step_weighs_series_and_not_readings() -> None:
    def series(name: str, step: int, count: int) -> pl.DataFrame:
        start = datetime(2025, 1, 1, tzinfo=UTC)
        times = [start + timedelta(minutes=step * i) for i in range(count) if i != 3]
        return pl.DataFrame({"workload_id": name, "metric": "m", "ts": times})

    samples = pl.concat([series("a", 1, 500), series("b", 60, 5), series("c", 60, 6)])
    assert median_step(samples.sample(fraction=1, shuffle=True, seed=1)) == timedelta(hours=1)
    assert median_step(pl.concat([samples, samples])) == timedelta(hours=1)
    assert median_step(samples.head(1)) is None
