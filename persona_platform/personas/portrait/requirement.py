"""Requirement: what members need while they play a persona, as provisionable sizes with probabilities.

Quantiles of each need over slots stand in amounts.
"""

from typing import Final

import numpy as np
import polars as pl

from persona_platform.frames import SERVED_ACTIVITIES, need_columns
from persona_platform.personas.record import Size
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
DOUBT: Final = 0.25
"""Members' worth of belief that half of what decides a size is the member's."""
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
    """What each ``episode`` of some slots stands at in the needs that sizes are made of, null where never read.

    A saturated slot showed only a lower bound, so its highest value counts beside the quantile.
    """
    columns = _sized(slots) or need_columns(slots)[:1]
    capped = {c: pl.col(c).filter(pl.col("saturated")).max() for c in columns}
    return slots.group_by("episode", maintain_order=True).agg(
        pl.max_horizontal(pl.col(c).quantile(WITHIN, "linear"), capped[c]).alias(c) for c in columns
    )


def size_table(activations: pl.DataFrame) -> list[Size]:
    """The sizes of a persona's activations, most probable first.

    ``activations`` has the needs that each stands at, ``weight``, ``storage_class`` and ``member``.
    """
    sized = _sized(activations)
    # What was never read of a member is no amount, not the smallest one.
    rounded = activations.select(
        pl.when(pl.col(c).is_null())
        .then(0.0)
        .otherwise(pl.Series(on_ladder(c, activations[c].fill_null(0.0).to_numpy())))
        .alias(c)
        if c in sized
        else pl.col(c)
        for c in (*sized, "weight", "storage_class", "member")
    ).with_columns(key=pl.struct(sized) if sized else pl.lit(0))
    by_class = rounded.group_by("key", *sized, "storage_class", maintain_order=True).agg(total("weight"))
    table = (
        by_class.sort("weight", "storage_class", descending=[True, False], maintain_order=True)
        .group_by("key", *sized, maintain_order=True)
        .agg(pl.col("storage_class").first(), probability=total("weight"))
        .with_columns(pl.col("probability") / pl.col("probability").sum())
        .sort("probability", *sized, descending=[True, *[False] * len(sized)])
    )
    amounts = table.select(sized).to_numpy() if sized else np.zeros((table.height, 0))
    sizes, goes_to = _merged(amounts, table["probability"].to_numpy())
    at = rounded.join(table.select("key", at=pl.Series(goes_to)), on="key", how="left", maintain_order="left")
    classes = _classes(at)
    shares = shares_with_intervals(at["at"].to_numpy(), at["member"].to_numpy(), at["weight"].to_numpy(), len(sizes))
    order = np.lexsort((sizes.sum(axis=1), -shares[:, 0]))
    return [
        Size(
            {c: float(sizes[i, j]) for j, c in enumerate(sized) if sizes[i, j] > 0 or c not in ("gpus", "disk_bytes")},
            classes.get(int(i)) or "",
            *(float(v) for v in shares[i]),
        )
        for i in order
        if shares[i, 0] > 0
    ]


def _sized(frame: pl.DataFrame) -> list[str]:
    """The needs that sizes are made of: those of capacity, or else the first activity served."""
    present = [c for c in need_columns(frame) if frame[c].null_count() < frame.height]
    return [c for c in SIZED if c in present] or [c for c in SERVED_ACTIVITIES if c in present][:1]


def _classes(at: pl.DataFrame) -> dict[int, str]:
    """The storage class that most of each size's weight has."""
    weights = at.group_by("at", "storage_class", maintain_order=True).agg(total("weight"))
    ordered = weights.sort("at", "weight", "storage_class", descending=[False, True, False])
    return dict(ordered.group_by("at", maintain_order=True).first().select("at", "storage_class").iter_rows())


def _merged(amounts: np.ndarray, probability: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The commonest sizes, and to which of them each goes: the smallest kept size that holds it.

    Where none does, the largest kept size grows to hold it: a size that is too small is a promise broken.
    """
    covered = np.cumsum(probability)
    kept = min(int(np.searchsorted(covered, COVERED - 1e-12)) + 1, MOST_SIZES, len(probability))
    rest = range(kept, len(probability))
    sizes = amounts[:kept].copy()
    if rest:
        above = amounts[kept:].max(axis=0, initial=0.0)
        if not (sizes >= above).all(axis=1).any():
            sizes = np.vstack([sizes, np.maximum(above, sizes.max(axis=0))])
    bulk = np.log2(np.maximum(sizes, 1e-3)).sum(axis=1)
    held = [int(np.where((sizes >= amounts[i]).all(axis=1), bulk, np.inf).argmin()) for i in rest]
    return sizes, np.array([*range(kept), *held], dtype=np.int64)


def shares_with_intervals(at: np.ndarray, member: np.ndarray, weight: np.ndarray, sizes: int) -> np.ndarray:
    """(sizes, 3): the share of each size with its 95 % interval.

    Activations of one member are alike where the size is the member's, and not where each draws its own: their
    correlation says how many independent draws they are worth, and the share is beta with that many.
    """
    from scipy.special import betaincinv

    people, who = np.unique(member, return_inverse=True)
    table = np.zeros((len(people), sizes))
    np.add.at(table, (who, at), weight)
    each = table.sum(axis=1)
    share = table.sum(axis=0) / max(each.sum(), 1e-12)
    n = np.bincount(who, minlength=len(people)).astype(float)
    own = table / np.maximum(each, 1e-12)[:, None]
    worth = n.sum() / (1.0 + (np.square(n).sum() / n.sum() - 1.0) * alike(own, n))
    a, b = share * worth + 0.5, (1.0 - share) * worth + 0.5
    low, high = betaincinv(a, b, 0.025), betaincinv(a, b, 0.975)
    return np.stack([share, np.minimum(low, share), np.maximum(high, share)], axis=1)


def alike(own: np.ndarray, n: np.ndarray) -> float:
    """The correlation of activations within a member: 1 where each member has one size, 0 where it matters not.

    ``own`` is (members, sizes) shares, ``n`` the members' activations. By analysis of variance, with DOUBT
    members' worth of belief in a half.
    """
    members, count = len(n), n.sum()
    if members < 2 or count <= members:
        return 0.5 if members < 2 else 1.0
    share = (n @ own) / count
    if (own.max(axis=1) >= 1.0 - 1e-12).all():  # nobody ever changed
        found = 1.0
    else:
        between = float((n @ np.square(own - share)).sum() / (members - 1))
        within = float((n @ (own * (1.0 - own))).sum() / (count - members))
        each = (count - np.square(n).sum() / count) / (members - 1)
        found = (between - within) / max(between + (each - 1.0) * within, 1e-12)
    return float(np.clip((max(found, 0.0) * (members - 1) + 0.5 * DOUBT) / (members - 1 + DOUBT), 0.0, 1.0))
