"""How far a floor may be raised: one cap a guard, one after the other.

A cap never depends on how much is wanted, and the part below it acts now; so wanting more never gives less.
"""

from typing import Final, NamedTuple

import numpy as np

from persona_platform.capacity.facts import NO_CAP, Facts
from persona_platform.capacity.reasons import Reason
from persona_platform.capacity.sizing import TOLERANCE
from persona_platform.capacity.wishes import Wishes

MOST_UNITS: Final = 1e12
"""Money divided by a tiny price is clipped here, so that it stays a whole number."""

HOURS: Final = 1 / 3.6e9
"""In a microsecond."""


class Raised(NamedTuple):
    """What comes of the wishes to raise, arrays of N."""

    to: np.ndarray
    """The floor to raise to now, or the floor as it is."""
    asked: np.ndarray
    """What it would be with every approval."""
    bound_by: np.ndarray
    """Reason: the cap that bound last."""
    unit_cost: np.ndarray
    """Money for a unit until the raise expires."""
    extension: np.ndarray
    """Money for the floor that was there, from when it would have expired."""
    renewing: np.ndarray
    """Whether the floor only stays for longer."""


class _Climb:
    """Floors on their way up: ``to`` begins as what is wanted, and each cap clamps it."""

    def __init__(self, floor: np.ndarray, to: np.ndarray) -> None:
        self.floor = floor
        self.to = to
        self.bound_by = np.zeros(len(to), dtype=np.int8)

    def cap(self, reason: Reason, cap: np.ndarray) -> None:
        """Clamps ``to``, but not below the floor; the last cap that lowered it is what bound."""
        capped = np.minimum(self.to, np.maximum(cap, self.floor))
        self.bound_by[capped < self.to] = reason
        self.to = capped


def raise_(facts: Facts, wishes: Wishes, renewable: np.ndarray, now: int) -> Raised:
    """How far each floor is raised at ``now``; ``renewable`` says which floors could do with longer."""
    floor, observed = facts.floor, wishes.observed
    approved = np.maximum(floor, facts.approved_floor)
    unit_cost, extension = _prices(facts, wishes, now)
    left_today = facts.budget_day - facts.cost_today

    open_ = (wishes.frozen == Reason.NONE) & wishes.raising
    small = (wishes.wanted - floor) < facts.dead_band * np.maximum(floor, 1)
    cooling = facts.last_raised_at + facts.cooldown_up > now
    share = np.ceil(facts.step_share * floor - TOLERANCE).astype(np.int64)

    climb = _Climb(floor, np.where(open_, wishes.wanted, floor))
    climb.cap(Reason.MAX, facts.max)
    climb.cap(Reason.FAILURE, np.where(wishes.failing, floor, NO_CAP))
    climb.cap(Reason.DEAD_BAND, np.where(small, np.maximum(observed, facts.min), NO_CAP))
    # What a person approved need not cool down: the part that needed no approval acted a moment ago.
    climb.cap(Reason.COOLDOWN, np.where(cooling, np.maximum(observed, approved), NO_CAP))
    climb.cap(Reason.STEP, np.maximum(floor + np.maximum(share, facts.step_units), observed))
    climb.cap(Reason.BUDGET, floor + _units_for(left_today - extension, unit_cost))
    asks = np.where((climb.to > floor) | renewable, (climb.to - floor) * unit_cost + extension, 0.0)
    left_total = _left_of_total(facts, wishes, asks)
    climb.cap(Reason.BUDGET, floor + _units_for(left_total - extension, unit_cost))
    asked = climb.to
    unasked = floor + np.minimum(facts.approval_units, _units_for(facts.approval_cost, unit_cost))
    climb.cap(Reason.APPROVAL, np.maximum(np.where(facts.propose, floor, unasked), approved))

    stays = renewable & (climb.to == floor)
    paid = _covers(left_today, extension) & _covers(left_total, extension)
    climb.bound_by[stays & ~paid] = Reason.BUDGET
    return Raised(climb.to, asked, climb.bound_by, unit_cost, extension, renewing=stays & paid)


def _prices(facts: Facts, wishes: Wishes, now: int) -> tuple[np.ndarray, np.ndarray]:
    """``unit_cost`` and ``extension`` of :class:`Raised`."""
    unit_cost = (wishes.raise_until - now) * HOURS * facts.price_per_hour
    longer = np.maximum((wishes.raise_until - np.maximum(facts.floor_expires_at, now)) * HOURS, 0.0)
    return unit_cost, np.where(wishes.ours, longer * facts.price_per_hour * facts.floor, 0.0)


def _units_for(money: np.ndarray, unit_cost: np.ndarray) -> np.ndarray:
    """The most units whose raise fits the money; NO_CAP where money is NaN (no budget) and units are free."""
    units = np.full(len(money), NO_CAP)
    priced = np.flatnonzero(~np.isnan(money) & (unit_cost > 0))
    if priced.size:
        with np.errstate(over="ignore"):
            most = np.floor(money[priced] / unit_cost[priced] + TOLERANCE)
        units[priced] = np.clip(most, 0.0, MOST_UNITS).astype(np.int64)
    return units


def _left_of_total(facts: Facts, wishes: Wishes, asks: np.ndarray) -> np.ndarray:
    """The total budget less what the rows before each one ask for; NaN without one.

    The order is by need and then by name, and does not depend on how much anybody needs.
    """
    left = facts.budget_total_day - facts.cost_today_total
    if np.isnan(left).all():
        return left
    order = np.argsort(wishes.start, kind="stable")
    in_order = asks[order]
    left[order] -= np.cumsum(in_order) - in_order
    return left


def _covers(left: np.ndarray, cost: np.ndarray) -> np.ndarray:
    """Whether what is left of a budget pays for ``cost``; without a budget it does."""
    return np.isnan(left) | (cost <= left + TOLERANCE)
