"""What replay needs of a policy, and what policies share: whole units, and readings held over gaps."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Protocol, TypeVar

import numpy as np

from persona_platform.replay.engine import TOLERANCE, Recording, Served, serve

T = TypeVar("T")

NO_TIME = timedelta(0)

MOST_UNITS = 2.0**30
"""Above any size, and still a whole number in 32 bits."""


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
        """(settings, targets, walked steps) int32, whole units asked for at the start of each walked step."""
        ...


def play(policy: Policy, recording: Recording) -> Served:
    """What comes of a policy's sizes.

    A policy that is a bound (``bound = True``) has the kindest terms: the shortest lead time, no billing
    quantum, no delay of scaling in. Whatever any policy reaches under the recording's own terms, it could
    reach under these for no more; so the bound stays one.
    """
    desired = policy.desired(recording)
    return serve(kindest(recording) if getattr(policy, "bound", False) else recording, desired)


@dataclass(frozen=True)
class Thinned:
    """A policy with at most so many of its settings, spread evenly over its sweep, the first and last among them."""

    policy: Policy
    most: int

    @property
    def name(self) -> str:
        """The policy's own."""
        return self.policy.name

    @property
    def bound(self) -> bool:
        """Whether the policy is a bound."""
        return getattr(self.policy, "bound", False)

    def settings(self, recording: Recording) -> list[str]:
        """A name for each setting that is left."""
        return list(spread(self.policy.settings(recording), self.most))

    def desired(self, recording: Recording) -> np.ndarray:
        """(settings, targets, walked steps) int32, of the settings that are left."""
        count = len(self.policy.settings(recording))
        return self.policy.desired(recording)[list(spread(range(count), self.most))]


def thinned(policy: Policy, most: int) -> Policy:
    """The policy with at most so many settings; one that can leave the others out itself does so, and is faster."""
    own = getattr(policy, "few", None)
    return own(most) if own is not None else Thinned(policy, most)


def spread(of: Sequence[T], most: int) -> tuple[T, ...]:
    """At most so many of a sweep, evenly over it, the first and last among them."""
    return tuple(of[i] for i in np.unique(np.linspace(0, len(of) - 1, min(len(of), most)).round().astype(int)))


def kindest(recording: Recording) -> Recording:
    """The recording under the terms that a bound is computed for."""
    terms = recording.terms
    kind = replace(
        terms,
        lead_time=terms.shortest_lead_time,
        lead_times=(),
        billing_quantum=NO_TIME,
        scale_in_after=NO_TIME,
    )
    return replace(recording, terms=kind)


def whole(units: np.ndarray) -> np.ndarray:
    """int32, rounded up to whole units, rounding errors aside."""
    return np.ceil(np.clip(units, 0.0, MOST_UNITS) - TOLERANCE).astype(np.int32)


def last_known(demand: np.ndarray) -> np.ndarray:
    """(targets, steps) the newest reading before each step; 0 before the first one."""
    steps = demand.shape[-1]
    newest = np.maximum.accumulate(np.where(np.isnan(demand), -1, np.arange(steps)), axis=-1)
    held = np.where(newest >= 0, np.take_along_axis(demand, np.maximum(newest, 0), axis=-1), 0.0)
    known = np.zeros_like(held)
    known[:, 1:] = held[:, :-1]
    return known


def training_quantiles(recording: Recording, levels: tuple[float, ...]) -> np.ndarray:
    """(levels, targets) of the training demand; NaN where none was read."""
    training = recording.demand[:, : recording.scored_from]
    return sorted_quantiles(np.sort(training, axis=-1), np.array(levels))


def sorted_quantiles(ordered: np.ndarray, levels: np.ndarray) -> np.ndarray:
    """(levels, rows) quantiles, straight between values, of rows that are sorted with their NaN last.

    NaN where a row holds nothing else.
    """
    count = (~np.isnan(ordered)).sum(-1)
    if ordered.shape[-1] == 0:
        return np.full((len(levels), len(ordered)), np.nan)
    at = levels[:, None] * np.maximum(count - 1, 0)
    low = np.floor(at).astype(int)
    high = np.minimum(low + 1, np.maximum(count - 1, 0))
    below, above = ordered[np.arange(len(ordered)), low], ordered[np.arange(len(ordered)), high]
    return below + (at - low) * (above - below)
