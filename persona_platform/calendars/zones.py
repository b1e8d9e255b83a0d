"""IANA zones: valid names, their country, and wall times turned into instants.

Everything comes from the ``tzdata`` package, so that a host's own, older copy changes nothing.
"""

import difflib
from datetime import timedelta
from functools import cache
from importlib.resources import files

import polars as pl

from persona_platform.errors import InputError
from persona_platform.frames import TS

NO_COUNTRY = frozenset(("CET", "EET", "MET", "WET", "EST", "MST", "HST", "EST5EDT", "CST6CDT", "MST7MDT", "PST8PDT"))
"""Clocks, not places: the tz database links them to a city since 2024b, and that city says nothing."""

# A gap at the start of daylight saving is an hour or less, the largest on record a whole day (Samoa, 2011).
LONGEST_GAP = timedelta(hours=25)


@cache
def zone_names() -> frozenset[str]:
    """Every name that ``timezone`` and ``zone`` columns may hold, aliases included."""
    return frozenset((files("tzdata") / "zones").read_text(encoding="utf-8").split())


def nearest_zone(name: str) -> str | None:
    """The valid name most like ``name``, by the whole name or by its city; None when nothing is near."""
    wanted = name.strip().lower().replace(" ", "_")
    by_lower = {zone.lower(): zone for zone in sorted(zone_names())}
    by_city = {zone.rsplit("/", 1)[-1]: by_lower[zone] for zone in by_lower}
    for table in (by_lower, by_city):
        found = difflib.get_close_matches(wanted, table, n=1, cutoff=0.75)
        if found:
            return table[found[0]]
    return None


def check_zone(name: str | None, where: str) -> str:
    """``name`` when it is an IANA zone; ``where`` is what the message says has it ("events.csv, row 3").

    Raises :class:`InputError` when it is missing or unknown, with the nearest valid name.
    """
    if not name:
        raise InputError(f"{where} has no zone; zone is mandatory on every calendar entry, for instance Europe/Berlin.")
    if name not in zone_names():
        near = nearest_zone(name)
        fix = f"did you mean {near}?" if near else "write an IANA name such as Europe/Berlin or UTC."
        raise InputError(f"{where} has the zone '{name}', which the tz database does not know; {fix}")
    return name


@cache
def _countries() -> dict[str, str]:
    lines = (files("tzdata") / "zoneinfo" / "zone.tab").read_text(encoding="utf-8").splitlines()
    rows = (line.split("\t") for line in lines if line and not line.startswith("#"))
    return {row[2]: row[0] for row in rows}


@cache
def _links() -> dict[str, str]:
    lines = (files("tzdata") / "zoneinfo" / "tzdata.zi").read_text(encoding="utf-8").splitlines()
    return {alias: target for _, target, alias in (line.split() for line in lines if line.startswith("L "))}


def country_of(zone: str) -> str | None:
    """The ISO 3166 country of a zone in the tz database; None for UTC and other clocks without a place.

    ``zone.tab`` names one country for each place; old names (US/Eastern) are followed through their links.
    """
    while zone not in _countries():
        if zone in NO_COUNTRY or zone not in _links():
            return None
        zone = _links()[zone]
    return _countries()[zone]


def wall_to_utc(wall: pl.Series, zone: str) -> pl.Series:
    """Naive wall times of one valid zone as instants.

    A wall time that occurs twice is its first occurrence. One that the clock skips is moved forward by the
    length of the gap (RFC 5545, 3.3.5: it counts with the offset from before the gap).
    """
    frame = wall.cast(pl.Datetime("us")).alias("wall").to_frame()

    def instants(expr: pl.Expr) -> pl.Expr:
        aware = expr.dt.replace_time_zone(zone, ambiguous="earliest", non_existent="null")
        return aware.dt.convert_time_zone("UTC")

    wall_time = pl.col("wall")
    shifted = instants(wall_time - LONGEST_GAP) + LONGEST_GAP
    return frame.select(pl.coalesce(instants(wall_time), shifted).cast(TS).alias(wall.name)).to_series()


def utc_to_wall(instants: pl.Series, zone: str) -> pl.Series:
    """Instants as naive wall times of one valid zone."""
    return instants.dt.convert_time_zone(zone).dt.replace_time_zone(None)
