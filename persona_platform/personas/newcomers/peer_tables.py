"""Peer tables: peers laid out as arrays, each drawn towards what the members of its personas have in common.

Arrays are over peers and *parts*: the personas of a peer, most played first, padded. The last peer is nobody: a
workload that plays the persona ``other`` at any time and at any height, for those that are like no one.
"""

from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
import polars as pl

from persona_platform.frames import OTHER, conform
from persona_platform.personas.newcomers.labels import LABELS
from persona_platform.personas.newcomers.peer_days import LAGS_H, REACHES_H, STRENGTHS, smooth_rate
from persona_platform.personas.newcomers.peer_sums import BIN, GRADES, SPREAD_BINS
from persona_platform.personas.newcomers.peers import PEERS

PARTS: Final = 5
FELLOWS: Final = 0.3
"""Weight of a persona's members together beside a peer's own times."""
HOUR_SLOTS: Final = 30.0  # that weigh as much as the persona's profile of the day
MARK_SLOTS: Final = 8.0  # expected slots under a mark that weigh as much as no effect of it
MARK_HEIGHTS: Final = 30.0
SPREAD_SLOTS: Final = 200.0  # that weigh as much as the persona's spread
FLEET_SLOTS: Final = 20.0  # of the fleet's spread in a persona's
KIN: Final = 3.0
"""Peers of one kind that weigh as much as the fleet in how far their levels lie apart."""
WIDTH: Final = 0.7
"""Share of that distance by which a newcomer may lie from each peer: others of its kind stand around it."""
LEAST_WIDTH: Final = 0.3
"""Workloads of one kind differ by a third at least, even where the peers happen not to."""
OWN_LEVEL: Final = 0.15
"""Deviation of the log level of a single part, beside the common factor."""
OWN_SPREAD: Final = 50.0
"""Slots of a part that weigh as much as the peer's spread."""
NOBODY_SPREAD: Final = 1.3
NOBODY_SLOTS: Final = 4.0
"""The same for nobody, who is to become what is read."""


class Persona(NamedTuple):
    """What plays a part: ``other`` at rest and ``other`` in use are two."""

    persona_id: str
    kind: str


@dataclass(frozen=True)
class PeerTables:
    """H peers (nobody last), K parts, P personas."""

    personas: list[Persona]
    part: np.ndarray  # (H, K) index into personas, -1: none
    stands_for: np.ndarray  # (H,)
    labels: np.ndarray  # (H, labels) of str
    kin: np.ndarray  # (H,) number of the set of personas played
    rate: np.ndarray  # (H, K, places of the week): chance of the part; sums to 1 over parts
    level: np.ndarray  # (H, K) mean log of the main need
    profile: np.ndarray  # (H, K, 48) distance from the level by local hour of working days, then of days off
    spread: np.ndarray  # (H, K, SPREAD_BINS) probabilities of distances from the profile
    deviation: np.ndarray  # (H, K) standard deviation of them
    width: np.ndarray  # (H,) deviation of a newcomer's log level from the peer's
    own_level: np.ndarray  # (H,) deviation of a single part's log level, beside that
    own_spread: np.ndarray  # (H,) slots that weigh as much as the spread
    marks: list[str]  # the first is no mark
    mark_odds: np.ndarray  # (P, marks) by which a mark multiplies the chance
    mark_height: np.ndarray  # (P, marks) that it adds to the height
    reach: np.ndarray  # (P,) index into REACHES_H
    strength: np.ndarray  # (P,) slots
    persistence: np.ndarray  # (P, lags)
    needs: list[str]
    sizes: np.ndarray  # (H, K, needs, GRADES)
    floor: float
    per_day: int

    @property
    def nobody(self) -> int:
        """The peer that is no one."""
        return len(self.stands_for) - 1

    def idle(self) -> np.ndarray:
        """(P,) bool: personas at rest or steady."""
        return np.array([p.kind != "active" for p in self.personas])


def distances() -> np.ndarray:
    """Middles of the bins of ``spread``."""
    return (np.arange(SPREAD_BINS) - SPREAD_BINS // 2) * BIN


def peer_tables(peers: pl.DataFrame) -> PeerTables | None:
    """Tables of a PEERS frame; none where it is empty."""
    rows = conform(peers, PEERS, "The peers").sort(
        "workload_id", "share", "persona_id", descending=[False, True, False]
    )
    if rows.is_empty():
        return None
    named = rows.select("persona_id", "kind").unique().sort("persona_id", "kind").rows()
    personas = [Persona(*row) for row in named]
    nobody = Persona(OTHER, "steady")
    if nobody not in personas:
        personas.append(nobody)
    of = {persona: number for number, persona in enumerate(personas)}
    k = np.array([of[Persona(*row)] for row in rows.select("persona_id", "kind").iter_rows()])
    sums = {name: np.array(rows[name].to_list(), dtype=float).reshape(rows.height, -1) for name in _SUMS}
    count = len(personas)
    pooled = {name: _by_persona(values, k, count) for name, values in sums.items()}
    per_day = sums["played"].shape[1] // 7
    profile, height, level = _heights(sums, k, count)
    spread = _spread(sums["spread"], pooled["spread"], k)
    own = smooth_rate(sums["played"], sums["read"], per_day, hours=1.0, slots=2.0)
    common = smooth_rate(pooled["played"], pooled["read"], per_day, hours=1.0, slots=2.0)
    reach, strength = _habits(rows["habit"].to_list(), k, count)
    marks = ["", *rows["marks"].to_list()[0]]
    expected = pooled["mark_expected"] + MARK_SLOTS
    needs = rows["needs"].to_list()[0]
    w = rows["workload_id"].rle_id().to_numpy().astype(np.int64)
    part = np.arange(len(w)) - np.searchsorted(w, w)
    kept = part < PARTS
    first = np.searchsorted(w, np.arange(w[-1] + 1))
    laid = _Laid(w[kept], part[kept], int(w[-1]) + 2)
    parts = laid.out(k[kept], fill=-1)
    parts[-1, 0] = of[nobody]
    levels = laid.out(level[kept])
    weights = np.append(rows["stands_for"].to_numpy()[first], 1.0)
    levels[-1, 0] = float(np.average(_mean_level(levels, laid.out(rows["share"].to_numpy()[kept])), weights=weights))
    rates = laid.out(((1 - FELLOWS) * own + FELLOWS * common[k])[kept])
    rates[-1, 0] = 1.0
    spreads = laid.out(spread[kept])
    spreads[-1, 0] = np.exp(-0.5 * (distances() / NOBODY_SPREAD) ** 2)
    spreads[-1, 0] /= spreads[-1, 0].sum()
    sizes = laid.out(np.array(rows["sizes"].to_list(), dtype=float).reshape(rows.height, len(needs), GRADES)[kept])
    sizes[-1, 0] = np.quantile(sizes[:-1, 0].transpose(1, 0, 2).reshape(len(needs), -1), _GRADES, axis=1).T
    kin = _kin(parts)
    return PeerTables(
        personas=personas,
        part=parts,
        stands_for=weights,
        labels=np.concatenate([rows.select(LABELS).to_numpy()[first], np.full((1, len(LABELS)), "")]).astype(str),
        kin=kin,
        rate=rates / np.maximum(rates.sum(axis=1, keepdims=True), 1e-9),
        level=levels,
        profile=laid.out((profile[k] + height)[kept]),
        spread=spreads,
        deviation=np.sqrt((spreads * distances() ** 2).sum(axis=2)),
        width=_width(_mean_level(levels, laid.out(rows["share"].to_numpy()[kept])), kin),
        own_level=_nobody_last(len(weights), OWN_LEVEL, NOBODY_SPREAD),
        own_spread=_nobody_last(len(weights), OWN_SPREAD, NOBODY_SLOTS),
        marks=marks,
        mark_odds=_first_column((pooled["mark_played"] + MARK_SLOTS) / expected, 1.0),
        mark_height=_first_column(pooled["mark_height"] / (pooled["mark_played"] + MARK_HEIGHTS), 0.0),
        reach=reach,
        strength=strength,
        persistence=_persistence(rows["persistence"].to_list(), k, count),
        needs=needs,
        sizes=sizes,
        floor=float(rows["floor"][0]),
        per_day=per_day,
    )


_SUMS: Final = (
    "played", "read", "height_sum", "height_count", "spread", "mark_played", "mark_expected", "mark_height",
)  # fmt: skip
_GRADES: Final = (np.arange(GRADES) + 0.5) / GRADES


class _Laid(NamedTuple):
    """Rows laid out as (peers, parts)."""

    peer: np.ndarray
    part: np.ndarray
    peers: int

    def out(self, values: np.ndarray, fill: int | None = None) -> np.ndarray:
        table = np.zeros((self.peers, PARTS, *values.shape[1:]), dtype=values.dtype)
        if fill is not None:
            table[:] = fill
        table[self.peer, self.part] = values
        return table


def _by_persona(values: np.ndarray, k: np.ndarray, count: int) -> np.ndarray:
    out = np.zeros((count, values.shape[1]))
    np.add.at(out, k, values)
    return out


def _nobody_last(peers: int, of_peers: float, of_nobody: float) -> np.ndarray:
    return np.append(np.full(peers - 1, of_peers), of_nobody)


def _first_column(values: np.ndarray, neutral: float) -> np.ndarray:
    return np.concatenate([np.full((len(values), 1), neutral), values], axis=1)


def _heights(sums: dict[str, np.ndarray], k: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Profiles of the day of personas, what each row's differs by, and levels, so that level + profile fits."""
    total, seen = sums["height_sum"], sums["height_count"]
    slots = np.maximum(seen.sum(axis=1), 1.0)
    profile, level = np.zeros((count, 48)), total.sum(axis=1) / slots
    for _ in range(4):
        left = _by_persona(total - seen * level[:, None], k, count)
        profile = left / (_by_persona(seen, k, count) + 10.0)
        level = (total - seen * profile[k]).sum(axis=1) / slots
    own = (total - seen * (level[:, None] + profile[k])) / (seen + HOUR_SLOTS)
    return profile, own, level


def _spread(own: np.ndarray, pooled: np.ndarray, k: np.ndarray) -> np.ndarray:
    fleet = pooled.sum(axis=0) / max(pooled.sum(), 1.0)
    persona = (pooled + FLEET_SLOTS * fleet) / (pooled.sum(axis=1, keepdims=True) + FLEET_SLOTS)
    mixed = (own + SPREAD_SLOTS * persona[k]) / (own.sum(axis=1, keepdims=True) + SPREAD_SLOTS)
    return mixed / np.maximum(mixed.sum(axis=1, keepdims=True), 1e-9)


def _habits(habits: list[list[float]], k: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """The reach and strength under which each persona's days are predicted best."""
    scores = np.zeros((count, len(REACHES_H) * len(STRENGTHS)))
    for row, habit in enumerate(habits):
        if habit:
            scores[k[row]] += habit
    best = scores.argmin(axis=1)
    reach, strength = np.divmod(best, len(STRENGTHS))
    unknown = ~scores.any(axis=1)
    return np.where(unknown, REACHES_H.index(0.5), reach), np.where(unknown, 4.0, STRENGTHS[strength])


def _persistence(sums: list[list[float]], k: np.ndarray, count: int) -> np.ndarray:
    total = np.zeros((count, len(LAGS_H) + 1))
    for row, one in enumerate(sums):
        if one:
            total[k[row]] += one
    return np.clip(total[:, :-1] / np.maximum(total[:, -1:], 1e-9), 0.0, 1.0)


def _kin(parts: np.ndarray) -> np.ndarray:
    sets = [" ".join(map(str, sorted(row[row >= 0].tolist()))) for row in parts]
    return np.unique(sets, return_inverse=True)[1].reshape(-1)


def _mean_level(levels: np.ndarray, share: np.ndarray) -> np.ndarray:
    return (levels * share).sum(axis=1) / np.maximum(share.sum(axis=1), 1e-9)


def _width(level: np.ndarray, kin: np.ndarray) -> np.ndarray:
    """How far levels lie apart within each kin, drawn towards the fleet; nobody's is wide."""
    level, of = level[:-1], kin[:-1]
    size = np.bincount(of, minlength=kin.max() + 1)
    mean = np.bincount(of, level, minlength=len(size)) / np.maximum(size, 1)
    square = np.square(level - mean[of])
    common = square.sum() / max(1, len(of) - len(np.unique(of)))
    common = max(float(common), LEAST_WIDTH**2)
    variance = (np.bincount(of, square, minlength=len(size)) + KIN * common) / (np.maximum(size, 1) - 1 + KIN)
    return np.append(WIDTH * np.sqrt(variance[of]), NOBODY_SPREAD)
