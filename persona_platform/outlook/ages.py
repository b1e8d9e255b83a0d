"""Age bins: how long a pattern has been played, in slots.

Exact up to 100 slots (a day and an hour at 15 minutes, so that a nightly job's rest of 22 h is one bin of its
own), then 12 % wide. Coarse bins, 40 % wide, carry what single ages cannot know.
"""

import numpy as np

EXACT = 100
FINE_RATIO = 1.12
COARSE_RATIO = 1.4
LONGEST = 6000  # slots: two months at 15 minutes; older is the last bin
BINS = EXACT + int(np.log(LONGEST / EXACT) / np.log(FINE_RATIO)) + 1
UNKNOWN = BINS
"""The bin of an age that was not seen: it changes nothing."""


def age_bin(age: np.ndarray) -> np.ndarray:
    """Fine bins of ages in slots; ages below 1 are unknown."""
    with np.errstate(divide="ignore", invalid="ignore"):
        tail = EXACT + np.log(np.maximum(age, EXACT + 1) / (EXACT + 1)) / np.log(FINE_RATIO)
    fine = np.where(age <= EXACT, age - 1, np.minimum(tail, BINS - 1)).astype(np.int64)
    return np.where(age < 1, UNKNOWN, fine)


def coarse_of_fine() -> np.ndarray:
    """The coarse bin of each fine one, as consecutive numbers."""
    exact = np.arange(1, EXACT + 1)
    tail = (EXACT + 1) * FINE_RATIO ** np.arange(BINS - EXACT)
    level = np.floor(np.log(np.concatenate([exact, tail])) / np.log(COARSE_RATIO) + 1e-9)
    return np.unique(level, return_inverse=True)[1]
