"""Many origins at once are the same forecasts as one origin after another, and see no further."""

import numpy as np
import polars as pl
import pytest
from forecasting_scenes import HOUR, NO_CALENDAR, START, daily, observed, targets, workloads

from persona_platform.capacity.plan import make_plan
from persona_platform.capacity.plan_series import NO_ROW, plan_series
from persona_platform.errors import InputError
from persona_platform.forecasting.combination import combine, combine_series
from persona_platform.forecasting.demand import ROUTES, VALUES, direct_demand, direct_series, fit_demand, series_rows
from persona_platform.forecasting.mixture import EXPECTED
from persona_platform.frames import COMBINATION

FLEET = workloads(web=["a"], batch=["b"], late=["c"], zone="Europe/Berlin")
ALL = pl.concat([targets("batch", kappa=0.8), targets("late"), targets("web", hold=2)])
UNTIL = START + 500 * HOUR
GAP = np.where(np.isin(np.arange(600), range(520, 540)), np.nan, daily(600))
SEEN = pl.concat(
    [
        observed(web=GAP, batch=daily(600, seed=1, level=3.0)),
        observed(late=daily(80, seed=2), start=START + 520 * HOUR),
    ]
).with_columns(pl.col("demand").fill_nan(None))
ORIGINS, SLOTS = 90, 4


@pytest.fixture(scope="module")
def model():
    return fit_demand(SEEN, NO_CALENDAR, ALL, FLEET, slot=HOUR, until=UNTIL, seed=0, slots=SLOTS)


@pytest.fixture(scope="module")
def series(model):
    return direct_series(model, SEEN, NO_CALENDAR, UNTIL, ORIGINS, SLOTS, ALL)


@pytest.mark.parametrize("number", [0, 1, 21, 45, 89])
def test_each_origin_is_forecast_as_if_it_were_the_only_one(model, series, number):
    origin = UNTIL + number * HOUR
    before = SEEN.filter(pl.col("slot") < origin)
    alone = direct_demand(model, before, NO_CALENDAR, origin, SLOTS, ALL.filter(pl.col("target") != "late"))
    for route in ROUTES:
        wanted = alone.filter(pl.col("route") == route).sort("target", "slot").select(VALUES).to_numpy()
        found = series.values[route][[0, 2], number].reshape(-1, len(VALUES))
        np.testing.assert_allclose(found, wanted, rtol=1e-9, atol=1e-9)


def test_a_target_that_the_model_did_not_learn_has_no_forecast(series):
    assert np.isnan(series.values["direct"][1]).all()


def test_later_readings_change_no_earlier_origin(model, series):
    from_here = UNTIL + 40 * HOUR
    garbage = SEEN.with_columns(demand=pl.when(pl.col("slot") >= from_here).then(1e9).otherwise("demand"))
    again = direct_series(model, garbage, NO_CALENDAR, UNTIL, ORIGINS, SLOTS, ALL)
    for route in ROUTES:
        # The origin at that instant has seen everything before it, and nothing of it.
        np.testing.assert_allclose(again.values[route][:, :41], series.values[route][:, :41], rtol=1e-9, atol=1e-9)
        if route != "seasonal_naive":  # it looks at the day before
            assert not np.allclose(again.values[route][2, 41:44], series.values[route][2, 41:44])


def weights(*rows):
    return pl.DataFrame(rows, schema=COMBINATION, orient="row")


def test_series_are_combined_and_planned_like_frames(model, series):
    mixed = weights(
        *(("web", 1, route, share, 0.0, 1.0) for route, share in (("direct", 0.25), ("persistence", 0.75))),
        ("web", 4, "mixture", 1.0, 0.0, 1.0),  # of a route that is not there: the learned ones stand in
    )
    combined = combine_series(series, mixed)
    found = plan_series(combined, series.targets, SEEN, first=UNTIL, slot=HOUR)
    rows = series_rows(series, range(ORIGINS))
    for number in (0, 30, 89):
        origin = UNTIL + number * HOUR
        demand = combine(rows.filter(pl.col("origin") == origin), mixed, HOUR)
        nothing = pl.DataFrame(schema=EXPECTED)
        seen = SEEN.filter(pl.col("slot") < origin)
        plan = make_plan(demand, nothing, seen, ALL, origin=origin, slot=HOUR).plan
        for row, name in enumerate(series.targets):
            of = plan.filter(pl.col("target") == name).sort("slot")
            if of.is_empty():
                assert (found.needed()[row, number] == NO_ROW).all()
                continue
            assert found.needed()[row, number].tolist() == of["needed"].to_list()
            assert found.history_s[row, number] == of["history_s"][0]
            assert found.cycle_s[row, number] == of["cycle_s"][0]
            assert found.data_until_us[row, number] == of["data_until"].to_physical()[0]
            wanted = of.select("mean", "q50", "q90", "q95", "q99").to_numpy()
            np.testing.assert_allclose(found.values[row, number][:, [0, 2, 3, 4, 5]], wanted, rtol=1e-12)


def test_a_higher_kappa_never_needs_less(series):
    plans = plan_series(combine_series(series, weights()), series.targets, SEEN, first=UNTIL, slot=HOUR)
    needs = np.stack([plans.needed(kappa) for kappa in (0.5, 0.8, 0.9, 0.95, 0.99, 0.9999)])
    assert (np.diff(needs, axis=0) >= 0).all()
    assert (needs[-1] > needs[0]).any()


def test_an_infinite_demand_is_refused(series):
    with pytest.raises(InputError, match="infinite"):
        plan_series(np.full((3, 1, 1, len(VALUES)), np.inf), series.targets, SEEN, first=UNTIL, slot=HOUR)
