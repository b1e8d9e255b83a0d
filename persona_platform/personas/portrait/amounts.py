"""Amounts: quantiles of a need over slots, with what is not known of them.

A quantile is Kaplan and Meier's: a saturated slot needed at least what was seen. Its interval asks what other
members would have shown: members are the sampling unit, drawn anew with random weights (Rubin 1981), together
with a few that were never seen (a Dirichlet process): shaped like a seen one, but standing higher or lower, as
members of the catalog's personas differ. So few members give a wide interval and many a narrow one.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from persona_platform.personas.portrait.histograms import NOTHING, STEP, amounts
from persona_platform.personas.record import REQUIREMENT_QUANTILES

DRAWS: Final = 400
UNSEEN: Final = 1.0
"""How many unseen members are reckoned with."""
STICKS: Final = 4
"""Into how many the unseen are parted."""
GROUPS: Final = 150
"""Members are drawn in at most this many groups, put together at random."""
PRIOR: Final = 3.0
"""Members' worth of belief that a persona's members differ as those of the others do."""
LEAST: Final = 0.03
"""Members differ at least this much, in the logarithm."""
UNKNOWN: Final = 0.3**2
"""The variance of heights between members when no persona has two."""
INTERVAL: Final = (0.025, 0.975)


@dataclass(frozen=True)
class NeedCounts:
    """One need of a persona: slots by member and bin (members, bins); ``first`` is the first bin's number.

    ``zero`` (members,) are slots in which nothing was needed; they lie below the first bin.
    """

    first: int
    seen: np.ndarray
    capped: np.ndarray
    zero: np.ndarray

    @staticmethod
    def of(member: np.ndarray, place: np.ndarray, n: np.ndarray, least: np.ndarray, members: int) -> "NeedCounts":
        """From a sparse histogram: the number of the member of each row, its bin, and its two counts."""
        none = place <= NOTHING
        zero = np.bincount(member[none], (n + least)[none], minlength=members)
        if none.all():
            return NeedCounts(0, np.zeros((members, 1)), np.zeros((members, 1)), zero)
        member, place, n, least = member[~none], place[~none], n[~none], least[~none]
        first = int(place.min())
        width = int(place.max()) - first + 1
        cell = member * width + (place - first)
        shape = (members, width)
        return NeedCounts(
            first,
            np.bincount(cell, n, minlength=members * width).reshape(shape),
            np.bincount(cell, least, minlength=members * width).reshape(shape),
            zero,
        )

    @property
    def slots(self) -> np.ndarray:
        """(members,) slots in all."""
        return self.seen.sum(axis=1) + self.capped.sum(axis=1) + self.zero

    def heights(self) -> np.ndarray:
        """(members,) mean log of what was needed, NaN for a member that needed nothing."""
        n = self.seen + self.capped
        with np.errstate(invalid="ignore", divide="ignore"):
            return n @ ((self.first + np.arange(n.shape[1])) * STEP) / n.sum(axis=1)


def survival(seen: np.ndarray, capped: np.ndarray, zero: np.ndarray) -> np.ndarray:
    """P(need > bin) by Kaplan and Meier: (..., bins) counts seen and capped, (...) slots of no need."""
    at_risk = np.cumsum((seen + capped)[..., ::-1], axis=-1)[..., ::-1]
    with np.errstate(invalid="ignore", divide="ignore"):
        stays = np.where(at_risk > 0, 1.0 - seen / at_risk, 0.0)
    whole = at_risk[..., 0] + zero
    return np.cumprod(stays, axis=-1) * (at_risk[..., 0] / np.maximum(whole, 1e-12))[..., None]


def at_quantiles(curve: np.ndarray, first: int, levels: tuple[float, ...] = REQUIREMENT_QUANTILES) -> np.ndarray:
    """(..., levels) amounts at which a (..., bins) survival curve falls to 1 - level.

    A curve that never does, since the highest slots were saturated, ends at the highest bin.
    """
    above = [(curve > 1.0 - level + 1e-9).sum(axis=-1) for level in levels]
    return amounts(first + np.minimum(np.stack(above, axis=-1), curve.shape[-1] - 1))


def quantiles(counts: NeedCounts) -> np.ndarray:
    """The quantiles of a need over all members' slots."""
    seen, capped, zero = counts.seen.sum(axis=0), counts.capped.sum(axis=0), counts.zero.sum()
    return _with_nothing(survival(seen, capped, zero), zero / max(counts.slots.sum(), 1e-12), counts.first)


def _with_nothing(curve: np.ndarray, none: np.ndarray | float, first: int) -> np.ndarray:
    found = at_quantiles(curve, first)
    return np.where(np.asarray(none)[..., None] >= np.array(REQUIREMENT_QUANTILES) - 1e-9, 0.0, found)


def mean(counts: NeedCounts) -> float:
    """The mean, a curve that does not end taken to end at its highest bin."""
    curve = survival(counts.seen.sum(axis=0), counts.capped.sum(axis=0), counts.zero.sum())
    curve = np.concatenate([[1.0 - counts.zero.sum() / max(counts.slots.sum(), 1e-12)], curve])
    mass = -np.diff(curve)
    mass[-1] += curve[-1]
    return float(mass @ amounts(counts.first + np.arange(len(mass))))


def differences(counts: NeedCounts) -> tuple[float, int]:
    """How much members differ: the variance of their heights, and its degrees of freedom."""
    heights = counts.heights()
    heights = heights[np.isfinite(heights)]
    return (float(heights.var(ddof=1)), len(heights) - 1) if len(heights) > 1 else (0.0, 0)


def interval(
    counts: NeedCounts, pooled: float, shared: float, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """The 95 % interval of each quantile.

    ``pooled`` is the variance of heights between members of one persona over the catalog, ``shared`` the
    standard deviation by which all members may have stood too high or low together in the window.
    """
    own, degrees = differences(counts)
    freedom = degrees + PRIOR
    apart = np.sqrt(max((own * degrees + pooled * PRIOR) / freedom, LEAST**2))
    grouped = _grouped(counts, rng)
    seen, capped, zero, pad = _drawn(grouped, apart, freedom, rng)
    shift = np.exp(shared * rng.standard_normal(DRAWS))[:, None]
    total = np.maximum(seen.sum(axis=1) + capped.sum(axis=1) + zero, 1e-12)
    drawn = _with_nothing(survival(seen, capped, zero), zero / total, grouped.first - pad) * shift
    low, high = np.quantile(drawn, INTERVAL, axis=0)
    point = quantiles(counts)
    return (
        np.maximum.accumulate(np.minimum(low, point)),
        np.maximum.accumulate(np.maximum(high, point)),
    )


def _grouped(counts: NeedCounts, rng: np.random.Generator) -> NeedCounts:
    """Members put together at random into at most GROUPS: the spread of groups is that of their members."""
    members = len(counts.zero)
    if members <= GROUPS:
        return counts
    group = rng.permutation(members) % GROUPS
    order = np.argsort(group, kind="stable")
    starts = np.searchsorted(group[order], np.arange(GROUPS))
    seen, capped, zero = (
        np.add.reduceat(part[order], starts, axis=0) for part in (counts.seen, counts.capped, counts.zero)
    )
    return NeedCounts(counts.first, seen, capped, zero)


def _drawn(
    counts: NeedCounts, apart: float, freedom: float, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray, int]:
    """(DRAWS, bins) weighted counts seen and capped, (DRAWS,) of nothing, and how many bins came in below."""
    members = len(counts.zero)
    weights = rng.standard_exponential((DRAWS, members))
    picks = rng.integers(0, members, (DRAWS, STICKS))
    unseen = rng.gamma(UNSEEN / STICKS, size=(DRAWS, STICKS))
    heights = counts.heights()
    middle = np.nanmean(heights) if np.isfinite(heights).any() else 0.0
    off = np.nan_to_num(middle - heights)[picks]
    tail = apart * np.sqrt(1.0 + 1.0 / members) * rng.standard_t(freedom, (DRAWS, STICKS))
    moves = np.rint(np.clip(off + tail, -6.0, 6.0) / STEP).astype(int)
    pad = int(np.abs(moves).max())
    width = counts.seen.shape[1] + 2 * pad
    drawn = []
    for part in (counts.seen, counts.capped):
        whole = np.zeros((DRAWS, width))
        whole[:, pad : width - pad] = weights @ part
        source = np.pad(part, ((0, 0), (pad, pad)))
        for j in range(STICKS):
            at = np.arange(width)[None, :] - moves[:, j, None]
            inside = (at >= 0) & (at < width)
            whole += unseen[:, j, None] * np.where(inside, source[picks[:, j, None], np.clip(at, 0, width - 1)], 0.0)
        drawn.append(whole)
    zero = weights @ counts.zero + (unseen * counts.zero[picks]).sum(axis=1)
    return drawn[0], drawn[1], zero, pad
