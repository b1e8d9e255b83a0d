import numpy as np
import pytest

from persona_platform.errors import InputError

CHECKS = [
    "test_constructor",
    "test_get_test_params",
    "test_valid_object_class_tags",
    "test_fit_does_not_overwrite_hyper_params",
    "test_raises_not_fitted_error",
    "test_predict_quantiles",
    "test_predict_interval",
    "test_pred_int_tag",
    "test_cutoff",
    "test_pretrain_capability_tag",
    "test_pretrain_state_transitions",
    "test_pretrain_clone_preserves_state",
    "test_pretrain_not_reset_by_fit",
]
"""The important part. The whole, about 800 checks an estimator, takes minutes: ``check_estimator(cls)``."""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::FutureWarning:sktime"),
]


@pytest.fixture(scope="module", params=["SeasonalNaiveQuantiles", "GlobalGradientQuantiles"])
def estimator(request):
    from persona_platform.forecasting import estimators

    return getattr(estimators, request.param)


def test_it_is_a_forecaster_to_sktime(estimator):
    from sktime.utils.estimator_checks import check_estimator

    results = check_estimator(estimator, tests_to_run=CHECKS, raise_exceptions=False, verbose=False)
    assert len(results) > 20
    assert {name: result for name, result in results.items() if result != "PASSED"} == {}


def test_it_follows_the_wall_clock_of_a_zone(estimator):
    import pandas as pd

    index = pd.date_range("2024-03-01", "2024-03-31 12:00", freq="h", tz="UTC")
    local = index.tz_convert("Europe/Berlin").hour
    series = pd.Series(np.where((local >= 8) & (local < 18), 40.0, 5.0), index=index.tz_localize(None))
    series = series + np.random.default_rng(0).normal(0, 0.2, len(series))
    forecaster = estimator(periods=(24,), zone="Europe/Berlin", max_ahead=24).fit(series)
    found = forecaster.predict_quantiles(fh=range(1, 25), alpha=[0.1, 0.5, 0.9])
    hours = found.index.tz_localize("UTC").tz_convert("Europe/Berlin").hour
    median = found.iloc[:, 1].to_numpy()
    assert median[(hours >= 9) & (hours < 17)].min() > median[(hours < 7) | (hours > 19)].max()
    assert np.all(np.diff(found.to_numpy(), axis=1) >= 0)


def test_a_zone_without_a_clock_is_refused(estimator):
    import pandas as pd

    with pytest.raises(InputError, match="time index"):
        estimator(zone="UTC").fit(pd.Series([1.0, 2.0, 3.0]))


def test_its_numbers_are_those_of_the_live_route():
    import pandas as pd
    from forecasting_scenes import daily

    from persona_platform.forecasting.estimators import GlobalGradientQuantiles
    from persona_platform.forecasting.features import Past, Rows
    from persona_platform.forecasting.gradient import fit_gradient, gradient_quantiles
    from persona_platform.forecasting.panel import make_panel
    from persona_platform.forecasting.phases import NO_FACTS

    values = daily(200)
    past = Past(make_panel(["y"], [values], [0], 1), (24,), NO_FACTS)
    model = fit_gradient(past, 12, seed=0)
    ahead = np.arange(1, 6)
    rows = Rows(np.zeros_like(ahead), np.full_like(ahead, 199), ahead)
    forecaster = GlobalGradientQuantiles(periods=(24,), max_ahead=12).fit(pd.Series(values))
    found = forecaster.predict_quantiles(fh=ahead, alpha=[0.1, 0.5, 0.9, 0.95, 0.99]).to_numpy()
    np.testing.assert_allclose(found, gradient_quantiles(model, past, rows))
