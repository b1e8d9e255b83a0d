"""Clock and calendar of the slot that is forecast: local time, day types, events, what a period ago means.

Everything is in the local time of a series' zone, so that "the same slot yesterday" keeps its wall clock
across a daylight saving change.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

import numpy as np
import polars as pl

from persona_platform.errors import InputError
from persona_platform.forecasting.panel import Ints, Panel
from persona_platform.forecasting.quantiles import Floats
from persona_platform.frames import CALENDAR, conform

HOUR_US: Final = 3_600_000_000
DAY_US: Final = 24 * HOUR_US

_DAY_TYPES: Final = {"working": 0.0, "weekend": 1.0, "holiday": 2.0}
_MAX_KINDS: Final = 8  # event kinds that become features, the most frequent first


def natural_periods(step: timedelta) -> tuple[int, ...]:
    """The periods, in steps, at which series of this step usually repeat, shortest first.

    Hour, day and week up to a minute; day and week below half a day; week below a week; year for longer steps.
    Never shorter than two steps.
    """
    seconds = step.total_seconds()
    day = 86_400.0
    if seconds <= 60:
        lengths = (3600.0, day, 7 * day)
    elif seconds <= day / 2:
        lengths = (day, 7 * day)
    elif seconds <= 3 * day:
        lengths = (7 * day,)
    else:
        lengths = (365.25 * day,)
    return tuple(round(length / seconds) for length in lengths if round(length / seconds) >= 2)


def local_offset_us(us: Ints, zones: Sequence[str], series: Ints) -> Ints:
    """Offset of local time from UTC, in microseconds, of each instant in the zone of its series."""
    result = np.zeros(us.shape, dtype=np.int64)
    of_series = np.asarray(zones)
    for zone in set(zones) - {"UTC"}:
        mine = (of_series == zone)[series]
        local = pl.Series(us[mine]).cast(pl.Datetime("us")).dt.replace_time_zone("UTC").dt.convert_time_zone(zone)
        wall = local.dt.replace_time_zone(None).to_physical().to_numpy()
        result[mine] = wall - us[mine]
    return result


def periods_ago(panel: Panel, series: Ints, position: Ints, period: int, count: Ints) -> Ints:
    """The position with the same local clock time `count` periods before, across daylight saving changes."""
    back = position - period * count
    if panel.zones is None or all(zone == "UTC" for zone in panel.zones):
        return back
    now = local_offset_us(panel.times(series, position), panel.zones, series)
    then = local_offset_us(panel.times(series, back), panel.zones, series)
    return back + np.rint((now - then) / panel.step_us).astype(np.int64)


def latest_known(panel: Panel, series: Ints, origin: Ints, position: Ints, period: int) -> Ints:
    """How many periods before `position` the latest window lies that is complete at `origin`; at least 1."""
    hold = panel.hold[series]
    count = np.maximum(-((origin - hold + 1 - position) // period), 1)
    late = periods_ago(panel, series, position, period, count) + hold - 1 > origin
    return count + late


@dataclass(frozen=True)
class DayFacts:
    """Calendar facts by zone, on the grid of the calendar: day type, month begin and end, event kinds."""

    kinds: tuple[str, ...]
    slots: dict[str, Ints]  # epoch microseconds, ascending
    facts: dict[str, Floats]  # (slots, 3 + kinds)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the columns of :meth:`of`."""
        return ("day_type", "is_month_begin", "is_month_end", *(f"event {kind}" for kind in self.kinds))

    def of(self, panel: Panel, series: Ints, us: Ints) -> Floats:
        """The facts at each instant; NaN where the calendar does not reach."""
        result = np.full((us.size, len(self.names)), np.nan)
        for zone in set(panel.zones or ()) & set(self.slots):
            slots = self.slots[zone]
            mine = np.flatnonzero((np.asarray(panel.zones) == zone)[series])
            found = np.searchsorted(slots, us[mine], side="right") - 1
            # A fact holds until the calendar's next slot; its last one for as long as its slots are apart.
            spacing = int(np.median(np.diff(slots))) if slots.size > 1 else DAY_US
            inside = (found >= 0) & (us[mine] - slots[np.maximum(found, 0)] < spacing)
            result[mine[inside]] = self.facts[zone][found[inside]]
        return result


NO_FACTS: Final = DayFacts(kinds=(), slots={}, facts={})


def event_kinds(calendar: pl.DataFrame | None) -> tuple[str, ...]:
    """The event kinds of a calendar that become features, the most frequent first."""
    if calendar is None or calendar.is_empty():
        return ()
    kinds = calendar["events"].explode().drop_nulls()
    counted = kinds.value_counts().sort("count", kinds.name, descending=[True, False])
    return tuple(counted[kinds.name].head(_MAX_KINDS))


def day_facts(calendar: pl.DataFrame | None, zones: Sequence[str], kinds: Sequence[str]) -> DayFacts:
    """The facts of a CALENDAR frame for these zones, with a column for each of `kinds`."""
    if calendar is None or calendar.is_empty():
        return DayFacts(tuple(kinds), {}, {})
    wanted = (
        conform(calendar, CALENDAR, "calendar")
        .filter(pl.col("zone").is_in(sorted(set(zones))))
        .unique(["zone", "slot"], keep="first")
        .sort("zone", "slot")
    )
    columns = wanted.select(
        "zone",
        pl.col("slot").to_physical().alias("us"),
        pl.col("day_type").replace_strict(_DAY_TYPES, default=None, return_dtype=pl.Float64),
        pl.col("is_month_begin").cast(pl.Float64),
        pl.col("is_month_end").cast(pl.Float64),
        *(
            pl.col("events").list.contains(kind).fill_null(value=False).cast(pl.Float64).alias(f"event {kind}")
            for kind in kinds
        ),
    )
    slots, facts = {}, {}
    for (zone,), part in columns.group_by("zone", maintain_order=True):
        slots[str(zone)] = part["us"].to_numpy()
        facts[str(zone)] = part.drop("zone", "us").to_numpy().astype(np.float64)
    return DayFacts(tuple(kinds), slots, facts)


def one_zone(calendar: pl.DataFrame | None) -> str:
    """The zone of a calendar of one zone, UTC without a calendar.

    Raises:
        InputError: the calendar has several zones, and a series could follow any of them.
    """
    if calendar is None or calendar.is_empty():
        return "UTC"
    zones = sorted(conform(calendar, CALENDAR, "calendar")["zone"].unique())
    if len(zones) > 1:
        raise InputError(f"calendar has the zones {', '.join(zones)}; pass the rows of the series' own zone.")
    return zones[0]
