"""Runs and all that turns them into exposures, in chunks of whole workloads so that memory stays bounded."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import polars as pl

from persona_platform.frames import WORKLOADS, conform
from persona_platform.outlook.exposure import Exposures, Runs, exposures
from persona_platform.outlook.grid import CalendarGrid
from persona_platform.outlook.roster import Roster

CHUNK_ROWS = 2_000_000  # some hundred MB while they are judged
SAMPLE_ROWS = 120_000
"""Exposures on which strengths and weights are chosen; 300,000 moved Brier scores by less than 0.3 %."""


@dataclass(frozen=True)
class Source:
    """``zone`` is the zone index of each workload; ``until`` and ``half_life`` are in slots."""

    runs: Runs
    roster: Roster
    zone: np.ndarray
    grid: CalendarGrid
    until: int
    half_life: float

    def chunks(self) -> Iterator[tuple[int, int, Exposures]]:
        """First state, end state and exposures of consecutive workloads."""
        cumulative = np.concatenate([[0], np.cumsum(self._sizes())])
        cuts = np.searchsorted(cumulative, np.arange(0, cumulative[-1], CHUNK_ROWS))
        cuts = np.unique([*cuts, len(cumulative) - 1])
        for begin, end in pairwise(cuts):
            first, last = int(self.roster.bounds[begin]), int(self.roster.bounds[end])
            lo, hi = np.searchsorted(self.runs.state, [first, last])
            yield first, last, self._exposures(np.arange(lo, hi))

    def sample(self, seed: int) -> Exposures:
        """Exposures of workloads drawn at random, about :data:`SAMPLE_ROWS` of them."""
        sizes = self._sizes()
        draw = np.random.default_rng(seed)
        order = draw.permutation(len(sizes))
        chosen = order[np.cumsum(sizes[order]) - sizes[order] < SAMPLE_ROWS]
        rows = self._exposures(np.flatnonzero(np.isin(self.roster.workload[self.runs.state], chosen)))
        if len(rows.state) <= 2 * SAMPLE_ROWS:
            return rows
        return rows.take(draw.choice(len(rows.state), 2 * SAMPLE_ROWS, replace=False))

    def _exposures(self, which: np.ndarray) -> Exposures:
        part = Runs(**{name: values[which] for name, values in vars(self.runs).items()})
        return exposures(part, self.roster, self.zone, self.grid, until=self.until, half_life=self.half_life)

    def _sizes(self) -> np.ndarray:
        """Exposures of each workload: a slot of rest is one for each pattern that could start."""
        patterns = np.diff(self.roster.bounds)
        workload = self.roster.workload[self.runs.state]
        copies = np.where(self.roster.resting[self.runs.state], patterns[workload] - 1, 1)
        slots = (self.runs.end - self.runs.start) * copies
        return np.bincount(workload, slots, minlength=len(patterns))


def zones_of(workload_ids: list[str], workloads: pl.DataFrame) -> list[str]:
    """The time zone of each workload; UTC where it is unknown."""
    known = conform(workloads, WORKLOADS, "The workloads frame").unique("workload_id", keep="first")
    table = pl.DataFrame({"workload_id": workload_ids}, schema={"workload_id": pl.String})
    joined = table.join(known, on="workload_id", how="left", maintain_order="left")
    return joined["timezone"].fill_null("UTC").to_list()
