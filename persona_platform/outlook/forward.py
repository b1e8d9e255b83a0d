"""The exact recursion: mass over (column, slot of entry), carried from slot to slot.

What is entered within the horizon has an age that the slot of entry gives, so nothing is approximated by bins
of mass; what was played at the origin is carried apart, with its own age. Cost: rows x columns x slots^2 / 2.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np

from persona_platform.outlook.ages import age_bin
from persona_platform.outlook.process import Process


@dataclass(frozen=True)
class Forward:
    """``shares``: (workloads, columns, slots). ``hits``: (rows, slots), cumulative chance of the wanted."""

    shares: np.ndarray
    hits: np.ndarray


def forward(process: Process, row: np.ndarray, wanted: np.ndarray, hit_slots: int) -> Forward:
    """Shares of all columns, and first passages.

    Args:
        process: Workloads and their hazards.
        row: The workload of each first-passage question, ascending.
        wanted: (rows, columns) bool: playing any of these at a slot answers it.
        hit_slots: Slots for which the questions are followed.
    """
    count, slots = len(process.begin), process.slots
    hit_slots = min(hit_slots, slots)
    free = _Mass(process.begin, slots)
    asked = _Mass(process.begin[row], hit_slots)
    shares = np.zeros((count, process.begin.shape[1], slots))
    hits = np.zeros((len(row), hit_slots))
    everyone = np.arange(count)
    for step in range(slots):
        flow = _Flow.at(process, step)
        free.advance(flow, everyone, step)
        shares[:, :, step] = free.total(step)
        if step < hit_slots:
            asked.advance(flow, row, step)
            hits[:, step] = asked.absorb(wanted, step) + (hits[:, step - 1] if step else 0.0)
    return Forward(shares, np.minimum(hits, 1.0))


@dataclass(frozen=True)
class _Flow:
    """What leaves in one slot, by age; the first age is that of what was played before the origin."""

    starts: np.ndarray  # (W, P, ages) chance to go from rest to the column
    rest: np.ndarray  # (W, ages) chance to leave rest
    ends: np.ndarray  # (W, P, ages)
    destinations: np.ndarray  # (W, P, P)

    @classmethod
    def at(cls, process: Process, step: int) -> Self:
        bins = age_bin(step - np.arange(step))
        within = np.broadcast_to(bins, (len(process.begin), step))
        every = np.concatenate([process.first_bins(step), within], axis=1)
        hazard = process.start_hazard(step, every)
        total = hazard.sum(axis=1)
        rest = -np.expm1(-total)
        share = rest / np.maximum(total, 1e-12)
        return cls(hazard * share[:, None, :], rest, process.end_chance(step, every), process.destinations(step))


class _Mass:
    """Mass by column and slot of entry; position 0 holds what was there before the origin."""

    def __init__(self, begin: np.ndarray, slots: int) -> None:
        self.alive = np.zeros((*begin.shape, slots + 1))
        self.alive[:, :, 0] = begin

    def advance(self, flow: _Flow, row: np.ndarray, step: int) -> None:
        """Move the mass into slot ``step``."""
        present = self.alive[:, :, : step + 1]
        rest = present[:, 0]
        entered = np.einsum("na,nba->nb", rest, flow.starts[row])
        left = present * flow.ends[row]
        entered += np.einsum("np,npb->nb", left.sum(axis=2), flow.destinations[row])
        left[:, 0] = rest * flow.rest[row]
        present -= left
        self.alive[:, :, step + 1] = entered

    def total(self, step: int) -> np.ndarray:
        """Mass by column after slot ``step``."""
        return self.alive[:, :, : step + 2].sum(axis=2)

    def absorb(self, wanted: np.ndarray, step: int) -> np.ndarray:
        """Take out, and return, the mass that plays a wanted column at slot ``step``."""
        fresh = self.alive[:, :, step + 1] * wanted
        taken = fresh.sum(axis=1)
        self.alive[:, :, step + 1] -= fresh
        if step == 0:
            before = self.alive[:, :, 0] * wanted
            taken = taken + before.sum(axis=1)
            self.alive[:, :, 0] -= before
        return taken
