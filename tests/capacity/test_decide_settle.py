"""The decision over arrays, as replay asks it, against ``decide()``, as a live tick asks it."""

from dataclasses import fields
from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from worlds import NOW, ORIGIN, SLOT, a_plan, a_view, an_inventory, some_limits, worlds

from persona_platform.capacity.decide import decide, due
from persona_platform.capacity.facts import NO_CAP, NONE, Facts, planned
from persona_platform.capacity.gathering import gather, guards_of
from persona_platform.capacity.reasons import REASONS, Reason
from persona_platform.capacity.settle import performed, settle
from persona_platform.frames import LIMITS

MICROSECOND = timedelta(microseconds=1)
MINUTE = 60_000_000
WIDTH = SLOT // MICROSECOND


def micros(moment: datetime) -> int:
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // MICROSECOND


def facts_of(world) -> tuple[pl.Series, Facts]:
    return gather(*world, now=NOW, width=SLOT)


@settings(max_examples=100, deadline=None)
@given(world=worlds())
def test_what_is_performed_is_what_decide_calls_due(world):
    names, facts = facts_of(world)
    done = performed(settle(facts, micros(NOW), WIDTH))
    actions = decide(*world, NOW)
    rows = {row["target"]: row for row in due(actions).iter_rows(named=True)}
    assert len(rows) == len(due(actions)), "a row changes at most once"
    for i, name in enumerate(names):
        row = rows.get(name)
        changes = {"raised": done.raised[i], "lowered": done.lowered[i], "renewed": done.renewed[i]}
        if row is None:
            assert (done.floor[i], done.expires_at[i]) == (facts.floor[i], facts.floor_expires_at[i])
            assert not any(changes.values())
            assert done.cost[i] == 0
            continue
        step = row["to_floor"] - row["from_floor"]
        assert changes == {"raised": step > 0, "lowered": step < 0, "renewed": step == 0}
        assert done.floor[i] == row["to_floor"]
        assert done.expires_at[i] == micros(row["expires_at"])
        assert done.cost[i] == row["cost"]


@settings(max_examples=60, deadline=None)
@given(world=worlds())
def test_what_bound_a_row_is_what_its_last_action_says(world):
    names, facts = facts_of(world)
    codes = performed(settle(facts, micros(NOW), WIDTH)).bound_by
    said = dict(decide(*world, NOW).select("target", "bound_by").iter_rows())
    assert [REASONS[code] for code in codes] == [said.get(name, "none") for name in names]


@settings(max_examples=40, deadline=None)
@given(world=worlds(), times=st.integers(2, 5))
def test_a_row_is_settled_alike_however_many_are_asked_about(world, times):
    plan, inventory, view, limits = world
    limits = limits.with_columns(budget_total_day=pl.lit(None, pl.Float64))
    _, facts = facts_of((plan, inventory, view, limits))
    many = Facts(**{field.name: np.tile(getattr(facts, field.name), times) for field in fields(Facts)})
    once, often = settle(facts, micros(NOW), WIDTH), settle(many, micros(NOW), WIDTH)
    for field in fields(once):
        np.testing.assert_array_equal(np.tile(getattr(once, field.name), times), getattr(often, field.name))


needs = st.lists(st.none() | st.integers(0, 50), min_size=6, max_size=6)


@settings(max_examples=100, deadline=None)
@given(
    by_target=st.lists(needs, min_size=1, max_size=4),
    leads=st.lists(st.sampled_from([0.0, 300.0, 779.9, 780.0, 900.0, 2000.0, 9000.0]), min_size=4, max_size=4),
    minutes=st.sampled_from([-20.0, 0.0, 2.0, 14.99, 15.0, 40.0, 200.0]),
)
def test_a_dense_plan_and_the_frame_of_it_say_the_same(by_target, leads, minutes):
    now = ORIGIN + timedelta(minutes=minutes)
    names = [f"t{i}" for i in range(len(by_target))]
    dense = np.array([[NONE if need is None else need for need in row] for row in by_target])
    frame = a_plan({name: [need or 0 for need in row] for name, row in zip(names, by_target, strict=True)})
    view = pl.concat([a_view(name, lead_time_s=lead) for name, lead in zip(names, leads, strict=False)])
    read = pl.Series([need is not None for row in by_target for need in row])
    inventory = an_inventory(dict.fromkeys(names, 0))
    _, facts = gather(frame.filter(read), inventory, view, some_limits(*names), now=now, width=SLOT)

    slots = micros(ORIGIN) + WIDTH * np.arange(dense.shape[1])
    said = planned(dense, slots, facts.lead, now=micros(now), width=WIDTH)
    for name in said._fields:
        np.testing.assert_array_equal(getattr(said, name), getattr(facts, name), err_msg=name)


@pytest.mark.parametrize(
    ("now", "lead", "needed", "hold_needed", "slot"),
    [
        (2, 5, 1, 1, 0),
        (2, 13, 7, 7, 15),
        (2, 30, 3, 7, 30),
        (15, 0, 7, 7, 15),
        (20, 25, NONE, 7, NONE),
        (50, 0, NONE, NONE, NONE),
    ],
)
def test_the_slot_that_holds_now_and_the_lead_time_counts(now, lead, needed, hold_needed, slot):
    plan, slots = np.array([[1, 7, 3, NONE]]), 15 * MINUTE * np.arange(4)
    said = planned(plan, slots, np.array([lead * MINUTE]), now=now * MINUTE, width=15 * MINUTE)
    assert said.needed.tolist() == [needed]
    assert said.hold_needed.tolist() == [hold_needed]
    assert said.need_slot.tolist() == [slot if slot == NONE else slot * MINUTE]


def test_what_limits_leave_out_is_no_cap_and_their_seconds_are_microseconds():
    limits = some_limits("a", "b").with_columns(max=pl.Series([None, 7]), approval_units=pl.Series([3, None]))
    guards = guards_of(limits.cast({name: LIMITS[name] for name in ("max", "approval_units")}))
    assert guards["max"].tolist() == [NO_CAP, 7]
    assert guards["approval_units"].tolist() == [3, NO_CAP]
    assert guards["stale_after"].tolist() == [NONE, NONE]
    assert guards["cooldown_up"].tolist() == [300_000_000] * 2
    assert np.isnan(guards["budget_day"]).all()
    assert not guards["observe"].any()


def test_every_reason_has_its_word():
    assert REASONS[Reason.NONE] == "none"
    assert REASONS[Reason.NOT_OURS] == "not_ours"
    assert [Reason[word.upper()] for word in REASONS] == list(range(len(REASONS)))


def test_nothing_is_settled_of_nobody():
    empty = Facts(
        **{field.name: np.zeros(0, dtype=getattr(facts_of_one(), field.name).dtype) for field in fields(Facts)}
    )
    done = performed(settle(empty, micros(NOW), WIDTH))
    assert all(len(getattr(done, field.name)) == 0 for field in fields(done))


def facts_of_one() -> Facts:
    return facts_of((a_plan({"t": [1]}), an_inventory({"t": 0}), a_view("t"), some_limits("t")))[1]
