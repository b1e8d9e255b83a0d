"""How often demand stayed below the quantile that was planned for, by target and lead.

Judges the plans' numbers; what became of the actions is in :mod:`persona_platform.feedback.outcomes`.
"""

from datetime import timedelta

import numpy as np
import polars as pl

from persona_platform.capacity.sizing import TOLERANCE
from persona_platform.frames import OBSERVED, PLAN, QUANTILE_COLUMNS, Schema, conform
from persona_platform.sums import average

CALIBRATION: Schema = {
    "target": pl.String,
    "lead_s": pl.Int64,  # from the plan's origin to the slot
    "kappa": pl.Float64,
    "coverage": pl.Float64,  # share of slots in which demand was at most the kappa quantile
    "slots": pl.UInt32,  # that were judged
    "pinball": pl.Float64,  # mean loss at kappa, units
}

_PLANNED = ("q50", "q90", "q95", "q99")


def calibration(
    plans: pl.DataFrame, observed: pl.DataFrame, slot: timedelta, *, targets: pl.DataFrame | None = None
) -> pl.DataFrame:
    """target, lead_s, kappa, coverage, slots, pinball: PLAN rows of many origins against OBSERVED.

    A plan speaks of the largest demand of the ``hold_slots`` (of TARGETS; without it, 1) that start at its
    slot, so that is what it is held against; a window with an unread slot is not judged. A window that was
    saturated is judged only where demand passed the quantile all the same: it was at least what was seen.

    A plan keeps no quantile but its own five columns; one between them is interpolated.
    """
    planned = conform(plans, PLAN, "The plans").with_columns(q_kappa=_at_kappa())
    holds = {} if targets is None else dict(targets.select("target", "hold_slots").iter_rows())
    peaks = _window_peaks(conform(observed, OBSERVED, "The observed demand"), slot, holds)
    above = pl.col("peak") > pl.col("q_kappa") + TOLERANCE
    miss = pl.col("peak") - pl.col("q_kappa")
    loss = pl.max_horizontal(pl.col("kappa") * miss, (pl.col("kappa") - 1) * miss)
    judged = planned.join(peaks, on=["target", "slot"], maintain_order="left").filter(
        pl.col("peak").is_not_null() & (above | ~pl.col("censored"))
    )
    rows = judged.group_by(
        "target", (pl.col("slot") - pl.col("origin")).dt.total_seconds().alias("lead_s"), "kappa"
    ).agg(coverage=1 - above.mean(), slots=pl.len(), pinball=average(loss))
    return conform(rows, CALIBRATION, "The calibration").sort("target", "lead_s", "kappa")


def _at_kappa() -> pl.Expr:
    """The quantile at kappa, linear between the ones that a plan keeps, the outermost one beyond them."""
    levels = np.array([QUANTILE_COLUMNS[name] for name in _PLANNED])
    at = pl.lit(None, pl.Float64)
    for low, high in reversed(list(zip(range(len(levels) - 1), range(1, len(levels)), strict=True))):
        share = (pl.col("kappa") - levels[low]) / (levels[high] - levels[low])
        between = pl.col(_PLANNED[low]) + share * (pl.col(_PLANNED[high]) - pl.col(_PLANNED[low]))
        at = pl.when(pl.col("kappa") <= levels[high]).then(between).otherwise(at)
    at = pl.when(pl.col("kappa") <= levels[0]).then(pl.col(_PLANNED[0])).otherwise(at)
    return pl.when(pl.col("kappa") > levels[-1]).then(pl.col(_PLANNED[-1])).otherwise(at)


def _window_peaks(observed: pl.DataFrame, slot: timedelta, holds: dict[str, int]) -> pl.DataFrame:
    """target, slot, peak (null where a slot of the window is unread), censored."""
    if observed.is_empty():
        return observed.select("target", "slot", peak="demand", censored="saturated")
    spans = observed.group_by("target").agg(first=pl.col("slot").min(), last=pl.col("slot").max())
    every = spans.with_columns(slot=pl.datetime_ranges("first", "last", interval=slot)).explode("slot")
    full = (
        every.select("target", "slot")
        .join(observed.unique(["target", "slot"], keep="last"), on=["target", "slot"], how="left")
        .sort("target", "slot")
        .with_columns(pl.col("demand").fill_nan(None), pl.col("saturated").fill_null(value=False))
    )
    parts = [
        part.with_columns(
            peak=_ahead(pl.col("demand"), holds.get(name, 1)),
            censored=_ahead(pl.col("saturated").cast(pl.Float64), holds.get(name, 1)) > 0,
        )
        for (name,), part in full.group_by(["target"], maintain_order=True)
    ]
    return pl.concat(parts).select("target", "slot", "peak", "censored")


def _ahead(values: pl.Expr, slots: int) -> pl.Expr:
    """The largest of the ``slots`` values from each one on; null where one of them is null."""
    return values.reverse().rolling_max(slots, min_samples=slots).reverse()
