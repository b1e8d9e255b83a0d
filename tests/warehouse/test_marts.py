"""The dbt models against a plain computation of the same, and the files that a run touches."""

import os
from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from random import Random
from statistics import median

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from persona_platform.calendars.days import calendar_days
from persona_platform.calendars.slots import calendar_slots
from persona_platform.frames import (
    ACTIVITIES,
    ACTIVITY,
    CALENDAR,
    COVARIATES,
    EVENTS,
    RESOURCES,
    USAGE,
    WORKLOADS,
)
from persona_platform.utilization.metrics import METRICS, Role
from resources.warehouse import Warehouse, read_mart

DBT = Path(__file__).parents[2] / "dbt"
NOW = datetime(2025, 6, 1, tzinfo=UTC)
FIRST = datetime(2025, 3, 29, tzinfo=UTC)
"""The day before clocks go forward in Europe (30 March, 01:00 UTC)."""

SLOT = 900
DAY = 86_400
Sample = tuple[str, int, str, float]
"""workload, seconds after FIRST, metric, value"""


def series(random: Random, workload: str, metric: str, step: int, *, top: float, missing: float = 0.05) -> list[Sample]:
    return [
        (workload, at, metric, round(random.uniform(0, top), 3))
        for at in range(0, 3 * DAY, step)
        if random.random() >= missing and not DAY <= at < DAY + 6 * 3600
    ]


def fleet() -> list[Sample]:
    """Every role of a metric, with missing readings, a gap of six hours, limits that vanish or are 0."""
    random = Random(7)
    rows = series(random, "vm", "cpu_pct", 300, top=104)
    rows += series(random, "vm", "cpu_pct_max", 300, top=104, missing=0.2)
    rows += [
        ("vm", at, "cpu_cores_alloc", random.choice([4.0, 4.0, 8.0, 0.0]))
        for _, at, _, _ in series(random, "vm", "x", 300, top=1, missing=0.2)
        if at < 2 * DAY
    ]
    rows += series(random, "vm", "mem_bytes", 300, top=1e9)
    rows += [("vm", at, "mem_bytes_alloc", 9e8) for at in range(2 * DAY, 3 * DAY, 3600)]
    rows += [row for row in series(random, "vm", "cpu_cores", 300, top=2) if row[1] >= 2 * DAY + 43_000]
    rows += series(random, "web", "requests", 60, top=500)
    rows += series(random, "web", "latency_ms", 60, top=90, missing=0.2)
    rows += series(random, "web", "active_users", 300, top=90)
    rows += series(random, "slow", "net_in_bytes", 3600, top=1e6)
    rows += series(random, "slow", "jobs", 7200, top=9)
    rows += series(random, "share", "cpu_norm", 300, top=1)
    rows += series(random, "share", "mem_pct", 300, top=100)
    rows += series(random, "gpu", "gpu_seconds", 300, top=600)
    rows += series(random, "gpu", "gpus_alloc", 300, top=2)
    rows += series(random, "odd", "is_anomaly", 300, top=1)
    random.shuffle(rows)
    return rows


class Plain:
    """Usage and activity per slot by loops and dictionaries, from the words of the contract alone."""

    def __init__(self, rows: list[Sample]) -> None:
        self.rows = rows
        times = defaultdict(list)
        limits = defaultdict(dict)
        for workload, at, metric, value in rows:
            times[workload, metric].append(at)
            if metric.endswith("_alloc") and value > 0:
                limits[workload, METRICS[metric].column][at] = value
        self.limits = limits
        self.step = {
            key: median(b - a for a, b in zip(sorted(found), sorted(found)[1:], strict=False))
            for key, found in times.items()
        }
        by_day = defaultdict(list)
        for (workload, need), found in limits.items():
            for at in found:
                by_day[workload, need, at // DAY].append(found[at])
        typical = defaultdict(list)
        for (workload, need, _), values in by_day.items():
            typical[workload, need].append(median(values))
        self.typical = {key: median(values) for key, values in typical.items()}

    def limit(self, workload: str, need: str, at: int) -> float | None:
        found = self.limits[workload, need]
        if at in found:
            return found[at]
        same_day = [when for when in found if when // DAY == at // DAY]
        return found[max(same_day)] if same_day else self.typical.get((workload, need))

    def slots(self, key: tuple[str, str], at: int) -> list[int]:
        first = at - at % SLOT
        count = max(1, round(self.step[key] / SLOT))
        return [s for s in range(first, first + count * SLOT, SLOT) if s // DAY == at // DAY]

    def usage(self) -> pl.DataFrame:
        cells = defaultdict(lambda: defaultdict(list))
        saturated: dict[tuple[str, int], bool] = defaultdict(bool)
        for workload, at, name, value in self.rows:
            metric = METRICS.get(name)
            if metric is None or metric.role in (Role.LIMIT, Role.COUNT, Role.GAUGE):
                continue
            limit = self.limit(workload, metric.column, at)
            share = value * metric.factor
            amount, full = share, limit is not None and share >= 0.98 * limit
            if metric.role in (Role.SHARE, Role.SHARE_MAX):
                amount = share * (limit or 1)
                full = share >= 0.98 and (limit is not None or name.startswith(("cpu_pct", "mem_pct")))
            if metric.role is Role.WORK:
                amount, full = value / self.step[workload, name], False
            kind = "share" if metric.role in (Role.SHARE, Role.SHARE_MAX) else "amount"
            peak = metric.role in (Role.SHARE_MAX, Role.AMOUNT_MAX)
            for slot in self.slots((workload, name), at):
                cells[workload, slot][metric.column, kind, peak].append(amount)
                saturated[workload, slot] |= full and metric.column in ("cpu_cores", "mem_bytes")
        rows = []
        for (workload, slot), cell in cells.items():
            row: dict[str, object] = {"workload_id": workload, "slot": FIRST + timedelta(seconds=slot)}
            for need in RESOURCES:
                means = [cell[need, kind, False] for kind in ("amount", "share")]
                peaks = [cell[need, kind, False] + cell[need, kind, True] for kind in ("amount", "share")]
                row[need] = next((sum(m) / len(m) for m in means if m), None)
                row[f"{need}_max"] = next((max(p) for p in peaks if p), None)
            row["readings"] = max(len(values) for (_, _, peak), values in cell.items() if not peak)
            row["saturated"] = saturated[workload, slot]
            rows.append(row)
        return pl.DataFrame(rows, schema=USAGE).sort("workload_id", "slot")

    def activity(self) -> pl.DataFrame:
        cells = defaultdict(lambda: defaultdict(list))
        for workload, at, name, value in self.rows:
            if name in ACTIVITIES:
                count = METRICS[name].role is Role.COUNT
                for slot in self.slots((workload, name), at):
                    cells[workload, slot][name].append(value / self.step[workload, name] if count else value)
        rows = [
            {"workload_id": workload, "slot": FIRST + timedelta(seconds=slot)}
            | {name: sum(cell[name]) / len(cell[name]) if name in cell else None for name in ACTIVITIES}
            | {"readings": max(map(len, list(cell.values())))}
            for (workload, slot), cell in cells.items()
        ]
        return pl.DataFrame(rows, schema=ACTIVITY).sort("workload_id", "slot")


class Built:
    """A warehouse with the fleet in it, and dbt run as its users run it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.warehouse = Warehouse(folder / "warehouse.duckdb", folder / "the marts")
        self.marts = self.warehouse.marts

    def ingest(self, name: str, rows: list[Sample]) -> None:
        path = self.folder / f"{name}.parquet"
        pl.DataFrame(
            [(w, FIRST + timedelta(seconds=at), m, v) for w, at, m, v in rows],
            schema={
                "workload_id": pl.String,
                "ts": pl.Datetime("us", "UTC"),
                "metric": pl.String,
                "value": pl.Float64,
            },
            orient="row",
        ).write_parquet(path)
        self.warehouse.ingest_samples([path], now=NOW)

    def dbt(self, command: str, days: list[date] | None) -> None:
        from dbt.cli.main import dbtRunner

        os.environ |= {"PERSONA_WAREHOUSE": str(self.warehouse.path), "PERSONA_MARTS": str(self.marts)}
        arguments = [
            command,
            "--project-dir",
            DBT,
            "--profiles-dir",
            DBT,
            "--quiet",
            "--log-level-file",
            "none",
        ]
        arguments += ["--target-path", self.folder / "target", "--log-path", self.folder / "logs"]
        if days is not None:
            arguments += ["--vars", str({"days": [day.isoformat() for day in days]})]
        done = dbtRunner().invoke([str(argument) for argument in arguments])
        assert done.success, (done.exception, [r.message for r in getattr(done.result, "results", [])])

    def files(self) -> dict[str, tuple[int, int]]:
        """Path and (inode, time of change) of each part: a rewritten file has another inode."""
        return {
            str(path.relative_to(self.marts)): (path.stat().st_ino, path.stat().st_mtime_ns)
            for path in self.marts.rglob("*.parquet")
        }


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> Iterator[Built]:
    before = dict(os.environ)
    built = Built(tmp_path_factory.mktemp("marts"))
    outside = [("weather:x", h * 3600, "temp_c", h - 5.0) for h in range(50)]
    outside += [("event:launch", DAY + 1000, "event", 1.0), ("event:launch", DAY + 9000, "event", 0.0)]
    built.ingest("fleet", fleet() + outside)
    zones = {"vm": "Europe/Berlin", "web": "Asia/Kolkata"}
    built.warehouse.put_workloads(pl.DataFrame({"workload_id": list(zones), "timezone": list(zones.values())}))
    campaign = (
        "campaign",
        "spring",
        FIRST + timedelta(hours=5),
        FIRST + timedelta(hours=30, minutes=1),
        "UTC",
    )
    built.warehouse.put_calendar(
        pl.DataFrame([campaign], schema=EVENTS, orient="row"),
        calendar_days([*zones.values(), "UTC"], date(2025, 3, 1), date(2025, 4, 30), ["DE"]),
    )
    assert built.warehouse.state().slot == timedelta(seconds=SLOT)
    stale = built.warehouse.stale()
    built.dbt("build", list(stale.days))
    built.warehouse.mark_done(stale.days, stale.token)
    yield built
    os.environ.clear()
    os.environ |= before


def test_usage_per_slot_is_what_a_plain_computation_says(built: Built) -> None:
    expected = Plain(fleet()).usage()
    assert expected["saturated"].sum() > 10
    assert_frame_equal(read_mart(built.marts, "usage_per_slot").sort("workload_id", "slot"), expected)


def test_activity_per_slot_is_what_a_plain_computation_says(built: Built) -> None:
    expected = Plain(fleet()).activity()
    assert_frame_equal(read_mart(built.marts, "activity_per_slot").sort("workload_id", "slot"), expected)


def test_the_calendar_agrees_with_the_domains_own_on_a_day_of_23_hours(built: Built) -> None:
    found = read_mart(built.marts, "calendar_per_slot")
    zones = ["Asia/Kolkata", "Europe/Berlin", "UTC"]
    end = FIRST + timedelta(days=3 + 16)
    events = pl.DataFrame(
        [
            ("campaign", "spring", FIRST + timedelta(hours=5), FIRST + timedelta(hours=30, minutes=1), "UTC"),
            (
                "launch",
                "event",
                FIRST + timedelta(seconds=DAY + 1000),
                FIRST + timedelta(seconds=DAY + 4600),
                "UTC",
            ),
        ],
        schema=EVENTS,
        orient="row",
    )
    days = calendar_days(zones, date(2025, 3, 1), date(2025, 4, 30), ["DE"])
    expected = calendar_slots(days, events, zones, FIRST, end, timedelta(seconds=SLOT))
    assert_frame_equal(found.sort("zone", "slot"), expected)
    local = found.filter(pl.col("zone") == "Europe/Berlin", pl.col("slot").dt.date() == date(2025, 3, 30))
    assert 6 * 24 + 2 not in local["hour_of_week"].to_list()


def test_covariates_are_known_one_step_after_their_time(built: Built) -> None:
    found = read_mart(built.marts, "covariates").filter(pl.col("series") == "weather:x")
    assert found.height == 50
    assert (found["known_at"] - found["ts"]).unique().to_list() == [timedelta(hours=1)]


@pytest.mark.parametrize(
    ("name", "schema"),
    [
        ("usage_per_slot", USAGE),
        ("activity_per_slot", ACTIVITY),
        ("calendar_per_slot", CALENDAR),
        ("covariates", COVARIATES),
    ],
)
def test_a_mart_is_read_by_days_and_in_the_contracts_columns(
    built: Built, tmp_path: Path, name: str, schema: dict
) -> None:
    whole = read_mart(built.marts, name)
    time = "slot" if "slot" in schema else "ts"
    since, until = FIRST + timedelta(hours=20), FIRST + timedelta(hours=26)
    part = read_mart(built.marts, name, since, until)
    assert dict(whole.schema) == dict(part.schema) == dict(read_mart(tmp_path, name).schema) == schema
    assert_frame_equal(part, whole.filter(pl.col(time) >= since, pl.col(time) < until), check_row_order=False)
    assert 0 < part.height < whole.height


def test_nothing_is_written_into_the_project(built: Built) -> None:
    assert not (DBT / "__init__.py").exists()
    assert not list(DBT.rglob("*.parquet"))
    assert not list(built.marts.rglob(".scratch*"))


def test_a_run_rewrites_the_days_given_and_no_others(built: Built) -> None:
    before = built.files()
    late = [("late", DAY + 60 * m, "cpu_cores", 1.0) for m in range(30)]
    built.ingest("late", late)
    stale = built.warehouse.stale()
    assert stale.days == (date(2025, 3, 30),)
    ghost = built.marts / "activity_per_slot" / "day=2025-03-28" / "part.parquet"
    ghost.parent.mkdir()
    ghost.write_bytes((built.marts / "activity_per_slot/day=2025-03-29/part.parquet").read_bytes())

    built.dbt("run", [*stale.days, date(2025, 3, 28)])
    built.warehouse.mark_done(stale.days, stale.token)
    after = built.files()
    changed = {name for name in before if after.get(name) != before[name]}
    written = {f"{mart}/day=2025-03-30/part.parquet" for mart in ("usage_per_slot", "activity_per_slot", "covariates")}
    ahead = {name for name in before if name.startswith("calendar_per_slot") and name[-23:-13] >= "2025-03-30"}
    assert changed == written | ahead
    assert not ghost.exists()
    assert not ghost.parent.exists()
    expected = Plain(fleet() + late).usage()
    assert_frame_equal(read_mart(built.marts, "usage_per_slot").sort("workload_id", "slot"), expected)

    built.dbt("run", [])
    kept = {name for name in after if not name.startswith("calendar_per_slot")}
    assert {name: built.files()[name] for name in kept} == {name: after[name] for name in kept}


def test_an_empty_warehouse_builds_empty_marts(tmp_path: Path) -> None:
    before = dict(os.environ)
    empty = Built(tmp_path)
    assert empty.warehouse.stale_days() == []
    empty.dbt("build", None)
    assert empty.files() == {}
    assert list(WORKLOADS) == empty.warehouse.workloads().columns
    os.environ.clear()
    os.environ |= before
