"""Headroom without a model: a rolling quantile of what a rule's guess fell short by, on top of the guess.

The same for the last value and the seasonal naive, so that what a forecast adds is told apart from what
the quantile adds.
"""

from dataclasses import dataclass
from datetime import timedelta

import numpy as np

from persona_platform.replay.engine import Recording
from persona_platform.replay.policies.base import sorted_quantiles, whole

LEVELS = (0.05, 0.2, 0.35, 0.5, 0.65, 0.8, 0.9, 0.95, 0.97, 0.985, 0.99, 0.995, 0.998, 0.999)
MAXIMUM_FACTORS = (1.0, 1.25, 1.5)

WINDOW = timedelta(days=14)

REFRESH = timedelta(hours=1)
"""The quantiles are taken anew this often, from the window before; in between they stand."""


@dataclass(frozen=True)
class Headroom:
    """The rule: levels of the rolling error quantile, then the window's largest error times factors.

    Errors are added to the guess, or scale it; both are swept. Which had the lower loss on a training part is
    a poor guide to the rare rises that decide at 0.1 % unserved: on worldcup98 that choice costs 1.7 times the
    better of the two.
    """

    levels: tuple[float, ...] = LEVELS
    maximum_factors: tuple[float, ...] = MAXIMUM_FACTORS

    def settings(self) -> list[str]:
        """A name for each setting."""
        return [
            f"{kind} {size}"
            for kind in ("added", "scaled")
            for size in (
                *(f"error P{100 * level:g}" for level in self.levels),
                *(f"largest error x {factor:g}" for factor in self.maximum_factors),
            )
        ]

    def desired(self, recording: Recording, guess: np.ndarray, truth: np.ndarray) -> np.ndarray:
        """(settings, targets, walked steps) whole units: the guess and its headroom.

        An error is known once the lead time and its own step are over. Before any is known there is no
        headroom.

        Args:
            recording: what is replayed.
            guess: (targets, steps) units, made at each step from what was read before it.
            truth: (targets, steps) units that would have been right, known a lead time and a step later.
        """
        added = truth - guess
        scaled = np.divide(added, guess, out=np.full_like(added, np.nan), where=guess > 0)
        window = max(1, WINDOW // recording.step)
        every = max(1, REFRESH // recording.step)
        first, sizes = recording.walked_from, len(self.levels) + len(self.maximum_factors)
        desired = np.empty((2, sizes, len(guess), recording.walked_steps), dtype=np.int32)
        for start in range(first, recording.steps, every):
            until = max(0, start - recording.lead_steps)
            known, now = slice(max(0, until - window), until), guess[:, start : start + every]
            steps = slice(start - first, start - first + every)
            desired[0, ..., steps] = whole(now + self._headroom(added[:, known])[..., None])
            desired[1, ..., steps] = whole(now + self._headroom(scaled[:, known])[..., None] * now)
        return desired.reshape(2 * sizes, *desired.shape[2:])

    def _headroom(self, errors: np.ndarray) -> np.ndarray:
        """(sizes, targets) from the errors of a window; 0 where there are none."""
        found = sorted_quantiles(np.sort(errors, axis=-1), np.array((*self.levels, 1.0)))
        most = np.multiply.outer(np.array(self.maximum_factors), np.maximum(found[-1], 0.0))
        return np.nan_to_num(np.concatenate([found[:-1], most]))
