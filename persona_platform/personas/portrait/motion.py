"""Motion: how the main need moves within an activation, as one word and one number."""

from typing import Final

import numpy as np

PLACES: Final = 8
"""Parts of an activation, from its start to its end."""
SHORTEST: Final = 4
"""Slots that an activation has at least, to have a shape."""
FLAT: Final = 0.18
"""Logarithm between the highest and the lowest part, up to which a need is flat: a fifth."""


def profiles(lengths: np.ndarray, row: np.ndarray, rows: int, log: np.ndarray) -> np.ndarray:
    """How the main need moves within activations, (patterns, PLACES, 2).

    By part of the activation: the log of the main need about the activation's mean, summed, and how many slots
    that is. ``lengths`` are slots of each episode in order, ``row`` and ``log`` are of each slot.
    """
    whole = np.repeat(lengths, lengths)
    first = np.cumsum(lengths) - lengths
    place = (np.arange(len(row)) - np.repeat(first, lengths)) * PLACES // np.maximum(whole, 1)
    episode = np.repeat(np.arange(len(lengths)), lengths)
    kept = np.isfinite(log) & (whole >= SHORTEST)
    n = np.maximum(np.bincount(episode[kept], minlength=len(lengths)), 1)
    mean = np.bincount(episode[kept], log[kept], minlength=len(lengths)) / n
    cell = row[kept] * PLACES + place[kept]
    size = rows * PLACES
    moved = np.bincount(cell, log[kept] - mean[episode[kept]], minlength=size)
    return np.stack([moved, np.bincount(cell, minlength=size)], axis=1).reshape(rows, PLACES, 2)


def shape(profile: np.ndarray) -> str:
    """flat, ramp, wave or spike, from a persona's summed (PLACES, 2) profile.

    A spike stands a fifth above everything but one part; a ramp goes one way from its start to its end.
    The last slot of a job is only partly used, so a profile's ends count less than its middle.
    """
    n = profile[:, 1]
    if (n <= 0).any():
        return "flat"
    height = profile[:, 0] / n
    if np.ptp(height[:-1]) <= FLAT and height[-1] <= height[:-1].max() + FLAT:
        return "flat"
    ordered = np.sort(height)
    if ordered[-1] - ordered[-3] > 2 * FLAT and ordered[-1] - ordered[-3] > ordered[-3] - ordered[0]:
        return "spike"
    steps = np.diff(height)
    return "ramp" if abs(steps.sum()) >= 0.8 * np.abs(steps).sum() else "wave"
