"""What a persona is, as data: the records that the catalog holds and the Persona Database stores.

Every record is a frozen msgspec Struct, so that it goes to bytes and back without loss. How a record is
learned stands in the module named after its part: requirement, duration, recurrence, relations, naming.
Every interval is a 95 % credible interval.
"""

from datetime import datetime
from typing import Final

import msgspec

REQUIREMENT_QUANTILES: Final = (0.1, 0.5, 0.9, 0.95, 0.99)
"""The quantiles that requirements hold, in this order."""


class Size(msgspec.Struct, frozen=True):
    """One provisionable size and the share of activations that need it, with that share's interval.

    ``amounts`` holds sized resources (cores, bytes, stored bytes, whole gpus), or the served activity of a
    persona whose workloads have no resources. ``storage_class`` is its members' commonest, empty when none is
    known.
    """

    amounts: dict[str, float]
    storage_class: str
    probability: float
    low: float
    high: float


class Requirement(msgspec.Struct, frozen=True):
    """What a member needs while it plays the persona.

    ``sizes`` is a joint table, most probable first, probabilities summing to 1. ``quantiles`` (at
    :data:`REQUIREMENT_QUANTILES`), with ``low`` and ``high`` around each, and ``mean`` are over slots, for
    each need that the members have; ``peak_to_mean`` is the 0.99 quantile over the mean. A saturated slot
    counts as "at least this much"; ``saturated`` is the share of such slots.
    """

    sizes: list[Size]
    quantiles: dict[str, list[float]]
    low: dict[str, list[float]]
    high: dict[str, list[float]]
    mean: dict[str, float]
    peak_to_mean: dict[str, float]
    saturated: float


class Duration(msgspec.Struct, frozen=True):
    """How long an activation lasts.

    ``survival[i]`` is the probability of lasting longer than ``i`` slots of ``slot_s`` seconds, with
    ``survival[0]`` 1; it stops where the data do; ``low`` and ``high`` are around it. ``median_s`` is that
    last time when more than half were still running there; ``mean_s`` is the mean up to there. ``censored``
    is the share of activations whose end (or beginning) was not seen.
    """

    slot_s: int
    survival: list[float]
    low: list[float]
    high: list[float]
    median_s: float
    mean_s: float
    censored: float


class EventUplift(msgspec.Struct, frozen=True):
    """What an event of a kind changes while it lasts: how often activations start, and how much is needed.

    ``starts`` and ``need`` are ratios to the same hours of the week without it, 1 when nothing is known;
    ``need`` is of the main need. ``events`` and ``activations`` are how many were seen.
    """

    kind: str
    starts: float
    starts_low: float
    starts_high: float
    need: float
    need_low: float
    need_high: float
    events: int
    activations: int


class Recurrence(msgspec.Struct, frozen=True):
    """When activations start.

    ``intensity`` has 168 entries, activations per member and hour, from Monday 00:00 local time, with ``low``
    and ``high`` around each. ``inter_arrival_s`` holds the quantiles :data:`REQUIREMENT_QUANTILES` of the
    seconds from one start of a member to its next; empty when no member started twice. ``period_s`` is the
    rhythm that was found (4 h, a day, a week, a month of working days), 0 for none, and ``regularity`` the
    share of starts that keep it.
    """

    intensity: list[float]
    low: list[float]
    high: list[float]
    uplifts: list[EventUplift]
    inter_arrival_s: list[float]
    period_s: float
    regularity: float


class Lead(msgspec.Struct, frozen=True):
    """An activity signal that moves before the main need: by how many slots, and how closely (correlation).

    Negative ``slots``: the signal follows.
    """

    activity: str
    slots: int
    correlation: float


class Relation(msgspec.Struct, frozen=True):
    """How one need goes with the main need while the persona is played: their ratio, and their correlation."""

    need: str
    per_main: float
    correlation: float


class Complement(msgspec.Struct, frozen=True):
    """A persona whose peaks do not meet this one's: the share of the two peaks that sharing capacity saves."""

    persona_id: str
    saving: float


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
    shape: str  # flat, ramp, wave, spike: how the main need moves within an activation
    variability: float  # standard deviation of its log within an activation
    main_need: str  # the need that stands for all: gpus, cores, memory, or what is served
    relations: list[Relation]
    leads: list[Lead]
    complements: list[Complement]
    priority: str  # the most demanding tier with at least a quarter of the members' weight
    sla: float  # the quantile of demand that this tier is to be met at
    members: list[Member]
    trained_from: datetime
    trained_until: datetime
    stability: float  # mean Jaccard overlap with itself over bootstrap fits, 0 to 1
    drift: float  # distance of its centre from the previous version's, in standard deviations; 0 when new
    born: int  # the catalog version that first had this id


class MemberRecord(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A workload in one persona, as the Persona Database serves it: its own needs, shrunk to the persona's.

    Vectors are little-endian float32 bytes (``numpy.frombuffer(x, "<f4")``). ``quantiles`` is (needs, 5) at
    :data:`REQUIREMENT_QUANTILES`; ``occupancy`` has 168 shares of the local hours of the week in which the
    workload plays the persona.
    """

    persona_id: str
    workload_id: str
    weight: float  # share of its read slots in which it plays the persona
    probability: float  # of the persona, given its patterns here, weighted by their slots
    patterns: tuple[int, ...] = ()
    needs: tuple[str, ...] = ()
    quantiles: bytes = b""
    occupancy: bytes = b""
    median_s: float = 0.0  # median duration of its own activations, seconds
