"""Three views of a hazard: how often at all, at this place of the week, at this age; each shrunk on its own.

Every view can leave one exposure out (its own), so that the weights of the views, the strengths of shrinkage
and the effects of events are learned from rates that have not seen what they are judged on.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from persona_platform.outlook.ages import BINS, coarse_of_fine
from persona_platform.outlook.counts import Pools
from persona_platform.outlook.shrinkage import expit, logit, shrunk

STRENGTHS: Mapping[str, float] = {
    "persona_hour": 8.0,  # persona's hour of the day <- persona's rate
    "persona_day": 8.0,  # persona's place of the day <- its hour
    "hour": 16.0,  # workload's hour <- persona's place of the day, scaled to the workload's rate
    "day": 2.0,  # workload's place of the day <- its hour
    "week": 8.0,  # workload's place of the week <- its place of the day
    "persona_age": 16.0,  # persona's coarse age <- fleet's
    "coarse": 16.0,  # workload's coarse age <- persona's
    "fine": 8.0,  # workload's exact age <- its coarse age
}
"""Pseudo exposures of each link, where a fleet is too small to choose them."""

STRENGTH_GRIDS: Mapping[str, tuple[float, ...]] = {
    "hour": (4.0, 16.0, 64.0),
    "day": (0.5, 2.0, 8.0, 32.0),
    "week": (1.0, 4.0, 16.0, 128.0),
    "coarse": (4.0, 16.0, 64.0),
    "fine": (0.5, 2.0, 8.0, 32.0, 128.0),
}
BASE_EVENTS = 0.5  # a rate's prior weighs as much as half an event: own history soon counts
LEAST_RATE = 1e-4  # of a fleet in which nothing was ever seen to happen


@dataclass(frozen=True)
class Where:
    """Which hazards to look at: arrays of one length, and optionally what to leave out of each."""

    risk: np.ndarray
    state: np.ndarray
    place: np.ndarray
    age: np.ndarray  # fine bin
    own: np.ndarray | None = None  # weight of the exposure itself
    own_happened: np.ndarray | None = None  # weight times what happened


@dataclass(frozen=True)
class Base:
    """Log odds of the plain rates, of the state and of its persona."""

    state: np.ndarray
    persona: np.ndarray


def base_view(pools: Pools, at: Where) -> Base:
    """Fleet -> persona -> state."""
    left = _left_out(at)
    fleet = np.maximum(_rate(pools.fleet_total[:, at.risk] - left), LEAST_RATE)
    persona = pools.persona[at.state]
    own = left * pools.share[at.state]
    seen = pools.persona_total[:, at.risk, persona] - own
    of_persona = shrunk(seen[0], seen[1], fleet, BASE_EVENTS / fleet)
    seen = pools.total[:, at.risk, at.state] - left
    of_state = shrunk(seen[0], seen[1], of_persona, BASE_EVENTS / np.maximum(of_persona, LEAST_RATE))
    return Base(logit(of_state), logit(of_persona))


def week_view(pools: Pools, at: Where, base: Base, strengths: Mapping[str, np.ndarray]) -> np.ndarray:
    """Log odds at the place of the week; ``strengths`` hold one number for each risk."""
    left = _left_out(at)
    day, place = np.divmod(at.place, pools.per_day)
    off = pools.off_days[at.state, day].astype(np.int64)
    usual = _day_chain(pools, at, base, strengths, off=off, place=place, left=left)
    seen = pools.tally.place[:, at.risk, at.state, at.place] - left
    return logit(shrunk(seen[0], seen[1], usual, strengths["week"][at.risk]))


def day_off_view(pools: Pools, at: Where, base: Base, strengths: Mapping[str, np.ndarray]) -> np.ndarray:
    """What the log odds would be on a day off at that place of the day, whatever the day."""
    day, place = np.divmod(at.place, pools.per_day)
    off = pools.off_days[at.state, day]
    left = np.where(off, _left_out(at), 0.0)
    rate = _day_chain(pools, at, base, strengths, off=np.ones_like(place), place=place, left=left)
    return logit(rate)


def _day_chain(
    pools: Pools,
    at: Where,
    base: Base,
    strengths: Mapping[str, np.ndarray],
    *,
    off: np.ndarray,
    place: np.ndarray,
    left: np.ndarray,
) -> np.ndarray:
    """Persona's hour -> persona's place of the day -> workload's hour -> workload's place of the day."""
    persona = pools.persona[at.state]
    own = left * pools.share[at.state]

    def link(counts: np.ndarray, who: np.ndarray, without: np.ndarray, prior: np.ndarray, name: str) -> np.ndarray:
        seen = counts[:, at.risk, who, off, place] - without
        return shrunk(seen[0], seen[1], prior, strengths[name][at.risk])

    rate = link(pools.persona_hour, persona, own, expit(base.persona), "persona_hour")
    rate = link(pools.persona_day, persona, own, rate, "persona_day")
    scaled = expit(logit(rate) + base.state - base.persona)
    rate = link(pools.hour, at.state, left, scaled, "hour")
    return link(pools.day, at.state, left, rate, "day")


def age_view(pools: Pools, at: Where, base: Base, strengths: Mapping[str, np.ndarray]) -> np.ndarray:
    """Log odds at the age; the plain rate where the age is unknown."""
    left = _left_out(at)
    known = at.age < BINS
    fine = np.where(known, at.age, 0)
    coarse = coarse_of_fine()[fine]
    persona = pools.persona[at.state]
    seen = pools.fleet_coarse[:, at.risk, coarse] - left
    fleet_base = logit(np.maximum(_rate(pools.fleet_total[:, at.risk]), LEAST_RATE))
    rate = shrunk(seen[0], seen[1], expit(fleet_base), strengths["persona_age"][at.risk])
    rate = expit(logit(rate) + base.persona - fleet_base)
    seen = pools.persona_coarse[:, at.risk, persona, coarse] - left * pools.share[at.state]
    rate = shrunk(seen[0], seen[1], rate, strengths["persona_age"][at.risk])
    rate = expit(logit(rate) + base.state - base.persona)
    seen = pools.coarse[:, at.risk, at.state, coarse] - left
    rate = shrunk(seen[0], seen[1], rate, strengths["coarse"][at.risk])
    seen = pools.tally.age[:, at.risk, at.state, fine] - left
    rate = shrunk(seen[0], seen[1], rate, strengths["fine"][at.risk])
    return np.where(known, logit(rate), base.state)


def _left_out(at: Where) -> np.ndarray:
    """(events, exposures) to subtract from every count."""
    if at.own is None or at.own_happened is None:
        return np.zeros((2, 1))
    return np.stack([at.own_happened, at.own])


def _rate(seen: np.ndarray) -> np.ndarray:
    return np.maximum(seen[0], 0.0) / np.maximum(seen[1], 1.0)
