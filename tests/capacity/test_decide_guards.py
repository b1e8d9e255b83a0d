"""Each guard of decide() by hand: what it stops, what it lets through, and what the row says about it."""

import math
from datetime import timedelta

import polars as pl
import pytest
from worlds import NOW, ORIGIN, SLOT, a_plan, a_view, acting, an_inventory, decide_one, some_limits

from persona_platform.capacity.decide import action_key, decide, due
from persona_platform.errors import InputError

MINUTE = timedelta(minutes=1)


def only(rows):
    assert len(rows) == 1, rows
    return rows[0]


def told(rows):
    return [(r["from_floor"], r["to_floor"], r["bound_by"], r["waits_for_approval"]) for r in rows]


def test_a_need_above_the_floor_raises_it_and_says_when_and_at_what_cost():
    row = only(decide_one(needed=8, floor=3, price=2.0, view={"floor_expires_at": None}))
    assert told([row]) == [(3, 8, "none", False)]
    assert row["need_at"] == ORIGIN
    assert row["act_at"] == NOW
    assert row["expires_at"] == ORIGIN + SLOT + timedelta(hours=1)
    assert row["cost"] == pytest.approx(5 * 2.0 * (73 / 60))
    assert row["key"] == action_key("t", ORIGIN, 8)


def test_a_raise_also_pays_for_the_longer_life_of_the_floor_below_it():
    row = only(decide_one(needed=8, floor=3, view={"floor_expires_at": NOW + 30 * MINUTE}))
    assert row["cost"] == pytest.approx((5 * 73 + 3 * 43) / 60)


@pytest.mark.parametrize(
    ("minutes", "lead_s", "wanted"), [(2, None, 1), (11, None, 7), (2, 1800.0, 9), (9.99, None, 1)]
)
def test_the_slot_that_counts_is_the_one_in_which_capacity_asked_for_now_is_usable(minutes, lead_s, wanted):
    rows = decide_one(needed=[1, 7, 9], view={"lead_time_s": lead_s}, now=ORIGIN + minutes * MINUTE)
    assert only(rows)["to_floor"] == wanted


def test_observed_demand_and_the_minimum_raise_without_a_plan_for_them():
    assert only(decide_one(needed=0, observed=4.2))["to_floor"] == 5
    assert only(decide_one(needed=0, limits=acting(min=2)))["to_floor"] == 2


@pytest.mark.parametrize("observed", [None, float("nan"), float("inf"), -3.0])
def test_a_reading_that_is_no_number_is_no_reading(observed):
    assert only(decide_one(needed=2, observed=observed))["to_floor"] == 2


@pytest.mark.parametrize(
    ("bound_by", "given"),
    [
        ("pause", {"view": {"paused": True}}),
        ("mode", {"limits": acting(mode="observe")}),
        ("stale", {"plan": {"origin": NOW - timedelta(minutes=61)}}),
        ("stale", {"plan": {"data_until": NOW - timedelta(minutes=61)}}),
        ("stale", {"plan": {"data_until": None}}),
        ("stale", {"plan": {"origin": NOW + SLOT + MINUTE}}),
        ("stale", {"inventory": {"observed_at": NOW - timedelta(minutes=61)}}),
        ("stale", {"needed": [9], "view": {"lead_time_s": 3600.0}}),
        ("history", {"plan": {"history_s": 3 * 86400 - 1, "cycle_s": 86400}}),
        ("history", {"plan": {"history_s": 13 * 86400, "cycle_s": 7 * 86400}}),
        ("history", {"plan": {"history_s": 86400, "suitable": False}}),
        ("unsuitable", {"plan": {"suitable": False}}),
        ("unsuitable", {"plan": {"suitable": False}, "limits": acting(max=None)}),
        ("max", {"limits": acting(max=None)}),
        ("max", {"limits": acting(max=None, mode="propose")}),
        ("failure", {"view": {"last_failed_at": NOW - timedelta(seconds=179)}}),
    ],
)
def test_what_freezes_a_target_even_against_observed_demand(bound_by, given):
    row = only(decide_one(**{"needed": 9, "floor": 3, "observed": 5.0, **given}))
    assert told([row]) == [(3, 3, bound_by, False)]
    assert row["wanted"] == (5 if given.get("needed") else 9)
    assert row["cost"] == 0
    assert due(pl.DataFrame([row])).is_empty()


@pytest.mark.parametrize(
    "given",
    [
        {"plan": {"origin": NOW - timedelta(minutes=60), "data_until": NOW - timedelta(minutes=60)}},
        {"plan": {"origin": NOW + SLOT}},
        {"limits": acting(stale_after=timedelta(hours=3)), "plan": {"data_until": NOW - timedelta(hours=2)}},
        {"plan": {"history_s": 14 * 86400, "cycle_s": 7 * 86400}},
        {"plan": {"suitable": None}},
        {"plan": {"suitable": False}, "limits": acting(act_unsuitable=True)},
        {"view": {"last_failed_at": NOW - timedelta(seconds=180)}},
    ],
)
def test_what_just_does_not(given):
    assert only(decide_one(needed=9, floor=3, **given))["to_floor"] == 9


def test_a_pause_is_named_before_all_else():
    rows = decide_one(needed=9, limits=acting(mode="observe", max=None), view={"paused": True})
    assert only(rows)["bound_by"] == "pause"


@pytest.mark.parametrize(("unsuitable_slot", "to"), [(0, 3), (1, 3), (2, 9)])
def test_only_the_slots_up_to_the_lead_time_say_whether_acting_is_suitable(unsuitable_slot, to):
    plan = a_plan({"t": [9] * 4}).with_columns(suitable=pl.col("slot") != ORIGIN + unsuitable_slot * SLOT)
    view = a_view("t", lead_time_s=1200.0)
    assert only(decide(plan, an_inventory({"t": 3}), view, some_limits("t"), NOW).to_dicts())["to_floor"] == to


def test_a_frozen_target_that_wants_nothing_has_no_row():
    assert decide_one(needed=3, floor=3, view={"paused": True}) == []


def test_the_maximum_lets_the_part_below_it_through():
    assert told(decide_one(needed=20, floor=3, observed=15.0, limits=acting(max=12))) == [(3, 12, "max", False)]


@pytest.mark.parametrize(("floor", "to"), [(0, 4), (6, 10), (100, 150), (101, 152)])
def test_a_step_is_the_larger_of_the_share_and_the_units(floor, to):
    limits = acting(step_share=0.5, step_units=4)
    assert told(decide_one(needed=500, floor=floor, limits=limits)) == [(floor, to, "step", False)]


def test_a_step_reaches_observed_demand_however_far_it_is():
    assert told(decide_one(needed=50, observed=29.5, limits=acting(step_units=4))) == [(0, 30, "step", False)]


def test_the_budget_of_the_day_pays_for_whole_units_of_what_is_left():
    rows = decide_one(
        needed=50,
        limits=acting(budget_day=10.0),
        price=1.0,
        view={"cost_today": 4.0, "floor_expires_at": None},
    )
    assert told(rows) == [(0, 4, "budget", False)]  # 6 left, 73 minutes of a unit cost 1.217
    assert rows[0]["cost"] <= 6


def test_a_spent_budget_refuses_and_says_so():
    rows = decide_one(needed=50, floor=3, limits=acting(budget_day=10.0), view={"cost_today": 12.0})
    assert told(rows) == [(3, 3, "budget", False)]


def test_free_units_need_no_budget():
    assert only(decide_one(needed=50, limits=acting(budget_day=0.0, approval_cost=0.0), price=0.0))["to_floor"] == 50


def test_the_total_budget_goes_by_need_then_name_and_never_beyond():
    actions = decide(
        a_plan({"a": [6] * 4, "b": [6] * 4, "c": [6] * 4}),
        an_inventory({"a": 0, "b": 0, "c": 0}),
        a_view("a", "b", "c", cost_today_total=1.0, floor_expires_at=None),
        some_limits("a", "b", "c", total=13.5),
        NOW,
    )
    assert actions.select("target", "to_floor", "bound_by").rows() == [
        ("a", 6, "none"),
        ("b", 4, "budget"),
        ("c", 0, "budget"),
    ]
    assert actions["cost"].sum() <= 12.5


@pytest.mark.parametrize("limits", [acting(approval_units=5), acting(approval_cost=5 * 73 / 60)])
def test_above_the_threshold_the_allowed_part_acts_and_the_rest_waits(limits):
    rows = decide_one(needed=12, floor=3, limits=limits, view={"floor_expires_at": NOW + 73 * MINUTE})
    assert told(rows) == [(3, 8, "approval", False), (8, 12, "approval", True)]
    assert rows[1]["cost"] == pytest.approx(4 * 73 / 60)
    assert due(pl.DataFrame(rows))["to_floor"].to_list() == [8]


@pytest.mark.parametrize(
    ("approved", "expected"),
    [(12, [(3, 12, "none", False)]), (10, [(3, 10, "approval", False), (10, 12, "approval", True)])],
)
def test_an_approval_covers_up_to_its_floor(approved, expected):
    assert (
        told(decide_one(needed=12, floor=3, limits=acting(approval_units=5), view={"approved_floor": approved}))
        == expected
    )


def test_what_was_approved_need_not_cool_down():
    given = {"needed": 12, "floor": 8, "limits": acting(approval_units=5)}
    raised = {"last_raised_at": NOW - MINUTE}
    assert told(decide_one(**given, view=raised)) == [(8, 8, "cooldown", False)]
    assert told(decide_one(**given, view={**raised, "approved_floor": 12})) == [(8, 12, "none", False)]


def test_propose_lets_every_change_wait():
    propose = acting(mode="propose")
    assert told(decide_one(needed=9, floor=3, limits=propose)) == [(3, 9, "approval", True)]
    assert told(decide_one(needed=1, floor=3, limits=propose)) == [(3, 1, "approval", True)]
    assert told(decide_one(needed=9, floor=3, limits=propose, view={"approved_floor": 9})) == [(3, 9, "none", False)]
    assert told(decide_one(needed=1, floor=3, limits=propose, view={"approved_floor": 1})) == [(3, 1, "none", False)]


@pytest.mark.parametrize(
    ("needed", "observed", "to", "bound_by"),
    [
        (104, 0.0, 100, "dead_band"),
        (105, 0.0, 105, "none"),
        (104, 103.0, 103, "dead_band"),
        (104, 104.0, 104, "none"),
    ],
)
def test_the_dead_band_is_never_against_observed(needed, observed, to, bound_by):
    assert told(decide_one(needed=needed, observed=observed, floor=100)) == [(100, to, bound_by, False)]


@pytest.mark.parametrize(
    ("ago_s", "observed", "to", "bound_by"),
    [(299, 0.0, 3, "cooldown"), (300, 0.0, 9, "none"), (10, 5.0, 5, "cooldown")],
)
def test_a_second_raise_waits_for_the_cooldown_unless_demand_is_there(ago_s, observed, to, bound_by):
    view = {"last_raised_at": NOW - timedelta(seconds=ago_s)}
    assert told(decide_one(needed=9, observed=observed, floor=3, view=view)) == [(3, to, bound_by, False)]


@pytest.mark.parametrize(
    ("given", "to", "bound_by"),
    [
        ({}, 2, "none"),
        ({"observed": 4.5}, 5, "none"),
        ({"limits": acting(min=6)}, 6, "none"),
        ({"view": {"last_raised_at": NOW - timedelta(seconds=599)}}, 20, "cooldown"),
        ({"view": {"last_lowered_at": NOW - timedelta(seconds=599)}}, 20, "cooldown"),
        ({"view": {"last_raised_at": NOW - timedelta(seconds=600)}}, 2, "none"),
        ({"view": {"floor_expires_at": None}}, 20, "not_ours"),
        ({"needed": [19] * 8, "limits": acting(dead_band=0.06)}, 20, "dead_band"),
        ({"needed": [19] * 8}, 19, "none"),
        ({"limits": acting(max=19), "needed": [30] * 8}, 19, "none"),
    ],
)
def test_when_a_floor_of_twenty_is_lowered(given, to, bound_by):
    rows = decide_one(**{"needed": [2] * 8, "floor": 20, **given})
    assert told(rows) == [(20, to, bound_by, False)]


def test_a_floor_is_kept_for_every_slot_until_the_lead_time_has_passed():
    rows = decide_one(needed=[2, 9, 2, 2], floor=20, view={"lead_time_s": 1800.0})
    assert told(rows) == [(20, 9, "none", False)]


def test_a_floor_needed_again_after_it_was_lowered_is_another_action():
    first = only(decide_one(needed=9, floor=3))
    again = only(decide_one(needed=9, floor=3, view={"last_lowered_at": NOW - MINUTE}))
    assert again["to_floor"] == first["to_floor"]
    assert again["key"] != first["key"]


@pytest.mark.parametrize(
    ("minutes_left", "given", "expected"),
    [
        (30, {}, [(9, 9, "renewal", False)]),
        (31, {}, []),
        (-1, {}, [(9, 9, "renewal", False)]),
        (30, {"limits": acting(mode="propose")}, [(9, 9, "renewal", True)]),
        (30, {"limits": acting(budget_day=1.0)}, [(9, 9, "budget", False)]),
        (30, {"total": 1.0}, [(9, 9, "budget", False)]),
        (30, {"view": {"paused": True}}, []),
        (30, {"plan": {"data_until": NOW - timedelta(hours=2)}}, []),
    ],
)
def test_a_floor_that_is_still_wanted_is_renewed_at_half_of_its_expiry(minutes_left, given, expected):
    view = {"floor_expires_at": NOW + minutes_left * MINUTE, **given.get("view", {})}
    rows = decide_one(**{"needed": 9, "floor": 9, **given, "view": view})
    assert told(rows) == expected
    if expected and expected[0][2] == "renewal":
        assert rows[0]["expires_at"] > view["floor_expires_at"]
        assert rows[0]["cost"] == pytest.approx(9 * (73 - max(minutes_left, 0)) / 60)
        assert len(due(pl.DataFrame(rows))) == (not expected[0][3])


def test_a_floor_that_nobody_wants_is_lowered_not_renewed_and_lapses_where_it_may_not_be():
    soon = {"floor_expires_at": NOW + 5 * MINUTE}
    assert told(decide_one(needed=0, floor=9, view=soon)) == [(9, 0, "none", False)]
    cooling = {**soon, "last_raised_at": NOW - MINUTE}
    assert told(decide_one(needed=0, floor=9, view=cooling)) == [(9, 9, "cooldown", False)]


def test_the_newest_inventory_of_a_target_counts_in_any_order_of_rows():
    inventory = pl.concat(
        [
            an_inventory({"t": 9}),
            an_inventory({"t": 3}, observed_at=NOW - MINUTE),
            an_inventory({"t": 3}, observed_at=NOW - 2 * MINUTE),
        ]
    )
    for order in (inventory, inventory.reverse()):
        assert decide(a_plan({"t": [9] * 4}), order, a_view("t"), some_limits("t"), NOW).is_empty()


def test_a_target_without_limits_or_inventory_is_left_alone_and_one_without_a_past_is_not():
    actions = decide(
        a_plan({"a": [5] * 4, "b": [5] * 4, "c": [5] * 4}),
        an_inventory({"a": 0, "b": 0}),
        a_view(),
        some_limits("a", "c"),
        NOW,
    )
    assert actions["target"].to_list() == ["a"]


def test_nothing_in_nothing_out():
    empty = [frame.clear() for frame in (a_plan({"t": [1]}), an_inventory({"t": 1}), a_view("t"), some_limits("t"))]
    assert decide(*empty, NOW).is_empty()


@pytest.mark.parametrize(
    ("plan", "view", "limits", "now", "says"),
    [
        (a_plan({"t": [1, 1]}), a_view("t"), some_limits("t"), NOW.replace(tzinfo=None), "without a zone"),
        (pl.concat([a_plan({"t": [1]})] * 2), a_view("t"), some_limits("t"), NOW, "more than once"),
        (a_plan({"t": [1]}), a_view("t", "t"), some_limits("t"), NOW, "more than once"),
        (a_plan({"t": [1]}), a_view("t"), pl.concat([some_limits("t")] * 2), NOW, "more than once"),
        (
            a_plan({"t": [1]}).with_columns(needed=pl.lit(None, pl.Int64)),
            a_view("t"),
            some_limits("t"),
            NOW,
            "without needed",
        ),
        (a_plan({"t": [1]}), a_view("t"), some_limits("t").with_columns(mode=pl.lit("go")), NOW, "'go'"),
        (a_plan({"t": [1]}), a_view("t"), some_limits("t").with_columns(expiry_s=None), NOW, "expiry_s = None"),
        (
            a_plan({"t": [1]}),
            a_view("t"),
            some_limits("t").with_columns(step_share=pl.lit(math.inf)),
            NOW,
            "step_share = inf",
        ),
        (a_plan({"t": [1]}), a_view("t"), some_limits("t", total=math.nan), NOW, "budget_total_day = nan"),
        (a_plan({"t": [1]}), a_view("t", cost_today=math.nan), some_limits("t"), NOW, "cost_today = nan"),
    ],
)
def test_what_cannot_be_decided_from_is_refused(plan, view, limits, now, says):
    with pytest.raises(InputError, match=says):
        decide(plan, an_inventory({"t": 0}), view, limits, now)
