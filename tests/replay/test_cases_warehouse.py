"""A case holds what the warehouse makes of the same file: one small fleet, ingested and built by dbt once."""

import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from persona_platform.calendars.days import calendar_days
from persona_platform.calendars.events import events_from_series
from persona_platform.replay.cases import Case, CaseOptions, read_case
from persona_platform.utilization.needs import needs_per_slot
from resources.warehouse import Warehouse, read_mart

pytestmark = pytest.mark.slow

DBT = Path(__file__).parents[2] / "dbt"
FIRST = datetime(2025, 3, 29, tzinfo=UTC)
NOW = datetime(2025, 6, 1, tzinfo=UTC)
QUARTER = timedelta(minutes=15)
DAY = 86_400

Row = tuple[str, int, str, float]
"""workload, seconds after FIRST, metric, value"""


def series(random: Random, workload: str, metric: str, step: int, top: float, missing: float = 0.05) -> list[Row]:
    """Three days with readings missing here and there, and none on the second night."""
    instants = [at for at in range(0, 3 * DAY, step) if not DAY <= at < DAY + 6 * 3600]
    return [(workload, at, metric, round(random.uniform(0, top), 3)) for at in instants if random.random() >= missing]


def fleet() -> list[Row]:
    """One metric a workload, of every role, with allocations that change, vanish or are 0, and twice-told readings."""
    random = Random(11)
    rows = series(random, "share", "cpu_pct", 300, top=104)
    rows += [
        ("share", at, "cpu_cores_alloc", random.choice([4.0, 4.0, 8.0, 0.0]))
        for _, at, _, _ in series(random, "share", "at", 300, top=1, missing=0.3)
        if at < 2 * DAY
    ]
    rows += series(random, "amount", "mem_bytes", 300, top=1e9)
    rows += [("amount", at, "mem_bytes_alloc", 9e8) for at in range(2 * DAY, 3 * DAY, 3600)]
    rows += series(random, "scaled", "mem_norm", 300, top=1)
    rows += series(random, "work", "gpu_seconds", 300, top=600)
    rows += series(random, "web", "requests", 60, top=500)
    rows += series(random, "people", "active_users", 300, top=90)
    rows += series(random, "slow", "jobs", 7200, top=9)
    random.shuffle(rows)
    rows += [(workload, at, metric, value + 1) for workload, at, metric, value in rows[:50]]
    rows += [("weather:x", at, "temp_c", at / DAY - 5) for at in range(0, 2 * DAY, 3600)]
    rows += [("event:launch", DAY + 1000, "event", 1.0), ("event:launch", DAY + 9000, "event", 0.0)]
    return rows


@pytest.fixture(scope="module")
def feed(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("feed") / "fleet.parquet"
    table = [(w, FIRST + timedelta(seconds=at), m, v) for w, at, m, v in fleet()]
    columns = {"workload_id": pl.String, "ts": pl.Datetime("us", "UTC"), "metric": pl.String, "value": pl.Float64}
    pl.DataFrame(table, schema=columns, orient="row").write_parquet(path)
    return path


@pytest.fixture(scope="module")
def marts(feed: Path, tmp_path_factory) -> Iterator[Path]:
    from dbt.cli.main import dbtRunner

    before, folder = dict(os.environ), tmp_path_factory.mktemp("warehouse")
    warehouse = Warehouse(folder / "warehouse.duckdb", folder / "marts")
    warehouse.ingest_samples([feed], now=NOW)
    told = events_from_series(warehouse.event_readings(), QUARTER)
    last = (FIRST + timedelta(days=30)).date()
    warehouse.put_calendar(told, calendar_days(["UTC"], (FIRST - timedelta(days=1)).date(), last, ["DE"]))
    assert warehouse.state().slot == QUARTER
    os.environ |= {"PERSONA_WAREHOUSE": str(warehouse.path), "PERSONA_MARTS": str(warehouse.marts)}
    days = {"days": [day.isoformat() for day in warehouse.stale_days()]}
    options = {"--project-dir": DBT, "--profiles-dir": DBT, "--log-level-file": "none", "--vars": days}
    options |= {"--target-path": folder / "target", "--log-path": folder / "logs"}
    words = [str(word) for option in options.items() for word in option]
    done = dbtRunner().invoke(["run", "--quiet", *words])
    assert done.success, done.exception
    yield warehouse.marts
    os.environ.clear()
    os.environ |= before


def case(feed: Path, workload: str, metric: str | None = None) -> Case:
    options = CaseOptions(include=(workload,), metric=metric, slot=QUARTER, countries=("DE",))
    return read_case([feed], options, now=NOW)


@pytest.mark.parametrize("workload", ["share", "amount", "scaled", "work", "web", "people", "slow"])
def test_needs_per_slot_are_the_warehouses(feed: Path, marts: Path, workload: str) -> None:
    mine = pl.col("workload_id") == workload
    usage, activity = read_mart(marts, "usage_per_slot"), read_mart(marts, "activity_per_slot")
    expected = needs_per_slot(usage.filter(mine), activity.filter(mine))
    found = case(feed, workload).history.needs
    assert found.height > 100
    assert_frame_equal(found, expected)
    if workload in ("share", "amount"):
        assert found["saturated"].n_unique() == 2


def test_calendar_and_covariates_are_the_warehouses(feed: Path, marts: Path) -> None:
    made = case(feed, "web")
    calendar = read_mart(marts, "calendar_per_slot").sort("zone", "slot")
    assert_frame_equal(made.history.calendar, calendar.head(made.history.calendar.height))
    assert made.history.calendar["events"].list.len().sum() == 5
    assert_frame_equal(made.covariates, read_mart(marts, "covariates").sort("series", "metric", "ts"))
