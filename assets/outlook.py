"""Group ``outlook``: the fitted hazards, and P(workload plays persona) at every slot of the horizon."""

import dagster as dg
import polars as pl

from assets.inputs import horizon_slots, planning_inputs, when
from assets.metadata import DATA_TEAM, table
from assets.personas import ACTIVATIONS, CATALOG, current_catalog
from persona_platform.capacity.planning import RECENT
from persona_platform.outlook.model import fit_outlook, model_frames, model_from_frames
from persona_platform.outlook.predict import predict_outlook
from persona_platform.outlook.state import current_state
from persona_platform.personas.assignment import meet
from resources.project import ProjectResource

MODEL = dg.AssetKey(["outlook", "model"])
OUTLOOK = dg.AssetKey(["outlook", "outlook"])


@dg.asset(
    key=MODEL,
    deps=[CATALOG],
    ins={"activations": dg.AssetIn(ACTIVATIONS)},
    group_name="outlook",
    owners=[DATA_TEAM],
    kinds={"parquet"},
    pool="planning",
    description="Semi-Markov hazards of starting (by hour of week, day type, event) and of ending (by age), shrunk "
    "from the fleet to the persona to the workload.",
)
def model(
    context: dg.AssetExecutionContext, project: ProjectResource, activations: pl.DataFrame
) -> dg.MaterializeResult[dict[str, pl.DataFrame]]:
    """Fits the hazards on the activations before the origin."""
    inputs = planning_inputs(project, context)
    fitted = fit_outlook(
        activations,
        current_catalog(project).patterns,
        inputs.workloads,
        inputs.calendar,
        slot=inputs.slot,
        until=inputs.origin,
        seed=project.settings().project.seed,
    )
    return dg.MaterializeResult(
        value=model_frames(fitted),
        metadata={"fitted until": when(inputs.origin), "activations": activations.height},
    )


@dg.asset(
    key=OUTLOOK,
    ins={"model": dg.AssetIn(MODEL), "activations": dg.AssetIn(ACTIVATIONS)},
    group_name="outlook",
    owners=[DATA_TEAM],
    kinds={"parquet"},
    pool="planning",
    description="The outlook: for each workload and slot a distribution over personas; for each persona the "
    "probability of being activated within 15 minutes, an hour and a day.",
)
def outlook(
    context: dg.AssetExecutionContext,
    project: ProjectResource,
    model: dict[str, pl.DataFrame],
    activations: pl.DataFrame,
) -> dg.MaterializeResult[dict[str, pl.DataFrame]]:
    """Predicts from the state at the origin."""
    inputs = planning_inputs(project, context)
    catalog = current_catalog(project)
    new = meet(
        inputs.history.before(inputs.origin, inputs.origin - RECENT).needs, inputs.workloads, inputs.calendar, catalog
    )
    state = current_state(activations, new.known_as(catalog.patterns), inputs.origin, inputs.slot)
    predicted = predict_outlook(
        model_from_frames(model),
        state,
        inputs.workloads,
        inputs.calendar,
        inputs.origin,
        horizon_slots(project, inputs.slot),
        roles=new.roles,
    )
    names = pl.DataFrame(
        {"persona_id": [p.persona_id for p in catalog.personas], "name": [p.name for p in catalog.personas]},
        schema={"persona_id": pl.String, "name": pl.String},
    )
    hour = predicted.personas.filter(pl.col("horizon_s") == 3600).join(names, on="persona_id", how="left")
    return dg.MaterializeResult(
        value={
            "slots": predicted.slots,
            "activations": predicted.activations,
            "personas": predicted.personas,
        },
        metadata={
            "origin": when(inputs.origin),
            "within an hour": table(
                hour.sort("probability", descending=True).select(
                    "persona_id", "name", "probability", "expected_members"
                )
            ),
        },
    )


default_assets = [model, outlook]
