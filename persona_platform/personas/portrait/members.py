"""Members: every workload of a persona with what it needs itself, as the Persona Database serves it."""

from typing import Final

import numpy as np
import polars as pl

from persona_platform.frames import NEEDS
from persona_platform.personas.portrait.evidence import Evidence
from persona_platform.personas.portrait.histograms import NOTHING, amounts
from persona_platform.personas.record import REQUIREMENT_QUANTILES, MemberRecord, Persona

SERVED: Final = ("cpu_cores", "mem_bytes", "disk_bytes", "gpus", "requests", "jobs", "departures", "active_users")
"""Needs that a member record holds: those that capacity is made of."""
BELIEF: Final = 1.0
"""Days' worth of belief that a member needs what the persona's members do."""
HOURS: Final = 168


def member_records(
    evidence: Evidence, patterns: pl.DataFrame, personas: tuple[Persona, ...]
) -> tuple[MemberRecord, ...]:
    """A record for each workload and persona, by persona and workload.

    ``patterns`` has workload_id, pattern, persona_id, cluster, probability and slots.
    """
    kept = evidence.patterns.with_row_index("row").join(
        patterns.filter(pl.col("cluster") >= 0).select(
            "workload_id", pl.col("pattern").cast(pl.Int64), "persona_id", "probability", "slots"
        ),
        on=["workload_id", "pattern"], maintain_order="left",
    )  # fmt: skip
    if kept.is_empty():
        return ()
    rows = (
        kept.group_by("persona_id", "workload_id", "workload")
        .agg(
            pl.col("pattern").sort(),
            played=pl.col("slots").sum(),
            probability=(pl.col("probability") * pl.col("slots")).sum() / pl.col("slots").sum(),
        )
        .sort("persona_id", "workload_id")
        .with_row_index("member")
    )
    at = kept.join(rows.select("persona_id", "workload_id", "member"), on=["persona_id", "workload_id"]).select(
        "row", "member"
    )
    quantiles, known = _quantiles(evidence, at, rows, {p.persona_id: p for p in personas})
    lasts = (
        evidence.episodes.select("row", "length")
        .join(at, on="row")
        .group_by("member")
        .agg(length=pl.col("length").median())
        .sort("member")["length"]
        .to_numpy()
    )
    read = evidence.read.sum(axis=1)
    grid = _occupancy(evidence, at, rows)
    slot_s = evidence.slot.total_seconds()
    return tuple(
        MemberRecord(
            persona_id=row["persona_id"],
            workload_id=row["workload_id"],
            weight=row["played"] / max(float(read[row["workload"]]), 1.0),
            probability=row["probability"],
            patterns=tuple(row["pattern"]),
            needs=tuple(SERVED[i] for i in np.flatnonzero(known[m])),
            quantiles=quantiles[m][known[m]].astype("<f4").tobytes(),
            occupancy=grid[m].tobytes(),
            median_s=float(lasts[m] * slot_s),
        )
        for m, row in enumerate(rows.iter_rows(named=True))
    )


def _quantiles(
    evidence: Evidence, at: pl.DataFrame, rows: pl.DataFrame, personas: dict[str, Persona]
) -> tuple[np.ndarray, np.ndarray]:
    """(members, SERVED, quantiles) own quantiles shrunk to the persona's, and (members, SERVED) which are known.

    Kaplan and Meier's, as the persona's own; a member of a day is half itself, one of two weeks nearly wholly.
    """
    places = [NEEDS.index(n) for n in SERVED]
    served = pl.DataFrame({"need": pl.Series(places, dtype=pl.UInt8), "served": range(len(SERVED))})
    table = (
        evidence.histograms.join(at, on="row")
        .join(served, on="need")
        .group_by("member", "served", "bin")
        .agg(pl.col("n", "capped").sum().cast(pl.Float64))
        .sort("member", "served", "bin")
    )
    group = table["member"].to_numpy().astype(np.int64) * len(SERVED) + table["served"].to_numpy()
    own = _group_quantiles(group, table, rows.height * len(SERVED)).reshape(rows.height, len(SERVED), -1)
    known = np.asarray(np.isfinite(own).all(axis=2))
    shared = np.array(
        [
            [personas[p].requirement.quantiles.get(need, [np.nan] * own.shape[2]) for need in SERVED]
            for p in rows["persona_id"].to_list()
        ]
    )
    days = evidence.days.join(at, on="row").group_by("member").agg(n=pl.col("day").n_unique())
    count = np.zeros(rows.height)
    count[days["member"].to_numpy()] = days["n"].to_numpy()
    weight = ((count + 1e-9) / (count + BELIEF))[:, None, None]
    both = (own > 0) & (shared > 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        mixed = np.exp(weight * np.log(own) + (1.0 - weight) * np.log(shared))
    return np.where(both, mixed, own), known


def _group_quantiles(group: np.ndarray, table: pl.DataFrame, groups: int) -> np.ndarray:
    """(groups, quantiles) by Kaplan and Meier of groups of rows in order of bin, NaN for a group without rows."""
    n, least = table["n"].to_numpy(), table["capped"].to_numpy()
    place = table["bin"].to_numpy().astype(np.int64)
    found = np.full((groups, len(REQUIREMENT_QUANTILES)), np.nan)
    if not len(group):
        return found
    first = np.flatnonzero(np.diff(group, prepend=-1))
    size = np.diff(np.append(first, len(group)))
    whole = n + least
    before = np.cumsum(whole) - whole
    at_risk = np.repeat(np.add.reduceat(whole, first), size) - (before - np.repeat(before[first], size))
    with np.errstate(divide="ignore"):
        step = np.maximum(np.log(np.maximum(1.0 - n / at_risk, 0.0)), -800.0)
    total = np.cumsum(step)
    log = total - np.repeat(total[first] - step[first], size)
    last = first + size - 1
    for j, q in enumerate(REQUIREMENT_QUANTILES):
        reached = np.where(log <= np.log1p(-q) + 1e-9, np.arange(len(group)), len(group))
        at = np.minimum(np.minimum.reduceat(reached, first), last)
        found[group[first], j] = np.where(place[at] <= NOTHING, 0.0, amounts(place[at]))
    return found


def _occupancy(evidence: Evidence, at: pl.DataFrame, rows: pl.DataFrame) -> np.ndarray:
    """Share of the read slots of each local hour of the week in which a member plays, float32 (members, 168)."""
    played = np.zeros((rows.height, HOURS))
    np.add.at(played, at["member"].to_numpy(), evidence.played[at["row"].to_numpy()])
    read = evidence.read[rows["workload"].to_numpy()]
    return (played / np.maximum(read, 1)).astype("<f4")
