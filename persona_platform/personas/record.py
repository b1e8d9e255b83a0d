"""What a persona is, as data: the records that the catalog holds and the Persona Database stores.

Every record is a frozen msgspec Struct, so that it goes to bytes and back without loss. How a record is
learned stands in the module named after its part: requirement, duration, recurrence, naming, learning.
"""

from datetime import datetime
from typing import Final

import msgspec

REQUIREMENT_QUANTILES: Final = (0.1, 0.5, 0.9, 0.95, 0.99)
"""The quantiles that :attr:`Requirement.quantiles` holds, in this order."""


class Size(msgspec.Struct, frozen=True):
    """One provisionable size and the share of activations that need it.

    ``amounts`` holds sized resources (cores, bytes, whole gpus), or the served activity of a persona whose
    workloads have no resources. ``storage_class`` is its members' commonest, empty when none is known.
    """

    amounts: dict[str, float]
    storage_class: str
    probability: float


class Requirement(msgspec.Struct, frozen=True):
    """What a member needs while it plays the persona.

    ``sizes`` is a joint table, most probable first, probabilities summing to 1. ``quantiles`` (at
    :data:`REQUIREMENT_QUANTILES`) and ``mean`` are over slots, for each need that the members have.
    """

    sizes: list[Size]
    quantiles: dict[str, list[float]]
    mean: dict[str, float]


class Duration(msgspec.Struct, frozen=True):
    """How long an activation lasts.

    ``survival[i]`` is the probability of lasting longer than ``i`` slots of ``slot_s`` seconds, with
    ``survival[0]`` 1; it stops where the data do. ``median_s`` is that last time when more than half were
    still running there; ``mean_s`` is the mean up to there. ``censored`` is the share of activations whose
    end (or beginning) was not seen.
    """

    slot_s: int
    survival: list[float]
    median_s: float
    mean_s: float
    censored: float


class EventUplift(msgspec.Struct, frozen=True):
    """How many times as often activations start while an event of the kind lasts, with a 90 % interval."""

    kind: str
    ratio: float
    low: float
    high: float
    activations: int


class Recurrence(msgspec.Struct, frozen=True):
    """When activations start.

    ``intensity`` has 168 entries, activations per member and hour, from Monday 00:00 local time.
    ``inter_arrival_s`` holds the quantiles :data:`REQUIREMENT_QUANTILES` of the seconds from one start of a
    member to its next; empty when no member started twice.
    """

    intensity: list[float]
    uplifts: list[EventUplift]
    inter_arrival_s: list[float]


class Member(msgspec.Struct, frozen=True):
    """A workload that plays the persona; ``weight`` is the share of its own read slots in which it does."""

    workload_id: str
    weight: float


class Persona(msgspec.Struct, frozen=True):
    """A reusable kind of resource requirement: what is needed, for how long, when, for whom."""

    persona_id: str
    version: int
    kind: str  # resting, steady, active
    name: str
    description: str
    requirement: Requirement
    duration: Duration
    recurrence: Recurrence
    priority: str  # the most demanding tier with at least a quarter of the members' weight
    sla: float  # the quantile of demand that this tier is to be met at
    members: list[Member]
    trained_from: datetime
    trained_until: datetime
    stability: float  # mean Jaccard overlap with itself over bootstrap fits, 0 to 1
    drift: float  # distance of its centre from the previous version's, in standard deviations; 0 when new
