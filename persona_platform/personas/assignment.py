"""Assignment: any stretch of needs played against a catalog's frozen levels and patterns."""

from dataclasses import dataclass

import polars as pl

from persona_platform.frames import ACTIVATION_KEYS, MEMBERSHIP, OTHER, need_columns
from persona_platform.personas.catalog import Catalog
from persona_platform.personas.cutting import cut, episodes
from persona_platform.personas.newcomers.meeting import Newcomers, meet_newcomers, strangers
from persona_platform.personas.settling import settled
from persona_platform.personas.shapes import SHAPES
from persona_platform.personas.timeline import timeline


@dataclass(frozen=True)
class Played:
    """``activations``: ACTIVATION_KEYS and mean needs. ``membership``: MEMBERSHIP. Both cover the newcomers too."""

    activations: pl.DataFrame
    membership: pl.DataFrame
    newcomers: Newcomers | None = None  # None: not known here


def play(needs: pl.DataFrame, workloads: pl.DataFrame, calendar: pl.DataFrame, catalog: Catalog) -> Played:
    """What each workload played at each slot read, as the catalog's personas.

    A workload that the catalog does not know, or hardly knows, is a newcomer: it plays what its labels and
    history make likely of the personas of its peers (newcomers/); where the catalog has no peers, pattern 0,
    steady, of the persona OTHER. The newest activation is judged by its start, height and age so far, and may
    turn out otherwise later.
    """
    new = meet(needs, workloads, calendar, catalog)
    old = needs.join(new.roles, on="workload_id", how="anti") if new.roles.height else needs
    line = timeline(old, workloads, calendar, catalog.slot)
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
    kept = membership.select(pl.col(c).cast(t) for c, t in MEMBERSHIP.items())
    activations = activations_frame(labelled, need_columns(needs))
    if new.roles.is_empty():
        return Played(activations, kept, new)
    return Played(
        pl.concat([activations, new.activations]).sort("workload_id", "start"),
        pl.concat([kept, new.membership]).sort("workload_id", "slot"),
        new,
    )


def meet(needs: pl.DataFrame, workloads: pl.DataFrame, calendar: pl.DataFrame, catalog: Catalog) -> Newcomers:
    """The newcomers among the workloads read, as :func:`play` sees them."""
    # The tables of a catalog just read take a while to lay out: only where somebody is new.
    tables = catalog.peer_tables if strangers(needs, catalog.patterns) else None
    return meet_newcomers(tables, catalog.patterns, workloads, needs, calendar, slot=catalog.slot)


def activations_frame(labelled: pl.DataFrame, needs: list[str]) -> pl.DataFrame:
    """Labelled episodes as an activations frame, sorted by workload and start."""
    keys = [pl.col(c).cast(t) for c, t in ACTIVATION_KEYS.items()]
    return labelled.select(*keys, *needs).sort("workload_id", "start")
