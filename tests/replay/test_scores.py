"""Scores of every setting, over each target and over all, and savings as measured."""

from datetime import timedelta

import numpy as np
import polars as pl
import pytest
from example_outcomes import START, Fixed, outcome, recording
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from persona_platform.errors import InputError
from persona_platform.replay.engine import Recording, Terms
from persona_platform.replay.outcomes import AS_PLANNED, DECISIONS, Block, Outcome, run_policy
from persona_platform.replay.policies import Clairvoyant, Reactive, ReactiveTuned
from persona_platform.replay.scores import (
    ALL_TARGETS,
    SCORES,
    at_cost,
    at_unserved,
    compare,
    comparison_of,
    frontier,
    savings,
    savings_schema,
)

STEP = timedelta(minutes=15)
LEFT_ALONE = "left alone, target 70%"


def test_scores_in_money_per_target_and_over_all():
    quarters = recording([2, 2, 2, 2], [4, 4, 4, 4], step=STEP)
    comparison = compare(quarters, [Fixed("static", low=[1, 4])], {"a": 2.0, "b": 0.5})
    assert comparison.scores.schema == pl.Schema(SCORES)
    assert comparison.decisions.schema == pl.Schema(DECISIONS)
    rows = comparison.scores.select("target", "billed_unit_hours", "cost", "unserved_share").rows()
    assert rows == [
        ("a", 1.0, 2.0, 0.5),
        ("b", 4.0, 2.0, 0.0),
        (ALL_TARGETS, 5.0, 4.0, 4 * 2 / (8 * 2 + 16 / 2)),
    ]


def test_starts_cost_what_they_cost():
    grows = Fixed("static", grows=[[1, 2, 3]])
    scores = compare(recording([1, 1, 1], start_price=0.5), [grows], {"a": 10.0}).scores.filter(target="a")
    assert scores["billed_unit_hours"].to_list() == [6 + 2 * 0.5]
    assert scores["cost"].to_list() == [70.0]


def test_free_units_count_alike():
    scores = compare(recording([2, 2]), [Fixed("static", low=1)], {"a": 0.0}).scores
    assert scores["cost"].to_list() == [2.0, 2.0]


def test_over_all_targets_measures_are_of_all_demand():
    """Of a, half is short all day; b, four times as large, has what it needs."""
    scores = compare(recording([2] * 48, [8] * 48), [Fixed("static", low=[1, 10])]).scores
    row = scores.filter(target=ALL_TARGETS).row(0, named=True)
    assert row["unserved_share"] == pytest.approx(1 / 10)
    assert row["worst_day"] == pytest.approx(1 / 10)
    assert row["utilization"] == pytest.approx(9 / 11)
    assert row["idle_share"] == pytest.approx(2 / 11)
    assert row["tau_u"] == row["tau_o"] == pytest.approx(1 / 2)
    assert row["theta_u"] == pytest.approx((0.5 + 0) / 2)
    assert row["under_provisioned_minutes"] == 48 * 60


def test_starts_of_all_targets_add_up_though_one_was_read_half_as_long():
    sizes = np.tile([1, 2], 24)
    half = [1] * 24 + [np.nan] * 24
    scores = compare(recording([1] * 48, half), [Fixed("static", swings=[sizes, sizes])]).scores
    assert scores["starts_per_day"].to_list() == [12.0, 12.0, 24.0]


def test_a_frontier_holds_only_what_is_worth_having():
    policy = Fixed("static", worse=5, tight=4, loose=2, silly=4, half=3)
    front = frontier(compare(recording([4, 4]), [policy]).scores, "static", "a")
    assert front["setting"].to_list() == ["tight", "half", "loose"]
    assert front["unserved_share"].to_list() == [0, 0.25, 0.5]


def test_costs_are_read_along_the_frontier_and_not_beyond_it():
    front = frontier(compare(recording([4, 4]), [Fixed("static", a=3, b=2)]).scores, "static", "a")
    assert at_unserved(front, 0.375) == pytest.approx(5.0)
    assert at_unserved(front, 0.1) is None
    assert at_unserved(front, 0.9) == 4.0
    assert at_cost(front, 5.0) == pytest.approx(0.375)
    assert at_cost(front, 3.9) is None
    assert at_cost(front, 36.0) == 0.25


def test_over_all_targets_each_has_its_own_setting():
    """One setting for both would have to be 4 units at each: 16 unit-hours instead of 12."""
    scores = compare(recording([4, 4], [2, 2]), [Fixed("static", four=4, two=2)]).scores
    front = frontier(scores, "static")
    assert front["unserved_share"].to_list() == [0, 4 / 12]
    assert front["cost"].to_list() == [12.0, 8.0]


def test_savings_by_hand_and_losses_are_said():
    policies = [
        Fixed("ours", **{AS_PLANNED: 6}),
        Fixed("reactive", a=8, b=4),
        Fixed("reactive_tuned", a=5),
        Fixed("clairvoyant", a=4),
    ]
    table = savings(compare(recording([4, 4]), policies), levels=(0.01,))
    assert table.schema == pl.Schema(savings_schema())
    planned = table.filter(target="a", basis=AS_PLANNED).row(0, named=True)
    assert (planned["ours"], planned["reactive"], planned["reactive_tuned"]) == (12.0, 8.0, 10.0)
    assert planned["saved_reactive"] == pytest.approx(-0.5)
    assert planned["saved_reactive_tuned"] == pytest.approx(-0.2)
    assert planned["gap_closed"] == pytest.approx(-1.0)
    assert planned["unserved_reactive"] == 0


def test_savings_without_rivals_or_data_are_null_and_not_wrong():
    table = savings(compare(recording([0, 0]), [Fixed("ours", **{AS_PLANNED: 1})]))
    assert table["gap_closed"].null_count() == table.height
    assert table["saved_reactive"].null_count() == table.height
    assert savings(compare(recording([1]), [])).is_empty()


def test_as_planned_over_all_targets_is_the_sum_of_their_own():
    ours = Fixed("ours", **{AS_PLANNED: [4, 4]})
    tuned = Fixed("reactive_tuned", low=[4, 9], high=[9, 2])
    table = savings(compare(recording([0, 4, 4], [0, 2, 2]), [ours, tuned]), levels=())
    single = table.filter(pl.col("target") != ALL_TARGETS)
    for column in ("ours", "reactive_tuned"):
        assert table.filter(target=ALL_TARGETS)[column].item() == single[column].sum()


def merged(*outcomes):
    return Outcome("ours", tuple(block for each in outcomes for block in each.blocks))


def test_targets_left_alone_count_as_plain_reactive():
    both = recording([4, 4], [2, 2])
    acted = run_policy(both.part([0]), Fixed("ours", **{AS_PLANNED: 5, "kappa 0.5": 4}))
    alone = run_policy(both.part([1]), Fixed("reactive", **{"left alone, target 40%": 4, LEFT_ALONE: 3}))
    reactive = run_policy(both, Fixed("reactive", **{"target 40%": [6, 4], "target 70%": [6, 3]}))
    comparison = comparison_of(both, [merged(alone, acted), reactive], left_alone=["b"])
    assert comparison.left_alone == ("b",)
    table = savings(comparison, levels=())
    rows = dict(table.select("target", "ours").iter_rows())
    assert rows == {"b": 6.0, "a": 10.0, ALL_TARGETS: 16.0}
    assert dict(table.select("target", "saved_reactive").iter_rows())["b"] == 0.0


def test_as_planned_over_all_is_not_made_up_where_a_target_has_none():
    both = recording([4, 4], [2, 2])
    acted = run_policy(both.part([0]), Fixed("ours", **{AS_PLANNED: 5}))
    other = run_policy(both.part([1]), Fixed("ours", **{"kappa 0.9": 5}))
    scores = comparison_of(both, [merged(acted, other)]).scores
    assert set(scores.filter(setting=AS_PLANNED)["target"]) == {"a"}
    assert ALL_TARGETS in set(scores["target"])


def test_an_outcome_of_other_targets_is_refused():
    found = run_policy(recording([1, 1], [1, 1]), Fixed("static", one=1))
    with pytest.raises(InputError, match="static was run over 2 targets, not over the 1 recorded; b differ"):
        comparison_of(recording([1, 1]), [found])


def test_two_blocks_over_one_target_are_refused():
    block = outcome("static", [[[0.0]]], [[[1.0]]], [[1.0]], targets=("a",)).blocks[0]
    with pytest.raises(InputError, match="Run it over the same recording"):
        comparison_of(recording([1]), [Outcome("static", (block, Block(("a",), block.settings, block.measured)))])


tenths = st.integers(0, 80).map(lambda n: n / 10)


@settings(max_examples=30, deadline=None)
@given(demand=hnp.arrays(float, (2, 20), elements=tenths), lead=st.integers(0, 3))
def test_frontiers_fall_and_the_clairvoyant_is_below(demand, lead):
    walked = Recording(("a", "b"), START, STEP, demand, 6, Terms(lead * STEP))
    comparison = compare(walked, [Reactive(), ReactiveTuned(), Clairvoyant()])
    for target in ("a", "b", ALL_TARGETS):
        fronts = {p: frontier(comparison.scores, p, target) for p in ("reactive", "reactive_tuned", "clairvoyant")}
        for front in fronts.values():
            assert front["unserved_share"].is_sorted()
            assert (front["cost"].diff().drop_nulls() < 0).all()
        for share, cost in fronts["reactive"].select("unserved_share", "cost").iter_rows():
            tuned = at_unserved(fronts["reactive_tuned"], share)
            bound = at_unserved(fronts["clairvoyant"], share)
            assert tuned <= cost + 1e-9
            # The prices of the sweep are spaced by up to a third, so its chords lie a little above the hull: 2.04 %
            # was the most found on recordings of twenty steps, where a vertex of the hull falls between two prices.
            assert bound <= cost * 1.05 + 1e-9
