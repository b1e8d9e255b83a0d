"""Small fleets with planted jobs, for tests: exact times and sizes, a little noise on top."""

from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl

from persona_platform.frames import NEED_KEYS, TS, WORKLOADS

START = datetime(2026, 3, 2, tzinfo=UTC)  # a Monday
SLOT = timedelta(minutes=15)
DAY = 96


def slots(days: float, start: datetime = START, slot: timedelta = SLOT) -> pl.Series:
    n = round(timedelta(days=days) / slot)
    return pl.Series("slot", [start + i * slot for i in range(n)], dtype=TS)


def needs(values: dict[str, np.ndarray], start: datetime = START, slot: timedelta = SLOT, **more) -> pl.DataFrame:
    """A needs frame from cpu series by workload; NaN is a missing row. ``more``: other needs by workload."""
    parts = []
    for name, series in values.items():
        at = slots(len(series) * (slot / timedelta(days=1)), start, slot)
        part = pl.DataFrame({"workload_id": [name] * len(series), "slot": at, "cpu_cores": series})
        for need, by_workload in more.items():
            part = part.with_columns(pl.Series(need, by_workload[name]))
        parts.append(part.filter(pl.col("cpu_cores").is_not_nan()))
    frame = pl.concat(parts).with_columns(saturated=pl.lit(value=False))
    return frame.select(*NEED_KEYS, *[c for c in frame.columns if c not in NEED_KEYS])


def workloads(names, tiers=None, zone: str = "UTC") -> pl.DataFrame:
    names = list(names)
    return pl.DataFrame(
        {
            "workload_id": names,
            "pool": ["main"] * len(names),
            "team": ["core"] * len(names),
            "tier": tiers or ["standard"] * len(names),
            "az": ["a"] * len(names),
            "timezone": [zone] * len(names),
            "storage_class": ["ssd"] * len(names),
        },
        schema=WORKLOADS,
    )


def calendar(days: float, start: datetime = START, slot: timedelta = SLOT, zone: str = "UTC", events=None):
    """A calendar without holidays; month edges by plain date; ``events``: kind -> list of (start, end)."""
    at = slots(days, start, slot)
    local = pl.col("slot").dt.convert_time_zone(zone)
    kinds = [
        sorted(k for k, spans in (events or {}).items() if any(a <= s < b for a, b in spans)) for s in at.to_list()
    ]
    return pl.DataFrame({"slot": at}).select(
        zone=pl.lit(zone),
        slot="slot",
        hour_of_week=((local.dt.weekday().cast(pl.Int16) - 1) * 24 + local.dt.hour()).cast(pl.UInt8),
        day_type=pl.when(local.dt.weekday() > 5).then(pl.lit("weekend")).otherwise(pl.lit("working")),
        is_month_begin=local.dt.day() == 1,
        is_month_end=local.dt.day() == local.dt.month_end().dt.day(),
        events=pl.Series(kinds, dtype=pl.List(pl.String)),
    )


def job(
    days: int,
    hour: float,
    hours: float,
    cores,
    *,
    on=range(7),
    rest: float = 0.2,
    noise: float = 0.03,
    seed: int = 0,
) -> np.ndarray:
    """A series that rests and runs a job on some weekdays; ``cores`` is a number, or one for each run."""
    rng = np.random.default_rng(seed)
    series = np.full(days * DAY, rest)
    runs = [d for d in range(days) if d % 7 in on]
    sizes = np.resize(np.atleast_1d(cores), len(runs))
    for day, size in zip(runs, sizes, strict=True):
        first = round((day * 24 + hour) * 4) + int(rng.integers(-1, 2))
        series[max(first, 0) : first + round(hours * 4)] = size
    return series * np.exp(rng.normal(0, noise, len(series)))
