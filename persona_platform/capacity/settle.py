"""The decision itself: what is done now with the floor of each row, from what is known of it.

Pure and of arrays only, so that :func:`~persona_platform.capacity.decide.decide` (which makes frames of the
answer) and replay (which asks a thousand rows thousands of times) run one and the same code. Rows are
independent of each other except for the total budget.
"""

from dataclasses import dataclass

import numpy as np

from persona_platform.capacity.facts import NONE, Facts
from persona_platform.capacity.lowering import lower, renewable
from persona_platform.capacity.raising import raise_
from persona_platform.capacity.reasons import Reason
from persona_platform.capacity.wishes import wish


@dataclass(frozen=True)
class Settled:
    """What was decided of N rows: arrays of N; units int64, times int64 microseconds, money float64."""

    floor: np.ndarray
    """As it stands."""
    floor_expires_at: np.ndarray
    """NONE: not ours."""

    wanted: np.ndarray
    """The floor before the limits clamped it."""
    low: np.ndarray
    """The lowest floor that may be kept."""
    to: np.ndarray
    """The floor to raise to now; ``floor``: not raised."""
    asked: np.ndarray
    """What ``to`` would be with every approval; the part above ``to`` waits."""
    bound_by: np.ndarray
    """Reason: the cap of a raise that bound last."""
    raise_at: np.ndarray
    """When a raise or renewal is needed, and until when it stands."""
    raise_until: np.ndarray
    unit_cost: np.ndarray
    """Of a unit until ``raise_until``."""
    extension: np.ndarray
    """Of the floor that was there, from when it would have expired until ``raise_until``."""

    lower_to: np.ndarray
    """The floor to lower to; NONE: not lowered."""
    lower_waits: np.ndarray
    """bool: for approval."""
    lower_at: np.ndarray
    lower_until: np.ndarray

    renewing: np.ndarray
    """bool: the same floor is to stand until ``raise_until``."""
    renewal_waits: np.ndarray
    """bool: for approval."""

    withheld: np.ndarray
    """Reason: what bound a row entirely; Reason.NONE where it did not, or where nothing was wanted."""
    withheld_wish: np.ndarray
    """What it wanted."""

    @property
    def raised(self) -> np.ndarray:
        """bool: the floor goes up now."""
        return self.to > self.floor

    @property
    def waiting(self) -> np.ndarray:
        """bool: a part of the raise waits for approval."""
        return self.asked > self.to

    @property
    def lowered(self) -> np.ndarray:
        """bool: the floor goes down, now or when approved."""
        return self.lower_to != NONE

    @property
    def raise_cost(self) -> np.ndarray:
        """Money of the raise, the longer life of the floor below it included."""
        return (self.to - self.floor) * self.unit_cost + self.extension


@dataclass(frozen=True)
class Performed:
    """N rows after all that is due was done; each row changes at most once."""

    floor: np.ndarray
    expires_at: np.ndarray
    """Of that floor; NONE: not ours."""
    raised: np.ndarray
    lowered: np.ndarray
    renewed: np.ndarray
    cost: np.ndarray
    """Money, 0 where nothing was done."""
    bound_by: np.ndarray
    """Reason: what kept a row from what it wanted, APPROVAL where a part of it waits; RENEWAL: renewed, or to be."""


def settle(facts: Facts, now: int, width: int) -> Settled:
    """What is done at ``now`` about N rows; slots are ``width`` wide (both int microseconds)."""
    wishes = wish(facts, now, width)
    down = lower(facts, wishes, now)
    up = raise_(facts, wishes, renewable(facts, wishes, down, now, width), now)

    # A row is withheld where it wished for something and nothing at all comes of it.
    stopped = np.where(down.held != Reason.NONE, down.held, up.bound_by)
    wishing = wishes.raising | wishes.lowering
    why = np.where((wishes.frozen != Reason.NONE) & wishing, wishes.frozen, stopped)
    told = (up.asked > facts.floor) | (down.to != NONE) | up.renewing
    # A renewal waits too in propose mode, unless a standing approval covers it.
    covered = (facts.approved_floor != NONE) & (facts.approved_floor >= facts.floor)
    return Settled(
        floor=facts.floor,
        floor_expires_at=facts.floor_expires_at,
        wanted=wishes.wanted,
        low=wishes.low,
        to=up.to,
        asked=up.asked,
        bound_by=up.bound_by,
        raise_at=wishes.raise_at,
        raise_until=wishes.raise_until,
        unit_cost=up.unit_cost,
        extension=up.extension,
        lower_to=down.to,
        lower_waits=down.waits,
        lower_at=wishes.lower_at,
        lower_until=wishes.lower_until,
        renewing=up.renewing,
        renewal_waits=facts.propose & ~covered,
        withheld=np.where(told, Reason.NONE, why),
        withheld_wish=np.where(wishes.lowering, wishes.low, wishes.wanted),
    )


def performed(settled: Settled) -> Performed:
    """The rows after the due changes: what waits for approval is not done."""
    s = settled
    raised = s.raised
    lowered = s.lowered & ~s.lower_waits
    renewed = s.renewing & ~s.renewal_waits
    prolonged = raised | renewed
    bound_by = np.where(raised, s.bound_by, s.withheld)
    bound_by = np.where(s.renewing, Reason.RENEWAL, bound_by)
    bound_by = np.where(s.waiting | (s.lowered & s.lower_waits), Reason.APPROVAL, bound_by)
    return Performed(
        floor=np.where(lowered, s.lower_to, s.to),
        expires_at=np.where(prolonged, s.raise_until, np.where(lowered, s.lower_until, s.floor_expires_at)),
        raised=raised,
        lowered=lowered,
        renewed=renewed,
        cost=np.where(prolonged, s.raise_cost, 0.0),
        bound_by=bound_by,
    )
