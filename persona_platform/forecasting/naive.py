"""Persistence and seasonal naive, each with the quantiles of its own past errors by steps ahead.

The baselines that a forecast must beat to be given weight. Errors are taken as differences or as ratios,
whichever had the lower pinball loss in a series' past (additive suits small numbers, ratios bursts).
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import ArrayLike

from persona_platform.forecasting.baseline import between, lead_grid
from persona_platform.forecasting.features import Past, Rows, cycles_before, latest_of
from persona_platform.forecasting.panel import Ints
from persona_platform.forecasting.quantiles import Floats, at_levels, pinball, sorted_quantiles

PERSISTENCE: Final = 0
"""The period that stands for the newest reading instead of an earlier cycle."""

ERROR_LEVELS: Final = (0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.975, 0.99, 0.995)
_SMALL: Final = 0.01  # share of a series' mean size below which nothing is divided by a reading
_JUDGED: Final = (0.5, 0.9, 0.95)  # levels whose pinball chooses between additive and ratio, and the period
_ORIGINS: Final = 400_000  # origins over all series that an error table looks back on, per step ahead


@dataclass(frozen=True)
class ErrorTables:
    """Error quantiles of each series, period and step ahead; ratios are less one, so that 0 is no error."""

    ids: tuple[str, ...]
    periods: tuple[int, ...]  # PERSISTENCE first, then the seasonal ones
    leads: Ints
    errors: Floats  # (series, periods, leads, ERROR_LEVELS)
    ratio: np.ndarray  # (series, periods) bool: the errors are ratios
    loss: Floats  # (series, periods) mean pinball over the leads; inf where the period was never seen

    @property
    def season(self) -> Ints:
        """Index of the best seasonal period of each series; persistence where none was ever seen."""
        if len(self.periods) == 1:
            return np.zeros(len(self.ids), dtype=np.int64)
        best = np.argmin(self.loss[:, 1:], axis=1) + 1
        seen = np.isfinite(np.take_along_axis(self.loss, best[:, None], axis=1)[:, 0])
        return np.where(seen, best, 0)

    @property
    def best(self) -> Ints:
        """Index of the period, persistence included, with the lowest loss."""
        return np.argmin(self.loss, axis=1)


def error_tables(past: Past, max_ahead: int) -> ErrorTables:
    """Tables over the newest origins of every series in `past`."""
    panel, leads, periods = past.panel, lead_grid(max_ahead), (PERSISTENCE, *past.periods)
    count = len(panel.ids)
    width = int(np.clip(_ORIGINS // max(count, 1), 60, max(int(panel.lengths.max(initial=1)), 1)))
    origins = panel.lengths[:, None] - 1 - np.arange(width)
    series = np.broadcast_to(np.arange(count)[:, None], origins.shape)
    errors = np.empty((2, count, len(periods), leads.size, len(ERROR_LEVELS)))
    losses = np.empty((2, count, len(periods), leads.size))
    for column, ahead in enumerate(leads):
        rows = Rows(series.ravel(), origins.ravel(), np.full(origins.size, ahead))
        actual = panel.at(past.maxima, rows.series, rows.target).reshape(origins.shape)
        for index, period in enumerate(periods):
            base = base_values(past, rows, period).reshape(origins.shape)
            for form in (0, 1):
                quantiles, losses[form, :, index, column] = _errors(actual, base, ratio=form == 1)
                errors[form, :, index, column] = np.nan_to_num(quantiles)
    total = np.where(np.isnan(losses).all(axis=-1), np.inf, _mean(losses))
    ratio = total[1] < total[0]
    return ErrorTables(
        ids=panel.ids,
        periods=periods,
        leads=leads,
        errors=np.where(ratio[..., None, None], errors[1], errors[0]),
        ratio=ratio,
        loss=np.minimum(total[0], total[1]),
    )


def naive_quantiles(tables: ErrorTables, past: Past, rows: Rows, which: Ints, levels: ArrayLike) -> Floats:
    """Quantiles (rows, levels), in order; `which` is the index of each series' period in the tables.

    Where none of the last cycles was read, the newest reading stands in, with the errors of the cycle.
    """
    of_series = _rows_of(tables, past)
    mine = of_series[rows.series]
    period = which[mine]
    newest = past.panel.at(past.newest, rows.series, rows.origin)
    base = newest.copy()
    for index, length in enumerate(tables.periods):
        chosen = np.flatnonzero(period == index)
        if length and chosen.size:
            some = Rows(rows.series[chosen], rows.origin[chosen], rows.ahead[chosen])
            base[chosen] = base_values(past, some, length)
    base = np.where(np.isnan(base), newest, base)
    low, high, share = between(tables.leads, rows.ahead)
    below, above = tables.errors[mine, period, low], tables.errors[mine, period, high]
    error = at_levels(below + share[:, None] * (above - below), ERROR_LEVELS, levels)
    size = np.where(tables.ratio[mine, period], base, 1.0)
    return base[:, None] + size[:, None] * error


def base_values(past: Past, rows: Rows, period: int) -> Floats:
    """What the rule says before errors: the newest reading, or the latest cycle read before the origin."""
    if period == PERSISTENCE:
        return past.panel.at(past.newest, rows.series, rows.origin)
    return latest_of(cycles_before(past, rows, period)[1])


def with_unknown(tables: ErrorTables, past: Past) -> ErrorTables:
    """Tables that cover every series of `past`: those of a series they lack are made from its own past."""
    if set(past.panel.ids) <= set(tables.ids):
        return tables
    fresh = error_tables(past, int(tables.leads[-1]))
    new = np.array([name not in set(tables.ids) for name in fresh.ids])
    return ErrorTables(
        ids=tables.ids + tuple(np.asarray(fresh.ids, dtype=object)[new]),
        periods=tables.periods,
        leads=tables.leads,
        errors=np.concatenate([tables.errors, fresh.errors[new]]),
        ratio=np.concatenate([tables.ratio, fresh.ratio[new]]),
        loss=np.concatenate([tables.loss, fresh.loss[new]]),
    )


def _rows_of(tables: ErrorTables, past: Past) -> Ints:
    place = {name: index for index, name in enumerate(tables.ids)}
    return np.array([place[name] for name in past.panel.ids], dtype=np.int64)


def _errors(actual: Floats, base: Floats, *, ratio: bool) -> tuple[Floats, Floats]:
    """Error quantiles and mean pinball of each series over its origins, both (series, origins)."""
    # A ratio to nearly nothing tells nothing: such origins are left out of it, and count when it is judged.
    least = _SMALL * np.nan_to_num(_mean(np.abs(actual)))[:, None]
    error = (actual - base) / np.where(base > least, base, np.nan) if ratio else actual - base
    quantiles = sorted_quantiles(np.sort(error, axis=1), ERROR_LEVELS)
    step = at_levels(np.nan_to_num(quantiles), ERROR_LEVELS, _JUDGED)[:, None, :]
    forecast = base[..., None] * (1 + step) if ratio else base[..., None] + step
    scored = pinball(actual[..., None], forecast, _JUDGED)
    return quantiles, _mean(scored.reshape(scored.shape[0], -1))


def _mean(values: Floats) -> Floats:
    """Mean over the last axis of what is not NaN; NaN where nothing is."""
    known = ~np.isnan(values)
    total = np.where(known, values, 0.0).sum(axis=-1) / np.maximum(known.sum(axis=-1), 1)
    return np.where(known.any(axis=-1), total, np.nan)
