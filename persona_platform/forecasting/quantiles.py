"""Arithmetic of quantiles: between levels, in order, and scored.

Whatever turns some quantiles into others belongs here; whatever estimates them from data does not.
"""

from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtri

Floats = NDArray[np.float64]

LEVELS: Final = (0.1, 0.5, 0.9, 0.95, 0.99)
"""The quantiles that a gradient-boosted model is trained for; the others lie between them."""

_EDGE: Final = 1e-4  # levels are kept this far from 0 and 1, where the normal score is infinite


def normal_scores(levels: ArrayLike) -> Floats:
    """The standard normal quantile of each level, the axis on which quantiles are interpolated."""
    return ndtri(np.clip(np.asarray(levels, dtype=np.float64), _EDGE, 1 - _EDGE))


def at_levels(quantiles: Floats, known: ArrayLike, wanted: ArrayLike) -> Floats:
    """Quantiles at the wanted levels, from (..., known) to (..., wanted).

    Sorted first, so that they never cross, then linear in the normal score: a normal distribution is kept
    exactly, and beyond the outermost known levels the last slope goes on instead of ending in a cliff. A
    single known level is taken for all.
    """
    ordered = np.sort(np.asarray(quantiles, dtype=np.float64), axis=-1)
    have, want = normal_scores(known), normal_scores(wanted)
    if have.size == 1:
        return np.repeat(ordered, want.size, axis=-1)
    left = np.clip(np.searchsorted(have, want, side="right") - 1, 0, have.size - 2)
    share = (want - have[left]) / (have[left + 1] - have[left])
    low, high = ordered[..., left], ordered[..., left + 1]
    return low + share * (high - low)


def sorted_quantiles(ordered: Floats, levels: ArrayLike) -> Floats:
    """Quantiles (..., levels) of samples sorted along the last axis with NaN at the end.

    The order statistic at ``level * (n + 1)``, as in conformal prediction, so that a high level of few
    samples is their maximum and not something below it. NaN where there is no sample.
    """
    wanted = np.asarray(levels, dtype=np.float64)
    if ordered.shape[-1] == 0:
        return np.full((*ordered.shape[:-1], wanted.size), np.nan)
    count = np.sum(~np.isnan(ordered), axis=-1, keepdims=True)
    place = np.clip(wanted * (count + 1) - 1, 0, np.maximum(count - 1, 0))
    low = np.floor(place).astype(np.int64)
    high = np.minimum(low + 1, np.maximum(count - 1, 0))
    below = np.take_along_axis(ordered, low, axis=-1)
    above = np.take_along_axis(ordered, high, axis=-1)
    return below + (place - low) * (above - below)


def pinball(actual: ArrayLike, quantile: ArrayLike, level: ArrayLike) -> Floats:
    """The pinball loss of each forecast quantile, in the unit of the values; NaN where one is NaN."""
    short = np.asarray(actual, dtype=np.float64) - np.asarray(quantile, dtype=np.float64)
    return np.maximum(np.asarray(level) * short, (np.asarray(level) - 1.0) * short)
