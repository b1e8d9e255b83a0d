"""Learning: from needs to a catalog of personas and the activations that it was learned from."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta

import numpy as np
import polars as pl

from persona_platform.errors import InputError
from persona_platform.frames import OTHER, TS, need_columns
from persona_platform.personas.assignment import activations_frame, meet
from persona_platform.personas.catalog import PATTERNS, Catalog
from persona_platform.personas.clustering import SELECTION, cluster
from persona_platform.personas.cutting import cut_leveled, episodes, learn_short_runs, with_levels
from persona_platform.personas.features import active_features, event_affinity, idle_features, occupancy, pattern_facts
from persona_platform.personas.identity import identities
from persona_platform.personas.levels import learn_levels
from persona_platform.personas.lineage import refit_row, remembered
from persona_platform.personas.newcomers.meeting import grown_and_young
from persona_platform.personas.newcomers.peer_sums import PeerSums, gather_sums
from persona_platform.personas.newcomers.peers import gather_peers
from persona_platform.personas.patterns import first_patterns
from persona_platform.personas.portrait.drawing import portraits
from persona_platform.personas.portrait.evidence import Evidence, gather_evidence, pattern_stands
from persona_platform.personas.settling import settled
from persona_platform.personas.shapes import fit_patterns, pattern_shapes
from persona_platform.personas.share import Share
from persona_platform.personas.timeline import event_slots, timeline

ROUNDS = 5
"""Times that episodes move between patterns at most; most workloads settle after one."""
KINDS = ("active", "steady", "resting")


@dataclass(frozen=True)
class Learned:
    """The new catalog, and the activations (ACTIVATION_KEYS and mean needs) that cover every slot read."""

    catalog: Catalog
    activations: pl.DataFrame


def learn(
    needs: pl.DataFrame | Iterable[Share],
    workloads: pl.DataFrame,
    calendar: pl.DataFrame,
    *,
    slot: timedelta,
    previous: Catalog | None,
    seed: int,
) -> Learned:
    """Personas of all needs given: a training window that the caller has cut.

    ``needs`` is one needs frame, or shares of the fleet, no workload in two: slots of one share at a time are held.
    The same data and seed give the same catalog. ``play`` with the catalog on the same needs gives the same
    activations. With ``previous``, personas found again keep their ids. Workloads that are too young to have
    patterns stay out of the catalog and are newcomers to it, unless all are.
    """
    parts: list[_Seen] = []
    young: list[Share] = []
    for share in [Share(needs)] if isinstance(needs, pl.DataFrame) else needs:
        grown, new = grown_and_young(share.needs, slot)
        if grown.height:
            parts.append(_seen(Share(grown, share.activity), workloads, calendar, slot))
        if new.height or grown.is_empty():
            young.append(Share(new, share.activity))
    met = [share.needs for share in young] if parts else []
    seen = _together(parts or [_seen(share, workloads, calendar, slot) for share in young])
    patterns, selection, stability = _clustered(seen.facts, seen.grid, slot, seed)
    version = previous.version + 1 if previous else 1
    old = previous.patterns if previous and previous.patterns.height else None
    versions = {p.persona_id: p.version for p in previous.personas} if previous else {}
    named = identities(
        patterns.filter(pl.col("cluster") >= 0),
        None if old is None else _shares(old.filter(pl.col("persona_id") != OTHER)),
        versions,
        previous.last_id if previous else 0,
        version,
    )
    patterns = patterns.with_columns(
        persona_id=pl.col("cluster").replace_strict(dict(enumerate(named.ids)), default=OTHER, return_dtype=pl.String)
    ).join(seen.shapes, on=["workload_id", "pattern"], how="left", maintain_order="left")
    drawn = portraits(seen.evidence, patterns, workloads, named, stability, version)
    until = seen.evidence.workloads["until"].max()
    lineage = named.lineage.with_columns(trained_until=pl.lit(until, TS))
    refit = refit_row(lineage, patterns, old, stability, version=version, trained_until=until)  # type: ignore[arg-type]
    catalog = Catalog(
        version=version,
        slot=slot,
        personas=drawn.personas,
        patterns=patterns.select(pl.col(c).cast(t) for c, t in PATTERNS.items()),
        levels=seen.levels,
        selection=selection,
        last_id=named.last_id,
        lineage=remembered(pl.concat([previous.lineage, lineage]) if previous else lineage),
        refits=remembered(pl.concat([previous.refits, refit]) if previous else refit),
        members=drawn.members,
        peers=gather_peers(seen.peers, patterns, workloads, slot),
    )
    played = [meet(new, workloads, calendar, catalog).activations for new in met]
    activations = activations_frame(seen.labelled, need_columns(seen.labelled))
    return Learned(
        catalog,
        pl.concat([activations, *played], how="diagonal").sort("workload_id", "start") if played else activations,
    )


@dataclass(frozen=True)
class _Seen:
    """What is kept of some workloads once their slots are gone."""

    levels: pl.DataFrame
    shapes: pl.DataFrame
    labelled: pl.DataFrame
    facts: pl.DataFrame  # of patterns, with the mean of what their episodes stand at
    grid: np.ndarray  # their occupancy
    evidence: Evidence
    peers: PeerSums


def _seen(share: Share, workloads: pl.DataFrame, calendar: pl.DataFrame, slot: timedelta) -> _Seen:
    needs = share.needs
    line = timeline(needs, workloads, calendar, slot)
    levels, slots = _levelled(line, slot)
    found = episodes(slots, need_columns(needs), slot)
    shapes = _settled_shapes(found)
    slots, labelled = settled(slots, found, shapes, need_columns(needs), slot)
    events = event_slots(line, workloads, calendar)
    evidence = gather_evidence(slots, labelled, events, share.activity, slot)
    keys = ["workload_id", "pattern"]
    facts = (
        pattern_facts(labelled, slots)
        .join(event_affinity(slots, events), on=keys, how="left", maintain_order="left")
        .with_columns(pl.col("event").fill_null(0.0))
        .join(pattern_stands(evidence), on=keys, how="left", maintain_order="left")
    )
    peers = gather_sums(slots, events, slot)
    return _Seen(levels, shapes, labelled, facts, occupancy(slots, facts), evidence, peers)


def _together(parts: list[_Seen]) -> _Seen:
    """What was seen of all workloads; facts in order of workload, however they were parted."""
    if not parts:
        raise InputError("There are no needs to learn personas from; ingest samples first.")
    if len(parts) == 1:
        return parts[0]
    facts = pl.concat([p.facts for p in parts], how="diagonal").with_row_index("place").sort("workload_id", "pattern")
    return _Seen(
        pl.concat([p.levels for p in parts]),
        pl.concat([p.shapes for p in parts]),
        pl.concat([p.labelled for p in parts], how="diagonal"),
        facts.drop("place"),
        np.concatenate([p.grid for p in parts])[facts["place"].to_numpy()],
        Evidence.joined([p.evidence for p in parts]),
        PeerSums.joined([p.peers for p in parts]),
    )


def _levelled(line: pl.DataFrame, slot: timedelta) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The levels of a timeline, and it cut by them.

    A workload that by its levels never rests, or never does anything else, has one level only.
    """
    found = learn_levels(line)
    leveled = with_levels(line, found)
    levels = learn_short_runs(leveled, found, slot)
    slots = cut_leveled(leveled, levels)
    rests = slots.group_by("workload_id").agg(flat=pl.col("active").all() | ~pl.col("active").any())
    flat = pl.col("workload_id").is_in(rests.filter("flat")["workload_id"].implode())
    one = pl.lit([], dtype=pl.List(pl.Float64))
    levels = levels.with_columns(
        pl.when(flat).then(one).otherwise(c).alias(c) for c in ("thresholds", "bands", "centres")
    )
    low = {"level": pl.lit(0, pl.UInt8), "leveled": pl.lit(value=False)}
    leveled = leveled.with_columns(pl.when(flat).then(low[c]).otherwise(c).alias(c) for c in low)
    return levels, cut_leveled(leveled, levels)


def _settled_shapes(found: pl.DataFrame) -> pl.DataFrame:
    """Shapes of the patterns, numbered from 1, after episodes moved to the one that fits them best."""
    labels = first_patterns(found)
    shapes = pattern_shapes(found.join(labels, on="episode", maintain_order="left"))
    for _ in range(ROUNDS):
        fitted = fit_patterns(found, shapes)
        if fitted.equals(labels):
            break
        labels = fitted
        shapes = pattern_shapes(found.join(labels, on="episode", maintain_order="left"))
    labels = fit_patterns(found, shapes)
    # Whatever the last round left empty goes, since play would otherwise still offer it.
    used = found.join(labels, on="episode", maintain_order="left").with_columns(
        dense=pl.col("pattern").rank("dense").over("workload_id", "kind").cast(pl.Int64)
    )
    numbers = used.filter(pl.col("kind") == "active").select("workload_id", "pattern", "dense").unique()
    kept = shapes.join(numbers, on=["workload_id", "pattern"], maintain_order="left")
    return kept.with_columns(pattern="dense").drop("dense")


def _clustered(
    facts: pl.DataFrame, grid: np.ndarray, slot: timedelta, seed: int
) -> tuple[pl.DataFrame, pl.DataFrame, list[float]]:
    """Patterns with ``cluster`` (over all kinds, -1: none), the K curves, and each cluster's stability."""
    stability: list[float] = []
    parts, curves = [], [pl.DataFrame(schema=SELECTION)]
    for kind in KINDS:
        rows = (facts["kind"] == kind).to_numpy()
        part = facts.filter(pl.Series(rows))
        if kind == "active":
            features = active_features(part, grid[rows], slot / timedelta(hours=1))
        else:
            features = idle_features(part)
        result = cluster(features, kind, grid[rows], seed)
        labels = np.where(result.labels >= 0, result.labels + len(stability), -1)
        parts.append(
            part.with_columns(
                cluster=pl.Series(labels, dtype=pl.Int64),
                probability=pl.Series(result.probability, dtype=pl.Float64),
                features=pl.Series(features.tolist(), dtype=pl.List(pl.Float64)),
            )
        )
        stability += result.stability.tolist()
        curves.append(result.selection)
    patterns = pl.concat(parts).sort("workload_id", "pattern")
    return patterns, pl.concat(curves), stability


def _shares(patterns: pl.DataFrame) -> pl.DataFrame:
    """Patterns with the share of their workload's slots in which each is played."""
    return patterns.with_columns(share=pl.col("slots") / pl.col("slots").sum().over("workload_id"))
