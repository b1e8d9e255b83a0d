"""Assignment: any stretch of needs played against a catalog's frozen levels and patterns."""

from dataclasses import dataclass

import polars as pl

from persona_platform.frames import ACTIVATION_KEYS, MEMBERSHIP, OTHER, need_columns
from persona_platform.personas.catalog import Catalog
from persona_platform.personas.cutting import cut, episodes
from persona_platform.personas.settling import settled
from persona_platform.personas.shapes import SHAPES
from persona_platform.personas.timeline import timeline


@dataclass(frozen=True)
class Played:
    """``activations``: ACTIVATION_KEYS and mean needs. ``membership``: MEMBERSHIP."""

    activations: pl.DataFrame
    membership: pl.DataFrame


def play(needs: pl.DataFrame, workloads: pl.DataFrame, calendar: pl.DataFrame, catalog: Catalog) -> Played:
    """What each workload played at each slot read, as the catalog's personas.

    A workload that the catalog does not know plays pattern 0, steady, of the persona OTHER until the next
    refit. The newest activation is judged by its start, height and age so far, and may turn out otherwise
    later.
    """
    line = timeline(needs, workloads, calendar, catalog.slot)
    slots = cut(line, catalog.levels)
    found = episodes(slots, need_columns(needs), catalog.slot)
    shapes = catalog.patterns.filter(pl.col("kind") == "active").select(
        "workload_id", pl.col("pattern").cast(pl.Int64), *SHAPES
    )
    slots, labelled = settled(slots, found, shapes, need_columns(needs), catalog.slot)
    personas = catalog.patterns.select("workload_id", pl.col("pattern").cast(pl.Int64), "persona_id", "probability")
    membership = (
        slots.select("workload_id", "slot", "pattern")
        .join(personas, on=["workload_id", "pattern"], how="left", maintain_order="left")
        .with_columns(pl.col("persona_id").fill_null(OTHER), pl.col("probability").fill_null(1.0))
    )
    return Played(
        activations_frame(labelled, need_columns(needs)),
        membership.select(pl.col(c).cast(t) for c, t in MEMBERSHIP.items()),
    )


def activations_frame(labelled: pl.DataFrame, needs: list[str]) -> pl.DataFrame:
    """Labelled episodes as an activations frame, sorted by workload and start."""
    keys = [pl.col(c).cast(t) for c, t in ACTIVATION_KEYS.items()]
    return labelled.select(*keys, *needs).sort("workload_id", "start")
