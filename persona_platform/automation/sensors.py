"""The planning location's sensor: what is played now goes to the Persona Database as soon as it is known."""

import dagster as dg
import polars as pl

from resources.persona_store import ActivityNow
from resources.project import ProjectResource
from resources.storage import persona_database

MEMBERSHIP = dg.AssetKey(["personas", "membership"])


@dg.asset_sensor(
    asset_key=MEMBERSHIP,
    name="activity_monitor",
    minimum_interval_seconds=15,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Writes which workload plays which persona, and since when, into the Persona Database.",
)
def activity_monitor(
    context: dg.SensorEvaluationContext, asset_event: dg.EventLogEntry, project: ProjectResource
) -> dg.SkipReason:
    """Reads the activations of the materialization's run; asks for no run."""
    activations = project.frames.read("personas/activations", version=asset_event.run_id)
    patterns = project.frames.read("personas/catalog", name="patterns")
    now = activity_now(activations, patterns)
    with persona_database(project.project) as store:
        store.update_activity([ActivityNow(*row) for row in now.iter_rows()])
    context.log.info(f"{now.height} workloads' activity written")
    return dg.SkipReason(f"The activity of {now.height} workloads is in the Persona Database.")


def activity_now(activations: pl.DataFrame, patterns: pl.DataFrame) -> pl.DataFrame:
    """The newest activation of each workload: workload_id, persona_id, since, observed_at."""
    return (
        activations.filter(pl.col("end") == pl.col("end").max().over("workload_id"))
        .join(patterns.select("workload_id", "pattern", "persona_id"), on=["workload_id", "pattern"], how="left")
        .select(
            "workload_id",
            pl.col("persona_id").fill_null("other"),
            pl.col("start").alias("since"),
            pl.col("end").alias("observed_at"),
        )
        .sort("workload_id")
    )
