"""Which days of the marts are older than their rows, whatever runs between looking and building."""

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise

import polars as pl
import pytest

from persona_platform.frames import CALENDAR_DAYS, EVENTS, empty
from resources.warehouse import Warehouse

NOW = datetime(2025, 6, 1, tzinfo=UTC)
FIRST = date(2025, 3, 3)


def day(number: int) -> date:
    return FIRST + timedelta(days=number)


def readings(*days: int, workload: str = "web", value: float = 1.0) -> list[tuple[str, float, str, float]]:
    return [(workload, 24.0 * d + h, "cpu_cores", value) for d in days for h in range(24)]


def build(warehouse: Warehouse) -> list[date]:
    stale = warehouse.stale()
    warehouse.mark_done(stale.days, stale.token)
    return list(stale.days)


def test_late_data_marks_its_own_day_only(warehouse: Warehouse, feed) -> None:
    warehouse.ingest_samples([feed("a.csv", readings(0, 1, 2))], now=NOW)
    assert build(warehouse) == [day(0), day(1), day(2)]
    warehouse.ingest_samples([feed("b.csv", readings(1, workload="late"))], now=NOW)
    assert warehouse.stale().days == (day(1),)
    assert warehouse.stale().samples == (48,)
    assert build(warehouse) == [day(1)]
    assert build(warehouse) == []


def test_an_ingest_during_a_build_keeps_its_day_stale(warehouse: Warehouse, feed) -> None:
    warehouse.ingest_samples([feed("a.csv", readings(0, 1))], now=NOW)
    stale = warehouse.stale()
    warehouse.ingest_samples([feed("b.csv", readings(1, workload="late"))], now=NOW)
    warehouse.mark_done(stale.days, stale.token)
    assert warehouse.stale_days() == [day(1)]


def test_days_without_samples_are_built_but_not_decades_of_them(warehouse: Warehouse, feed) -> None:
    warehouse.ingest_samples([feed("a.csv", readings(0, 7))], now=NOW)
    assert build(warehouse) == [day(d) for d in range(8)]
    warehouse.ingest_samples([feed("stray.csv", readings(-9000))], now=NOW)
    assert build(warehouse) == [day(-9000)]


def test_the_slot_is_settled_once_and_a_new_one_makes_all_stale(warehouse: Warehouse, feed) -> None:
    warehouse.ingest_samples([feed("a.csv", readings(0))], now=NOW)
    fine = [("fine", m / 60, "cpu_cores", 1.0) for m in range(600)]
    warehouse.ingest_samples([feed("b.csv", fine), feed("c.csv", [("finer", *r[1:]) for r in fine])], now=NOW)
    assert warehouse.state().slot == timedelta(hours=1)
    build(warehouse)
    given = Warehouse(warehouse.path, warehouse.marts, slot=timedelta(minutes=30))
    assert given.stale_days() == [day(0)]
    assert warehouse.state().slot == timedelta(minutes=30)


def calendar(*zones: str, holiday: date | None = None, until: int = 10) -> pl.DataFrame:
    rows = [
        (zone, day(d), "holiday" if day(d) == holiday else "working", None, False, False)
        for zone in zones
        for d in range(until)
    ]
    return pl.DataFrame(rows, schema=CALENDAR_DAYS, orient="row")


def event(start: datetime, end: datetime) -> pl.DataFrame:
    return pl.DataFrame([("campaign", "spring", start, end, "UTC")], schema=EVENTS, orient="row")


def test_a_calendar_makes_the_days_stale_that_it_changes(warehouse: Warehouse, feed) -> None:
    warehouse.ingest_samples([feed("a.csv", readings(*range(6)))], now=NOW)
    build(warehouse)
    assert warehouse.put_calendar(empty(EVENTS), calendar("UTC"))
    assert build(warehouse) == [day(d) for d in range(6)]

    assert not warehouse.put_calendar(empty(EVENTS), calendar("UTC"))
    assert build(warehouse) == []
    # The calendar rolls on with time: what is ahead of the data touches nothing that is built.
    assert warehouse.put_calendar(empty(EVENTS), calendar("UTC", until=30))
    assert build(warehouse) == []
    assert warehouse.put_calendar(empty(EVENTS), calendar("UTC", holiday=day(3), until=30))
    assert build(warehouse) == [day(2), day(3), day(4)]

    from_day = datetime(2025, 3, 4, 22, tzinfo=UTC)
    assert warehouse.put_calendar(
        event(from_day, from_day + timedelta(hours=5)), calendar("UTC", holiday=day(3), until=30)
    )
    assert build(warehouse) == [day(1), day(2)]


def test_a_zone_more_makes_every_day_stale_and_another_label_none(warehouse: Warehouse, feed) -> None:
    warehouse.ingest_samples([feed("a.csv", readings(0, 1))], now=NOW)
    build(warehouse)
    assert warehouse.put_workloads(pl.DataFrame({"workload_id": ["web", "db"], "pool": ["front", None]}))
    assert warehouse.workloads().select("workload_id", "pool", "tier").rows() == [
        ("db", "default", "standard"),
        ("web", "front", "standard"),
    ]
    assert build(warehouse) == []
    assert warehouse.put_workloads(pl.DataFrame({"workload_id": ["web"], "timezone": ["Asia/Kolkata"]}))
    assert build(warehouse) == [day(0), day(1)]
    assert warehouse.workloads().rows() == [("web", "a", None, "standard", None, "Asia/Kolkata", None)]
    assert not warehouse.put_workloads(pl.DataFrame({"workload_id": ["web"], "timezone": ["Asia/Kolkata"]}))


@pytest.mark.parametrize("table", ["utilization_samples", "workloads", "calendar_days", "covariates"])
def test_a_digest_changes_with_its_table_only(warehouse: Warehouse, feed, table: str) -> None:
    steps = {
        "utilization_samples": lambda: warehouse.ingest_samples([feed("b.csv", readings(1))], now=NOW),
        "workloads": lambda: warehouse.put_workloads(pl.DataFrame({"workload_id": ["web"], "team": ["t"]})),
        "calendar_days": lambda: warehouse.put_calendar(empty(EVENTS), calendar("UTC")),
        "covariates": lambda: warehouse.ingest_samples([feed("c.csv", readings(1, workload="weather:x"))], now=NOW),
    }
    warehouse.ingest_samples([feed("a.csv", readings(0))], now=NOW)
    versions = [{name: warehouse.digest(name) for name in steps}]
    for step in steps.values():
        step()
        versions.append({name: warehouse.digest(name) for name in steps})
    changed = [before[table] != after[table] for before, after in pairwise(versions)]
    assert changed == [name == table for name in steps]
