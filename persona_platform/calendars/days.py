"""Local dates and what they are: working day, weekend or holiday, first or last working day of the month."""

import difflib
from collections.abc import Iterable, Sequence
from datetime import date, timedelta
from typing import TYPE_CHECKING

import polars as pl

from persona_platform.calendars.zones import check_zone, country_of
from persona_platform.errors import InputError
from persona_platform.frames import CALENDAR_DAYS, conform, empty

if TYPE_CHECKING:
    from holidays import HolidayBase

SATURDAY, SUNDAY = 5, 6


def calendar_days(zones: Iterable[str], start: date, end: date, countries: Sequence[str]) -> pl.DataFrame:
    """CALENDAR_DAYS of every zone and local date from ``start`` to ``end``, both included.

    ``countries`` are those whose public holidays count, "DE" for the country or "DE-BE" for a part of it
    (their union where a country is listed more than once). A zone has the holidays of the country that the
    tz database gives it, if listed; a zone without a country takes the listed one when exactly one is listed.
    Weekends are the country's own (Friday and Saturday in SA), else Saturday and Sunday; a day that a country
    works in exchange for a holiday is a working day; a holiday on a weekend is a holiday. Names are English
    where the ``holidays`` package has them.

    Raises :class:`InputError` for an unknown zone, country or part of one.
    """
    names = sorted(set(zones))
    for zone in names:
        check_zone(zone, "The list of zones")
    listed = sorted({_normal(country) for country in countries})
    # Whole months, so that the first and last working day are right at the edges.
    first, last = (
        start.replace(day=1),
        (end.replace(day=28) + timedelta(days=4)).replace(day=1) - timedelta(days=1),
    )
    if not names or end < start:
        for entry in listed:
            _holidays(entry, [start.year])
        return empty(CALENDAR_DAYS)
    dates = pl.date_range(first, last, eager=True).alias("date").to_frame()
    years = range(first.year, last.year + 1)
    books = {entry: _holidays(entry, years) for entry in listed}
    typed: dict[tuple[str, ...], pl.DataFrame] = {}
    frames = [empty(CALENDAR_DAYS)]
    for zone in names:
        country, entries = _entries(zone, listed)
        key = (country or "", *entries)
        if key not in typed:
            counted = [books[entry] for entry in entries]
            typed[key] = _typed(dates, counted, counted[0] if counted else _weekends(country, years))
        frames.append(conform(typed[key].with_columns(pl.lit(zone).alias("zone")), CALENDAR_DAYS, "The days"))
    return pl.concat(frames).filter(pl.col("date").is_between(start, end))


def _normal(country: str) -> str:
    code, dash, part = country.strip().partition("-")
    return code.upper() + dash + part


def _entries(zone: str, listed: Sequence[str]) -> tuple[str | None, list[str]]:
    """The country of a zone and the listed entries whose holidays it has."""
    by_country = {entry: entry.partition("-")[0] for entry in listed}
    country = country_of(zone)
    if country is None and len(set(by_country.values())) == 1:
        country = by_country[listed[0]]
    return country, [entry for entry in listed if by_country[entry] == country]


def _typed(dates: pl.DataFrame, books: Sequence["HolidayBase"], rule: "HolidayBase | None") -> pl.DataFrame:
    """Day types of whole months; ``books`` hold the holidays that count, ``rule`` says what a weekend is."""
    days = dates["date"].to_list()
    names = [
        "; ".join(dict.fromkeys(name for book in books if day in book for name in book.get_list(day))) or None
        for day in days
    ]
    free = [
        day.weekday() in (SATURDAY, SUNDAY) if rule is None else rule.is_weekend(day) and not rule.is_working_day(day)
        for day in days
    ]
    holiday, weekend = pl.Series("holiday", names, pl.String), pl.Series("free", free, pl.Boolean)
    kind = pl.when(pl.col("holiday").is_not_null()).then(pl.lit("holiday"))
    month, working = pl.col("date").dt.truncate("1mo"), pl.col("day_type") == "working"
    on = pl.col("date").filter(working)
    return (
        dates.with_columns(holiday, weekend)
        .with_columns(kind.when("free").then(pl.lit("weekend")).otherwise(pl.lit("working")).alias("day_type"))
        .with_columns(
            (pl.col("date") == on.min().over(month)).fill_null(value=False).alias("is_month_begin"),
            (pl.col("date") == on.max().over(month)).fill_null(value=False).alias("is_month_end"),
        )
    )


def _weekends(country: str | None, years: Iterable[int]) -> "HolidayBase | None":
    from holidays import country_holidays

    try:
        return None if country is None else country_holidays(country, years=years)
    except NotImplementedError:  # a country that the package does not know: Saturday and Sunday
        return None


def _holidays(entry: str, years: Iterable[int]) -> "HolidayBase":
    from holidays import country_holidays, list_supported_countries

    code, _, part = entry.partition("-")
    supported = list_supported_countries()
    if code not in supported:
        raise InputError(f"The country '{code}' has no known holidays; {_near(code, supported)}")
    if part and part not in supported[code]:
        raise InputError(f"The country '{code}' has no part '{part}'; {_near(part, supported[code])}")
    spoken = country_holidays(code).supported_languages
    language = "en_US" if "en_US" in spoken else None
    return country_holidays(code, subdiv=part or None, years=years, language=language)


def _near(name: str, valid: Iterable[str]) -> str:
    known = list(valid)
    found = difflib.get_close_matches(name.upper(), known, n=1, cutoff=0.4)
    return f"did you mean {found[0]}?" if found else f"known are {', '.join(known[:20]) or 'none'}."
