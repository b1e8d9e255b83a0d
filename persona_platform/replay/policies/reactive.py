"""Target tracking by the rules of the Kubernetes horizontal autoscaler: plain, and tuned with hindsight."""

from dataclasses import dataclass
from datetime import timedelta

import numpy as np

from persona_platform.replay.engine import Recording
from persona_platform.replay.policies.base import MOST_UNITS, training_quantiles, whole

UTILIZATIONS = tuple(round(0.4 + 0.05 * i, 2) for i in range(12))
"""Target utilizations of a reactive autoscaler: 0.40, 0.45, ... 0.95."""

# Kubernetes HPA defaults (v2 API): tolerance 10 %, downscale stabilization 300 s, and per 15 s of scaling up
# the larger of doubling and 4 more. Scaling down is not limited.
HPA_TOLERANCE = 0.1
HPA_STABILIZATION = timedelta(seconds=300)
HPA_SYNC = timedelta(seconds=15)
HPA_UP_UNITS = 4

FLOOR_QUANTILES = (0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99)


def follow(
    recording: Recording, utilization: np.ndarray, windows: tuple[timedelta, ...], floor: np.ndarray
) -> np.ndarray:
    """Kubernetes HPA rules, synchronized once a step on the reading of the step before.

    ``desired = ceil(current * (demand / current) / target)``, ignored within the tolerance; limited
    upward to what the syncs of one step allow; downward to the largest recommendation of the window.
    Demand above the usable capacity is seen in full, which is kinder to the rule than a utilization that
    stops at 100 %. An unread step changes nothing, as a failed metric does.

    Args:
        recording: what is replayed.
        utilization: (settings,) target utilization.
        windows: downscale stabilization windows; the settings are walked once with each.
        floor: (windows, settings, targets, walked steps or 1) minReplicas; at least 1, since HPA does not scale
            from zero.

    Returns:
        (windows, settings, targets, walked steps) int32 whole units.
    """
    floor = np.moveaxis(np.maximum(floor, 1).astype(np.int32), -1, 0)  # step first: read once a step
    syncs = max(1, recording.step // HPA_SYNC)
    doublings = 2.0 ** min(syncs, 30)
    lengths = [1 + window // recording.step for window in windows]
    recent = np.zeros((max(lengths), *floor.shape[1:]), dtype=np.int32)
    desired = np.empty((*floor.shape[1:], recording.walked_steps), dtype=np.int32)
    target = utilization[:, None]
    current = floor[0].copy() if len(floor) else np.ones(floor.shape[1:], dtype=np.int32)
    for index in range(recording.walked_steps):
        step = recording.walked_from + index
        lower = floor[index % len(floor)]
        if step:
            reading = recording.demand[:, step - 1]
            with np.errstate(invalid="ignore"):  # NaN compares false: unread changes nothing
                moves = np.abs(reading / target - current) > HPA_TOLERANCE * current
            wanted = np.where(moves, whole(np.nan_to_num(reading) / target), current)
            recent[index % len(recent)] = wanted
            highest = np.minimum(np.maximum(current * doublings, current + HPA_UP_UNITS * syncs), MOST_UNITS)
            raised = np.minimum(wanted, highest.astype(np.int32))
            for window, length in enumerate(lengths):
                newest = (index - np.arange(length)) % len(recent)
                lowest = np.minimum(current[window], recent[newest, window].max(axis=0))
                np.maximum(raised[window], lowest, out=current[window])
        np.maximum(current, lower, out=current)
        desired[..., index] = current
    return desired


@dataclass(frozen=True)
class Reactive:
    """The Kubernetes HPA with its defaults, its target utilization swept."""

    utilizations: tuple[float, ...] = UTILIZATIONS
    name: str = "reactive"

    def settings(self, recording: Recording) -> list[str]:
        """A name for each setting of the sweep."""
        return [f"target {u:.0%}" for u in self.utilizations]

    def desired(self, recording: Recording) -> np.ndarray:
        """(settings, targets, walked steps) whole units asked for."""
        floor = np.ones((1, len(self.utilizations), len(recording.targets), 1))
        return follow(recording, np.array(self.utilizations), (HPA_STABILIZATION,), floor)[0]


@dataclass(frozen=True)
class ReactiveTuned:
    """The same, tuned in hindsight: every pair of window and minReplicas, the plain one among them.

    Windows of 300 s and 300 s + lead time; minReplicas of 1 and at quantiles of the target's training
    demand. The best of all these is picked after the fact, so it is the hard reference.
    """

    utilizations: tuple[float, ...] = UTILIZATIONS
    name: str = "reactive_tuned"

    def _windows(self, recording: Recording) -> tuple[timedelta, ...]:
        lead = recording.lead_steps * recording.step
        return (HPA_STABILIZATION, HPA_STABILIZATION + lead) if lead else (HPA_STABILIZATION,)

    def _floors(self, recording: Recording) -> list[float | None]:
        return [None, *(FLOOR_QUANTILES if recording.scored_from else ())]

    def settings(self, recording: Recording) -> list[str]:
        """A name for each setting of the sweep."""
        return [
            f"target {u:.0%}, window {window.total_seconds():.0f} s, "
            + ("floor 1" if floor is None else f"floor P{floor * 100:.0f}")
            for window in self._windows(recording)
            for floor in self._floors(recording)
            for u in self.utilizations
        ]

    def desired(self, recording: Recording) -> np.ndarray:
        """(settings, targets, walked steps) whole units asked for."""
        windows, count = self._windows(recording), len(self._floors(recording))
        floors = np.ones((count, len(recording.targets)))
        if count > 1:
            floors[1:] = whole(np.nan_to_num(training_quantiles(recording, FLOOR_QUANTILES)))
        each = np.repeat(floors, len(self.utilizations), axis=0)  # a floor's utilizations are together
        floor = np.broadcast_to(each[None, :, :, None], (len(windows), *each.shape, 1))
        found = follow(recording, np.tile(self.utilizations, count), windows, floor)
        return found.reshape(len(windows) * len(each), *found.shape[2:])
