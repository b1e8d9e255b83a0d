"""What the predicted probabilities of activations are worth: how often it happened when they said so, and skill."""

from typing import Final

import numpy as np
import polars as pl

from persona_platform.replay.charts_replay_reliability import reliability
from persona_platform.replay.numbers import DASH, count, lasting, percent
from persona_platform.replay.page import Column, figure, paragraph, table

BINS: Final = 15
"""Of equal mass, as in Guo et al. 2017 for the error of calibration."""

MOST_HORIZONS: Final = 3
SIGMAS: Final = 1.96  # 95 % of a normal distribution


def activations(rows: pl.DataFrame) -> str:
    """Reliability by horizon, and the Brier score against always saying the share that turned out."""
    rows = rows.drop_nulls(["probability", "outcome"])
    if rows.is_empty():
        return paragraph(
            "No predicted activations were kept: either no persona was learned, or this replay has one series alone.",
            "none",
        )
    horizons = rows["horizon_s"].unique().sort().to_list()
    scores = [skill(_of(rows, horizon)) for horizon in horizons]
    columns = [
        Column("Within"),
        Column("Predictions", numeric=True),
        Column("Happened", numeric=True),
        Column("Said, on average", numeric=True),
        Column("Off by, on average", numeric=True),
        Column("Brier score", numeric=True),
        Column("Skill", numeric=True),
    ]
    cells = [
        [
            lasting(horizon),
            f"{score['rows']:,}",
            percent(score["happened"]),
            percent(score["said"]),
            percent(score["off"]),
            f"{score['brier']:.4f}",
            DASH if score["skill"] is None else percent(score["skill"]),
        ]
        for horizon, score in zip(horizons, scores, strict=True)
    ]
    shown = [horizons[i] for i in np.unique(np.linspace(0, len(horizons) - 1, MOST_HORIZONS).round().astype(int))]
    drawn = [reliability(bins(_of(rows, horizon)), name=f"within {lasting(horizon)}") for horizon in shown]
    panels = "".join(f"<div>{chart}</div>" for chart in drawn)
    return (
        paragraph(
            "At each origin the platform says how likely each workload is to start playing a persona within the "
            f"horizon. {count(rows.height, 'prediction')} of {count(rows['workload'].n_unique(), 'workload')} are "
            "judged here by what happened. Personas were learned once, before the scored part."
        )
        + table(columns, cells)
        + paragraph(
            "The Brier score is the mean squared error of the probability, 0 being perfect. Skill is how much lower "
            "it is than that of somebody who knew each persona's share afterwards and always said that: 100 % is "
            "perfect, 0 % is worth nothing, below is worse than nothing. Off by is the mean distance of a dot from "
            "the diagonal."
        )
        + figure(
            f'<div class="beside three">{panels}</div>',
            f"Predictions in {BINS} groups of equal size, from the least to the most likely. A dot on the dashed "
            "line: it happened as often as was said. Above: more often. The bars are what counting so few would "
            "explain by itself.",
        )
    )


def _of(rows: pl.DataFrame, horizon: int) -> pl.DataFrame:
    return rows.filter(pl.col("horizon_s") == horizon)


def bins(rows: pl.DataFrame) -> pl.DataFrame:
    """At most 15 groups of equal size by probability; equal probabilities are never parted.

    Returns:
        predicted, observed, rows, and low and high, the 95 % Wilson interval of observed.
    """
    place = (pl.col("probability").rank("average") - 0.5) * BINS / pl.len()
    placed = rows.with_columns(bin=place.floor().cast(pl.Int64))
    # Beside many equal ones, as all the certain ones are, a few may be left over: they join their neighbors.
    sizes = placed.group_by("bin").agg(size=pl.len()).sort("bin")
    small = pl.col("size") < rows.height / BINS / 2
    joined = sizes.with_columns(group=pl.when(~small).then("bin").forward_fill().backward_fill().fill_null(0))
    grouped = (
        placed.join(joined, on="bin")
        .group_by("group")
        .agg(predicted=pl.col("probability").mean(), observed=pl.col("outcome").mean(), rows=pl.len())
        .sort("group")
    )
    p, n, z2 = pl.col("observed"), pl.col("rows"), SIGMAS**2
    middle = (p + z2 / (2 * n)) / (1 + z2 / n)
    half = SIGMAS * (p * (1 - p) / n + z2 / (4 * n**2)).sqrt() / (1 + z2 / n)
    return grouped.select(
        "predicted", "observed", "rows", low=(middle - half).clip(0, 1), high=(middle + half).clip(0, 1)
    )


def skill(rows: pl.DataFrame) -> dict:
    """Of the predictions of one horizon: rows, happened, said, off (calibration), brier, skill; shares.

    Skill is null where every persona always, or never, activated: then there is nothing to be skilled at.
    """
    happened = pl.col("outcome").cast(pl.Float64)
    scores = rows.select(
        rows=pl.len(),
        happened=happened.mean(),
        said=pl.col("probability").mean(),
        brier=((pl.col("probability") - happened) ** 2).mean(),
        reference=((happened.mean().over("persona") - happened) ** 2).mean(),
    ).row(0, named=True)
    grouped = bins(rows)
    off = (grouped["predicted"] - grouped["observed"]).abs() * grouped["rows"]
    reference = scores.pop("reference")
    return {
        **scores,
        "off": off.sum() / rows.height,
        "skill": 1 - scores["brier"] / reference if reference > 0 else None,
    }
