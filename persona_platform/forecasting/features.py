"""What a forecast of one slot may know: one row of numbers for each (series, origin, steps ahead).

Every number is gathered from readings at or before the origin, and from the calendar of the target slot.
Values are divided by the series' recent level, so that one model serves series of any size.
"""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Final

import numpy as np

from persona_platform.forecasting.influences import NO_INFLUENCES, Influences
from persona_platform.forecasting.panel import Ints, Panel, trailing, trailing_max, window_maxima
from persona_platform.forecasting.phases import (
    DAY_US,
    HOUR_US,
    DayFacts,
    latest_known,
    local_offset_us,
    periods_ago,
)
from persona_platform.forecasting.quantiles import Floats

_LAGS: Final = (1, 2, 3)  # readings before the newest that are shown as they are
_PEAKS: Final = (6, 24, 96)  # steps whose largest reading is shown: a burst is often followed by another
_CYCLES: Final = 4  # past cycles that are averaged
_FLOOR: Final = 0.1  # the level of a quiet week is at least this share of the whole history's
_LEAST: Final = 1e-6


@dataclass(frozen=True)
class Rows:
    """The (series, origin, steps ahead) that are asked for; `origin` is the newest reading's position."""

    series: Ints
    origin: Ints
    ahead: Ints

    @property
    def target(self) -> Ints:
        """Positions that are forecast."""
        return self.origin + self.ahead


@dataclass(frozen=True)
class Past:
    """A panel with what is computed once along time and gathered for many rows."""

    panel: Panel
    periods: tuple[int, ...]  # in steps, shortest first
    facts: DayFacts
    influences: Influences = NO_INFLUENCES
    memory: int | None = None  # steps that a level looks back on; None: the whole history
    causal: bool = False  # a level knows nothing later than its position: for panels longer than what is forecast from

    @cached_property
    def maxima(self) -> Floats:
        """Window maxima, along the panel's values."""
        return window_maxima(self.panel)

    @cached_property
    def newest(self) -> Floats:
        """The newest reading at or before each position, along the panel's values; NaN before the first."""
        panel = self.panel
        here = np.where(np.isnan(panel.values), -1, np.arange(panel.values.size))
        last = np.maximum.accumulate(here) if here.size else here
        inside = last >= np.repeat(panel.offsets[:-1], panel.lengths)
        return np.where(inside, panel.values[last], np.nan)

    @cached_property
    def level(self) -> Floats:
        """Recent mean of absolute values, along the panel's values, positive: the size of the series."""
        panel = self.panel
        width = max((*self.periods, 24))
        absolute = replace(panel, values=np.abs(panel.values))
        recent, _ = trailing(absolute, width)
        ever, _ = trailing(absolute, self.memory or int(max(panel.lengths, default=1)))
        level = np.fmax(recent, _FLOOR * ever)
        if not self.causal and ever.size:
            # Before its first use a series is at nothing: a millionth of what it comes to keeps ratios finite.
            level = np.fmax(level, np.repeat(_LEAST * ever[panel.offsets[1:] - 1], panel.lengths))
        return np.where(level > 0, level, 1.0)

    @cached_property
    def trails(self) -> list[tuple[Floats, Floats]]:
        """Trailing mean and deviation, along the panel's values, over a few steps and over each period."""
        return [trailing(self.panel, width) for width in (4, *self.periods)]

    @cached_property
    def peaks(self) -> list[Floats]:
        """The largest reading of the last few steps, along the panel's values; NaN where none was read."""
        return [trailing_max(self.panel, width) for width in _PEAKS]

    def local_us(self, series: Ints, us: Ints) -> Ints:
        """Local wall-clock microseconds."""
        return us + local_offset_us(us, self.panel.zones or (), series)


def feature_names(past: Past) -> list[str]:
    """Names of the columns of :func:`feature_matrix`."""
    names = ["ahead", "hold", "newest", *(f"lag {lag}" for lag in _LAGS), "mean 4", "deviation 4"]
    names += [f"peak {width}" for width in _PEAKS]
    for period in past.periods:
        names += [f"{what} {period}" for what in ("mean", "deviation", "ago", "cycles mean", "move", "ago at origin")]
    if past.panel.zones is None:
        return names
    return [*names, "hour of day", "day of week", *past.facts.names, *past.influences.names]


def feature_matrix(past: Past, rows: Rows) -> Floats:
    """The features of each row, (rows, features), scaled; NaN where something was not read."""
    panel, series, origin = past.panel, rows.series, rows.origin
    level = panel.at(past.level, series, origin)
    newest = panel.at(past.newest, series, origin)
    sized = [newest, *(panel.at(panel.values, series, origin - lag) for lag in _LAGS)]
    sized += [panel.at(along, series, origin) for along in (*past.trails[0], *past.peaks)]
    for period, trail in zip(past.periods, past.trails[1:], strict=True):
        sized += [panel.at(along, series, origin) for along in trail]
        sized += _cycle_features(past, rows, period)
    columns = [rows.ahead.astype(np.float64), panel.hold[series].astype(np.float64)]
    columns += [column / level for column in sized]
    if panel.zones is not None:
        us = panel.times(series, rows.target)
        local = past.local_us(series, us)
        columns += [local % DAY_US / HOUR_US, (local // DAY_US + 3) % 7.0]  # the epoch began on a Thursday
        columns += list(past.facts.of(panel, series, us).T)
        columns += past.influences.of(us, panel.times(series, origin) + panel.step_us)
    return np.column_stack(columns)


def cycles_before(past: Past, rows: Rows, period: int) -> tuple[Ints, Floats]:
    """How many periods before its target the latest complete window of each row lies, and the last few.

    Returns:
        The count, (rows,), and the window maxima of that cycle and the ones before it, (cycles, rows).
    """
    panel, series, target = past.panel, rows.series, rows.target
    count = latest_known(panel, series, rows.origin, target, period)
    back = [periods_ago(panel, series, target, period, count + cycle) for cycle in range(_CYCLES)]
    return count, np.stack([panel.at(past.maxima, series, position) for position in back])


def latest_of(cycles: Floats) -> Floats:
    """The latest cycle that was read, NaN where none was."""
    found = cycles[0]
    for earlier in cycles[1:]:
        found = np.where(np.isnan(found), earlier, found)
    return found


def _cycle_features(past: Past, rows: Rows, period: int) -> list[Floats]:
    """The same phase before: latest value, mean of the last cycles, move since the origin's phase."""
    count, cycles = cycles_before(past, rows, period)
    read = ~np.isnan(cycles)
    mean = np.where(read, cycles, 0.0).sum(axis=0) / np.maximum(read.sum(axis=0), 1)
    mean = np.where(read.any(axis=0), mean, np.nan)
    phase = periods_ago(past.panel, rows.series, rows.origin, period, count)
    then = past.panel.at(past.panel.values, rows.series, phase)
    return [latest_of(cycles), mean, cycles[0] - then, then]
