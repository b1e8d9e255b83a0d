"""Features: patterns as points, so that near means alike.

Units are fixed, not estimated: half of the hours of a day shared or not, a factor of two in duration, one
month edge. So a distance means the same in every fleet and at every refit, a fleet of one kind is not
stretched until noise parts it, and outliers cannot squeeze the rest. Timing weighs more than size.
"""

from typing import Final

import numpy as np
import polars as pl

from persona_platform.frames import NEEDS
from persona_platform.personas.shapes import wave

SCALES: Final = {
    "profile": 1.4,  # 24 local hours on working and on off days: the root of the share of the busiest hour
    "week": 0.8,  # seven days: the root of each day's share of the busiest day
    "duty": 0.6,  # the root of the share of read slots in which the pattern is played, times 2
    "octaves": 0.35,  # log2 of the mean slots of an activation, per octave of hours
    "rate": 0.25,  # log2 of starts per day
    "rhythm": 0.6,  # log2 of starts per day where they are many and regular
    "irregularity": 0.5,  # how unequal the times between starts are
    "duration_sd": 0.3,  # of log2 of slots
    "edge": 1.2,  # share of starts on the edges of months
    "event": 1.2,  # how far it keeps to events of a kind
    "wave": 0.35,  # log of how far the height moves within an activation, at least 2 %
    "relative": 0.16,  # log2 of the height above rest
    "size": 0.1,  # log2 of the need itself
    "gpu": 1.8,  # whether gpus are needed: other machines serve these
}
"""What one unit of each block weighs in the distance."""

IDLE_SCALES: Final = {"size": 0.3, "memory": 0.1, "variability": 0.5, "gpu": 1.4}
"""The same for rest and steadiness, where size is what there is to tell apart."""

LOOSE: Final = 0.3
TIGHT: Final = 0.6
"""Resultants of starts below which hours are chance, and above which they are a habit."""
LEAST_SPAN: Final = 7.0
"""Days that a pattern is taken to have been had for at least."""
HOURS_OF_WEEK: Final = 168


def occupancy(slots: pl.DataFrame, keys: pl.DataFrame) -> np.ndarray:
    """Share of the read slots of each hour of the week in which each pattern of ``keys`` is played.

    ``slots`` has ``workload_id, pattern, hour_of_week``; the result is (patterns, 168), in the order of
    ``keys`` (``workload_id, pattern``), with the workload's mean where an hour was never read.
    """
    played = slots.group_by("workload_id", "pattern", "hour_of_week").agg(n=pl.len())
    read = slots.group_by("workload_id", "hour_of_week").agg(read=pl.len())
    share = played.join(read, on=["workload_id", "hour_of_week"]).join(
        keys.select("workload_id", "pattern").with_row_index("row"), on=["workload_id", "pattern"]
    )
    seen = (
        keys.select("workload_id")
        .with_row_index("row")
        .join(read.select("workload_id", "hour_of_week"), on="workload_id")
    )
    grid = np.full((keys.height, HOURS_OF_WEEK), np.nan)
    grid[seen["row"].to_numpy(), seen["hour_of_week"].to_numpy()] = 0.0
    grid[share["row"].to_numpy(), share["hour_of_week"].to_numpy()] = (share["n"] / share["read"]).to_numpy()
    mean = np.nansum(grid, axis=1) / np.maximum((~np.isnan(grid)).sum(axis=1), 1)
    return np.where(np.isnan(grid), mean[:, None], grid)


def pattern_facts(labelled: pl.DataFrame, slots: pl.DataFrame) -> pl.DataFrame:
    """One row per ``workload_id, pattern``: its kind and plain facts, from labelled episodes and slots.

    ``activations``, ``slots`` (of play), ``share`` of the workload's read slots, ``mean_slots`` of an
    activation, ``octave_sd``, ``per_day``, ``irregularity``, ``edge_affinity``, ``variability``, ``height``
    (log), ``rest`` (height of the workload at rest, its own if it never rests).
    """
    keys = ["workload_id", "pattern"]
    octave = pl.col("length").cast(pl.Float64).log(2.0)
    between = pl.col("start").sort().diff().dt.total_seconds().drop_nulls().cast(pl.Float64)
    facts = labelled.group_by(keys, maintain_order=True).agg(
        pl.col("kind").first(),
        activations=pl.len(),
        slots=pl.col("read").sum(),
        mean_slots=pl.col("length").mean(),
        octave_sd=octave.std().fill_null(0.0),
        irregularity=(between.std() / between.mean()).fill_null(1.0).fill_nan(1.0).clip(0.0, 2.0),
        edge_affinity=pl.col("month_edge").mean(),
        variability=pl.col("spread").mean().fill_null(0.0),
        moves=wave().mean().fill_null(np.log(0.05)),
        gathered=_resultant(),
        span=(pl.col("start").max() - pl.col("start").min()).dt.total_seconds() / 86_400,
        height=pl.col("size").mean().fill_null(0.0),
    )
    at_rest = pl.col("height").filter(pl.col("kind") == "resting").mean().over("workload_id")
    read = slots.group_by("workload_id").agg(
        read=pl.len(), days=(pl.col("slot").max() - pl.col("slot").min()).dt.total_seconds() / 86_400
    )
    whole = pl.max_horizontal("days", pl.lit(1.0))
    beyond = pl.when(pl.col("activations") > 1).then(pl.col("span") / (pl.col("activations") - 1)).otherwise(whole)
    spans = facts.join(read, on="workload_id", how="left", maintain_order="left").with_columns(
        span=pl.min_horizontal(pl.max_horizontal(pl.col("span") + beyond, pl.lit(LEAST_SPAN)), whole)
    )
    return spans.with_columns(
        # Of the time from its first activation to its last: a workload may take up a pattern, or give it up, midway.
        share=(pl.col("slots") / (pl.col("read") * pl.col("span") / whole)).clip(0.0, 1.0),
        per_day=pl.col("activations") / pl.col("span"),
        rest=pl.coalesce(at_rest, "height"),
    )


def _resultant() -> pl.Expr:
    """How far starts gather at one time of day: 1 at the same minute, 0 all around the clock.

    Freed of what few starts gather by chance (Kutil 2012).
    """
    began = pl.col("hour").filter("began")
    angle, n = began * (np.pi / 12.0), began.len()
    square = angle.cos().mean() ** 2 + angle.sin().mean() ** 2
    return pl.when(n > 1).then(((n * square - 1.0) / (n - 1.0)).clip(0.0, 1.0).sqrt()).otherwise(0.5)


def event_affinity(slots: pl.DataFrame, events: pl.DataFrame) -> pl.DataFrame:
    """``workload_id, pattern, event``: how far a pattern keeps to events of one kind, 0 (no more than time does) to 1.

    ``slots`` has workload_id, slot, pattern; ``events`` workload_id, slot, kind: the slots in which events last.
    """
    keys = ["workload_id", "pattern"]
    played = slots.group_by(keys).agg(n=pl.len())
    read = slots.group_by("workload_id").agg(read=pl.len())
    within = slots.join(events.select("workload_id", "slot", "kind"), on=["workload_id", "slot"])
    exposed = within.group_by("workload_id", "kind").agg(exposed=pl.len())
    share = (
        within.group_by(*keys, "kind")
        .agg(within=pl.len())
        .join(played, on=keys)
        .join(exposed, on=["workload_id", "kind"])
        .join(read, on="workload_id")
        .with_columns(usual=pl.col("exposed") / pl.col("read"))
        .with_columns(
            event=((pl.col("within") / pl.col("n") - pl.col("usual")) / (1.0 - pl.col("usual"))).clip(0.0, 1.0)
        )
    )
    return share.group_by(keys).agg(pl.col("event").fill_nan(0.0).max())


def _gathered(hours: np.ndarray, resultant: np.ndarray) -> np.ndarray:
    """Profiles (patterns, 48) drawn towards their mean of the day where starts do not gather at a time of day.

    Which hours a job has that comes at any time, or every four hours, is chance.
    """
    days = hours.reshape(-1, 2, 24)
    mean = days.mean(axis=2, keepdims=True)
    kept = np.clip((resultant - LOOSE) / (TIGHT - LOOSE), 0.0, 1.0)[:, None, None]
    return (mean + kept * (days - mean)).reshape(-1, 48)


def active_features(facts: pl.DataFrame, grid: np.ndarray, slot_hours: float) -> np.ndarray:
    """Weighted features (patterns, columns) of active patterns.

    ``facts`` are pattern facts with mean needs and ``rest`` (log height of the workload at rest), ``grid`` is
    their occupancy.
    """
    week = grid.reshape(-1, 7, 24)
    hours = np.concatenate([week[:, :5].mean(axis=1), week[:, 5:].mean(axis=1)], axis=1)
    days = week.mean(axis=2)
    number = {name: facts[name].cast(pl.Float64).to_numpy() for name in _NUMBERS}
    per_day = number["per_day"]
    hours = _gathered(hours, facts["gathered"].to_numpy())
    # What keeps to events or to the edges of months keeps to no day of the week.
    apart = np.clip(2.0 * np.maximum(number["event"], number["edge_affinity"]) - 1.0, 0.0, 1.0)[:, None]
    hours = hours + apart * (np.tile(hours.reshape(-1, 2, 24).mean(axis=1), 2) - hours)
    days = days + apart * (days.mean(axis=1, keepdims=True) - days)
    blocks = {
        # 48 bins of which a pattern fills a third: their distance is brought to that of one plain difference.
        "profile": np.sqrt(hours / np.maximum(hours.max(axis=1, keepdims=True), 1e-9)) / np.sqrt(12.0),
        "week": np.sqrt(days / np.maximum(days.max(axis=1, keepdims=True), 1e-9)) / np.sqrt(3.0),
        "duty": 2.0 * np.sqrt(number["share"]),
        "octaves": np.log2(np.maximum(number["mean_slots"] * slot_hours, 0.125)),
        "rate": np.log2(np.maximum(per_day, 1 / 64)),
        # A job every two hours is not one every four; how often something comes at any time is chance.
        "rhythm": np.log2(np.maximum(per_day, 1.0)) * (1.0 - number["irregularity"].clip(0.0, 1.0)),
        "irregularity": number["irregularity"],
        "duration_sd": number["octave_sd"].clip(0.0, 3.0),
        "edge": number["edge_affinity"],
        "event": number["event"],
        "wave": number["moves"],
        "relative": ((number["height"] - number["rest"]) / np.log(2.0)).clip(-2.0, 10.0),
        "size": _size(facts),
        "gpu": (_need(facts, "gpus") > 0.05).astype(float),
    }
    return _weighted(blocks, SCALES)


def idle_features(facts: pl.DataFrame) -> np.ndarray:
    """Weighted features of resting or steady patterns: their times are set by what else the workload does."""
    blocks = {
        "size": _size(facts),
        "memory": np.log2(np.maximum(_need(facts, "mem_bytes") / 2.0**30, 1 / 16)),
        "variability": facts["variability"].cast(pl.Float64).to_numpy().clip(0.0, 2.0),
        "gpu": (_need(facts, "gpus") > 0.05).astype(float),
    }
    return _weighted(blocks, IDLE_SCALES)


def _weighted(blocks: dict[str, np.ndarray], scales: dict[str, float]) -> np.ndarray:
    return np.concatenate([scales[n] * (b if b.ndim == 2 else b[:, None]) for n, b in blocks.items()], axis=1)


def _need(facts: pl.DataFrame, need: str) -> np.ndarray:
    return facts[need].fill_null(0.0).to_numpy() if need in facts.columns else np.zeros(facts.height)


def _size(facts: pl.DataFrame) -> np.ndarray:
    """Log2 of the main need, from a sixteenth up."""
    main = next((c for c in NEEDS if c in facts.columns), "cpu_cores")
    return np.log2(np.maximum(_need(facts, main), 1 / 16))


_NUMBERS: Final = (
    "activations", "share", "mean_slots", "octave_sd", "irregularity", "edge_affinity", "event", "moves",
    "height", "per_day", "rest",
)  # fmt: skip
