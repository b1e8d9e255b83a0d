"""Group ``personas``: the catalog of learned personas, and who plays which persona when.

The catalog is learned by a refit; activations and membership follow it at every replan.
"""

import dagster as dg
import polars as pl

from assets.inputs import planning_inputs, when
from assets.metadata import DATA_TEAM, picture, table
from assets.raw import WORKLOADS
from assets.warehouse import MARTS
from persona_platform.personas.catalog import Catalog, catalog_frames, catalog_from_frames
from resources.persona_store import PersonaStore, member_records
from resources.project import ProjectResource

CATALOG = dg.AssetKey(["personas", "catalog"])
ACTIVATIONS = dg.AssetKey(["personas", "activations"])
MEMBERSHIP = dg.AssetKey(["personas", "membership"])


@dg.asset(
    key=CATALOG,
    deps=[*MARTS, WORKLOADS],
    group_name="personas",
    owners=[DATA_TEAM],
    kinds={"sklearn", "parquet"},
    pool="planning",
    description="The learned resource personas: needs as a joint distribution over provisionable sizes, duration, "
    "recurrence, priority and SLA, members. Published to the Persona Database in one step.",
)
def catalog(
    context: dg.AssetExecutionContext, project: ProjectResource
) -> dg.MaterializeResult[dict[str, pl.DataFrame]]:
    """Learns personas from the look-back, keeping the ids of the catalog before it."""
    from persona_platform.personas.learning import learn
    from persona_platform.replay.charts import persona_heatmaps

    inputs = planning_inputs(project, context)
    frames = project.frames
    key = "personas/catalog"
    previous = catalog_from_frames(frames.read_all(key)) if frames.has(key) else None
    learned = learn(
        inputs.needs,
        inputs.workloads,
        inputs.calendar,
        slot=inputs.slot,
        previous=previous,
        seed=project.settings().project.seed,
    )
    store = PersonaStore(project.project.store)
    store.publish(learned.catalog.version, learned.catalog.personas, member_records(learned.catalog))
    store.close()
    return dg.MaterializeResult(
        value=catalog_frames(learned.catalog),
        data_version=dg.DataVersion(f"catalog-{learned.catalog.version}"),
        metadata={
            "version": learned.catalog.version,
            "trained until": when(inputs.origin),
            "personas": table(persona_table(learned.catalog)),
            "when each persona starts": picture(
                persona_heatmaps(learned.catalog.personas), "Week heat map of each persona"
            ),
            "number of personas": table(learned.catalog.selection),
        },
    )


@dg.multi_asset(
    name="played",
    deps=[CATALOG, *MARTS],
    outs={
        "activations": dg.AssetOut(
            key=ACTIVATIONS,
            dagster_type=pl.DataFrame,
            group_name="personas",
            owners=[DATA_TEAM],
            kinds={"parquet"},
            description="Every stretch in which a workload plays one pattern, with its mean needs.",
        ),
        "membership": dg.AssetOut(
            key=MEMBERSHIP,
            dagster_type=pl.DataFrame,
            group_name="personas",
            owners=[DATA_TEAM],
            kinds={"parquet"},
            description="For each workload and slot the likeliest persona and its probability.",
        ),
    },
    pool="planning",
)
def played(
    context: dg.AssetExecutionContext, project: ProjectResource
) -> tuple[dg.Output[pl.DataFrame], dg.Output[pl.DataFrame]]:
    """Cuts the newest weeks with the catalog's frozen levels and patterns."""
    from persona_platform.personas.assignment import play

    inputs = planning_inputs(project, context)
    result = play(inputs.needs, inputs.workloads, inputs.calendar, current_catalog(project))
    newest = result.membership.filter(pl.col("slot") == pl.col("slot").max().over("workload_id"))
    now = newest.group_by("persona_id").len("workloads").sort("workloads", descending=True)
    return (
        dg.Output(
            result.activations,
            metadata={"activations": result.activations.height, "origin": when(inputs.origin)},
        ),
        dg.Output(result.membership, metadata={"playing now": table(now)}),
    )


def current_catalog(project: ProjectResource) -> Catalog:
    """The catalog as last learned."""
    return catalog_from_frames(project.frames.read_all("personas/catalog"))


def persona_table(catalog: Catalog) -> pl.DataFrame:
    """One row a persona: id, name, kind, members, likeliest sizes, duration."""
    return pl.DataFrame(
        [
            {
                "persona": p.persona_id,
                "name": p.name,
                "kind": p.kind,
                "members": len(p.members),
                "needs": "; ".join(f"{_size(s.amounts)} {s.probability:.2f}" for s in p.requirement.sizes[:3]),
                "median duration h": p.duration.median_s / 3600,
                "priority": p.priority,
                "stability": p.stability,
            }
            for p in catalog.personas
        ]
    )


def _size(amounts: dict[str, float]) -> str:
    return ", ".join(
        f"{value / 2**30:.3g} GiB {name.removesuffix('_bytes')}" if name.endswith("_bytes") else f"{value:.3g} {name}"
        for name, value in amounts.items()
    )


default_assets = [catalog, played]
