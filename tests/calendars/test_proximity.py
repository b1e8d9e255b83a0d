"""Hours to the next and since the last event, and covariates as they were known."""

from datetime import UTC, datetime, timedelta

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from persona_platform.calendars.covariates import known_at
from persona_platform.calendars.proximity import distance_to_events
from persona_platform.frames import COVARIATES, EVENTS, TS, empty

BASE = datetime(2026, 3, 28, tzinfo=UTC)


def at(hours):
    return BASE + timedelta(hours=hours)


def events(*rows):
    return pl.DataFrame([(k, k, at(s), at(e), "UTC") for k, s, e in rows], schema=EVENTS, orient="row")


def slots(*hours):
    return pl.DataFrame({"slot": [at(h) for h in hours]}, schema={"slot": TS})


def test_distances_are_to_the_next_start_and_since_the_last_end():
    found = distance_to_events(
        slots(9, 0, 3, 5, 0), events(("sale", 2, 4), ("sale", 8, 9), ("exam", 0, 1)), ["sale", "none"]
    )
    assert found["slot"].to_list() == [at(h) for h in (9, 0, 3, 5, 0)]
    assert found["hours_to_sale"].to_list() == [336.0, 2.0, 0.0, 3.0, 2.0]
    assert found["hours_since_sale"].to_list() == [0.0, 336.0, 0.0, 1.0, 336.0]
    assert found["hours_to_none"].unique().to_list() == [336.0]


@pytest.mark.parametrize("cap", [timedelta(hours=1), timedelta(days=2)])
def test_distances_stop_at_the_cap(cap):
    found = distance_to_events(slots(-500, 500), events(("sale", 0, 1)), ["sale"], cap=cap)
    assert found.select(pl.max_horizontal(pl.col("^hours.*$")).max()).item() == cap / timedelta(hours=1)


@settings(max_examples=80, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 60), st.integers(1, 30)), max_size=8),
    st.lists(st.integers(-10, 110), min_size=1, max_size=20),
)
def test_distances_agree_with_a_look_at_every_event(windows, hours):
    spans = [(start, start + length) for start, length in windows]
    found = distance_to_events(slots(*hours), events(*(("k", s, e) for s, e in spans)), ["k"])
    inside = [any(s <= h < e for s, e in spans) for h in hours]
    to = [
        0 if on else min([s - h for s, _ in spans if s >= h], default=336) for h, on in zip(hours, inside, strict=True)
    ]
    since = [
        0 if on else min([h - e for _, e in spans if e <= h], default=336) for h, on in zip(hours, inside, strict=True)
    ]
    assert found["hours_to_k"].to_list() == to
    assert found["hours_since_k"].to_list() == since


def test_no_slots_and_no_kinds_leave_the_frame_as_it_is():
    assert distance_to_events(slots(), events(("k", 0, 1)), ["k"]).columns == [
        "slot",
        "hours_to_k",
        "hours_since_k",
    ]
    assert distance_to_events(slots(1, 2), empty(EVENTS), []).equals(slots(1, 2))


def covariates(*rows):
    return pl.DataFrame([("weather:JFK", "temp", at(t), v, at(k)) for t, v, k in rows], schema=COVARIATES, orient="row")


def test_the_newest_revision_known_by_the_origin_is_used():
    rows = [(24, 10.0, 0), (24, 12.0, 6), (24, 15.0, 25), (30, 1.0, 31)]
    expected = covariates((24, 12.0, 6))
    assert known_at(covariates(*rows), at(6)).equals(expected)
    assert known_at(covariates(*reversed(rows)), at(24)).equals(expected)
    assert known_at(covariates(*rows), at(-1)).equals(empty(COVARIATES))
    assert known_at(covariates((1, 2.0, 0), (1, 3.0, 0)), at(0)).equals(
        known_at(covariates((1, 3.0, 0), (1, 2.0, 0)), at(0))
    )
