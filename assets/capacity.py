"""Group ``capacity``, planning's half: units and the plan. Inventory is provisioning's: :mod:`assets.inventory`."""

import dagster as dg
import polars as pl

from assets.forecasts import DEMAND, UNITS
from assets.inputs import planning_inputs, when
from assets.metadata import CAPACITY_TEAM, picture, table
from assets.raw import WORKLOADS
from assets.warehouse import MARTS
from persona_platform.capacity.limits import limits_frame
from persona_platform.capacity.plan import check_plan, make_plan
from persona_platform.capacity.targets import freeze_units, targets_frame
from persona_platform.errors import ConfigError
from persona_platform.frames import INVENTORY, empty
from resources.named_files import EVIDENCE, file_digest, write_named
from resources.project import ProjectResource
from resources.targets import configured_targets

PLAN = dg.AssetKey(["capacity", "plan"])
SUITABILITY_KEY = dg.AssetKey(["capacity", "suitability"])


@dg.asset(
    key=UNITS,
    deps=[*MARTS, WORKLOADS],
    group_name="capacity",
    owners=[CAPACITY_TEAM],
    kinds={"polars"},
    pool="planning",
    description="What demand is counted in. An automatic unit is a twentieth of the pool's mean demand and is "
    "frozen at the first refit, so that floors keep their meaning.",
)
def units(context: dg.AssetExecutionContext, project: ProjectResource) -> dg.MaterializeResult[dict[str, pl.DataFrame]]:
    """Keeps the units of known targets, adds those of new ones."""
    inputs = planning_inputs(project, context)
    targets = configured_targets(project)
    frozen, reasons = freeze_units(targets, inputs.needs, inputs.workloads, inputs.slot)
    frozen = frozen.sort("target", "need")
    if project.frames.has("capacity/units"):
        automatic = [t.name for t in targets if t.unit is None or not t.unit.amounts]
        before = project.frames.read("capacity/units", name="units").filter(pl.col("target").is_in(automatic))
        frozen = pl.concat([before, frozen.join(before, on="target", how="anti")]).sort("target", "need")
    configured = pl.DataFrame(
        {"target": [t.name for t in targets if t.unit and t.unit.amounts]}, schema={"target": pl.String}
    )
    with_unit = targets_frame(targets, inputs.slot).join(frozen, on="target", how="semi")
    for reason in reasons:
        context.log.warning(reason)
    if with_unit.height == 0:
        raise ConfigError("No target has a unit. " + " ".join(reasons))
    return dg.MaterializeResult(
        value={"targets": with_unit, "units": frozen, "configured": configured},
        metadata={
            "units": table(frozen),
            "targets": table(with_unit),
            "without a unit": "\n".join(reasons) or "none",
        },
    )


@dg.asset(
    key=SUITABILITY_KEY,
    ins={"units": dg.AssetIn(UNITS)},
    group_name="capacity",
    owners=[CAPACITY_TEAM],
    kinds={"polars"},
    pool="planning",
    description="Whether acting on the forecast is worth it for each target: a replay of what was held out, with the "
    "target's limits, against plain reactive. A target that is not suitable is only observed, unless its limits say "
    "act_unsuitable.",
)
def suitable(
    context: dg.AssetExecutionContext, project: ProjectResource, units: dict[str, pl.DataFrame]
) -> dg.MaterializeResult[pl.DataFrame]:
    """Judges every target on the last fifth of the look-back."""
    from persona_platform.capacity.planning import Sizing, validate_direct
    from persona_platform.replay.recording import in_steps
    from persona_platform.replay.suitability import suitability
    from persona_platform.replay.terms import Terms

    inputs = planning_inputs(project, context)
    sizing = Sizing(units["targets"], units["units"])
    targets = configured_targets(project)
    limits = limits_frame(targets)
    # One lead time for all: the longest that a target's limits assume before its own is known.
    terms = Terms(max(target.limits.lead_time_prior for target in targets))
    observed = sizing.observed(inputs.history)
    validated = validate_direct(
        inputs.history,
        sizing,
        observed,
        origin=inputs.origin,
        slots=in_steps(terms.planned_lead_time, inputs.slot) + 1,
        seed=project.settings().project.seed,
    )
    found = suitability(inputs.history, sizing, observed, validated, limits, until=inputs.origin, terms=terms)
    return dg.MaterializeResult(
        value=found,
        metadata={
            "suitable": int(found["suitable"].sum()),
            "left alone": int((~found["suitable"]).sum()),
            "verdicts": table(found.select("target", "suitable", "reason", "gain", "relative")),
        },
    )


@dg.asset(
    key=PLAN,
    deps=[SUITABILITY_KEY],
    ins={"demand": dg.AssetIn(DEMAND), "units": dg.AssetIn(UNITS)},
    group_name="capacity",
    owners=[CAPACITY_TEAM],
    kinds={"polars", "parquet"},
    pool="planning",
    description="For each target and slot the floor that is needed, in whole units, with the evidence for it by "
    "persona. Immutable; its id is a digest of its content.",
    check_specs=[
        dg.AssetCheckSpec(
            "plan_within_bounds",
            asset=PLAN,
            blocking=True,
            description="Whole units, finite numbers, quantiles in order, one row a slot, limits for every target.",
        )
    ],
)
def plan(  # noqa: ANN201 (with a check among the outputs Dagster refuses the hint)
    context: dg.AssetExecutionContext,
    project: ProjectResource,
    demand: dict[str, pl.DataFrame],
    units: dict[str, pl.DataFrame],
):
    """Rounds the operating quantile up to whole units and writes the plan where the sensor finds it."""
    from persona_platform.replay.charts import plan_chart

    inputs = planning_inputs(project, context)
    made = make_plan(
        demand["demand"],
        demand["expected"],
        demand["observed"],
        units["targets"],
        origin=inputs.origin,
        slot=inputs.slot,
        suitability=project.frames.read("capacity/suitability") if project.frames.has("capacity/suitability") else None,
    )
    limits = limits_frame(configured_targets(project))
    faults = check_plan(made.plan, limits)
    path = write_named(project.project.plans, made.plan_id, made.plan)
    write_named(project.project.plans, f"{made.plan_id}{EVIDENCE}", made.evidence)
    soon = made.plan.filter(pl.col("slot") < inputs.origin + 4 * inputs.slot)
    return dg.MaterializeResult(
        value={"plan": made.plan, "evidence": made.evidence},
        data_version=dg.DataVersion(made.plan_id),
        check_results=[
            dg.AssetCheckResult(
                check_name="plan_within_bounds",
                passed=not faults,
                metadata={"faults": "\n".join(faults) or "none"},
            )
        ],
        metadata={
            "plan_id": made.plan_id,
            "origin": inputs.origin.isoformat(),
            "origin at": when(inputs.origin),
            "path": dg.MetadataValue.path(str(path)),
            "digest": file_digest(path),
            "next slots": table(soon.select("target", "slot", "mean", "q50", "q95", "kappa", "needed")),
            "needed by target": picture(plan_chart(made.plan, empty(INVENTORY)), "Units needed"),
        },
    )


default_assets = [units, suitable, plan]
