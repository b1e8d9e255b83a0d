"""Settling: pieces of runs get the pattern that fits them, and adjoining pieces of one pattern are one activation."""

from datetime import timedelta

import polars as pl

from persona_platform.personas.cutting import episodes
from persona_platform.personas.shapes import fit_patterns


def settled(
    slots: pl.DataFrame, found: pl.DataFrame, shapes: pl.DataFrame, needs: list[str], slot: timedelta
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Slots and their episodes with ``pattern``, from cut slots and their pieces."""
    fitted = fit_patterns(found, shapes)
    placed = (
        slots.join(fitted, on="episode", how="left", maintain_order="left")
        .with_columns(pl.col("pattern").fill_null(0))
        .with_columns(episode=pl.struct("workload_id", "stretch", "active", "pattern").rle_id())
    )
    patterns = placed.group_by("episode", maintain_order=True).agg(pl.col("pattern").first())
    return placed, episodes(placed, needs, slot).join(patterns, on="episode", how="left", maintain_order="left")
