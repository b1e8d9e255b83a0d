"""From usage and activity per slot to what each workload needed."""

from datetime import UTC, datetime, timedelta

import polars as pl

from persona_platform.frames import ACTIVITY, USAGE, empty
from persona_platform.utilization.needs import needs_per_slot

START = datetime(2025, 1, 1, tzinfo=UTC)


def slots(schema: dict, workload: str, count: int = 2, **columns: object) -> pl.DataFrame:
    at = [START + timedelta(hours=i) for i in range(count)]
    given = pl.DataFrame({"workload_id": workload, "slot": at, **columns})
    missing = [pl.lit(None).cast(t).alias(n) for n, t in schema.items() if n not in given.columns]
    return given.with_columns(missing).select(pl.col(n).cast(t) for n, t in schema.items())


def test_resources_win_over_activities_and_activities_stand_in() -> None:
    usage = pl.concat(
        [
            slots(USAGE, "vm", cpu_cores=[1.0, None], net_in_bytes=[5.0, 6.0], saturated=[True, False]),
            slots(USAGE, "wire", net_in_bytes=[7.0, None], saturated=[False, False]),
        ]
    )
    activity = pl.concat(
        [
            slots(ACTIVITY, "vm", requests=[9.0, 9.0]),
            slots(ACTIVITY, "web", jobs=[2.0, 3.0], requests=[None, 4.0], latency_ms=[1.0, 1.0]),
            slots(ACTIVITY, "slow", latency_ms=[1.0, 1.0]),
            slots(ACTIVITY, "wire", active_users=[3.0, 3.0]),
        ]
    )
    needs = needs_per_slot(usage, activity)
    assert needs.columns == [
        "workload_id",
        "slot",
        "saturated",
        "cpu_cores",
        "net_in_bytes",
        "requests",
        "active_users",
    ]
    at = [START, START + timedelta(hours=1)]
    assert needs.rows() == [
        ("vm", at[0], True, 1.0, 5.0, None, None),
        ("vm", at[1], False, None, 6.0, None, None),
        ("web", at[1], False, None, None, 4.0, None),
        ("wire", at[0], False, None, None, None, 3.0),
        ("wire", at[1], False, None, None, None, 3.0),
    ]


def test_a_workload_with_neither_keeps_the_resources_it_has() -> None:
    usage = slots(USAGE, "wire", net_in_bytes=[7.0, None], saturated=[False, False])
    needs = needs_per_slot(usage, empty(ACTIVITY))
    assert needs.select("workload_id", "net_in_bytes").rows() == [("wire", 7.0)]


def test_nothing_read_needs_nothing() -> None:
    assert needs_per_slot(empty(USAGE), empty(ACTIVITY)).columns == ["workload_id", "slot", "saturated"]
