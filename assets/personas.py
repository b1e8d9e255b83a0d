"""Group ``personas``: the catalog of learned personas, and who plays which persona when.

The catalog is learned by a refit; activations and membership follow it at every replan.
"""

import dagster as dg
import polars as pl

from assets.inputs import learning_inputs, planning_inputs, when
from assets.metadata import DATA_TEAM, picture, table
from assets.raw import WORKLOADS
from assets.warehouse import MARTS
from persona_platform.personas.catalog import Catalog, catalog_frames, catalog_from_frames, catalog_to_succeed
from persona_platform.personas.lineage import newest_refit
from resources.project import ProjectResource
from resources.storage import persona_database

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
    from persona_platform.replay.persona_page import CatalogPage, write_catalog_page

    inputs = learning_inputs(project, context)
    frames = project.frames
    key = "personas/catalog"
    previous, unread = catalog_to_succeed(frames.read_all(key)) if frames.has(key) else (None, "")
    if unread:
        context.log.warning(f"Personas are found anew, under new ids. {unread}")
    learned = learn(
        inputs.shares,
        inputs.workloads,
        inputs.calendar,
        slot=inputs.slot,
        previous=previous,
        seed=project.settings().project.seed,
    )
    with persona_database(project.project) as store:
        store.publish(learned.catalog.version, learned.catalog.personas, learned.catalog.members)
    write_catalog_page(project.project.catalog_page, CatalogPage.of(learned.catalog))
    return dg.MaterializeResult(
        value=catalog_frames(learned.catalog),
        data_version=dg.DataVersion(f"catalog-{learned.catalog.version}"),
        metadata={
            "version": learned.catalog.version,
            "trained until": when(inputs.origin),
            "page": dg.MetadataValue.path(str(project.project.catalog_page)),
            **catalog_metadata(learned.catalog),
        },
    )


def catalog_metadata(catalog: Catalog) -> dict[str, dg.MarkdownMetadataValue]:
    """What is shown of a catalog: tables and pictures, under 300 KB however many personas there are."""
    from persona_platform.replay.charts_catalog import refits_chart, selection_chart
    from persona_platform.replay.charts_personas import persona_multiples

    pictures = {
        "needs, durations and starts": persona_multiples(catalog.personas),
        "how the number of personas was chosen": selection_chart(catalog.selection),
        "stability over refits": refits_chart(catalog.refits),
    }
    changed = newest_refit(catalog.lineage).filter(pl.col("event") != "kept")
    return {
        "personas": table(persona_table(catalog)),
        **{name: picture(svg, name.capitalize()) for name, svg in pictures.items() if svg},
        "what this refit changed": table(changed.drop("version", "trained_until")),
        "refits": table(catalog.refits.sort("version", descending=True), rows=10),
        "number of personas": table(catalog.selection),
    }


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
    """One row a persona: id, name, kind, members, likeliest sizes, duration, priority, stability, drift."""
    from persona_platform.replay.charts_personas_panels import size_words

    return pl.DataFrame(
        [
            {
                "persona": p.persona_id,
                "name": p.name,
                "kind": p.kind,
                "members": len(p.members),
                "needs": "; ".join(f"{size_words(s)} {s.probability:.2f}" for s in p.requirement.sizes[:3]),
                "median duration h": p.duration.median_s / 3600,
                "priority": p.priority,
                "stability": p.stability,
                "drift": p.drift,
            }
            for p in catalog.personas
        ]
    )


default_assets = [catalog, played]
