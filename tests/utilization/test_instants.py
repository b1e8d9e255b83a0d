"""Timestamps as they come, read as UTC instants or not at all."""

from datetime import UTC, date, datetime, timedelta, timezone

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from persona_platform.frames import TS
from persona_platform.utilization.instants import instants

WALL = [datetime(year, 1, 1, tzinfo=UTC).replace(tzinfo=None) for year in (1971, 2200)]
NOON = datetime(2024, 3, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    "text",
    [
        "2024-03-01T12:00:00Z",
        "2024-03-01T12:00:00z",
        " 2024-03-01 12:00 ",
        "2024-03-01 12:00:00 UTC",
        "2024-03-01T12:00:00.000",
        "2024-03-01T14:00:00+02:00",
        "2024-03-01T14:00:00+0200",
        "2024-03-01T14:00+02",
        "2024-03-01T06:30:00-05:30",
        "1709294400",
        "1709294400.0",
        "1709294400000",
        "1709294400000000",
        "1709294400000000000",
    ],
)
def test_a_text_is_an_instant_in_utc_unless_it_names_a_zone(text: str) -> None:
    assert instants(pl.Series("ts", [text])).to_list() == [NOON]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "soon",
        "01/03/2024",
        "2024-13-01",
        "2024-02-30T00:00",
        "20240301",
        "12",
        "5e9",
        "20000000000",
        "-1709294400",
        "2024-03-01T25:00",
    ],
)
def test_what_has_more_than_one_reading_or_none_is_null(text: str) -> None:
    assert instants(pl.Series("ts", [text])).to_list() == [None]


@pytest.mark.parametrize(
    "column",
    [
        pl.Series("ts", [NOON.replace(tzinfo=None)], pl.Datetime("ns")),
        pl.Series("ts", [NOON], pl.Datetime("ms", "UTC")),
        pl.Series("ts", [NOON.astimezone(timezone(timedelta(hours=1)))]).dt.convert_time_zone("Asia/Kolkata"),
        pl.Series("ts", [1709294400]),
        pl.Series("ts", [1709294400], pl.UInt32),
        pl.Series("ts", [1709294400000]),
        pl.Series("ts", [1709294400.0]),
    ],
)
def test_the_type_of_the_column_does_not_matter(column: pl.Series) -> None:
    found = instants(column)
    assert found.dtype == TS
    assert found.to_list() == [NOON]


def test_a_date_is_its_midnight() -> None:
    assert instants(pl.Series("ts", [date(2024, 3, 1)])).to_list() == [datetime(2024, 3, 1, tzinfo=UTC)]


def test_a_type_that_holds_no_time_is_null() -> None:
    assert instants(pl.Series("ts", [True])).to_list() == [None]


@settings(deadline=None)
@given(
    st.lists(
        st.datetimes(*WALL, timezones=st.timezones() | st.just(UTC)),
        max_size=8,
    )
)
def test_iso_texts_come_back_as_the_instants_they_were(times: list[datetime]) -> None:
    # Historic zones may be off by seconds, which ISO 8601 offsets of hours and minutes cannot say.
    times = [t for t in times if t.utcoffset().seconds % 60 == 0]
    read = instants(pl.Series("ts", [t.isoformat() for t in times], pl.String))
    assert read.to_list() == [t.astimezone(UTC) for t in times]
