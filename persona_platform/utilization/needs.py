"""The needs frame: for each workload and slot read, the amounts that capacity would have had to hold."""

import polars as pl

from persona_platform.frames import (
    ACTIVITY,
    NEEDS,
    RESOURCES,
    SERVED_ACTIVITIES,
    SIZED_RESOURCES,
    USAGE,
    conform,
)


def needs_per_slot(usage: pl.DataFrame, activity: pl.DataFrame) -> pl.DataFrame:
    """``workload_id, slot, saturated`` and a Float64 column for each need that the data has, sorted.

    A workload with any sized resource (cpu_cores, mem_bytes, gpus) needs its resources. One without needs
    the first of the served activities that it has (requests, jobs, departures, active_users); one with
    neither needs what other resources it has. Rows exist only for slots in which one of the workload's
    needs was read.
    """
    used = conform(usage, USAGE, "The usage per slot")
    served = conform(activity, ACTIVITY, "The activity per slot")
    sized = used.group_by("workload_id").agg(_any_read(SIZED_RESOURCES).any().alias("sized"))
    first = served.group_by("workload_id").agg(
        pl.coalesce(pl.when(pl.col(name).is_not_null().any()).then(pl.lit(name)) for name in SERVED_ACTIVITIES).alias(
            "first"
        )
    )
    ways = sized.join(first, on="workload_id", how="full", coalesce=True)
    by_resource = ways.filter(pl.col("sized").fill_null(value=False) | pl.col("first").is_null())
    by_activity = ways.join(by_resource, on="workload_id", how="anti")

    resources = (
        used.join(by_resource.select("workload_id"), on="workload_id", how="semi")
        .filter(_any_read(RESOURCES))
        .select("workload_id", "slot", pl.col("saturated").fill_null(value=False), *RESOURCES)
    )
    activities = (
        served.join(by_activity.select("workload_id", "first"), on="workload_id")
        .select(
            "workload_id",
            "slot",
            pl.lit(value=False).alias("saturated"),
            *(pl.when(pl.col("first") == name).then(pl.col(name)).alias(name) for name in SERVED_ACTIVITIES),
        )
        .filter(_any_read(SERVED_ACTIVITIES))
    )
    needs = pl.concat([resources, activities], how="diagonal").sort("workload_id", "slot")
    kept = [name for name in NEEDS if needs[name].null_count() < needs.height]
    return needs.select("workload_id", "slot", "saturated", *kept)


def _any_read(columns: tuple[str, ...]) -> pl.Expr:
    return pl.any_horizontal(pl.col(name).is_not_null() for name in columns)
