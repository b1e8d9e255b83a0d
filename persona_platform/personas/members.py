"""Members: every workload of a persona with what it needs itself, as the Persona Database serves it."""

from typing import Final

import numpy as np
import polars as pl

from persona_platform.frames import need_columns
from persona_platform.personas.record import REQUIREMENT_QUANTILES, MemberRecord

SERVED: Final = ("cpu_cores", "mem_bytes", "disk_bytes", "gpus", "requests", "jobs", "departures", "active_users")
"""Needs that a member record holds: those that capacity is made of."""
HOURS: Final = 168


def member_records(
    slots: pl.DataFrame, labelled: pl.DataFrame, patterns: pl.DataFrame, slot_s: float
) -> tuple[MemberRecord, ...]:
    """A record for each workload and persona.

    ``slots`` has workload_id, pattern, hour_of_week and needs; ``labelled`` its episodes; ``patterns``
    workload_id, pattern, persona_id, cluster, probability, slots.
    """
    keys = ["workload_id", "persona_id"]
    kept = patterns.filter(pl.col("cluster") >= 0).select(
        "workload_id", "pattern", "persona_id", "probability", n="slots"
    )
    if kept.is_empty():
        return ()
    weights = patterns.group_by("workload_id").agg(read=pl.col("slots").sum())
    rows = (
        kept.group_by(keys)
        .agg(
            pl.col("pattern").sort().cast(pl.Int64),
            played=pl.col("n").sum(),
            probability=(pl.col("probability") * pl.col("n")).sum() / pl.col("n").sum(),
        )
        .join(weights, on="workload_id")
        .sort("persona_id", "workload_id")
        .with_row_index("row")
    )
    at = kept.join(rows.select(*keys, "row"), on=keys).select("workload_id", "pattern", "row")
    mine = slots.join(at, on=["workload_id", "pattern"])
    needs = [c for c in need_columns(slots) if c in SERVED]
    found = mine.group_by("row").agg(
        pl.concat_list(pl.col(c).quantile(q, "linear") for q in REQUIREMENT_QUANTILES).alias(c) for c in needs
    )
    lasts = labelled.join(at, on=["workload_id", "pattern"]).group_by("row").agg(slots=pl.col("length").median())
    grid = _occupancy(mine, slots, rows)
    table = rows.join(found, on="row", how="left").join(lasts, on="row", how="left").sort("row")
    return tuple(
        MemberRecord(
            row["persona_id"],
            row["workload_id"],
            row["played"] / row["read"],
            row["probability"],
            tuple(row["pattern"]),
            tuple(own),
            b"".join(np.asarray(row[c], dtype="<f4").tobytes() for c in own),
            grid[row["row"]].tobytes(),
            float((row["slots"] or 0.0) * slot_s),
        )
        for row in table.iter_rows(named=True)
        for own in [[c for c in needs if row[c] is not None and None not in row[c]]]
    )


def _occupancy(mine: pl.DataFrame, slots: pl.DataFrame, rows: pl.DataFrame) -> np.ndarray:
    """Share of the read slots of each local hour of the week in which a member plays, float32 (rows, 168)."""
    grid = np.zeros((rows.height, HOURS), dtype="<f4")
    read = slots.group_by("workload_id", "hour_of_week").agg(read=pl.len())
    share = (
        mine.group_by("row", "workload_id", "hour_of_week")
        .agg(n=pl.len())
        .join(read, on=["workload_id", "hour_of_week"])
    )
    grid[share["row"].to_numpy(), share["hour_of_week"].to_numpy()] = (share["n"] / share["read"]).to_numpy()
    return grid
