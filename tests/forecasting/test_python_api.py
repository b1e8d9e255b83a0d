from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest
from forecasting_scenes import HOUR, START, daily, slots
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from persona_platform.errors import InputError
from persona_platform.forecasting import fit_forecaster, forecast_quantiles
from persona_platform.frames import CALENDAR, COVARIATES

LEVELS = [0.1, 0.5, 0.95]


def series(name, values, start=START):
    return pl.DataFrame({"series_id": [name] * len(values), "ts": slots(len(values), start=start), "value": values})


CYCLE = series("cycle", daily(500))


def test_every_step_after_each_series_own_last_ts_comes_with_every_quantile():
    history = pl.concat([CYCLE, series("short", [3.0, 4.0, 5.0])])
    found = forecast_quantiles(history, 5, HOUR, LEVELS)
    assert found.columns == ["series_id", "ts", "quantile", "value"]
    assert found.height == 2 * 5 * 3
    firsts = dict(found.group_by("series_id").agg(pl.col("ts").min()).iter_rows())
    assert firsts == {"cycle": START + 500 * HOUR, "short": START + 3 * HOUR}
    assert found["value"].is_finite().all()


def test_a_clear_cycle_is_followed_far_ahead():
    found = forecast_quantiles(CYCLE, 48, HOUR, [0.05, 0.5, 0.95])
    wide = found.pivot(on="quantile", index="ts", values="value")
    truth = 20 * (1 + 0.5 * np.sin(2 * np.pi * np.arange(500, 548) / 24))
    assert np.abs(wide["0.5"].to_numpy() - truth).mean() < 1.5  # noise alone is 1.0
    assert np.mean((wide["0.05"].to_numpy() <= truth) & (truth <= wide["0.95"].to_numpy())) > 0.9


@pytest.mark.parametrize(
    ("values", "wanted"),
    [([7.0], 7.0), ([7.0] * 60, 7.0), ([0.0] * 60, 0.0), ([7.0, np.nan, None, 7.0] * 10, 7.0)],
    ids=["one point", "constant", "zeros", "constant with gaps"],
)
def test_what_never_changed_is_forecast_to_stay(values, wanted):
    found = forecast_quantiles(series("a", values), 4, HOUR, LEVELS)
    assert found["value"].to_list() == pytest.approx([wanted] * 12, abs=1e-6)


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.one_of(st.none(), st.floats(0, 1e6)), min_size=1, max_size=40), st.integers(1, 30))
def test_quantiles_are_ordered_finite_and_not_negative_where_history_is_not(values, horizon):
    history = series("a", [*values, 1.0])
    found = forecast_quantiles(history, horizon, HOUR, [0.01, 0.5, 0.9, 0.999])
    assert found["value"].is_finite().all()
    assert found["value"].min() >= 0
    steps = found.group_by("ts", maintain_order=True).agg("value")["value"].to_list()
    assert all(row == sorted(row) for row in steps)


def test_order_and_repeats_change_nothing_and_the_first_of_a_ts_wins():
    later = CYCLE.with_columns(value=pl.lit(1e6))
    shuffled = pl.concat([CYCLE.sample(fraction=1, shuffle=True, seed=1), later])
    assert forecast_quantiles(shuffled, 3, HOUR, LEVELS).equals(forecast_quantiles(CYCLE, 3, HOUR, LEVELS))


def test_a_gap_of_a_week_is_bridged():
    history = CYCLE.filter((pl.col("ts") < START + 200 * HOUR) | (pl.col("ts") >= START + 368 * HOUR))
    found = forecast_quantiles(history, 24, HOUR, [0.5])
    truth = 20 * (1 + 0.5 * np.sin(2 * np.pi * np.arange(500, 524) / 24))
    assert np.abs(found["value"].to_numpy() - truth).mean() < 2.5


def test_finer_readings_are_averaged_and_a_naive_ts_is_utc():
    halves = CYCLE.select("series_id", pl.col("ts") - timedelta(minutes=20), pl.col("value") + 1)
    history = pl.concat([CYCLE.with_columns(value=pl.col("value") - 1), halves])
    wanted = forecast_quantiles(CYCLE, 3, HOUR, LEVELS)
    found = forecast_quantiles(history.with_columns(pl.col("ts").dt.replace_time_zone(None)), 3, HOUR, LEVELS)
    assert found["ts"].to_list() == wanted["ts"].to_list()
    np.testing.assert_allclose(found["value"], wanted["value"], rtol=1e-6)


def test_fitting_and_asking_in_one_is_the_same_as_in_two_and_another_series_can_be_asked_for():
    forecaster = fit_forecaster(CYCLE, HOUR, seed=3)
    assert forecaster.quantiles(CYCLE, 6, LEVELS).equals(forecast_quantiles(CYCLE, 6, HOUR, LEVELS, seed=3))
    other = forecaster.quantiles(series("new", 100 * daily(300, seed=5)), 24, [0.5])
    truth = 2000 * (1 + 0.5 * np.sin(2 * np.pi * np.arange(300, 324) / 24))
    assert np.abs(other["value"].to_numpy() / truth - 1).mean() < 0.1


def test_a_covariate_is_used_only_from_known_at_on():
    values = np.random.default_rng(0).integers(0, 2, 700).astype(float) * 10
    ts = slots(712)
    rain = pl.DataFrame(
        {"series": "weather:X", "metric": "rain", "ts": ts, "value": np.append(values, [10.0, 0.0] * 6)}
    )
    ahead = rain.with_columns(known_at=pl.col("ts") - timedelta(days=3)).cast(COVARIATES)
    after = rain.with_columns(known_at=pl.col("ts") + HOUR).cast(COVARIATES)
    history = series("a", values)
    told = forecast_quantiles(history, 12, HOUR, [0.5], covariates=ahead)["value"].to_numpy()
    untold = forecast_quantiles(history, 12, HOUR, [0.5], covariates=after)["value"].to_numpy()
    assert told[::2].min() > told[1::2].max()
    assert not untold[::2].min() > untold[1::2].max()


@pytest.mark.parametrize(
    ("history", "says"),
    [
        (CYCLE.drop("value"), "lacks value"),
        (CYCLE.clear(), "no rows"),
        (series("dead", [None, float("nan"), float("inf")]), "dead"),
        (CYCLE.with_columns(value=pl.lit("much")), "numeric"),
        (CYCLE.with_columns(ts=pl.lit("noon")), "timestamp"),
        (CYCLE.with_columns(series_id=pl.lit(None, pl.String)), "without a series_id"),
    ],
)
def test_a_history_that_breaks_its_contract_is_refused(history, says):
    with pytest.raises(InputError, match=says):
        forecast_quantiles(history, 2, HOUR, LEVELS)


@pytest.mark.parametrize(
    ("horizon", "step", "levels", "says"),
    [
        (0, HOUR, [0.5], "horizon"),
        (1, timedelta(0), [0.5], "step"),
        (1, HOUR, [], "quantiles"),
        (1, HOUR, [1.0], "quantiles"),
    ],
)
def test_questions_out_of_range_are_refused(horizon, step, levels, says):
    with pytest.raises(InputError, match=says):
        forecast_quantiles(CYCLE, horizon, step, levels)


def test_a_calendar_of_several_zones_is_refused():
    calendar = pl.DataFrame({name: [None, None] for name in CALENDAR}, schema=CALENDAR).with_columns(
        zone=pl.Series(["UTC", "Europe/Berlin"]),
        slot=pl.lit(datetime(2024, 1, 1, tzinfo=UTC)).cast(CALENDAR["slot"]),
    )
    with pytest.raises(InputError, match="has the zones"):
        fit_forecaster(CYCLE, HOUR, calendar=calendar)
