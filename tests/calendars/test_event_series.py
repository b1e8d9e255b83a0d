"""Events that an ``event:`` series tells of among the samples."""

from datetime import UTC, datetime, timedelta

import polars as pl
import pytest

from persona_platform.calendars.events import events_from_series
from persona_platform.frames import EVENTS, TS

START = datetime(2025, 3, 3, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


def told(*readings: tuple[str, float, float]) -> pl.DataFrame:
    rows = [(series, START + hours * HOUR, value) for series, hours, value in readings]
    return pl.DataFrame(rows, schema={"series": pl.String, "ts": TS, "value": pl.Float64}, orient="row")


@pytest.mark.parametrize(
    ("readings", "windows"),
    [
        ([], []),
        ([("event:Match_Kickoff", 0, 1.0)], [(0, 1)]),
        ([("event:sale", h, float(2 <= h < 5)) for h in range(8)], [(2, 5)]),
        ([("event:sale", 0, 1.0), ("event:sale", 1, 1.0), ("event:sale", 9, 2.0)], [(0, 2), (9, 10)]),
        ([("event:sale", 0, 1.0), ("event:sale", 0.25, 0.0)], [(0, 0.25)]),
        ([("event:sale", 1, 1.0), ("event:sale", 0, 1.0), ("event:sale", 0, 0.0)], [(0, 2)]),
    ],
    ids=["nothing", "one moment", "hourly flags", "two apart", "ended within the slot", "unordered and twice"],
)
def test_readings_above_nothing_become_windows(readings, windows):
    found = events_from_series(told(*readings), HOUR)
    assert found.schema == pl.Schema(EVENTS)
    assert [
        ((a - START) / HOUR, (b - START) / HOUR) for a, b in found.select("starts_at", "ends_at").iter_rows()
    ] == windows


def test_kinds_are_told_apart_and_read_well():
    found = events_from_series(told(("event:Match_Kickoff", 0, 1.0), ("event:sale", 1, 1.0)), HOUR)
    assert found.select("kind", "name", "zone").rows() == [
        ("match_kickoff", "match kickoff", "UTC"),
        ("sale", "sale", "UTC"),
    ]
