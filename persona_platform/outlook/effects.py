"""What the plain week does not say: holidays, marks on the calendar, shared shocks.

Everything is judged against left-out hazards, in one pass over the exposures. The results are over the states
of the roster and then over personas, which have no exposures of their own and so receive their members'
answer.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from persona_platform.outlook.ages import UNKNOWN
from persona_platform.outlook.blend import Views, blended
from persona_platform.outlook.counts import RISKS, Cells, Pools, cells
from persona_platform.outlook.exposure import START, Exposures
from persona_platform.outlook.frailty import estimate
from persona_platform.outlook.grid import CalendarGrid
from persona_platform.outlook.holidays import like_day_off
from persona_platform.outlook.offsets import Marked, fit_offsets
from persona_platform.outlook.shrinkage import expit
from persona_platform.outlook.source import Source
from persona_platform.outlook.views import Where, age_view, base_view, day_off_view, week_view

DAY_US = 86_400_000_000
"""Microseconds in a day."""


@dataclass(frozen=True)
class Effects:
    """Arrays over states and then personas."""

    like_off: np.ndarray  # (risks, T)
    offsets: np.ndarray  # (risks, T, kinds)
    variance: np.ndarray  # (personas,)


def left_out(rows: Exposures, where: Cells) -> Where:
    """Each exposure without itself; holidays were never counted."""
    own = np.where(where.holiday, 0.0, rows.weight)
    return Where(rows.risk, rows.state, where.place, where.age, own, own * rows.happened)


def views_at(levels: Pools, at: Where, strengths: Mapping[str, np.ndarray]) -> tuple[Views, np.ndarray]:
    """The three views, and the week's view as it would be on a day off."""
    base = base_view(levels, at)
    week, age = week_view(levels, at, base, strengths), age_view(levels, at, base, strengths)
    return Views(base.state, week, age), day_off_view(levels, at, base, strengths)


@dataclass(frozen=True)
class _Judged:
    """One chunk's exposures: on holidays, on marks, and the starts by day."""

    holiday: tuple[np.ndarray, ...]  # risk, state, usual, as on a day off, happened
    marked: tuple[np.ndarray, ...]  # the fields of Marked
    starts: tuple[np.ndarray, ...]  # persona, day, rate, happened


def learn_effects(source: Source, levels: Pools, strengths: Mapping[str, np.ndarray], weights: np.ndarray) -> Effects:
    """Holidays, offsets and shocks of a fitted blend."""
    personas = len(source.roster.persona_ids)
    everyone = np.concatenate([source.roster.persona, np.arange(personas)])
    judged = [_judge(rows, source, levels, strengths, weights) for _, _, rows in source.chunks()]
    if not judged:
        judged = [_Judged(_nothing(5), _nothing(5), _nothing(4))]

    def joined(name: str) -> list[np.ndarray]:
        return [np.concatenate(parts) for parts in zip(*(getattr(j, name) for j in judged), strict=True)]

    risk, state, usual, day_off, happened = joined("holiday")
    return Effects(
        like_off=like_day_off(risk, state, usual, day_off, happened, persona=everyone, personas=personas, risks=RISKS),
        offsets=fit_offsets(Marked(*joined("marked")), everyone, personas, len(source.grid.kinds), RISKS),
        variance=estimate(*joined("starts"), personas=personas),
    )


def _judge(
    rows: Exposures,
    source: Source,
    levels: Pools,
    strengths: Mapping[str, np.ndarray],
    weights: np.ndarray,
) -> _Judged:
    grid: CalendarGrid = source.grid
    where = cells(rows, grid)
    views, as_day_off = views_at(levels, left_out(rows, where), strengths)
    unknown = (where.age == UNKNOWN).astype(np.int64)
    weighing = weights[rows.risk, source.roster.persona[rows.state], unknown]
    usual = blended(weighing, views)
    day_off = blended(weighing, replace(views, week=as_day_off))
    marks = grid.marks[:, rows.zone, rows.column]
    h = np.flatnonzero(where.holiday)
    kind, m = np.nonzero(marks & ~where.holiday)
    s = np.flatnonzero((rows.risk == START) & ~where.holiday & ~marks.any(axis=0))
    day = (rows.column[s] + grid.first) * grid.week.slot_us // DAY_US
    return _Judged(
        holiday=(rows.risk[h], rows.state[h], usual[h], day_off[h], rows.happened[h]),
        marked=(kind, rows.risk[m], rows.state[m], usual[m], rows.happened[m]),
        starts=(source.roster.persona[rows.state[s]], day, expit(usual[s]), rows.happened[s]),
    )


def _nothing(columns: int) -> tuple[np.ndarray, ...]:
    return tuple(np.zeros(0, dtype=np.int64) for _ in range(columns))
