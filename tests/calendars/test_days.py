"""Holidays, weekends and the working days that open and close a month."""

import csv
from datetime import date
from pathlib import Path

import polars as pl
import pytest

from persona_platform.calendars.days import calendar_days
from persona_platform.calendars.zones import country_of, zone_names
from persona_platform.errors import InputError
from persona_platform.frames import CALENDAR_DAYS

TRACES = Path(__file__).parents[3] / "shared" / "traces" / "calendar_holidays.csv"
YEAR = (date(2026, 1, 1), date(2026, 12, 31))


def day(zone, when, countries):
    return calendar_days([zone], when, when, countries).row(0, named=True)


@pytest.mark.parametrize(
    ("zone", "countries", "when", "kind", "name"),
    [
        ("America/New_York", ["US"], date(2026, 11, 26), "holiday", "Thanksgiving Day"),
        ("America/New_York", ["US"], date(2026, 11, 27), "working", None),
        ("US/Eastern", ["US"], date(2026, 11, 26), "holiday", "Thanksgiving Day"),
        ("Europe/Berlin", ["DE-BE"], date(2026, 3, 8), "holiday", "Women's Day"),  # on a Sunday
        ("Europe/Berlin", ["DE"], date(2026, 3, 8), "weekend", None),
        ("Europe/Berlin", ["DE-BY", "DE-BE"], date(2026, 1, 6), "holiday", "Epiphany"),  # the union
        ("Europe/Berlin", [" de-BE "], date(2027, 3, 8), "holiday", "Women's Day"),
        # A country that is not listed, or not the zone's.
        ("Europe/Berlin", [], date(2026, 12, 25), "working", None),
        ("Europe/Berlin", ["US"], date(2026, 12, 25), "working", None),
        # A zone without a country takes the listed one when there is exactly one.
        ("UTC", ["DE-BE"], date(2026, 3, 8), "holiday", "Women's Day"),
        ("Etc/GMT+3", ["US"], date(2026, 7, 3), "holiday", "Independence Day (observed)"),
        ("UTC", ["DE", "US"], date(2026, 12, 25), "working", None),
        ("UTC", ["DE", "DE-BE"], date(2026, 12, 25), "holiday", "Christmas Day"),
        # Weekends are the country's own, and so are days worked in exchange.
        ("Asia/Riyadh", ["SA"], date(2026, 1, 2), "weekend", None),  # a Friday
        ("Asia/Riyadh", [], date(2026, 1, 4), "working", None),  # a Sunday
        ("Asia/Shanghai", ["CN"], date(2026, 2, 28), "working", None),  # a Saturday
    ],
)
def test_a_date_has_the_type_of_its_zones_country(zone, countries, when, kind, name):
    found = day(zone, when, countries)
    assert (found["day_type"], found["holiday"]) == (kind, name)


def test_every_zone_has_every_date_once_from_start_to_end():
    zones = ["UTC", "Asia/Kolkata", "UTC"]
    days = calendar_days(zones, *YEAR, ["IN"])
    assert days.schema == pl.Schema(CALENDAR_DAYS)
    assert days.height == 2 * 365
    assert days.select(pl.struct("zone", "date").n_unique()).item() == days.height
    assert (days["date"].min(), days["date"].max()) == YEAR


@pytest.mark.parametrize("start", [YEAR[0], date(2026, 1, 20), date(2026, 1, 31)])
def test_months_begin_and_end_on_working_days_whatever_the_range(start):
    days = calendar_days(["Europe/Berlin"], start, YEAR[1], ["DE"])
    begins = days.filter("is_month_begin")["date"].to_list()
    ends = days.filter("is_month_end")["date"].to_list()
    assert begins[-11:] == [
        date(2026, 2, 2),
        date(2026, 3, 2),
        date(2026, 4, 1),
        date(2026, 5, 4),
        date(2026, 6, 1),
        date(2026, 7, 1),
        date(2026, 8, 3),
        date(2026, 9, 1),
        date(2026, 10, 1),
        date(2026, 11, 2),
        date(2026, 12, 1),
    ]
    assert ends[-11:] == [
        date(2026, 2, 27),
        date(2026, 3, 31),
        date(2026, 4, 30),
        date(2026, 5, 29),
        date(2026, 6, 30),
        date(2026, 7, 31),
        date(2026, 8, 31),
        date(2026, 9, 30),
        date(2026, 10, 30),
        date(2026, 11, 30),
        date(2026, 12, 31),
    ]
    assert (len(begins), len(ends)) == ((12, 12) if start == YEAR[0] else (11, 12 if start.day == 20 else 11))
    assert days.filter(pl.col("is_month_begin") | pl.col("is_month_end"))["day_type"].unique().to_list() == ["working"]


def test_no_zones_or_an_empty_range_is_an_empty_frame():
    assert calendar_days([], *YEAR, ["DE"]).schema == pl.Schema(CALENDAR_DAYS)
    assert calendar_days(["UTC"], YEAR[1], YEAR[0], []).is_empty()


@pytest.mark.parametrize(
    ("zone", "country", "message"),
    [
        ("Europe/Berlim", "DE", r"'Europe/Berlim'.*did you mean Europe/Berlin\?"),
        ("UTC", "DX", r"country 'DX' has no known holidays; did you mean"),
        ("UTC", "DE-BB2", r"'DE' has no part 'BB2'; did you mean BB\?"),
        ("UTC", "", r"country '' has no known holidays"),
    ],
)
def test_an_unknown_zone_or_country_is_refused_with_the_nearest(zone, country, message):
    with pytest.raises(InputError, match=message):
        calendar_days([zone], *YEAR, [country])


@pytest.mark.parametrize(
    ("zone", "country"),
    [
        ("Europe/Berlin", "DE"),
        ("Europe/Oslo", "NO"),
        ("Asia/Calcutta", "IN"),
        ("US/Pacific", "US"),
        ("Europe/Kiev", "UA"),
        ("UTC", None),
        ("CET", None),
        ("EST5EDT", None),
        ("Etc/GMT-1", None),
        ("Atlantis/Capital", None),
    ],
)
def test_the_country_of_a_zone(zone, country):
    assert country_of(zone) == country


def test_every_zone_of_a_region_has_a_country():
    regions = ("Africa/", "America/", "Asia/", "Australia/", "Europe/", "Pacific/")
    assert [zone for zone in zone_names() if zone.startswith(regions) and country_of(zone) is None] == []


@pytest.mark.skipif(not TRACES.exists(), reason="the recorded holidays are not here")
def test_holidays_agree_with_a_recorded_table():
    with TRACES.open(encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["country"] == "US" and not row["subdivision"]]
    recorded = {date.fromisoformat(row["date"]) for row in rows}
    first, last = min(recorded).replace(month=1, day=1), max(recorded).replace(month=12, day=31)
    days = calendar_days(["America/Chicago"], first, last, ["US"]).filter(day_type="holiday")
    years = {when.year for when in recorded}
    assert {when for when in days["date"] if when.year in years} == recorded
