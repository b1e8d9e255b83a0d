from datetime import timedelta

import numpy as np
import polars as pl
import pytest
from forecasting_scenes import HOUR, START, slots
from hypothesis import given, settings
from hypothesis import strategies as st

from persona_platform.forecasting.backtest import BACKTEST
from persona_platform.forecasting.combination import BANDS, combination_weights, combine
from persona_platform.frames import COMBINATION, DEMAND, QUANTILE_COLUMNS, empty

ROUTES = ("direct", "mixture", "persistence", "seasonal_naive")


def history(errors, folds=30, leads=8, kappa=0.5):
    """Routes that are off by a normal error of the given size, around an actual of 100."""
    rng = np.random.default_rng(0)
    rows = []
    for fold in range(folds):
        origin = START + 24 * fold * HOUR
        for lead in range(leads):
            for route, (bias, noise) in errors.items():
                rows.append(
                    (
                        origin,
                        "web",
                        origin + lead * HOUR,
                        route,
                        100 + bias + noise * rng.normal(),
                        kappa,
                        100.0,
                    )
                )
    return pl.DataFrame(rows, schema=BACKTEST, orient="row")


def weights(frame, band=4):
    found = combination_weights(frame, slot=HOUR).filter(pl.col("lead_slots") == band)
    return dict(found.select("route", "weight").iter_rows())


def test_what_does_not_beat_both_baselines_gets_no_weight():
    found = weights(history({"direct": (0, 1), "mixture": (0, 9), "persistence": (0, 5), "seasonal_naive": (0, 3)}))
    assert found == {"direct": 1.0, "mixture": 0.0, "persistence": 0.0, "seasonal_naive": 0.0}


@pytest.mark.parametrize(("persistence", "winner"), [(2, "persistence"), (4, "seasonal_naive")])
def test_where_nothing_beats_the_baselines_the_better_one_gets_all(persistence, winner):
    errors = {"direct": (0, 9), "mixture": (0, 9), "persistence": (0, persistence), "seasonal_naive": (0, 3)}
    assert weights(history(errors)) == {route: float(route == winner) for route in ROUTES}


def test_two_good_routes_with_opposite_bias_share_the_weight():
    found = weights(history({"direct": (4, 1), "mixture": (-4, 1), "persistence": (0, 20)}))
    assert found["direct"] == pytest.approx(0.5, abs=0.1)
    assert found["direct"] + found["mixture"] == pytest.approx(1.0)


def test_few_folds_are_drawn_towards_the_plain_average():
    errors = {"direct": (1, 0), "mixture": (3, 0), "persistence": (30, 0)}
    few, many = (weights(history(errors, folds=folds))["direct"] for folds in (2, 56))
    assert (few, many) == pytest.approx((0.2 + 0.8 / 2, 0.875 + 0.125 / 2))


def test_leads_fall_into_their_bands():
    errors = {"direct": (0, 1), "persistence": (0, 9)}
    found = combination_weights(history(errors, folds=3, leads=120), slot=HOUR)
    assert found.schema == pl.Schema(COMBINATION)
    assert found["lead_slots"].unique().sort().to_list() == list(BANDS)
    first = combination_weights(history(errors, folds=3, leads=2), slot=HOUR)
    assert first["lead_slots"].unique().to_list() == [1]


def test_relative_is_to_the_better_baseline_and_an_unread_actual_is_not_scored():
    frame = history({"direct": (2, 0), "persistence": (4, 0), "seasonal_naive": (8, 0)}, leads=2)
    unread = frame.with_columns(actual=pl.lit(float("nan")), slot=pl.col("slot") + 2 * HOUR, q_kappa=pl.lit(1e9))
    found = combination_weights(pl.concat([frame, unread]), slot=HOUR)
    assert dict(found.select("route", "relative").iter_rows()) == pytest.approx(
        {"direct": 0.5, "persistence": 1.0, "seasonal_naive": 2.0}
    )
    assert found["pinball"].to_list() == pytest.approx([1.0, 2.0, 4.0])


@pytest.mark.parametrize(
    "frame",
    [
        empty(BACKTEST),
        pl.DataFrame(schema=dict.fromkeys(BACKTEST, pl.Null)),
        history({"direct": (0, 1)}).with_columns(actual=None),
    ],
)
def test_nothing_to_score_is_no_weights(frame):
    assert combination_weights(frame, slot=HOUR).equals(empty(COMBINATION))


@settings(deadline=None, max_examples=25)
@given(
    st.dictionaries(st.sampled_from(ROUTES), st.tuples(st.floats(-50, 50), st.floats(0, 50)), min_size=1),
    st.integers(1, 6),
    st.integers(1, 30),
)
def test_weights_are_shares_that_sum_to_one(errors, folds, leads):
    found = combination_weights(history(errors, folds, leads, kappa=0.95), slot=HOUR)
    assert found["weight"].is_between(0, 1).all()
    assert found.group_by("target", "lead_slots").agg(pl.col("weight").sum())["weight"].to_list() == pytest.approx(
        [1.0] * found["lead_slots"].n_unique()
    )


def demand(**levels):
    frames = [
        pl.DataFrame({"slot": slots(30)}).with_columns(
            origin=pl.lit(START),
            target=pl.lit("web"),
            route=pl.lit(route),
            kappa=pl.lit(0.95),
            mean=pl.lit(level),
            q_kappa=pl.lit(level + 3.0),
            **{name: pl.lit(level + i) for i, name in enumerate(QUANTILE_COLUMNS)},
        )
        for route, level in levels.items()
    ]  # fmt: skip
    return pl.concat(frames).select(pl.col(name).cast(dtype) for name, dtype in DEMAND.items())


def combined(frame, weighed):
    return combine(frame, weighed, timedelta(hours=1)).filter(pl.col("route") == "combined").sort("slot")


def weighed(*rows):
    return pl.DataFrame([("web", *row, 0.0, 0.0) for row in rows], schema=COMBINATION, orient="row")


def test_without_weights_mixture_and_direct_are_averaged():
    found = combined(demand(direct=10.0, mixture=20.0, seasonal_naive=90.0, persistence=90.0), empty(COMBINATION))
    assert found["q50"].to_list() == pytest.approx([16.0] * 30)
    assert found["q_kappa"].to_list() == pytest.approx([18.0] * 30)


def test_each_lead_takes_the_weights_of_its_band():
    found = combined(
        demand(direct=10.0, mixture=20.0),
        weighed((1, "direct", 1.0), (4, "direct", 0.25), (4, "mixture", 0.75)),
    )
    assert found["mean"].to_list() == pytest.approx([10.0] * 2 + [17.5] * 3 + [15.0] * 25)


def test_a_weighted_route_that_is_absent_leaves_its_weight_to_the_others():
    assert combined(demand(direct=10.0), weighed((1, "direct", 0.2), (1, "mixture", 0.8)))["mean"][0] == pytest.approx(
        10.0
    )
    only = combined(demand(persistence=10.0, seasonal_naive=30.0), weighed((1, "mixture", 1.0)))
    assert only["mean"].to_list() == pytest.approx([20.0] * 30)


def test_combining_again_changes_nothing_and_quantiles_stay_in_order():
    once = combine(demand(direct=10.0, mixture=20.0), empty(COMBINATION), HOUR)
    assert combine(once, empty(COMBINATION), HOUR).equals(once)
    assert np.all(np.diff(once.select(list(QUANTILE_COLUMNS)).to_numpy(), axis=1) >= 0)
    assert combine(empty(DEMAND), empty(COMBINATION), HOUR).is_empty()
