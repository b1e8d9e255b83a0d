"""What was there a cycle ago: the previous day times a factor, and the seasonal naive with headroom.

Cycles are counted in steps, so in UTC: where clocks change, local habits are an hour off for one cycle.
"""

from dataclasses import dataclass, field
from datetime import timedelta

import numpy as np

from persona_platform.replay.engine import Recording, ahead
from persona_platform.replay.policies.base import last_known, whole
from persona_platform.replay.policies.headroom import Headroom

DAY = timedelta(days=1)
CYCLES = {"day": DAY, "week": 7 * DAY}

FACTORS = (0.8, 0.9, 1.0, 1.1, 1.2, 1.35, 1.5, 1.75, 2.0, 2.5, 3.0)


@dataclass(frozen=True)
class PreviousDay:
    """The most that was needed at the same time of the day before, from now to the lead time ahead, times a factor."""

    factors: tuple[float, ...] = FACTORS
    name: str = "previous_day"

    def settings(self, recording: Recording) -> list[str]:
        """A name for each setting of the sweep."""
        return [f"yesterday x {factor:g}" for factor in self.factors]

    def desired(self, recording: Recording) -> np.ndarray:
        """(settings, targets, walked steps) whole units asked for."""
        guess = cycle_ago(recording, DAY)[:, recording.walked_from :]
        return np.stack([whole(factor * guess) for factor in self.factors])


@dataclass(frozen=True)
class SeasonalNaive:
    """The most that was needed in the same slots a day or a week ago, with a rolling quantile of its errors.

    Both cycles are swept: the better one for a target is picked with hindsight, like the level.
    """

    cycles: tuple[str, ...] = tuple(CYCLES)
    headroom: Headroom = field(default_factory=Headroom)
    name: str = "seasonal_naive"

    def settings(self, recording: Recording) -> list[str]:
        """A name for each setting of the sweep."""
        return [f"{cycle} ago, {setting}" for cycle in self.cycles for setting in self.headroom.settings()]

    def desired(self, recording: Recording) -> np.ndarray:
        """(settings, targets, walked steps) whole units asked for."""
        truth = needed_until_lead(recording)
        guesses = (cycle_ago(recording, CYCLES[cycle]) for cycle in self.cycles)
        return np.concatenate([self.headroom.desired(recording, guess, truth) for guess in guesses])


def needed_until_lead(recording: Recording) -> np.ndarray:
    """(targets, steps) the largest demand from a step to the lead time ahead; NaN where none was read or none is left.

    A size that is asked for now holds from now to the lead time ahead: units dropped now are missing at
    once, and units asked for now are there only then.
    """
    unread = np.isnan(recording.demand)
    most = ahead(np.where(unread, -np.inf, recording.demand), recording.lead_steps)
    most[:, max(0, recording.steps - recording.lead_steps) :] = np.nan
    return np.where(np.isneginf(most), np.nan, most)


def cycle_ago(recording: Recording, cycle: timedelta) -> np.ndarray:
    """(targets, steps) the largest reading a cycle before the steps from now to the lead time ahead.

    Where it was not read, the cycle before that, and so on; where none was, the last known reading. With a
    lead time above the cycle, the newest cycle that was over.
    """
    period = max(1, round(cycle / recording.step))
    targets, steps = recording.demand.shape
    cycles = -(-steps // period)
    padded = np.full((targets, cycles * period), np.nan)
    padded[:, :steps] = recording.demand
    by_cycle = _filled(padded.reshape(targets, cycles, period)).reshape(padded.shape)
    known = last_known(recording.demand)
    most = np.full((targets, steps), -np.inf)
    for lead in range(min(recording.lead_steps, steps - 1) + 1):
        # A reading of step t + lead - back is known at t only if back is more than the lead.
        back = period * (lead // period + 1) - lead
        guess = known.copy()
        seen = by_cycle[:, : max(0, steps - back)]
        guess[:, back:] = np.where(np.isnan(seen), known[:, back:], seen)
        np.maximum(most, guess, out=most)
    return most


def _filled(by_cycle: np.ndarray) -> np.ndarray:
    """(targets, cycles, slots) with unread slots held from the cycle before."""
    cycles = np.arange(by_cycle.shape[1])[None, :, None]
    newest = np.maximum.accumulate(np.where(np.isnan(by_cycle), 0, cycles), axis=1)
    return np.take_along_axis(by_cycle, newest, axis=1)
