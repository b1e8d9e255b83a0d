"""Identity: a persona keeps its id across refits, by who its members are and where its centre lies."""

from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl

from persona_platform.personas.flows import Side, comparable, flow, with_shares
from persona_platform.personas.lineage import LINEAGE, REFITS, Event, events, lineage_frame, refit_row

OVERLAP_WEIGHT: Final = 0.7
"""Members speak louder than the centre: features move with the data, members rarely all leave."""
NARROWEST: Final = 0.2
"""Least spread of a persona that distances are counted in: clustering.FLOOR over six components."""
LEAST_LIKENESS: Final = 0.25
"""Below this a cluster is a new persona. A third of the members shared at no great distance is about 0.4."""


@dataclass(frozen=True)
class Identity:
    """For each new cluster: its id, the version it gets, its drift (0 when new); and the last number used.

    ``lineage`` is LINEAGE of this refit, its ``trained_until`` null.
    """

    ids: list[str]
    versions: list[int]
    drifts: list[float]
    last_id: int
    lineage: pl.DataFrame


@dataclass(frozen=True)
class _Pairing:
    """Old and new personas of one kind: their names, what went where, and which were found again."""

    clusters: list[int]
    olds: list[str]
    went: np.ndarray  # (old, new) shares of workloads' slots
    old: np.ndarray  # (old,) shares in all
    new: np.ndarray
    ids: dict[int, str]
    drifts: dict[int, float]

    def events(self, ids: dict[int, str]) -> list[Event]:
        """What became of them."""
        names = [ids[c] for c in self.clusters]
        return events(self.went, self.old, self.new, self.olds, names, [self.drifts.get(c, 0.0) for c in self.clusters])


def identities(
    patterns: pl.DataFrame,
    previous: pl.DataFrame | None,
    versions: dict[str, int],
    last_id: int,
    version: int = 1,
) -> Identity:
    """Ids for the clusters 0, 1, ... of ``patterns`` (workload_id, kind, cluster, slots, features).

    ``previous`` has the same columns with ``persona_id`` for ``cluster``; ``versions`` are of its personas.
    Either may bring ``share`` (of the workload's slots); otherwise it is taken over the patterns given.
    Old and new of one kind are paired so that the sum of their likeness is greatest (Kuhn 1955).
    ``version`` is that of the new catalog.
    """
    clusters = sorted(patterns["cluster"].unique().to_list())
    before = patterns.clear().drop("cluster").with_columns(persona_id=pl.lit("")) if previous is None else previous
    now, before = with_shares(patterns), with_shares(before)
    kinds = sorted({*now["kind"], *before["kind"]})
    paired = [_paired(now.filter(kind=kind), before.filter(kind=kind)) for kind in kinds]
    ids = {c: name for pairing in paired for c, name in pairing.ids.items()}
    drifts = {c: drift for pairing in paired for c, drift in pairing.drifts.items()}
    for name in clusters:
        if name not in ids:
            last_id += 1
            ids[name] = f"p{last_id:03d}"
    return Identity(
        [ids[c] for c in clusters],
        [versions.get(ids[c], 0) + 1 for c in clusters],
        [drifts.get(c, 0.0) for c in clusters],
        last_id,
        lineage_frame((event for pairing in paired for event in pairing.events(ids)), version),
    )


def _paired(new: pl.DataFrame, old: pl.DataFrame) -> _Pairing:
    """The clusters of one kind that are old personas found again, with their drift."""
    from scipy.optimize import linear_sum_assignment

    clusters, olds = sorted(new["cluster"].unique()), sorted(old["persona_id"].unique())
    after, before = Side.of(new, "cluster", list(clusters)), Side.of(old, "persona_id", list(olds))
    shares = flow(before, after)
    went = np.zeros((len(olds), len(clusters)))
    np.add.at(went, (before.persona[shares.old], after.persona[shares.new]), shares.share)
    had, has = _sums(before.persona, before.share, len(olds)), _sums(after.persona, after.share, len(clusters))
    union = had[:, None] + has[None, :] - went
    overlap = went / np.maximum(union, 1e-12)
    if comparable(before, after):
        distance = _distances(before, len(olds), after, len(clusters))
        alike = OVERLAP_WEIGHT * overlap + (1 - OVERLAP_WEIGHT) * np.exp(-distance)
    else:  # features of another make: members alone, and no drift that could be measured
        distance, alike = np.zeros_like(overlap), overlap
    ids: dict[int, str] = {}
    drifts: dict[int, float] = {}
    for row, column in zip(*linear_sum_assignment(-alike), strict=True):
        if alike[row, column] >= LEAST_LIKENESS:
            ids[clusters[column]], drifts[clusters[column]] = olds[row], float(distance[row, column])
    return _Pairing(clusters, olds, went, had, has, ids, drifts)


def _sums(group: np.ndarray, value: np.ndarray, groups: int) -> np.ndarray:
    return np.bincount(group, weights=value, minlength=groups)[:groups]


def _distances(old: Side, olds: int, new: Side, news: int) -> np.ndarray:
    """(old, new) distances of centres, in the larger of the two spreads (root mean square around the centre)."""
    (here, spread), (there, other) = _centres(old, olds), _centres(new, news)
    apart = np.sqrt(np.square(here[:, None, :] - there[None, :, :]).sum(axis=2))
    return apart / np.maximum(np.maximum(spread[:, None], other[None, :]), NARROWEST)


def _centres(side: Side, groups: int) -> tuple[np.ndarray, np.ndarray]:
    """(groups, columns) mean features of the personas, and (groups,) root mean square distances from them."""
    count = np.maximum(np.bincount(side.persona, minlength=groups), 1)
    sums = np.zeros((groups, side.points.shape[1]))
    np.add.at(sums, side.persona, side.points)
    centres = sums / count[:, None]
    away = np.square(side.points - centres[side.persona]).sum(axis=1)
    return centres, np.sqrt(_sums(side.persona, away, groups) / count)


__all__ = ["LINEAGE", "REFITS", "Identity", "identities", "refit_row"]
