"""The walk of our own policy: what decide is shown, what becomes of its actions, and the rail below."""

from datetime import timedelta

import numpy as np
import polars as pl
import pytest

from persona_platform.errors import InputError
from persona_platform.frames import ACTIONS, INVENTORY, LEDGER_VIEW, LIMITS, empty
from persona_platform.replay.engine import serve
from persona_platform.replay.ours import AS_PLANNED, NO_MAXIMUM, Ours, Walked

STEP = timedelta(minutes=15)


def nothing(plan, inventory, ledger_view, limits, now):
    return empty(ACTIONS)


def test_the_floor_is_there_when_it_is_needed(recorded, plan_of, limits, follow_the_plan):
    demand = [1, 1, 1, 6, 6, 1, 1, 1]
    recording = recorded(demand)
    ours = Ours(plan_of([demand]), limits("a"), kappas=(), decide=follow_the_plan)
    walk = ours.walk(recording)
    assert walk.floor[0, 0].tolist() == [1, 1, 6, 6, 1, 1, 1, 1]
    # Down to the floor only once the reading is down: the reading of step 4 was still 6.
    assert walk.desired[0, 0].tolist() == [1, 1, 6, 6, 6, 6, 1, 1]
    served = serve(recording.demand, walk.desired, step=STEP, lead_time=STEP)
    assert (served.capacity[0, 0] >= demand).all()
    assert walk.actions.select("setting", "target", "from_floor", "to_floor").rows() == [
        (AS_PLANNED, "a", 0, 1), (AS_PLANNED, "a", 1, 6), (AS_PLANNED, "a", 6, 1),
    ]  # fmt: skip
    assert walk.actions["decided_at"].to_list() == [recording.at(i) for i in (0, 2, 4)]


def test_without_a_floor_it_holds_the_last_reading(recorded, plan_of, limits):
    recording = recorded([2.2, np.nan, 5, 1])
    ours = Ours(plan_of([[9] * 4]), limits("a"), kappas=(), decide=nothing)
    assert ours.desired(recording)[0, 0].tolist() == [0, 3, 3, 5]


def test_a_floor_that_expired_is_gone(recorded, plan_of, limits, follow_the_plan):
    recording = recorded([0] * 14)
    only_first = lambda *args: follow_the_plan(*args).filter(pl.col("need_at") <= recording.at(1))  # noqa: E731
    ours = Ours(plan_of([[4] * 14]), limits("a"), kappas=(), decide=only_first)
    # Needed at step 1, two hours more: dropped at the start of step 9.
    assert ours.desired(recording)[0, 0].tolist() == [4] * 9 + [0] * 5


def test_decide_sees_what_a_live_tick_would(recorded, plan_of, limits, follow_the_plan):
    seen = []

    def spy(plan, inventory, ledger_view, limit_rows, now):
        seen.append((plan, inventory, ledger_view, limit_rows))
        return follow_the_plan(plan, inventory, ledger_view, limit_rows, now)

    recording = recorded([2, 3, np.nan, 3], lead=timedelta(minutes=20))
    Ours(plan_of([[5, 5, 5, 8, 8, 8, 8]]), limits("a", "z", max=None), kappas=(0.9,), decide=spy).walk(recording)
    plan, inventory, view, rows = seen[2]
    assert inventory.schema == pl.Schema(INVENTORY)
    assert view.schema == pl.Schema(LEDGER_VIEW)
    assert rows.schema == pl.Schema(LIMITS)
    assert inventory["target"].to_list() == view["target"].to_list() == rows["target"].to_list()
    assert plan["target"].unique().sort().to_list() == inventory["target"].sort().to_list()
    # The lead in whole steps; the newest reading; five held at first, three more asked for at step 1.
    assert view["lead_time_s"].to_list() == [1800, 1800]
    assert inventory["observed_demand"].to_list() == [3, 3]
    assert inventory.select("usable", "booting", "floor").rows() == [(5, 3, 8)] * 2
    assert inventory["ready_at"].to_list() == [recording.at(3)] * 2
    assert seen[3][1].select("usable", "booting", "ready_at").row(0) == (8, 0, None)
    assert seen[3][1]["observed_demand"].to_list() == [None, None]
    # Acting, approved at once, without budget or maximum.
    assert rows["mode"].unique().to_list() == ["act"]
    assert rows["max"].unique().to_list() == [NO_MAXIMUM]
    unlimited = ["budget_day", "budget_total_day", "approval_units", "approval_cost"]
    assert rows.select(unlimited).null_count().row(0) == (2, 2, 2, 2)


def test_booting_units_are_what_the_engine_says(recorded, plan_of, limits, follow_the_plan):
    rng = np.random.default_rng(1)
    demand = rng.integers(0, 9, 30).astype(float)
    recording = recorded(demand, lead=3 * STEP)
    usable = []

    def spy(plan, inventory, ledger_view, limit_rows, now):
        usable.append(inventory["usable"][0])
        return follow_the_plan(plan, inventory, ledger_view, limit_rows, now)

    ours = Ours(plan_of([rng.integers(0, 9, 30)]), limits("a"), kappas=(), decide=spy)
    desired = ours.desired(recording)
    served = serve(recording.demand, desired, step=STEP, lead_time=3 * STEP)
    # What is usable before a tick's decision is at least what is usable through its step.
    assert all(before >= during for before, during in zip(usable[3:], served.capacity[0, 0][3:], strict=True))
    assert usable[10] == desired[0, 0, 7:10].min()


def test_kappa_moves_the_floor_along_the_plans_quantiles(recorded, plan_of, limits, follow_the_plan):
    def spread(origin):
        plan = plan_of([[10] * 4])(origin)
        return plan.with_columns(mean=4.0, q50=10.0, q90=20.0, q95=30.0, q99=40.0, needed=33)

    kappas = (0.01, 0.5, 0.8, 0.9, 0.95, 0.99, 0.999)
    ours = Ours(spread, limits("a"), kappas=kappas, decide=follow_the_plan)
    floors = ours.walk(recorded([0, 0])).floor[:, 0, 0].tolist()
    assert ours.settings(recorded([0])) == [AS_PLANNED, *(f"kappa {k:g}" for k in kappas)]
    assert floors[0] == 33
    assert floors[1] == 4  # never below the mean
    assert floors[2:7] == [10, 17, 20, 30, 40]
    assert floors[7] > 40


def test_every_target_needs_limits(recorded, plan_of, limits):
    with pytest.raises(InputError, match="b has none"):
        Ours(plan_of([[1], [1]]), limits("a"), decide=nothing).walk(recorded([1], [1]))


def test_an_empty_plan_is_no_reason_to_stop(recorded, plan_of, limits, follow_the_plan):
    ours = Ours(plan_of([]), limits("a"), decide=follow_the_plan)
    assert ours.desired(recorded([2, 2]))[0, 0].tolist() == [0, 2]


def test_the_live_decide_raises_ahead_of_the_need(recorded, plan_of, limits):
    demand = [1, 1, 1, 6, 6, 1, 1, 1]
    recording = recorded(demand)
    walk = Ours(plan_of([[*demand, 1, 1]]), limits("a"), kappas=()).walk(recording)
    served = serve(recording.demand, walk.desired, step=STEP, lead_time=STEP)
    assert (served.capacity[0, 0] >= demand).all()
    raised = walk.actions.filter(pl.col("to_floor") == 6)
    assert raised["decided_at"].to_list() == [recording.at(2)]
    assert raised["need_at"].to_list() == [recording.at(3)]
    assert walk.bound.is_empty()


def test_the_live_decide_acts_on_no_short_history_and_says_so(recorded, plan_of, limits):
    recording = recorded([1, 2, 3, 4])
    walk = Ours(plan_of([[9] * 8], history=1), limits("a"), kappas=()).walk(recording)
    assert walk.desired[0, 0].tolist() == [0, 1, 2, 3]
    assert walk.actions.is_empty()
    assert walk.bound.rows() == [(AS_PLANNED, "a", "history", 4)]


def test_a_walk_can_be_scored_without_walking_again(recorded, plan_of, limits):
    recording = recorded([1, 2, 3, 4])
    ours = Ours(plan_of([[4] * 8]), limits("a"), kappas=(0.9,))
    again = Walked(ours, ours.walk(recording))
    assert again.settings(recording) == ours.settings(recording)
    np.testing.assert_array_equal(again.desired(recording), ours.desired(recording))
