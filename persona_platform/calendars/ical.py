"""Events from iCalendar files: recurrence, exceptions, moved instances, zones, whole days.

The libraries expand the rules, in wall time: a weekly 09:00 stays at 09:00 across daylight saving. This
module checks every entry first, because they would guess where we refuse, and turns instances into EVENTS.
"""

import warnings
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import polars as pl

from persona_platform.calendars.zones import check_zone, zone_names
from persona_platform.errors import InputError
from persona_platform.frames import EVENTS

if TYPE_CHECKING:
    from icalendar import Calendar, Component

Row = tuple[str, str, datetime, datetime, str]
DEFAULT_KIND = "event"

MOMENT = timedelta(minutes=1)
"""The length of an event at one moment: enough to mark the slot that it falls in."""

# Whole days are found by their date, without a zone: look a little further, then cut by instants.
MARGIN = timedelta(days=2)


def read_ical(path: str | Path, start: datetime, end: datetime) -> pl.DataFrame:
    """EVENTS of one iCalendar file that overlap [start, end), sorted, each once.

    kind is the first of CATEGORIES, else X-PERSONA-KIND, else ``event``, in lower case. Whole days are in the
    zone of their calendar: X-WR-TIMEZONE, else its only VTIMEZONE. Cancelled entries are left out. An entry
    without length lasts :data:`MOMENT`, a whole day without an end that day.

    Raises :class:`InputError` naming file, entry and fix.
    """
    if start.tzinfo is None or end.tzinfo is None:
        raise InputError(f"{path} was asked for between times without a zone; give start and end in UTC.")
    rows = [row for calendar in _calendars(Path(path)) for row in _rows(calendar, str(path), start, end)]
    frame = pl.DataFrame(rows, schema=EVENTS, orient="row")
    return frame.unique().sort("starts_at", "ends_at", "kind", "name", "zone")


def _calendars(path: Path) -> list["Calendar"]:
    from icalendar import Calendar

    try:
        text = path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError as fault:
        raise InputError(f"{path} does not exist; check the path of the calendar.") from fault
    except (OSError, UnicodeDecodeError) as fault:
        raise InputError(f"{path} cannot be read as text ({fault}); export the calendar again as UTF-8.") from fault
    try:
        with warnings.catch_warnings():
            # A vendor's prefix before an IANA name ("/citadel.org/Europe/Berlin"): stripping it is right.
            warnings.filterwarnings("ignore", message=".*globally unique TZID")
            found: Any = Calendar.from_ical(text, multiple=True)
    except ValueError as fault:
        raise InputError(f"{path} is not an iCalendar file ({fault}); export the calendar again as .ics.") from fault
    calendars = [item for item in found if item.name == "VCALENDAR"]
    if not calendars:
        raise InputError(f"{path} holds no complete VCALENDAR; export the calendar again as .ics.")
    return calendars


def _rows(calendar: "Calendar", file: str, start: datetime, end: datetime) -> list[Row]:
    from recurring_ical_events import of
    from recurring_ical_events.errors import InvalidCalendar

    floating, whole_days = _zones(calendar, file)
    for entry in calendar.walk("VEVENT"):
        _check_entry(entry, file, floating, whole_days)
    try:
        found = of(calendar).between(start - MARGIN, end + MARGIN)
    except (InvalidCalendar, ValueError, KeyError) as fault:
        raise InputError(f"{file} has a recurrence that cannot be expanded ({fault}); correct its RRULE.") from fault
    rows = (_row(entry, whole_days) for entry in found if str(entry.get("STATUS", "")).upper() != "CANCELLED")
    return [row for row in rows if row[2] < end and row[3] > start]


def _zones(calendar: "Calendar", file: str) -> tuple[str | None, str | None]:
    """The zone of times without one, and the zone of whole days; None where the calendar does not say."""
    named = _first(calendar.get("X-WR-TIMEZONE"))
    if named:
        zone = check_zone(str(named).strip(), f"{file}, X-WR-TIMEZONE")
        return zone, zone
    tables = {str(table.get("TZID", "")) for table in calendar.walk("VTIMEZONE")} & zone_names()
    return None, tables.pop() if len(tables) == 1 else None


def _check_entry(entry: "Component", file: str, floating: str | None, whole_days: str | None) -> None:
    where = f"{file}, entry '{entry.get('SUMMARY') or entry.get('UID', 'without a name')}'"
    for name, reason in entry.errors:
        raise InputError(f"{where} has a {name or 'line'} that cannot be read ({reason}); correct it.")
    for name in ("DTSTART", "DTEND", "DURATION", "RECURRENCE-ID"):
        if isinstance(entry.get(name), list):
            raise InputError(f"{where} has more than one {name}; leave the one that counts.")
    if "DTSTART" not in entry:
        raise InputError(f"{where} has no DTSTART; every entry needs its start.")
    for name in ("DTSTART", "DTEND", "RECURRENCE-ID"):
        if name in entry:
            _check_zoned(entry, name, where, floating, whole_days)
    _check_order(entry, where, ZoneInfo(floating or whole_days or "UTC"))


def _check_zoned(entry: "Component", name: str, where: str, floating: str | None, whole_days: str | None) -> None:
    moment = _value(entry, name)
    zone = entry[name].params.get("TZID")
    if not isinstance(moment, datetime):
        if not (zone or whole_days):
            raise InputError(
                f"{where} is a whole day and its calendar has no zone; zone is mandatory on every calendar "
                "entry: add a line such as X-WR-TIMEZONE:Europe/Berlin below BEGIN:VCALENDAR."
            )
    elif moment.tzinfo is None and zone:
        check_zone(zone, where)
    elif moment.tzinfo is None and not floating:
        raise InputError(
            f"{where} has a {name} without a zone; zone is mandatory on every calendar entry: write "
            f"{name};TZID=Europe/Berlin:..., or X-WR-TIMEZONE:Europe/Berlin below BEGIN:VCALENDAR."
        )


def _check_order(entry: "Component", where: str, zone: tzinfo) -> None:
    backwards = "DURATION" in entry and _value(entry, "DURATION") < timedelta(0)
    if "DTEND" in entry:
        # Two wall times of one zone are compared as such: a start in the gap of a clock change is no fault.
        backwards = _aware(_value(entry, "DTEND"), zone) < _aware(_value(entry, "DTSTART"), zone)
    if backwards:
        raise InputError(f"{where} ends before it starts; its DTEND must be later than its DTSTART.")


def _row(entry: "Component", whole_days: str | None) -> Row:
    begin, finish = _value(entry, "DTSTART"), _value(entry, "DTEND")
    own = getattr(getattr(begin, "tzinfo", None), "key", None) or entry["DTSTART"].params.get("TZID")
    # A zone that only the file defines has no IANA name; its instants are right all the same.
    zone = own if own in zone_names() else (whole_days or "UTC")
    starts_at = _aware(begin, ZoneInfo(zone)).astimezone(UTC)
    ends_at = _aware(finish, ZoneInfo(zone)).astimezone(UTC)
    if ends_at <= starts_at:
        # A clock change swallowed the length, or there is none.
        ends_at = starts_at + max(finish - begin, MOMENT)
    kind = _kind(entry)
    return kind, str(entry.get("SUMMARY") or kind).strip(), starts_at, ends_at, zone


def _kind(entry: "Component") -> str:
    categories: list[str] = [str(name).strip() for name in getattr(entry, "categories", ())]
    own = str(_first(entry.get("X-PERSONA-KIND")) or "").strip()
    return (next(filter(None, categories), own) or DEFAULT_KIND).lower()


def _value(entry: "Component", name: str) -> Any:
    held: Any = entry[name]
    return held.dt


def _aware(moment: date, zone: tzinfo) -> datetime:
    if not isinstance(moment, datetime):
        moment = datetime.combine(moment, time())
    return moment if moment.tzinfo else moment.replace(tzinfo=zone)


def _first(value: object) -> object:
    return value[0] if isinstance(value, list) and value else value
