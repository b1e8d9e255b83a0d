from datetime import timedelta

import numpy as np
import polars as pl
import pytest
from forecasting_scenes import HOUR, NO_CALENDAR, START, daily, observed, targets, workloads

from persona_platform.errors import InputError
from persona_platform.forecasting.backtest import backtest
from persona_platform.forecasting.demand import direct_demand, fit_demand, from_bytes, to_bytes
from persona_platform.frames import DEMAND, QUANTILE_COLUMNS

FLEET = workloads(web=["a"], batch=["b"], new=["n"])
BOTH = pl.concat([targets("web", hold=2), targets("batch", kappa=0.8)])
UNTIL = START + 500 * HOUR
SEEN = observed(web=daily(600), batch=daily(600, seed=1, level=3.0))


@pytest.fixture(scope="module")
def model():
    return fit_demand(SEEN, NO_CALENDAR, BOTH, FLEET, slot=HOUR, until=UNTIL, seed=0)


def test_every_route_gives_every_slot_with_ordered_quantiles(model):
    found = direct_demand(model, SEEN, NO_CALENDAR, UNTIL, 30, BOTH)
    assert found.schema == pl.Schema(DEMAND)
    assert found.group_by("target", "route").len().sort("target", "route").rows() == [
        (target, route, 30) for target in ("batch", "web") for route in ("direct", "persistence", "seasonal_naive")
    ]
    assert found["slot"].min() == UNTIL
    quantiles = found.select(list(QUANTILE_COLUMNS)).to_numpy()
    assert np.all(np.diff(quantiles, axis=1) >= 0)
    assert np.all(quantiles >= 0)
    assert found.filter(pl.col("kappa") == 0.95).select(pl.col("q_kappa") - pl.col("q95")).to_numpy() == pytest.approx(
        0
    )
    batch = found.filter(pl.col("target") == "batch")
    assert batch.select((pl.col("q50") <= pl.col("q_kappa")) & (pl.col("q_kappa") <= pl.col("q90"))).to_series().all()


def test_the_window_maximum_is_forecast_and_not_the_slot():
    # A spike of 10 in every fifth slot: any window of five slots holds one.
    spikes = observed(web=np.where(np.arange(400) % 5 == 0, 10.0, 1.0))
    wide = targets("web", hold=5)
    until = START + 350 * HOUR
    model = fit_demand(spikes, NO_CALENDAR, wide, FLEET, slot=HOUR, until=until, seed=0)
    found = direct_demand(model, spikes, NO_CALENDAR, until, 20, wide)
    assert found.filter(pl.col("route") == "direct")["q50"].min() > 9
    assert found.filter(pl.col("route") == "persistence")["q95"].min() > 9


def test_nothing_at_or_after_the_origin_is_looked_at(model):
    garbage = SEEN.with_columns(
        demand=pl.when(pl.col("slot") >= UNTIL).then(pl.lit(1e9)).otherwise("demand"),
    ).sample(fraction=1, shuffle=True, seed=0)
    clean = SEEN.filter(pl.col("slot") < UNTIL)
    again = fit_demand(garbage, NO_CALENDAR, BOTH, FLEET, slot=HOUR, until=UNTIL, seed=0)
    wanted = direct_demand(model, clean, NO_CALENDAR, UNTIL, 30, BOTH)
    assert direct_demand(again, garbage, NO_CALENDAR, UNTIL, 30, BOTH).equals(wanted)


def test_a_backtest_sees_the_future_only_as_what_came(model):
    garbage = SEEN.with_columns(demand=pl.when(pl.col("slot") >= UNTIL).then(pl.lit(1e9)).otherwise("demand"))
    frames = [
        backtest(
            [UNTIL],
            {"direct": lambda at, s=seen: direct_demand(model, s, NO_CALENDAR, at, 6, BOTH)},
            seen,
            BOTH,
        )
        for seen in (SEEN, garbage)
    ]
    assert frames[0]["q_kappa"].equals(frames[1]["q_kappa"])
    assert frames[1]["actual"].min() == 1e9
    truth = SEEN.filter(pl.col("target") == "web", pl.col("slot") >= UNTIL)["demand"].to_numpy()
    web = frames[0].filter(pl.col("target") == "web", pl.col("route") == "direct")
    np.testing.assert_allclose(web["actual"], np.maximum(truth[:6], truth[1:7]))


def test_a_forecast_from_before_its_origin_is_refused(model):
    with pytest.raises(InputError, match="early bird"):
        backtest(
            [UNTIL],
            {"early bird": lambda at: direct_demand(model, SEEN, NO_CALENDAR, at - HOUR, 6, BOTH)},
            SEEN,
            BOTH,
        )


def test_the_model_survives_storage(model):
    wanted = direct_demand(model, SEEN, NO_CALENDAR, UNTIL, 4, BOTH)
    assert direct_demand(from_bytes(to_bytes(model)), SEEN, NO_CALENDAR, UNTIL, 4, BOTH).equals(wanted)


def test_a_target_unknown_to_the_model_is_forecast_from_its_own_past(model):
    three = pl.concat([BOTH, targets("new")])
    seen = pl.concat([SEEN, observed(new=1000 * daily(600, seed=7))])
    found = direct_demand(model, seen, NO_CALENDAR, UNTIL, 24, three).filter(pl.col("target") == "new")
    truth = seen.filter(pl.col("target") == "new", pl.col("slot") >= UNTIL)["demand"].to_numpy()[:24]
    for route in ("direct", "seasonal_naive"):
        median = found.filter(pl.col("route") == route)["q50"].to_numpy()
        assert np.abs(median / truth - 1).mean() < 0.2, route


@pytest.mark.parametrize(
    "values",
    [np.zeros(60), np.full(60, 5.0), np.array([3.0]), np.r_[np.ones(30), np.full(200, np.nan), np.ones(30)]],
    ids=["zeros", "constant", "one reading", "a gap of a week"],
)
def test_histories_that_teach_little_give_plain_answers(values):
    seen = observed(web=values).with_columns(pl.col("demand").fill_nan(None))
    origin = START + len(values) * HOUR
    model = fit_demand(seen, NO_CALENDAR, targets("web"), FLEET, slot=HOUR, until=origin, seed=0)
    found = direct_demand(model, seen, NO_CALENDAR, origin, 5, targets("web"))
    newest = values[-1]
    assert found.select(list(QUANTILE_COLUMNS)).to_numpy() == pytest.approx(newest, abs=1e-6)


def test_late_readings_leave_the_newest_known_to_start_from(model):
    late = SEEN.filter((pl.col("slot") < UNTIL - 5 * HOUR) | (pl.col("target") == "batch"))
    found = direct_demand(model, late, NO_CALENDAR, UNTIL, 3, BOTH)
    assert found.group_by("target").len().rows() != []
    assert set(found["target"]) == {"web", "batch"}
    assert found["slot"].min() == UNTIL


def test_a_target_unread_for_long_has_no_rows_and_without_any_reading_there_is_no_model(model):
    old = SEEN.filter(pl.col("target") == "batch")
    assert set(direct_demand(model, old, NO_CALENDAR, UNTIL, 3, BOTH)["target"]) == {"batch"}
    assert direct_demand(model, old.clear(), NO_CALENDAR, UNTIL, 3, BOTH).is_empty()
    with pytest.raises(InputError, match="ingest"):
        fit_demand(old, NO_CALENDAR, BOTH, FLEET, slot=timedelta(hours=1), until=START, seed=0)


def test_a_series_that_begins_with_nothing_does_not_blow_up_its_quantiles():
    # Closed until six: the first readings are zeros, from which any move is beyond all proportion.
    hours = np.arange(700)
    shut = hours % 24 < 6
    open_hours = np.where(shut, 0.0, 20 + 5 * np.sin(hours / 3) + np.random.default_rng(0).normal(0, 1, hours.size))
    seen = observed(web=open_hours)
    late = START + 600 * HOUR
    model = fit_demand(seen, NO_CALENDAR, targets("web"), FLEET, slot=HOUR, until=late, seed=0, slots=2)
    for origin in (late + i * HOUR for i in range(24)):
        before = seen.filter(pl.col("slot") < origin)
        found = direct_demand(model, before, NO_CALENDAR, origin, 2, targets("web"))
        assert found["q99"].max() < 3 * open_hours.max()
