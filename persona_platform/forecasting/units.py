"""Needs of workloads as demand of targets, in units.

A target's demand at a slot is the largest, over the unit's amounts, of what its pool's workloads need
together divided by the amount. Here are the rule and the slots at which too little was read to apply it.
"""

from datetime import timedelta

import polars as pl

from persona_platform.errors import InputError
from persona_platform.forecasting.panel import window_max
from persona_platform.frames import OBSERVED, TARGETS, UNITS, conform, empty, need_columns
from persona_platform.sums import total

__all__ = ["check_units", "demand_in_units", "window_max"]


def demand_in_units(
    needs: pl.DataFrame, workloads: pl.DataFrame, targets: pl.DataFrame, units: pl.DataFrame, slot: timedelta
) -> pl.DataFrame:
    """Observed demand of each target (OBSERVED), one row for every slot between its first and last reading.

    A workload counts as read at a slot where one of the unit's needs is not null. The demand is null where
    fewer than half of the workloads that were read on that UTC day were read: their sum would look like a
    fall in demand. Between half and all, the sum is over those that were read. ``saturated`` is true where
    any of them was. Targets of a pool without a reading, or without a unit, have no rows.

    Raises:
        InputError: a unit names an unknown target or has an amount that is not positive.
    """
    check_units(targets, units)
    columns = [name for name in need_columns(needs) if name in set(units["need"])]
    if needs.is_empty() or not columns:
        return empty(OBSERVED)
    pools = workloads.select("workload_id", "pool").unique("workload_id", keep="first")
    once = needs.unique(["workload_id", "slot"], keep="first", maintain_order=True)
    rows = once.join(pools, on="workload_id", maintain_order="left")
    asked = units.join(targets.select("target", "pool"), on="target")
    of_slot = _per_need(rows, columns).join(_active(rows, columns), on=["pool", "day", "need"])
    known = (
        of_slot.join(asked, on=["pool", "need"])
        .filter(pl.col("read") > 0)
        .group_by("target", "slot")
        .agg(
            (pl.col("total") / pl.col("amount")).max().alias("demand"),
            pl.col("saturated").any(),
            (2 * pl.col("read").max() >= pl.col("active").max()).alias("enough"),
        )
        .with_columns(demand=pl.when("enough").then("demand"))
    )
    return conform(_on_every_slot(known, slot), OBSERVED, "observed demand")


def _per_need(rows: pl.DataFrame, columns: list[str]) -> pl.DataFrame:
    """Per pool, slot and need: the total, how many workloads were read, and whether one was saturated."""
    index = ["pool", "slot", "day", "saturated"]
    wide = rows.group_by("pool", "slot").agg(
        pl.col("saturated").fill_null(value=False).any(),
        *(total(name) for name in columns),
        *(pl.col(name).count().cast(pl.Float64).alias(f"read {name}") for name in columns),
    )
    dated = wide.with_columns(pl.col("slot").dt.truncate("1d").alias("day"))
    totals = dated.unpivot(columns, index=index, variable_name="need", value_name="total")
    read = dated.unpivot([f"read {name}" for name in columns], index=["slot"], value_name="read")
    return totals.with_columns(read["read"])


def _active(rows: pl.DataFrame, columns: list[str]) -> pl.DataFrame:
    """Per pool, UTC day and need: how many workloads were read at least once."""
    seen = rows.group_by("pool", pl.col("slot").dt.truncate("1d").alias("day"), "workload_id").agg(
        pl.col(columns).is_not_null().any()
    )
    return (
        seen.group_by("pool", "day")
        .agg(pl.col(columns).sum().cast(pl.Float64))
        .unpivot(columns, index=["pool", "day"], variable_name="need", value_name="active")
    )


def _on_every_slot(known: pl.DataFrame, slot: timedelta) -> pl.DataFrame:
    grid = (
        known.group_by("target")
        .agg(pl.col("slot").min().alias("first"), pl.col("slot").max().alias("last"))
        .select("target", pl.datetime_ranges("first", "last", slot).alias("slot"))
        .explode("slot")
    )
    return (
        grid.join(known, on=["target", "slot"], how="left")
        .with_columns(pl.col("saturated").fill_null(value=False))
        .sort("target", "slot")
    )


def check_units(targets: pl.DataFrame, units: pl.DataFrame) -> None:
    """Raise :class:`InputError` where units and targets do not fit together."""
    conform(targets, TARGETS, "targets")
    conform(units, UNITS, "units")
    stray = sorted(set(units["target"]) - set(targets["target"]))
    if stray:
        raise InputError(f"units name the target {stray[0]}, which is not among the targets.")
    wrong = units.filter(~(pl.col("amount") > 0) | pl.col("amount").is_null())
    if not wrong.is_empty():
        name, need, amount = wrong.row(0)
        raise InputError(f"the unit of target {name} has {need} = {amount}; an amount must be positive.")
