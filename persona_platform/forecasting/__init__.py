"""From what was needed to how much will be: demand in units, its quantiles ahead, and their combination."""

from persona_platform.forecasting.api import Forecaster, fit_forecaster, forecast_quantiles

__all__ = ["Forecaster", "fit_forecaster", "forecast_quantiles"]
