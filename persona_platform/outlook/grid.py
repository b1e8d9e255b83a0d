"""Slots as integers and the calendar as dense arrays, so that hazards are looked up and never joined.

The place of a slot in the local week is taken at the slot's own resolution (672 places at 15 minutes): a
batch that starts at 02:00 and is over by 02:30 has a hazard of one at 02:00 and of zero at 02:30, which an
hourly place would mix into one half.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
import polars as pl

from persona_platform.errors import InputError
from persona_platform.frames import CALENDAR, conform

HOUR_US = 3_600_000_000
WEEK_HOURS = 168


def slot_numbers(values: pl.Series, slot: timedelta) -> np.ndarray:
    """Slots since the epoch of timestamps, rounded down, int64."""
    return values.to_physical().to_numpy().astype(np.int64) // microseconds(slot)


def slot_number(moment: datetime, slot: timedelta) -> int:
    """Slots since the epoch of one aware datetime, rounded down."""
    return int(slot_numbers(pl.Series([moment], dtype=pl.Datetime("us", "UTC")), slot)[0])


def microseconds(span: timedelta) -> int:
    """The span in whole microseconds; raises :class:`InputError` for a slot that is not positive."""
    value = span // timedelta(microseconds=1)
    if value <= 0:
        raise InputError(f"The slot is {span}; a slot must be longer than zero.")
    return value


@dataclass(frozen=True)
class Week:
    """How a slot length divides the week: ``places`` in the week, ``per_day`` of them in a day."""

    slot_us: int

    @property
    def per_day(self) -> int:
        """Places in a day, at least one."""
        if self.slot_us >= HOUR_US:
            return max(1, 24 // max(1, self.slot_us // HOUR_US))
        return 24 * -(-HOUR_US // self.slot_us)

    @property
    def places(self) -> int:
        """Places in a week."""
        return 7 * self.per_day

    def place(self, hour_of_week: np.ndarray, slot_number: np.ndarray) -> np.ndarray:
        """The place in the local week: from the local hour, and the minute where slots are shorter."""
        day, hour = np.divmod(hour_of_week.astype(np.int64), 24)
        if self.slot_us >= HOUR_US:
            within = hour * self.per_day // 24
        else:
            minute = (slot_number * self.slot_us) % HOUR_US // self.slot_us
            within = hour * (self.per_day // 24) + minute
        return day * self.per_day + within


@dataclass(frozen=True)
class CalendarGrid:
    """The calendar of every zone over a stretch of slots; arrays are (zones, slots)."""

    zones: tuple[str, ...]
    first: int  # slot number of column 0
    week: Week
    place: np.ndarray  # int32, -1 where the calendar has no row
    hour: np.ndarray  # int16, hour of the local week
    holiday: np.ndarray  # bool
    kinds: tuple[str, ...]
    marks: np.ndarray  # bool, (kinds, zones, slots): month begin, month end, and events by kind
    off_days: np.ndarray  # bool, (zones, 7): the days of the week that are no working days there

    def columns(self, slots: np.ndarray) -> np.ndarray:
        """Columns of slot numbers; those outside the calendar become -1."""
        at = slots - self.first
        return np.where((at >= 0) & (at < self.place.shape[1]), at, -1)

    def require(self, zone: np.ndarray, slots: np.ndarray) -> np.ndarray:
        """Columns of ``slots`` (ascending), all present for every zone index; else :class:`InputError`."""
        at = self.columns(slots)
        for index in np.unique(zone):
            if (at < 0).any() or (self.place[index, at] < 0).any():
                raise InputError(
                    f"The calendar does not cover every slot of the horizon in zone {self.zones[index]}; "
                    f"it must have {len(slots)} slots from the origin on."
                )
        return at

    def zone_index(self, zones: Sequence[str]) -> np.ndarray:
        """Indices of zone names; raises :class:`InputError` for one that the calendar lacks."""
        lookup = {name: i for i, name in enumerate(self.zones)}
        unknown = sorted(set(zones) - set(lookup))
        if unknown:
            raise InputError(
                f"The calendar lacks the zone{'s' if len(unknown) > 1 else ''} {', '.join(unknown[:3])}; "
                f"it has {', '.join(self.zones) or 'none'}."
            )
        return np.array([lookup[name] for name in zones], dtype=np.int64)


MONTH_BEGIN = "month begin"
MONTH_END = "month end"
MAX_KINDS = 64  # the most frequent event kinds; each costs one offset per pattern


def calendar_grid(calendar: pl.DataFrame, slot: timedelta, kinds: tuple[str, ...] | None = None) -> CalendarGrid:
    """The grid of a CALENDAR frame. ``kinds`` fixes the marks (of a fitted model); None takes all found."""
    calendar = conform(calendar, CALENDAR, "The calendar").unique(["zone", "slot"], keep="first")
    zones = tuple(calendar["zone"].unique().sort().to_list())
    week = Week(microseconds(slot))
    number = slot_numbers(calendar["slot"], slot)
    first = int(number.min()) if len(number) else 0
    width = int(number.max()) - first + 1 if len(number) else 0
    zone = calendar["zone"].replace_strict(zones, range(len(zones)), return_dtype=pl.Int64).to_numpy()
    cell = zone * width + number - first

    def dense(values: np.ndarray, fill: object, dtype: type) -> np.ndarray:
        grid = np.full(len(zones) * width, fill, dtype=dtype)
        grid[cell] = values
        return grid.reshape(len(zones), width)

    hour = calendar["hour_of_week"].to_numpy().astype(np.int16)
    marked = _marked(calendar.with_columns(cell=pl.Series(cell)))
    kinds = _frequent(marked) if kinds is None else kinds
    marks = np.zeros((len(kinds), len(zones) * width), dtype=bool)
    known = marked.filter(pl.col("kind").is_in(list(kinds)))
    row = known["kind"].replace_strict(kinds, range(len(kinds)), return_dtype=pl.Int64).cast(pl.Int64).to_numpy()
    marks[row, known["cell"].to_numpy()] = True
    day_type = calendar["day_type"]
    return CalendarGrid(
        zones=zones,
        first=first,
        week=week,
        place=dense(week.place(hour, number), -1, np.int32),
        hour=dense(hour, 0, np.int16),
        holiday=dense((day_type == "holiday").to_numpy(), fill=False, dtype=bool),
        kinds=kinds,
        marks=marks.reshape(len(kinds), len(zones), width),
        off_days=_off_days(zone, hour // 24, day_type, len(zones)),
    )


def _marked(calendar: pl.DataFrame) -> pl.DataFrame:
    """Cells and their marks: one row each."""
    flags = [
        calendar.filter(pl.col(flag)).select("cell", kind=pl.lit(kind))
        for flag, kind in (("is_month_begin", MONTH_BEGIN), ("is_month_end", MONTH_END))
    ]
    events = calendar.filter(pl.col("events").list.len() > 0).select("cell", kind=pl.col("events"))
    return pl.concat([*flags, events.explode("kind", empty_as_null=False)]).drop_nulls()


def _frequent(marked: pl.DataFrame) -> tuple[str, ...]:
    counts = marked.group_by("kind").len().sort("len", "kind", descending=[True, False]).head(MAX_KINDS)
    return tuple(counts["kind"].sort().to_list())


def _off_days(zone: np.ndarray, day: np.ndarray, day_type: pl.Series, zones: int) -> np.ndarray:
    """By majority of the calendar's days that are no holidays: weekends differ by country."""
    cell = zone * 7 + day
    weekend = np.bincount(cell, weights=(day_type == "weekend").to_numpy(), minlength=7 * zones)
    working = np.bincount(cell, weights=(day_type == "working").to_numpy(), minlength=7 * zones)
    return (weekend > working).reshape(zones, 7)
