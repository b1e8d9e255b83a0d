"""Identity: a persona keeps its id across refits, by who its members are and where its centre lies."""

from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl

OVERLAP_WEIGHT: Final = 0.7
"""Members speak louder than the centre: features move with the data, members rarely all leave."""
NARROWEST: Final = 0.2
"""Least spread of a persona that distances are counted in: clustering.FLOOR over six components."""
LEAST_LIKENESS: Final = 0.25
"""Below this a cluster is a new persona. A third of the members shared at no great distance is about 0.4."""


@dataclass(frozen=True)
class Identity:
    """For each new cluster: its id, the version it gets, its drift (0 when new); and the last number used."""

    ids: list[str]
    versions: list[int]
    drifts: list[float]
    last_id: int


def identities(
    patterns: pl.DataFrame,
    previous: pl.DataFrame | None,
    versions: dict[str, int],
    last_id: int,
) -> Identity:
    """Ids for the clusters 0, 1, ... of ``patterns`` (workload_id, kind, cluster, slots, features).

    ``previous`` has the same columns with ``persona_id`` for ``cluster``; ``versions`` are of its personas.
    Old and new of one kind are paired so that the sum of their likeness is greatest (Kuhn 1955).
    """
    from scipy.optimize import linear_sum_assignment

    clusters = sorted(patterns["cluster"].unique().to_list())
    ids: dict[int, str] = {}
    drifts: dict[int, float] = {}
    if previous is not None and previous.height and clusters:
        old = sorted(previous["persona_id"].unique().to_list())
        alike, drift = _likeness(patterns, clusters, previous, old)
        for row, column in zip(*linear_sum_assignment(-alike), strict=True):
            if alike[row, column] >= LEAST_LIKENESS:
                ids[clusters[row]], drifts[clusters[row]] = old[column], float(drift[row, column])
    for name in clusters:
        if name not in ids:
            last_id += 1
            ids[name] = f"p{last_id:03d}"
    return Identity(
        [ids[c] for c in clusters],
        [versions.get(ids[c], 0) + 1 for c in clusters],
        [drifts.get(c, 0.0) for c in clusters],
        last_id,
    )


def _likeness(
    new: pl.DataFrame, clusters: list[int], old: pl.DataFrame, ids: list[str]
) -> tuple[np.ndarray, np.ndarray]:
    """Likeness (0 to 1, -1 across kinds) and standardized distance of every new cluster and old persona."""
    workloads = {w: i for i, w in enumerate(sorted({*new["workload_id"], *old["workload_id"]}))}
    news = [_summary(new.filter(pl.col("cluster") == c), workloads) for c in clusters]
    olds = [_summary(old.filter(pl.col("persona_id") == p), workloads) for p in ids]
    alike = np.full((len(news), len(olds)), -1.0)
    drift = np.zeros_like(alike)
    for row, (kind, weight, centre, spread) in enumerate(news):
        for column, (other_kind, other_weight, other_centre, other_spread) in enumerate(olds):
            if kind != other_kind or len(centre) != len(other_centre):
                continue
            union = np.maximum(weight, other_weight).sum()
            overlap = np.minimum(weight, other_weight).sum() / max(union, 1e-9)
            distance = float(np.linalg.norm(centre - other_centre)) / max(spread, other_spread, NARROWEST)
            alike[row, column] = OVERLAP_WEIGHT * overlap + (1 - OVERLAP_WEIGHT) * np.exp(-distance)
            drift[row, column] = distance
    return alike, drift


def _summary(patterns: pl.DataFrame, workloads: dict[str, int]) -> tuple[str, np.ndarray, np.ndarray, float]:
    """Kind, weight of each workload (0 to 1), centre, and root mean square distance from it."""
    weight = np.zeros(len(workloads))
    share = patterns["share"].to_numpy()
    np.add.at(weight, [workloads[w] for w in patterns["workload_id"]], share)
    points = np.array(patterns["features"].to_list(), dtype=float)
    centre = points.mean(axis=0)
    spread = float(np.sqrt(np.square(points - centre).sum(axis=1).mean()))
    return patterns["kind"][0], weight, centre, spread
