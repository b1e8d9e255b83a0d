"""Cutting: a timeline's slots into episodes, by levels that are already known.

An episode is a maximal stretch at the lowest level, or above it: steps between active levels stay inside one.
The same function cuts in learning and in play, so that both see the same activations.
"""

from datetime import timedelta
from typing import Final

import polars as pl

from persona_platform.personas.levels import LEVELS, MAX_LEVELS, log_height
from persona_platform.personas.steps import between_steps
from persona_platform.personas.timeline import slot_end

REPEATED: Final = 3
"""Runs of one slot at the same time of day, within a slot, that make them real."""
PIECE_STEP: Final = 0.7
"""In log: twice. Steps between heights of one activation that are smaller are its own affair."""
DIP_SHARE: Final = 0.3
"""Share of days on which a dip of one slot must come back at its time before a run is cut there."""


def with_levels(line: pl.DataFrame, levels: pl.DataFrame) -> pl.DataFrame:
    """The timeline with ``x`` (log height) and ``level`` (UInt8, 0 the lowest), after hysteresis.

    A workload without levels is at level 0 throughout. A slot without a value keeps the level before it.
    """
    known = levels.select("workload_id", "need", "floor", "drift_per_day", "anchor", "thresholds", "bands", "step")
    joined = line.join(known, on="workload_id", how="left", maintain_order="left")
    height = pl.coalesce(
        pl.lit(None, dtype=pl.Float64),
        *(
            pl.when(pl.col("need") == need).then(
                log_height(need, pl.col("floor"), pl.col("drift_per_day"), pl.col("anchor"))
            )
            for need in known["need"].unique().drop_nulls()
            if need in line.columns
        ),
    )
    place = ["workload_id", "stretch"]
    steps = []
    for k in range(MAX_LEVELS - 1):
        limit = pl.col("thresholds").list.get(k, null_on_oob=True)
        band = pl.col("bands").list.get(k, null_on_oob=True)
        sure = pl.when(pl.col("held") > limit + band).then(1).when(pl.col("held") < limit - band).then(0)
        first = (pl.col("held") > limit).cast(pl.Int32)
        steps.append(pl.coalesce(sure.forward_fill().over(place), first.forward_fill().over(place), pl.lit(0)))
    return (
        joined.with_columns(x=height)
        .with_columns(held=pl.when(pl.col("step").is_null()).then("x").otherwise(between_steps(place, pl.col("step"))))
        .with_columns(level=pl.sum_horizontal(steps).cast(pl.UInt8), leveled=pl.col("thresholds").list.len() > 0)
        .with_columns(pl.col("leveled").fill_null(value=False))
        .drop("need", "floor", "drift_per_day", "anchor", "thresholds", "bands")
    )


def _runs(leveled: pl.DataFrame) -> pl.DataFrame:
    """One row per maximal run of active or not active slots, with what surrounds it."""
    struct = pl.struct("workload_id", "stretch", "active")
    return (
        leveled.with_columns(active=pl.col("level") > 0)
        .with_columns(run=struct.rle_id())
        .group_by("run", maintain_order=True)
        .agg(
            pl.col("workload_id", "stretch", "active", "phase", "leveled").first(),
            slots=pl.len(),
        )
        .with_columns(
            inner=(pl.col("stretch").shift(1).over("workload_id") == pl.col("stretch"))
            & (pl.col("stretch").shift(-1).over("workload_id") == pl.col("stretch")),
        )
        .with_columns(pl.col("inner").fill_null(value=False))
    )


def learn_short_runs(leveled: pl.DataFrame, levels: pl.DataFrame, slot: timedelta) -> pl.DataFrame:
    """The levels with what is known of runs of one slot: where they come back, or that they are the habit.

    ``leveled`` is a timeline :func:`with_levels`.
    """
    per_day = max(1, round(timedelta(days=1) / slot))
    runs = _runs(leveled).filter("leveled")
    days = leveled.group_by("workload_id").agg(days=pl.len() / per_day)
    short = runs.filter((pl.col("slots") == 1) & pl.col("inner"))
    counted = (
        pl.concat([short.with_columns(phase=(pl.col("phase") + d) % per_day) for d in (-1, 0, 1)])
        .group_by("workload_id", "active", "phase")
        .agg(n=pl.len())
        .join(days, on="workload_id")
    )
    real = pl.when("active").then(REPEATED).otherwise(pl.max_horizontal(REPEATED, DIP_SHARE * pl.col("days")))
    phases = (
        counted.filter(pl.col("n") >= real)
        .group_by("workload_id")
        .agg(
            short_phases=pl.col("phase").filter("active").unique().sort().cast(pl.Int32),
            dip_phases=pl.col("phase").filter(~pl.col("active")).unique().sort().cast(pl.Int32),
        )
    )
    habit = (
        runs.filter("active")
        .group_by("workload_id")
        .agg(keeps_short=((pl.col("slots") == 1).mean() >= 0.5) & ((pl.col("slots") == 1).sum() >= REPEATED))
    )
    merged = (
        levels.drop("short_phases", "dip_phases", "keeps_short")
        .join(phases, on="workload_id", how="left", maintain_order="left")
        .join(habit, on="workload_id", how="left", maintain_order="left")
        .with_columns(
            pl.col("short_phases").fill_null([]),
            pl.col("dip_phases").fill_null([]),
            pl.col("keeps_short").fill_null(value=False),
        )
    )
    return merged.select(*LEVELS)


def cut(line: pl.DataFrame, levels: pl.DataFrame) -> pl.DataFrame:
    """:func:`cut_leveled` of a timeline that has no levels yet."""
    return cut_leveled(with_levels(line, levels), levels)


def cut_leveled(leveled: pl.DataFrame, levels: pl.DataFrame) -> pl.DataFrame:
    """A timeline :func:`with_levels`, with ``active``, and ``episode`` (0, 1, ... over the whole frame).

    Isolated runs of one slot are filled with what is around them, unless the levels know them as real, or the
    run touches the end or a gap: what has just started may be the beginning of something.
    """
    runs = _runs(leveled).join(
        levels.select("workload_id", "short_phases", "keeps_short", "dip_phases"),
        on="workload_id",
        how="left",
        maintain_order="left",
    )
    known = (
        pl.when("active")
        .then(pl.col("keeps_short") | pl.col("short_phases").list.contains(pl.col("phase")))
        .otherwise(pl.col("dip_phases").list.contains(pl.col("phase")))
    )
    blip = (pl.col("slots") == 1) & pl.col("inner") & ~known.fill_null(value=False)
    # Peaks go first: a dip is filled only between runs that stay, so a peak and a dip never trade places.
    kept = runs.with_columns(stays=pl.col("active") & ~blip, dip=blip & ~pl.col("active")).with_columns(
        active=pl.col("stays") | (pl.col("dip") & pl.col("stays").shift(1) & pl.col("stays").shift(-1))
    )
    flags = leveled.with_columns(active=pl.col("level") > 0).with_columns(
        run=pl.struct("workload_id", "stretch", "active").rle_id()
    )
    return (
        flags.drop("active")
        .join(kept.select("run", "active"), on="run", how="left", maintain_order="left")
        .pipe(_pieces)
        .with_columns(episode=pl.struct("workload_id", "stretch", "active", "piece").rle_id())
        .drop("run", "level", "held", "piece", "step")
    )


def _pieces(slots: pl.DataFrame) -> pl.DataFrame:
    """The slots with ``piece``, a number that changes where an active run steps to another height and stays there.

    A height of one slot is no piece of its own: jobs end in the middle of a slot.
    """
    place = ["workload_id", "stretch", "active"]
    cut = pl.struct(place).rle_id()
    heights = (
        slots.select("workload_id", "active", "held", "step", "x", run=cut)
        .with_row_index("row")
        .filter(pl.col("active") & pl.col("step").is_not_null())
        .with_columns(same=pl.struct("run", "held").rle_id())
        .group_by("same", maintain_order=True)
        .agg(
            pl.col("row", "run", "step").first(),
            n=pl.len(),
            head=pl.col("x").head(2).mean(),
            tail=pl.col("x").tail(2).mean(),
        )
        .filter(pl.col("n") > 1)
        .with_columns(
            steps=(
                (pl.col("run") == pl.col("run").shift(1))
                & ((pl.col("head") - pl.col("tail").shift(1)).abs() > pl.max_horizontal("step", pl.lit(PIECE_STEP)))
            ).fill_null(value=False)
        )
        .select("row", "steps")
    )
    return (
        slots.with_row_index("row")
        .join(heights, on="row", how="left", maintain_order="left")
        .with_columns(piece=pl.col("steps").fill_null(value=False).cast(pl.UInt32).cum_sum())
        .drop("row", "steps")
    )


def episodes(slots: pl.DataFrame, needs: list[str], slot: timedelta) -> pl.DataFrame:
    """One row per episode of a cut timeline: where it lies, how long, how high, and the mean of each need.

    ``censored`` is true when its start or end was not seen. ``hour`` is the local time of day of its start in
    hours, ``day`` its local day (counted from 1970), ``length`` its slots, ``size`` its 95 % log height.
    """
    per_day = timedelta(days=1) / slot
    first = pl.col("episode") == pl.col("episode").min().over("workload_id", "stretch")
    last = pl.col("episode") == pl.col("episode").max().over("workload_id", "stretch")
    return (
        slots.group_by("episode", maintain_order=True)
        .agg(
            pl.col("workload_id", "stretch", "active", "leveled", "hour_of_week", "off_day").first(),
            month_begin=pl.col("month_begin").first(),
            month_edge=pl.col("month_begin").first() | pl.col("month_end").first(),
            start=pl.col("slot").first(),
            end=pl.col("slot").last(),
            length=(pl.col("tick").last() - pl.col("tick").first() + 1),
            read=pl.len(),
            hour=pl.col("phase").first() * (24.0 / per_day),
            size=pl.col("x").quantile(0.95),
            # Jobs begin and end within a slot, so the first and the last one say nothing of the shape.
            spread=pl.when(pl.len() >= 4).then(pl.col("x").slice(1, pl.len() - 2).std()),
            level=pl.col("x").median(),
            ramp=(pl.col("x").mean() - pl.col("x").first()),
            saturated=pl.col("saturated").any(),
            **{need: pl.col(need).mean() for need in needs},
        )
        .with_columns(
            began=~first & (~_adjoins(1) | (pl.col("level") > pl.col("level").shift(1))).fill_null(value=True),
            ended=~last & (~_adjoins(-1) | (pl.col("level") > pl.col("level").shift(-1))).fill_null(value=True),
            first_of_stretch=first,
            end=slot_end(slot, "end"),
            day=((pl.col("start").dt.epoch("s") - pl.col("hour") * 3600) / 86_400).round().cast(pl.Int64),
            kind=pl.when(~pl.col("leveled"))
            .then(pl.lit("steady"))
            .when("active")
            .then(pl.lit("active"))
            .otherwise(pl.lit("resting")),
        )
        .with_columns(censored=~(pl.col("began") & pl.col("ended")))
        .drop("level")
    )


def _adjoins(step: int) -> pl.Expr:
    """Whether the episode before (or after, -1) is active too: a piece of the same run."""
    other = pl.struct("workload_id", "stretch").shift(step) == pl.struct("workload_id", "stretch")
    return other & pl.col("active") & pl.col("active").shift(step)
