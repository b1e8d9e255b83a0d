"""Frontiers: what is on them, what is read off them, and the best of all targets together."""

from itertools import product

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from persona_platform.replay.frontiers import along, best_for_all, cheapest_within, hull, on_frontier
from persona_platform.replay.scores import at_cost, at_unserved

UNSERVED = np.array([0.0, 0.10, 0.02, 0.02, 0.30])
COST = np.array([9.0, 4.0, 6.0, 7.0, 5.0])

# Few values, so that ties are common.
few = st.sampled_from([0.0, 0.01, 0.02, 0.05, 0.1, 0.3, 1.0])
numbers = st.one_of(few, st.floats(0, 10, allow_subnormal=False))
sweeps = st.integers(1, 9).flatmap(
    lambda n: st.tuples(hnp.arrays(float, (n, 4), elements=numbers), hnp.arrays(float, (n, 4), elements=numbers))
)


def front_frame(unserved, cost):
    """The frontier as the scores frame has it."""
    frame = pl.DataFrame({"unserved_share": unserved, "cost": cost})
    return frame.filter(pl.Series(on_frontier(unserved, cost))).sort("unserved_share")


def test_only_what_nothing_beats_is_on_the_frontier():
    assert on_frontier(UNSERVED, COST).tolist() == [True, True, True, False, False]


def test_of_two_equal_settings_one_is_kept():
    assert on_frontier(np.array([0.1, 0.1]), np.array([2.0, 2.0])).tolist() == [True, False]


@pytest.mark.parametrize(("share", "cost"), [(0.0, 9.0), (0.01, 7.5), (0.02, 6.0), (0.06, 5.0), (0.1, 4.0), (0.9, 4.0)])
def test_cost_by_hand(share, cost):
    assert along(UNSERVED, COST, share) == pytest.approx(cost)


def test_what_no_setting_reaches_is_nan():
    assert np.isnan(along(np.array([0.1, 0.2]), np.array([2.0, 1.0]), 0.05))
    assert np.isnan(along(COST, UNSERVED, 3.9))
    assert np.isnan(along(np.zeros((0, 2)), np.zeros((0, 2)), 0.1)).all()
    assert np.isnan(along(UNSERVED, COST, np.nan))


def test_unserved_at_a_cost_by_hand():
    assert along(COST, UNSERVED, 5.0) == pytest.approx(0.06)
    assert along(COST, UNSERVED, 100.0) == 0.0


@settings(max_examples=200, deadline=None)
@given(sweep=sweeps, at=numbers)
def test_all_columns_at_once_are_each_column_alone(sweep, at):
    unserved, cost = sweep
    shares, costs = along(unserved, cost, at), along(cost, unserved, at)
    for i in range(unserved.shape[1]):
        front = front_frame(unserved[:, i], cost[:, i])
        for found, expected in ((shares[i], at_unserved(front, at)), (costs[i], at_cost(front, at))):
            assert np.isnan(found) if expected is None else found == pytest.approx(expected, abs=1e-9)


@settings(max_examples=200, deadline=None)
@given(sweep=sweeps, levels=st.lists(numbers, min_size=2, max_size=8))
def test_cost_never_rises_with_the_unserved_share(sweep, levels):
    read = np.array([along(*sweep, level) for level in sorted(levels)])
    not_reached_is_dear = np.where(np.isnan(read), np.inf, read)
    assert (not_reached_is_dear[1:] <= not_reached_is_dear[:-1] + 1e-9).all()


def test_cheapest_setting_within_a_level():
    assert cheapest_within(UNSERVED, COST, 0.02) == 2
    assert cheapest_within(UNSERVED, COST, 1.0) == 1
    assert cheapest_within(UNSERVED[1:], COST[1:], 0.01) == -1
    assert cheapest_within(np.zeros((0, 3)), np.zeros((0, 3)), 0.1).tolist() == [-1, -1, -1]


def test_a_hull_has_only_corners():
    unserved, cost = np.array([0.0, 1.0, 2.0, 4.0, 3.0]), np.array([10.0, 6.0, 5.5, 2.0, 9.0])
    assert hull(unserved, cost).tolist() == [0, 1, 3]  # 5.5 lies above the line from 6 to 2


def test_the_best_together_by_hand():
    """The first target gives up 4 for 1 and 1 for 1, the second one 2 for 1."""
    unserved = [np.array([0.0, 1.0, 2.0]), np.array([1.0, 0.0])]
    cost = [np.array([10.0, 6.0, 5.0]), np.array([1.0, 3.0])]
    multipliers, picks = best_for_all(unserved, cost)
    assert (np.diff(multipliers) > 0).all()
    assert picks.tolist() == [[2, 0], [1, 0], [1, 1], [0, 1]]


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.integers(1, 4).flatmap(
            lambda n: st.tuples(
                hnp.arrays(float, n, elements=st.integers(0, 9)), hnp.arrays(float, n, elements=st.integers(0, 9))
            )
        ),
        min_size=1,
        max_size=3,
    )
)
def test_no_choice_of_settings_is_below_the_best_together(targets):
    unserved, cost = [t[0] for t in targets], [t[1] for t in targets]
    _, picks = best_for_all(unserved, cost)
    best = np.array([[sum(v[i] for v, i in zip(of, row, strict=True)) for row in picks] for of in (unserved, cost)])
    for choice in product(*(range(len(u)) for u in unserved)):
        left = sum(u[i] for u, i in zip(unserved, choice, strict=True))
        paid = sum(c[i] for c, i in zip(cost, choice, strict=True))
        at_least = along(best[0], best[1], left)
        assert at_least <= paid + 1e-9  # and not NaN


def test_of_too_many_corners_the_ends_are_kept():
    n = np.arange(50.0)
    _, picks = best_for_all([n], [(50 - n) ** 2], most=10)
    assert len(picks) == 10
    assert picks[0, 0] == 49
    assert picks[-1, 0] == 0
