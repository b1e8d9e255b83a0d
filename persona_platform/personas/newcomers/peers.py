"""Peers: known workloads as the young ones are compared with them, small enough to be kept with the catalog.

A peer has one row for each persona that it plays: when it plays it, what it needs then, and how far its own days
resemble each other. Rows are sums, so that what a persona's members have in common is pooled from them later
(peer_tables.py). Some hundred peers speak for a fleet of any size.
"""

from datetime import timedelta
from typing import Final

import numpy as np
import polars as pl

from persona_platform.frames import NEEDS, Schema, empty
from persona_platform.personas.newcomers.labels import LABELS, with_prefix
from persona_platform.personas.newcomers.peer_days import Days, habit_scores, persistence_sums
from persona_platform.personas.newcomers.peer_sums import BIN, GRADES, SPREAD_BINS, PeerSums, floor_of

PEERS: Final[Schema] = {
    "workload_id": pl.String,
    **dict.fromkeys(LABELS, pl.String),
    "stands_for": pl.Float64,  # workloads of its kind in the fleet
    "persona_id": pl.String,
    "kind": pl.String,
    "share": pl.Float64,  # of the workload's read slots
    "floor": pl.Float64,  # main need below which logs are cut, the same in all rows
    "played": pl.List(pl.Float32),  # slots by place of the local week; holidays are Sundays
    "read": pl.List(pl.Float32),  # the same, of all slots of the workload
    "height_sum": pl.List(pl.Float64),  # of the log of the main need, by local hour of working days, then of days off
    "height_count": pl.List(pl.Float32),
    "spread": pl.List(pl.Float32),  # slots by distance from the usual log height of the hour, in bins of BIN
    "marks": pl.List(pl.String),  # events and month edges that were seen, and for each of them:
    "mark_played": pl.List(pl.Float32),  # slots of the persona under it
    "mark_expected": pl.List(pl.Float32),  # slots that the place of the week lets expect
    "mark_height": pl.List(pl.Float64),  # sum of distances from the usual height, over mark_played
    "habit": pl.List(pl.Float64),  # peer_days.habit_scores, flattened; empty where not taken
    "persistence": pl.List(pl.Float64),  # peer_days.persistence_sums
    "needs": pl.List(pl.String),
    "sizes": pl.List(pl.Float64),  # GRADES sizes of each need, rising, flattened
    "days": pl.Float64,  # read
}
LEAST_SHARE: Final = 0.003
"""A persona that takes less of a workload's time (7 h in 14 weeks) says nothing about others."""
YOUNG: Final = timedelta(hours=48)
"""Below so much history a workload has no levels and patterns that could be trusted, and is nobody's peer."""
MOST_PEERS: Final = 400
HABITS_TAKEN: Final = 8
"""Members of a persona whose days are compared."""
_LISTS: Final = (
    "played", "read", "height_sum", "height_count", "spread", "marks", "mark_played", "mark_expected", "mark_height",
    "needs", "sizes",
)  # fmt: skip


def no_peers() -> pl.DataFrame:
    """A frame of no peers: young workloads are then nobody in particular."""
    return empty(PEERS)


def choose_peers(
    patterns: pl.DataFrame, workloads: pl.DataFrame, slot: timedelta, *, most: int = MOST_PEERS
) -> pl.DataFrame:
    """``workload_id, stands_for``: at most ``most`` workloads that together are like the fleet.

    Args:
        patterns: the catalog's patterns: workload_id, persona_id, slots.
        workloads: WORKLOADS.
        slot: the planning interval.
        most: how many are chosen. Workloads that play the same personas under the same labels speak for each
            other; those that were read longest are chosen first.
    """
    known = (
        patterns.group_by("workload_id")
        .agg(plays=pl.col("persona_id").unique().sort().str.join(" "), slots=pl.col("slots").sum())
        .filter(pl.col("slots") * slot >= YOUNG)
        .join(with_prefix(workloads), on="workload_id", how="left")
        .with_columns(pl.col(LABELS).fill_null(""))
        .sort("slots", "workload_id", descending=[True, False])
    )
    group = ["plays", *LABELS]
    ranked = known.with_columns(rank=pl.int_range(pl.len()).over(group), size=pl.len().over(group))
    chosen = ranked.sort("rank", "size", "workload_id", descending=[False, True, False]).head(most)
    kept = chosen.with_columns(kept=pl.len().over(group))
    # Whom no peer of the very same kind speaks for is spread over all.
    spare = known.height / max(float(kept["size"].to_numpy() @ (1.0 / kept["kept"].to_numpy())), 1.0)
    return kept.select("workload_id", stands_for=pl.col("size") / pl.col("kept") * spare).sort("workload_id")


def gather_peers(sums: PeerSums, patterns: pl.DataFrame, workloads: pl.DataFrame, slot: timedelta) -> pl.DataFrame:
    """PEERS of the workloads that :func:`choose_peers` chooses.

    Args:
        sums: of all workloads; those of one whose main need is another's than the fleet's are left out.
        patterns: the catalog's patterns: workload_id, pattern, kind, persona_id, slots.
        workloads: WORKLOADS.
        slot: the planning interval; whole ones fill a day.
    """
    who = choose_peers(patterns, workloads, slot)
    needs = [n for n in NEEDS if n in set(sums.patterns["needs"].explode())]
    named = patterns.select("workload_id", pl.col("pattern").cast(pl.Int64), "kind", "persona_id")
    keys = ["workload_id", "persona_id", "kind"]
    rows = (
        sums.patterns.filter(pl.col("needs").list.first() == (needs or [""])[0])
        .join(named, on=["workload_id", "pattern"])
        .join(who, on="workload_id", how="semi")
        .filter(pl.col("height_count").arr.sum().sum().over("workload_id") > 0)
        .sort(*keys, "pattern")
    )
    if rows.is_empty():
        return no_peers()
    per_day = timedelta(days=1) // slot
    own = sums.days.join(who, on="workload_id", how="semi")
    days = {name: (read, day, off) for name, read, day, off in own.iter_rows()}
    marks = sorted(set(rows["marks"].explode().drop_nulls()))
    pairs, played = [], []
    for key, of in rows.group_by(keys, maintain_order=True):
        played.append(_unpacked(of["played"].to_list(), days[str(key[0])], per_day))
        pairs.append(_merged(of, played[-1], marks, needs))
    frame = rows.select(keys).unique(maintain_order=True).with_columns(
        share=pl.Series([d.played.sum() / d.read.sum() for d in played]),
        days=pl.Series([d.read.sum() / per_day for d in played]),
        floor=pl.lit(floor_of(needs[0])),
        **{name: pl.Series([p[name] for p in pairs], dtype=PEERS[name]) for name in _LISTS},
    )  # fmt: skip
    return (
        frame.with_columns(**_habits(frame, played))
        .filter(pl.col("share") >= LEAST_SHARE)
        .join(with_prefix(workloads), on="workload_id", how="left", maintain_order="left")
        .join(who, on="workload_id", how="left", maintain_order="left")
        .with_columns(pl.col(LABELS).fill_null(""))
        .select(pl.col(name).cast(dtype) for name, dtype in PEERS.items())
    )


def _unpacked(played: list[bytes], days: tuple[bytes, bytes, bytes], per_day: int) -> Days:
    """The days of one workload and persona."""
    read, day, off = days
    count = len(day) * per_day
    shape = (len(day), per_day)
    one = np.any([np.unpackbits(np.frombuffer(bits, np.uint8), count=count) for bits in played], axis=0)
    seen = np.unpackbits(np.frombuffer(read, np.uint8), count=count)
    return Days.of(
        one.reshape(shape).astype(float),
        seen.reshape(shape).astype(float),
        np.frombuffer(day, np.int8).astype(np.int64),
        np.frombuffer(off, np.int8) > 0,
    )


def _merged(of: pl.DataFrame, days: Days, marks: list[str], needs: list[str]) -> dict[str, list]:
    """One peer's row of a persona, from those of its patterns."""
    total, count = of["height_sum"].to_numpy(), of["height_count"].to_numpy()
    level = total.sum(axis=1) / np.maximum(count.sum(axis=1), 1.0)
    common = total.sum() / max(count.sum(), 1.0)
    spread = np.zeros(SPREAD_BINS)
    for one, away in zip(of["spread"].to_numpy(), level - common, strict=True):
        # Distances are from the whole persona's level, not the single pattern's.
        at = np.clip(np.arange(SPREAD_BINS) + round(away / BIN), 0, SPREAD_BINS - 1)
        np.add.at(spread, at, one)
    by_mark = {name: np.zeros(len(marks)) for name in ("mark_played", "mark_expected", "mark_height")}
    for name, values in by_mark.items():
        for seen, one in of.select("marks", name).iter_rows():
            values[[marks.index(mark) for mark in seen]] += one
    return {
        "played": days.count[0].tolist(),
        "read": days.count[1].tolist(),
        "height_sum": total.sum(axis=0).tolist(),
        "height_count": count.sum(axis=0).tolist(),
        "spread": spread.tolist(),
        "marks": marks,
        **{name: values.tolist() for name, values in by_mark.items()},
        "needs": needs,
        "sizes": _merged_sizes(of, needs).ravel().tolist(),
    }


def _merged_sizes(of: pl.DataFrame, needs: list[str]) -> np.ndarray:
    """(needs, GRADES): evenly spaced quantiles over all patterns, each by the slots that it was played."""
    out = np.zeros((len(needs), GRADES))
    weight = np.repeat(of["slots"].to_numpy().astype(float), GRADES)
    for row, need in enumerate(needs):
        atoms = np.concatenate(
            [
                sizes[GRADES * has.index(need) :][:GRADES] if need in has else np.zeros(GRADES)
                for has, sizes in of.select("needs", "sizes").iter_rows()
            ]
        )
        order = np.argsort(atoms, kind="stable")
        below = np.cumsum(weight[order]) / weight.sum()
        at = np.searchsorted(below, (np.arange(GRADES) + 0.5) / GRADES)
        out[row] = atoms[order][np.minimum(at, len(atoms) - 1)]
    return out


def _habits(frame: pl.DataFrame, days: list[Days]) -> dict[str, pl.Series]:
    """What the days of some members of each persona say about its habits."""
    habit: list[list[float]] = [[] for _ in days]
    persistence: list[list[float]] = [[] for _ in days]
    code = frame.select(pl.struct("persona_id", "kind").rank("dense")).to_series().to_numpy()
    enough = (frame["share"] >= LEAST_SHARE).to_numpy()
    for persona in np.unique(code[enough]):
        members = np.flatnonzero((code == persona) & enough)
        some = members[np.linspace(0, len(members) - 1, min(len(members), HABITS_TAKEN)).astype(int)]
        for one in some:
            habit[one] = habit_scores(days[one], [days[other] for other in some if other != one]).ravel().tolist()
            persistence[one] = persistence_sums(days[one]).tolist()
    return {
        "habit": pl.Series(habit, dtype=PEERS["habit"]),
        "persistence": pl.Series(persistence, dtype=PEERS["persistence"]),
    }
