"""Activations cut into exposures: one row for each boundary of slots at which something could change.

A run of n slots has n exposures when its end was seen, the last of them with the change, and n - 1 when it
was cut by a gap or by the end of the data: what was not seen is neither an end nor a survival.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
import polars as pl

from persona_platform.frames import ACTIVATION_KEYS, conform
from persona_platform.outlook.grid import CalendarGrid, slot_number, slot_numbers
from persona_platform.outlook.roster import Roster

START, END = 0, 1
"""The two types of risk: an active pattern starts while the workload rests; what is not resting ends."""


@dataclass(frozen=True)
class Runs:
    """Runs in time order; arrays of one length. Slots are numbers since the epoch."""

    state: np.ndarray
    start: np.ndarray
    end: np.ndarray  # exclusive
    after: np.ndarray  # the state that followed without a gap, or -1
    start_seen: np.ndarray  # bool: the age is known


@dataclass(frozen=True)
class Exposures:
    """Rows of (risk, boundary); ``state`` is the pattern that may start (START) or end (END)."""

    risk: np.ndarray
    state: np.ndarray
    age: np.ndarray  # slots that the present run has lasted; 0 where its start was not seen
    zone: np.ndarray
    column: np.ndarray  # of the calendar grid, of the slot after the boundary
    happened: np.ndarray  # float: 1 where the risk's change took place
    weight: np.ndarray

    def take(self, where: np.ndarray) -> "Exposures":
        """The rows of a mask or index."""
        return Exposures(**{name: values[where] for name, values in vars(self).items()})


def runs_until(activations: pl.DataFrame, roster: Roster, slot: timedelta, until: datetime) -> Runs:
    """The runs that begin before ``until``; later slots, and overlaps with the next run, are cut off."""
    limit = slot_number(until, slot)
    table = conform(activations, ACTIVATION_KEYS, "The activations frame").unique(
        ["workload_id", "start"], keep="first", maintain_order=True
    )
    states = roster.rows.select("workload_id", "pattern").with_row_index("state")
    table = table.with_columns(
        pl.Series("first", slot_numbers(table["start"], slot)),
        pl.Series("last", slot_numbers(table["end"], slot)),
    ).join(states, on=["workload_id", "pattern"], how="inner", maintain_order="left")
    following = pl.col("first").shift(-1).over("workload_id")
    table = (
        table.filter(pl.col("first") < limit)
        .sort("workload_id", "first")
        .with_columns(last=pl.min_horizontal("last", following, pl.lit(limit)))
        .filter(pl.col("last") > pl.col("first"))
        .with_columns(
            after=pl.when(following == pl.col("last"))
            .then(pl.col("state").cast(pl.Int64).shift(-1).over("workload_id"))
            .otherwise(-1)
            .fill_null(-1),
            start_seen=(pl.col("last").shift(1).over("workload_id") == pl.col("first")).fill_null(value=False),
        )
        .sort("state", "first")
    )
    return Runs(
        state=table["state"].to_numpy().astype(np.int64),
        start=table["first"].to_numpy(),
        end=table["last"].to_numpy(),
        after=table["after"].to_numpy(),
        start_seen=table["start_seen"].to_numpy(),
    )


def exposures(
    runs: Runs, roster: Roster, zone: np.ndarray, grid: CalendarGrid, *, until: int, half_life: float
) -> Exposures:
    """The exposures of runs, weighted by ``0.5 ** (age of the boundary / half_life)``, in slots.

    ``zone`` is the zone index of each workload. Boundaries without a calendar row are left out.
    """
    length = runs.end - runs.start
    count = np.where(runs.after >= 0, length, length - 1)
    run = np.repeat(np.arange(len(count)), count)
    age = np.arange(len(run)) - np.repeat(np.cumsum(count) - count, count) + 1
    slot = runs.start[run] + age
    changes = (runs.after[run] >= 0) & (age == length[run])
    after = np.where(changes, runs.after[run], -1)
    age = np.where(runs.start_seen[run], age, 0)
    state = runs.state[run]
    column = grid.columns(slot)
    place_zone = zone[roster.workload[state]]
    kept = (column >= 0) & (grid.place[place_zone, column] >= 0)
    weight = 0.5 ** ((until - slot) / half_life)
    rests = roster.resting[state]

    ends = kept & ~rests
    starts = np.flatnonzero(kept & rests)
    workload = roster.workload[state[starts]]
    startable = roster.bounds[workload + 1] - roster.bounds[workload] - 1
    source = np.repeat(starts, startable)
    offset = np.arange(len(source)) - np.repeat(np.cumsum(startable) - startable, startable)
    target = state[source] + 1 + offset  # resting is the first state of its workload

    def both(values: np.ndarray) -> np.ndarray:
        return np.concatenate([values[source], values[ends]])

    return Exposures(
        risk=np.repeat([START, END], [len(source), int(ends.sum())]),
        state=np.concatenate([target, state[ends]]),
        age=both(age),
        zone=both(place_zone),
        column=both(column),
        happened=np.concatenate([after[source] == target, changes[ends]]).astype(np.float64),
        weight=both(weight),
    )
