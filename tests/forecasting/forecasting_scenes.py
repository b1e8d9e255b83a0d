"""Small fleets and histories built by hand, for the tests of forecasting."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl

from persona_platform.frames import CALENDAR, OBSERVED, TARGETS, TS, UNITS, WORKLOADS
from persona_platform.personas.catalog import PATTERNS, Catalog
from persona_platform.personas.clustering import SELECTION
from persona_platform.personas.levels import LEVELS
from persona_platform.personas.record import Duration, Persona, Recurrence, Requirement

START = datetime(2024, 3, 4, tzinfo=UTC)
HOUR = timedelta(hours=1)
NO_CALENDAR = pl.DataFrame(schema=CALENDAR)


def slots(count: int, slot: timedelta = HOUR, start: datetime = START) -> pl.Series:
    return pl.Series([start + i * slot for i in range(count)], dtype=TS)


def targets(*names: str, kappa: float = 0.95, hold: int = 1) -> pl.DataFrame:
    return pl.DataFrame([(name, name, kappa, hold) for name in names], schema=TARGETS, orient="row")


def units(**amounts: dict[str, float]) -> pl.DataFrame:
    rows = [(target, need, amount) for target, of in amounts.items() for need, amount in of.items()]
    return pl.DataFrame(rows, schema=UNITS, orient="row")


def workloads(zone: str = "UTC", **pools: list[str]) -> pl.DataFrame:
    rows = [(name, pool, "t", "standard", "", zone, "") for pool, names in pools.items() for name in names]
    return pl.DataFrame(rows, schema=WORKLOADS, orient="row")


def observed(slot: timedelta = HOUR, start: datetime = START, **demand: np.ndarray) -> pl.DataFrame:
    frames = [
        pl.DataFrame({"slot": slots(len(values), slot, start), "demand": values}).with_columns(
            pl.lit(target).alias("target"), pl.lit(value=False).alias("saturated")
        )
        for target, values in demand.items()
    ]
    return pl.concat(frames).select(pl.col(name).cast(dtype) for name, dtype in OBSERVED.items())


def daily(count: int, seed: int = 0, level: float = 20.0, period: int = 24) -> np.ndarray:
    """A daily cycle with a little noise, hourly unless `period` says otherwise."""
    noise = np.random.default_rng(seed).normal(0, 0.05 * level, count)
    return np.maximum(level * (1 + 0.5 * np.sin(2 * np.pi * np.arange(count) / period)) + noise, 0)


def persona(persona_id: str, cpu: float) -> Persona:
    return Persona(
        persona_id=persona_id,
        version=1,
        kind="active",
        name=persona_id,
        description="",
        requirement=Requirement(
            sizes=[],
            quantiles={"cpu_cores": [0.5 * cpu, cpu, 1.5 * cpu, 1.6 * cpu, 2 * cpu]},
            low={"cpu_cores": [0.4 * cpu, 0.9 * cpu, 1.3 * cpu, 1.4 * cpu, 1.7 * cpu]},
            high={"cpu_cores": [0.6 * cpu, 1.1 * cpu, 1.7 * cpu, 1.8 * cpu, 2.4 * cpu]},
            mean={"cpu_cores": cpu},
            peak_to_mean={"cpu_cores": 2.0},
            saturated=0.0,
        ),
        duration=Duration(3600, [1.0], [1.0], [1.0], 3600.0, 3600.0, 0.0),
        recurrence=Recurrence([0.0] * 168, [0.0] * 168, [0.0] * 168, [], [], 0.0, 0.0),
        shape="flat",
        variability=0.1,
        main_need="cpu_cores",
        relations=[],
        leads=[],
        complements=[],
        priority="standard",
        sla=0.95,
        members=[],
        trained_from=START,
        trained_until=START,
        stability=1.0,
        drift=0.0,
        born=1,
    )


@dataclass(frozen=True)
class Paths:
    workload_ids: list[str]
    patterns: np.ndarray
    played: pl.DataFrame | None = None


def catalog(rows: list[tuple[str, int, str, str]], *personas: Persona) -> Catalog:
    patterns = pl.DataFrame(
        [{"workload_id": w, "pattern": p, "kind": k, "persona_id": i, "probability": 1.0} for w, p, k, i in rows],
        schema=PATTERNS,
    )
    return Catalog(1, HOUR, personas, patterns, pl.DataFrame(schema=LEVELS), pl.DataFrame(schema=SELECTION))
