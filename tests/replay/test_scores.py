"""Frontiers, costs read off them, and savings as measured."""

from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from persona_platform.replay.engine import Recording
from persona_platform.replay.ours import AS_PLANNED, Ours
from persona_platform.replay.policies import Clairvoyant, Reactive, ReactiveTuned
from persona_platform.replay.scores import (
    ALL_TARGETS,
    DECISIONS,
    SCORES,
    at_cost,
    at_unserved,
    compare,
    frontier,
    savings,
    savings_schema,
)

STEP = timedelta(minutes=15)
START = datetime(2024, 3, 4, tzinfo=UTC)


class Fixed:
    """A policy whose sizes are given."""

    def __init__(self, name, **sizes):
        self.name, self.sizes = name, sizes

    def settings(self, recording):
        return list(self.sizes)

    def desired(self, recording):
        shape = recording.demand.shape
        return np.array([np.broadcast_to(np.reshape(size, (-1, 1)), shape) for size in self.sizes.values()])


def test_scores_in_money_per_target_and_over_all(recorded):
    comparison = compare(recorded([2, 2, 2, 2], [4, 4, 4, 4]), [Fixed("static", low=[1, 4])], {"a": 2.0, "b": 0.5})
    assert comparison.scores.schema == pl.Schema(SCORES)
    assert comparison.decisions.schema == pl.Schema(DECISIONS)
    rows = comparison.scores.select("target", "billed_unit_hours", "cost", "unserved_share").rows()
    assert rows == [
        ("a", 1.0, 2.0, 0.5),
        ("b", 4.0, 2.0, 0.0),
        (ALL_TARGETS, 5.0, 4.0, 4 * 2 / (8 * 2 + 16 / 2)),
    ]


def test_free_units_count_alike(recorded):
    scores = compare(recorded([2, 2]), [Fixed("static", low=1)], {"a": 0.0}).scores
    assert scores["cost"].to_list() == [0.5, 0.5]


def test_a_frontier_holds_only_what_is_worth_having(recorded):
    policy = Fixed("static", worse=[5], tight=[4], loose=[2], silly=[4], half=[3])
    front = frontier(compare(recorded([4, 4]), [policy]).scores, "static", "a")
    assert front["setting"].to_list() == ["tight", "half", "loose"]
    assert front["unserved_share"].to_list() == [0, 0.25, 0.5]


def test_costs_are_read_along_the_frontier_and_not_beyond_it(recorded):
    front = frontier(compare(recorded([4, 4]), [Fixed("static", a=[3], b=[2])]).scores, "static", "a")
    assert at_unserved(front, 0.375) == pytest.approx(1.25)
    assert at_unserved(front, 0.1) is None
    assert at_unserved(front, 0.9) == 1.0
    assert at_cost(front, 1.25) == pytest.approx(0.375)
    assert at_cost(front, 0.9) is None
    assert at_cost(front, 9.0) == 0.25


def test_savings_by_hand_and_losses_are_said(recorded):
    policies = [
        Fixed("ours", **{AS_PLANNED: [6]}),
        Fixed("reactive", a=[8], b=[4]),
        Fixed("reactive_tuned", a=[5]),
        Fixed("clairvoyant", a=[4]),
    ]
    table = savings(compare(recorded([4, 4]), policies), levels=(0.01,))
    assert table.schema == pl.Schema(savings_schema())
    planned = table.filter(target="a", basis=AS_PLANNED).row(0, named=True)
    assert (planned["ours"], planned["reactive"], planned["reactive_tuned"]) == (3.0, 2.0, 2.5)
    assert planned["saved_reactive"] == pytest.approx(-0.5)
    assert planned["saved_reactive_tuned"] == pytest.approx(-0.2)
    assert planned["gap_closed"] == pytest.approx(-1.0)
    assert planned["unserved_reactive"] == 0


def test_savings_without_rivals_or_data_are_null_and_not_wrong(recorded):
    table = savings(compare(recorded([0, 0]), [Fixed("ours", **{AS_PLANNED: [1]})]))
    assert table["gap_closed"].null_count() == table.height
    assert table["saved_reactive"].null_count() == table.height
    assert savings(compare(recorded([1]), [])).is_empty()


@settings(max_examples=40, deadline=None)
@given(demand=hnp.arrays(float, (2, 20), elements=st.floats(0, 8)), lead=st.integers(0, 3))
def test_frontiers_fall_and_the_clairvoyant_is_below(demand, lead):
    recording = Recording(("a", "b"), START, STEP, lead * STEP, demand, 6)
    comparison = compare(recording, [Reactive(), ReactiveTuned(), Clairvoyant()])
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


def test_two_days_of_eight_targets_walk_in_seconds(recorded, plan_of, limits, follow_the_plan):
    rng = np.random.default_rng(0)
    demand = rng.gamma(4.0, 5.0, (8, 192))
    names = "abcdefgh"
    ours = Ours(plan_of(demand, slots=96), limits(*names), kappas=(0.9, 0.99), decide=follow_the_plan)
    comparison = compare(recorded(*demand, scored_from=96), [ours, Reactive(), ReactiveTuned(), Clairvoyant()])
    assert set(comparison.decisions["policy"]) == {"ours", "reactive", "reactive_tuned", "clairvoyant"}
    kept = comparison.decisions.group_by("policy").agg(pl.col("setting").n_unique())
    assert kept["setting"].max() <= 40
    assert AS_PLANNED in set(comparison.decisions.filter(policy="ours")["setting"])


def test_over_all_targets_each_rival_has_its_best_setting_for_each_target(recorded):
    recording = recorded([0, 4, 4], [0, 2, 2])
    ours = Fixed("ours", **{AS_PLANNED: [4, 4]})
    tuned = Fixed("reactive_tuned", low=[4, 9], high=[9, 2])
    table = savings(compare(recording, [ours, tuned]), levels=())
    single = table.filter(pl.col("target") != ALL_TARGETS)["reactive_tuned"].sum()
    assert table.filter(target=ALL_TARGETS)["reactive_tuned"].item() == single
