"""When activations start and how long they last, as declarations that answer for a whole span at once."""

from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np

from persona_platform.fleet.clock import Bools, Clock, LocalTime
from persona_platform.fleet.draws import Draws, Ints


@dataclass(frozen=True)
class Scene:
    """What a timing may look at: the slots, the local time of the workload, and the events by kind."""

    clock: Clock
    local: LocalTime
    events: dict[str, Bools]  # by kind: whether an event of it covers the slot


@dataclass(frozen=True)
class Starts:
    """Activations about to happen. ``address`` names each one for further draws, whatever the span is."""

    slot: Ints  # in order; at the end or beyond: not within the span
    address: Ints


class Timing(Protocol):
    """Anything that says when activations start."""

    def starts(self, scene: Scene, draws: Draws) -> Starts:
        """All starts within the scene's slots."""
        ...


@dataclass(frozen=True)
class Duration:
    """How long an activation lasts: log-normal around a median, in whole slots, at least one."""

    hours: float
    sigma: float = 0.0
    longest: float = 7 * 24 - 1  # hours; the clock's lead-in covers it

    def slots(self, clock: Clock, address: Ints, draws: Draws) -> Ints:
        """The number of slots of each activation."""
        hours = np.minimum(self.hours * np.exp(self.sigma * draws.normal("duration", address)), self.longest)
        return np.maximum(1, np.rint(hours * 60 / clock.slot_minutes)).astype(np.int64)


@dataclass(frozen=True)
class OnDays:
    """Once on each of some local days, at about a wall clock time."""

    days: Literal["every", "working", "month_close"]
    hour: float
    weekdays: tuple[int, ...] = (0, 1, 2, 3, 4, 5, 6)
    share: float = 1.0  # of these days, on which it happens
    spread: float = 0.5  # hours by which a workload's usual time differs from ``hour``, at most
    jitter: float = 0.15  # hours by which a day differs from the workload's usual time, standard deviation

    def starts(self, scene: Scene, draws: Draws) -> Starts:
        """At most one a day."""
        days = scene.local.days
        kept = {"every": np.ones_like(days.working), "working": days.working, "month_close": days.month_close}
        happens = kept[self.days] & np.isin(days.weekday, self.weekdays)
        happens &= draws.uniform("happens", days.ordinal) < self.share
        day = np.flatnonzero(happens)
        address = days.ordinal[day]
        usual = self.hour + self.spread * (2 * draws.one("usual hour") - 1)
        hour = np.clip(usual + self.jitter * draws.normal("hour", address), 0, 23.75)
        return Starts(scene.local.slot_at(day, hour * 60), address)


@dataclass(frozen=True)
class EveryHours:
    """At every so many hours of the local day, all days."""

    hours: int

    def starts(self, scene: Scene, draws: Draws) -> Starts:
        """As many a day as fit into it."""
        days = scene.local.days
        offset = np.floor(draws.one("offset") * self.hours) * 60
        hours = np.arange(0, 24, self.hours)
        day = np.repeat(np.arange(len(days.ordinal)), len(hours))
        minute = np.tile(hours * 60.0, len(days.ordinal)) + offset
        return Starts(scene.local.slot_at(day, minute), days.ordinal[day] * 1440 + minute.astype(np.int64))


@dataclass(frozen=True)
class Irregular:
    """At any time, about so many a day; one that would start before the last has ended does not happen."""

    per_day: float  # below 1: drawn once a day

    def starts(self, scene: Scene, draws: Draws) -> Starts:
        """At most one a day."""
        days = scene.local.days
        day = np.flatnonzero(draws.uniform("happens", days.ordinal) < self.per_day)
        address = days.ordinal[day]
        return Starts(scene.local.slot_at(day, draws.uniform("hour", address) * 1440), address)


@dataclass(frozen=True)
class AtEvents:
    """When an event of a kind begins, and every 24 hours while it lasts."""

    kind: str
    delay: float = 0.0  # hours after the event's start, at most

    def starts(self, scene: Scene, draws: Draws) -> Starts:
        """One for each started day of each event."""
        covered = scene.events.get(self.kind)
        if covered is None or not covered.any():
            return Starts(np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64))
        slots = np.arange(scene.clock.count)
        begun = np.maximum.accumulate(np.where(covered & ~np.roll(covered, 1), slots, -1))
        per_day = 24 * 60 // scene.clock.slot_minutes
        first = np.flatnonzero(covered & ((slots - begun) % per_day == 0))
        late = np.rint(self.delay * draws.one("delay") * 60 / scene.clock.slot_minutes).astype(np.int64)
        return Starts(first + late, scene.clock.minutes[first])


@dataclass(frozen=True)
class Activations:
    """Activations of one play of a workload within the slots."""

    start: Ints
    end: Ints  # exclusive, at most the number of slots
    address: Ints


def activations(timing: Timing, duration: Duration, scene: Scene, draws: Draws) -> Activations:
    """The activations of a timing in order; one that would start before the last is over does not happen."""
    starts = timing.starts(scene, draws)
    lasts = duration.slots(scene.clock, starts.address, draws)
    kept, free = [], 0
    for i, (start, length) in enumerate(zip(starts.slot.tolist(), lasts.tolist(), strict=True)):
        if free <= start < scene.clock.count:
            kept.append(i)
            free = start + length + 1  # a slot of rest between two, so that they stay two
    start = starts.slot[kept]
    return Activations(start, np.minimum(start + lasts[kept], scene.clock.count), starts.address[kept])
