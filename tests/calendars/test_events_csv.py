"""Events from CSV, and the preview of what comes next."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from persona_platform.calendars.events import read_events_csv, upcoming
from persona_platform.calendars.zones import utc_to_wall, wall_to_utc
from persona_platform.errors import InputError
from persona_platform.frames import EVENTS

HEAD = "kind,name,starts_at,ends_at,zone"


def wall(text):
    return datetime.fromisoformat(text)


def utc(text):
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.fixture
def csv(tmp_path):
    def write(*rows, head=HEAD, encoding="utf-8"):
        path = tmp_path / "events.csv"
        path.write_bytes("\n".join([head, *rows, ""]).encode(encoding))
        return path

    return write


@pytest.mark.parametrize(
    ("row", "start", "end"),
    [
        ("2026-03-10T10:00,2026-03-10T12:30,Europe/Berlin", "2026-03-10T09:00", "2026-03-10T11:30"),
        (
            "2026-07-10 10:00:30,2026-07-10 12:30:00.5,Europe/Berlin",
            "2026-07-10T08:00:30",
            "2026-07-10T10:30:00.5",
        ),
        # An offset is honoured; the zone is where the event is shown.
        ("2026-03-10T10:00+05:30,2026-03-10T12:00Z,Europe/Berlin", "2026-03-10T04:30", "2026-03-10T12:00"),
        ("2026-03-10T10:00-0330,2026-03-10T16:00+02,UTC", "2026-03-10T13:30", "2026-03-10T14:00"),
        # Dates are midnights, ends exclusive; a date alone is that day, of 23 hours when clocks change.
        ("2026-03-10,2026-03-12,Europe/Berlin", "2026-03-09T23:00", "2026-03-11T23:00"),
        ("2026-03-29,,Europe/Berlin", "2026-03-28T23:00", "2026-03-29T22:00"),
        ("2026-10-25,2026-10-25,Europe/Berlin", "2026-10-24T22:00", "2026-10-25T23:00"),
        # A moment lasts a minute.
        ("2026-03-10T10:00,,UTC", "2026-03-10T10:00", "2026-03-10T10:01"),
        ("2026-03-10T10:00,2026-03-10T10:00,UTC", "2026-03-10T10:00", "2026-03-10T10:01"),
        # Nonexistent: forward by the gap. Twice: the first.
        ("2026-03-29T02:30,2026-03-29T04:00,Europe/Berlin", "2026-03-29T01:30", "2026-03-29T02:00"),
        ("2026-10-25T02:30,2026-10-25T04:00,Europe/Berlin", "2026-10-25T00:30", "2026-10-25T03:00"),
        ("2011-12-30T12:00,2011-12-31T12:00,Pacific/Apia", "2011-12-30T22:00", "2011-12-30T22:01"),
    ],
)
def test_a_row_becomes_a_window_of_instants(csv, row, start, end):
    assert read_events_csv(csv("sale,S," + row)).select("starts_at", "ends_at").rows() == [(utc(start), utc(end))]


def test_kinds_are_lower_case_blanks_are_trimmed_duplicates_and_order_do_not_matter(csv):
    rows = [" Sale , Spring ,2026-03-10, 2026-03-12 , Europe/Berlin", "exam,Ex,2026-03-09,,UTC", ",,,,"]
    once = read_events_csv(csv(*rows))
    assert once.schema == pl.Schema(EVENTS)
    assert once.select("kind", "name", "zone").rows() == [
        ("exam", "Ex", "UTC"),
        ("sale", "Spring", "Europe/Berlin"),
    ]
    assert read_events_csv(csv(*reversed(rows), *rows)).equals(once)


def test_a_byte_order_mark_capitals_further_columns_and_no_ends_are_fine(csv):
    path = csv("UTC,sale,S,2026-03-10,me", head="Zone,Kind,Name,Starts_At,Owner", encoding="utf-8-sig")
    assert read_events_csv(path).row(0) == ("sale", "S", utc("2026-03-10"), utc("2026-03-11"), "UTC")


@pytest.mark.parametrize("content", ["", HEAD, HEAD + "\n"])
def test_a_file_without_entries_has_no_events(tmp_path, content):
    path = tmp_path / "events.csv"
    path.write_text(content)
    assert read_events_csv(path).schema == pl.Schema(EVENTS)


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ("sale,S,2026-03-10T10:00,2026-03-10T12:00,", ["row 2 ('S')", "zone is mandatory", "Europe/Berlin"]),
        ("sale,S,2026-03-10T10:00Z,2026-03-10T12:00Z,", ["row 2 ('S')", "zone is mandatory"]),
        (
            "sale,S,2026-03-10T10:00,,Europe/Berlim",
            ["row 2 ('S')", "'Europe/Berlim'", "did you mean Europe/Berlin?"],
        ),
        ("sale,S,2026-03-10T10:00,,new york", ["'new york'", "did you mean America/New_York?"]),
        ("sale,S,2026-03-10T10:00,,Mars/Olympus Mons", ["row 2", "IANA name"]),
        ("sale,S,2026-03-10T10:00,2026-03-10T09:00,UTC", ["row 2 ('S')", "ends before it starts"]),
        ("sale,S,10.03.2026 10:00,,UTC", ["row 2 ('S')", "'10.03.2026 10:00' as starts_at", "ISO time"]),
        ("sale,S,2026-02-30,,UTC", ["row 2 ('S')", "'2026-02-30' as starts_at"]),
        ("sale,S,2026-03-10,soon,UTC", ["row 2 ('S')", "'soon' as ends_at"]),
        ("sale,S,,2026-03-10,UTC", ["row 2 ('S')", "nothing as starts_at"]),
        (",S,2026-03-10,,UTC", ["row 2", "no kind"]),
    ],
)
def test_a_bad_row_is_one_sentence_naming_file_row_and_fix(csv, row, words):
    path = csv("exam,Fine,2026-03-09,,UTC", row)
    with pytest.raises(InputError) as caught:
        read_events_csv(path)
    message = str(caught.value)
    assert str(path) in message
    assert "\n" not in message
    assert [word for word in words if word not in message] == []


def test_a_file_without_the_columns_or_that_is_no_text_is_refused(csv, tmp_path):
    with pytest.raises(InputError, match=r"events\.csv lacks the columns starts_at, zone"):
        read_events_csv(csv("sale,S", head="kind,name"))
    (tmp_path / "binary.csv").write_bytes(b"kind,name\n\xff\xfe,\x00\n")
    with pytest.raises(InputError, match=r"binary\.csv"):
        read_events_csv(tmp_path / "binary.csv")
    with pytest.raises(InputError, match="does not exist"):
        read_events_csv(tmp_path / "none.csv")


@given(
    st.lists(st.integers(0, 35 * 365 * 1440).map(lambda n: wall("2000-01-01") + timedelta(minutes=n)), min_size=1),
    st.sampled_from(
        ["Europe/Berlin", "America/St_Johns", "Australia/Lord_Howe", "Asia/Kolkata", "America/Havana", "UTC"]
    ),
)
def test_wall_times_become_the_instants_of_zoneinfo(walls, zone):
    found = wall_to_utc(pl.Series(walls, dtype=pl.Datetime("us")), zone)
    assert found.to_list() == [wall.replace(tzinfo=ZoneInfo(zone)).astimezone(UTC) for wall in walls]
    assert utc_to_wall(found, zone).to_list() == [
        instant.astimezone(ZoneInfo(zone)).replace(tzinfo=None) for instant in found.to_list()
    ]


def test_upcoming_shows_local_times_the_windows_under_way_first(csv):
    rows = [f"sale,Day {day:02},2026-03-{day:02}T10:00,2026-03-{day:02}T12:00,Europe/Berlin" for day in range(1, 31)]
    events = read_events_csv(csv(*rows, "exam,Long,2026-03-01,2026-03-31,Asia/Kolkata"))
    ahead = upcoming(events, utc("2026-03-27T12:00"), 3)
    assert ahead["name"].to_list() == ["Long", "Day 28", "Day 29"]
    assert ahead["starts_local"].to_list() == [
        wall("2026-03-01"),
        wall("2026-03-28T10:00"),
        wall("2026-03-29T10:00"),
    ]
    assert ahead["starts_at"].to_list()[1:] == [utc("2026-03-28T09:00"), utc("2026-03-29T08:00")]
    assert ahead["under_way"].to_list() == [True, False, False]
    assert upcoming(events, utc("2026-04-01") + timedelta(days=1)).is_empty()
    assert upcoming(events.clear(), utc("2026-04-01")).columns == ahead.columns
