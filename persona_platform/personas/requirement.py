"""Requirement: what members need while they play a persona, as provisionable sizes with probabilities."""

from typing import Final

import numpy as np
import polars as pl

from persona_platform.frames import SERVED_ACTIVITIES, need_columns
from persona_platform.personas.record import REQUIREMENT_QUANTILES, Requirement, Size
from persona_platform.sums import total

GIB: Final = 2.0**30
CPU_LADDER: Final = np.array(
    [0.25, 0.5, 1, 2, 4, 8, 16, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024], dtype=float
)
"""Cores that machines and requests come in; above the last, whole multiples of it."""
WITHIN: Final = 0.95
"""An activation's need is this quantile of its slots: what it must have, not what it has in the mean."""
COVERED: Final = 0.95
"""The commonest sizes that reach this share stay; the rest are raised to one of them."""
MOST_SIZES: Final = 12
NO_RATE: Final = 1e-6
"""Per second: an activity of less than one in eleven days is none."""
SLACK: Final = 1.1
"""A size holds a need up to this factor above it: a job of 16 cores that reads 17 is a job of 16 cores."""
SIZED: Final = ("cpu_cores", "mem_bytes", "disk_bytes", "gpus")


def on_ladder(need: str, amount: np.ndarray) -> np.ndarray:
    """Amounts rounded up to what can be asked for; 1-2-5 steps for activities and shares, none being none."""
    least = np.maximum(amount, 0.0) / SLACK
    if need == "gpus":
        return np.where(amount < 0.05, 0.0, np.ceil(least - 1e-9))
    if need == "cpu_cores":
        top = CPU_LADDER[-1]
        step = CPU_LADDER[np.minimum(np.searchsorted(CPU_LADDER, least - 1e-9), len(CPU_LADDER) - 1)]
        return np.where(least > top, np.ceil(least / top) * top, step)
    if need in ("mem_bytes", "disk_bytes") and not is_share(amount):
        return GIB * 2.0 ** np.ceil(np.log2(np.maximum(least / GIB, 2.0**-4)) - 1e-9)
    decade = 10.0 ** np.floor(np.log10(np.maximum(least, NO_RATE)) + 1e-9)
    steps = np.array([1.0, 2.0, 5.0, 10.0])
    lead = np.maximum(least, NO_RATE) / decade
    return np.where(least < NO_RATE, 0.0, decade * steps[np.minimum(np.searchsorted(steps, lead - 1e-9), 3)])


def is_share(amount: np.ndarray) -> bool:
    """Whether bytes are shares of one whole: a ``_pct`` or ``_norm`` without what is allocated, so never above 1."""
    return bool(amount.size) and 0.0 < float(amount.max()) <= 1.0


def activation_needs(slots: pl.DataFrame) -> pl.DataFrame:
    """The need that each ``episode`` of some slots stands at, null where never read.

    A saturated slot showed only a lower bound, so its highest value counts beside the quantile.
    """
    columns = need_columns(slots)
    capped = {c: pl.col(c).filter(pl.col("saturated")).max() for c in columns}
    return slots.group_by("episode", maintain_order=True).agg(
        pl.max_horizontal(pl.col(c).quantile(WITHIN, "linear"), capped[c]).alias(c) for c in columns
    )


def unsaturated(slots: pl.DataFrame, stands: pl.DataFrame) -> pl.DataFrame:
    """Slots whose saturated values are raised to what their episode stands at."""
    columns = need_columns(slots)
    joined = slots.join(stands, on="episode", how="left", maintain_order="left", suffix="_stands")
    return joined.with_columns(
        pl.when("saturated").then(pl.max_horizontal(c, f"{c}_stands")).otherwise(c).alias(c) for c in columns
    ).drop(f"{c}_stands" for c in columns)


def requirement(activations: pl.DataFrame, slots: pl.DataFrame) -> Requirement:
    """The requirement of one persona.

    ``activations`` has the needs that each stands at, ``weight`` and ``storage_class``; ``slots`` the needs
    of the slots in which it was played.
    """
    columns = [c for c in need_columns(slots) if slots[c].null_count() < slots.height]
    quantiles = {c: [float(slots[c].quantile(q, "linear") or 0.0) for q in REQUIREMENT_QUANTILES] for c in columns}
    mean = {c: float(slots[c].drop_nulls().to_numpy().mean()) for c in columns}
    return Requirement(_sizes(activations), quantiles, mean)


def _sizes(activations: pl.DataFrame) -> list[Size]:
    sized = [c for c in SIZED if c in activations.columns and activations[c].null_count() < activations.height]
    if not sized:
        served = [c for c in SERVED_ACTIVITIES if c in activations.columns]
        sized = [c for c in served if activations[c].null_count() < activations.height][:1]
    rounded = activations.select(
        pl.Series(c, on_ladder(c, activations[c].fill_null(0.0).to_numpy())) if c in sized else pl.col(c)
        for c in (*sized, "weight", "storage_class")
    )
    by_class = rounded.group_by(*sized, "storage_class", maintain_order=True).agg(total("weight"))
    table = (
        by_class.sort("weight", "storage_class", descending=[True, False], maintain_order=True)
        .group_by(sized or ["storage_class"], maintain_order=True)
        .agg(
            *([pl.col("storage_class").first()] if sized else []),
            probability=total("weight"),
        )
        .with_columns(pl.col("probability") / pl.col("probability").sum())
        .sort("probability", *sized, descending=[True, *[False] * len(sized)])
    )
    amounts = table.select(sized).to_numpy() if sized else np.zeros((table.height, 0))
    return _merged(sized, amounts, table["probability"].to_numpy(), table["storage_class"].to_list())


def _merged(sized: list[str], amounts: np.ndarray, probability: np.ndarray, classes: list[str]) -> list[Size]:
    """The commonest sizes; each other is raised to the smallest kept size that holds it.

    Where none does, the largest kept size grows to hold it: a size that is too small is a promise broken.
    """
    covered = np.cumsum(probability)
    kept = min(int(np.searchsorted(covered, COVERED - 1e-12)) + 1, MOST_SIZES, len(probability))
    shares = probability[:kept].copy()
    rest = list(range(kept, len(probability)))
    sizes = amounts[:kept].copy()
    if rest:
        above = amounts[rest].max(axis=0) if sized else np.zeros(0)
        if not (sizes >= above).all(axis=1).any():
            sizes = np.vstack([sizes, np.maximum(above, sizes.max(axis=0))])
            shares = np.append(shares, 0.0)
            classes = [*classes[:kept], classes[rest[0]], *classes[kept:]]
        bulk = np.log2(np.maximum(sizes, 1e-3)).sum(axis=1)
        for i in rest:
            holds = (sizes >= amounts[i]).all(axis=1)
            shares[np.where(holds, bulk, np.inf).argmin()] += probability[i]
    order = np.lexsort((sizes.sum(axis=1), -shares))
    total = shares.sum()
    return [
        Size(
            {c: float(sizes[i, j]) for j, c in enumerate(sized) if sizes[i, j] > 0 or c != "gpus"},
            classes[i] or "",
            float(shares[i] / total),
        )
        for i in order
        if shares[i] > 0
    ]
