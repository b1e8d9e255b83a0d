"""Duration: how long activations last, from those that ended and those that were cut off."""

from typing import Final

import numpy as np

from persona_platform.personas.record import Duration

LONGEST_S: Final = 28 * 86_400
"""Survival is kept for four weeks at most: no horizon looks further."""
Z: Final = 1.959964
UNSURE: Final = 0.025


def survival(lengths: np.ndarray, censored: np.ndarray) -> np.ndarray:
    """P(lasts longer than i slots) for i = 0, 1, ... up to the longest (Kaplan and Meier 1958).

    ``lengths`` are whole slots, at least 1; ``censored`` says that only the lower bound is known. An
    activation whose start was not seen is taken as censored too: its whole length is at least what was seen.
    """
    if len(lengths) == 0:
        return np.ones(1)
    ended, at_risk = _counts(lengths, censored)
    return np.cumprod(1.0 - ended / np.maximum(at_risk, 1))


def _counts(lengths: np.ndarray, censored: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    size = int(lengths.max()) + 1
    ended = np.bincount(lengths[~censored], minlength=size)
    return ended, np.cumsum(np.bincount(lengths, minlength=size)[::-1])[::-1]


def band(lengths: np.ndarray, censored: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The 95 % interval of each point of :func:`survival`: Greenwood's variance of log(-log S).

    Where none has ended yet, or all have, that variance is nothing; there the bound is the probability that
    ``n`` activations in a row would still have happened by chance with 2.5 %.
    """
    if len(lengths) == 0:
        return np.zeros(1), np.ones(1)
    ended, at_risk = _counts(lengths, censored)
    curve = np.cumprod(1.0 - ended / np.maximum(at_risk, 1))
    with np.errstate(divide="ignore", invalid="ignore"):
        steps = np.where(at_risk > ended, ended / (at_risk * (at_risk - ended)), 0.0)
        log = np.log(curve)
        spread = np.exp(Z * np.sqrt(np.cumsum(steps)) / np.abs(log))
        low, high = curve**spread, curve ** (1.0 / spread)
    chance = UNSURE ** (1.0 / np.maximum(at_risk, 1))
    low = np.where(curve >= 1.0, chance, np.where(curve <= 0.0, 0.0, low))
    high = np.where(curve >= 1.0, 1.0, np.where(curve <= 0.0, 1.0 - chance, high))
    low[0] = high[0] = 1.0
    low = np.minimum(np.minimum.accumulate(low), curve)
    # From the end: a later point may only lower what is thought possible, never lift it.
    return low, np.maximum(np.minimum.accumulate(high), curve)


def duration(lengths: np.ndarray, censored: np.ndarray, slot_s: int) -> Duration:
    """The duration of a persona from its activations' lengths in slots."""
    lengths, censored = lengths.astype(np.int64), censored.astype(bool)
    curve = survival(lengths, censored)
    low, high = band(lengths, censored)
    below = np.flatnonzero(curve <= 0.5)
    median = int(below[0]) if len(below) else len(curve) - 1
    kept = slice(0, max(1, LONGEST_S // slot_s) + 1)
    return Duration(
        slot_s=slot_s,
        survival=curve[kept].tolist(),
        low=low[kept].tolist(),
        high=high[kept].tolist(),
        median_s=float(median * slot_s),
        mean_s=float(curve.sum() * slot_s) if len(lengths) else 0.0,
        censored=float(censored.mean()) if len(censored) else 0.0,
    )
