"""Segments: histograms of many workloads cut into classes at once, and which cuts are believed.

The cut that leaves the least squares within classes is exact on a histogram, by dynamic programming over its
bins (Fisher 1958; Otsu's threshold is the case of two classes).
"""

from itertools import pairwise
from typing import Final, NamedTuple

import numpy as np

BINS: Final = 96
SEPARATION: Final = 3.8
"""Gap between two classes in standard deviations within them. Halves of a normal lie 2.7 apart, of a uniform
3.5, the day and night of a sine 4.1: below this a cut only halves one hump."""
NOISE_GAP: Final = 3.0
"""The gap in standard deviations of the slot-to-slot noise."""
LEAST_GAP: Final = float(np.log(1.3))
"""A level is at least this much above the one below, in log."""
BATCH: Final = 512
"""Workloads at a time: their tables of costs take about 40 MB."""


class Cut(NamedTuple):
    """Where a workload's log heights are cut, and how far apart the classes are (0 when there is one)."""

    thresholds: list[float]
    centres: list[float]
    merit: float


def best_cuts(counts: np.ndarray, low: np.ndarray, width: np.ndarray, noise: np.ndarray, most: int) -> list[Cut]:
    """The believed cut of each row of ``counts`` (workloads, BINS) into at most ``most`` classes.

    Candidates are the exact cuts into 2 to ``most`` + 1 classes, with bins weighted by their counts and by
    the square roots of them: a job that runs four hours a month is lost under the first weight, not under
    the second. Each is pruned of cuts that are not believed; the one with most classes left wins, then the
    widest gap.
    """
    found: list[Cut] = []
    for at in range(0, len(counts), BATCH):
        part = slice(at, at + BATCH)
        edges = [cut for weight in (counts[part], np.sqrt(counts[part])) for cut in _exact_cuts(weight, most + 1)]
        for row in range(len(counts[part])):
            options = {tuple(int(e) for e in cut[row]) for cut in edges}
            w = at + row
            height = low[w] + width[w] * (np.arange(BINS) + 0.5)
            tried = [_pruned(counts[w], height, noise[w], list(o), most) for o in sorted(options)]
            found.append(max(tried, key=lambda c: (len(c.centres), c.merit)))
    return found


def _exact_cuts(weight: np.ndarray, most: int) -> list[np.ndarray]:
    """For 2 to ``most`` classes: the first bins of the second and later classes, (workloads, classes - 1)."""
    position = np.arange(BINS) / BINS
    sums = [np.cumsum(np.pad(weight * position**p, ((0, 0), (1, 0))), axis=1) for p in range(3)]
    n, s, q = (c[:, None, 1:] - c[:, :-1, None] for c in sums)  # of bins i..j, at [:, i, j]
    with np.errstate(divide="ignore", invalid="ignore"):
        cost = np.where(n > 0, q - s * s / n, 0.0)
    cost[:, np.tri(BINS, k=-1, dtype=bool)] = np.inf
    best = cost[:, 0, :]
    backs: list[np.ndarray] = []
    cuts = []
    for _ in range(2, most + 1):
        total = np.pad(best[:, :-1], ((0, 0), (1, 0)), constant_values=np.inf)[:, :, None] + cost
        backs.append(total.argmin(axis=1))
        best = total.min(axis=1)
        end = np.full(len(weight), BINS - 1)
        starts = []
        for back in reversed(backs):
            first = back[np.arange(len(weight)), end]
            starts.append(first)
            end = np.maximum(first - 1, 0)
        cuts.append(np.stack(starts[::-1], axis=1))
    return cuts


def _pruned(counts: np.ndarray, height: np.ndarray, noise: float, starts: list[int], most: int) -> Cut:
    """The cut without the thresholds that part too little, the weakest taken away first.

    ``counts`` and ``height`` (of the middles) are by bin, ``starts`` the first bins of the classes above.
    """
    width = float(height[1] - height[0])
    bounds = [0, *sorted({s for s in starts if 0 < s < BINS}), BINS]
    while True:
        classes = [_moments(counts[a:b], height[a:b]) for a, b in pairwise(bounds)]
        merits = [_merit(a, b, noise, width) for a, b in pairwise(classes)]
        if not merits or (min(merits) >= 1.0 and len(merits) < most):
            break
        del bounds[int(np.argmin(merits)) + 1]
    centres = [c[1] for c in classes]
    middles = [(a + b) / 2 for a, b in pairwise(centres)]
    return Cut(middles, centres, min(merits, default=0.0))


def _moments(counts: np.ndarray, value: np.ndarray) -> tuple[float, float, float]:
    """Count, mean and variance of a class."""
    n = float(counts.sum())
    if n == 0:
        return 0.0, float(value.mean()), 0.0
    mean = float(counts @ value) / n
    return n, mean, float(counts @ (value - mean) ** 2) / n


def _merit(below: tuple[float, float, float], above: tuple[float, float, float], noise: float, width: float) -> float:
    """How well two neighbours are told apart: at least 1 is believed.

    Slot-to-slot noise is taken off the variance within, since hysteresis deals with it; a class of one slot
    is no level.
    """
    if min(below[0], above[0]) < 2:
        return 0.0
    gap = above[1] - below[1]
    within = max((below[2] + above[2]) / 2 - 0.7 * noise**2, width**2 / 12, (0.02 * gap) ** 2)
    return float(min(gap / np.sqrt(within) / SEPARATION, gap / max(noise * NOISE_GAP, 1e-9), gap / LEAST_GAP))
