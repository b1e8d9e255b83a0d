"""What each row wants, from when and until when, and why nothing may be done where that is so.

How far a wish is granted is in :mod:`.raising` and :mod:`.lowering`.
"""

from dataclasses import dataclass
from datetime import timedelta
from typing import Final

import numpy as np

from persona_platform.capacity.facts import NO_CAP, NONE, SECOND, Facts
from persona_platform.capacity.limits import STALE_AT_LEAST
from persona_platform.capacity.reasons import Reason, first_of
from persona_platform.capacity.sizing import TOLERANCE

FAILURE_BACKOFF: Final = timedelta(seconds=180) // timedelta(microseconds=1)
"""No write for this long after one failed (Cluster Autoscaler's delay after failure), in microseconds. It is
the distance between two tries and not a matter of size, so it holds against observed demand too."""

_STALE_AT_LEAST: Final = STALE_AT_LEAST // timedelta(microseconds=1)


@dataclass(frozen=True)
class Wishes:
    """Arrays of N: whole units, bool, and times in microseconds."""

    observed: np.ndarray
    """Units of the newest reading, 0 without one."""
    wanted: np.ndarray
    """max(needed, observed, min)."""
    low: np.ndarray
    """The lowest floor that may be kept, at most the maximum."""
    raising: np.ndarray
    lowering: np.ndarray
    ours: np.ndarray
    """Whether the ledger knows the floor."""
    failing: np.ndarray
    """Whether a write failed within :data:`FAILURE_BACKOFF`."""
    start: np.ndarray
    """The slot that counts, or now + lead time where the plan says nothing."""
    raise_at: np.ndarray
    """When a raised floor is needed; the next three likewise: need_at and expires_at of a change."""
    raise_until: np.ndarray
    lower_at: np.ndarray
    lower_until: np.ndarray
    frozen: np.ndarray
    """Reason: why nothing may be done, or Reason.NONE."""


def wish(facts: Facts, now: int, width: int) -> Wishes:
    """The wishes of all rows at ``now``, with slots of ``width`` (both microseconds).

    A floor that was lowered since its slot began is needed *again* from then on: without that, the second
    raise within a slot would have the key of the first, and the ledger would take it for done.
    """
    observed = _whole(facts.observed_demand)
    kept = np.maximum(observed, facts.min)
    wanted = np.maximum(facts.needed, kept)
    low = np.minimum(np.maximum(facts.hold_needed, kept), facts.max)
    raising = np.minimum(wanted, facts.max) > facts.floor

    stands = _hold(facts.cooldown_down, width) + facts.expiry
    start = np.where(facts.need_slot == NONE, now + facts.lead, facts.need_slot)
    raise_at = np.maximum(start, facts.last_lowered_at)
    lower_at = np.maximum(start, facts.last_raised_at)
    return Wishes(
        observed=observed,
        wanted=wanted,
        low=low,
        raising=raising,
        lowering=~raising & (low < facts.floor),
        ours=facts.floor_expires_at != NONE,
        failing=facts.last_failed_at + FAILURE_BACKOFF > now,
        start=start,
        raise_at=raise_at,
        raise_until=raise_at + stands,
        lower_at=lower_at,
        lower_until=lower_at + stands,
        frozen=_frozen(facts, now, width),
    )


def _frozen(facts: Facts, now: int, width: int) -> np.ndarray:
    """Why nothing may be done; the first reason that a user has to remove."""
    return first_of(
        (Reason.PAUSE, facts.paused),
        (Reason.MODE, facts.observe),
        (Reason.STALE, ~_fresh(facts, now, width) | (facts.needed == NONE)),
        (Reason.HISTORY, facts.history < np.maximum(facts.min_history, 2 * facts.cycle)),
        (Reason.UNSUITABLE, ~facts.suitable & ~facts.act_unsuitable),
        (Reason.MAX, facts.max == NO_CAP),
    )


def _fresh(facts: Facts, now: int, width: int) -> np.ndarray:
    default = max(2 * width, _STALE_AT_LEAST) // SECOND * SECOND
    oldest = now - np.where(facts.stale_after == NONE, default, facts.stale_after)
    # A slot ahead is allowed: the origin is the end of the newest slot, and clocks differ a little.
    newest = now + width
    youngest = np.maximum(np.maximum(facts.origin, facts.data_until), facts.observed_at)
    eldest = np.minimum(np.minimum(facts.origin, facts.data_until), facts.observed_at)
    return (eldest >= oldest) & (youngest <= newest)


def _hold(cooldown: np.ndarray, width: int) -> np.ndarray:
    """The longer of slot and cooldown, in whole slots of whole seconds."""
    slot = max(width // SECOND, 1) * SECOND
    return (np.maximum(cooldown, slot) + (slot - SECOND)) // slot * slot


def _whole(demand: np.ndarray) -> np.ndarray:
    """The fewest whole units that hold a demand, at least 0, as :func:`.sizing.whole_units` says it of frames.

    A reading that is no number is no reading; the other rows are still good.
    """
    read = np.where(np.isfinite(demand), demand, 0.0)
    units = np.ceil(read - TOLERANCE * np.maximum(np.abs(read), 1.0))
    return np.clip(units, 0.0, NO_CAP).astype(np.int64)
