"""Portraits: the records of all personas, drawn from the patterns that each was found in."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Final

import numpy as np
import polars as pl

from persona_platform.frames import need_columns
from persona_platform.personas.duration import duration
from persona_platform.personas.identity import Identity
from persona_platform.personas.naming import Facts, amount, describe, how_long, main_need, name, unique
from persona_platform.personas.record import Member, Persona
from persona_platform.personas.recurrence import HOURS, recurrence
from persona_platform.personas.requirement import requirement, unsaturated
from persona_platform.personas.timeline import slot_end

SLA: Final = {"critical": 0.99, "standard": 0.95, "batch": 0.80}
"""Tiers, the most demanding first, and the quantile of demand that each is met at."""
TIER_SHARE: Final = 0.25
"""Share of the members' weight that a tier needs to speak for a persona."""


@dataclass(frozen=True)
class Material:
    """What portraits are drawn from: slots and episodes with their patterns, and what each episode stands at.

    ``patterns`` has workload_id, pattern, kind, cluster, persona_id; ``events`` the slots in which events
    last.
    """

    slots: pl.DataFrame
    labelled: pl.DataFrame
    stands: pl.DataFrame
    patterns: pl.DataFrame
    workloads: pl.DataFrame
    events: pl.DataFrame
    slot: timedelta


def portraits(material: Material, named: Identity, stability: list[float], version: int) -> tuple[Persona, ...]:
    """One record for each cluster, in the order of the clusters, named apart."""
    keys = material.patterns.select("workload_id", "pattern", "cluster").filter(pl.col("cluster") >= 0)
    on = ["workload_id", "pattern"]
    played = unsaturated(material.slots, material.stands).join(keys, on=on, maintain_order="left")
    slots = played.partition_by("cluster", as_dict=True)
    # What an episode stands at takes the place of its mean need.
    means = need_columns(material.labelled)
    labels = material.workloads.select("workload_id", "storage_class").unique("workload_id")
    episodes = (
        material.labelled.drop(means)
        .join(material.stands, on="episode", maintain_order="left")
        .join(keys, on=on, maintain_order="left")
        .join(labels, on="workload_id", how="left", maintain_order="left")
        .partition_by("cluster", as_dict=True)
    )
    read = material.slots.group_by("workload_id", "hour_of_week").agg(n=pl.len())
    trained = (material.slots["slot"].min(), material.slots.select(slot_end(material.slot))["slot"].max())
    drawn = [_facts(material, episodes[c,], slots[c,], read) for c in range(len(named.ids))]
    names = unique([name(f) for f in drawn], [_details(f) for f in drawn])
    return tuple(
        Persona(
            persona_id=named.ids[c],
            version=named.versions[c],
            kind=facts.kind,
            name=names[c],
            description=describe(facts, episodes[c,]["workload_id"].n_unique()),
            requirement=facts.requirement,
            duration=facts.duration,
            recurrence=facts.recurrence,
            shape="flat",
            variability=0.0,
            main_need=main_need(facts.requirement.mean) if facts.requirement.mean else "",
            relations=[],
            leads=[],
            complements=[],
            priority=tier,
            sla=SLA[tier],
            members=members,
            trained_from=trained[0],  # type: ignore[arg-type]
            trained_until=trained[1],  # type: ignore[arg-type]
            stability=stability[c],
            drift=named.drifts[c],
            born=version - named.versions[c] + 1,
        )
        for c, facts in enumerate(drawn)
        for members in [_members(slots[c,], read)]
        for tier in [_priority(members, material.workloads)]
    )


def _facts(material: Material, episodes: pl.DataFrame, slots: pl.DataFrame, read: pl.DataFrame) -> Facts:
    """The measured parts of one persona."""
    slot_s = material.slot // timedelta(seconds=1)
    kind = episodes["kind"][0]
    # An activation counts once, however long; rest and steadiness are weighed by time.
    weight = pl.lit(1.0) if kind == "active" else pl.col("read").cast(pl.Float64)
    began = episodes.filter(~pl.col("first_of_stretch"))
    members = episodes.select("workload_id").unique()
    hours = read.join(members, on="workload_id")
    exposure = np.bincount(hours["hour_of_week"].to_numpy(), hours["n"].to_numpy(), minlength=HOURS)
    counted = began if began.height else episodes
    events = (
        material.events.join(members, on="workload_id")
        .join(
            began.select("workload_id", slot="start", started=pl.lit(1)),
            on=["workload_id", "slot"],
            how="left",
        )
        .group_by("kind", "hour_of_week")
        .agg(slots=pl.len(), starts=pl.col("started").sum())
    )
    return Facts(
        kind=kind,
        starts=np.bincount(counted["hour_of_week"].to_numpy(), minlength=HOURS).astype(float),
        duty=slots.height / max(float(hours["n"].sum()), 1.0),
        month_begin_share=float(counted["month_begin"].mean()),  # type: ignore[arg-type]
        month_edge_share=float(counted["month_edge"].mean()),  # type: ignore[arg-type]
        requirement=requirement(
            episodes.with_columns(weight=weight, storage_class=pl.col("storage_class").fill_null("")), slots
        ),
        duration=duration(episodes["length"].to_numpy(), episodes["censored"].to_numpy(), slot_s),
        recurrence=recurrence(began, exposure * (slot_s / 3600), events, slot_s / 3600),
    )


def _members(slots: pl.DataFrame, read: pl.DataFrame) -> list[Member]:
    """Members with the share of their read slots in which they play the persona, most first."""
    whole = read.group_by("workload_id").agg(total=pl.col("n").sum())
    share = slots.group_by("workload_id").agg(n=pl.len()).join(whole, on="workload_id")
    ordered = share.with_columns(weight=pl.col("n") / pl.col("total")).sort(
        "weight", "workload_id", descending=[True, False]
    )
    return [Member(w, float(weight)) for w, weight in ordered.select("workload_id", "weight").iter_rows()]


def _priority(members: list[Member], workloads: pl.DataFrame) -> str:
    """The most demanding tier that a quarter of the members' weight asks for, unknown ones being standard."""
    tiers = dict(workloads.select("workload_id", "tier").iter_rows())
    weight = dict.fromkeys(SLA, 0.0)
    for member in members:
        tier = tiers.get(member.workload_id)
        weight[tier if tier in SLA else "standard"] += member.weight
    total = sum(weight.values())
    return next((t for t, w in weight.items() if w >= TIER_SHARE * total), "standard")


def _details(facts: Facts) -> list[str]:
    """Facts that tell personas of one name apart, the plainest first."""
    share = facts.starts.reshape(7, 24).sum(axis=0)
    sizes = facts.requirement.sizes
    memory = sizes[0].amounts.get("mem_bytes", 0.0) if sizes else 0.0
    beside = amount("mem_bytes", memory) if memory else ""
    if facts.kind == "active":
        gaps = facts.recurrence.inter_arrival_s
        return [
            f"from {int(share.argmax()):02d}:00",
            beside,
            f"every {how_long(gaps[1])}" if gaps else "rare",
        ]
    main = next(iter(facts.requirement.mean.items()), None)
    return [beside, f"mean {main[1]:.3g}" if main else ""]
