"""What follows what, when patterns begin, and what is played when nothing else is known.

The hazards say when a pattern ends; this module says what comes next (shares of the patterns that followed,
times how usual it is for each of them to begin at that hour of the week), and gives the plain hour-of-week
occupancy that replaces a state nobody has read for long.
"""

from dataclasses import dataclass

import numpy as np

from persona_platform.outlook.exposure import Runs
from persona_platform.outlook.grid import WEEK_HOURS, CalendarGrid
from persona_platform.outlook.roster import Roster

TO_REST = 0.8  # prior share of ends that lead to rest
FOLLOW_EVENTS = 1.0  # ends that the prior is worth
HOUR_EVENTS = 24.0  # starts that a flat day is worth, and the day's shape against the week's
OCCUPANCY_SLOTS = 4.0


@dataclass(frozen=True)
class Arrivals:
    """Tables over states; ``columns`` counts the patterns within a workload, the resting one first."""

    follows: np.ndarray  # (states, columns): share of the workload's patterns after an end of this state
    density: np.ndarray  # (states, 168): how usual it is to begin at the hour, 1 on average
    occupancy: np.ndarray  # (states, 168): share of the hour's slots, sums to 1 over a workload


def learn_arrivals(runs: Runs, roster: Roster, zone: np.ndarray, grid: CalendarGrid) -> Arrivals:
    """Counted over runs; ``zone`` is the zone index of each workload."""
    states = len(roster.workload)
    first = roster.bounds[roster.workload] if states else np.zeros(0, dtype=np.int64)
    sizes = np.diff(roster.bounds)
    columns = int(sizes.max()) if len(sizes) else 1

    ended = runs.after >= 0
    follows = np.zeros((states, columns))
    np.add.at(follows, (runs.state[ended], runs.after[ended] - first[runs.state[ended]]), 1.0)
    follows = _shares(follows, roster, first, sizes, columns)

    begun = runs.start_seen
    hour = _hours(runs.state[begun], runs.start[begun], roster, zone, grid)
    starts = _by_hour(runs.state[begun], hour, states)
    return Arrivals(
        follows=follows,
        density=_density(starts),
        occupancy=_occupancy(runs, roster, zone, grid),
    )


def _shares(counts: np.ndarray, roster: Roster, first: np.ndarray, sizes: np.ndarray, columns: int) -> np.ndarray:
    """Counts with the prior's: to rest, and the remainder evenly to the others; never to itself."""
    own = np.arange(len(counts)) - first
    column = np.arange(columns)[None, :]
    size = sizes[roster.workload][:, None]
    possible = (column < size) & (column != own[:, None])
    has_rest = roster.resting[first] & ~roster.resting
    rest = possible & (column == 0) & has_rest[:, None]
    others = possible & ~rest
    spread = others / np.maximum(others.sum(axis=1, keepdims=True), 1)
    alone = has_rest[:, None] & (others.sum(axis=1, keepdims=True) == 0)
    to_rest = np.where(alone, 1.0, np.where(has_rest[:, None], TO_REST, 0.0))
    counts = counts * possible + FOLLOW_EVENTS * (rest * to_rest + spread * (1.0 - to_rest))
    return counts / np.maximum(counts.sum(axis=1, keepdims=True), 1e-12)


def _hours(state: np.ndarray, slot: np.ndarray, roster: Roster, zone: np.ndarray, grid: CalendarGrid) -> np.ndarray:
    """Local hours of the week; -1 where the calendar has no row."""
    column = grid.columns(slot)
    where = zone[roster.workload[state]]
    known = (column >= 0) & (grid.place[where, column] >= 0)
    return np.where(known, grid.hour[where, column], -1).astype(np.int64)


def _by_hour(state: np.ndarray, hour: np.ndarray, states: int) -> np.ndarray:
    known = hour >= 0
    cell = state[known] * WEEK_HOURS + hour[known]
    return np.bincount(cell, minlength=states * WEEK_HOURS).reshape(states, WEEK_HOURS).astype(np.float64)


def _density(starts: np.ndarray) -> np.ndarray:
    """Relative density of starts: flat week <- hour of the day <- hour of the week."""
    total = starts.sum(axis=1, keepdims=True)
    of_day = starts.reshape(-1, 7, 24).sum(axis=1)
    day = (of_day * 24.0 + HOUR_EVENTS) / (total + HOUR_EVENTS)
    return (starts * WEEK_HOURS + HOUR_EVENTS * np.tile(day, (1, 7))) / (total + HOUR_EVENTS)


def _occupancy(runs: Runs, roster: Roster, zone: np.ndarray, grid: CalendarGrid) -> np.ndarray:
    """Even <- all week <- hour of the day <- hour of the week."""
    states, sizes = len(roster.workload), np.diff(roster.bounds)
    length = runs.end - runs.start
    played = np.zeros((states, WEEK_HOURS))
    for part in np.array_split(np.arange(len(length)), max(1, int(length.sum()) // 4_000_000)):
        count = length[part]
        run = np.repeat(part, count)
        slot = runs.start[run] + np.arange(len(run)) - np.repeat(np.cumsum(count) - count, count)
        state = runs.state[run]
        played += _by_hour(state, _hours(state, slot, roster, zone, grid), states)

    def of_workload(values: np.ndarray) -> np.ndarray:
        if not states:
            return values
        return np.add.reduceat(values, roster.bounds[:-1], axis=0)[roster.workload]

    prior = (1.0 / sizes[roster.workload])[:, None]
    total = played.sum(axis=1, keepdims=True)
    share = (total + OCCUPANCY_SLOTS * prior) / (of_workload(total) + OCCUPANCY_SLOTS)
    of_day = played.reshape(-1, 7, 24).sum(axis=1)
    share = (of_day + OCCUPANCY_SLOTS * share) / (of_workload(of_day) + OCCUPANCY_SLOTS)
    return (played + OCCUPANCY_SLOTS * np.tile(share, (1, 7))) / (of_workload(played) + OCCUPANCY_SLOTS)
