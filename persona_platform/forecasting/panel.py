"""Series on their own regular grids, laid one behind the other in one flat array.

The layout that features and error tables are gathered from: exact in memory for series of unequal length,
and indexable by (series, position) without a loop. What is computed along time (window maxima, trailing
statistics) is here; what is learned is not.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Final, overload

import numpy as np
import polars as pl
from numpy.typing import ArrayLike, NDArray

from persona_platform.errors import InputError
from persona_platform.forecasting.quantiles import Floats
from persona_platform.frames import TS
from persona_platform.sums import average

Ints = NDArray[np.int64]

MAX_STEPS: Final = 100_000
"""Steps of a series that are kept, its newest: 2.8 years of 15 minutes. What is older is not looked at."""

_HISTORY: Final = {"series_id": pl.String, "ts": TS, "value": pl.Float64}


@dataclass(frozen=True)
class Panel:
    """Readings of several series; a position counts steps from the first of a series, NaN is unread."""

    ids: tuple[str, ...]
    values: Floats  # (sum of lengths,)
    offsets: Ints  # (series + 1,) where each series begins in `values`
    last_us: Ints  # (series,) epoch microseconds of each series' last position
    step_us: int
    zones: tuple[str, ...] | None  # IANA zone of each series; None: the times are no clock times
    hold: Ints  # (series,) steps in the window whose maximum is forecast; 1 forecasts the value itself

    @property
    def lengths(self) -> Ints:
        """Positions of each series."""
        return np.diff(self.offsets)

    def times(self, series: Ints, position: Ints) -> Ints:
        """Epoch microseconds of positions, beyond the end of the series too."""
        return self.last_us[series] + (position - self.lengths[series] + 1) * self.step_us

    def at(self, along: Floats, series: Ints, position: Ints) -> Floats:
        """Entries of an array that runs along `values`; NaN outside a series."""
        inside = (position >= 0) & (position < self.lengths[series])
        flat = self.offsets[series] + np.clip(position, 0, np.maximum(self.lengths[series] - 1, 0))
        return np.where(inside, along[flat], np.nan)

    def owner(self) -> Ints:
        """The series that each entry of `values` belongs to."""
        return np.repeat(np.arange(len(self.ids)), self.lengths)

    def positions(self) -> Ints:
        """The position of each entry of `values` within its series."""
        return np.arange(self.values.size) - np.repeat(self.offsets[:-1], self.lengths)

    def sizes(self) -> Floats:
        """Mean absolute reading of each series; 0 where nothing was read."""
        known = ~np.isnan(self.values)
        owner, count = self.owner()[known], len(self.ids)
        total = np.bincount(owner, np.abs(self.values[known]), minlength=count)
        return total / np.maximum(np.bincount(owner, minlength=count), 1)

    def before(self, lengths: Ints) -> "Panel":
        """The first positions of each series, as many as asked for, at least one."""
        kept = np.clip(lengths, 1, self.lengths)
        return replace(
            self,
            values=self.values[self.positions() < np.repeat(kept, self.lengths)],
            offsets=np.concatenate([[0], np.cumsum(kept)]).astype(np.int64),
            last_us=self.times(np.arange(len(self.ids)), kept - 1),
        )


def make_panel(
    ids: Sequence[str],
    rows: Sequence[Floats],
    last_us: ArrayLike,
    step_us: int,
    *,
    zones: Sequence[str] | None = None,
    hold: ArrayLike = 1,
) -> Panel:
    """A panel of one array of readings per series; only the newest :data:`MAX_STEPS` are kept."""
    kept = [np.asarray(row, dtype=np.float64)[-MAX_STEPS:] for row in rows]
    lengths = np.array([row.size for row in kept], dtype=np.int64)
    return Panel(
        ids=tuple(ids),
        values=np.concatenate(kept) if kept else np.empty(0),
        offsets=np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
        last_us=np.asarray(last_us, dtype=np.int64),
        step_us=step_us,
        zones=None if zones is None else tuple(zones),
        hold=np.broadcast_to(np.asarray(hold, dtype=np.int64), lengths.shape).copy(),
    )


@overload
def window_max(values: pl.Series, hold_slots: int) -> pl.Series: ...
@overload
def window_max(values: ArrayLike, hold_slots: int) -> Floats: ...
def window_max(values: pl.Series | ArrayLike, hold_slots: int) -> pl.Series | Floats:
    """The largest value over the window of ``hold_slots`` that starts at each slot, along the last axis.

    Unread (NaN; null in and out of a polars Series) where the window runs past the end, and where fewer than
    half of its slots were read: elsewhere the maximum is over the slots that were.
    """
    if hold_slots < 1:
        raise InputError(f"hold_slots is {hold_slots}; a window has at least one slot.")
    if isinstance(values, pl.Series):
        largest = window_max(values.cast(pl.Float64).to_numpy(), hold_slots)
        return pl.Series(values.name, largest, dtype=pl.Float64, nan_to_null=True)
    given = np.asarray(values, dtype=np.float64)
    if hold_slots == 1:
        return given.copy()
    result = np.full(given.shape, np.nan)
    if given.shape[-1] < hold_slots:
        return result
    windows = np.lib.stride_tricks.sliding_window_view(given, hold_slots, axis=-1)
    read = np.sum(~np.isnan(windows), axis=-1)
    largest = np.max(np.where(np.isnan(windows), -np.inf, windows), axis=-1)
    result[..., : windows.shape[-2]] = np.where(2 * read >= hold_slots, largest, np.nan)
    return result


def window_maxima(panel: Panel) -> Floats:
    """What is forecast, along `values`: each series' window maximum; NaN where its window is not complete."""
    result = np.empty(panel.values.size)
    owner = panel.owner()
    left = panel.lengths[owner] - panel.positions()
    for hold in np.unique(panel.hold):
        mine = panel.hold[owner] == hold
        result[mine] = window_max(panel.values[mine], int(hold))
        result[mine & (left < hold)] = np.nan
    return result


def trailing(panel: Panel, width: int) -> tuple[Floats, Floats]:
    """Mean and deviation over the last `width` positions up to and with each; NaN where none was read."""
    read = ~np.isnan(panel.values)
    owner = panel.owner()
    size = np.zeros(len(panel.ids))
    np.maximum.at(size, owner[read], np.abs(panel.values[read]))
    size = np.where(size > 0, size, 1.0)[owner]
    filled = np.where(read, panel.values, 0.0) / size
    first = np.maximum(panel.positions() - width + 1, 0)
    begins, ends = panel.offsets[:-1], panel.offsets[1:]

    def over_window(along: NDArray) -> Floats:
        # Each series has its own running sum: in a common one a large series costs its neighbours digits.
        result = np.empty(along.size)
        for begin, end in zip(begins, ends, strict=True):
            total = np.concatenate([[0.0], np.cumsum(along[begin:end])])
            result[begin:end] = total[1:] - total[first[begin:end]]
        return result

    count = over_window(read)
    safe = np.maximum(count, 1.0)
    mean = over_window(filled) / safe
    variance = np.maximum(over_window(filled**2) / safe - mean**2, 0.0)
    return np.where(count > 0, mean * size, np.nan), np.where(count > 0, np.sqrt(variance) * size, np.nan)


def trailing_max(panel: Panel, width: int) -> Floats:
    """The largest value over the last `width` positions up to and with each; NaN where none was read."""
    result = np.empty(panel.values.size)
    for begin, end in zip(panel.offsets[:-1], panel.offsets[1:], strict=True):
        seen, covered = panel.values[begin:end].copy(), 1
        while covered < min(width, seen.size):
            shift = min(covered, width - covered, seen.size)
            seen[shift:] = np.fmax(seen[shift:], seen[:-shift])
            covered += shift
        result[begin:end] = seen
    return result


def panel_from_history(history: pl.DataFrame, step: timedelta, zone: str | None = None) -> Panel:
    """The panel of a history frame ``series_id, ts, value``, in any order.

    Of rows with the same series and ts the first wins. Readings are laid on the grid that goes back from
    each series' own last row in whole steps; where several fall on one step, their mean counts. NaN, null
    and infinite values are unread. Series come in the order of their ids.

    Raises:
        InputError: a column is missing or of the wrong type, ``step`` is not positive, or a series has no
            reading among its newest :data:`MAX_STEPS` steps.
    """
    step_us = step // timedelta(microseconds=1)
    if step_us <= 0:
        raise InputError(f"step is {step}; it must be positive.")
    rows = _readings(history)
    us = pl.col("ts").to_physical()
    back = ((us.max().over("series_id") - us + step_us // 2) // step_us).alias("back")
    gridded = (
        rows.with_columns(back)
        .filter(pl.col("back") < MAX_STEPS)
        .group_by("series_id", "back")
        .agg(average("value"), us.max().alias("us"))
        .sort("series_id", "back")
    )
    series = gridded.group_by("series_id", maintain_order=True).agg(
        (pl.col("back").max() + 1).alias("length"), pl.col("us").max()
    )
    lengths = series["length"].to_numpy()
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    values = np.full(int(offsets[-1]), np.nan)
    index = gridded["series_id"].rle_id().to_numpy().astype(np.int64)
    values[offsets[index + 1] - 1 - gridded["back"].to_numpy()] = gridded["value"].to_numpy()
    count = series.height
    read = np.bincount(index, ~np.isnan(gridded["value"].to_numpy()), minlength=count)
    if not read.all():
        unread = series["series_id"][int(np.argmin(read))]
        raise InputError(f"history has no finite value for the series {unread}; leave it out or give a reading.")
    return Panel(
        ids=tuple(series["series_id"]),
        values=values,
        offsets=offsets,
        last_us=series["us"].to_numpy().astype(np.int64),
        step_us=step_us,
        zones=(zone or "UTC",) * count,
        hold=np.ones(count, dtype=np.int64),
    )


def _readings(history: pl.DataFrame) -> pl.DataFrame:
    missing = [name for name in _HISTORY if name not in history.columns]
    if missing:
        raise InputError(f"history lacks {', '.join(missing)}; it needs series_id, ts and value.")
    ts_type = history.schema["ts"]
    if not isinstance(ts_type, pl.Datetime) and ts_type != pl.Date:
        raise InputError(f"history has ts as {ts_type}; it must be a timestamp (without a zone it is read as UTC).")
    if not history.schema["value"].is_numeric():
        raise InputError(f"history has value as {history.schema['value']}; it must be numeric.")
    ts = pl.col("ts").cast(pl.Datetime("us")) if ts_type == pl.Date else pl.col("ts").dt.cast_time_unit("us")
    if isinstance(ts_type, pl.Datetime) and ts_type.time_zone is not None:
        ts = ts.dt.convert_time_zone("UTC")
    else:
        ts = ts.dt.replace_time_zone("UTC")
    rows = history.select(pl.col("series_id").cast(pl.String), ts, pl.col("value").cast(pl.Float64))
    if rows["series_id"].null_count() or rows["ts"].null_count():
        raise InputError("history has rows without a series_id or ts; remove them.")
    if rows.is_empty():
        raise InputError("history has no rows; at least one reading is needed.")
    return rows.unique(["series_id", "ts"], keep="first", maintain_order=True).with_columns(
        pl.when(pl.col("value").is_finite()).then("value")
    )
