"""Recorded demand on a grid of steps: what a replay walks over."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from hashlib import sha256

import numpy as np
import polars as pl

from persona_platform.errors import InputError
from persona_platform.frames import OBSERVED, conform
from persona_platform.replay.terms import Terms

DAY = timedelta(days=1)

LIVE_TERMS = Terms(timedelta(seconds=300))
"""The lead time that is assumed live until a target has shown its own."""

WARM_UP = DAY
"""Walked before the scored part: every policy has its sizes up by then, and none is charged for it."""

# Demand is a sum of floats divided by an amount; an excess below this many units is rounding.
TOLERANCE = 1e-9


def in_steps(span: timedelta, step: timedelta) -> int:
    """Whole steps that cover a span: a lead time shorter than the step is a whole step."""
    return -(-span // step)


@dataclass(frozen=True)
class Recording:
    """Recorded demand on a regular grid of steps, and the terms of its replay.

    Attributes:
        targets: names, one for each row of ``demand``.
        start: start of the first step, UTC.
        step: length of a step.
        demand: (targets, steps) units, fractional; NaN where it was not read.
        scored_from: index of the first scored step; the steps before it are for training.
        terms: lead time, billing and bounds.
    """

    targets: tuple[str, ...]
    start: datetime
    step: timedelta
    demand: np.ndarray
    scored_from: int = 0
    terms: Terms = LIVE_TERMS

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
    def lead_time(self) -> timedelta:
        """From a request to usable capacity, as a planner has to assume it."""
        return self.terms.planned_lead_time

    @property
    def lead_steps(self) -> int:
        """Whole steps from a request to usable capacity, as a planner has to assume it."""
        return in_steps(self.lead_time, self.step)

    @property
    def walked_from(self) -> int:
        """Index of the first walked step; policies answer for the steps from here to the end."""
        return max(0, self.scored_from - in_steps(WARM_UP, self.step))

    @property
    def walked_steps(self) -> int:
        """Number of steps that policies answer for."""
        return self.steps - self.walked_from

    @property
    def scored(self) -> np.ndarray:
        """(targets, steps) whether the step counts: after the training part, and its demand was read."""
        return ~np.isnan(self.demand) & (np.arange(self.steps) >= self.scored_from)

    @property
    def lead_draws(self) -> np.ndarray:
        """(targets, walked steps) whole steps from a request at that step to usable capacity.

        Drawn from the seed and the target's name, so that they do not depend on the other targets.
        """
        leads = np.array([in_steps(lead, self.step) for lead in self.terms.lead_times or (self.terms.lead_time,)])
        drawn = np.empty((len(self.targets), self.walked_steps), dtype=np.int32)
        for row, target in enumerate(self.targets):
            name = int.from_bytes(sha256(target.encode()).digest()[:8], "big")
            rng = np.random.default_rng([self.terms.seed, name])
            drawn[row] = leads[rng.integers(len(leads), size=self.steps)[self.walked_from :]]
        return drawn

    def at(self, index: int) -> datetime:
        """Start of a step."""
        return self.start + index * self.step

    def part(self, indices: Sequence[int]) -> "Recording":
        """Some of the targets, replayed as they are among all."""
        rows = list(indices)
        return replace(self, targets=tuple(self.targets[i] for i in rows), demand=self.demand[rows])


def record(
    observed: pl.DataFrame,
    *,
    step: timedelta,
    scored_from: datetime,
    terms: Terms,
    targets: Sequence[str] | None = None,
) -> Recording:
    """A recording of an OBSERVED frame.

    Slots that are missing are unread. Raises :class:`InputError` where a slot is off the grid or held twice.
    """
    frame = conform(observed, OBSERVED, "observed demand").sort("slot", "target")
    names = tuple(targets) if targets is not None else tuple(frame["target"].unique().sort())
    frame = frame.filter(pl.col("target").is_in(list(names)))
    if frame.is_empty():
        return Recording(names, scored_from, step, np.full((len(names), 0), np.nan), terms=terms)
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
    return Recording(names, first, step, demand, min(skipped, demand.shape[1]), terms)
