"""Flows: how much of each workload's time went from which old persona to which new one, between two catalogs.

A workload's patterns are found anew at every refit and numbered anew, so old and new ones of a workload are laid
on each other by their features: the nearest two take what both have, then the next nearest, until one side is used
up. Only patterns of one kind meet. No slot is looked at, so that 20,000 patterns take a second.
"""

from dataclasses import dataclass

import numpy as np
import polars as pl


@dataclass(frozen=True)
class Side:
    """Patterns of one kind in one catalog: a series and arrays by pattern.

    ``persona`` is a number from 0; ``share`` the part of the workload's read slots in which the pattern is played;
    ``slots`` how many those are; ``points`` (patterns, columns) the features.
    """

    workload: pl.Series
    persona: np.ndarray
    share: np.ndarray
    slots: np.ndarray
    points: np.ndarray

    @classmethod
    def of(cls, patterns: pl.DataFrame, persona: str, names: list[object]) -> "Side":
        """From a frame with workload_id, slots, features, share and the column ``persona``, one of ``names``."""
        numbers = {name: i for i, name in enumerate(names)}
        points = np.array(patterns["features"].to_list(), dtype=float)
        return cls(
            patterns["workload_id"],
            np.array([numbers[name] for name in patterns[persona]], dtype=np.int64),
            patterns["share"].to_numpy(),
            patterns["slots"].to_numpy().astype(float),
            points.reshape(patterns.height, -1) if patterns.height else np.zeros((0, 0)),
        )


@dataclass(frozen=True)
class Flow:
    """What went where: the row in either side, and how much (a share of the workload's slots)."""

    old: np.ndarray
    new: np.ndarray
    share: np.ndarray


def flow(old: Side, new: Side) -> Flow:
    """Old and new patterns of each workload laid on each other, the most alike first.

    Without features of one width (they changed from one program to the next) the likest shares meet first.
    """
    pairs = (
        pl.DataFrame({"workload_id": old.workload})
        .with_row_index("old")
        .join(pl.DataFrame({"workload_id": new.workload}).with_row_index("new"), on="workload_id")
    )
    a, b = pairs["old"].to_numpy().astype(np.int64), pairs["new"].to_numpy().astype(np.int64)
    unlike = np.abs(old.share[a] - new.share[b])
    far = np.square(old.points[a] - new.points[b]).sum(axis=1) if comparable(old, new) else unlike
    order = np.lexsort((b, a, unlike, far))
    a, b = a[order], b[order]
    left, room = old.share.copy(), new.share.copy()
    taken: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
    # A pair that is the nearest of both is settled; each round uses up a pattern of every workload that has pairs.
    while len(a):
        nearest = np.zeros(len(a), dtype=np.int64)
        for side in (a, b):
            nearest[np.unique(side, return_index=True)[1]] += 1
        settled = nearest == 2
        x, y = a[settled], b[settled]
        much = np.minimum(left[x], room[y])
        left[x] -= much
        room[y] -= much
        taken.append((x, y, much))
        going_on = (left[a] > 0) & (room[b] > 0)
        a, b = a[going_on], b[going_on]
    x, y, much = (np.concatenate(parts) for parts in zip(*taken, strict=True)) if taken else (a, b, np.zeros(0))
    return Flow(x, y, much)


def comparable(old: Side, new: Side) -> bool:
    """Whether both sides have features of one width."""
    return old.points.shape[1] == new.points.shape[1]


def with_shares(patterns: pl.DataFrame) -> pl.DataFrame:
    """Patterns with ``share``: of their workload's slots, those in which each is played."""
    if "share" in patterns.columns:
        return patterns
    return patterns.with_columns(share=pl.col("slots") / pl.col("slots").sum().over("workload_id").clip(lower_bound=1))
