"""Peer sums: what is kept of the patterns of some workloads so that they can be peers, once their slots are gone.

Learning sees the slots of a chunk of workloads, and which persona a pattern is only when all chunks were seen. So
each pattern leaves sums of its own (some 2 KB), and whether it was played at each slot as one bit, since how days
resemble each other is asked of personas. peers.py makes peers of them.
"""

from dataclasses import dataclass
from datetime import timedelta
from itertools import pairwise
from typing import Final

import numpy as np
import polars as pl

from persona_platform.frames import NEEDS, Schema, need_columns
from persona_platform.personas.newcomers.places import with_marks

GRADES: Final = 16
BIN: Final = np.log(2.0) / 10.0
"""Heights are told apart to 7 %."""
SPREAD_BINS: Final = 81
OWN_HOURS: Final = 30.0
"""Slots of an hour that weigh as much as the level of the whole pattern in the usual height of that hour."""
_FLOORS: Final = {"cpu_cores": 1e-3, "gpus": 1e-3, "mem_bytes": 1e6, "disk_bytes": 1e6}

PATTERN_SUMS: Final[Schema] = {
    "workload_id": pl.String,
    "pattern": pl.Int64,
    "slots": pl.Int64,  # in which it was played
    "height_sum": pl.Array(pl.Float64, 48),  # of the log of the main need, by hour48
    "height_count": pl.Array(pl.Float64, 48),
    "spread": pl.Array(pl.Float32, SPREAD_BINS),  # slots by distance from the usual log height of the hour, by BIN
    "marks": pl.List(pl.String),  # events and month edges that its chunk saw, and for each of them:
    "mark_played": pl.List(pl.Float64),  # slots of the pattern under it
    "mark_expected": pl.List(pl.Float64),  # slots that the place of the week lets expect
    "mark_height": pl.List(pl.Float64),  # sum of distances from the usual height, over mark_played
    "needs": pl.List(pl.String),  # the first is the main one
    "sizes": pl.List(pl.Float64),  # GRADES sizes of each need, rising, flattened
    "played": pl.Binary,  # packed bits (days, slots of the day): it was played
}
DAY_SUMS: Final[Schema] = {
    "workload_id": pl.String,
    "read": pl.Binary,  # packed bits (days, slots of the day): something was read
    "day": pl.Binary,  # int8 a day: its place in the week, holidays as Sundays
    "off": pl.Binary,  # int8 a day: 1 on weekends and holidays
}


@dataclass(frozen=True)
class PeerSums:
    """``patterns`` (PATTERN_SUMS) and ``days`` (DAY_SUMS) of some workloads."""

    patterns: pl.DataFrame
    days: pl.DataFrame

    @staticmethod
    def joined(parts: "list[PeerSums]") -> "PeerSums":
        """Those of all workloads of several parts, which have none in common."""
        return PeerSums(pl.concat([p.patterns for p in parts]), pl.concat([p.days for p in parts]))


def floor_of(need: str) -> float:
    """What is as good as nothing of a need, the same for all workloads whose logs are compared."""
    return _FLOORS.get(need, 1e-6)


def gather_sums(slots: pl.DataFrame, events: pl.DataFrame, slot: timedelta) -> PeerSums:
    """The sums of a chunk: ``slots`` is a timeline with ``pattern``, in order; ``events`` as of event_slots."""
    if slots.is_empty():
        return PeerSums(pl.DataFrame(schema=PATTERN_SUMS), pl.DataFrame(schema=DAY_SUMS))
    keys = ["workload_id", "pattern"]
    line = with_marks(slots, events, slot).with_columns(pl.col("pattern").cast(pl.Int64))
    pairs = line.group_by(keys).agg(slots=pl.len().cast(pl.Int64)).sort(keys).with_row_index("pair")
    line = line.join(pairs.select(*keys, "pair"), on=keys, how="left", maintain_order="left")
    there = [n for n in need_columns(slots) if slots[n].null_count() < slots.height] or need_columns(slots)
    needs = sorted(there, key=NEEDS.index)
    names = sorted(set(line["mark"].unique()) - {""})
    taken = _Slots(
        workload=line["workload_id"].rle_id().to_numpy().astype(np.int64),
        pair=line["pair"].to_numpy().astype(np.int64),
        place=line["place"].to_numpy(),
        hour=line["hour48"].to_numpy(),
        mark=line["mark"].replace_strict({"": 0, **{n: i + 1 for i, n in enumerate(names)}}).to_numpy(),
        height=line[needs[0]].clip(lower_bound=floor_of(needs[0])).log().fill_null(np.nan).to_numpy(),
    )
    table = _heights(taken, pairs.height) | _marks(taken, pairs.height, timedelta(days=1) // slot, len(names) + 1)
    played, days = _days(taken, line["tick"].to_numpy(), pairs["workload_id"], timedelta(days=1) // slot)
    frame = pairs.with_columns(
        *(pl.Series(name, values) for name, values in table.items()),
        marks=pl.lit(names, pl.List(pl.String)),
        played=pl.Series(played, dtype=pl.Binary),
    ).join(_sizes(line, needs), on="pair", how="left", maintain_order="left")
    return PeerSums(frame.select(pl.col(name).cast(dtype) for name, dtype in PATTERN_SUMS.items()), days)


@dataclass(frozen=True)
class _Slots:
    """Read slots, in order, as arrays; ``pair`` numbers (workload, pattern)."""

    workload: np.ndarray
    pair: np.ndarray
    place: np.ndarray
    hour: np.ndarray  # of the day, 24 to 47 on days off
    mark: np.ndarray
    height: np.ndarray  # log of the main need, NaN where it lacks

    @property
    def of_pair(self) -> np.ndarray:
        """The workload of each pair."""
        out = np.zeros(int(self.pair.max()) + 1, dtype=np.int64)
        out[self.pair] = self.workload
        return out

    def away(self, total: np.ndarray, count: np.ndarray) -> np.ndarray:
        """Distance of each height from the usual one of its pattern and hour."""
        level = total.sum(axis=1) / np.maximum(count.sum(axis=1), 1)
        usual = (total + OWN_HOURS * level[:, None]) / (count + OWN_HOURS)
        return self.height - usual[self.pair, self.hour]


def _height_sums(slots: _Slots, pairs: int) -> tuple[np.ndarray, np.ndarray]:
    seen = np.isfinite(slots.height)
    cell = slots.pair[seen] * 48 + slots.hour[seen]
    total = np.bincount(cell, slots.height[seen], minlength=pairs * 48).reshape(pairs, 48)
    return total, np.bincount(cell, minlength=pairs * 48).reshape(pairs, 48)


def _heights(slots: _Slots, pairs: int) -> dict[str, np.ndarray]:
    """Heights by hour, and how far from them slots lie."""
    total, count = _height_sums(slots, pairs)
    away, seen = slots.away(total, count), np.isfinite(slots.height)
    at = np.clip(np.rint(away[seen] / BIN).astype(np.int64) + SPREAD_BINS // 2, 0, SPREAD_BINS - 1)
    spread = np.bincount(slots.pair[seen] * SPREAD_BINS + at, minlength=pairs * SPREAD_BINS)
    return {"height_sum": total, "height_count": count.astype(float), "spread": spread.reshape(pairs, -1)}


def _marks(slots: _Slots, pairs: int, per_day: int, kinds: int) -> dict[str, list]:
    """By mark: slots played, slots that the place of the week lets expect, and what it adds to the height."""
    week, workloads = 7 * per_day, int(slots.workload.max()) + 1
    read = np.bincount(slots.workload * week + slots.place, minlength=workloads * week).reshape(workloads, week)
    played = np.bincount(slots.pair * week + slots.place, minlength=pairs * week).reshape(pairs, week)
    cell = slots.pair * kinds + slots.mark
    away = np.nan_to_num(slots.away(*_height_sums(slots, pairs)))
    expected, of_pair = np.zeros((pairs, kinds)), slots.of_pair
    chance = played / np.maximum(read[of_pair], 1)
    under = np.flatnonzero(slots.mark > 0)
    edges = np.searchsorted(slots.workload[under], np.arange(workloads + 1))
    for pair, workload in enumerate(of_pair):
        mine = under[edges[workload] : edges[workload + 1]]
        expected[pair] = np.bincount(slots.mark[mine], chance[pair, slots.place[mine]], minlength=kinds)
    return {
        "mark_played": np.bincount(cell, minlength=pairs * kinds).reshape(pairs, kinds)[:, 1:].tolist(),
        "mark_expected": expected[:, 1:].tolist(),
        "mark_height": np.bincount(cell, away, minlength=pairs * kinds).reshape(pairs, kinds)[:, 1:].tolist(),
    }


def _days(slots: _Slots, tick: np.ndarray, names: pl.Series, per_day: int) -> tuple[list[bytes], pl.DataFrame]:
    """The slots of each pattern as bits by local day, and DAY_SUMS; ``names`` is the workload of each pair."""
    played, rows = [b""] * len(names), []
    of_pair = slots.of_pair
    edges = np.searchsorted(slots.workload, np.arange(int(slots.workload.max()) + 2))
    for workload, (a, b) in enumerate(pairwise(edges.tolist())):
        place = slots.place[a:b]
        phase = place % per_day
        start = tick[a:b] - phase  # of the local day, but for changes of the clock
        day = (start - start.min() + per_day // 2) // per_day
        cell, days = day * per_day + phase, int(day.max()) + 1
        mine = np.flatnonzero(of_pair == workload)
        for pair in mine:
            played[pair] = _bits(cell[slots.pair[a:b] == pair], days * per_day)
        code, off = np.zeros(days, dtype=np.int8), np.zeros(days, dtype=np.int8)
        code[day], off[day] = place // per_day, slots.hour[a:b] >= 24
        rows.append((names[int(mine[0])], _bits(cell, days * per_day), code.tobytes(), off.tobytes()))
    return played, pl.DataFrame(rows, schema=DAY_SUMS, orient="row")


def _bits(cells: np.ndarray, count: int) -> bytes:
    out = np.zeros(count, dtype=bool)
    out[cells] = True
    return np.packbits(out).tobytes()


def _sizes(line: pl.DataFrame, needs: list[str]) -> pl.DataFrame:
    """``pair, needs, sizes``: evenly spaced quantiles of every need while the pattern is played."""
    grades = (np.arange(GRADES) + 0.5) / GRADES
    kept = line.group_by("pair").agg(
        pl.col(need).fill_null(0.0).quantile(grade).alias(f"{need} {i}")
        for need in needs
        for i, grade in enumerate(grades.tolist())
    )
    return kept.select("pair", needs=pl.lit(needs, pl.List(pl.String)), sizes=pl.concat_list(pl.exclude("pair")))
