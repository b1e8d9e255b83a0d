"""Forecasts of any series from Python: a history frame in, quantiles of every later step out.

Several ways of forecasting are learned from the history itself and averaged (blend.py), with weights that the history's
last part gave them when they were learned from the rest.
"""

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Final

import numpy as np
import polars as pl

from persona_platform.errors import InputError
from persona_platform.forecasting.blend import (
    Members,
    Weights,
    blended,
    enough,
    fit_members,
    held_out,
    learn_weights,
    plain_weights,
)
from persona_platform.forecasting.features import Past, Rows
from persona_platform.forecasting.influences import Influences, influences
from persona_platform.forecasting.panel import panel_from_history
from persona_platform.forecasting.phases import DayFacts, day_facts, event_kinds, natural_periods, one_zone
from persona_platform.forecasting.quantiles import Floats

if TYPE_CHECKING:
    from collections.abc import Sequence

_FARTHEST: Final = 720  # steps ahead that are learned one by one; later ones take the last
_LEARNED: Final = 0.7  # share of the history from which the ways are learned that are weighed on the rest
_HELD_OUT: Final = 12_000  # targets that they are weighed on
_FEWEST: Final = 100


@dataclass(frozen=True)
class Forecaster:
    """What was learned from a history. Frozen: the same call gives the same quantiles."""

    step: timedelta
    zone: str
    facts: DayFacts
    influences: Influences
    periods: tuple[int, ...]
    members: Members
    weights: Weights

    def quantiles(self, history: pl.DataFrame, horizon: int, quantiles: "Sequence[float]") -> pl.DataFrame:
        """Quantiles of the `horizon` steps after each series' own last ts.

        Args:
            history: ``series_id, ts, value``, of the series that were learned from or of others; unsorted and
                with gaps is well. Of rows with the same series and ts the first wins.
            horizon: number of steps.
            quantiles: levels between 0 and 1, exclusive.

        Returns:
            ``series_id, ts, quantile, value``, sorted. Values rise with the quantile; they are not negative
            where the series' history is not.

        Raises:
            InputError: the history breaks its contract, or horizon or quantiles are out of range.
        """
        levels = _checked(horizon, quantiles)
        panel = panel_from_history(history, self.step, self.zone)
        past = Past(panel, self.periods, self.facts, self.influences)
        count = len(panel.ids)
        series, ahead = np.repeat(np.arange(count), horizon), np.tile(np.arange(1, horizon + 1), count)
        rows = Rows(series, panel.lengths[series] - 1, ahead)
        values = blended(self.members, self.weights, past, rows, levels)
        lowest = np.full(count, np.inf)
        np.fmin.at(lowest, panel.owner(), panel.values)
        values = np.where((lowest >= 0)[series][:, None], np.maximum(values, 0.0), values)
        ts = pl.Series(panel.times(series, rows.target)).cast(pl.Datetime("us")).dt.replace_time_zone("UTC")
        return _long(pl.Series(panel.ids, dtype=pl.String).gather(series), ts, levels, values)


def fit_forecaster(
    history: pl.DataFrame,
    step: timedelta,
    *,
    covariates: pl.DataFrame | None = None,
    calendar: pl.DataFrame | None = None,
    seed: int = 0,
) -> Forecaster:
    """Learn from all series of a history together.

    Args:
        history: ``series_id, ts, value``.
        step: the distance of two readings; finer readings are averaged.
        covariates: a COVARIATES frame; a value is used from its ``known_at`` on. Values of the steps to be
            forecast must be in it now: they are not asked for again.
        calendar: a CALENDAR frame of one zone, which the series are then taken to follow; UTC without one.
        seed: of the sampling of training rows.

    Raises:
        InputError: the history breaks its contract, or the calendar has several zones.
    """
    zone = one_zone(calendar)
    panel = panel_from_history(history, step, zone)
    facts = day_facts(calendar, [zone], event_kinds(calendar))
    past = Past(panel, natural_periods(step), facts, influences(covariates))
    # Never farther than a third of the longest history: beyond it there are hardly two origins to learn from.
    farthest = int(np.clip(int(panel.lengths.max()) // 3, 1, _FARTHEST))
    members = fit_members(past, farthest, large=enough(past), seed=seed)
    return Forecaster(
        step, zone, facts, past.influences, past.periods, members, _weights(past, farthest, members, seed)
    )


def _weights(past: Past, farthest: int, members: Members, seed: int) -> Weights:
    """Weights from the last part of the history, forecast by ways that were learned from the rest."""
    panel = past.panel
    if not enough(past):
        return plain_weights(members)
    early = replace(past, panel=panel.before((panel.lengths * _LEARNED).astype(np.int64)))
    reach = min(farthest, max(1, int(early.panel.lengths.max()) // 3))
    rows = held_out(replace(past, causal=True), _LEARNED, farthest, _HELD_OUT, seed)
    trial = fit_members(early, reach, large=True, seed=seed)
    said = trial.quantiles(replace(past, causal=True), rows)
    actual = panel.at(past.maxima, rows.series, rows.target)
    told = np.isfinite(said).all(axis=(1, 2)) & np.isfinite(actual)
    if told.sum() < _FEWEST:
        return plain_weights(members)
    kept = Rows(rows.series[told], rows.origin[told], rows.ahead[told])
    sizes = panel.sizes()
    return learn_weights(said[told], actual[told], kept, panel.ids, np.where(sizes > 0, sizes, 1.0))


def forecast_quantiles(
    history: pl.DataFrame,
    horizon: int,
    step: timedelta,
    quantiles: "Sequence[float]",
    *,
    covariates: pl.DataFrame | None = None,
    calendar: pl.DataFrame | None = None,
    seed: int = 0,
) -> pl.DataFrame:
    """:func:`fit_forecaster` and :meth:`Forecaster.quantiles` on the same history, in one."""
    _checked(horizon, quantiles)
    forecaster = fit_forecaster(history, step, covariates=covariates, calendar=calendar, seed=seed)
    return forecaster.quantiles(history, horizon, quantiles)


def _checked(horizon: int, quantiles: "Sequence[float]") -> Floats:
    if horizon < 1:
        raise InputError(f"horizon is {horizon}; it counts steps and is at least 1.")
    levels = np.unique(np.asarray(quantiles, dtype=np.float64))
    if not levels.size or not np.all((levels > 0) & (levels < 1)):
        raise InputError(f"quantiles are {list(quantiles)}; give at least one, each between 0 and 1 exclusive.")
    return levels


def _long(series_id: pl.Series, ts: pl.Series, levels: Floats, values: Floats) -> pl.DataFrame:
    rows = np.repeat(np.arange(values.shape[0]), levels.size)
    return pl.DataFrame(
        {
            "series_id": series_id.gather(rows),
            "ts": ts.gather(rows),
            "quantile": np.tile(levels, values.shape[0]),
            "value": values.ravel(),
        }
    )
