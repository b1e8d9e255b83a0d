"""Portraits: the records of all personas and their members, drawn from the evidence of their patterns."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import numpy as np
import polars as pl

from persona_platform.frames import NEEDS
from persona_platform.personas.identity import Identity
from persona_platform.personas.portrait import amounts
from persona_platform.personas.portrait.amounts import NeedCounts
from persona_platform.personas.portrait.complements import complements
from persona_platform.personas.portrait.duration import duration
from persona_platform.personas.portrait.evidence import KEPT, Evidence
from persona_platform.personas.portrait.leads import leads
from persona_platform.personas.portrait.members import member_records
from persona_platform.personas.portrait.motion import shape
from persona_platform.personas.portrait.naming import Facts, describe, details, main_need, name, unique
from persona_platform.personas.portrait.recurrence import HOURS, event_uplifts, expected_starts, recurrence
from persona_platform.personas.portrait.relations import relations
from persona_platform.personas.portrait.requirement import size_table
from persona_platform.personas.portrait.uplift import Steadiness, Stretch, need_uplifts, persona_days, usual_spread
from persona_platform.personas.record import EventUplift, Member, MemberRecord, Persona, Requirement

SLA: Final = {"critical": 0.99, "standard": 0.95, "batch": 0.80}
"""Tiers, the most demanding first, and the quantile of demand that each is met at."""
TIER_SHARE: Final = 0.25
"""Share of the members' weight that a tier needs to speak for a persona."""


@dataclass(frozen=True)
class Portraits:
    """The records of a catalog: personas in the order of the clusters, and their members."""

    personas: tuple[Persona, ...]
    members: tuple[MemberRecord, ...]


@dataclass(frozen=True)
class Sitter:
    """What is known of one persona before it is drawn. Rows are of its patterns in the evidence."""

    rows: np.ndarray
    kind: str
    people: np.ndarray  # rows of its members in the evidence's workloads
    episodes: pl.DataFrame
    counts: dict[str, NeedCounts]
    days: tuple[list[Stretch], Steadiness]
    leads: pl.DataFrame
    main: str

    @property
    def began(self) -> pl.DataFrame:
        """Its activations whose start was seen."""
        return self.episodes.filter(~pl.col("first_of_stretch"))


def portraits(
    evidence: Evidence,
    patterns: pl.DataFrame,
    workloads: pl.DataFrame,
    named: Identity,
    stability: list[float],
    version: int,
) -> Portraits:
    """One record for each cluster, named apart, and one for each workload in it.

    ``patterns`` has workload_id, pattern, kind, cluster (-1: none), persona_id, probability and slots.
    """
    sitters = _sitters(evidence, patterns, workloads, len(named.ids))
    pooled = _pooled_differences(sitters)
    usual = usual_spread([s.days[1] for s in sitters])
    rng = np.random.default_rng(version)
    needed = [_requirement(evidence, s, pooled, usual, rng) for s in sitters]
    changes = _uplifts(evidence, sitters)
    facts = [_facts(evidence, *drawn) for drawn in zip(sitters, needed, changes, strict=True)]
    names = unique([name(f) for f in facts], [details(f) for f in facts])
    weeks = np.array([_expected_week(evidence, s) for s in sitters]).reshape(-1, HOURS)
    beside = complements(weeks, [s.main for s in sitters], named.ids)
    trained = _trained(evidence)
    personas = []
    for c, (sitter, fact) in enumerate(zip(sitters, facts, strict=True)):
        members = _members(evidence, sitter)
        tier = _priority(members, workloads)
        personas.append(
            Persona(
                persona_id=named.ids[c],
                version=named.versions[c],
                kind=sitter.kind,
                name=names[c],
                description=describe(fact, len(members)),
                requirement=fact.requirement,
                duration=fact.duration,
                recurrence=fact.recurrence,
                shape=fact.shape,
                variability=_variability(sitter),
                main_need=sitter.main,
                relations=_relations(evidence, sitter),
                leads=leads(sitter.leads),
                complements=beside[c],
                priority=tier,
                sla=SLA[tier],
                members=members,
                trained_from=trained[0],
                trained_until=trained[1],
                stability=stability[c],
                drift=named.drifts[c],
                born=version - named.versions[c] + 1,
            )
        )
    return Portraits(tuple(personas), member_records(evidence, patterns, tuple(personas)))


def _trained(evidence: Evidence) -> tuple[datetime, datetime]:
    first, until = evidence.workloads["first"].min(), evidence.workloads["until"].max()
    return first, until  # type: ignore[return-value]


def _sitters(evidence: Evidence, patterns: pl.DataFrame, workloads: pl.DataFrame, personas: int) -> list[Sitter]:
    """The evidence, parted by persona."""
    table = evidence.patterns.join(
        patterns.select("workload_id", pl.col("pattern").cast(pl.Int64), "cluster"),
        on=["workload_id", "pattern"], how="left", maintain_order="left",
    )  # fmt: skip
    cluster = table["cluster"].fill_null(-1).to_numpy()
    workload = table["workload"].to_numpy().astype(np.int64)
    classes = workloads.select("workload_id", "storage_class").unique("workload_id")
    storage = evidence.workloads.join(classes, on="workload_id", how="left", maintain_order="left")["storage_class"]
    told = pl.DataFrame(
        {
            "row": np.arange(table.height, dtype=np.uint32),
            "cluster": cluster,
            "workload": workload,
            "storage_class": storage.fill_null("").gather(workload),
        }
    )

    def parted(frame: pl.DataFrame, *columns: str) -> Callable[[int], pl.DataFrame]:
        joined = frame.join(told.select("row", "cluster", *columns), on="row", maintain_order="left")
        parts = joined.filter(pl.col("cluster") >= 0).partition_by("cluster", as_dict=True, maintain_order=True)
        return lambda c: parts.get((c,), joined.clear())

    episodes = parted(evidence.episodes, "workload", "storage_class")
    histograms = parted(evidence.histograms, "workload")
    days, moved = parted(evidence.days), parted(evidence.leads)
    found = []
    for c in range(personas):
        rows = np.flatnonzero(cluster == c)
        people = np.unique(workload[rows])
        sums = evidence.sums[rows].sum(axis=0)
        read = {n: sums[i] for i, n in enumerate(NEEDS) if evidence.counts[rows, i].sum() > 0}
        found.append(
            Sitter(
                rows,
                episodes(c)["kind"][0],
                people,
                episodes(c),
                _counts(histograms(c), people),
                persona_days(days(c)),
                moved(c),
                main_need(read) if read else "",
            )
        )
    return found


def _counts(histogram: pl.DataFrame, people: np.ndarray) -> dict[str, NeedCounts]:
    """The counts of each need that was read, by member in the order of ``people``."""
    parts = histogram.partition_by("need", as_dict=True)
    return {
        NEEDS[need]: NeedCounts.of(
            np.searchsorted(people, part["workload"].to_numpy()),
            part["bin"].to_numpy().astype(np.int64),
            part["n"].to_numpy().astype(float),
            part["capped"].to_numpy().astype(float),
            len(people),
        )
        for (need,), part in sorted(parts.items())  # type: ignore[type-var]
    }


def _pooled_differences(sitters: list[Sitter]) -> dict[tuple[bool, str], float]:
    """By kind (active or not) and need: the variance of heights between members of one persona."""
    found: dict[tuple[bool, str], list[tuple[float, int]]] = {}
    for sitter in sitters:
        for need, counts in sitter.counts.items():
            found.setdefault((sitter.kind == "active", need), []).append(amounts.differences(counts))
    return {
        key: sum(v * d for v, d in values) / max(sum(d for _, d in values), 1) or amounts.UNKNOWN
        for key, values in found.items()
    }


def _requirement(
    evidence: Evidence,
    sitter: Sitter,
    pooled: dict[tuple[bool, str], float],
    usual: np.ndarray,
    rng: np.random.Generator,
) -> Requirement:
    """What members need: sizes by activation, quantiles over slots."""
    # An activation counts once, however long; rest and steadiness are weighed by time.
    weight = pl.lit(1.0) if sitter.kind == "active" else pl.col("read").cast(pl.Float64)
    sizes = size_table(sitter.episodes.with_columns(weight=weight, member="workload"))
    days = int(_days(evidence))
    week = min(7, max(days // 2, 1))
    shared = float(np.sqrt(sitter.days[1].variance(week, usual)[0] * week / max(days, week)))
    quantiles, low, high, mean = {}, {}, {}, {}
    for need, counts in sitter.counts.items():
        quantiles[need] = amounts.quantiles(counts).tolist()
        # What is stored or held does not follow the day: all members are not moved together.
        together = shared if need not in ("gpus", "disk_bytes") else 0.0
        bounds = amounts.interval(counts, pooled[sitter.kind == "active", need], together, rng)
        low[need], high[need] = (b.tolist() for b in bounds)
        at = NEEDS.index(need)
        plain = evidence.sums[sitter.rows, at].sum() / evidence.counts[sitter.rows, at].sum()
        mean[need] = float(max(plain, amounts.mean(counts)) if counts.capped.any() else plain)
    played = evidence.played[sitter.rows].sum()
    return Requirement(
        sizes=sizes,
        quantiles=quantiles,
        low=low,
        high=high,
        mean=mean,
        peak_to_mean={n: q[-1] / mean[n] if mean[n] > 0 else 1.0 for n, q in quantiles.items()},
        saturated=float(evidence.saturated[sitter.rows].sum() / max(played, 1)),
    )


def _days(evidence: Evidence) -> float:
    first, until = _trained(evidence)
    return (until - first) / timedelta(days=1)


def _uplifts(evidence: Evidence, sitters: list[Sitter]) -> list[list[EventUplift]]:
    """What events do to each persona: to its starts, and to its need."""
    kinds = evidence.event_hours["kind"].unique().sort().to_list()
    if not kinds or not sitters:
        return [[] for _ in sitters]
    hours = {k: _grid(evidence, kind) for k, kind in enumerate(kinds)}
    shape_ = (len(sitters), len(kinds))
    started, expected, events = np.zeros(shape_), np.zeros(shape_), np.zeros(shape_)
    slot_hours = evidence.slot / timedelta(hours=1)
    inside = {
        (int(row), kind): part
        for (row, kind), part in evidence.event_starts.partition_by("row", "kind", as_dict=True).items()
    }
    seen = {kind: np.zeros(evidence.workloads.height) for kind in kinds}
    for person, kind, count in evidence.occurrences.iter_rows():
        seen[kind][person] = count
    for p, sitter in enumerate(sitters):
        counts = np.bincount(sitter.began["hour_of_week"].to_numpy(), minlength=HOURS).astype(float)
        exposure = evidence.read[sitter.people].sum(axis=0) * slot_hours
        for k, kind in enumerate(kinds):
            during = np.zeros(HOURS)
            for row in sitter.rows.tolist():
                if (row, kind) in inside:
                    part = inside[row, kind]
                    np.add.at(during, part["hour_of_week"].to_numpy(), part["starts"].to_numpy())
            lasted = hours[k][sitter.people].sum(axis=0) * slot_hours
            started[p, k] = during.sum()
            expected[p, k] = expected_starts(counts, during, exposure, lasted)
            events[p, k] = seen[kind][sitter.people].max()
    return event_uplifts(kinds, started, expected, events, need_uplifts(kinds, [s.days for s in sitters]))


def _grid(evidence: Evidence, kind: str) -> np.ndarray:
    """(workloads, 168) slots read while events of a kind lasted."""
    part = evidence.event_hours.filter(pl.col("kind") == kind)
    grid = np.zeros((evidence.workloads.height, HOURS), dtype=np.int32)
    grid[part["workload"].to_numpy(), part["hour_of_week"].to_numpy()] = part["slots"].to_numpy()
    return grid


def _facts(evidence: Evidence, sitter: Sitter, needed: Requirement, changes: list[EventUplift]) -> Facts:
    """The measured parts of one persona, from which it is named."""
    slot_s = evidence.slot // timedelta(seconds=1)
    began = sitter.began
    counted = began if began.height else sitter.episodes
    exposure = evidence.read[sitter.people].sum(axis=0)
    played = evidence.played[sitter.rows].sum()
    return Facts(
        kind=sitter.kind,
        starts=np.bincount(counted["hour_of_week"].to_numpy(), minlength=HOURS).astype(float),
        duty=float(played / max(float(exposure.sum()), 1.0)),
        month_begin_share=float(counted["month_begin"].mean()),  # type: ignore[arg-type]
        month_edge_share=float(counted["month_edge"].mean()),  # type: ignore[arg-type]
        requirement=needed,
        duration=duration(sitter.episodes["length"].to_numpy(), sitter.episodes["censored"].to_numpy(), slot_s),
        recurrence=recurrence(began, exposure * (slot_s / 3600), changes, slot_s),
        shape=_shape(evidence, sitter),
    )


def _shape(evidence: Evidence, sitter: Sitter) -> str:
    return shape(evidence.profile[sitter.rows].sum(axis=0)) if sitter.kind == "active" else "flat"


def _variability(sitter: Sitter) -> float:
    """The standard deviation of the log of the levelled need within an activation, in the root mean square.

    Activations that are too short to tell do not count; 0 when all are.
    """
    told = sitter.episodes.filter(pl.col("spread").is_not_null())
    read = told["read"].to_numpy().astype(float)
    return float(np.sqrt((np.square(told["spread"].to_numpy()) @ read) / max(read.sum(), 1.0)))


def _relations(evidence: Evidence, sitter: Sitter) -> list:
    if not sitter.main:
        return []
    alike = sitter.rows[evidence.patterns["main"].to_numpy()[sitter.rows] == NEEDS.index(sitter.main)]
    return relations(evidence.sums[sitter.rows].sum(axis=0), evidence.products[alike].sum(axis=0), sitter.main)


def _expected_week(evidence: Evidence, sitter: Sitter) -> np.ndarray:
    """(168,) the main need that a member has in each hour of the week, rest of the persona's time counted as none."""
    read = evidence.read[sitter.people].sum(axis=0)
    return evidence.demand[sitter.rows].sum(axis=0, dtype=float) / np.maximum(read, 1)


def _members(evidence: Evidence, sitter: Sitter) -> list[Member]:
    """Members with the share of their read slots in which they play the persona, most first."""
    whole = evidence.read.sum(axis=1)
    played = np.bincount(
        evidence.patterns["workload"].to_numpy()[sitter.rows],
        evidence.played[sitter.rows].sum(axis=1),
        minlength=len(whole),
    )
    ids = evidence.workloads["workload_id"].gather(sitter.people).to_list()
    weights = played[sitter.people] / np.maximum(whole[sitter.people], 1)
    return [Member(w, float(share)) for share, w in sorted(zip(-weights, ids, strict=True)) for share in [-share]]


def _priority(members: list[Member], workloads: pl.DataFrame) -> str:
    """The most demanding tier that a quarter of the members' weight asks for, unknown ones being standard."""
    tiers = dict(workloads.select("workload_id", "tier").iter_rows())
    weight = dict.fromkeys(SLA, 0.0)
    for member in members:
        tier = tiers.get(member.workload_id)
        weight[tier if tier in SLA else "standard"] += member.weight
    total = sum(weight.values())
    return next((t for t, w in weight.items() if w >= TIER_SHARE * total), "standard")


__all__ = ["KEPT", "Portraits", "portraits"]
