"""Roles: the sets of personas that a newcomer may turn out to play, what it played by them so far, and at what sizes.

A persona has one pattern number in all roles of a workload: 0 is its likeliest rest (or steadiness).
"""

from datetime import timedelta
from typing import Final, NamedTuple

import numpy as np
import polars as pl

from persona_platform.frames import ACTIVATION_KEYS, MEMBERSHIP, Schema, need_columns
from persona_platform.personas.newcomers.demand import own_sizes, size_quantiles
from persona_platform.personas.newcomers.peer_sums import GRADES
from persona_platform.personas.newcomers.peer_tables import PeerTables
from persona_platform.personas.newcomers.posterior import Moments, Posterior
from persona_platform.personas.timeline import BRIDGED_SLOTS, microseconds, slot_end

MOST_ROLES: Final = 4
LEAST_ROLE: Final = 0.03
"""Sets of personas that are less likely are not followed."""

ROLES: Final[Schema] = {
    "workload_id": pl.String,
    "role": pl.Int64,  # 0 the likeliest
    "weight": pl.Float64,  # probability of the role, sums to 1 over a workload's roles
    "pattern": pl.UInt16,  # one number for a persona in all roles of the workload
    "kind": pl.String,
    "persona_id": pl.String,
}
"""A role is a set of personas that the newcomer may turn out to play."""
SIZES: Final[Schema] = {
    "workload_id": pl.String,
    "pattern": pl.UInt16,
    "need": pl.String,
    "sizes": pl.List(pl.Float64),  # GRADES evenly spaced quantiles, rising
}


class Met(NamedTuple):
    """A newcomer, and what was made of it."""

    workload_id: str
    posterior: Posterior
    coming: Moments
    needs: np.ndarray  # (slots read, needs of the tables), of the posterior's slots


class Roles(NamedTuple):
    """The likeliest sets of personas of one newcomer; ``persona`` in the order of the patterns' numbers."""

    members: list[np.ndarray]  # of each role, its personas
    weight: np.ndarray
    persona: np.ndarray
    named: list[tuple[str, str]]  # persona_id and kind, of each of ``persona``

    def frame(self, workload_id: str) -> pl.DataFrame:
        """ROLES rows."""
        number = {int(persona): pattern for pattern, persona in enumerate(self.persona)}
        rows = [
            (workload_id, role, float(self.weight[role]), number[int(one)], kind, persona_id)
            for role, members in enumerate(self.members)
            for one in members
            for persona_id, kind in [self.named[number[int(one)]]]
        ]
        return pl.DataFrame(rows, schema=ROLES, orient="row")


def likely_roles(tables: PeerTables, met: Met) -> Roles:
    """The roles of a newcomer: the kin of its likely peers."""
    found, kin = met.posterior, tables.kin[met.posterior.peer]
    kins, first = np.unique(kin, return_index=True)
    weight = np.bincount(np.searchsorted(kins, kin), found.weight)
    order = np.argsort(-weight, kind="stable")[:MOST_ROLES]
    order = order[weight[order] >= min(LEAST_ROLE, weight[order[0]])]
    sets = [tables.part[found.peer[first[one]]] for one in order]
    members = [np.unique(one[one >= 0]) for one in sets]
    share = np.zeros(len(tables.personas))
    part = tables.part[found.peer]
    np.add.at(share, part[part >= 0], (found.weight[:, None] * tables.rate[found.peer].mean(axis=2))[part >= 0])
    idle = tables.idle()
    listed = np.unique(np.concatenate(members))
    ranked = sorted(listed.tolist(), key=lambda one: (not idle[one], -share[one]))
    # Number 0 is the likeliest rest; then what is active, then other ways to rest.
    rests = [one for one in ranked if idle[one]]
    persona = np.array([*rests[:1], *(one for one in ranked if not idle[one]), *rests[1:]], dtype=np.int64)
    named = [(tables.personas[one].persona_id, tables.personas[one].kind) for one in persona]
    return Roles(members, weight[order] / weight[order].sum(), persona, named)


def played_membership(tables: PeerTables, met: Met, roles: Roles, slot: timedelta) -> pl.DataFrame:
    """The likeliest persona of every slot read."""
    found = met.posterior
    mass = np.zeros((len(roles.persona), len(found.read.tick)))
    for number, persona in enumerate(roles.persona):
        mine = tables.part[found.peer] == persona
        mass[number] = np.einsum("n,nk,nkt->t", found.weight, mine, found.share)
    best = mass.argmax(axis=0)
    chance = mass[best, np.arange(mass.shape[1])]
    step = microseconds(slot)
    frame = pl.DataFrame(
        {
            "workload_id": pl.repeat(met.workload_id, len(best), eager=True),
            "slot": pl.Series(found.read.tick * step, dtype=pl.Int64)
            .cast(pl.Datetime("us"))
            .dt.replace_time_zone("UTC"),
            "pattern": best,
            "persona_id": pl.Series([name for name, _ in roles.named], dtype=pl.String).gather(best),
            "probability": chance,
        }
    )
    return frame.select(pl.col(name).cast(dtype) for name, dtype in MEMBERSHIP.items())


def role_sizes(tables: PeerTables, met: Met, roles: Roles) -> pl.DataFrame:
    """What the newcomer needs in each persona of its roles, over its likely peers."""
    found = met.posterior
    sizes = own_sizes(tables, found, met.needs)
    part, levels = tables.part[found.peer], (np.arange(GRADES) + 0.5) / GRADES
    rows = []
    for number, persona in enumerate(roles.persona):
        chance = (part == persona)[:, :, None].astype(float)
        for column, need in enumerate(tables.needs):
            values = size_quantiles(chance, found.weight, sizes[:, :, column], levels)[0]
            rows.append((met.workload_id, number, need, values.tolist()))
    return pl.DataFrame(rows, schema=SIZES, orient="row")


def played_activations(
    membership: pl.DataFrame, roles: pl.DataFrame, needs: pl.DataFrame, slot: timedelta
) -> pl.DataFrame:
    """Runs of one pattern, with mean needs."""
    columns = need_columns(needs)
    kinds = roles.select("workload_id", "pattern", "kind").unique(["workload_id", "pattern"])
    step = pl.col("slot").diff().over("workload_id")
    gap = (step > (BRIDGED_SLOTS + 1) * slot).fill_null(value=False)
    runs = (
        membership.sort("workload_id", "slot")
        .with_columns(stretch=gap.cum_sum().over("workload_id"))
        .join(needs.unique(["workload_id", "slot"]), on=["workload_id", "slot"], how="left", maintain_order="left")
        .with_columns(run=pl.struct("workload_id", "stretch", "pattern").rle_id())
        .group_by("run", maintain_order=True)
        .agg(
            pl.col("workload_id", "pattern", "stretch").first(),
            start=pl.col("slot").first(),
            end=pl.col("slot").last(),
            **{need: pl.col(need).mean() for need in columns},
        )
    )
    edge = ["workload_id", "stretch"]
    return (
        runs.with_columns(
            end=slot_end(slot, "end"),
            censored=(pl.col("run") == pl.col("run").min().over(edge))
            | (pl.col("run") == pl.col("run").max().over(edge)),
        )
        .join(kinds, on=["workload_id", "pattern"], how="left", maintain_order="left")
        .select(*(pl.col(name).cast(dtype) for name, dtype in ACTIVATION_KEYS.items()), *columns)
    )
