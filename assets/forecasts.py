"""Group ``forecasts``: the direct route's models, the routes' weights, and the demand of every target."""

import dagster as dg
import polars as pl

from assets.inputs import horizon_slots, planning_inputs, when
from assets.metadata import DATA_TEAM, picture, table
from assets.outlook import MODEL as OUTLOOK_MODEL
from assets.outlook import OUTLOOK
from assets.personas import ACTIVATIONS, CATALOG, MEMBERSHIP, current_catalog
from persona_platform.frames import COMBINATION, conform
from resources.project import ProjectResource

UNITS = dg.AssetKey(["capacity", "units"])
MODEL = dg.AssetKey(["forecasts", "model"])
COMBINATION_KEY = dg.AssetKey(["forecasts", "combination"])
DEMAND = dg.AssetKey(["forecasts", "demand"])


@dg.asset(
    key=MODEL,
    ins={"units": dg.AssetIn(UNITS)},
    group_name="forecasts",
    owners=[DATA_TEAM],
    kinds={"sktime", "sklearn"},
    pool="planning",
    description="The direct route's forecasters (sktime): seasonal naive, and gradient-boosted quantile models over "
    "all targets, one for the next slots and one for those beyond, with calendar features, trained on the maximum of "
    "the window that a floor must hold.",
)
def model(
    context: dg.AssetExecutionContext, project: ProjectResource, units: dict[str, pl.DataFrame]
) -> dg.MaterializeResult[pl.DataFrame]:
    """Fits on the observed demand before the origin."""
    from persona_platform.capacity.planning import Sizing, fit_direct
    from persona_platform.forecasting.demand import to_bytes

    inputs = planning_inputs(project, context)
    sizing = Sizing(units["targets"], units["units"])
    fitted = fit_direct(inputs.history, sizing, until=inputs.origin, seed=project.settings().project.seed)
    return dg.MaterializeResult(
        value=pl.DataFrame({"model": [to_bytes(fitted)]}), metadata={"fitted until": when(inputs.origin)}
    )


@dg.asset(
    key=COMBINATION_KEY,
    deps=[CATALOG, OUTLOOK_MODEL, MODEL],
    ins={"units": dg.AssetIn(UNITS)},
    group_name="forecasts",
    owners=[DATA_TEAM],
    kinds={"polars"},
    pool="planning",
    description="Which route counts how much, by target and lead: from pinball loss at the operating quantile on "
    "time-ordered origins, by models that were fitted before them.",
)
def combination(
    context: dg.AssetExecutionContext, project: ProjectResource, units: dict[str, pl.DataFrame]
) -> dg.MaterializeResult[dict[str, pl.DataFrame]]:
    """Validates the routes on the last fifth of the look-back."""
    from persona_platform.capacity.planning import Sizing, validate_routes, weights_from
    from persona_platform.replay.charts import weights_chart

    inputs = planning_inputs(project, context)
    scored = validate_routes(
        inputs.history,
        Sizing(units["targets"], units["units"]),
        origin=inputs.origin,
        slots=horizon_slots(project, inputs.slot),
        seed=project.settings().project.seed,
        progress=lambda done, of: context.log.info(f"validated {done} of {of} origins"),
    )
    weights = conform(weights_from(scored, inputs.slot), COMBINATION, "forecasts/combination")
    return dg.MaterializeResult(
        value={"weights": weights, "backtest": scored},
        metadata={
            "origins": scored["origin"].n_unique(),
            "weights": table(weights.filter(pl.col("weight") > 0).sort("target", "lead_slots"), rows=80),
            "weights by target and lead": picture(weights_chart(weights, inputs.slot), "Weight of each route"),
        },
    )


@dg.asset(
    key=DEMAND,
    deps=[CATALOG, OUTLOOK],
    ins={
        "activations": dg.AssetIn(ACTIVATIONS),
        "membership": dg.AssetIn(MEMBERSHIP),
        "outlook_model": dg.AssetIn(OUTLOOK_MODEL),
        "model": dg.AssetIn(MODEL),
        "combination": dg.AssetIn(COMBINATION_KEY),
        "units": dg.AssetIn(UNITS),
    },
    group_name="forecasts",
    owners=[DATA_TEAM],
    kinds={"sktime", "polars"},
    pool="planning",
    description="The demand of every target at every slot of the horizon, in units: by the persona mixture, by the "
    "direct route, and combined, with quantiles; what each persona contributes; and what was observed so far.",
)
def demand(
    context: dg.AssetExecutionContext,
    project: ProjectResource,
    activations: pl.DataFrame,
    membership: pl.DataFrame,
    outlook_model: dict[str, pl.DataFrame],
    model: pl.DataFrame,
    combination: dict[str, pl.DataFrame],
    units: dict[str, pl.DataFrame],
) -> dg.MaterializeResult[dict[str, pl.DataFrame]]:
    """Predicts from the origin."""
    from persona_platform.capacity.planning import Models, Sizing, predict_routes
    from persona_platform.forecasting.combination import combine
    from persona_platform.forecasting.demand import from_bytes
    from persona_platform.outlook.model import model_from_frames
    from persona_platform.personas.assignment import Played
    from persona_platform.replay.charts import demand_fan

    inputs = planning_inputs(project, context)
    settings = project.settings()
    sizing = Sizing(units["targets"], units["units"])
    observed = sizing.observed(inputs.history)
    routes = predict_routes(
        Models(current_catalog(project), model_from_frames(outlook_model), from_bytes(model["model"][0])),
        sizing,
        inputs.history,
        origin=inputs.origin,
        slots=horizon_slots(project, inputs.slot),
        paths=settings.planning.paths,
        seed=settings.project.seed,
        played=Played(activations, membership),
        observed=observed,
    )
    combined = combine(routes.demand, combination["weights"], inputs.slot)
    next_slot = combined.filter((pl.col("slot") == inputs.origin) & (pl.col("route") == "combined"))
    return dg.MaterializeResult(
        value={"demand": combined, "expected": routes.expected, "observed": observed},
        metadata={
            "origin": when(inputs.origin),
            "next slot": table(next_slot.select("target", "mean", "q50", "q90", "q99", "q_kappa")),
            "observed and predicted": picture(demand_fan(observed, combined), "Demand by target"),
        },
    )


default_assets = [model, combination, demand]
