"""Rhythm: the period at which activations come back, found and not assumed.

A period is tried by folding starts on it: how many fall together (the rest is off beat), and how many of the
beats have a start (the rest is missed). Both count, by their harmonic mean: a daily job is no hourly one that
misses 23 beats, and no weekly one with six starts off beat.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

HOUR: Final = 3_600
WEEK: Final = 168 * HOUR
MONTH: Final = 30.44 * 86_400
PERIODS: Final = tuple(h * HOUR for h in (*range(1, 25), 36, 48, 72, 168, 336))
BEAT: Final = 1 / 16
"""Share of the period by which a start may lie before or after its beat, at most WIDEST."""
WIDEST: Final = 1.5 * HOUR
FOUND: Final = 0.6
"""The least harmonic mean, and share of starts on the beat."""
FEWEST: Final = 3
"""Starts of a member that can have a rhythm."""
MOST: Final = 20_000
"""Starts that are looked at."""
EDGES: Final = 0.75
"""Share of starts on the edges of months that make a monthly rhythm."""


@dataclass(frozen=True)
class Begun:
    """Starts in order of member and time.

    The member's number, seconds since 1970 UTC, local hour of the week, and whether on the first or last working
    day of a month.
    """

    member: np.ndarray
    second: np.ndarray
    hour_of_week: np.ndarray
    month_edge: np.ndarray


def rhythm(begun: Begun, slot_s: int) -> tuple[float, float]:
    """The period in seconds, 0 for none, and the share of starts that keep it."""
    edge = float(begun.month_edge.mean()) if len(begun.month_edge) else 0.0
    if edge >= EDGES and _apart(begun.second[begun.month_edge]) >= 2:
        return MONTH, edge
    member, local = _regular_members(begun)
    if len(member) == 0:
        return 0.0, 0.0
    best = (0.0, 0.0, 0.0)
    for period in PERIODS:
        if period >= 2 * slot_s:
            kept, hit = _folded(member, local, period, slot_s)
            mean = 2 * kept * hit / (kept + hit) if kept + hit > 0 else 0.0
            best = max(best, (round(mean, 3), kept, float(period)))
    mean, kept, period = best
    return (period, kept) if mean >= FOUND and kept >= FOUND else (0.0, 0.0)


def _apart(second: np.ndarray) -> int:
    """How many groups of starts there are, a week between each."""
    return 1 + int((np.diff(np.sort(second)) > 7 * 86_400).sum()) if len(second) else 0


def _regular_members(begun: Begun) -> tuple[np.ndarray, np.ndarray]:
    """Members with enough starts, numbered from 0, and local seconds of their starts, MOST at most."""
    count = np.bincount(begun.member, minlength=int(begun.member.max()) + 1 if len(begun.member) else 0)
    kept = np.flatnonzero(count[begun.member] >= FEWEST)[:MOST]
    second = begun.second[kept]
    # 1970 began on a Thursday; a zone is at most half a day away either way, or nearly.
    utc = (second + 3 * 86_400) % WEEK
    local = begun.hour_of_week[kept] * HOUR + second % HOUR
    offset = (local - utc + WEEK // 2) % WEEK - WEEK // 2
    return np.unique(begun.member[kept], return_inverse=True)[1], second + 3 * 86_400 + offset


def _folded(member: np.ndarray, local: np.ndarray, period: int, slot_s: int) -> tuple[float, float]:
    """The share of starts on their member's beat, and of beats that have a start, the first of each aside."""
    members = int(member.max()) + 1
    size = max(int(period // slot_s), 1)
    phase = (local % period * size // period).astype(np.int64)
    reach = int(min(BEAT * period, WIDEST) // slot_s)
    folded = np.bincount(member * size + phase, minlength=members * size).reshape(members, size)
    around = sum(np.roll(folded, k, axis=1) for k in range(-reach, reach + 1))
    beat = np.asarray(around).argmax(axis=1)
    away = (phase - beat[member] + size // 2) % size - size // 2
    on = np.abs(away) <= reach
    # Beats are numbered from half a period before the first, so that none falls across a border.
    number = (local - beat[member] * period // size + period // 2) // period
    first = np.full(members, np.iinfo(np.int64).max)
    last = np.full(members, np.iinfo(np.int64).min)
    np.minimum.at(first, member, number.astype(np.int64))
    np.maximum.at(last, member, number.astype(np.int64))
    hits = np.unique(np.stack([member[on], number[on].astype(np.int64)], axis=1), axis=0)
    starts, kept = len(member) - members, int(on.sum()) - members
    beats = int((last - first).sum())
    return max(kept, 0) / max(starts, 1), max(len(hits) - members, 0) / max(beats, 1) if beats else 0.0
