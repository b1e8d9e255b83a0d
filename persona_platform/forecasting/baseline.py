"""What the trees start from: a base line for each row, and the yardstick its errors are measured with.

The base line is the newest reading, moved by a ridge regression on the recent mean and on the same phase of
earlier cycles, for each step ahead; a series whose own past does not follow it takes less of the move. The
yardstick is how far a series strays from its newest reading at that many steps ahead. On pools of unlike
workloads the yardstick alone took the pinball at 0.95 one step ahead from 1.4 to 0.9 of persistence's:
without it the trees spend themselves on telling near from far.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from persona_platform.forecasting.features import Past, Rows, feature_names
from persona_platform.forecasting.panel import Ints
from persona_platform.forecasting.quantiles import Floats
from persona_platform.sums import one_thread

_TRUST: Final = 30.0  # errors of a series' own that weigh as much as the figure pooled over series
_RIDGE: Final = 20.0
_OWN: Final = 20.0  # rows of a series' own that weigh as much as the belief that it follows the pooled move
_CLIP: Final = 6.0  # yardsticks beyond which a move counts no further: one burst must not bend the line


def lead_grid(max_ahead: int) -> Ints:
    """Steps ahead for which tables are kept: 1, 2, 3, 4, 6, 8, 12, 16, 24, ... and the last."""
    grid, step = {1, 2, 3, max_ahead}, 4
    while step < max_ahead:
        grid |= {step, step * 3 // 2}
        step *= 2
    return np.array(sorted(ahead for ahead in grid if ahead <= max_ahead), dtype=np.int64)


def between(leads: Ints, ahead: Ints) -> tuple[Ints, Ints, Floats]:
    """The grid's entries around each number of steps ahead, and the share of the upper one."""
    place = np.interp(ahead, leads, np.arange(leads.size))
    low = np.floor(place).astype(np.int64)
    return low, np.minimum(low + 1, leads.size - 1), place - low


@dataclass(frozen=True)
class Spread:
    """Mean distance from the newest reading, in the series' level, of each series and of all together."""

    leads: Ints
    table: Floats  # (series, leads)
    pooled: Floats  # (leads,)

    def of(self, series: Ints, ahead: Ints) -> Floats:
        """The yardstick of each row."""
        low, high, share = between(self.leads, ahead)
        return (1 - share) * self.table[series, low] + share * self.table[series, high]


def error_spread(past: Past, leads: Ints, pooled: Floats | None = None) -> Spread:
    """The spread of each series; a short one is drawn towards the pooled (the panel's own unless given)."""
    panel = past.panel
    series, position, count = panel.owner(), panel.positions(), len(panel.ids)
    table, together = np.empty((count, leads.size)), np.empty(leads.size)
    for column, ahead in enumerate(leads):
        move = np.abs(panel.at(past.maxima, series, position + ahead) - past.newest) / past.level
        known = ~np.isnan(move)
        total = np.bincount(series[known], np.minimum(move[known], 10.0), minlength=count)
        seen = np.bincount(series[known], minlength=count)
        together[column] = total.sum() / max(seen.sum(), 1) if pooled is None else pooled[column]
        table[:, column] = (total + _TRUST * together[column]) / (seen + _TRUST)
    return Spread(leads, np.maximum(table, 1e-3), together)


@dataclass(frozen=True)
class BaseLine:
    """Coefficients of the move by step ahead, and how much of it each series takes."""

    coefficients: Floats  # (leads, directions)
    share: Floats  # (series, leads)

    def of(self, past: Past, rows: Rows, features: Floats, spread: Spread) -> Floats:
        """The move of each row from its newest reading, in the series' level."""
        low, high, upper = between(spread.leads, rows.ahead)
        share = (1 - upper) * self.share[rows.series, low] + upper * self.share[rows.series, high]
        return share * _pooled_move(self.coefficients, past, rows, features, spread)


def fit_base_line(past: Past, rows: Rows, features: Floats, moves: Floats, spread: Spread) -> BaseLine:
    """The base line that explains `moves` (target minus newest, in levels) of the training rows."""
    leads, shape = spread.leads, (len(past.panel.ids), spread.leads.size)
    if not moves.size:
        return BaseLine(np.zeros((leads.size, _directions(past, features).shape[1])), np.ones(shape))
    directions, yard = _directions(past, features), spread.of(rows.series, rows.ahead)
    low, high, upper = between(leads, rows.ahead)
    heights, tame = directions / yard[:, None], np.clip(moves / yard, -_CLIP, _CLIP)
    far = np.max(np.abs(heights), axis=1, initial=_CLIP) / _CLIP
    heights, tame = heights / far[:, None], tame / far
    coefficients = np.empty((leads.size, directions.shape[1]))
    with one_thread():
        for lead in range(leads.size):
            weight = np.where(low == lead, 1 - upper, 0.0) + np.where((high == lead) & (high > low), upper, 0.0)
            near = weight > 0
            weighed = heights[near].T * weight[near]
            gram = weighed @ heights[near] + _RIDGE * np.eye(directions.shape[1])
            coefficients[lead] = np.linalg.solve(gram, weighed @ tame[near])
    pooled = np.clip(_pooled_move(coefficients, past, rows, features, spread) / yard, -_CLIP, _CLIP)
    followed = np.clip(moves / yard, -_CLIP, _CLIP)
    cell = rows.series * leads.size + np.where(upper < 0.5, low, high)
    along = np.bincount(cell, followed * pooled, minlength=shape[0] * shape[1])
    squared = np.bincount(cell, pooled**2, minlength=shape[0] * shape[1])
    prior = _OWN * float(np.mean(pooled**2)) + 1e-12
    return BaseLine(coefficients, np.clip((along + prior) / (squared + prior), 0.0, 1.2).reshape(shape))


def _pooled_move(coefficients: Floats, past: Past, rows: Rows, features: Floats, spread: Spread) -> Floats:
    low, high, upper = between(spread.leads, rows.ahead)
    mixed = (1 - upper)[:, None] * coefficients[low] + upper[:, None] * coefficients[high]
    return np.sum(_directions(past, features) * mixed, axis=1)


def _directions(past: Past, features: Floats) -> Floats:
    """Where a series may go from its newest reading, in levels; 0 where it is not known."""
    column = {name: index for index, name in enumerate(feature_names(past))}
    newest = features[:, column["newest"]]
    found = [features[:, column["mean 4"]] - newest]
    for period in past.periods:
        found += [features[:, column[f"{what} {period}"]] - newest for what in ("mean", "ago", "cycles mean")]
        found.append(features[:, column[f"move {period}"]])
    return np.nan_to_num(np.column_stack(found))
