"""Needs per slot as targets: which workloads are one target, what its unit is, what demand it had."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import polars as pl

from persona_platform.capacity.planning import Sizing
from persona_platform.capacity.targets import UNITS_OF_MEAN_DEMAND, Target, targets_frame, with_tiers
from persona_platform.errors import InputError
from persona_platform.forecasting.units import demand_in_units
from persona_platform.frames import OBSERVED, UNITS, WORKLOADS, conform, empty
from persona_platform.replay.cases_metrics import Measure, listed
from persona_platform.replay.cases_options import CaseOptions
from persona_platform.replay.numbers import amount, count, number, percent
from persona_platform.utilization.workloads import read_workloads_file, with_defaults


@dataclass(frozen=True)
class Sized:
    """Targets that can be learned and scored: their sizing, OBSERVED demand and what there is to say of them."""

    sizing: Sizing
    observed: pl.DataFrame
    notes: list[str]


def labelled_workloads(needs: pl.DataFrame, datasets: pl.DataFrame, options: CaseOptions) -> pl.DataFrame:
    """WORKLOADS of those that have needs; the pool is the name of the target that they are grouped in."""
    labels = empty(WORKLOADS) if options.workloads is None else read_workloads_file(options.workloads)
    read = datasets.join(needs.select("workload_id").unique(), on="workload_id", how="semi")
    known = with_defaults(labels, read, timezone=options.timezone).join(read, on="workload_id")
    if options.group_by != "pool":
        known = known.with_columns(pool="workload_id" if options.group_by == "workload" else "dataset")
    return known.select(list(WORKLOADS)).sort("workload_id")


def sized_targets(
    needs: pl.DataFrame,
    workloads: pl.DataFrame,
    measure: Measure,
    options: CaseOptions,
    *,
    scored_from: datetime,
    slot: timedelta,
) -> Sized:
    """A target for each pool, with its unit and its demand on every slot of the data.

    A target without any demand before ``scored_from`` cannot be learned, one without a reading from then on
    cannot be scored: both are left out and named in the notes. Raises :class:`InputError` where none is left.
    """
    pools = workloads["pool"].unique().sort().to_list()
    targets = with_tiers([Target(pool, pool, prices=options.prices) for pool in pools], workloads)
    amounts = _observed(needs, workloads, _sizing(targets, measure, dict.fromkeys(pools, 1.0), slot), slot)
    training = pl.col("slot") < scored_from
    parts = amounts.group_by("target").agg(
        pl.col("demand").filter(training).mean().alias("mean"), pl.col("demand").filter(~training).count().alias("read")
    )
    means = dict(parts.filter(pl.col("mean") > 0).select("target", "mean").iter_rows())
    scored = set(parts.filter(pl.col("read") > 0)["target"])
    idle = [pool for pool in pools if pool not in means]
    unread = [pool for pool in pools if pool in means and pool not in scored]
    kept = [target for target in targets if target.name in means and target.name in scored]
    if not kept:
        raise InputError(
            f"No target has both demand of {measure.metric} before {scored_from:%Y-%m-%d %H:%M} UTC, to learn from, "
            f"and readings after it, to be scored on ({len(idle)} lack the one, {len(unread)} the other): replay "
            "series of the same time together, with --include, or make one target of more workloads, with --group-by."
        )
    units = {target.name: options.unit or means[target.name] / UNITS_OF_MEAN_DEMAND for target in kept}
    sizing = _sizing(kept, measure, units, slot)
    in_units = amounts.join(sizing.units, on="target").with_columns(pl.col("demand") / pl.col("amount"))
    observed = _on_every_slot(in_units, slot)
    notes = [_about_units(measure, options, list(units.values()))]
    if idle:
        notes.append(f"Left out, without any demand in the training part: {listed(idle)}.")
    if unread:
        said = f"{listed(unread)}; name them in --include to replay them alone"
        notes.append(f"Left out, without a reading after the training part: {said}.")
    if missing := observed["demand"].null_count():
        share = percent(missing / observed.height)
        notes.append(f"{share} of the targets' slots were read too little to tell the demand; they are not scored.")
    return Sized(sizing, observed, notes)


def _sizing(targets: Sequence[Target], measure: Measure, units: Mapping[str, float], slot: timedelta) -> Sizing:
    rows = [(target.name, measure.need, units[target.name]) for target in targets]
    return Sizing(targets_frame(targets, slot), pl.DataFrame(rows, schema=UNITS, orient="row").sort("target"))


def _observed(needs: pl.DataFrame, workloads: pl.DataFrame, sizing: Sizing, slot: timedelta) -> pl.DataFrame:
    return demand_in_units(needs, workloads, sizing.targets, sizing.units, slot)


def _on_every_slot(observed: pl.DataFrame, slot: timedelta) -> pl.DataFrame:
    """OBSERVED with a row for every target and slot between the first and the last of all targets."""
    slots = observed.select(pl.datetime_range(pl.col("slot").min(), pl.col("slot").max(), slot).alias("slot"))
    grid = observed.select(pl.col("target").unique().sort()).join(slots, how="cross")
    rows = grid.join(observed, on=["target", "slot"], how="left", maintain_order="left")
    return conform(rows.with_columns(pl.col("saturated").fill_null(value=False)), OBSERVED, "observed demand")


def _about_units(measure: Measure, options: CaseOptions, units: list[float]) -> str:
    def told(value: float) -> str:
        return amount(measure.need, value) if measure.known else f"{number(value)} of {measure.metric}"

    if options.unit is not None:
        return f"A unit is {told(options.unit)}, for {count(len(units), 'target')}."
    low, high = min(units), max(units)
    span = told(low) if len(units) == 1 else f"from {told(low)} to {told(high)} over {count(len(units), 'target')}"
    return f"A unit is a twentieth of a target's mean demand in the training part: {span}."
