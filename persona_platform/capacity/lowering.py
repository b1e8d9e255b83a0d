"""When a floor is lowered, and when one that stays is renewed.

A floor is only lowered when nothing asks for more, one that the ledger does not know never is: it is somebody
else's.
"""

from typing import NamedTuple

import numpy as np

from persona_platform.capacity.facts import NONE, SECOND, Facts
from persona_platform.capacity.reasons import Reason, first_of
from persona_platform.capacity.wishes import Wishes


class Lowered(NamedTuple):
    """What comes of the wishes to lower, arrays of N."""

    to: np.ndarray
    """The floor to lower to; NONE: not lowered."""
    waits: np.ndarray
    """Whether lowering needs an approval that is not there."""
    held: np.ndarray
    """Reason: what forbids it."""


def lower(facts: Facts, wishes: Wishes, now: int) -> Lowered:
    """How far each floor is lowered at ``now``."""
    floor, low = facts.floor, wishes.low
    open_ = (wishes.frozen == Reason.NONE) & wishes.lowering
    changed = np.maximum(facts.last_raised_at, facts.last_lowered_at)
    # A maximum that was set below the floor is obeyed however near it is.
    small = (floor - low < facts.dead_band * floor) & (floor <= facts.max)
    held = first_of(
        (Reason.NOT_OURS, open_ & ~wishes.ours),
        (Reason.FAILURE, open_ & wishes.failing),
        (Reason.DEAD_BAND, open_ & small),
        (Reason.COOLDOWN, open_ & (changed + facts.cooldown_down > now)),
    )
    approved = (facts.approved_floor != NONE) & (facts.approved_floor < floor)
    to = np.where(facts.propose & approved, np.maximum(low, facts.approved_floor), low)
    return Lowered(
        to=np.where(open_ & (held == Reason.NONE), to, NONE),
        waits=facts.propose & ~approved,
        held=held,
    )


def renewable(facts: Facts, wishes: Wishes, lowered: Lowered, now: int, width: int) -> np.ndarray:
    """Whether each floor is ours, is wanted, is not lowered, and would soon expire.

    Soon is when half of the expiry is left (leases are renewed so), or a slot and a lead time if that is
    more: the next plan may be the last one before the floor lapses.
    """
    half = facts.expiry // (2 * SECOND) * SECOND
    soon = now + np.maximum(half, facts.lead + width)
    return (
        (wishes.frozen == Reason.NONE)
        & wishes.ours
        & ~wishes.failing
        & (lowered.to == NONE)
        & (facts.floor > 0)
        & (wishes.low > 0)
        & (facts.floor <= facts.max)
        & (facts.floor_expires_at <= soon)
        & (wishes.raise_until > facts.floor_expires_at)
    )
