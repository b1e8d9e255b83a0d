"""Paths of patterns, on which the workloads of a persona move together."""

from dataclasses import dataclass
from datetime import datetime

import numpy as np
import polars as pl

from persona_platform.outlook.ages import LONGEST, UNKNOWN, age_bin
from persona_platform.outlook.cast import EMPTY, Cast
from persona_platform.outlook.frailty import enlarged
from persona_platform.outlook.grid import microseconds, slot_number
from persona_platform.outlook.process import Process, lay_out
from persona_platform.outlook.tables import OutlookModel

DAY_US = 86_400_000_000
"""Microseconds in a day."""


@dataclass(frozen=True)
class Simulated:
    """``patterns``: int16 (paths, workloads, slots), the pattern's number within its workload.

    -1 is the pattern that a newcomer has not shown yet. ``played`` tells the persona of each:
    workload_id, pattern (Int16), persona_id.
    """

    workload_ids: list[str]
    patterns: np.ndarray
    played: pl.DataFrame


def simulate(
    model: OutlookModel,
    state: pl.DataFrame,
    workloads: pl.DataFrame,
    calendar: pl.DataFrame,
    origin: datetime,
    slots: int,
    paths: int,
    seed: int,
    *,
    roles: pl.DataFrame | None = None,
) -> Simulated:
    """Draw ``paths`` joint futures of ``slots`` slots from ``origin`` on; arguments as for the prediction.

    A gamma shock for each path, persona and UTC day multiplies the hazards of starting, enlarged so that the
    share of paths agrees with the predicted probability. One seed, one result. With ``roles`` (ROLES) a newcomer
    has one of its roles on each path.
    """
    process = lay_out(model, state, workloads, calendar, origin, slots, roles)
    cast = process.cast
    draw = np.random.default_rng(seed)
    days = slot_number(origin, model.slot) + np.arange(slots)
    days = days * microseconds(model.slot) // DAY_US
    walk = _Walk(process, model.variance, paths, draw)
    patterns = np.zeros((paths, len(cast.owner), slots), dtype=np.int16)
    number = cast.pattern.astype(np.int16)
    everyone = np.arange(len(cast.owner))
    for step in range(slots):
        if step == 0 or days[step] != days[step - 1]:
            walk.new_day()
        patterns[:, :, step] = number[everyone, walk.step(step)]
    if len(cast.owner) > len(cast.workload_ids):
        patterns = patterns[np.arange(paths)[:, None], _rows(cast, paths, draw)]
    return Simulated(cast.workload_ids, patterns, _played(model, process))


def _rows(cast: Cast, paths: int, draw: np.random.Generator) -> np.ndarray:
    """(paths, workloads): the row of the cast that each workload has on each path."""
    first = np.searchsorted(cast.owner, np.arange(len(cast.workload_ids)))
    upto = np.cumsum(cast.weight)
    wanted = draw.random((paths, len(first))) + np.concatenate([[0.0], upto])[first]
    last = np.append(first[1:], len(cast.owner)) - 1
    return np.clip(np.searchsorted(upto, wanted, side="right"), first, last)


def _played(model: OutlookModel, process: Process) -> pl.DataFrame:
    cast = process.cast
    w, column = np.nonzero(cast.state != EMPTY)
    return pl.DataFrame(
        {
            "workload_id": pl.Series(cast.row_ids, dtype=pl.String).gather(w),
            "pattern": pl.Series(cast.pattern[w, column], dtype=pl.Int16),
            "persona_id": pl.Series(model.persona_ids, dtype=pl.String).gather(cast.persona[w, column]),
        }
    ).unique(["workload_id", "pattern"], keep="first", maintain_order=True)


class _Walk:
    """The columns played on every path, (paths, workloads), and since when."""

    def __init__(self, process: Process, variance: np.ndarray, paths: int, draw: np.random.Generator) -> None:
        self.process, self.variance, self.draw = process, variance, draw
        cast = process.cast
        count = len(cast.owner)
        self.everyone = np.arange(count)
        edges = np.cumsum(process.begin, axis=1)
        self.column = _pick(np.broadcast_to(edges, (paths, *edges.shape)), draw.random((paths, count)))
        self.age = np.tile(np.where(cast.age > 0, cast.age, -LONGEST * 10), (paths, 1))
        self.bin_of = age_bin(np.arange(LONGEST + 1))
        self.variance_of = variance[cast.persona]
        self.shock = np.zeros(0)
        self.spent = np.zeros(0)

    def new_day(self) -> None:
        """New shocks; nothing of them is spent."""
        paths = len(self.column)
        shape = 1.0 / self.variance
        shock = self.draw.gamma(shape, self.variance, size=(paths, len(shape)))
        self.shock = shock[:, self.process.cast.persona]
        self.spent = np.zeros(self.shock.shape)

    def step(self, step: int) -> np.ndarray:
        """The columns played in slot ``step``."""
        bins = np.where(self.age > 0, self.bin_of[np.clip(self.age, 0, LONGEST)], UNKNOWN)
        leaves, after = self.draw.random(self.column.shape), self.draw.random(self.column.shape)
        rests = self.column == 0
        chance = np.zeros(self.column.shape)
        edges = np.cumsum(self.process.destinations(step), axis=2)[self.everyone, self.column]

        hazard = self.process.start_hazard(step, bins.T).transpose(2, 0, 1)
        moved = self.shock * enlarged(hazard, self.spent, self.variance_of)
        self.spent += hazard * rests[..., None]
        total = moved.sum(axis=2)
        ends = self.process.end_chance(step, bins.T).transpose(2, 0, 1)
        ends = np.take_along_axis(ends, self.column[..., None], axis=2)[..., 0]
        chance = np.where(rests, -np.expm1(-total), ends)
        starts = np.cumsum(moved, axis=2) / np.maximum(total, 1e-300)[..., None]
        following = _pick(np.where(rests[..., None], starts, edges), after)
        changes = leaves < chance
        self.column = np.where(changes, following, self.column)
        self.age = np.where(changes, 1, self.age + 1)
        return self.column


def _pick(edges: np.ndarray, uniform: np.ndarray) -> np.ndarray:
    """The first column whose cumulative share exceeds the draw; columns of no share are never picked."""
    return np.minimum((uniform[..., None] * edges[..., -1:] >= edges).sum(axis=-1), edges.shape[-1] - 1)
