"""A global quantile model: gradient-boosted trees over all series, direct for every step ahead.

One booster per quantile level, trained on sampled (series, origin, steps ahead) rows with the steps ahead as
a feature. What is boosted is the distance from the base line, measured by the yardstick (both in
:mod:`~persona_platform.forecasting.baseline`).
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

import numpy as np

from persona_platform.forecasting.baseline import BaseLine, Spread, error_spread, fit_base_line, lead_grid
from persona_platform.forecasting.features import Past, Rows, feature_matrix
from persona_platform.forecasting.panel import Ints
from persona_platform.forecasting.quantiles import LEVELS, Floats, sorted_quantiles

ROWS: Final = 40_000
"""Training rows of a model at most."""

_IDLE: Final = 0.01
"""Share of a series' mean below which its recent level is that of one not in use yet."""

_ROWS_PER_READING: Final = 16  # more rows of the same few origins add time and no knowledge

MOST_THREADS: Final = 2
"""OpenMP threads at most. Boosting stalls, 1 s becoming 60 s, when its threads outnumber the free cores."""

# Small trees and few of them: origins overlap, so 40,000 rows hold far fewer independent ones. 15 leaves and
# 100 rounds gained 5 % on smooth series and lost 15 % on pools of unlike workloads.
BOOSTING: Final = {"max_iter": 60, "learning_rate": 0.05, "max_leaf_nodes": 6, "min_samples_leaf": 200}


@dataclass(frozen=True)
class GradientModel:
    """Boosters for the quantile levels, and what their rows are made of."""

    ids: tuple[str, ...]
    periods: tuple[int, ...]
    max_ahead: int
    spread: Spread
    line: BaseLine
    telling: Ints  # columns of the features that differ between rows
    levels: tuple[float, ...]
    boosters: tuple[Any, ...]  # one per level: a fitted HistGradientBoostingRegressor, or Flat; or none at all


def fit_gradient(
    past: Past,
    max_ahead: int,
    *,
    seed: int,
    rows: int = ROWS,
    levels: tuple[float, ...] = LEVELS,
    boosting: Mapping[str, Any] = BOOSTING,
) -> GradientModel:
    """A model trained on everything in `past`, for targets up to `max_ahead` steps ahead."""
    spread = error_spread(past, lead_grid(max_ahead))
    sampled = in_use(past, sample_rows(past, max_ahead, min(rows, _ROWS_PER_READING * past.panel.values.size), seed))
    features = feature_matrix(past, sampled)
    level, newest = _start(past, sampled)
    moves = (past.panel.at(past.maxima, sampled.series, sampled.target) - newest) / level
    line = fit_base_line(past, sampled, features, moves, spread)
    yard = spread.of(sampled.series, sampled.ahead)
    goal = (moves - line.of(past, sampled, features, spread)) / yard
    telling = _telling(features)
    # One row or one value is no ground for a quantile: the base line stands alone.
    boosters = _boost(features[:, telling], goal, seed, levels, boosting) if goal.size > 1 and telling.size else ()
    return GradientModel(past.panel.ids, past.periods, max_ahead, spread, line, telling, levels, boosters)


def gradient_quantiles(model: GradientModel, past: Past, rows: Rows) -> Floats:
    """Quantiles (rows, the model's levels), in order, in the unit of the values; NaN where a series was not read yet.

    A series that the model was not trained on takes the pooled tables, with the spread of its own past.
    """
    level, newest = _start(past, rows)
    near = Rows(rows.series, rows.origin, np.minimum(rows.ahead, model.max_ahead))
    features = feature_matrix(past, rows)
    features[:, 0] = near.ahead
    spread, line = _of_series(model, past)
    move = line.of(past, near, features, spread)[:, None]
    if model.boosters and rows.series.size:
        with _thread_pools().limit(limits=_free_threads(), user_api="openmp"):
            raw = [booster.predict(features[:, model.telling]) for booster in model.boosters]
        move = move + spread.of(near.series, near.ahead)[:, None] * np.column_stack(raw)
    return np.sort(
        newest[:, None] + level[:, None] * np.broadcast_to(move, (rows.series.size, len(model.levels))), axis=1
    )


def sample_rows(past: Past, max_ahead: int, count: int, seed: int) -> Rows:
    """Training rows with a known target, at random over series and time.

    Half of the steps ahead are uniform, half log-uniform: the next slots decide most actions.
    """
    panel, rng = past.panel, np.random.default_rng(seed)
    total = panel.values.size
    # Some draws have no known target: twice as many as wanted, and no more than there are.
    flat = rng.integers(0, max(total, 1), size=min(2 * count, total * max_ahead))
    even = rng.integers(1, max_ahead + 1, size=flat.size)
    near = np.exp(rng.random(flat.size) * np.log(max_ahead + 1)).astype(np.int64)
    ahead = np.where(rng.random(flat.size) < 0.5, even, near)
    series, position = panel.owner()[flat], panel.positions()[flat]
    target = panel.at(past.maxima, series, position + ahead)
    kept = np.flatnonzero(~np.isnan(target + panel.at(past.newest, series, position)))[:count]
    return Rows(series[kept], position[kept], ahead[kept])


def in_use(past: Past, rows: Rows) -> Rows:
    """The rows whose series had begun to be used at the origin; all of them where none had.

    Before its first use a series is at nothing, and any move from there a million times its level: a few such
    rows of flights, which begin at night, took the 0.99 quantile to 10,000 times the largest reading.
    """
    panel = past.panel
    begun = panel.at(past.level, rows.series, rows.origin) > _IDLE * panel.sizes()[rows.series]
    kept = begun if begun.any() else np.ones_like(begun)
    return Rows(rows.series[kept], rows.origin[kept], rows.ahead[kept])


def _start(past: Past, rows: Rows) -> tuple[Floats, Floats]:
    """Level and newest reading at each row's origin."""
    at = past.panel.at
    return at(past.level, rows.series, rows.origin), at(past.newest, rows.series, rows.origin)


def _telling(features: Floats) -> Ints:
    """Columns with more than one value: the boosters' binning fails on the others."""
    if not features.shape[0]:
        return np.empty(0, dtype=np.int64)
    low = np.min(np.where(np.isnan(features), np.inf, features), axis=0)
    high = np.max(np.where(np.isnan(features), -np.inf, features), axis=0)
    return np.flatnonzero(low < high)


def _boost(
    features: Floats, goal: Floats, seed: int, levels: tuple[float, ...], boosting: Mapping[str, Any]
) -> tuple[Any, ...]:
    if goal.size < 2 * boosting["min_samples_leaf"]:
        return tuple(Flat(float(value)) for value in sorted_quantiles(np.sort(goal), levels))
    from sklearn.ensemble import HistGradientBoostingRegressor

    with _thread_pools().limit(limits=_free_threads(), user_api="openmp"):
        return tuple(
            HistGradientBoostingRegressor(
                loss="quantile",
                quantile=level,
                early_stopping=False,  # pyright: ignore[reportArgumentType] (inferred from the default "auto")
                random_state=seed,
                **boosting,
            ).fit(features, goal)
            for level in levels
        )


def _of_series(model: GradientModel, past: Past) -> tuple[Spread, BaseLine]:
    """The model's tables in the order of this panel's series."""
    ids = past.panel.ids
    if ids == model.ids:
        return model.spread, model.line
    place = {name: index for index, name in enumerate(model.ids)}
    index = np.array([place.get(name, -1) for name in ids], dtype=np.int64)
    known = (index >= 0)[:, None]
    spread = model.spread
    table, share = spread.table[index], np.where(known, model.line.share[index], 1.0)
    if not known.all():
        table = np.where(known, table, error_spread(past, spread.leads, spread.pooled).table)
    return Spread(spread.leads, table, spread.pooled), BaseLine(model.line.coefficients, share)


@dataclass(frozen=True)
class Flat:
    """What boosting comes to where no leaf can be split: one value."""

    value: float

    def predict(self, features: Floats) -> Floats:
        """The value for every row."""
        return np.full(features.shape[0], self.value)


@cache
def _thread_pools() -> Any:
    # Also loads scikit-learn's OpenMP, which a controller made before it would not see.
    import sklearn.ensemble  # noqa: F401
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()  # looking the libraries up takes 10 ms: once


def _free_threads() -> int:
    """Threads that find a core of their own now. The number changes the time, never the result."""
    try:
        busy = os.getloadavg()[0]
    except OSError:  # a platform without load averages
        busy = 0.0
    return max(1, min(MOST_THREADS, round((os.cpu_count() or 1) - busy)))
