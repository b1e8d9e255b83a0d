"""What each workload plays at the origin, as far as it was read."""

from datetime import datetime, timedelta

import polars as pl

from persona_platform.frames import ACTIVATION_KEYS, OTHER, TS, conform
from persona_platform.outlook.roster import PATTERN_KEYS

STATE = {
    "workload_id": pl.String,
    "pattern": pl.UInt16,
    "persona_id": pl.String,
    "since": TS,
    "start_seen": pl.Boolean,
}
STALE_SLOTS = 2
TOLERANCE = timedelta(minutes=15)
"""Collection that is late by a little is usual; a state is carried that much longer than two slots."""


def current_state(activations: pl.DataFrame, patterns: pl.DataFrame, origin: datetime, slot: timedelta) -> pl.DataFrame:
    """The newest activation of each workload that begins before ``origin``.

    Returns:
        workload_id, pattern, persona_id (``other`` for a pattern without one), since, start_seen (false where
        the slot before ``since`` was not read, so that it may have been played for longer). A workload whose
        last read slot ended more than two slots and :data:`TOLERANCE` before the origin has nulls: nobody
        knows what it plays, and the outlook falls back on its climatology.
    """
    played = conform(activations, ACTIVATION_KEYS, "The activations frame").select(list(ACTIVATION_KEYS))
    personas = conform(patterns, PATTERN_KEYS, "The patterns frame").unique(["workload_id", "pattern"])
    stale = pl.col("end") < origin - STALE_SLOTS * slot - TOLERANCE
    return (
        played.filter(pl.col("start") < origin)
        .sort("workload_id", "start")
        .with_columns(start_seen=(pl.col("end").shift(1).over("workload_id") == pl.col("start")).fill_null(value=False))
        .unique("workload_id", keep="last", maintain_order=True)
        .join(personas.select("workload_id", "pattern", "persona_id"), on=["workload_id", "pattern"], how="left")
        .select(
            "workload_id",
            pattern=pl.when(~stale).then("pattern"),
            persona_id=pl.when(~stale).then(pl.col("persona_id").fill_null(OTHER)),
            since=pl.when(~stale).then("start"),
            start_seen=pl.when(~stale).then("start_seen"),
        )
        .sort("workload_id")
        .select(pl.col(name).cast(dtype) for name, dtype in STATE.items())
    )
