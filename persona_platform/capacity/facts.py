"""What is known of each target when something is decided, as arrays: one entry a row, whoever asks.

Live, a row is a target and :mod:`.gathering` makes the arrays of frames; in replay a row is a setting and a
target, and the replay keeps the arrays itself. Nothing is decided here.

Times and durations are int64 microseconds, times since 1970 UTC. What is not there loses every comparison, so
that a maximum or a minimum passes over it: a time, need or floor that is not there is :data:`NONE`, below all
others; a cap that is not there is :data:`NO_CAP`, above all others; money and readings that are not there are
NaN.
"""

from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np

NONE: Final = -(2**62)
"""No time, need, floor or duration. Half of int64's range: adding a time or doubling it does not overflow."""

NO_CAP: Final = 2**62
"""No maximum, no threshold."""

SECOND: Final = 1_000_000


@dataclass(frozen=True)
class Facts:
    """N rows; each field is an array of N, int64 where nothing else is said.

    Rows that share a total budget are in the order of their targets' names. What the fields of the first
    three groups mean is in :mod:`persona_platform.frames` (LIMITS, INVENTORY, LEDGER_VIEW), under the same names.
    """

    observe: np.ndarray
    """bool: the mode is observe."""
    propose: np.ndarray
    """bool: the mode is propose; neither: act."""
    min: np.ndarray
    max: np.ndarray
    """May be NO_CAP."""
    step_share: np.ndarray
    """float64."""
    step_units: np.ndarray
    dead_band: np.ndarray
    """float64."""
    cooldown_up: np.ndarray
    cooldown_down: np.ndarray
    budget_day: np.ndarray
    """float64, may be NaN."""
    budget_total_day: np.ndarray
    """float64, may be NaN; the same in every row."""
    approval_units: np.ndarray
    """May be NO_CAP."""
    approval_cost: np.ndarray
    """float64, may be NaN."""
    price_per_hour: np.ndarray
    """float64."""
    min_history: np.ndarray
    stale_after: np.ndarray
    """May be NONE: two slots, at least an hour."""
    expiry: np.ndarray
    act_unsuitable: np.ndarray
    """bool."""

    observed_at: np.ndarray
    """May be NONE."""
    floor: np.ndarray
    """0 where unknown."""
    observed_demand: np.ndarray
    """float64 units; what is not finite is no reading."""

    paused: np.ndarray
    """bool."""
    last_raised_at: np.ndarray
    """This and the next two may be NONE."""
    last_lowered_at: np.ndarray
    last_failed_at: np.ndarray
    cost_today: np.ndarray
    """float64, 0 where unknown."""
    cost_today_total: np.ndarray
    """float64, 0 where unknown; the same in every row."""
    approved_floor: np.ndarray
    """May be NONE."""
    floor_expires_at: np.ndarray
    """NONE: the floor is not ours."""
    lead: np.ndarray
    """From request to usable capacity; see :func:`lead_of`."""

    needed: np.ndarray
    """Units in the slot that holds now + lead; this and the next two: see :func:`planned`, may be NONE."""
    hold_needed: np.ndarray
    need_slot: np.ndarray
    origin: np.ndarray
    """The oldest origin of the plan's rows from now to now + lead; may be NONE."""
    data_until: np.ndarray
    """The oldest of those rows; may be NONE."""
    history: np.ndarray
    """Span of the observed demand, 0 where unknown."""
    cycle: np.ndarray
    """Longest period that the forecast relies on; may be NONE."""
    suitable: np.ndarray
    """bool: no row of the plan says that acting on it is not worth it."""


class Planned(NamedTuple):
    """What a plan says of each row, arrays of N."""

    needed: np.ndarray
    hold_needed: np.ndarray
    need_slot: np.ndarray


def lead_of(learned_s: np.ndarray, prior_s: np.ndarray) -> np.ndarray:
    """Lead times in microseconds: the learned one where there is one (it is finite), else the prior."""
    return (np.where(np.isfinite(learned_s), learned_s, prior_s) * SECOND).astype(np.int64)


def planned(needed: np.ndarray, slots: np.ndarray, lead: np.ndarray, *, now: int, width: int) -> Planned:
    """What a plan says of each row between now and when capacity asked for now is usable.

    ``needed`` is of the slot that holds now + lead time (it covers the hold after it), ``need_slot`` that
    slot's start; ``hold_needed`` is the most of the slots from now's to that one. A plan that does not reach
    that slot says nothing. :func:`persona_platform.capacity.gathering.gather` applies the same rule to PLAN.

    Args:
        needed: (N, slots) units, NONE where the plan has no row.
        slots: (slots,) their starts, any order.
        lead: (N,) lead times.
        now: the instant.
        width: of a slot.
    """
    usable_at = now + lead[:, None]
    matters = (slots + width > now) & (slots <= now + lead.max(initial=0))
    slots, needed = slots[matters], needed[:, matters]
    held = (slots <= usable_at) & (needed != NONE)
    at_lead = held & (slots + width > usable_at)
    return Planned(_most(needed, at_lead), _most(needed, held), _most(slots, at_lead))


def _most(values: np.ndarray, where: np.ndarray) -> np.ndarray:
    return np.where(where, values, NONE).max(axis=1, initial=NONE)
