"""The plan: how many units each target needs at each future slot, with the evidence for it.

Forecasting demand belongs to :mod:`persona_platform.forecasting`; what is done about a plan is
:mod:`persona_platform.capacity.decide`'s.
"""

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise

import polars as pl

from persona_platform.capacity.limits import digest
from persona_platform.capacity.sizing import whole_units
from persona_platform.errors import InputError
from persona_platform.frames import DEMAND, EVIDENCE, OBSERVED, PLAN, SUITABILITY, TARGETS, TS, conform, empty
from persona_platform.sums import total

QUANTILES = ("q50", "q90", "q95", "q99")

WEEK = timedelta(weeks=1)
DAY = timedelta(days=1)


@dataclass(frozen=True)
class Plan:
    """A plan and what it stands on; the id is a digest of both."""

    plan_id: str
    plan: pl.DataFrame
    """PLAN, sorted by target and slot."""
    evidence: pl.DataFrame
    """EVIDENCE, sorted by target, slot and persona."""


def make_plan(
    demand: pl.DataFrame,
    expected: pl.DataFrame,
    observed: pl.DataFrame,
    targets: pl.DataFrame,
    *,
    origin: datetime,
    slot: timedelta,
    cycle: timedelta | None = None,
    suitability: pl.DataFrame | None = None,
) -> Plan:
    """The units needed by each of ``targets`` at each slot that the combined demand covers.

    Args:
        demand: DEMAND; only rows with the route ``combined`` are used.
        expected: target, slot, persona_id, expected (units): probability times requirement.
        observed: OBSERVED up to the origin.
        targets: TARGETS.
        origin: start of the first slot not yet read.
        slot: width of a slot.
        cycle: longest period that the forecasts rely on; None: a week where a target has two weeks of
            observations, else a day.
        suitability: SUITABILITY of the last refit; None: nobody has judged.

    needed = max(q_kappa, mean, sum of expected over personas), each in whole units, so that expected demand
    above capacity always counts, even where a quantile of a sparse demand is zero.

    Raises :class:`InputError` on NaN, infinite, missing or repeated demand.
    """
    combined = _combined(demand, targets)
    evidence = _evidence(expected, targets, origin)
    sums = evidence.group_by("target", "slot").agg(expected=total("expected"))
    rows = (
        combined.join(sums, on=["target", "slot"], how="left")
        .join(_history(observed, slot, cycle), on="target", how="left")
        .join(_suitable(suitability), on="target", how="left")
        .with_columns(
            origin=pl.lit(origin, TS),
            needed=pl.max_horizontal(
                whole_units(pl.col("q_kappa")), whole_units(pl.col("mean")), whole_units(pl.col("expected"))
            ),
            history_s=pl.col("history_s").fill_null(0),
            cycle_s=pl.col("cycle_s").fill_null(int((cycle or DAY).total_seconds())),
        )
        .sort("target", "slot")
    )
    named = pl.lit("").alias("plan_id")
    plan = conform(rows.with_columns(named), PLAN, "The plan")
    evidence = conform(evidence.with_columns(named), EVIDENCE, "The evidence")
    plan_id = hashlib.sha256(f"{digest(plan)}{digest(evidence)}".encode()).hexdigest()[:16]
    named = pl.lit(plan_id).alias("plan_id")
    return Plan(plan_id, plan.with_columns(named), evidence.with_columns(named))


def _combined(demand: pl.DataFrame, targets: pl.DataFrame) -> pl.DataFrame:
    names = conform(targets, TARGETS, "The targets").select("target")
    rows = (
        conform(demand, DEMAND, "The demand").filter(pl.col("route") == "combined").join(names, on="target", how="semi")
    )
    for name in ("mean", "q_kappa", *QUANTILES):
        bad = rows.filter(~pl.col(name).is_finite().fill_null(value=False))
        if bad.height:
            raise InputError(
                f"The demand of target {bad['target'][0]} at {bad['slot'][0]:%Y-%m-%d %H:%M} has {name} = "
                f"{bad[name][0]} in {bad.height} rows; a plan needs finite numbers. Look at forecasts/demand."
            )
    repeated = rows.filter(pl.struct("target", "slot").is_duplicated())
    if repeated.height:
        raise InputError(
            f"The demand of target {repeated['target'][0]} has slot {repeated['slot'][0]:%Y-%m-%d %H:%M} "
            f"{repeated.height} times with the route combined; expected once. Plan from one origin at a time."
        )
    return rows


def _evidence(expected: pl.DataFrame, targets: pl.DataFrame, origin: datetime) -> pl.DataFrame:
    wanted = {name: EVIDENCE[name] for name in ("target", "slot", "persona_id", "expected")}
    rows = (
        conform(expected, wanted, "The expected demand by persona")
        .join(targets.select("target"), on="target", how="semi")
        .filter(pl.col("slot") >= pl.lit(origin, TS))
        .sort("target", "slot", "persona_id")
    )
    bad = rows.filter(~pl.col("expected").is_finite().fill_null(value=False))
    if bad.height:
        raise InputError(
            f"The expected demand of target {bad['target'][0]} from persona {bad['persona_id'][0]} is "
            f"{bad['expected'][0]} in {bad.height} rows; a plan needs finite numbers."
        )
    return rows


def _history(observed: pl.DataFrame, slot: timedelta, cycle: timedelta | None) -> pl.DataFrame:
    """target, history_s, cycle_s, data_until, over the slots in which the demand was read."""
    first, last = pl.col("slot").min(), pl.col("slot").max()
    span = pl.col("span")
    relied = pl.when(span >= 2 * WEEK).then(pl.lit(WEEK)).otherwise(pl.lit(DAY)) if cycle is None else pl.lit(cycle)
    return (
        conform(observed, OBSERVED, "The observed demand")
        .filter(pl.col("demand").is_finite())
        .group_by("target")
        .agg(span=last - first + slot, data_until=last + slot)
        .select(
            "target",
            "data_until",
            history_s=span.dt.total_seconds(),
            cycle_s=relied.dt.total_seconds(),
        )
    )


def _suitable(suitability: pl.DataFrame | None) -> pl.DataFrame:
    judged = empty(SUITABILITY) if suitability is None else conform(suitability, SUITABILITY, "The suitability")
    return judged.select("target", "suitable").unique("target", keep="last")


def check_plan(plan: pl.DataFrame, limits: pl.DataFrame) -> list[str]:
    """One sentence for each kind of row that no plan may have; empty when the plan is sound.

    A need above a target's maximum is not among them: ``decide`` clamps it, and a plan refused for it would
    give less capacity for more demand. :func:`above_max` names those rows.
    """
    rows = conform(plan, PLAN, "The plan")
    order = [pl.col(low) > pl.col(high) + 1e-6 for low, high in pairwise(QUANTILES)]
    faults = {
        "no whole number of units, or a negative one": pl.col("needed").is_null() | (pl.col("needed") < 0),
        "a quantile or mean that is not a finite number": pl.any_horizontal(
            ~pl.col(name).is_finite().fill_null(value=False) for name in ("mean", *QUANTILES)
        ),
        "quantiles out of order": pl.any_horizontal(order),
        "fewer units than the mean demand": pl.col("needed") < whole_units(pl.col("mean")),
        "a slot before the plan's origin": pl.col("slot") < pl.col("origin"),
        "the same slot twice": pl.struct("target", "slot").is_duplicated(),
        "no limits": ~pl.col("target").is_in(limits["target"].to_list()),
    }
    return [
        f"Target {bad['target'][0]} has {what} at {bad['slot'][0]:%Y-%m-%d %H:%M} ({bad.height} rows in all)."
        for what, condition in faults.items()
        if (bad := rows.filter(condition)).height
    ]


def above_max(plan: pl.DataFrame, limits: pl.DataFrame) -> list[str]:
    """One sentence for each target whose plan needs more than its maximum, with the largest need."""
    most = (
        plan.join(limits.select("target", "max"), on="target")
        .filter(pl.col("needed") > pl.col("max"))
        .group_by("target")
        .agg(pl.col("needed").max(), pl.col("max").first(), slots=pl.len())
        .sort("target")
    )
    return [
        f"Target {row['target']} needs up to {row['needed']} units in {row['slots']} slots; "
        f"its maximum is {row['max']}."
        for row in most.iter_rows(named=True)
    ]
