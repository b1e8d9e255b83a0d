"""Who can play what: the patterns of every workload in one table, the resting pattern first.

Row numbers of this table are the *states* of the process; everything that is learned is an array over them.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import polars as pl

from persona_platform.frames import ACTIVATION_KEYS, OTHER, conform

RESTING = "resting"
PATTERN_KEYS = {
    "workload_id": pl.String,
    "pattern": pl.UInt16,
    "kind": pl.String,
    "persona_id": pl.String,
    "probability": pl.Float64,
}


@dataclass(frozen=True)
class Roster:
    """``rows``: workload_id, pattern, kind, persona_id, probability; sorted by workload, resting first."""

    rows: pl.DataFrame

    @cached_property
    def workload_ids(self) -> list[str]:
        """Workloads in the order of the rows."""
        return self.rows["workload_id"].unique(maintain_order=True).to_list()

    @cached_property
    def workload(self) -> np.ndarray:
        """Index into ``workload_ids`` of each state, int64."""
        return self.rows["workload_id"].rle_id().to_numpy().astype(np.int64)

    @cached_property
    def bounds(self) -> np.ndarray:
        """States ``bounds[w]`` to ``bounds[w + 1] - 1`` are those of workload w."""
        return np.searchsorted(self.workload, np.arange(len(self.workload_ids) + 1))

    @cached_property
    def resting(self) -> np.ndarray:
        """Whether a state is its workload's resting pattern."""
        return (self.rows["kind"] == RESTING).to_numpy()

    @cached_property
    def persona_ids(self) -> tuple[str, ...]:
        """Personas in order; ``other`` is always among them, since every prior falls back on it."""
        return tuple(sorted({*self.rows["persona_id"].to_list(), OTHER}))

    @cached_property
    def persona(self) -> np.ndarray:
        """Index into ``persona_ids`` of each state."""
        return persona_index(self.rows["persona_id"], self.persona_ids)


def persona_index(personas: pl.Series, persona_ids: tuple[str, ...]) -> np.ndarray:
    """Indices of persona ids; unknown ones are ``other``."""
    lookup = {name: i for i, name in enumerate(persona_ids)}
    other = lookup[OTHER]
    codes = personas.replace_strict(lookup, default=other, return_dtype=pl.Int64)
    return codes.fill_null(other).to_numpy()


def roster(activations: pl.DataFrame, patterns: pl.DataFrame) -> Roster:
    """The roster of a catalog's patterns, and of patterns that only the activations know (persona ``other``).

    A workload has one resting pattern; should there be more, the first counts and the others are active.
    """
    known = conform(patterns, PATTERN_KEYS, "The patterns frame").unique(["workload_id", "pattern"], keep="first")
    played = conform(activations, ACTIVATION_KEYS, "The activations frame")
    unlisted = (
        played.group_by("workload_id", "pattern")
        .agg(pl.col("kind").first())
        .join(known, on=["workload_id", "pattern"], how="anti")
        .with_columns(persona_id=pl.lit(OTHER), probability=pl.lit(1.0))
    )
    rows = (
        pl.concat([known, unlisted.select(list(PATTERN_KEYS))])
        .with_columns(
            pl.col("persona_id").fill_null(OTHER),
            pl.col("probability").fill_null(1.0).fill_nan(1.0).clip(0.0, 1.0),
        )
        .with_columns(rests=pl.col("kind") == RESTING)
        .sort("workload_id", ~pl.col("rests"), "pattern")
        .with_columns(extra=pl.col("rests") & (pl.col("rests").cum_sum().over("workload_id") > 1))
        .with_columns(kind=pl.when("extra").then(pl.lit("active")).otherwise("kind"))
    )
    return Roster(rows.select(list(PATTERN_KEYS)))
