"""What happens around the fleet: campaigns, one in two weeks, and the recurring entries of a team's calendar.

Campaigns stand in ``events.csv``, what recurs in ``calendar.ics`` as rules: both ways in are used.
"""

from datetime import UTC, date, datetime, time, timedelta
from itertools import count
from typing import Final
from zoneinfo import ZoneInfo

import numpy as np
import polars as pl

from persona_platform.fleet.clock import LEAD_IN, Bools, Clock
from persona_platform.fleet.draws import Draws
from persona_platform.fleet.spec import FleetSpec
from persona_platform.frames import EVENTS

KNOWN_AHEAD: Final = timedelta(days=42)
"""Events are known this long after the end of the samples: a calendar is about the future."""

ZONE: Final = "America/New_York"
MAINTENANCE_ZONE: Final = "Europe/Berlin"
IN_CALENDAR: Final = ("maintenance", "payday")
_NAMES: Final = (
    "new collection",
    "members' days",
    "clearance",
    "free delivery",
    "late night shopping",
    "bundle week",
)


def events(spec: FleetSpec) -> pl.DataFrame:
    """All events from shortly before the fleet's start to well after its end, as an EVENTS frame."""
    begin, end = (spec.start - LEAD_IN).date(), (spec.end + KNOWN_AHEAD).date()
    rows = [*_campaigns(spec.seed, begin, end), *_maintenance(begin, end), *_paydays(begin, end)]
    return pl.DataFrame(rows, schema=EVENTS, orient="row").sort("starts_at", "kind")


def covered(entries: pl.DataFrame, clock: Clock) -> dict[str, Bools]:
    """By kind: whether an event of it covers the start of a slot."""
    minutes = clock.minutes
    masks: dict[str, Bools] = {}
    for row in entries.iter_rows(named=True):
        begin, end = (row[name].timestamp() / 60 for name in ("starts_at", "ends_at"))
        masks[row["kind"]] = masks.get(row["kind"], np.zeros(clock.count, dtype=bool)) | (
            (minutes >= begin) & (minutes < end)
        )
    return masks


def _at(day: date, hour: int, zone: str) -> datetime:
    return datetime.combine(day, time(hour), ZoneInfo(zone)).astimezone(UTC)


def _campaigns(seed: int, begin: date, end: date) -> list[tuple[str, str, datetime, datetime, str]]:
    """One in two weeks: from 10:00 on some day from Tuesday to Friday, for two to four days."""
    epoch = date(1970, 1, 5)  # a Monday
    fortnights = np.arange((begin - epoch).days // 14, (end - epoch).days // 14 + 1, dtype=np.int64)
    draws = Draws(seed, "campaigns")

    def drawn(purpose: str, ways: int) -> list[int]:
        return np.floor(ways * draws.uniform(purpose, fortnights)).astype(int).tolist()

    rows = []
    for fortnight, week, weekday, nights, name in zip(
        fortnights.tolist(),
        drawn("week", 2),
        drawn("weekday", 4),
        drawn("nights", 3),
        drawn("name", len(_NAMES)),
        strict=True,
    ):
        day = epoch + timedelta(days=14 * fortnight + 7 * week + 1 + weekday)
        if begin <= day < end:
            closes = day + timedelta(days=1 + nights)
            rows.append(("campaign", _NAMES[name], _at(day, 10, ZONE), _at(closes, 23, ZONE), ZONE))
    return rows


def _months(begin: date, end: date) -> list[date]:
    """The first days of the months that touch the span."""
    firsts = (date(begin.year + (begin.month - 1 + i) // 12, (begin.month - 1 + i) % 12 + 1, 1) for i in count())
    months = []
    for first in firsts:
        if first >= end:
            return months
        months.append(first)
    return months


def _second_tuesday(month: date) -> date:
    return month + timedelta(days=(1 - month.weekday()) % 7 + 7)


def _maintenance(begin: date, end: date) -> list[tuple[str, str, datetime, datetime, str]]:
    """The night after the second Tuesday of a month, four hours from 22:00."""
    rows = []
    for day in map(_second_tuesday, _months(begin, end)):
        opens = datetime.combine(day, time(22), ZoneInfo(MAINTENANCE_ZONE))
        closes = _at(day + timedelta(1), 2, MAINTENANCE_ZONE)
        rows.append(("maintenance", "patch window", opens.astimezone(UTC), closes, MAINTENANCE_ZONE))
    return [row for row in rows if begin <= row[2].date() < end]


def _paydays(begin: date, end: date) -> list[tuple[str, str, datetime, datetime, str]]:
    """The whole of the 25th."""
    days = [month.replace(day=25) for month in _months(begin, end)]
    return [
        ("payday", "payday", _at(day, 0, ZONE), _at(day + timedelta(1), 0, ZONE), ZONE)
        for day in days
        if begin <= day < end
    ]


def ical(spec: FleetSpec) -> str:
    """The events that recur, as iCalendar text (RFC 5545): the summary is the name, the category the kind."""
    from icalendar import Calendar, Event, Timezone

    begin = (spec.start - LEAD_IN).date()
    calendar = Calendar()
    calendar.add("prodid", "-//Persona Platform//generated fleet//EN")
    calendar.add("version", "2.0")
    for zone in (ZONE, MAINTENANCE_ZONE):  # not add_missing_timezones, whose order changes from run to run
        first, last = date(begin.year, 1, 1), date(begin.year + 20, 1, 1)
        calendar.add_component(Timezone.from_tzid(zone, first_date=first, last_date=last))
    months = _months(begin, begin + timedelta(days=70))
    maintenance = next(day for day in map(_second_tuesday, months) if day >= begin)
    payday = next(day for month in months if (day := month.replace(day=25)) >= begin)
    rules = (
        ("maintenance", "patch window", maintenance, 22, timedelta(hours=4), MAINTENANCE_ZONE,
         {"freq": "monthly", "byday": "2TU"}),
        ("payday", "payday", payday, 0, timedelta(days=1), ZONE, {"freq": "monthly", "bymonthday": 25}),
    )  # fmt: skip
    for kind, name, day, hour, length, zone, rule in rules:
        entry = Event()
        opens = datetime.combine(day, time(hour), ZoneInfo(zone))
        entry.add("uid", f"{kind}@fleet.example")
        entry.add("dtstamp", spec.start)
        entry.add("summary", name)
        entry.add("categories", [kind])
        entry.add("dtstart", opens)
        entry.add("dtend", opens + length)
        entry.add("rrule", rule)
        calendar.add_component(entry)
    return calendar.to_ical().decode()
