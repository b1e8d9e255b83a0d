"""The two methods as sktime forecasters, for use with sktime's tuning, pipelines and evaluation.

The numbers come from the same functions as the live route's; here is only the conversion of data containers.
Importing this module imports sktime (6 s): nothing else in the package imports it.
"""

# ruff: noqa: N803 (sktime's own name for exogenous data)
# pyright: reportIncompatibleMethodOverride=false
# (sktime documents these overrides; its base signatures are wider)

from collections.abc import Hashable, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from sktime.forecasting.base import BaseForecaster, ForecastingHorizon

from persona_platform.errors import InputError
from persona_platform.forecasting.features import Past, Rows
from persona_platform.forecasting.gradient import GradientModel, fit_gradient, gradient_quantiles
from persona_platform.forecasting.naive import error_tables, naive_quantiles
from persona_platform.forecasting.panel import Ints, make_panel
from persona_platform.forecasting.phases import NO_FACTS
from persona_platform.forecasting.quantiles import LEVELS, Floats, at_levels


class _QuantileForecaster(BaseForecaster):
    """What both share: one series in, quantiles of integer steps ahead out; the median as point forecast."""

    _tags: ClassVar[dict[str, Any]] = {
        "authors": "persona-platform",
        "maintainers": "persona-platform",
        "y_inner_mtype": "pd.Series",
        "X_inner_mtype": "pd.DataFrame",
        "capability:multivariate": False,
        "capability:exogenous": False,
        "capability:insample": False,
        "capability:pred_int": True,
        "capability:pred_int:insample": False,
        "capability:missing_values": True,
        "requires-fh-in-fit": False,
    }
    _config: ClassVar[dict[str, Any]] = {"warnings": "off"}  # of the defaults of later sktime versions

    periods: "Sequence[int]"
    zone: str | None

    def _past(self, rows: "Mapping[str, Any]") -> Past:
        clock = None if self.zone is None else [_clock(row.index) for row in rows.values()]
        steps = {step for _, step in clock} if clock else {1}
        if len(steps) > 1:
            raise InputError("The series have different steps; a zone needs one step for all.")
        last = np.zeros(len(rows)) if clock is None else [instant for instant, _ in clock]
        zones = None if self.zone is None else [self.zone] * len(rows)
        values = [row.to_numpy(dtype=np.float64) for row in rows.values()]
        panel = make_panel(list(rows), values, last, steps.pop(), zones=zones)
        return Past(panel, tuple(sorted(self.periods)), NO_FACTS)

    def _predict(self, fh: ForecastingHorizon, X: pd.DataFrame | None = None) -> pd.Series:
        del X
        median = self._at(fh, [0.5])[:, 0]
        return pd.Series(median, index=fh.to_absolute_index(self.cutoff), name=self._name)

    def _predict_quantiles(self, fh: ForecastingHorizon, X: pd.DataFrame | None, alpha: list[float]) -> pd.DataFrame:
        del X
        columns = pd.MultiIndex.from_product([self._get_varnames(), alpha])
        return pd.DataFrame(self._at(fh, alpha), index=fh.to_absolute_index(self.cutoff), columns=columns)

    def _at(self, fh: ForecastingHorizon, alpha: list[float]) -> Floats:
        ahead = np.asarray(fh.to_relative(self.cutoff).to_pandas(), dtype=np.int64)
        last = int(self._known.panel.lengths[0]) - 1
        rows = Rows(np.zeros_like(ahead), np.full_like(ahead, last), ahead)
        return self._quantiles(rows, alpha)

    _known: Past
    _name: Hashable

    def _quantiles(self, rows: Rows, alpha: list[float]) -> Floats:
        raise NotImplementedError


class SeasonalNaiveQuantiles(_QuantileForecaster):
    """The same phase of an earlier cycle, with the quantiles of that rule's own past errors by steps ahead.

    Args:
        periods: cycle lengths in steps, for instance (24, 168); the one with the lower past pinball loss is
            used. With none, the newest reading is repeated (persistence).
        zone: IANA zone in whose wall-clock time a cycle is counted, across daylight saving changes; needs a
            time index with a fixed step. Without it, positions are counted.
        max_ahead: steps ahead for which errors are kept apart; later steps take the last.

    Examples:
        >>> from sktime.datasets import load_airline
        >>> from persona_platform.forecasting.estimators import SeasonalNaiveQuantiles
        >>> forecaster = SeasonalNaiveQuantiles(periods=(12,)).fit(load_airline())
        >>> forecaster.predict_quantiles(fh=[1, 2], alpha=[0.5, 0.95]).shape
        (2, 2)
    """

    def __init__(self, periods: "Sequence[int]" = (), zone: str | None = None, max_ahead: int = 48) -> None:
        self.periods = periods
        self.zone = zone
        self.max_ahead = max_ahead
        super().__init__()

    def _fit(
        self, y: pd.Series, X: pd.DataFrame | None = None, fh: ForecastingHorizon | None = None
    ) -> "SeasonalNaiveQuantiles":
        del X, fh
        self._known, self._name = self._past({"y": y}), y.name
        self.tables_ = error_tables(self._known, self.max_ahead)
        return self

    def _quantiles(self, rows: Rows, alpha: list[float]) -> Floats:
        return naive_quantiles(self.tables_, self._known, rows, self.tables_.season, alpha)

    @classmethod
    def get_test_params(cls, parameter_set: str = "default") -> list[dict[str, Any]]:
        """Settings for sktime's checks."""
        del parameter_set
        return [{"periods": (7,), "max_ahead": 4}, {}]


class GlobalGradientQuantiles(_QuantileForecaster):
    """Gradient-boosted quantiles, direct for every step ahead, trained over all series of a panel.

    ``pretrain(panel)`` learns once; ``fit(series)`` then takes any series' past and learns nothing. Without
    ``pretrain``, ``fit`` learns from its one series. Levels between the trained 0.1, 0.5, 0.9, 0.95 and 0.99
    are interpolated.

    Args:
        periods: cycle lengths in steps, for instance (24, 168).
        zone: IANA zone of the wall clock whose hour and weekday are used; needs a time index with one step.
        max_ahead: steps ahead that are learned one by one; later steps take the last.
        rows: training rows at most.
        seed: of the sampling of rows.

    Examples:
        >>> from sktime.datasets import load_airline
        >>> from persona_platform.forecasting.estimators import GlobalGradientQuantiles
        >>> forecaster = GlobalGradientQuantiles(periods=(12,), max_ahead=6, rows=300).fit(load_airline())
        >>> forecaster.predict_quantiles(fh=[1, 2], alpha=[0.5, 0.95]).shape
        (2, 2)
    """

    _tags: ClassVar[dict[str, Any]] = {"capability:pretrain": True, "pretrain:fitted_params": ["model_"]}

    def __init__(
        self,
        periods: "Sequence[int]" = (),
        zone: str | None = None,
        max_ahead: int = 48,
        rows: int = 40_000,
        seed: int = 0,
    ) -> None:
        self.periods = periods
        self.zone = zone
        self.max_ahead = max_ahead
        self.rows = rows
        self.seed = seed
        super().__init__()

    def _pretrain(
        self, y: pd.DataFrame, X: pd.DataFrame | None = None, fh: ForecastingHorizon | None = None
    ) -> "GlobalGradientQuantiles":
        del X, fh
        series = {
            f"{instance} {column}": part[column].droplevel(list(range(part.index.nlevels - 1)))
            for instance, part in y.groupby(level=list(range(y.index.nlevels - 1)))
            for column in y.columns
        }
        self.model_ = self._learn(self._past(series))
        return self

    def _pretrain_update(
        self, y: pd.DataFrame, X: pd.DataFrame | None = None, fh: ForecastingHorizon | None = None
    ) -> "GlobalGradientQuantiles":
        return self._pretrain(y, X, fh)

    def _fit(
        self, y: pd.Series, X: pd.DataFrame | None = None, fh: ForecastingHorizon | None = None
    ) -> "GlobalGradientQuantiles":
        del X, fh
        self._known, self._name = self._past({"y": y}), y.name
        if not hasattr(self, "model_"):
            self.model_ = self._learn(self._known)
        return self

    def _learn(self, past: Past) -> GradientModel:
        return fit_gradient(past, self.max_ahead, seed=self.seed, rows=self.rows)

    def _quantiles(self, rows: Rows, alpha: list[float]) -> Floats:
        return at_levels(gradient_quantiles(self.model_, self._known, rows), LEVELS, alpha)

    @classmethod
    def get_test_params(cls, parameter_set: str = "default") -> list[dict[str, Any]]:
        """Settings for sktime's checks."""
        del parameter_set
        return [{"periods": (7,), "max_ahead": 4, "rows": 100}, {"max_ahead": 3, "rows": 50, "seed": 1}]


def _clock(index: pd.Index) -> tuple[int, int]:
    """Epoch microseconds of the last entry and of the step of a time index."""
    times = index.to_timestamp() if isinstance(index, pd.PeriodIndex) else index
    if not isinstance(times, pd.DatetimeIndex):
        raise InputError(f"A zone needs a time index; this series has a {type(index).__name__}.")
    utc = times.tz_localize("UTC") if times.tz is None else times.tz_convert("UTC")
    us: Ints = utc.as_unit("us").asi8
    steps = np.unique(np.diff(us))
    if steps.size != 1 or steps[0] <= 0:
        raise InputError("A zone needs a time index with one fixed step and at least two entries.")
    return int(us[-1]), int(steps[0])


__all__ = ["GlobalGradientQuantiles", "SeasonalNaiveQuantiles"]
