"""How long a slot is, and the median step of the series that decides it."""

from datetime import timedelta
from typing import Final

import polars as pl

from persona_platform.errors import ConfigError

DAY: Final = timedelta(days=1)
SHORTEST: Final = timedelta(minutes=15)
JITTER: Final = 0.02
"""Scrapes drift: a median step of 900.4 s is a quarter of an hour, not a reason for slots of 20 minutes."""

_MINUTES: Final = (
    15,
    16,
    18,
    20,
    24,
    30,
    32,
    36,
    40,
    45,
    48,
    60,
    72,
    80,
    90,
    96,
    120,
    144,
    160,
    180,
    240,
    288,
)
_DIVISORS: Final = tuple(timedelta(minutes=m) for m in (*_MINUTES, 360, 480, 720, 1440))


def slot_for(median_step: timedelta) -> timedelta:
    """max(15 min, median step), rounded up to a divisor of the day, and a day at most.

    Slots divide the day so that every day has the same ones: marts are stored by day, and the forecasts
    compare the same slot of different days. For 5 min this is 15 min, for 1 h 1 h, for 50 min 1 h, for a
    week a day.
    """
    wanted = max(SHORTEST, median_step) * (1 - JITTER)
    return next((divisor for divisor in _DIVISORS if divisor >= wanted), DAY)


def check_slot(slot: timedelta) -> timedelta:
    """The slot itself, if it is at least a minute long and divides a day; :class:`ConfigError` otherwise."""
    if slot < timedelta(minutes=1) or DAY % slot:
        raise ConfigError(
            f"A slot of {slot} does not divide a day; choose one that does, for instance 15m, 30m, 1h or 2h."
        )
    return slot


def median_step(samples: pl.DataFrame) -> timedelta | None:
    """The median, over the series (workload_id, metric), of the median distance between adjoining readings.

    ``samples`` needs workload_id, metric and ts, in any order. None when no series has two different
    instants.
    """
    keys = ["workload_id", "metric"]
    step = (
        samples.select(*keys, "ts")
        .unique()
        .sort(*keys, "ts")
        .with_columns(pl.col("ts").diff().over(keys).alias("step"))
        .group_by(keys)
        .agg(pl.col("step").median())["step"]
        .median()
    )
    return step if isinstance(step, timedelta) else None
