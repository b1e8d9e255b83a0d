"""Small made-up histories as the cases of a replay, and the same with another future."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl

from persona_platform.capacity.limits import Limits, limits_frame
from persona_platform.capacity.targets import Target, Unit
from persona_platform.replay.cases import Case, CaseOptions, read_case

START = datetime(2024, 2, 26, tzinfo=UTC)
"""A Monday."""

HOUR = timedelta(hours=1)


def hours(days: float, step: timedelta = HOUR) -> np.ndarray:
    """The hour of the day, (steps,), from a midnight on."""
    return np.arange(round(timedelta(days=days) / step)) * (step / HOUR) % 24


def daytime(days: float, *, step: timedelta = HOUR, noise: float = 0.02, seed: int = 0) -> np.ndarray:
    """Two by night, ten from 8 to 18 o'clock, as sudden as that."""
    at = hours(days, step)
    return np.where((at >= 8) & (at < 18), 10.0, 2.0) * np.exp(np.random.default_rng(seed).normal(0, noise, at.size))


def samples(series: Mapping[str, np.ndarray], *, step: timedelta = HOUR, metric: str = "cpu_cores") -> pl.DataFrame:
    """Readings of workloads, NaN left out."""
    rows = [
        pl.DataFrame(
            {
                "workload_id": name,
                "ts": [START + i * step for i in range(len(values))],
                "metric": metric,
                "value": values,
            }
        )
        for name, values in series.items()
    ]
    return pl.concat(rows).filter(pl.col("value").is_not_nan())


def case_of(
    folder: Path,
    series: Mapping[str, np.ndarray],
    *,
    step: timedelta = HOUR,
    metric: str = "cpu_cores",
    unit: float | None = 1.0,
    train_share: float = 0.6,
) -> Case:
    """What ``persona replay --data`` makes of such readings; one target a workload."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "samples.parquet"
    samples(series, step=step, metric=metric).write_parquet(path)
    options = CaseOptions(unit=unit, train_share=train_share)
    return read_case([path], options, now=START + timedelta(days=1000))


def with_future(case: Case, since: datetime, seed: int = 1) -> Case:
    """The same up to ``since``, and from there on anything at all, from nothing to a thousand times as much."""
    rng = np.random.default_rng(seed)
    needs = case.history.needs
    columns = [name for name in needs.columns if name not in ("workload_id", "slot", "saturated")]
    garbage = [
        pl.when(pl.col("slot") < since)
        .then(pl.col(name))
        .otherwise(pl.Series(np.exp(rng.uniform(-5, 9, needs.height))))
        .alias(name)
        for name in columns
    ]
    history = replace(case.history, needs=needs.with_columns(garbage))
    return replace(case, history=history, observed=case.sizing.observed(history))


def limits_of(case: Case, **changed: float) -> pl.DataFrame:
    """LIMITS of the case's targets as the command line gives them, and ``changed`` ones."""
    names = case.sizing.targets["target"].to_list()
    limits = limits_frame([Target(name, name, unit=Unit(price_per_hour=1.0), limits=Limits()) for name in names])
    return limits.with_columns(pl.lit(value, limits.schema[name]).alias(name) for name, value in changed.items())
