"""Outcomes from tables of numbers, and a policy whose sizes are given."""

from datetime import UTC, date, datetime, timedelta

import numpy as np

from persona_platform.replay.engine import Measured, Recording, Terms
from persona_platform.replay.outcomes import Block, Outcome

HOUR = timedelta(hours=1)
START = datetime(2024, 3, 4, tzinfo=UTC)


def recording(*rows, lead=timedelta(0), step=HOUR, scored_from=0, **terms):
    """Demand of targets a, b, c, ... from midnight on."""
    demand = np.array(rows, dtype=float)
    return Recording(tuple("abcdefgh"[: len(demand)]), START, step, demand, scored_from, Terms(lead, **terms))


def recording_of(outcome):
    """One that an outcome might be of: the same targets."""
    targets = outcome.targets
    return Recording(targets, START, HOUR, np.ones((len(targets), 24)))


class Fixed:
    """A policy whose sizes are given, by setting: one number, one a target, or (targets, walked steps)."""

    def __init__(self, name, **sizes):
        self.name, self.sizes = name, sizes

    def settings(self, recording):
        return list(self.sizes)

    def desired(self, recording):
        shape = len(recording.targets), recording.walked_steps
        tables = [np.asarray(size) for size in self.sizes.values()]
        columns = [table if table.ndim == 2 else np.reshape(table, (-1, 1)) for table in tables]
        return np.array([np.broadcast_to(column, shape) for column in columns], dtype=np.int32)


def measured(unserved, billed, demand, **other):
    """Hourly steps; ``unserved`` and ``billed`` are (settings, targets, days), ``demand`` (targets, days)."""
    unserved, billed, demand = (np.asarray(values, dtype=float) for values in (unserved, billed, demand))
    names = (
        *("slack", "starts", "short_steps", "over_steps", "short_ratio", "over_ratio"),
        *("opposed_steps", "waiting"),
    )
    sums = {name: np.zeros_like(billed) for name in names} | other
    return Measured(
        demand=demand,
        scored_steps=np.full(demand.shape, 24.0),
        unserved=unserved,
        billed=billed,
        **sums,
        step=HOUR,
        start_price=0.0,
        days=tuple(date(2024, 3, 4) + timedelta(days=i) for i in range(demand.shape[1])),
    )


def outcome(policy, unserved, billed, demand, targets=None):
    """In one block; settings are called s0, s1, ..."""
    sums = measured(unserved, billed, demand)
    names = targets or tuple(f"t{i:03d}" for i in range(sums.demand.shape[0]))
    return Outcome(policy, (Block(names, tuple(f"s{i}" for i in range(len(sums.billed))), sums),))
