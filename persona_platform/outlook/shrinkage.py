"""Shrinkage: rates pulled towards a prior by pseudo exposures, whose number the data choose.

A chain goes from the coarse to the fine (fleet, persona, workload; all week, hour, place of the day, place of
the week); each link adds its own counts to the rate of the one before. Strengths are chosen by the
leave-one-out likelihood: every exposure is judged by rates that have not seen it.
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np

CLIP = 1e-5
"""Rates stay within [CLIP, 1 - CLIP]: nothing seen a few hundred times is certain."""


def shrunk(events: np.ndarray, exposure: np.ndarray, prior: np.ndarray, strength: np.ndarray) -> np.ndarray:
    """Posterior mean rate of a Beta prior worth ``strength`` exposures; strength must be positive."""
    return (np.maximum(events, 0.0) + strength * prior) / (np.maximum(exposure, 0.0) + strength)


def logit(rate: np.ndarray) -> np.ndarray:
    """Log odds of a clipped rate."""
    rate = np.clip(rate, CLIP, 1.0 - CLIP)
    return np.log(rate / (1.0 - rate))


def expit(log_odds: np.ndarray) -> np.ndarray:
    """Inverse of :func:`logit`, safe for large values."""
    return 1.0 / (1.0 + np.exp(-np.clip(log_odds, -30.0, 30.0)))


def log_likelihood(happened: np.ndarray, log_odds: np.ndarray) -> np.ndarray:
    """Of each row."""
    return happened * log_odds - np.logaddexp(0.0, log_odds)


def choose(
    grids: Mapping[str, Sequence[float]],
    start: Mapping[str, float],
    score: Callable[[Mapping[str, float]], float],
    passes: int = 2,
) -> dict[str, float]:
    """Coordinate ascent over the grids of strengths: the best value of one, then of the next."""
    best = dict(start)
    top = score(best)
    for _ in range(passes):
        before = top
        for name, values in grids.items():
            for value in values:
                if value == best[name]:
                    continue
                trial = score({**best, name: value})
                if trial > top:
                    best, top = {**best, name: value}, trial
        if top <= before:
            break
    return best
