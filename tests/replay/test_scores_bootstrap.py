"""How sure a comparison is: resampling, medians, and intervals that behave."""

import time
from dataclasses import replace

import numpy as np
import pytest
from example_outcomes import measured, outcome, recording_of
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from persona_platform.replay.bootstrap import (
    cost_ratio,
    estimate,
    gap_closed,
    interval,
    level_costs,
    median,
    redrawn,
    resamples,
    total_ratio,
)
from persona_platform.replay.outcomes import Block, Outcome
from persona_platform.replay.scores import at_unserved, comparison_of, frontier

NAN = np.nan


def test_a_replicate_draws_as_many_days_and_targets_as_there_are():
    drawn = resamples(7, 3, 50, seed=1)
    assert (drawn.days.sum(axis=1) == 7).all()
    assert drawn.targets.shape == (50, 3)
    assert set(np.unique(drawn.targets)) == {0, 1, 2}
    again = resamples(7, 3, 50, seed=1)
    assert np.array_equal(drawn.days, again.days)
    assert np.array_equal(drawn.targets, again.targets)
    assert not np.array_equal(drawn.days, resamples(7, 3, 50, seed=2).days)


def test_a_day_counted_twice_costs_twice():
    """Two days: on the first one the tight setting is dear, on the second one nothing is unserved."""
    found = outcome("x", [[[0, 0]], [[2, 0]]], [[[20, 10]], [[10, 10]]], [[10, 10]], targets=("a",))
    costs = level_costs(found, ("a",), (0.1, 0.05), np.array([[1, 1], [2, 0], [0, 2]]))
    # Both days: the loose one leaves 2 of 20. The first alone: 2 of 10, so that 10 % and 5 % lie on the way.
    assert costs[:, 0].tolist() == [[20.0, 30.0, 20.0], [25.0, 35.0, 20.0]]


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 1000))
def test_with_every_day_once_it_is_the_frontier_of_the_scores(seed):
    rng = np.random.default_rng(seed)
    shape = (6, 3, 4)
    demand = rng.uniform(5, 10, shape[1:])
    found = outcome("x", rng.uniform(0, 1, shape) ** 3 * demand, rng.uniform(5, 20, shape), demand)
    costs = level_costs(found, found.targets, (0.01, 0.1, 0.3), np.ones((1, 4)))
    scores = comparison_of(recording_of(found), [found]).scores
    for t, target in enumerate(found.targets):
        front = frontier(scores, "x", target)
        for i, level in enumerate((0.01, 0.1, 0.3)):
            expected = at_unserved(front, level)
            assert costs[i, t, 0] == pytest.approx(NAN if expected is None else expected, nan_ok=True)


def test_blocks_are_put_in_the_order_asked_for():
    one = Block(("b",), ("s",), measured([[[0.0]]], [[[3.0]]], [[1.0]]))
    two = Block(("a",), ("s", "t"), measured([[[0.0]], [[0.0]]], [[[2.0]], [[1.0]]], [[1.0]]))
    costs = level_costs(Outcome("x", (one, two)), ("a", "b"), (0.01,), np.ones((1, 1)))
    assert costs[0, :, 0].tolist() == [1.0, 3.0]


@settings(max_examples=50, deadline=None)
@given(hnp.arrays(float, st.tuples(st.integers(1, 6), st.just(3)), elements=st.sampled_from([NAN, 0.0, 1.0, 2.5])))
def test_the_median_leaves_out_what_is_not_known(values):
    for column, found in zip(values.T, median(values), strict=True):
        known = column[~np.isnan(column)]
        assert found == pytest.approx(np.median(known)) if len(known) else np.isnan(found)


def test_the_median_of_nothing_is_not_known():
    assert np.isnan(median(np.zeros((0,))))
    assert np.isnan(median(np.zeros((0, 2)))).all()


def test_ratios_and_gaps_by_hand():
    ours, rival, bound = (
        np.array([8.0, 5.0, NAN, 4.0]),
        np.array([10.0, 5.0, 5.0, 0.0]),
        np.array([5.0, 4.999, 1.0, 0.0]),
    )
    assert cost_ratio(ours, rival) == pytest.approx([0.8, 1.0, NAN, NAN], nan_ok=True)
    # The second gap is below a thousandth of the cost: nothing to close.
    assert gap_closed(ours, rival, bound, 0.001) == pytest.approx([0.4, NAN, NAN, NAN], nan_ok=True)


def test_the_total_is_over_the_targets_that_both_reach():
    ours, rival = np.array([1.0, NAN, 3.0]), np.array([2.0, 5.0, NAN])
    assert total_ratio(ours, rival, np.array([4.0, 1.0, 1.0])) == 0.5


def test_a_policy_beside_itself_is_at_one_and_closes_nothing():
    costs = np.random.default_rng(0).uniform(1, 9, (5, 20))
    drawn = resamples(6, 5, 20, seed=0)
    assert interval(median(cost_ratio(redrawn(costs, drawn), redrawn(costs, drawn))), drawn) == (1.0, 1.0)
    assert (gap_closed(costs, costs, costs / 2, 0.001) == 0).all()
    assert np.isnan(gap_closed(costs, costs, costs, 0.001)).all()


@pytest.mark.parametrize(("days", "targets"), [(1, 9), (9, 1)])
def test_one_day_or_one_target_has_no_interval(days, targets):
    drawn = resamples(days, targets, 50, seed=0)
    found = estimate(0.9, np.full(50, 0.9), drawn)
    assert (found.value, found.low, found.high) == (0.9, None, None)


def test_what_most_replicates_do_not_reach_has_no_interval():
    drawn = resamples(9, 9, 4, seed=0)
    assert interval(np.array([1.0, NAN, NAN, NAN]), drawn) == (None, None)
    assert interval(np.array([1.0, 1.0, NAN, NAN]), drawn) == (1.0, 1.0)


def noisy(days, targets=12, seed=3):
    """Two policies; the second costs 10 to 30 % more, by target, and both swing from day to day."""
    rng = np.random.default_rng(seed)
    demand = rng.gamma(20.0, 5.0, (targets, days))
    dearer = rng.uniform(1.1, 1.3, (targets, 1))
    settings = []
    for headroom, left in ((1.6, 0.0), (1.3, 0.005), (1.1, 0.03)):
        swing = rng.normal(1, 0.05, (2, targets, days))
        settings.append((left * demand * rng.uniform(0.5, 1.5, demand.shape), headroom * demand * swing))
    ours = outcome("ours", [u for u, _ in settings], [b[0] for _, b in settings], demand)
    rival = outcome("rival", [u for u, _ in settings], [b[1] * dearer for _, b in settings], demand)
    return ours, rival


@pytest.fixture(scope="module", params=[0, 1])
def by_days(request):
    """Of the median cost ratio at 1 %: the value, its interval, and that interval's width, by number of days."""
    found = {}
    for days in (4, 16, 64):
        policies = noisy(days)
        drawn = resamples(days, 12, 200, seed=request.param)
        drawn = replace(drawn, targets=np.tile(np.arange(12), (200, 1)))  # the same targets: what days alone do
        once, again = (
            median(cost_ratio(*(level_costs(policy, policies[0].targets, (0.01,), weights)[0] for policy in policies)))
            for weights in (np.ones((1, days)), drawn.days)
        )
        found[days] = once[0], *interval(again, drawn)
    return found


def test_the_interval_holds_the_point(by_days):
    for point, low, high in by_days.values():
        assert 1 / 1.3 < low < point < high < 1 / 1.1


def test_the_interval_shrinks_with_more_days(by_days):
    widths = [high - low for _, low, high in by_days.values()]
    assert widths[0] > 1.3 * widths[1] > 1.3 * 1.3 * widths[2]


def test_targets_that_differ_widen_it():
    policies = noisy(64)
    drawn = resamples(64, 12, 200, seed=0)
    again = [level_costs(policy, policies[0].targets, (0.01,), drawn.days)[0] for policy in policies]
    alone = interval(median(cost_ratio(*again)), drawn)
    both = interval(median(cost_ratio(*(redrawn(costs, drawn) for costs in again))), drawn)
    assert np.diff(both) > 2 * np.diff(alone)


def test_a_hundred_targets_take_seconds():
    rng = np.random.default_rng(0)
    shape = (192, 100, 12)
    demand = rng.gamma(9.0, 5.0, shape[1:])
    found = outcome("x", rng.uniform(0, 1, shape) ** 4 * demand, rng.uniform(1, 2, shape) * demand, demand)
    drawn = resamples(12, 100, 200, seed=0)
    began = time.process_time()
    level_costs(found, found.targets, (0.001, 0.01, 0.05), drawn.days)
    assert time.process_time() - began < 10
