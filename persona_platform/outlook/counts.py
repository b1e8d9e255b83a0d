"""Events and exposures, counted by state, persona and fleet, by place of the week and by age.

Holidays are left out of the places of the week (whether a workload keeps them is a question of its own, see
:mod:`persona_platform.outlook.holidays`); unknown ages are left out of the ages.
"""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from persona_platform.outlook.ages import BINS, age_bin, coarse_of_fine
from persona_platform.outlook.exposure import Exposures
from persona_platform.outlook.grid import CalendarGrid
from persona_platform.outlook.roster import Roster

RISKS = 2


@dataclass(frozen=True)
class Cells:
    """Where exposures fall: place of the week, fine age bin, and whether the slot is a holiday."""

    place: np.ndarray
    age: np.ndarray
    holiday: np.ndarray


def cells(rows: Exposures, grid: CalendarGrid) -> Cells:
    """The cells of exposures."""
    return Cells(
        place=grid.place[rows.zone, rows.column].astype(np.int64),
        age=age_bin(rows.age),
        holiday=grid.holiday[rows.zone, rows.column],
    )


@dataclass(frozen=True)
class Tally:
    """Weighted events and exposures: arrays whose first axis is (events, exposures)."""

    place: np.ndarray  # (2, risks, states, places of the week)
    age: np.ndarray  # (2, risks, states, fine bins)


def empty_tally(states: int, places: int) -> Tally:
    """Nothing counted yet."""
    return Tally(
        place=np.zeros((2, RISKS, states, places), dtype=np.float32),
        age=np.zeros((2, RISKS, states, BINS), dtype=np.float32),
    )


def add(tally: Tally, rows: Exposures, where: Cells, *, first: int, last: int) -> None:
    """Count exposures of the states ``first`` to ``last - 1``, in place: a tally is filled chunk by chunk."""
    span = last - first

    def count(axis: np.ndarray, width: int, kept: np.ndarray) -> np.ndarray:
        cell = (rows.risk[kept] * span + rows.state[kept] - first) * width + axis[kept]
        shape = (RISKS, span, width)
        happened = np.bincount(cell, rows.weight[kept] * rows.happened[kept], minlength=RISKS * span * width)
        exposed = np.bincount(cell, rows.weight[kept], minlength=RISKS * span * width)
        return np.stack([happened.reshape(shape), exposed.reshape(shape)])

    tally.place[:, :, first:last] = count(where.place, tally.place.shape[-1], ~where.holiday)
    tally.age[:, :, first:last] = count(where.age, BINS, where.age < BINS)


@dataclass(frozen=True)
class Pools:
    """The tally summed to every level that the chains of :mod:`views` pass through."""

    tally: Tally
    persona: np.ndarray  # persona of each state
    share: np.ndarray  # probability of the state's persona: what its counts weigh in the persona's pool
    off_days: np.ndarray  # bool (states, 7)
    personas: int
    per_day: int

    def pooled(self, counts: np.ndarray) -> np.ndarray:
        """Counts of states (axis 2) summed into their personas."""
        weighted = np.moveaxis(counts * self.share.reshape(-1, *(1,) * (counts.ndim - 3)), 2, 0)
        pool = np.zeros((self.personas, *weighted.shape[1:]))
        np.add.at(pool, self.persona, weighted)
        return np.moveaxis(pool, 0, 2)

    @cached_property
    def total(self) -> np.ndarray:
        """(2, risks, states)."""
        return self.tally.place.sum(axis=3, dtype=np.float64)

    @cached_property
    def day(self) -> np.ndarray:
        """(2, risks, states, working or off day, place of the day)."""
        week = self.tally.place.reshape(*self.tally.place.shape[:3], 7, self.per_day)
        off = self.off_days[:, :, None]
        return np.stack([(week * ~off).sum(axis=3), (week * off).sum(axis=3)], axis=3)

    @cached_property
    def hour(self) -> np.ndarray:
        """Like ``day``, summed over the places within an hour before and after, around the clock."""
        return around(self.day, max(1, self.per_day // 24))

    @cached_property
    def coarse(self) -> np.ndarray:
        """(2, risks, states, coarse age bins)."""
        return np.add.reduceat(self.tally.age, np.flatnonzero(np.diff(coarse_of_fine(), prepend=-1)), axis=3)

    @cached_property
    def persona_total(self) -> np.ndarray:
        """(2, risks, personas)."""
        return self.pooled(self.total)

    @cached_property
    def persona_day(self) -> np.ndarray:
        """Like ``day``, by persona."""
        return self.pooled(self.day)

    @cached_property
    def persona_hour(self) -> np.ndarray:
        """Like ``hour``, by persona."""
        return self.pooled(self.hour)

    @cached_property
    def persona_coarse(self) -> np.ndarray:
        """Like ``coarse``, by persona."""
        return self.pooled(self.coarse)

    @cached_property
    def fleet_total(self) -> np.ndarray:
        """(2, risks)."""
        return self.total.sum(axis=2)

    @cached_property
    def fleet_coarse(self) -> np.ndarray:
        """(2, risks, coarse age bins)."""
        return self.coarse.sum(axis=2)


def around(counts: np.ndarray, reach: int) -> np.ndarray:
    """Sums over ``reach`` places on both sides along the last axis, which is a circle."""
    width = counts.shape[-1]
    reach = min(reach, (width - 1) // 2)
    return sum((np.roll(counts, shift, axis=-1) for shift in range(-reach, reach + 1)), np.zeros_like(counts))


def pools(tally: Tally, roster: Roster, zone: np.ndarray, grid: CalendarGrid) -> Pools:
    """The pools of a finished tally; ``zone`` is the zone index of each workload."""
    return Pools(
        tally=tally,
        persona=roster.persona,
        share=roster.rows["probability"].to_numpy(),
        off_days=grid.off_days[zone[roster.workload]].reshape(-1, 7),
        personas=len(roster.persona_ids),
        per_day=grid.week.per_day,
    )


def with_priors(levels: Pools) -> Pools:
    """The same pools with one more state for each persona, which has counted nothing: the persona's prior."""
    extra = levels.personas

    def padded(counts: np.ndarray) -> np.ndarray:
        return np.concatenate([counts, np.zeros((2, RISKS, extra, counts.shape[3]), counts.dtype)], axis=2)

    usual = levels.off_days.mean(axis=0) > 0.5 if len(levels.off_days) else np.arange(7) >= 5
    return replace(
        levels,
        tally=Tally(padded(levels.tally.place), padded(levels.tally.age)),
        persona=np.concatenate([levels.persona, np.arange(extra)]),
        share=np.concatenate([levels.share, np.zeros(extra)]),
        off_days=np.concatenate([levels.off_days, np.tile(usual, (extra, 1))]),
    )
