"""Scores of what was served, as sums by UTC day, so that targets and days can be pooled and resampled."""

from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np

from persona_platform.replay.recording import DAY, TOLERANCE, Recording
from persona_platform.replay.serving import Served, started

HOUR = timedelta(hours=1)


@dataclass(frozen=True)
class Measured:
    """Sums over the scored steps; arrays are (settings, targets, days), by UTC day, unless said otherwise.

    The properties are over all days, (settings, targets).

    Attributes:
        demand: (targets, days) unit-steps.
        scored_steps: (targets, days).
        unserved: unit-steps of demand above the usable capacity of its own step.
        billed: unit-steps, counted from the request.
        slack: unit-steps of usable capacity above demand.
        starts: units started.
        short_steps: steps with demand above capacity.
        over_steps: steps with capacity above demand.
        short_ratio: sum of short / demand over the steps with demand.
        over_ratio: sum of over / demand over the steps with demand.
        opposed_steps: steps into which capacity and demand moved in opposite directions.
        waiting: unit-steps that waited; zeros without a backlog.
        step: length of a step.
        start_price: unit-hours charged at each start.
        days: the dates.
    """

    demand: np.ndarray
    scored_steps: np.ndarray
    unserved: np.ndarray
    billed: np.ndarray
    slack: np.ndarray
    starts: np.ndarray
    short_steps: np.ndarray
    over_steps: np.ndarray
    short_ratio: np.ndarray
    over_ratio: np.ndarray
    opposed_steps: np.ndarray
    waiting: np.ndarray
    step: timedelta
    start_price: float
    days: tuple[date, ...]

    @property
    def billed_unit_hours(self) -> np.ndarray:
        """Unit-hours paid for, counted from the request, those charged at starts among them."""
        return self.billed.sum(-1) * (self.step / HOUR) + self.starts.sum(-1) * self.start_price

    @property
    def unserved_share(self) -> np.ndarray:
        """Sum of max(demand - capacity, 0) over the sum of demand; 0 where there was no demand."""
        return _ratio(self.unserved.sum(-1), self.demand.sum(-1))

    @property
    def idle_share(self) -> np.ndarray:
        """Share of the billed unit-steps that served nothing, booting included."""
        billed = self.billed.sum(-1)
        return _ratio(billed - (self.demand.sum(-1) - self.unserved.sum(-1)), billed)

    @property
    def utilization(self) -> np.ndarray:
        """Share of the usable unit-steps that served demand."""
        served = self.demand.sum(-1) - self.unserved.sum(-1)
        return _ratio(served, served + self.slack.sum(-1))

    @property
    def worst_day(self) -> np.ndarray:
        """The largest unserved share of one UTC day."""
        return _ratio(self.unserved, self.demand).max(axis=-1, initial=0.0)

    @property
    def starts_per_day(self) -> np.ndarray:
        """Units started in 24 scored hours."""
        return _ratio(self.starts.sum(-1), self.scored_steps.sum(-1) * (self.step / DAY))

    @property
    def under_provisioned_minutes(self) -> np.ndarray:
        """Minutes of the steps in which demand was above the usable capacity."""
        return self.short_steps.sum(-1) * (self.step / timedelta(minutes=1))

    @property
    def waiting_unit_hours(self) -> np.ndarray:
        """Unit-hours that unserved demand waited; 0 without a backlog."""
        return self.waiting.sum(-1) * (self.step / HOUR)

    # The elasticity metrics of SPEC's research group (Herbst et al. 2013), as shares of the scored time.

    @property
    def tau_u(self) -> np.ndarray:
        """Share of time with too little capacity."""
        return self._over_time(self.short_steps)

    @property
    def tau_o(self) -> np.ndarray:
        """Share of time with more capacity than demand."""
        return self._over_time(self.over_steps)

    @property
    def theta_u(self) -> np.ndarray:
        """What was short, relative to demand, on average over time; steps without demand count as 0."""
        return self._over_time(self.short_ratio)

    @property
    def theta_o(self) -> np.ndarray:
        """What was over, relative to demand, on average over time; steps without demand count as 0."""
        return self._over_time(self.over_ratio)

    @property
    def instability(self) -> np.ndarray:
        """Share of time in which capacity and demand moved in opposite directions."""
        return self._over_time(self.opposed_steps)

    def _over_time(self, sums: np.ndarray) -> np.ndarray:
        return _ratio(sums.sum(-1), self.scored_steps.sum(-1))


def _ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    return np.divide(part, whole, out=np.zeros(np.broadcast(part, whole).shape), where=whole > 0)


def measure(served: Served, recording: Recording) -> Measured:
    """Scores what was served, over the recording's scored steps.

    One setting at a time: beside the sums there is room for a few arrays of (targets, scored steps).
    """
    scored = recording.scored[:, recording.scored_from :]
    skipped = min(recording.scored_from - recording.walked_from, recording.walked_steps)
    demand = np.where(scored, served.demand[:, skipped:], 0.0)
    firsts, days = _days(recording)
    settings = len(served.capacity)
    names = [
        "unserved", "billed", "slack", "starts", "short_steps", "over_steps", "short_ratio", "over_ratio",
        "opposed_steps", "waiting",
    ]  # fmt: skip
    sums = {name: np.zeros((settings, len(recording.targets), len(days))) for name in names}
    # A move into or out of an unread step was not seen: its sign is NaN, which opposes nothing.
    moved = _moves(served.demand, skipped)
    with_demand = demand > TOLERANCE
    for setting in range(settings):
        capacity, billed = served.capacity[setting], served.billed[setting]
        gap = np.where(scored, demand - capacity[:, skipped:], 0.0)
        gap[np.abs(gap) <= TOLERANCE] = 0.0
        short, over = np.maximum(gap, 0.0), np.maximum(-gap, 0.0)
        found = {
            "unserved": short,
            "billed": billed[:, skipped:] * scored,
            "slack": over,
            "starts": started(billed)[:, skipped:] * scored,
            "short_steps": gap > 0,
            "over_steps": gap < 0,
            "short_ratio": np.divide(short, demand, out=np.zeros_like(short), where=with_demand),
            "over_ratio": np.divide(over, demand, out=np.zeros_like(over), where=with_demand),
            "opposed_steps": (_moves(capacity, skipped) * moved < 0) & scored,
        }
        if served.waiting is not None:
            found["waiting"] = served.waiting[setting][:, skipped:] * scored
        for name, values in found.items():
            sums[name][setting] = _by_day(values, firsts)
    return Measured(
        demand=_by_day(demand, firsts),
        scored_steps=_by_day(scored, firsts),
        **sums,
        step=recording.step,
        start_price=recording.terms.start_price,
        days=days,
    )


def _moves(values: np.ndarray, skipped: int) -> np.ndarray:
    """The sign of the move into each step that is not skipped; 0 into the first walked one."""
    moves = np.diff(values, axis=-1, prepend=values[:, :1])[:, skipped:]
    return np.sign(np.where(np.abs(moves) <= TOLERANCE, 0.0, moves))


def _days(recording: Recording) -> tuple[np.ndarray, tuple[date, ...]]:
    """The first scored step of each UTC day, counted from the first scored one, and the dates."""
    if recording.scored_from >= recording.steps:
        return np.zeros(0, dtype=int), ()
    first = recording.at(recording.scored_from)
    midnight = first.replace(hour=0, minute=0, second=0, microsecond=0)
    steps = np.arange(recording.steps - recording.scored_from)
    since = np.floor((first - midnight) / DAY + steps * (recording.step / DAY) + TOLERANCE).astype(int)
    days, firsts = np.unique(since, return_index=True)
    return firsts, tuple((midnight + int(day) * DAY).date() for day in days)


def _by_day(values: np.ndarray, firsts: np.ndarray) -> np.ndarray:
    """Sums over UTC days: (targets, scored steps) to (targets, days)."""
    if firsts.size == 0:
        return np.zeros((len(values), 0))
    return np.add.reduceat(values, firsts, axis=-1, dtype=float)
