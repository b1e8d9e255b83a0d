"""Archetypes drawn at random: fleets that no method was tuned on.

Each differs from the others in when it is active, for how long, or whether it works flat out or follows people:
two that nobody could tell apart would be one persona. Same seed and count, same archetypes.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np

from persona_platform.fleet.archetypes import Archetype, Play, Size, Traffic
from persona_platform.fleet.timing import AtEvents, Duration, EveryHours, Irregular, OnDays, Timing

ZONES: Final = (("America/New_York",), ("Europe/Berlin",), ("America/New_York", "Europe/Berlin"), ("Asia/Kolkata",))
POOLS: Final = ("web", "batch", "data", "dev")
TIERS: Final = ("critical", "standard", "batch")
FAMILIES: Final = ("service", "daily job", "weekly job", "rounds", "irregular", "month close", "event", "seldom")
FAMILY_SHARES: Final = (0.3, 0.25, 0.1, 0.1, 0.08, 0.05, 0.07, 0.05)
LIKE_HOURS: Final = 2.5
LIKE_OCTAVES: Final = 0.7


@dataclass(frozen=True)
class _Drawn:
    """A play, and what tells it apart: the days, the hour, log2 of the hours it lasts, whether it is a wave."""

    play: Play
    days: str
    hour: float
    octaves: float
    wave: bool

    def like(self, other: "_Drawn") -> bool:
        """Whether nobody could tell the two apart."""
        away = abs((self.hour - other.hour + 12.0) % 24.0 - 12.0)
        same_time = self.days == other.days and away < LIKE_HOURS
        return same_time and abs(self.octaves - other.octaves) < LIKE_OCTAVES and self.wave == other.wave


@lru_cache(maxsize=64)
def drawn_archetypes(seed: int, count: int) -> dict[str, Archetype]:
    """``count`` archetypes by name, each with a play; at most 24."""
    rng = np.random.default_rng([seed, 7_151])
    found: list[_Drawn] = []
    while len(found) < count:
        one = _draw(rng, len(found))
        if not any(one.like(other) for other in found):
            found.append(one)
    names = [f"kind-{chr(97 + i)}" for i in range(count)]
    return {name: _archetype(rng, i, names, found[i]) for i, name in enumerate(names)}


def _archetype(rng: np.random.Generator, index: int, names: list[str], drawn: _Drawn) -> Archetype:
    others = [n for i, n in enumerate(names) if i != index]
    chosen = rng.choice(others, size=min(3, len(others)), replace=False).tolist() if others else [names[0]]
    stays = not drawn.wave and rng.random() < 0.2
    cores = min(size.cores for size in drawn.play.sizes)
    base = Size("base", max(1.0, cores / 8), max(4.0, cores / 2), 1.0)
    return Archetype(
        names[index],
        POOLS[int(rng.integers(len(POOLS)))],
        f"team-{index % 5}",
        TIERS[int(rng.integers(len(TIERS)))],
        ZONES[int(rng.integers(len(ZONES)))],
        drawn.play,
        ("requests",) if drawn.wave else ("jobs",),
        tuple(chosen[1:]) or tuple(chosen),
        chosen[0],
        base=Play(f"base of {drawn.play.persona}", (base,), curve="always", sway=0.6) if stays else None,
        rest=float(rng.uniform(0.02, 0.12)),
        rest_mem=float(rng.uniform(0.1, 0.6)),
        rest_curve="trickle" if drawn.wave else "quiet",
        headroom=(1.1, 1.6),
    )


def _draw(rng: np.random.Generator, number: int) -> _Drawn:
    family = str(rng.choice(FAMILIES, p=FAMILY_SHARES))
    hour = float(rng.uniform(0.0, 23.0))
    if family == "service":
        return _service(rng, number)
    timing, days, hours, sigma = _job_times(rng, family, hour)
    anywhen = family in ("irregular", "rounds")
    play = Play(
        f"{family} {number}",
        _sizes(rng),
        timing,
        Duration(hours, sigma),
        "activation",
        "flat",
        Traffic(disk_read=9.0, disk_write=4.0),
        sway=0.15,
        rough=float(rng.uniform(0.02, 0.06)),
    )
    return _Drawn(play, days, 0.0 if anywhen else hour, float(np.log2(hours)), wave=False)


def _service(rng: np.random.Generator, number: int) -> _Drawn:
    """People's work: by day, for hours, up and down."""
    hour, hours = float(rng.uniform(6.0, 12.0)), float(rng.uniform(6.0, 15.0))
    days = str(rng.choice(["working", "every", "not Sundays"]))
    timing = OnDays(
        "working" if days == "working" else "every",
        hour,
        weekdays=(0, 1, 2, 3, 4, 5) if days == "not Sundays" else (0, 1, 2, 3, 4, 5, 6),
    )
    scale = float(rng.choice([0.5, 1.0, 2.0]))
    sizes = tuple(Size(f"{scale * c:g} cores", scale * c, 2 * scale * c, p) for c, p in ((8, 0.4), (16, 0.6)))
    play = Play(
        f"service {number}",
        sizes,
        timing,
        Duration(hours, 0.04),
        curve=str(rng.choice(["office", "shop", "store", "assistant"])),
        traffic=Traffic(disk_read=0.3, net_out=7.0),
        uplifts={"campaign": 1.5} if rng.random() < 0.3 else {},
    )
    return _Drawn(play, days, hour, float(np.log2(hours)), wave=True)


def _job_times(rng: np.random.Generator, family: str, hour: float) -> tuple[Timing, str, float, float]:
    """When a job starts, on which days, how many hours it lasts, and how much that varies."""
    if family == "irregular":
        return Irregular(float(rng.uniform(0.25, 0.6))), "any", float(rng.uniform(4.0, 16.0)), 0.6
    if family == "rounds":
        every = int(rng.choice([2, 3, 4, 6, 8]))
        return EveryHours(every), f"rounds {every}", float(rng.choice([0.25, 0.5])), 0.0
    if family == "event":
        kind = str(rng.choice(["campaign", "maintenance"]))
        return AtEvents(kind, delay=1.0), kind, float(rng.uniform(1.0, 4.0)), 0.25
    timing, days = _job_days(rng, family, hour)
    shortest, longest, sigma = {
        "daily job": (0.75, 5.0, 0.2),
        "weekly job": (1.0, 6.0, 0.2),
        "month close": (2.0, 7.0, 0.2),
        "seldom": (1.0, 3.0, 0.3),
    }[family]
    return timing, days, float(rng.uniform(shortest, longest)), sigma


def _job_days(rng: np.random.Generator, family: str, hour: float) -> tuple[Timing, str]:
    """The days of a job that keeps to a time of day."""
    if family == "daily job":
        return (OnDays("every", hour), "every") if rng.random() < 0.6 else (OnDays("working", hour), "working")
    if family == "weekly job":
        day = int(rng.integers(7))
        return OnDays("every", hour, weekdays=(day,)), f"weekday {day}"
    if family == "month close":
        return OnDays("month_close", hour), "month"
    share = float(rng.uniform(0.1, 0.3))
    return OnDays("working", hour, share=share, spread=1.0, jitter=1.0), "seldom"


def _sizes(rng: np.random.Generator) -> tuple[Size, ...]:
    cores = float(rng.choice([8, 12, 16, 24]))
    share = float(rng.uniform(0.1, 0.4))
    small = Size(f"{cores:g} cores", cores, 4 * cores, 1.0 - share)
    return (
        (small, Size(f"{2 * cores:g} cores", 2 * cores, 8 * cores, share))
        if rng.random() < 0.6
        else (Size(f"{cores:g} cores", cores, 4 * cores, 1.0),)
    )
