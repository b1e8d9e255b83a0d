"""Readings of one metric as needs per slot: in polars what the warehouse's models do in SQL.

``dbt/models/marts/usage_per_slot.sql`` and ``activity_per_slot.sql`` say the same for all metrics at once; a test
holds the two against each other.
"""

from datetime import timedelta
from typing import Final

import polars as pl

from persona_platform.frames import TS
from persona_platform.replay.cases_metrics import Measure
from persona_platform.utilization.metrics import Role
from persona_platform.utilization.slots import DAY, JITTER

FULL: Final = 0.98
"""A reading at this share of what is allocated may have been cut off there: demand is at least this."""

LIMITED: Final = ("cpu_cores", "mem_bytes")
"""The needs of which a workload cannot have more than is allocated."""

ONE_US: Final = timedelta(microseconds=1)
DAY_US: Final = DAY // ONE_US
_DIVISORS: Final = tuple(timedelta(minutes=m) for m in range(1, 1441) if 1440 % m == 0)


def series_steps(values: pl.DataFrame) -> pl.DataFrame:
    """``workload_id, step`` (microseconds): how far apart a workload's readings are.

    The median of its days' median steps, each weighing as many as it has; with one reading a day the distance
    between days; null where there is one reading in all. ``values``: workload_id, ts, value, sorted.
    """
    daily = (
        values.select("workload_id", us=pl.col("ts").to_physical())
        .with_columns(day=pl.col("us") // DAY_US)
        .group_by("workload_id", "day", maintain_order=True)
        .agg(pl.col("us").diff().median().alias("step"), pl.len().alias("readings"), pl.col("us").first())
    )
    within = (
        daily.filter(pl.col("step").is_not_null())
        .sort("workload_id", "step", "day")
        .with_columns(steps=pl.col("readings").cast(pl.Int64) - 1)
        .with_columns(
            upto=pl.col("steps").cum_sum().over("workload_id"), total=pl.col("steps").sum().over("workload_id")
        )
        .filter(2 * pl.col("upto") >= pl.col("total"))
        .group_by("workload_id")
        .agg(pl.col("step").min())
    )
    across = daily.group_by("workload_id", maintain_order=True).agg(pl.col("us").diff().median().alias("between"))
    return across.join(within, on="workload_id", how="left").select(
        "workload_id", step=pl.coalesce("step", "between").cast(pl.Float64)
    )


def own_slot(steps: pl.DataFrame) -> timedelta | None:
    """The data's own step as a slot: the median of ``steps``, rounded up to a divisor of the day.

    The divisors are whole minutes: 1 min for 10 s, 5 min for 298 or 303 s, 8 min for 7 min, a day for a week. A
    slot is never the shorter one, for then most would have no reading. None where no series has a step.
    """
    median = steps["step"].median()
    if not isinstance(median, float):
        return None
    wanted = timedelta(microseconds=median) * (1 - JITTER)
    return next((divisor for divisor in _DIVISORS if divisor >= wanted), DAY)


def needs_of(
    values: pl.DataFrame, limits: pl.DataFrame, steps: pl.DataFrame, measure: Measure, slot: timedelta
) -> pl.DataFrame:
    """A needs frame with the one column of the measure: workload_id, slot, saturated, need; sorted.

    A share is of what is allocated at its instant, else last on its UTC day, else typically (the median of the
    days' medians), else of one whole. Counts and work are divided by their series' step, by the slot where that
    is not known. A slot has the mean of its readings, and is saturated where any of them was; a reading whose
    step is longer than a slot stands for each slot of its interval, within its UTC day.
    """
    length = slot // ONE_US
    limited = _with_limits(values, limits) if limits.height else values.with_columns(limit=pl.lit(None, pl.Float64))
    rated = limited.join(steps, on="workload_id", how="left", maintain_order="left").with_columns(
        us=pl.col("ts").to_physical()
    )
    amount, saturated = _amount(measure, length)
    start = pl.col("us") - pl.col("us") % length
    left_of_day = (DAY_US - start % DAY_US) // length
    covers = pl.min_horizontal((pl.col("step").fill_null(0) / length + 0.5).floor().cast(pl.Int64), left_of_day)
    read = rated.select(
        "workload_id",
        slot=start,
        covers=covers.clip(lower_bound=1),
        amount=amount,
        saturated=saturated.fill_null(value=False),
    )
    summed = _summed(read.with_columns(readings=1), ["workload_id", "slot", "covers"])
    spread = summed.with_columns(slot=pl.int_ranges(0, "covers") * length + pl.col("slot")).explode("slot")
    return (
        _summed(spread, ["workload_id", "slot"])
        .select(
            pl.col("workload_id").cast(pl.String),
            pl.col("slot").cast(TS),
            "saturated",
            (pl.col("amount") / pl.col("readings")).alias(measure.need),
        )
        .sort("workload_id", "slot")
    )


def _with_limits(values: pl.DataFrame, limits: pl.DataFrame) -> pl.DataFrame:
    """``values`` with ``limit``, what is allocated; null where that was never read. An allocation of 0 is none."""
    day = pl.col("ts").dt.truncate("1d").alias("day")
    held = limits.filter(pl.col("value") > 0).rename({"value": "at_ts"})
    of_day = held.group_by("workload_id", day).agg(
        pl.col("at_ts").sort_by("ts").last().alias("of_day"), pl.col("at_ts").median().alias("median")
    )
    typical = of_day.group_by("workload_id").agg(pl.col("median").median().alias("typical"))
    return (
        values.join(held, on=["workload_id", "ts"], how="left", maintain_order="left")
        .with_columns(day)
        .join(of_day.drop("median"), on=["workload_id", "day"], how="left", maintain_order="left")
        .join(typical, on="workload_id", how="left", maintain_order="left")
        .select("workload_id", "ts", "value", limit=pl.coalesce("at_ts", "of_day", "typical"))
    )


def _amount(measure: Measure, length: int) -> tuple[pl.Expr, pl.Expr]:
    """The amount of a reading, and whether it stood at its limit."""
    value, limit = pl.col("value") * measure.factor, pl.col("limit")
    never = pl.lit(value=False)
    match measure.role:
        case Role.SHARE:
            # A percentage is one of what is allocated, known or not; a norm is scaled to its own largest value.
            full = (value >= FULL) & (limit.is_not_null() if measure.factor == 1 else ~never)
            return value * limit.fill_null(1.0), full if measure.need in LIMITED else never
        case Role.WORK | Role.COUNT:
            return value / (pl.col("step").fill_null(length) / 1e6), never
        case _:
            return value, (value >= FULL * limit) if measure.need in LIMITED else never


def _summed(rows: pl.DataFrame, keys: list[str]) -> pl.DataFrame:
    return rows.group_by(keys).agg(pl.col("amount").sum(), pl.col("readings").sum(), pl.col("saturated").any())
