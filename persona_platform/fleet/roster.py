"""Who a workload is: its archetype, where it lives, what it plays and from when, and how large it is."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
import polars as pl

from persona_platform.errors import InputError
from persona_platform.fleet.archetypes import ARCHETYPES, DECK, Archetype, Play, Size
from persona_platform.fleet.drawn import drawn_archetypes
from persona_platform.fleet.draws import Draws
from persona_platform.fleet.spec import FleetSpec
from persona_platform.frames import WORKLOADS

_GOLDEN = 0.6180339887498949


@dataclass(frozen=True)
class Part:
    """A play of a workload, and the days of the fleet on which it has it."""

    play: Play
    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True)
class Workload:
    """One workload of a fleet, as it was drawn."""

    index: int
    workload_id: str
    archetype: Archetype
    zone: str
    az: str
    parts: tuple[Part, ...]  # a later one goes before an earlier one
    alloc: float  # cores, a multiple of a half
    growth: float  # logarithm of its level in the long run, relative to the start
    draws: Draws

    def size(self, play: Play) -> Size:
        """The size at which it has a play whose size is drawn once for a workload."""
        return play.sizes[pick(play, self.draws.one(f"size/{play.persona}"))]

    @property
    def smallest(self) -> Size:
        """What its level at rest is a share of."""
        play = self.archetype.base or self.archetype.play
        assert play is not None
        return self.size(play) if play.drawn_per == "workload" else min(play.sizes, key=lambda size: size.cores)


def pick(play: Play, draw: float) -> int:
    """The index of the size that a number in (0, 1) stands for."""
    return int(picks(play, np.array([draw]))[0])


def picks(play: Play, draws: np.ndarray) -> np.ndarray:
    """The index of the size that each number in (0, 1) stands for."""
    bounds = np.cumsum([size.probability for size in play.sizes])
    return np.minimum(np.searchsorted(bounds, draws), len(play.sizes) - 1)


def kinds(spec: FleetSpec) -> Mapping[str, Archetype]:
    """The archetypes of a fleet by name."""
    return ARCHETYPES if spec.drawn is None else drawn_archetypes(spec.seed, spec.drawn)


def plays(spec: FleetSpec) -> dict[str, Play]:
    """Every true persona by its label."""
    return {play.persona: play for kind in kinds(spec).values() for play in (kind.base, kind.play) if play is not None}


def deck(spec: FleetSpec) -> tuple[str, ...]:
    """The archetypes that the workloads take in turn."""
    if spec.drawn is not None:
        return tuple(drawn_archetypes(spec.seed, spec.drawn))
    if spec.archetypes is None:
        return DECK
    unknown = sorted(set(spec.archetypes) - set(ARCHETYPES))
    if unknown or not spec.archetypes:
        raise InputError(
            f"{', '.join(unknown) or 'An empty list'} names no archetype; there are {', '.join(ARCHETYPES)}."
        )
    return tuple(name for name in DECK if name in spec.archetypes)


def workload(spec: FleetSpec, index: int) -> Workload:
    """The workload with a number, whatever the size of the fleet."""
    cards = deck(spec)
    archetype = kinds(spec)[cards[index % len(cards)]]
    draws = Draws(spec.seed, f"workload/{index}")
    parts = tuple(_parts(spec, index, archetype, draws))
    largest = 0.0
    for play in [part.play for part in parts] + ([archetype.base] if archetype.base else []):
        drawn = draws.one(f"size/{play.persona}")
        per_workload = play.drawn_per == "workload"
        largest = max(
            largest, play.sizes[pick(play, drawn)].cores if per_workload else max(s.cores for s in play.sizes)
        )
    low, high = archetype.headroom
    alloc = np.ceil(2 * largest * (low + (high - low) * draws.one("headroom"))) / 2
    return Workload(
        index=index,
        workload_id=f"{archetype.name}-{index:04d}",
        archetype=archetype,
        zone=archetype.zones[int(draws.one("zone") * len(archetype.zones))],
        az=f"az-{'abc'[int(draws.one('az') * 3)]}",
        parts=parts,
        alloc=float(alloc),
        growth=spec.drift * draws.one_normal("growth"),
        draws=draws,
    )


def _share(spec: FleetSpec, purpose: str, index: int) -> float:
    """Evenly spread over any run of workloads, so that a small fleet too has about the share asked for."""
    return (Draws(spec.seed, "roster").one(purpose) + index * _GOLDEN) % 1.0


def _parts(spec: FleetSpec, index: int, archetype: Archetype, draws: Draws) -> list[Part]:
    own = archetype.play
    changes = _share(spec, "changing", index) < spec.changing_share
    parts = [Part(own)] if own else []
    if changes:
        successor = kinds(spec)[archetype.instead].play
        assert successor is not None
        low, high = spec.change_days
        day = spec.start + timedelta(days=low + int(draws.one("change day") * (high - low + 1)))
        parts = [*([Part(own, until=day)] if own else []), Part(successor, since=day)]
    if _share(spec, "two personas", index) < spec.two_persona_share:
        others = [play for name in archetype.beside if (play := kinds(spec)[name].play)]
        others = [play for play in others if play not in [part.play for part in parts]]
        if others:
            parts.append(Part(others[int(draws.one("beside") * len(others))]))
    return parts


def workloads_frame(members: list[Workload]) -> pl.DataFrame:
    """A WORKLOADS frame."""
    rows = [
        (
            w.workload_id,
            w.archetype.pool,
            w.archetype.team,
            w.archetype.tier,
            w.az,
            w.zone,
            w.archetype.storage_class,
        )
        for w in members
    ]
    return pl.DataFrame(rows, schema=WORKLOADS, orient="row")
