"""Complements: personas whose peaks do not meet, so that capacity shared by both is less than the sum."""

from typing import Final

import numpy as np

from persona_platform.personas.record import Complement

MOST: Final = 5
LEAST: Final = 0.02
"""A saving below this is none."""


def complements(weeks: np.ndarray, mains: list[str], ids: list[str]) -> list[list[Complement]]:
    """For each persona those that save most beside it.

    ``weeks`` is (personas, 168) expected demand by hour of the week, in the main need ``mains``. Both are
    taken at equal means, so that a small persona is not drowned; only the same need can be shared.
    """
    mean = weeks.mean(axis=1, keepdims=True)
    level = np.where(mean > 0, weeks / np.where(mean > 0, mean, 1.0), 0.0)
    peak = level.max(axis=1)
    found = []
    for a, row in enumerate(level):
        both = (level + row).max(axis=1)
        saving = 1.0 - both / np.maximum(peak + peak[a], 1e-12)
        order = sorted(range(len(ids)), key=lambda b: (-saving[b], ids[b]))
        found.append(
            [
                Complement(ids[b], float(saving[b]))
                for b in order
                if b != a and mains[b] == mains[a] and mean[a] > 0 and mean[b] > 0 and saving[b] >= LEAST
            ][:MOST]
        )
    return found
