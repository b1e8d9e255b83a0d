"""Leads: which activity moves before the main need, and by how many slots.

Both are compared by their steps from slot to slot, in the logarithm: what merely shares the day's rhythm
moves alike at every lag, what causes the need is told by the lag at which the steps agree.
"""

from datetime import timedelta
from typing import Final, NamedTuple

import numpy as np
import polars as pl

from persona_platform.frames import ACTIVITIES, Schema
from persona_platform.personas.portrait.placing import placed
from persona_platform.personas.record import Lead

LAGS: Final = (-4, -3, -2, -1, 0, 1, 2, 3, 4)
FLOOR: Final = 0.05
"""Share of an activity's mean that is added before the log, so that nothing and hardly anything are alike."""
CLEAR: Final = 0.3
"""The least correlation that is told."""
DEVIATIONS: Final = 4.0
"""Standard errors that it must lie above chance."""

LEADS: Final[Schema] = {
    "row": pl.UInt32,  # of the pattern
    "activity": pl.UInt8,  # its place in ACTIVITIES
    "lag": pl.Int8,  # slots by which the activity is earlier
    "n": pl.Float64,
    "xx": pl.Float64,  # squared steps of the main need
    "yy": pl.Float64,  # of the activity
    "xy": pl.Float64,
}


def lead_sums(
    slots: pl.DataFrame, row: np.ndarray, rows: int, log: np.ndarray, activity: pl.DataFrame, slot: timedelta
) -> pl.DataFrame:
    """Sums of products of steps, by pattern, activity and lag, as LEADS."""
    names = [a for a in ACTIVITIES if a in activity.columns and activity[a].null_count() < activity.height]
    place, known = placed(slots, activity.select("workload_id", "slot", *names), slot)
    code = slots.select(pl.col("workload_id").rle_id())["workload_id"].to_numpy().astype(np.int64)
    tick, free = slots["tick"].to_numpy(), ~slots["saturated"].to_numpy()
    parts = [pl.DataFrame(schema=LEADS)]
    for name in names:
        value = np.full(slots.height, np.nan)
        value[place] = known[name].cast(pl.Float64).fill_null(np.nan).to_numpy()
        has = np.bincount(code, np.isfinite(value), minlength=1) > 0
        kept = has[code]
        line = _Line(code[kept], tick[kept], row[kept])
        step = line.steps(np.where(free, log, np.nan)[kept])
        with np.errstate(divide="ignore", invalid="ignore"):
            moved = line.steps(np.log(value[kept] / _means(value, code)[line.code] + FLOOR))
        parts += [line.sums(step, moved, lag, ACTIVITIES.index(name), rows) for lag in LAGS]
    return pl.concat(parts)


class _Line(NamedTuple):
    """Slots in order: the number of their workload, their tick, the row of their pattern."""

    code: np.ndarray
    tick: np.ndarray
    row: np.ndarray

    def steps(self, log: np.ndarray) -> np.ndarray:
        """Steps from the slot before, NaN where that was not read."""
        with np.errstate(invalid="ignore"):
            steps = np.concatenate([[np.nan], np.diff(log)])[: len(log)]
        joined = np.concatenate([[False], (np.diff(self.code) == 0) & (np.diff(self.tick) == 1)])[: len(log)]
        return np.where(joined & np.isfinite(steps), steps, np.nan)

    def sums(self, need: np.ndarray, moved: np.ndarray, lag: int, activity: int, rows: int) -> pl.DataFrame:
        """The sums at one lag: steps of the need at t, of the activity at t - lag.

        A step into a pattern and the step out of it are both the pattern's.
        """
        n = len(need)
        here = slice(max(lag, 0), n + min(lag, 0))
        there = slice(max(-lag, 0), n + min(-lag, 0))
        x, y = need[here], moved[there]
        near = (self.code[here] == self.code[there]) & (self.tick[here] - self.tick[there] == lag)
        kept = np.flatnonzero(np.isfinite(x) & np.isfinite(y) & near)
        x, y, at = x[kept], y[kept], self.row[here][kept]
        left = self.row[np.maximum(kept + here.start - 1, 0)]
        out = left != at
        x, y, at = (np.concatenate([v, w[out]]) for v, w in ((x, x), (y, y), (at, left)))
        count = np.bincount(at, minlength=rows)
        found = np.flatnonzero(count)
        products = {"xx": x * x, "yy": y * y, "xy": x * y}
        return pl.DataFrame(
            {
                "row": found,
                "activity": np.full(len(found), activity),
                "lag": np.full(len(found), lag),
                "n": count[found],
                **{name: np.bincount(at, v, minlength=rows)[found] for name, v in products.items()},
            }
        ).cast(LEADS)  # type: ignore[arg-type]


def _means(value: np.ndarray, code: np.ndarray) -> np.ndarray:
    read = np.isfinite(value)
    total = np.bincount(code[read], value[read], minlength=int(code.max()) + 1 if len(code) else 0)
    count = np.bincount(code[read], minlength=len(total))
    return np.maximum(total / np.maximum(count, 1), 1e-12)


def leads(sums: pl.DataFrame) -> list[Lead]:
    """The clear leads among a persona's sums, the closest first."""
    pooled = sums.group_by("activity", "lag").agg(pl.col("n", "xx", "yy", "xy").sum()).sort("activity", "lag")
    with_correlation = pooled.filter((pl.col("n") > 0) & (pl.col("xx") > 0) & (pl.col("yy") > 0)).with_columns(
        r=pl.col("xy") / (pl.col("xx") * pl.col("yy")).sqrt()
    )
    best = (
        with_correlation.sort(pl.col("r").abs(), "lag", descending=[True, False])
        .group_by("activity", maintain_order=True)
        .first()
        .filter(pl.col("r").abs() >= pl.max_horizontal(pl.lit(CLEAR), DEVIATIONS / pl.col("n").sqrt()))
    )
    return [Lead(ACTIVITIES[a], lag, float(r)) for a, lag, r in best.select("activity", "lag", "r").iter_rows()]
