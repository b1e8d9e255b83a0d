"""Patterns of a workload: its active episodes sorted into those that start at like times and last alike.

Episodes are parted only where they are plainly of two kinds, and never by size alone: two sizes at the same
times are one pattern whose need has two heights. The parts are a first guess; shapes.py then gives every
episode the pattern whose shape fits it best.
"""

from itertools import pairwise
from typing import Final, NamedTuple

import numpy as np
import polars as pl

from persona_platform.personas.segments import SEPARATION
from persona_platform.personas.shapes import wave

MOST: Final = 6
"""Active patterns of one workload."""
FEWEST: Final = 3
"""Episodes that make a pattern."""
FEWEST_EDGES: Final = 2
"""Edges of months that make a pattern: four weeks of data have hardly more."""
OCTAVE: Final = 0.5
"""Durations are parted at least a factor of 1.4 apart: 10 h of office and 14 h of shop are two patterns."""
CONCENTRATION: Final = 0.9
"""Mean log ratio of the density of starts in the arcs to an even spread: a factor of 2.5."""
FEWEST_BEFORE: Final = 6
"""Episodes on each side of a change."""
MOVED_HOURS: Final = 0.75
MOVED_OCTAVES: Final = 0.25
CHANGED: Final = 3.0
"""Deviations within that a change moves time or duration by: less than for two humps, since it is a cut of time."""
WAVES: Final = 0.8
CHANCE: Final = 1.0
FEW: Final = 3.0
"""Episodes at which two humps must lie twice as far apart as many would have to."""
QUIET_HOURS: Final = 1.5
"""Hours without starts that part two times of day."""
TOGETHER: Final = 0.7
"""Two times of day are one routine when this share of their days is common and they last alike."""


class Starts(NamedTuple):
    """The active episodes of one workload: arrays of equal length, in order of time."""

    hour: np.ndarray  # local time of day, hours
    day: np.ndarray  # local day, counted
    octaves: np.ndarray  # log2 of slots
    whole: np.ndarray  # bool: start and end were seen
    size: np.ndarray  # log height
    edge: np.ndarray  # bool: the first or last working day of a month
    began: np.ndarray  # bool: the start was seen
    wave: np.ndarray  # log of how far the height moves within, NaN where too short to tell


def first_patterns(episodes: pl.DataFrame) -> pl.DataFrame:
    """``episode, pattern``: 0 for resting and steady episodes, 1 and up for active ones, most slots first."""
    active = episodes.filter(pl.col("kind") == "active")
    labels = np.zeros(active.height, dtype=np.int64)
    arrays = Starts(
        active["hour"].to_numpy(),
        active["day"].to_numpy(),
        np.log2(active["length"].to_numpy().astype(float)),
        ~active["censored"].to_numpy(),
        active["size"].fill_null(0.0).to_numpy(),
        active["month_edge"].to_numpy(),
        active["began"].to_numpy(),
        active.select(wave())["spread"].fill_null(np.nan).to_numpy(),
    )
    slots = active["length"].to_numpy()
    runs = active["workload_id"].rle().struct.field("len").to_numpy()
    bounds = np.concatenate([[0], np.cumsum(runs)]).astype(np.int64)
    for a, b in pairwise(bounds):
        labels[a:b] = 1 + _by_weight(parts(Starts(*(x[a:b] for x in arrays))), slots[a:b])
    found = active.select("episode", pattern=pl.Series(labels, dtype=pl.Int64))
    return (
        episodes.select("episode")
        .join(found, on="episode", how="left", maintain_order="left")
        .with_columns(pl.col("pattern").fill_null(0))
    )


def _by_weight(labels: np.ndarray, slots: np.ndarray) -> np.ndarray:
    """Labels renumbered from 0, the part with most slots first; parts beyond MOST join the first."""
    weight = np.bincount(labels, weights=slots)
    order = np.argsort(-weight, kind="stable")
    rank = np.empty(len(order), dtype=np.int64)
    rank[order] = np.arange(len(order))
    renamed = rank[labels]
    return np.where(renamed < MOST, renamed, 0)


def parts(starts: Starts) -> np.ndarray:
    """Part labels 0, 1, ... of the episodes of one workload."""
    labels = np.zeros(len(starts.hour), dtype=np.int64)
    open_parts = [0]
    while open_parts:
        part = open_parts.pop()
        inside = np.flatnonzero(labels == part)
        split = _split(Starts(*(x[inside] for x in starts)))
        if split is None:
            continue
        fresh = int(labels.max()) + 1
        labels[inside] = np.where(split == 0, part, fresh + split - 1)
        open_parts += [part, *range(fresh, fresh + int(split.max()))]
    return labels


def _split(starts: Starts) -> np.ndarray | None:
    """The first plain division of a part, or nothing."""
    if len(starts.hour) < 2 * FEWEST:
        return None
    for divide in (_by_period, _by_wave, _by_duration, _by_hour, _by_month, _by_size):
        split = divide(starts)
        if split is not None:
            return split
    return None


def _two_classes(value: np.ndarray, quantum: np.ndarray | float) -> tuple[float, float]:
    """Otsu's threshold of a few values, and the gap between the classes in deviations within (0: none)."""
    ordered = np.sort(value)
    n = len(ordered)
    if n < 2 * FEWEST or ordered[-1] - ordered[0] < 1e-9:
        return 0.0, 0.0
    count = np.arange(1, n)
    below = np.cumsum(ordered)[:-1]
    gap2 = ((ordered.sum() - below) / (n - count) - below / count) ** 2
    between = np.where((count >= FEWEST) & (n - count >= FEWEST), count * (n - count) * gap2, -1.0)
    at = int(between.argmax())
    lower, upper = ordered[: at + 1], ordered[at + 1 :]
    within = (lower.var() + upper.var()) / 2 + float(np.mean(np.square(quantum)))
    return float((lower[-1] + upper[0]) / 2), float(np.sqrt(gap2[at] / max(within, 1e-12)))


def _by_wave(starts: Starts) -> np.ndarray | None:
    """Flat jobs and waves apart."""
    told = np.isfinite(starts.wave)
    threshold, apart = _two_classes(starts.wave[told], 0.1)
    if apart < SEPARATION * (1.0 + FEW / max(told.sum(), 1)):
        return None
    moves = starts.wave > threshold
    if np.median(starts.wave[moves]) - np.median(starts.wave[told & ~moves]) < WAVES:
        return None
    return moves.astype(np.int64)


def _by_period(starts: Starts) -> np.ndarray | None:
    """Before and after a change, when the time of day or the duration moved once and for good."""
    whole = np.flatnonzero(starts.whole)
    n = len(whole)
    if n < 2 * FEWEST_BEFORE:
        return None
    cuts = np.arange(FEWEST_BEFORE, n - FEWEST_BEFORE + 1)
    away = (starts.hour[whole] - _centre(starts.hour[whole]) + 12.0) % 24.0 - 12.0
    best, at = 0.0, 0
    for value, least, quantum in ((away, MOVED_HOURS, 0.15), (starts.octaves[whole], MOVED_OCTAVES, 0.05)):
        sums, squares = np.cumsum(value), np.cumsum(value**2)
        before, after = sums[cuts - 1] / cuts, (sums[-1] - sums[cuts - 1]) / (n - cuts)
        within = (squares[-1] - cuts * before**2 - (n - cuts) * after**2) / n
        apart = np.abs(after - before) / np.sqrt(np.maximum(within, 0.0) + quantum**2)
        apart[np.abs(after - before) < least] = 0.0
        if apart.max() > best:
            best, at = float(apart.max()), int(cuts[apart.argmax()])
    if best < CHANGED:
        return None
    return (np.arange(len(starts.hour)) >= whole[at]).astype(np.int64)


def _by_duration(starts: Starts) -> np.ndarray | None:
    """Long and short apart, when two humps lie at least an octave from each other."""
    seen = starts.octaves[starts.whole]
    # A duration is known to a slot: at two slots that is half an octave, at twenty nothing.
    threshold, apart = _two_classes(seen, 0.5 / 2.0 ** np.maximum(seen, 0.0))
    if apart < SEPARATION * (1.0 + FEW / max(len(seen), 1)):
        return None
    long = starts.octaves > threshold
    if np.median(starts.octaves[long]) - np.median(starts.octaves[~long]) < OCTAVE:
        return None
    return long.astype(np.int64)


def _by_hour(starts: Starts) -> np.ndarray | None:
    """Times of day apart, when the starts gather in few of them and these are not one routine."""
    arcs = _arcs(starts.hour)
    count = int(arcs.max()) + 1
    if count < 2:
        return None
    labels = arcs.copy()
    for one in range(count):
        for other in range(one + 1, count):
            if _one_routine(starts, arcs == one, arcs == other):
                labels[labels == labels[arcs == other][0]] = labels[arcs == one][0]
    names, dense = np.unique(labels, return_inverse=True)
    return dense if len(names) > 1 else None


def _arcs(hour: np.ndarray) -> np.ndarray:
    """Which gathering of starts on the clock each belongs to; all 0 when they do not gather."""
    n = len(hour)
    order = np.argsort(hour, kind="stable")
    ordered = hour[order]
    gaps = np.diff(ordered, append=ordered[0] + 24.0)
    breaks = np.flatnonzero(gaps >= QUIET_HOURS)
    if len(breaks) < 2:
        return np.zeros(n, dtype=np.int64)
    piece = np.searchsorted(breaks, np.arange(n), side="left") % len(breaks)
    sizes = np.bincount(piece)
    widths = np.array([_width(ordered[piece == p]) for p in range(len(sizes))])
    share = sizes / n
    information = float(share @ np.log(share / (widths / 24.0)))
    main = np.flatnonzero((sizes >= FEWEST) & (share >= 0.08))
    # By chance too a few starts gather somewhere: each gathering pays for its place, width and share (BIC).
    chance = CHANCE * (3 * len(sizes) - 1) * np.log(n) / (2 * n)
    if information < CONCENTRATION + chance or len(main) < 2:
        return np.zeros(n, dtype=np.int64)
    centres = np.array([_centre(ordered[piece == p]) for p in main])
    away = np.abs((ordered[:, None] - centres[None, :] + 12.0) % 24.0 - 12.0)
    labels = np.empty(n, dtype=np.int64)
    labels[order] = away.argmin(axis=1)
    return labels


def _width(hours: np.ndarray) -> float:
    """The arc that some starts cover, at least an hour."""
    turned = (hours - _centre(hours) + 12.0) % 24.0
    return max(1.0, float(turned.max() - turned.min()))


def _centre(hours: np.ndarray) -> float:
    """The mean time on the clock."""
    angle = hours * (np.pi / 12.0)
    return float(np.arctan2(np.sin(angle).mean(), np.cos(angle).mean()) * 12.0 / np.pi % 24.0)


def _one_routine(starts: Starts, one: np.ndarray, other: np.ndarray) -> bool:
    """Whether two times of day are one routine: they last alike, and mostly fall on the same days."""
    if abs(np.median(starts.octaves[one]) - np.median(starts.octaves[other])) > OCTAVE:
        return False
    days, others = set(starts.day[one].tolist()), set(starts.day[other].tolist())
    return len(days & others) >= TOGETHER * len(days | others)


def _by_month(starts: Starts) -> np.ndarray | None:
    """Edges of months apart, when what runs there starts or lasts otherwise than on all other days."""
    rest = ~starts.edge
    if min(starts.edge.sum(), rest.sum()) < FEWEST_EDGES:
        return None
    away = np.abs((starts.hour - _centre(starts.hour[rest]) + 12.0) % 24.0 - 12.0)
    longer = np.abs(starts.octaves - np.median(starts.octaves[rest]))
    for distance, least in ((away, 2 * QUIET_HOURS), (longer, 2 * OCTAVE)):
        odd = distance > max(least, 1.5 * float(np.quantile(distance[rest], 0.9)))
        if (odd & starts.edge).sum() >= max(FEWEST_EDGES, 2 * (odd & rest).sum() + 1):
            return (odd & starts.edge).astype(np.int64)
    return None


def _by_size(starts: Starts) -> np.ndarray | None:
    """Sizes apart, only when they also start at other times of day."""
    threshold, apart = _two_classes(starts.size, 0.05)
    if apart < SEPARATION:
        return None
    large = starts.size > threshold
    centres = [_centre(starts.hour[part]) for part in (large, ~large)]
    away = abs((centres[0] - centres[1] + 12.0) % 24.0 - 12.0)
    tight = [_information(starts.hour[part]) for part in (large, ~large)]
    # At another hour, or one kept to the hour while the other comes at any time.
    if (away > 2 * QUIET_HOURS and min(tight) > CONCENTRATION) or (max(tight) > 1.8 and min(tight) < 0.5):
        return large.astype(np.int64)
    return None


def _information(hour: np.ndarray) -> float:
    """How far starts are from an even spread over the day, from their mean resultant, in nats (0: even)."""
    angle = hour * (np.pi / 12.0)
    resultant = min(float(np.hypot(np.cos(angle).mean(), np.sin(angle).mean())), 0.999)
    deviation = np.sqrt(-2.0 * np.log(max(resultant, 1e-6))) * 12.0 / np.pi
    return max(0.0, float(np.log(24.0 / (deviation * np.sqrt(2.0 * np.pi * np.e) + 0.25))))
