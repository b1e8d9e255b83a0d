"""What a sequence of asked-for sizes does against recorded demand: what is usable, billed and unserved.

Knows nothing of policies. The rules, the same for every policy:

- Sizes change at the start of a step only. A size asked for at step t may use readings up to step t - 1.
- A raise asked for at t is usable from t + ceil(lead time / step): a lead time shorter than the step
  counts as a whole step. That is conservative, and harder on policies which only react; a finer step
  shows how much.
- A lower is immediate, units that still boot first, then the youngest.
- Billing counts from the request.
- A step whose demand was not read (NaN) is not scored, neither its demand nor its bill.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
import polars as pl

from persona_platform.errors import InputError
from persona_platform.frames import OBSERVED, TS, conform

DAY = timedelta(days=1)

# Demand is a sum of floats divided by an amount; an excess below this many units is rounding.
TOLERANCE = 1e-9


def lead_in_steps(lead_time: timedelta, step: timedelta) -> int:
    """Whole steps from a request to usable capacity, rounded up."""
    return -(-lead_time // step)


@dataclass(frozen=True)
class Recording:
    """Recorded demand on a regular grid of steps, and how it is replayed.

    Attributes:
        targets: names, one for each row of ``demand``.
        start: start of the first step, UTC.
        step: length of a step.
        lead_time: from a request to usable capacity.
        demand: (targets, steps) units, fractional; NaN where it was not read.
        scored_from: index of the first scored step; the steps before it are for training.
    """

    targets: tuple[str, ...]
    start: datetime
    step: timedelta
    lead_time: timedelta
    demand: np.ndarray
    scored_from: int = 0

    def __post_init__(self) -> None:
        if self.demand.shape[:1] != (len(self.targets),) or self.demand.ndim != 2:
            raise InputError(
                f"A recording of {len(self.targets)} targets needs demand of shape (targets, steps); "
                f"it has {self.demand.shape}."
            )

    @property
    def steps(self) -> int:
        """Number of steps, trained and scored."""
        return self.demand.shape[1]

    @property
    def lead_steps(self) -> int:
        """Whole steps from a request to usable capacity."""
        return lead_in_steps(self.lead_time, self.step)

    def at(self, index: int) -> datetime:
        """Start of a step."""
        return self.start + index * self.step

    @property
    def scored(self) -> np.ndarray:
        """(targets, steps) whether the step counts: after the training part, and its demand was read."""
        return ~np.isnan(self.demand) & (np.arange(self.steps) >= self.scored_from)


def record(
    observed: pl.DataFrame,
    *,
    step: timedelta,
    lead_time: timedelta,
    scored_from: datetime,
    targets: Sequence[str] | None = None,
) -> Recording:
    """A recording of an OBSERVED frame.

    Slots that are missing are unread. Raises :class:`InputError` where a slot is off the grid or held twice.
    """
    frame = conform(observed, OBSERVED, "observed demand").sort("slot", "target")
    names = tuple(targets) if targets is not None else tuple(frame["target"].unique().sort())
    frame = frame.filter(pl.col("target").is_in(list(names)))
    if frame.is_empty():
        return Recording(names, scored_from, step, lead_time, np.full((len(names), 0), np.nan))
    first: datetime = frame["slot"][0]
    at = ((frame["slot"] - first).dt.total_microseconds() / (step / timedelta(microseconds=1))).to_numpy()
    index = np.rint(at).astype(int)
    off_grid = np.abs(at - index) > TOLERANCE
    if off_grid.any() or frame.select("target", "slot").is_duplicated().any():
        raise InputError(
            f"Observed demand must have one row for each target and step of {step}; "
            f"{int(off_grid.sum())} rows are off that grid, the others come twice. Give the data's own step."
        )
    row = frame["target"].replace_strict({name: i for i, name in enumerate(names)}, return_dtype=pl.Int64)
    demand = np.full((len(names), int(index.max()) + 1), np.nan)
    demand[row.to_numpy(), index] = frame["demand"].fill_null(np.nan).to_numpy()
    skipped = max(0, -((first - scored_from) // step))
    return Recording(names, first, step, lead_time, demand, min(skipped, demand.shape[1]))


@dataclass(frozen=True)
class Served:
    """What came of a sequence of sizes; every array is (..., targets, steps), in units.

    ``demand`` is (targets, steps) and broadcasts against the others.
    """

    demand: np.ndarray
    capacity: np.ndarray  # usable during the whole step
    billed: np.ndarray  # usable and booting


def serve(demand: np.ndarray, desired: np.ndarray, *, step: timedelta, lead_time: timedelta) -> Served:
    """Serves demand with the sizes asked for.

    Units leave youngest first, so what is usable at t is what was asked for at all of the last ``lead`` +
    1 steps: a running minimum, exact, without a loop over steps. Before the first step the first size was
    held.

    Args:
        demand: (targets, steps) units; NaN where unread.
        desired: (..., targets, steps) whole units asked for at the start of each step.
        step: length of a step.
        lead_time: from a request to usable capacity, the same for all.
    """
    if desired.shape[-2:] != demand.shape:
        raise InputError(f"Sizes of shape {desired.shape} do not fit demand of shape {demand.shape}.")
    if not np.issubdtype(desired.dtype, np.integer) or (desired < 0).any():
        raise InputError("Sizes must be whole units, zero or more.")
    capacity = desired.copy()
    for shift in range(1, min(lead_in_steps(lead_time, step), demand.shape[1] - 1) + 1):
        np.minimum(capacity[..., shift:], desired[..., :-shift], out=capacity[..., shift:])
        np.minimum(capacity[..., :shift], desired[..., :1], out=capacity[..., :shift])
    return Served(demand, capacity, desired)


@dataclass(frozen=True)
class Measured:
    """Sums over the scored steps; arrays are (..., targets), or (..., targets, days) by UTC day.

    Sums and not ratios, so that targets can be pooled.
    """

    demand: np.ndarray  # unit-steps
    unserved: np.ndarray  # unit-steps
    billed: np.ndarray  # unit-steps
    short_steps: np.ndarray
    starts_per_day: np.ndarray
    demand_by_day: np.ndarray
    unserved_by_day: np.ndarray
    step: timedelta

    @property
    def billed_unit_hours(self) -> np.ndarray:
        """Unit-hours paid for, counted from the request."""
        return self.billed * (self.step / timedelta(hours=1))

    @property
    def unserved_share(self) -> np.ndarray:
        """Sum of max(demand - capacity, 0) over the sum of demand; 0 where there was no demand."""
        return _ratio(self.unserved, self.demand)

    @property
    def idle_share(self) -> np.ndarray:
        """Share of the paid unit-hours that served nothing, booting included."""
        return _ratio(self.billed - (self.demand - self.unserved), self.billed)

    @property
    def worst_day(self) -> np.ndarray:
        """The largest unserved share of one UTC day."""
        daily = _ratio(self.unserved_by_day, self.demand_by_day)
        return daily.max(axis=-1, initial=0.0)

    @property
    def under_provisioned_minutes(self) -> np.ndarray:
        """Minutes of the steps in which demand was above the usable capacity."""
        return self.short_steps * (self.step / timedelta(minutes=1))

    def pooled(self, weights: np.ndarray) -> "Measured":
        """All targets as one, each unit of a target weighing its ``weights`` entry (its price)."""
        by_day = weights[:, None]
        return Measured(
            demand=(self.demand * weights).sum(-1, keepdims=True),
            unserved=(self.unserved * weights).sum(-1, keepdims=True),
            billed=(self.billed * weights).sum(-1, keepdims=True),
            short_steps=self.short_steps.sum(-1, keepdims=True),
            starts_per_day=self.starts_per_day.sum(-1, keepdims=True),
            demand_by_day=(self.demand_by_day * by_day).sum(-2, keepdims=True),
            unserved_by_day=(self.unserved_by_day * by_day).sum(-2, keepdims=True),
            step=self.step,
        )


def _ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    return np.divide(part, whole, out=np.zeros(np.broadcast(part, whole).shape), where=whole > 0)


def measure(served: Served, recording: Recording) -> Measured:
    """Scores what was served, over the recording's scored steps."""
    scored = recording.scored
    demand = np.where(scored, served.demand, 0.0)
    short = np.where(scored, demand - served.capacity, 0.0)
    short[short <= TOLERANCE] = 0.0
    starts = np.maximum(np.diff(served.billed, axis=-1, prepend=served.billed[..., :1]), 0)
    days = scored.sum(-1) * (recording.step / DAY)
    demand_by_day = _by_day(np.broadcast_to(demand, short.shape), recording)
    return Measured(
        demand=np.broadcast_to(demand.sum(-1), short.shape[:-1]),
        unserved=short.sum(-1),
        billed=(served.billed * scored).sum(-1).astype(float),
        short_steps=(short > 0).sum(-1),
        starts_per_day=_ratio((starts * scored).sum(-1).astype(float), days),
        demand_by_day=demand_by_day,
        unserved_by_day=_by_day(short, recording),
        step=recording.step,
    )


def _by_day(values: np.ndarray, recording: Recording) -> np.ndarray:
    """Sums over UTC days: (..., steps) to (..., days)."""
    if recording.steps == 0:
        return np.zeros((*values.shape[:-1], 0))
    midnight = recording.start.replace(hour=0, minute=0, second=0, microsecond=0)
    since = (recording.start - midnight) / DAY + np.arange(recording.steps) * (recording.step / DAY)
    firsts = np.unique(np.floor(since + TOLERANCE), return_index=True)[1]
    return np.add.reduceat(values, firsts, axis=-1)


def decision_rows(served: Served, recording: Recording, policy: str, settings: Mapping[int, str]) -> pl.DataFrame:
    """The scored steps as rows: target, policy, setting, ts, demand, capacity, billed, lead_time_s.

    Args:
        served: of one policy, (settings, targets, steps).
        recording: what was replayed.
        policy: its name.
        settings: index and name of the settings to keep.
    """
    kept = list(settings)
    steps = np.arange(recording.scored_from, recording.steps)
    shape = (len(kept), len(recording.targets), len(steps))
    setting, target, step = (part.ravel() for part in np.indices(shape))
    names = pl.Series([settings[i] for i in kept], dtype=pl.String)
    ts = pl.Series([recording.at(int(i)) for i in steps], dtype=TS)
    capacity = served.capacity[kept][..., steps]
    return pl.DataFrame(
        {
            "target": pl.Series(recording.targets, dtype=pl.String).gather(target),
            "policy": pl.repeat(policy, setting.size, dtype=pl.String, eager=True),
            "setting": names.gather(setting),
            "ts": ts.gather(step),
            "demand": np.broadcast_to(recording.demand[:, steps], shape).ravel(),
            "capacity": capacity.ravel().astype(float),
            "billed": served.billed[kept][..., steps].ravel().astype(float),
            "lead_time_s": np.full(setting.size, recording.lead_time.total_seconds()),
        }
    ).with_columns(pl.col("demand").fill_nan(None))
