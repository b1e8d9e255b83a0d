"""Shapes: what a pattern's episodes look like, as numbers, and which pattern fits an episode best.

A shape holds when episodes start (time of day, working or off day, edge of the month), how long they last,
how high they stand and how common they are. Learning and play give patterns by the same likelihood; an
episode that still runs is judged by its age so far.
"""

from typing import Final

import numpy as np
import polars as pl

SHAPES: Final = {
    "starts": pl.List(pl.Float64),  # share of starts in each local hour, smoothed, sums to 1
    "off_share": pl.Float64,  # of starts on weekends and holidays
    "edge_share": pl.Float64,  # of starts on first and last working days of a month
    "octaves": pl.Float64,  # mean log2 of slots
    "octaves_sd": pl.Float64,
    "size": pl.Float64,  # mean log height
    "size_sd": pl.Float64,
    "wave": pl.Float64,  # mean log of how far the height moves within an episode
    "wave_sd": pl.Float64,
    "commonness": pl.Float64,  # share of the workload's active episodes
}
LEAST_WAVE: Final = 0.02
"""Log height within an episode that moves less is flat."""
WAVE_WEIGHT: Final = 1.0
SIZE_WEIGHT: Final = 0.3
"""Timing weighs more than size: two sizes at the same times are one pattern."""


def pattern_shapes(labelled: pl.DataFrame) -> pl.DataFrame:
    """``workload_id, pattern`` and :data:`SHAPES` of the active patterns of labelled episodes."""
    active = labelled.filter(pl.col("kind") == "active").with_columns(
        octave=pl.col("length").cast(pl.Float64).log(2.0),
        bucket=pl.col("hour").floor().cast(pl.Int64) % 24,
        wave=wave(),
    )
    keys = ["workload_id", "pattern"]
    # Censored episodes lasted longer than was seen, so whole ones speak for the duration where there are any.
    whole = pl.col("octave").filter(~pl.col("censored"))
    octave = pl.when(whole.len() > 0).then(whole.mean()).otherwise(pl.col("octave").mean())
    shapes = active.group_by(keys, maintain_order=True).agg(
        off_share=(pl.col("off_day").sum() + 0.3) / (pl.len() + 1.0),
        edge_share=(pl.col("month_edge").sum() + 0.1) / (pl.len() + 1.0),
        octaves=octave,
        octaves_sd=(whole.var().fill_null(0.0) + 0.25**2).sqrt(),
        size=pl.col("size").mean(),
        size_sd=(pl.col("size").var().fill_null(0.0) + 0.2**2).sqrt(),
        wave=pl.col("wave").mean(),
        wave_sd=(pl.col("wave").var().fill_null(0.0) + 0.3**2).sqrt(),
        n=pl.len(),
        buckets=pl.col("bucket").filter("began"),
    )
    counts = np.array(
        [np.bincount(np.array(b, dtype=np.int64), minlength=24) for b in shapes["buckets"].to_list()]
    ).reshape(-1, 24)
    smooth = 0.5 * counts + 0.25 * np.roll(counts, 1, axis=1) + 0.25 * np.roll(counts, -1, axis=1) + 0.02
    starts = smooth / smooth.sum(axis=1, keepdims=True)
    return (
        shapes.drop("buckets")
        .with_columns(
            starts=pl.Series(starts.tolist(), dtype=pl.List(pl.Float64)),
            commonness=pl.col("n") / pl.col("n").sum().over("workload_id"),
        )
        .select(*keys, *(pl.col(c).cast(t) for c, t in SHAPES.items()))
    )


def fit_patterns(episodes: pl.DataFrame, shapes: pl.DataFrame) -> pl.DataFrame:
    """``episode, pattern`` for every episode: the likeliest active pattern, 0 for rest and steadiness.

    ``shapes`` has ``workload_id, pattern`` and :data:`SHAPES`; an active episode of a workload without
    shapes is left null.
    """
    active = episodes.filter(pl.col("kind") == "active").select(
        "episode",
        "workload_id",
        "off_day",
        "month_edge",
        "began",
        "censored",
        octave=pl.col("length").cast(pl.Float64).log(2.0),
        bucket=pl.col("hour").floor().cast(pl.Int64) % 24,
        height=pl.col("size"),
        moves=wave(),
    )
    scored = active.join(shapes, on="workload_id", how="inner").with_columns(score=_fit())
    best = (
        scored.sort("episode", "score", "pattern", descending=[False, True, False])
        .group_by("episode", maintain_order=True)
        .agg(pl.col("pattern").first())
    )
    joined = episodes.select("episode", "kind").join(best, on="episode", how="left", maintain_order="left")
    return joined.select(
        "episode", pattern=pl.when(pl.col("kind") == "active").then("pattern").otherwise(0).cast(pl.Int64)
    )


def _fit() -> pl.Expr:
    """The log likelihood of an episode under a shape.

    One that began before the stretch was read has no start time to judge; one that still runs has only
    reached its length: it is as likely as lasting at least that long.
    """
    z = (pl.col("octave") - pl.col("octaves")) / pl.col("octaves_sd")
    whole = -0.5 * z.clip(-6.0, 6.0) ** 2 - pl.col("octaves_sd").log()
    lasting = -(1.0 + (1.702 * z.clip(-6.0, 6.0)).exp()).log()  # the logistic stands in for the normal's tail
    start = pl.col("starts").list.get(pl.col("bucket")).log() + np.log(24.0)
    day = _either("off_day", "off_share") + _either("month_edge", "edge_share")
    size = -0.5 * ((pl.col("height") - pl.col("size")) / pl.col("size_sd")).clip(-6.0, 6.0).fill_null(0.0) ** 2
    wave = -0.5 * ((pl.col("moves") - pl.col("wave")) / pl.col("wave_sd")).clip(-4.0, 4.0) ** 2
    return (
        pl.col("commonness").log()
        + pl.when("censored").then(lasting).otherwise(whole)
        + pl.when("began").then(start + day).otherwise(0.0)
        + SIZE_WEIGHT * (size - pl.col("size_sd").log())
        + WAVE_WEIGHT * (wave - pl.col("wave_sd").log()).fill_null(0.0)
    )


def wave() -> pl.Expr:
    """How far the height moves within an episode, in log; null where it is too short to tell."""
    return pl.when(pl.col("spread").is_not_null()).then(pl.max_horizontal("spread", pl.lit(LEAST_WAVE)).log())


def _either(flag: str, share: str) -> pl.Expr:
    return pl.when(flag).then(pl.col(share)).otherwise(1.0 - pl.col(share)).clip(0.01).log()
