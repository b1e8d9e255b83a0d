"""What a fleet is asked for, and what it comes as."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Final, Self

import polars as pl

from persona_platform.errors import InputError

MINIMUM_SLOT: Final = timedelta(minutes=15)
DAY: Final = timedelta(days=1)


@dataclass(frozen=True)
class FleetSpec:
    """A fleet to be generated. The same spec gives the same bytes.

    Nothing of a workload depends on ``workloads``, and no row before ``end`` depends on ``end``.
    """

    start: datetime
    end: datetime  # exclusive
    seed: int = 0
    workloads: int = 60
    step: timedelta = MINIMUM_SLOT  # between two readings
    slot: timedelta | None = None  # of the truth; by default the larger of 15 minutes and the step
    archetypes: tuple[str, ...] | None = None  # names of ARCHETYPES; by default all of them
    drawn: int | None = None  # archetypes drawn by the seed (drawn.py) instead of those of ARCHETYPES
    two_persona_share: float = 0.3  # of the workloads, that play a second persona beside their own
    changing_share: float = 0.08  # of the workloads, that change their persona midway
    change_days: tuple[int, int] = (8, 24)  # between which days after the start they do
    noise: float = 1.0  # multiplies every random movement of a level; 0 leaves the exact sizes
    drift: float = 0.15  # standard deviation of the logarithm of a workload's growth in the long run
    gaps: float = 0.004  # share of the readings that are missing
    late_share: float = 0.005  # of the readings, that arrive late
    bad_rows: int = 24  # rows that break the contract of samples

    def __post_init__(self) -> None:
        """Refuse what cannot be generated."""
        for name in ("start", "end"):
            moment = getattr(self, name)
            if moment.tzinfo is None or moment.utcoffset() != timedelta(0):
                raise InputError(f"The fleet's {name} is {moment}; give it with the zone UTC.")
            if (moment - datetime(2000, 1, 1, tzinfo=UTC)) % self.truth_slot:
                raise InputError(f"The fleet's {name}, {moment}, is not the start of a {self.truth_slot} slot.")
        if self.end <= self.start:
            raise InputError(f"The fleet would end at {self.end}, not after its start at {self.start}.")
        if self.step < timedelta(minutes=1) or self.truth_slot % self.step or DAY % self.truth_slot:
            raise InputError(
                f"Readings every {self.step} and slots of {self.truth_slot} do not fit: whole readings must "
                "fill a slot, and whole slots a day."
            )
        if self.drawn is not None and not (self.archetypes is None and 1 <= self.drawn <= 24):
            raise InputError("A fleet has either archetypes by name or 1 to 24 drawn ones.")
        if self.workloads < 0 or self.bad_rows < 0:
            raise InputError("A fleet cannot have a negative number of workloads or bad rows.")
        for name in ("two_persona_share", "changing_share", "gaps", "late_share"):
            if not 0 <= getattr(self, name) <= 1:
                raise InputError(f"{name} is {getattr(self, name)}; a share lies between 0 and 1.")

    @classmethod
    def ending(cls, end: datetime, days: int, *, seed: int = 0, workloads: int = 60) -> Self:
        """The fleet of the ``days`` days before ``end``, otherwise with the defaults."""
        return cls(start=end - timedelta(days=days), end=end, seed=seed, workloads=workloads)

    @property
    def truth_slot(self) -> timedelta:
        """The slot that activations start and end on."""
        return self.slot or max(MINIMUM_SLOT, self.step)

    def with_end(self, end: datetime) -> Self:
        """The same fleet, shorter or longer."""
        return replace(self, end=end)


@dataclass(frozen=True)
class Truth:
    """What is true of a generated fleet.

    ``membership``: workload_id, slot, persona, kind (resting, steady, active), cpu_cores, mem_bytes, gpus
    (what the workload wanted in the slot, before any limit cut it), saturated.
    ``activations``: workload_id, persona, start, end, cut (by the span or by another activation), size,
    cpu_cores, mem_bytes, gpus (of the size drawn).
    ``personas``: one row for each size of a persona: persona, kind, size, probability, cpu_cores, mem_bytes,
    gpus, drawn_per (workload or activation), duration_median_s, duration_sigma (of the logarithm).
    ``uplifts``: persona, event (kind), ratio (of the need while the event lasts), only (activated by it).
    """

    membership: pl.DataFrame
    activations: pl.DataFrame
    personas: pl.DataFrame
    uplifts: pl.DataFrame


@dataclass(frozen=True)
class Fleet:
    """A generated fleet.

    ``samples`` and ``late`` are SAMPLES frames without a row in common; ``bad`` has the text columns
    workload_id, ts, metric, value and fault (null for a good row that stands among the bad ones); ``events``
    holds all events, those of ``ical`` among them.
    """

    spec: FleetSpec
    samples: pl.DataFrame
    late: pl.DataFrame
    bad: pl.DataFrame
    workloads: pl.DataFrame
    events: pl.DataFrame
    ical: str
    truth: Truth
