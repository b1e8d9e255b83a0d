"""How sure a comparison is: paired resampling of days and of targets, frontiers and all made anew each time.

A replicate draws UTC days with replacement, the same ones for every policy and target, and targets with replacement,
the same ones for every policy. A day is long against the lead time, so that what a decision does stays in its block
(block bootstrap, Kuensch 1989). Days that follow each other, and targets that share a load, are taken as independent:
the intervals are rather too narrow, those of a short recording most.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

import numpy as np

from persona_platform.replay.frontiers import along
from persona_platform.replay.outcomes import Outcome

CONFIDENCE = 0.95

CHUNK = 1_000_000
"""Settings times targets times replicates whose frontiers are made at once: below 100 MB of temporaries."""


@dataclass(frozen=True)
class Resamples:
    """What each replicate consists of.

    Attributes:
        days: (R, D) how often each day counts.
        targets: (R, T) indices of the targets drawn.
    """

    days: np.ndarray
    targets: np.ndarray


def resamples(days: int, targets: int, replicates: int, seed: int) -> Resamples:
    """Draws ``replicates`` of them."""
    rng = np.random.default_rng(seed)
    drawn = rng.integers(0, max(1, days), (replicates, days))
    counts = np.zeros((replicates, days))
    np.add.at(counts, (np.arange(replicates)[:, None], drawn), 1.0)
    return Resamples(counts, rng.integers(0, max(1, targets), (replicates, targets)))


def level_costs(outcome: Outcome, targets: Sequence[str], levels: Sequence[float], days: np.ndarray) -> np.ndarray:
    """(levels, targets, R) unit-hours billed at each unserved share; NaN where no setting serves so much.

    Args:
        outcome: of one policy.
        targets: the order wanted.
        levels: unserved shares.
        days: (R, D) weights; a row of ones gives the cost as it was.
    """
    parts = [np.zeros((len(levels), 0, len(days)))]
    for block in outcome.blocks:
        measured = block.measured
        hours = measured.billed * (measured.step / timedelta(hours=1)) + measured.start_price * measured.starts
        width = max(1, CHUNK // max(1, len(block.settings) * len(days)))
        for first in range(0, len(block.targets), width):
            part = slice(first, first + width)
            demand = measured.demand[part].astype(float) @ days.T
            unserved = measured.unserved[:, part].astype(float) @ days.T
            share = np.divide(unserved, demand, out=np.zeros_like(unserved), where=demand > 0)
            cost = hours[:, part].astype(float) @ days.T
            parts.append(np.stack([along(share, cost, level) for level in levels]))
    return np.concatenate(parts, axis=1)[:, outcome.place(targets)]


def cost_ratio(ours: np.ndarray, rival: np.ndarray) -> np.ndarray:
    """Ours over the rival's, elementwise; NaN where one does not reach the level or the rival pays nothing."""
    return np.divide(ours, rival, out=np.full(np.broadcast(ours, rival).shape, np.nan), where=rival > 0)


def gap_closed(ours: np.ndarray, reference: np.ndarray, clairvoyant: np.ndarray, least: float) -> np.ndarray:
    """(reference - ours) / (reference - clairvoyant): 0 at the reference, 1 at the optimum, negative if dearer.

    NaN where one of the three does not reach the level, or the gap is below ``least`` of the reference's cost.
    """
    gap = reference - clairvoyant
    return np.divide(reference - ours, gap, out=np.full(gap.shape, np.nan), where=gap > least * reference)


def median(values: np.ndarray) -> np.ndarray:
    """Over the first axis, NaN left out; NaN where nothing is left."""
    ordered = np.sort(values, axis=0)  # NaN last
    known = np.sum(~np.isnan(values), axis=0)
    low, high = np.maximum(known - 1, 0) // 2, known // 2
    if not len(ordered):
        return np.full(values.shape[1:], np.nan)
    high = np.minimum(high, len(ordered) - 1)
    middle = [np.take_along_axis(ordered, i[None], axis=0)[0] for i in (low, high)]
    return np.where(known > 0, (middle[0] + middle[1]) / 2, np.nan)


def total_ratio(ours: np.ndarray, rival: np.ndarray, price: np.ndarray) -> np.ndarray:
    """(...) sum of ours over sum of the rival's, over the targets (first axis) where both reach the level."""
    both = ~np.isnan(ours) & ~np.isnan(rival)
    paid = [np.where(both, cost * price, 0.0).sum(axis=0) for cost in (ours, rival)]
    return cost_ratio(paid[0], paid[1])


def redrawn(values: np.ndarray, drawn: Resamples) -> np.ndarray:
    """(T, R) with each replicate's own targets instead of all."""
    return np.take_along_axis(values, drawn.targets.T, axis=0)


def interval(replicates: np.ndarray, drawn: Resamples) -> tuple[float | None, float | None]:
    """The middle 95 % of a statistic's replicates.

    None where there is one target or one day only, or where fewer than half of the replicates have a value.
    """
    known = replicates[np.isfinite(replicates)]
    if drawn.days.shape[1] < 2 or drawn.targets.shape[1] < 2 or len(known) < max(1, len(replicates) / 2):
        return None, None
    low, high = np.quantile(known, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return float(low), float(high)


@dataclass(frozen=True)
class Estimate:
    """A number and its interval, None where there is none."""

    value: float | None
    low: float | None
    high: float | None

    def named(self, name: str) -> Mapping[str, float | None]:
        """As three entries."""
        return {name: self.value, f"{name}_low": self.low, f"{name}_high": self.high}


def estimate(value: float | np.ndarray, replicates: np.ndarray, drawn: Resamples) -> Estimate:
    """The statistic as measured, and its interval."""
    if not np.isfinite(value):
        return Estimate(None, None, None)
    return Estimate(float(value), *interval(replicates, drawn))
