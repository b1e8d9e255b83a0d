"""Why a floor is not what was wanted: the words of ``bound_by``, and the code that stands for each in arrays."""

from enum import IntEnum
from typing import Final

import numpy as np


class Reason(IntEnum):
    """What bound a target; where more than one would, each guard says which of them it names."""

    NONE = 0
    PAUSE = 1
    MODE = 2
    STALE = 3
    HISTORY = 4
    UNSUITABLE = 5
    MAX = 6
    FAILURE = 7
    DEAD_BAND = 8
    COOLDOWN = 9
    STEP = 10
    BUDGET = 11
    APPROVAL = 12
    NOT_OURS = 13
    RENEWAL = 14


REASONS: Final = tuple(reason.name.lower() for reason in Reason)
"""The word for each code."""


def first_of(*guards: tuple[Reason, np.ndarray]) -> np.ndarray:
    """For each row the code of the first guard that holds there, else ``Reason.NONE``."""
    reason = np.zeros(len(guards[0][1]), dtype=np.int8)
    for code, holds in reversed(guards):
        reason[holds] = code
    return reason
