"""Uplift: what an event changes in the need, told from what moves a persona on any other day.

The fleet moves together within a day, so slots are no sample: an event's days are. What is measured for an
event is measured for stretches of ordinary days as well (pseudo-events), and that spread is the noise.
"""

from dataclasses import dataclass
from datetime import timedelta
from typing import Final, NamedTuple

import numpy as np
import polars as pl

from persona_platform.frames import Schema
from persona_platform.personas.portrait.placing import placed

HOURS: Final = 168
TOUCHED: Final = 0.05
"""Share of saturated slots above which an hour of the week tells nothing of an event: the rest is what was low."""

DAYS: Final[Schema] = {
    "row": pl.UInt32,  # of the pattern
    "day": pl.Int32,  # UTC, counted from 1970
    "state": pl.String,  # the kinds of event that last, joined by BESIDE; empty on ordinary slots
    "n": pl.UInt32,  # slots
    "log": pl.Float64,  # summed log of the main need to its ordinary mean at the same hour of the week
}
BESIDE: Final = "\x1f"


def event_states(slots: pl.DataFrame, events: pl.DataFrame, slot: timedelta) -> tuple[np.ndarray, list[str]]:
    """The state of each slot as a number, and the states by number, the ordinary one (empty) first."""
    state, names = np.zeros(slots.height, dtype=np.int64), [""]
    at, kinds = placed(slots, events.select("workload_id", "slot", "kind"), slot)
    of = kinds["kind"]
    for kind in of.unique().sort():
        lasts = np.zeros(slots.height, dtype=bool)
        lasts[at[(of == kind).to_numpy()]] = True
        where = np.flatnonzero(lasts)
        before = state[where]
        for other in np.flatnonzero(np.bincount(before)).tolist():
            names.append(f"{names[other]}{BESIDE}{kind}" if other else kind)
            state[where[before == other]] = len(names) - 1
    return state, names


def residual_days(
    slots: pl.DataFrame,
    row: np.ndarray,
    rows: int,
    log: np.ndarray,
    states: tuple[np.ndarray, list[str]],
    slot: timedelta,
) -> pl.DataFrame:
    """How each pattern's days differ from its ordinary hours of the week, as DAYS."""
    state, names = states
    saturated = slots["saturated"].to_numpy()
    hour = slots["hour_of_week"].to_numpy().astype(np.int64)
    day = slots["tick"].to_numpy() * int(slot.total_seconds()) // 86_400
    finite = np.isfinite(log)
    cell = row * HOURS + hour
    size = rows * HOURS
    tellable = np.ones((len(names), size), dtype=bool)
    for s in range(len(names)):
        here = finite & (state == s)
        n = np.bincount(cell[here], minlength=size)
        tellable[s] = np.bincount(cell[here & saturated], minlength=size) <= TOUCHED * n
    kept = finite & ~saturated & tellable[state, cell]
    ordinary = kept & (state == 0)
    n = np.bincount(cell[ordinary], minlength=size)
    usual = np.bincount(cell[ordinary], log[ordinary], minlength=size) / np.maximum(n, 1)
    kept &= n[cell] > 0
    if not kept.any():
        return pl.DataFrame(schema=DAYS)
    first = int(day.min())
    span = int(day.max()) - first + 1
    place = (row[kept] * span + (day[kept] - first)) * len(names) + state[kept]
    count = np.bincount(place)
    moved = np.bincount(place, log[kept] - usual[cell[kept]])
    found = np.flatnonzero(count)
    where = found // len(names)
    return pl.DataFrame(
        {
            "row": where // span,
            "day": where % span + first,
            "state": pl.Series(names).gather(found % len(names)),
            "n": count[found],
            "log": moved[found],
        }
    ).cast(DAYS)  # type: ignore[arg-type]


REACH: Final = np.arange(-1.6, 2.4001, 0.005)
"""Logarithms of ratios that are thought possible: from a fifth to elevenfold."""
DOUBT: Final = 0.12
"""Scale of what a kind of event does to personas in general, before anything is known (Laplace)."""
SCALES: Final = (0.02, 0.05, 0.1, 0.2, 0.4)
"""Scales to try for how personas differ in what a kind of event does to them (Student's t)."""
TAILS: Final = 1.0
"""Its degrees of freedom: most personas are as the others, a few are not at all."""
PRIOR: Final = 4.0
"""Stretches' worth of belief that a persona's ordinary days move as those of the others do."""
LEAST: Final = 0.01
"""Standard deviation of a stretch at least."""
NEAR: Final = 4.0
"""Days after which an ordinary day speaks a third as loud of what was usual."""
FULL: Final = 0.6
"""Share of the days of a stretch that must be ordinary and played for it to be a pseudo-event."""
LONGEST: Final = 10
"""Days of a stretch, of which longer ones are taken to move like these."""
THIN: Final = 0.2
"""Ordinary days with less than this share of the usual slots are left out."""
INTERVAL: Final = (0.025, 0.5, 0.975)


class NeedUplift(NamedTuple):
    """The ratio of the need while an event lasts to the same hours of the week without, with its 95 % interval."""

    ratio: float
    low: float
    high: float


@dataclass(frozen=True)
class Steadiness:
    """How a persona's ordinary days move.

    ``spread`` has the variances of the means of 1, 2, ... days in a row; ``blocks`` is how many ordinary days
    there were, ``slots`` how many slots one has.
    """

    spread: np.ndarray
    blocks: int
    slots: float

    def variance(self, days: int, usual: np.ndarray) -> tuple[float, float]:
        """The variance of the mean of a stretch, and its degrees of freedom."""
        at = min(days, len(usual)) - 1
        own = self.spread[at] if at < len(self.spread) else np.nan
        freedom = max(self.blocks / days - 1.0, 0.0) if np.isfinite(own) else 0.0
        mixed = ((own * freedom if freedom > 0 else 0.0) + PRIOR * usual[at]) / (freedom + PRIOR)
        return max(float(mixed), LEAST**2), freedom + PRIOR


@dataclass(frozen=True)
class Stretch:
    """Adjoining days of one state: its kinds, the mean log ratio, how many days, and how many slots in one."""

    kinds: tuple[str, ...]
    mean: float
    days: int
    slots: float


def persona_days(days: pl.DataFrame) -> tuple[list[Stretch], Steadiness]:
    """Event stretches of a persona, and how its ordinary days move, from its members' DAYS.

    Every stretch is told from the ordinary days around it, so that growth, season and weather are in both.
    """
    table = days.group_by("day", "state").agg(pl.col("n").sum(), pl.col("log").sum()).sort("state", "day")
    plain = _Ordinary.of(table.filter(pl.col("state") == ""))
    steadiness = Steadiness(plain.spread(), len(plain.day), float(plain.n.mean()) if len(plain.n) else 0.0)
    if not len(plain.day):
        return [], steadiness
    begins = (pl.col("day").diff() > 1) | (pl.col("state") != pl.col("state").shift(1))
    grouped = (
        table.filter(pl.col("state") != "")
        .with_columns(stretch=begins.fill_null(value=True).cum_sum())
        .group_by("stretch", "state", maintain_order=True)
        .agg(
            mean=pl.col("log").sum() / pl.col("n").sum(),
            first=pl.col("day").min(),
            last=pl.col("day").max(),
            slots=pl.col("n").mean(),
        )
    )
    around = plain.around(grouped["first"].to_numpy(), grouped["last"].to_numpy())
    return [
        Stretch(tuple(state.split(BESIDE)), float(mean - usual), last - first + 1, n)
        for (state, mean, first, last, n), usual in zip(
            grouped.select("state", "mean", "first", "last", "slots").iter_rows(), around, strict=True
        )
    ], steadiness


class _Ordinary(NamedTuple):
    """A persona's ordinary days: the day, its slots, the mean of their log ratio."""

    day: np.ndarray
    n: np.ndarray
    mean: np.ndarray

    @staticmethod
    def of(plain: pl.DataFrame) -> "_Ordinary":
        """Of the rows of ordinary days, in order; a day that hardly anybody played tells nothing."""
        n = plain["n"].to_numpy().astype(float)
        mean = plain["log"].to_numpy() / np.maximum(n, 1.0)
        kept = n >= THIN * np.median(n) if len(n) else np.zeros(0, dtype=bool)
        return _Ordinary(plain["day"].to_numpy().astype(np.int64)[kept], n[kept], mean[kept])

    def around(self, first: np.ndarray, last: np.ndarray) -> np.ndarray:
        """The mean of the ordinary days around some stretches, near ones first, their own left out."""
        before, after = first[:, None] - self.day, self.day - last[:, None]
        gap = np.maximum(before, after)
        weight = np.where(gap > 0, np.exp(-gap / NEAR), 0.0) * self.n
        total = weight.sum(axis=1)
        return np.divide(weight @ self.mean, total, out=np.zeros(len(first)), where=total > 0)

    def spread(self) -> np.ndarray:
        """(LONGEST,) variances of stretches of 1, 2, ... ordinary days about the days around them."""
        found = np.full(LONGEST, np.nan)
        for length in range(1, LONGEST + 1):
            inside = (self.day >= self.day[:, None]) & (self.day < self.day[:, None] + length)
            whole = inside.sum(axis=1) >= FULL * length
            if whole.sum() < 2 or len(self.day) < 3 * length:
                continue
            weight = inside[whole] * self.n
            first = self.day[whole]
            apart = (weight @ self.mean) / weight.sum(axis=1) - self.around(first, first + length - 1)
            found[length - 1] = np.square(apart).mean()
        return found


def usual_spread(steadiness: list[Steadiness]) -> np.ndarray:
    """(LONGEST,) the median persona's variances, filled where none has any."""
    table = np.array([s.spread for s in steadiness]).reshape(-1, LONGEST)
    known = np.isfinite(table).any(axis=0)
    usual = np.full(LONGEST, 0.05**2)
    if known.any():
        usual[known] = np.nanmedian(table[:, known], axis=0)
    return usual


def need_uplifts(kinds: list[str], personas: list[tuple[list[Stretch], Steadiness]]) -> list[list[NeedUplift]]:
    """For each persona what each kind of event does to its need.

    A kind of event does something to personas in general, and a persona differs from that: both are learned
    from all personas that saw one, and believed to be nothing before. Densities are on the grid REACH. An event
    that lies over another is told after the other's effect is taken off, which is told from events that lie alone.
    """
    usual = usual_spread([s for _, s in personas])
    effect = np.zeros((len(personas), len(kinds), 2))  # median of the log ratio, its variance
    found: list[list[NeedUplift]] = [[] for _ in personas]
    mixed = any(len(stretch.kinds) > 1 for stretches, _ in personas for stretch in stretches)
    for alone in (True, False, False) if mixed else (True,):
        found = [[] for _ in personas]
        fresh = effect.copy()
        for k, kind in enumerate(kinds):
            seen = [_seen(kind, kinds, effect[p], alone, *personas[p], usual) for p in range(len(personas))]
            for p, density in enumerate(_posteriors(np.array(seen).reshape(-1, len(REACH)))):
                low, middle, high = np.interp(INTERVAL, np.cumsum(density), REACH)
                fresh[p, k] = middle, ((high - low) / 3.92) ** 2
                found[p].append(NeedUplift(*(float(np.exp(v)) for v in (middle, low, high))))
        effect = fresh
    return found


def _seen(
    kind: str,
    kinds: list[str],
    effect: np.ndarray,
    alone: bool,
    stretches: list[Stretch],
    steady: Steadiness,
    usual: np.ndarray,
) -> np.ndarray:
    """The log likelihood over REACH of what a persona saw of a kind."""
    log = np.zeros(len(REACH))
    for stretch in stretches:
        if kind not in stretch.kinds or (alone and len(stretch.kinds) > 1):
            continue
        beside = [kinds.index(other) for other in stretch.kinds if other != kind]
        variance, freedom = steady.variance(stretch.days, usual)
        variance *= max(1.0, steady.slots / max(stretch.slots, 1e-9))
        variance += float(effect[beside, 1].sum())
        z2 = np.square(stretch.mean - float(effect[beside, 0].sum()) - REACH) / variance
        log -= 0.5 * (freedom + 1.0) * np.log1p(z2 / freedom)
    return log


def _posteriors(seen: np.ndarray) -> np.ndarray:
    """(personas, REACH) posterior masses of one kind from (personas, REACH) log likelihoods."""
    likelihood = np.exp(seen - seen.max(axis=1, keepdims=True))
    general = np.exp(-np.abs(REACH) / DOUBT)
    evidence, drawn = [], []
    for scale in SCALES:
        z2 = np.square((REACH[:, None] - REACH[None, :]) / scale)
        differs = (1.0 + z2 / TAILS) ** (-0.5 * (TAILS + 1.0))
        differs /= differs.sum(axis=0, keepdims=True)
        own = np.log(np.maximum(likelihood @ differs, 1e-300))  # (personas, what the kind does in general)
        rest = np.log(general / general.sum()) + own.sum(axis=0)
        evidence.append(np.log(np.exp(rest - rest.max()).sum()) + rest.max())
        without = rest[None, :] - own
        weight = np.exp(without - without.max(axis=1, keepdims=True))
        post = likelihood * (weight @ differs.T)
        drawn.append(post / post.sum(axis=1, keepdims=True))
    share = np.exp(np.array(evidence) - max(evidence))
    return np.tensordot(share / share.sum(), np.array(drawn), axes=1)
