"""The slots of a fleet, and what the local time and the day are at each of them, zone by zone."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl

from persona_platform.fleet.draws import Floats, Ints
from persona_platform.fleet.spec import FleetSpec
from persona_platform.frames import TS

COUNTRIES: Final = {"America/New_York": "US", "Europe/Berlin": "DE", "Asia/Kolkata": "IN", "UTC": None}
"""The zones that workloads live in, and whose public holidays they keep."""

LEAD_IN: Final = timedelta(days=8)
"""Activations are drawn from this long before the start: longer than any of them lasts."""

TAIL: Final = 1
"""Slots after the end that are looked at: activity tells of the need one slot ahead."""

Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Days:
    """The local days of a zone that the slots touch. All arrays have one element a day."""

    ordinal: Ints  # days since 1970-01-01
    weekday: Ints  # 0 is Monday
    holiday: Bools
    working: Bools
    month_close: Bools  # the last and the first working day of a month


@dataclass(frozen=True)
class LocalTime:
    """A zone's local time at each slot."""

    minute: Ints  # of the local day, 0 to 1439
    hour: Floats  # the same in hours
    weekday: Ints
    wall: Ints  # local minutes since 1970-01-01, never falling back
    days: Days
    day: Ints  # index into days

    def slot_at(self, day: Ints, minute: Floats) -> Ints:
        """The first slot at or after a wall clock time of a local day; one that does not exist moves on."""
        return np.searchsorted(self.wall, self.days.ordinal[day] * 1440 + minute)


@dataclass(frozen=True)
class Clock:
    """All slots from ``LEAD_IN`` before the fleet's start to ``TAIL`` slots after its end."""

    start: datetime  # of the first slot of the lead-in
    slot: timedelta
    count: int
    lead: int  # slots of the lead-in
    readings: int  # in a slot

    @classmethod
    def of(cls, spec: FleetSpec) -> "Clock":
        """The clock of a fleet."""
        slot = spec.truth_slot
        start = spec.start - LEAD_IN
        return cls(start, slot, (spec.end - start) // slot + TAIL, LEAD_IN // slot, slot // spec.step)

    @property
    def slot_minutes(self) -> int:
        """Minutes in a slot."""
        return self.slot // timedelta(minutes=1)

    @property
    def end(self) -> int:
        """The first slot after the fleet's end."""
        return self.count - TAIL

    @property
    def minutes(self) -> Ints:
        """Minutes since 1970 UTC at each slot's start."""
        first = (self.start - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(minutes=1)
        return first + self.slot_minutes * np.arange(self.count, dtype=np.int64)

    def instants(self, slots: Ints) -> pl.Series:
        """The starts of slots, as timestamps."""
        first = (self.start - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(minutes=1)
        micros = (first + slots.astype(np.int64) * self.slot_minutes) * 60_000_000
        return pl.Series("slot", micros).cast(TS)

    def local(self, zone: str) -> LocalTime:
        """The local time of a zone at each slot."""
        utc = self.instants(np.arange(self.count))
        naive = utc.dt.convert_time_zone(zone).dt.replace_time_zone(None).dt.epoch("us").to_numpy() // 60_000_000
        ordinal, minute = naive // 1440, naive % 1440
        days = _days(zone, int(ordinal.min()), int(ordinal.max()))
        day = ordinal - days.ordinal[0]
        return LocalTime(minute, minute / 60.0, days.weekday[day], np.maximum.accumulate(naive), days, day)


def _days(zone: str, first: int, last: int) -> Days:
    """Whole months are looked at, so that a month's first working day is one wherever the slots begin."""
    epoch = date(1970, 1, 1)
    begin = (epoch + timedelta(days=first)).replace(day=1)
    end = (epoch + timedelta(days=last)).replace(day=28) + timedelta(days=10)
    ordinal = np.arange((begin - epoch).days, (end - epoch).days, dtype=np.int64)
    weekday = (ordinal + 3) % 7  # 1970-01-01 was a Thursday
    holiday = np.isin(ordinal, _holidays(zone, begin.year, end.year))
    working = (weekday < 5) & ~holiday
    month = ordinal.astype("datetime64[D]").astype("datetime64[M]").astype(np.int64)
    close = np.zeros(len(ordinal), dtype=bool)
    worked, months = np.flatnonzero(working), month[working]
    close[worked[np.flatnonzero(np.diff(months))]] = True  # a month's last
    close[worked[np.flatnonzero(np.diff(months)) + 1]] = True  # the next month's first
    close[worked[0]] = True
    kept = (ordinal >= first) & (ordinal <= last)
    return Days(ordinal[kept], weekday[kept], holiday[kept], working[kept], close[kept])


def _holidays(zone: str, first_year: int, last_year: int) -> Ints:
    import holidays

    country = COUNTRIES[zone]
    if country is None:
        return np.zeros(0, dtype=np.int64)
    kept = holidays.country_holidays(country, years=range(first_year, last_year + 1))
    return np.array([(day - date(1970, 1, 1)).days for day in kept], dtype=np.int64)
