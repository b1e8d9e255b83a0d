"""Newcomers: workloads that are too young to have levels and patterns of their own.

From labels and the first hours read to a distribution over the fleet's personas, to what was played so far, and to
what will be needed. How: label_prior.py (labels to peers), posterior.py (history to peers, levels),
demand.py (peers to demand). Newcomers are met one after the other, each against all peers at once: some
10 ms for a day of history and 60 peers.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import numpy as np
import polars as pl

from persona_platform.frames import ACTIVATION_KEYS, MEMBERSHIP, NEED_KEYS, TS, Schema, empty
from persona_platform.personas.newcomers.demand import coming_chances, main_need_quantiles, own_sizes, size_quantiles
from persona_platform.personas.newcomers.label_prior import label_prior
from persona_platform.personas.newcomers.labels import LABELS, with_prefix
from persona_platform.personas.newcomers.peer_tables import PeerTables
from persona_platform.personas.newcomers.peers import YOUNG
from persona_platform.personas.newcomers.places import marked_line
from persona_platform.personas.newcomers.posterior import Moments, posterior
from persona_platform.personas.newcomers.roles import (
    ROLES,
    SIZES,
    Met,
    likely_roles,
    played_activations,
    played_membership,
    role_sizes,
)

QUANTILES: Final[Schema] = {
    "workload_id": pl.String,
    "slot": TS,
    "need": pl.String,
    "quantile": pl.Float64,
    "value": pl.Float64,
}


@dataclass(frozen=True)
class Newcomers:
    """``roles`` (ROLES), ``sizes`` (SIZES), and what they played so far: ``membership``, ``activations``."""

    roles: pl.DataFrame
    sizes: pl.DataFrame
    membership: pl.DataFrame
    activations: pl.DataFrame

    @classmethod
    def none(cls) -> "Newcomers":
        """Nobody is new."""
        return cls(empty(ROLES), empty(SIZES), empty(MEMBERSHIP), empty(ACTIVATION_KEYS))

    def known_as(self, patterns: pl.DataFrame) -> pl.DataFrame:
        """The catalog's patterns with those of the newcomers in the place of any that they had there."""
        keys = ["workload_id", "pattern", "kind", "persona_id", "probability"]
        own = (
            self.roles.group_by("workload_id", "pattern", "kind", "persona_id")
            .agg(probability=pl.col("weight").sum())
            .sort("workload_id", "pattern")
        )
        old = patterns.join(self.roles, on="workload_id", how="anti")
        return pl.concat([old.select(keys), own.select(pl.col(key).cast(old.schema[key]) for key in keys)])


def grown_and_young(needs: pl.DataFrame, slot: timedelta) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The needs of workloads read for at least :data:`YOUNG`, and of the others."""
    read = needs.group_by("workload_id").agg(slots=pl.col("slot").n_unique())
    young = read.filter(pl.col("slots") * slot < YOUNG)
    if young.is_empty():
        return needs, needs.clear()
    grown = needs.join(young, on="workload_id", how="anti", maintain_order="left")
    return grown, needs.join(young, on="workload_id", how="semi", maintain_order="left")


def strangers(needs: pl.DataFrame, patterns: pl.DataFrame) -> list[str]:
    """The workloads that were read but have no patterns in the catalog."""
    return sorted(set(needs["workload_id"].unique()) - set(patterns["workload_id"].unique()))


def newcomer_quantiles(
    tables: PeerTables,
    workloads: pl.DataFrame,
    needs: pl.DataFrame,
    calendar: pl.DataFrame,
    *,
    slot: timedelta,
    origin: datetime,
    slots: int,
    quantiles: Sequence[float],
) -> pl.DataFrame:
    """QUANTILES of every need that the peers have, for every workload of ``workloads``.

    Args:
        tables: the peers.
        workloads: WORKLOADS: the newcomers with their labels.
        needs: a needs frame with what was read of them; what is not before ``origin`` is not looked at, and a
            workload without rows is judged by its labels.
        calendar: CALENDAR over the history and the horizon.
        slot: the planning interval.
        origin: the first slot that is predicted.
        slots: how many are predicted.
        quantiles: levels within (0, 1).
    """
    levels = np.asarray(quantiles, dtype=float)
    parts = [empty(QUANTILES)]
    for met in _meet(tables, workloads, needs, calendar, slot=slot, origin=origin, slots=slots):
        main = main_need_quantiles(tables, met.posterior, met.coming, levels)
        chance = coming_chances(tables, met.posterior, met.coming)
        sizes = own_sizes(tables, met.posterior, met.needs)
        rest = [
            size_quantiles(chance, met.posterior.weight, sizes[:, :, row], levels)
            for row in range(1, len(tables.needs))
        ]
        values = np.stack([main, *rest])  # (needs, slots, levels)
        shape = values.shape
        times = pl.select(pl.lit(origin, TS) + pl.int_range(slots, dtype=pl.Int64) * slot).to_series()
        parts.append(
            pl.DataFrame(
                {
                    "workload_id": pl.repeat(met.workload_id, values.size, eager=True),
                    "slot": times.gather(np.tile(np.repeat(np.arange(slots), shape[2]), shape[0])),
                    "need": pl.Series(tables.needs).gather(np.repeat(np.arange(shape[0]), shape[1] * shape[2])),
                    "quantile": np.tile(levels, shape[0] * shape[1]),
                    "value": values.reshape(-1),
                },
                schema=QUANTILES,
            )
        )
    return pl.concat(parts)


def meet_newcomers(
    tables: PeerTables | None,
    patterns: pl.DataFrame,
    workloads: pl.DataFrame,
    needs: pl.DataFrame,
    calendar: pl.DataFrame,
    *,
    slot: timedelta,
) -> Newcomers:
    """The workloads that were read but are not in the catalog, as the personas that they may play.

    Args:
        tables: the catalog's peers; without any, nobody is taken for a newcomer.
        patterns: the catalog's patterns.
        workloads: WORKLOADS; a workload that it lacks has no labels.
        needs: a needs frame: all that was read of late, of everyone.
        calendar: CALENDAR over it.
        slot: the planning interval.
    """
    young = strangers(needs, patterns)
    if tables is None or not young:
        return Newcomers.none()
    people = pl.DataFrame({"workload_id": young}, schema={"workload_id": pl.String}).join(
        workloads.unique("workload_id", keep="first"), on="workload_id", how="left", maintain_order="left"
    )
    filled = people.with_columns(
        pl.col("timezone").fill_null("UTC"), pl.exclude("workload_id", "timezone").fill_null("")
    )
    own = needs.join(people.select("workload_id"), on="workload_id", how="semi")
    roles, sizes, membership = [empty(ROLES)], [empty(SIZES)], [empty(MEMBERSHIP)]
    for met in _meet(tables, filled, own, calendar, slot=slot):
        cast = likely_roles(tables, met)
        roles.append(cast.frame(met.workload_id))
        sizes.append(role_sizes(tables, met, cast))
        membership.append(played_membership(tables, met, cast, slot))
    played = pl.concat(membership)
    everyone = pl.concat(roles)
    return Newcomers(everyone, pl.concat(sizes), played, played_activations(played, everyone, own, slot))


def _meet(
    tables: PeerTables,
    workloads: pl.DataFrame,
    needs: pl.DataFrame,
    calendar: pl.DataFrame,
    *,
    slot: timedelta,
    origin: datetime | None = None,
    slots: int = 0,
) -> Iterator[Met]:
    """Every workload with its posterior, and its ``slots`` slots from ``origin`` on."""
    ids = workloads.select(pl.col("workload_id").unique().sort())
    labels = ids.join(with_prefix(workloads), on="workload_id", how="left", maintain_order="left")
    prior = label_prior(tables, labels.select(LABELS).to_numpy().astype(str))
    past = needs if origin is None else needs.filter(pl.col("slot") < origin)
    line = _line(tables, ids, past, workloads, calendar, slot, origin, slots)
    blocks = {name[0]: block for name, block in line.group_by("workload_id", maintain_order=True)}
    for row, name in enumerate(ids["workload_id"]):
        block = blocks.get(name)
        if block is None:
            continue
        moments = Moments(*(block[column].to_numpy() for column in ("tick", "place", "hour48", "mark", "height")))
        coming = block["coming"].to_numpy()
        found = posterior(tables, prior[row], moments.take(~coming))
        at = np.searchsorted(moments.tick[~coming], found.read.tick)
        seen = block.filter(~pl.col("coming")).select(tables.needs).to_numpy()[at]
        yield Met(str(name), found, moments.take(coming), np.nan_to_num(seen.astype(float)))


def _line(
    tables: PeerTables,
    ids: pl.DataFrame,
    past: pl.DataFrame,
    workloads: pl.DataFrame,
    calendar: pl.DataFrame,
    slot: timedelta,
    origin: datetime | None,
    slots: int,
) -> pl.DataFrame:
    """Slots read and coming of the newcomers, with places, marks, heights and the needs of the tables."""
    columns = {**NEED_KEYS, **dict.fromkeys(tables.needs, pl.Float64)}
    known = past.select(pl.col(n) if n in past.columns else pl.lit(None, t).alias(n) for n, t in columns.items())
    ahead = known.clear()
    if origin is not None and slots:
        times = pl.select(slot=pl.lit(origin, TS) + pl.int_range(slots, dtype=pl.Int64) * slot)
        ahead = ids.join(times, how="cross").with_columns(
            saturated=pl.lit(value=False), **{need: pl.lit(None, pl.Float64) for need in tables.needs}
        )
    both = pl.concat([known, ahead.select(known.columns)])
    number = {name: i for i, name in enumerate(tables.marks)}
    return marked_line(both, workloads, calendar, slot).with_columns(
        coming=pl.lit(value=False) if origin is None else pl.col("slot") >= origin,
        # A mark that no peer has seen yet changes nothing.
        mark=pl.col("mark").replace_strict(number, default=0, return_dtype=pl.Int64),
        height=pl.col(tables.needs[0]).clip(lower_bound=tables.floor).log().fill_null(np.nan),
    )
