"""What all workloads of a fleet share: slots, local times, events, weather, shocks that move many at once."""

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from persona_platform.fleet.clock import Bools, Clock, LocalTime
from persona_platform.fleet.curves import CURVES
from persona_platform.fleet.draws import Draws, Floats, Ints
from persona_platform.fleet.happenings import covered, events
from persona_platform.fleet.spec import FleetSpec
from persona_platform.fleet.timing import Scene
from persona_platform.fleet.weather import SITES, pull, weather


@dataclass(frozen=True)
class Stage:
    """Built once for a fleet; what it hands out is kept, since many workloads ask for the same."""

    spec: FleetSpec
    _kept: dict[tuple[str, str], Floats] = field(default_factory=dict)
    _scenes: dict[str, Scene] = field(default_factory=dict)

    @cached_property
    def clock(self) -> Clock:
        """The slots."""
        return Clock.of(self.spec)

    @cached_property
    def minutes(self) -> Ints:
        """Minutes since 1970 UTC at each slot."""
        return self.clock.minutes

    @cached_property
    def reading_minutes(self) -> Ints:
        """Minutes since 1970 UTC at each reading."""
        step = self.clock.slot_minutes // self.clock.readings
        return self.minutes[0] + step * np.arange(self.clock.count * self.clock.readings, dtype=np.int64)

    @cached_property
    def events(self) -> dict[str, Bools]:
        """By kind: whether an event covers the slot."""
        return covered(events(self.spec), self.clock)

    def scene(self, zone: str) -> Scene:
        """What timings in a zone look at."""
        if zone not in self._scenes:
            self._scenes[zone] = Scene(self.clock, self.clock.local(zone), self.events)
        return self._scenes[zone]

    def local(self, zone: str) -> LocalTime:
        """The local time of a zone at each slot."""
        return self.scene(zone).local

    def curve(self, name: str, zone: str) -> Floats:
        """A curve of the day at each slot in a zone."""
        if (name, zone) not in self._kept:
            local = self.local(zone)
            self._kept[name, zone] = CURVES[name](local.hour, local.weekday)
        return self._kept[name, zone]

    def pull(self, zone: str) -> Floats:
        """By what factor the weather of a zone moves demand at each slot."""
        if ("pull", zone) not in self._kept:
            site = SITES.get(zone)
            ones = np.ones(self.clock.count)
            self._kept["pull", zone] = pull(*weather(self.spec.seed, site, self.minutes)) if site else ones
        return self._kept["pull", zone]

    def shock(self, subject: str) -> Floats:
        """The logarithm by which a pool, or a persona, is moved as one: by the day 6 %, within hours 4 %."""
        if ("shock", subject) not in self._kept:
            draws = Draws(self.spec.seed, subject)
            days = 0.06 * draws.smooth("days", self.minutes, 1440)
            self._kept["shock", subject] = days + 0.04 * draws.smooth("hours", self.minutes, 150)
        return self._kept["shock", subject]
