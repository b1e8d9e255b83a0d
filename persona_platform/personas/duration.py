"""Duration: how long activations last, from those that ended and those that were cut off."""

from typing import Final

import numpy as np

from persona_platform.personas.record import Duration

LONGEST_S: Final = 28 * 86_400
"""Survival is kept for four weeks at most: no horizon looks further."""


def survival(lengths: np.ndarray, censored: np.ndarray) -> np.ndarray:
    """P(lasts longer than i slots) for i = 0, 1, ... up to the longest (Kaplan and Meier 1958).

    ``lengths`` are whole slots, at least 1; ``censored`` says that only the lower bound is known. An
    activation whose start was not seen is taken as censored too: its whole length is at least what was seen.
    """
    if len(lengths) == 0:
        return np.ones(1)
    size = int(lengths.max()) + 1
    ended = np.bincount(lengths[~censored], minlength=size)
    at_risk = np.cumsum(np.bincount(lengths, minlength=size)[::-1])[::-1]
    return np.cumprod(1.0 - ended / np.maximum(at_risk, 1))


def duration(lengths: np.ndarray, censored: np.ndarray, slot_s: int) -> Duration:
    """The duration of a persona from its activations' lengths in slots."""
    curve = survival(lengths.astype(np.int64), censored.astype(bool))
    below = np.flatnonzero(curve <= 0.5)
    median = int(below[0]) if len(below) else len(curve) - 1
    kept = curve[: max(1, LONGEST_S // slot_s) + 1]
    return Duration(
        slot_s=slot_s,
        survival=[float(p) for p in kept],
        low=[float(p) for p in kept],
        high=[float(p) for p in kept],
        median_s=float(median * slot_s),
        mean_s=float(curve.sum() * slot_s) if len(lengths) else 0.0,
        censored=float(censored.mean()) if len(censored) else 0.0,
    )
