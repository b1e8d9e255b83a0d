"""The policies that ``ours`` is compared with: what a user has today, and what nobody can beat.

A policy turns a recording into the whole units asked for at each step, for all its settings at once. The
size at step t may depend on readings up to step t - 1; only :class:`Clairvoyant` looks further.
"""

from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol

import numpy as np

from persona_platform.replay.engine import TOLERANCE, Recording

UTILIZATIONS = tuple(round(0.4 + 0.05 * i, 2) for i in range(12))
"""Target utilizations of a reactive autoscaler: 0.40, 0.45, ... 0.95."""

# Kubernetes HPA defaults (v2 API): tolerance 10 %, downscale stabilization 300 s, and per 15 s of scaling up
# the larger of doubling and 4 more. Scaling down is not limited.
HPA_TOLERANCE = 0.1
HPA_STABILIZATION = timedelta(seconds=300)
HPA_SYNC = timedelta(seconds=15)
HPA_UP_UNITS = 4

FLOOR_QUANTILES = (0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99)

UNSERVED_PRICES = (
    *(1.05, 1.1, 1.2, 1.35, 1.5, 1.75, 2, 2.5, 3, 4, 5, 6, 8, 10, 13, 17, 22, 30, 40, 55, 75, 100),
    *(150, 250, 500, 1000, 3000, 10000),
)
"""Price of an unserved unit-step over a billed one, from almost nothing worth serving to almost all."""


# Gain of a unit that is on in a step that does not count: just enough below nothing to leave it off.
UNSCORED = -1e-9


class Policy(Protocol):
    """What replay needs of a policy."""

    @property
    def name(self) -> str:
        """As in the comparison's ``policy`` column."""
        ...

    def settings(self, recording: Recording) -> list[str]:
        """A name for each setting of the sweep."""
        ...

    def desired(self, recording: Recording) -> np.ndarray:
        """(settings, targets, steps) whole units asked for."""
        ...


def whole(units: np.ndarray) -> np.ndarray:
    """Rounded up to whole units, rounding errors aside."""
    return np.ceil(np.maximum(units, 0.0) - TOLERANCE).astype(np.int64)


def follow(recording: Recording, utilization: np.ndarray, window: timedelta, floor: np.ndarray) -> np.ndarray:
    """Kubernetes HPA rules, synchronized once a step on the reading of the step before.

    ``desired = ceil(current * (demand / current) / target)``, ignored within the tolerance; limited
    upward to what the syncs of one step allow; downward to the largest recommendation of the window.
    Demand above the usable capacity is seen in full, which is kinder to the rule than a utilization that
    stops at 100 %. An unread step changes nothing, as a failed metric does.

    Args:
        recording: what is replayed.
        utilization: (settings,) target utilization.
        window: the downscale stabilization window.
        floor: (settings, targets) minReplicas; at least 1, since HPA does not scale from zero.

    Returns:
        (settings, targets, steps) whole units.
    """
    floor = np.maximum(floor, 1)
    target = utilization[:, None]
    syncs = max(1, recording.step // HPA_SYNC)
    doublings = 2.0 ** min(syncs, 30)
    recent = np.zeros((1 + window // recording.step, *floor.shape), dtype=np.int64)
    desired = np.empty((*floor.shape, recording.steps), dtype=np.int64)
    current = floor.copy()
    for step in range(recording.steps):
        if step:
            reading = recording.demand[:, step - 1]
            ratio = reading / (current * target)
            moves = np.abs(ratio - 1) > HPA_TOLERANCE  # NaN compares false: unread changes nothing
            wanted = np.where(moves, whole(np.where(moves, reading / target, 0.0)), current)
            recent[step % len(recent)] = wanted
            lowest = np.minimum(current, recent.max(axis=0))
            highest = np.maximum(current * doublings, current + HPA_UP_UNITS * syncs).astype(np.int64)
            current = np.maximum(np.clip(wanted, lowest, highest), floor)
        desired[:, :, step] = current
    return desired


@dataclass(frozen=True)
class Reactive:
    """The Kubernetes HPA with its defaults, its target utilization swept."""

    utilizations: tuple[float, ...] = UTILIZATIONS
    name: str = "reactive"

    def settings(self, recording: Recording) -> list[str]:  # noqa: ARG002
        """A name for each setting of the sweep."""
        return [f"target {u:.0%}" for u in self.utilizations]

    def desired(self, recording: Recording) -> np.ndarray:
        """(settings, targets, steps) whole units asked for."""
        floor = np.ones((len(self.utilizations), len(recording.targets)), dtype=np.int64)
        return follow(recording, np.array(self.utilizations), HPA_STABILIZATION, floor)


@dataclass(frozen=True)
class ReactiveTuned:
    """The same, tuned in hindsight: every pair of window and minReplicas, the plain one among them.

    Windows of 300 s and 300 s + lead time; minReplicas of 1 and at quantiles of the target's training
    demand. The best of all these is picked after the fact, so it is the hard reference.
    """

    utilizations: tuple[float, ...] = UTILIZATIONS
    name: str = "reactive_tuned"

    def _sweep(self, recording: Recording) -> list[tuple[timedelta, float | None]]:
        lead = recording.lead_steps * recording.step
        floors = FLOOR_QUANTILES if recording.scored_from else ()
        windows = (HPA_STABILIZATION, HPA_STABILIZATION + lead) if lead else (HPA_STABILIZATION,)
        return [(window, floor) for window in windows for floor in (None, *floors)]

    def settings(self, recording: Recording) -> list[str]:
        """A name for each setting of the sweep."""
        return [
            f"target {u:.0%}, window {window.total_seconds():.0f} s, "
            + ("floor 1" if floor is None else f"floor P{floor * 100:.0f}")
            for window, floor in self._sweep(recording)
            for u in self.utilizations
        ]

    def desired(self, recording: Recording) -> np.ndarray:
        """(settings, targets, steps) whole units asked for."""
        shape = (len(self.utilizations), len(recording.targets))
        return np.concatenate(
            [
                follow(
                    recording,
                    np.array(self.utilizations),
                    window,
                    np.broadcast_to(_training_floor(recording, floor), shape),
                )
                for window, floor in self._sweep(recording)
            ]
        )


def _training_floor(recording: Recording, quantile: float | None) -> np.ndarray:
    """(targets,) whole units at a quantile of the training demand; 1 where there is none."""
    training = recording.demand[:, : recording.scored_from]
    if quantile is None or training.size == 0:
        return np.ones(len(recording.targets), dtype=np.int64)
    read = ~np.isnan(training).all(axis=1)
    floor = np.ones(len(recording.targets), dtype=np.int64)
    floor[read] = np.maximum(whole(np.nanquantile(training[read], quantile, axis=1)), 1)
    return floor


@dataclass(frozen=True)
class Clairvoyant:
    """Knows all demand and pays the same lead time: the least cost at each unserved share.

    Its last setting serves everything: at each step the largest whole demand from now to the lead time
    ahead, which any policy without unserved demand holds at least. The others weigh an unserved unit-step
    against a billed one and solve it exactly, so they lie on the lower convex hull of what any policy can
    reach (a Lagrangian bound; papers: Lin et al. 2011 for the cost of starting, here the lead time
    billed).
    """

    prices: tuple[float, ...] = UNSERVED_PRICES
    name: str = "clairvoyant"

    def settings(self, recording: Recording) -> list[str]:  # noqa: ARG002
        """A name for each setting of the sweep."""
        return [*(f"unserved costs {price:g} times" for price in self.prices), "serves everything"]

    def desired(self, recording: Recording) -> np.ndarray:
        """(settings, targets, steps) whole units asked for."""
        demand = np.where(recording.scored, recording.demand, 0.0)
        usable = np.zeros((len(self.prices) + 1, *demand.shape), dtype=np.int64)
        usable[-1] = whole(demand)
        for i, row in enumerate(demand):
            usable[:-1, i] = _cheapest(row, recording.scored[i], recording.lead_steps, self.prices)
        return ahead(usable, recording.lead_steps)


def ahead(usable: np.ndarray, lead_steps: int) -> np.ndarray:
    """The sizes to ask for so that ``usable`` is there: the largest from now to the lead time ahead."""
    desired = usable.copy()
    for shift in range(1, min(lead_steps, usable.shape[-1] - 1) + 1):
        np.maximum(desired[..., :-shift], usable[..., shift:], out=desired[..., :-shift])
    return desired


def _cheapest(demand: np.ndarray, scored: np.ndarray, lead_steps: int, prices: tuple[float, ...]) -> np.ndarray:
    """(prices, steps) units to have usable so that billed + price * unserved is least over the scored steps.

    The j-th unit serves clip(demand - j, 0, 1) at a step whatever the others do, so each is switched on
    and off on its own: two states, one pass forward and one back. Switching on at t bills the scored
    steps of the lead time before it; what is on before the first step is free.
    """
    steps, price = demand.size, np.array(prices)[:, None]
    before = np.concatenate([[0], np.cumsum(scored)])
    start_cost = before[:steps] - before[np.maximum(np.arange(steps) - lead_steps, 0)]
    usable = np.zeros((len(prices), steps), dtype=np.int64)
    layers = int(whole(demand).max(initial=0))
    width = max(1, 20_000_000 // max(1, steps * len(prices)))  # keeps the two pointer tables below 40 MB
    for first in range(0, layers, width):
        unit = np.arange(first, min(first + width, layers))
        on, off = np.zeros((2, len(prices), unit.size))
        stays_on, stays_off = np.empty((2, steps, len(prices), unit.size), dtype=bool)
        for t in range(steps):
            stays_on[t] = on >= off - start_cost[t]
            stays_off[t] = off > on
            gain = (price * np.clip(demand[t] - unit, 0, 1) - 1) if scored[t] else UNSCORED
            on, off = np.maximum(on, off - start_cost[t]) + gain, np.maximum(on, off)
        state = on >= off
        for t in range(steps - 1, -1, -1):
            usable[:, t] += state.sum(axis=1)
            state = np.where(state, stays_on[t], ~stays_off[t])
    return usable
