"""The calendar on the slot grid: local labels across daylight saving, and the slots that events mark."""

import time
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from persona_platform.calendars.days import calendar_days
from persona_platform.calendars.slots import calendar, calendar_slots, with_calendar
from persona_platform.errors import InputError
from persona_platform.frames import CALENDAR, EVENTS, TS, empty

ZONES = ["America/New_York", "Asia/Kolkata", "Australia/Lord_Howe", "Europe/Berlin", "UTC"]
QUARTER = timedelta(minutes=15)
NONE = empty(EVENTS)


def utc(text):
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def windows(*rows):
    return pl.DataFrame([(k, k, s, e, "UTC") for k, s, e in rows], schema=EVENTS, orient="row")


@settings(max_examples=40, deadline=None)
@given(
    zone=st.sampled_from([*ZONES, "America/St_Johns", "Africa/Casablanca", "Pacific/Kiritimati"]),
    start=st.integers(0, 15 * 365 * 1440).map(lambda minute: utc("2015-01-01") + timedelta(minutes=minute)),
    count=st.integers(1, 300),
    minutes=st.sampled_from([5, 15, 30, 60, 120]),
)
def test_every_slot_appears_once_with_the_local_hour_of_zoneinfo(zone, start, count, minutes):
    slot = timedelta(minutes=minutes)
    end = start + count * slot
    found = calendar([zone], start, end, slot, events=NONE)
    slots = found["slot"].to_list()
    assert slots[0] <= start < slots[0] + slot
    assert slots[-1] < end <= slots[-1] + slot
    assert {b - a for a, b in pairwise(slots)} <= {slot}
    assert len(set(slots)) == found.height
    local = [moment.astimezone(ZoneInfo(zone)) for moment in slots]
    assert found["hour_of_week"].to_list() == [at.weekday() * 24 + at.hour for at in local]


@pytest.mark.parametrize("zone", ZONES)
def test_the_hour_of_the_week_steps_by_one_except_where_clocks_change(zone):
    found = calendar([zone], utc("2026-01-01"), utc("2027-01-01"), timedelta(hours=1), events=NONE)
    steps = found["hour_of_week"].cast(pl.Int16).diff().drop_nulls() % 168
    # One local hour is skipped in spring, one comes twice in autumn; also where clocks move half an hour.
    assert sorted(step for step in steps if step != 1) == ([] if zone in ("Asia/Kolkata", "UTC") else [0, 2])


def test_the_day_type_is_that_of_the_local_date():
    found = calendar(
        ["America/New_York", "Asia/Kolkata"],
        utc("2026-11-26"),
        utc("2026-11-28"),
        QUARTER,
        events=NONE,
        countries=["US"],
    )
    thanksgiving = found.filter(zone="America/New_York", day_type="holiday")["slot"]
    assert (thanksgiving.min(), thanksgiving.max()) == (utc("2026-11-26T05:00"), utc("2026-11-27T04:45"))
    kolkata = found.filter(pl.col("zone") == "Asia/Kolkata", pl.col("day_type") == "weekend")["slot"]
    assert kolkata.min() == utc("2026-11-27T18:30")  # Saturday begins there at half past
    assert found.filter(pl.col("zone") == "Asia/Kolkata", slot=utc("2026-11-27T18:30"))["hour_of_week"].item() == 120


def test_month_flags_follow_the_local_date():
    found = calendar(["UTC"], utc("2026-01-29"), utc("2026-02-04"), timedelta(hours=6), events=NONE)
    assert found.filter("is_month_end")["slot"].dt.date().unique().to_list() == [date(2026, 1, 30)]
    assert found.filter("is_month_begin")["slot"].dt.date().unique().to_list() == [date(2026, 2, 2)]


BASE = datetime(2026, 3, 28, tzinfo=UTC)
seconds = st.integers(-4 * 3600, 28 * 3600)


@settings(max_examples=80, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from("abc"), seconds, st.integers(1, 40_000)), max_size=12),
    st.sampled_from([15, 60]),
)
def test_events_mark_exactly_the_slots_that_they_overlap(rows, minutes):
    slot = timedelta(minutes=minutes)
    spans = [(k, BASE + timedelta(seconds=s), BASE + timedelta(seconds=s + length)) for k, s, length in rows]
    found = calendar(["Europe/Berlin"], BASE, BASE + timedelta(days=1), slot, events=windows(*spans))
    expected = [sorted({k for k, s, e in spans if s < at + slot and e > at}) for at in found["slot"]]
    assert found["events"].to_list() == expected


def test_an_event_that_ends_where_a_slot_begins_does_not_mark_it():
    event = windows(("sale", utc("2026-03-10T10:00"), utc("2026-03-10T10:15")))
    found = calendar(["UTC"], utc("2026-03-10T09:45"), utc("2026-03-10T10:30"), QUARTER, events=event)
    assert found["events"].to_list() == [[], ["sale"], []]


def test_frames_have_the_contracts_form_also_when_empty():
    found = calendar(["UTC", "UTC"], utc("2026-03-10"), utc("2026-03-11"), QUARTER, events=NONE)
    assert found.schema == pl.Schema(CALENDAR)
    assert found.height == 96
    assert calendar([], utc("2026-03-10"), utc("2026-03-11"), QUARTER, events=NONE).schema == pl.Schema(CALENDAR)
    assert calendar(["UTC"], utc("2026-03-10"), utc("2026-03-10"), QUARTER, events=NONE).is_empty()


def test_missing_days_an_unknown_zone_naive_times_and_no_slot_are_refused():
    days = calendar_days(["America/New_York"], date(2026, 3, 10), date(2026, 3, 11), [])
    start, end = utc("2026-03-10"), utc("2026-03-11")
    with pytest.raises(InputError, match="lack local dates of America/New_York between 2026-03-09 and 2026-03-09"):
        calendar_slots(days, NONE, ["America/New_York"], start, end, QUARTER)
    with pytest.raises(InputError, match=r"did you mean America/New_York\?"):
        calendar_slots(days, NONE, ["America/New_Yorck"], start, end, QUARTER)
    with pytest.raises(InputError, match="without a zone"):
        calendar_slots(days, NONE, ["America/New_York"], start.replace(tzinfo=None), end, QUARTER)
    with pytest.raises(InputError, match="no length"):
        calendar_slots(days, NONE, ["America/New_York"], start, end, timedelta(0))


def test_with_calendar_labels_each_row_by_its_workloads_zone():
    workloads = pl.DataFrame({"workload_id": ["b", "a"], "timezone": ["Asia/Kolkata", "UTC"]})
    labels = calendar(["UTC", "Asia/Kolkata"], utc("2026-03-09"), utc("2026-03-11"), QUARTER, events=NONE)
    slots = [utc("2026-03-10T12:00"), utc("2026-03-09T00:15"), utc("2026-03-10T12:00")]
    frame = pl.DataFrame({"workload_id": ["b", "a", "a"], "slot": slots, "n": [1, 2, 3]}, schema_overrides={"slot": TS})
    found = with_calendar(frame, workloads, labels)
    assert found["n"].to_list() == [1, 2, 3]
    assert found["hour_of_week"].to_list() == [24 + 17, 0, 24 + 12]
    assert with_calendar(found, workloads, labels).equals(found)
    assert with_calendar(frame.clear(), workloads, labels).columns == found.columns
    with pytest.raises(InputError, match="workload 'a' has no timezone"):
        with_calendar(frame, workloads.filter(workload_id="b"), labels)
    with pytest.raises(InputError, match=r"no slot 2026-03-10 12:00 UTC for the zone Asia/Kolkata"):
        with_calendar(frame, workloads, labels.filter(zone="UTC"))


def test_a_year_of_quarters_in_five_zones_takes_well_under_a_second():
    start, end = utc("2026-01-01"), utc("2026-01-01") + timedelta(days=400)
    days = calendar_days(ZONES, date(2025, 12, 31), end.date() + timedelta(days=1), ["DE", "US"])
    spans = [(f"kind{i % 5}", start + timedelta(hours=i), start + timedelta(hours=i + 300)) for i in range(3000)]
    events = windows(*spans)
    began = time.process_time()
    found = calendar_slots(days, events, ZONES, start, end, QUARTER)
    assert time.process_time() - began < 1.5  # CPU seconds of both cores; 0.1 on an idle machine
    assert found.height == 5 * 400 * 96
