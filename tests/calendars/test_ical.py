"""iCalendar files: recurrence in wall time, exceptions, moved instances, whole days, and what is refused."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import polars as pl
import pytest

from persona_platform.calendars.events import read_events, read_ical
from persona_platform.errors import InputError
from persona_platform.frames import EVENTS

MARCH, MAY = datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 5, 1, tzinfo=UTC)


def utc(text):
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def entry(*lines, uid="1"):
    return ["BEGIN:VEVENT", f"UID:{uid}", "DTSTAMP:20260101T000000Z", *lines, "END:VEVENT"]


@pytest.fixture
def ics(tmp_path):
    def write(*lines, zone="Europe/Berlin", name="ops.ics"):
        head = ["BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:-//tests//EN"]
        named = [f"X-WR-TIMEZONE:{zone}"] if zone else []
        path = tmp_path / name
        path.write_text("\r\n".join([*head, *named, *lines, "END:VCALENDAR", ""]), encoding="utf-8")
        return path

    return write


WEEKLY = entry(
    "SUMMARY:Close the books",
    "CATEGORIES:Closing,Finance",
    "DTSTART;TZID=Europe/Berlin:20260316T090000",
    "DTEND;TZID=Europe/Berlin:20260316T113000",
    "RRULE:FREQ=WEEKLY;COUNT=5",
    "EXDATE;TZID=Europe/Berlin:20260323T090000",
)
MOVED = entry(
    "SUMMARY:Close the books late",
    "CATEGORIES:Closing",
    "RECURRENCE-ID;TZID=Europe/Berlin:20260406T090000",
    "DTSTART;TZID=Europe/Berlin:20260407T140000",
    "DTEND;TZID=Europe/Berlin:20260407T150000",
)
CANCELLED = entry(
    "SUMMARY:Close the books",
    "STATUS:CANCELLED",
    "RECURRENCE-ID;TZID=Europe/Berlin:20260413T090000",
    "DTSTART;TZID=Europe/Berlin:20260413T090000",
)


def test_a_weekly_series_keeps_its_wall_time_and_its_exceptions_across_the_clock_change(ics):
    events = read_ical(ics(*WEEKLY, *MOVED, *CANCELLED), MARCH, MAY)
    assert events.schema == pl.Schema(EVENTS)
    assert events["starts_at"].to_list() == [
        utc("2026-03-16T08:00"),  # 09:00 CET; 23 March is excepted
        utc("2026-03-30T07:00"),  # 09:00 CEST
        utc("2026-04-07T12:00"),  # moved from 6 April 09:00; 13 April is cancelled
    ]
    assert events["ends_at"].to_list() == [
        utc("2026-03-16T10:30"),
        utc("2026-03-30T09:30"),
        utc("2026-04-07T13:00"),
    ]
    assert events["kind"].unique().to_list() == ["closing"]
    assert events["name"].to_list() == ["Close the books", "Close the books", "Close the books late"]
    assert events["zone"].unique().to_list() == ["Europe/Berlin"]


def test_an_instance_moved_into_the_range_from_outside_is_found(ics):
    series = entry("DTSTART;TZID=Europe/Berlin:20260105T090000", "RRULE:FREQ=MONTHLY;COUNT=2", "DURATION:PT1H")
    moved = entry(
        "RECURRENCE-ID;TZID=Europe/Berlin:20260205T090000",
        "DTSTART;TZID=Europe/Berlin:20260310T090000",
        "DURATION:PT1H",
    )
    assert read_ical(ics(*series, *moved), MARCH, MAY)["starts_at"].to_list() == [utc("2026-03-10T08:00")]


def test_month_ends_are_whole_days_of_the_calendars_zone(ics):
    path = ics(
        *entry(
            "SUMMARY:Month end",
            "X-PERSONA-KIND:month_end",
            "DTSTART;VALUE=DATE:20260131",
            "RRULE:FREQ=MONTHLY;BYMONTHDAY=-1",
        ),
        zone="America/New_York",
    )
    events = read_ical(path, utc("2026-02-01"), utc("2026-05-01"))
    assert events["starts_at"].to_list() == [
        utc("2026-01-31T05:00"),  # the last hours of 31 January in New York are 1 February in UTC
        utc("2026-02-28T05:00"),
        utc("2026-03-31T04:00"),
        utc("2026-04-30T04:00"),
    ]
    assert [end - start for start, end in events.select("starts_at", "ends_at").rows()] == [timedelta(days=1)] * 4
    assert events["kind"].unique().to_list() == ["month_end"]


def test_a_whole_day_on_the_day_of_the_clock_change_has_23_hours(ics):
    events = read_ical(ics(*entry("DTSTART;VALUE=DATE:20260329", "DTEND;VALUE=DATE:20260330")), MARCH, MAY)
    assert events.row(0) == (
        "event",
        "event",
        utc("2026-03-28T23:00"),
        utc("2026-03-29T22:00"),
        "Europe/Berlin",
    )


@pytest.mark.parametrize(
    ("lines", "kind"),
    [
        (["CATEGORIES:Campaign", "X-PERSONA-KIND:other"], "campaign"),
        (["CATEGORIES:", "X-PERSONA-KIND:Exam"], "exam"),
        (["X-PERSONA-KIND:Exam"], "exam"),
        ([], "event"),
    ],
)
def test_the_kind_is_the_first_category_else_the_property_else_event(ics, lines, kind):
    path = ics(*entry("DTSTART:20260310T100000", "DURATION:PT1H", *lines))
    assert read_ical(path, MARCH, MAY)["kind"].to_list() == [kind]


@pytest.mark.parametrize(
    ("lines", "zone", "start", "end", "zone_out"),
    [
        # A floating time is in the calendar's zone.
        (
            ["DTSTART:20260310T100000", "DURATION:PT2H"],
            "Europe/Berlin",
            "2026-03-10T09:00",
            "2026-03-10T11:00",
            "Europe/Berlin",
        ),
        (["DTSTART:20260310T100000Z", "DURATION:PT2H"], None, "2026-03-10T10:00", "2026-03-10T12:00", "UTC"),
        (
            ["DTSTART;TZID=Asia/Kolkata:20260310T100000"],
            None,
            "2026-03-10T04:30",
            "2026-03-10T04:31",
            "Asia/Kolkata",
        ),
        # Names that Outlook and others write.
        (
            ["DTSTART;TZID=W. Europe Standard Time:20260310T100000"],
            None,
            "2026-03-10T09:00",
            "2026-03-10T09:01",
            "Europe/Berlin",
        ),
        (
            ["DTSTART;TZID=/citadel.org/Europe/Berlin:20260310T100000"],
            None,
            "2026-03-10T09:00",
            "2026-03-10T09:01",
            "Europe/Berlin",
        ),
        # In the gap: 02:30 counts with the offset before it; the hour is not lost.
        (
            ["DTSTART;TZID=Europe/Berlin:20260329T023000", "DTEND;TZID=Europe/Berlin:20260329T033000"],
            None,
            "2026-03-29T01:30",
            "2026-03-29T02:30",
            "Europe/Berlin",
        ),
        # Twice: the first.
        (
            ["DTSTART;TZID=America/New_York:20261101T013000"],
            None,
            "2026-11-01T05:30",
            "2026-11-01T05:31",
            "America/New_York",
        ),
    ],
)
def test_times_become_instants(ics, lines, zone, start, end, zone_out):
    events = read_ical(ics(*entry(*lines), zone=zone), utc("2026-01-01"), utc("2027-01-01"))
    assert events.select("starts_at", "ends_at", "zone").rows() == [(utc(start), utc(end), zone_out)]


VTIMEZONE = [
    "BEGIN:VTIMEZONE",
    "TZID:Head office",
    "BEGIN:STANDARD",
    "DTSTART:19701025T030000",
    "TZOFFSETFROM:+0200",
    "TZOFFSETTO:+0100",
    "RRULE:FREQ=YEARLY;BYDAY=-1SU;BYMONTH=10",
    "END:STANDARD",
    "BEGIN:DAYLIGHT",
    "DTSTART:19700329T020000",
    "TZOFFSETFROM:+0100",
    "TZOFFSETTO:+0200",
    "RRULE:FREQ=YEARLY;BYDAY=-1SU;BYMONTH=3",
    "END:DAYLIGHT",
    "END:VTIMEZONE",
]


def test_a_zone_that_only_the_file_defines_gives_right_instants(ics):
    path = ics(*VTIMEZONE, *entry("DTSTART;TZID=Head office:20260330T090000", "DURATION:PT1H"), zone=None)
    assert read_ical(path, MARCH, MAY).select("starts_at", "zone").rows() == [(utc("2026-03-30T07:00"), "UTC")]


def test_whole_days_take_the_only_vtimezone_when_the_calendar_names_no_zone(ics):
    table = [line.replace("Head office", "Europe/Paris") for line in VTIMEZONE]
    events = read_ical(ics(*table, *entry("DTSTART;VALUE=DATE:20260310"), zone=None), MARCH, MAY)
    assert events.select("starts_at", "zone").rows() == [(utc("2026-03-09T23:00"), "Europe/Paris")]


BERLIN = "DTSTART;TZID=Europe/Berlin:20260310T100000"


@pytest.mark.parametrize(
    ("lines", "zone", "words"),
    [
        (
            [*entry("SUMMARY:Sale", "DTSTART:20260310T100000")],
            None,
            ["'Sale'", "zone is mandatory", "DTSTART;TZID="],
        ),
        (
            [*entry("SUMMARY:Sale", "DTSTART;VALUE=DATE:20260310")],
            None,
            ["'Sale'", "whole day", "X-WR-TIMEZONE"],
        ),
        (
            [*entry("SUMMARY:Sale", "DTSTART;TZID=Europe/Berlim:20260310T100000")],
            None,
            ["'Europe/Berlim'", "Europe/Berlin?"],
        ),
        (
            [*entry("SUMMARY:Sale", "DTSTART;TZID=Europe/Berlim:20260310T100000")],
            "UTC",
            ["'Europe/Berlim'", "Europe/Berlin?"],
        ),
        ([*entry(BERLIN)], "Amerika/New_York", ["X-WR-TIMEZONE", "America/New_York?"]),
        (
            [*entry("SUMMARY:Sale", BERLIN, "DTEND;TZID=Europe/Berlin:20260310T090000")],
            None,
            ["'Sale'", "ends before"],
        ),
        ([*entry("SUMMARY:Sale", BERLIN, "DURATION:-PT1H")], None, ["'Sale'", "ends before"]),
        (
            [*entry("SUMMARY:Sale", "DTSTART;VALUE=DATE:20260310", "DTEND;VALUE=DATE:20260309")],
            "UTC",
            ["ends before"],
        ),
        ([*entry("SUMMARY:Sale")], None, ["'Sale'", "no DTSTART"]),
        ([*entry("SUMMARY:Sale", BERLIN, BERLIN)], None, ["'Sale'", "more than one DTSTART"]),
        ([*entry("SUMMARY:Sale", "DTSTART:tomorrow")], None, ["'Sale'", "DTSTART", "cannot be read"]),
        ([*entry("SUMMARY:Sale", BERLIN, "RRULE:FREQ=SOMETIMES")], None, ["'Sale'", "RRULE", "SOMETIMES"]),
    ],
)
def test_a_bad_entry_is_one_sentence_naming_file_entry_and_fix(ics, lines, zone, words):
    path = ics(*lines, zone=zone)
    with pytest.raises(InputError) as caught:
        read_ical(path, MARCH, MAY)
    message = str(caught.value)
    assert str(path) in message
    assert "\n" not in message
    assert [word for word in words if word not in message] == []


@pytest.mark.parametrize("content", [b"", b"hello", b"BEGIN:VCALENDAR\r\nBEGIN:VEVENT\r\n", b"\xff\xfe\x00"])
def test_a_file_that_is_no_calendar_is_refused(tmp_path, content):
    path = tmp_path / "broken.ics"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"broken\.ics.*export the calendar again"):
        read_ical(path, MARCH, MAY)


def test_a_missing_file_and_a_foreign_suffix_are_refused(tmp_path):
    with pytest.raises(InputError, match="does not exist"):
        read_ical(tmp_path / "none.ics", MARCH, MAY)
    with pytest.raises(InputError, match=r"'\.xlsx'"):
        read_events([tmp_path / "plan.xlsx"], MARCH, MAY)


def test_an_empty_calendar_has_no_events(ics):
    assert read_ical(ics(), MARCH, MAY).is_empty()
    assert read_events([], MARCH, MAY).schema == pl.Schema(EVENTS)


def test_files_together_hold_each_event_once_in_an_order_of_their_own(ics, tmp_path):
    first = ics(*WEEKLY, name="a.ics")
    second = ics(*WEEKLY, *entry("SUMMARY:Sale", BERLIN, uid="2"), name="b.ics")
    table = tmp_path / "c.csv"
    table.write_text(
        "kind,name,starts_at,ends_at,zone\n"
        "closing,Close the books,2026-03-16T09:00,2026-03-16T11:30,Europe/Berlin\n"
        "closing,Years ago,2006-03-16T09:00,2006-03-16T11:30,Europe/Berlin\n"
    )
    there, back = (
        read_events([first, second, table], MARCH, MAY),
        read_events([table, second, first], MARCH, MAY),
    )
    assert there.equals(back)
    assert there["name"].to_list() == ["Sale", *["Close the books"] * 4]
    assert all(a <= b for a, b in pairwise(there["starts_at"]))
