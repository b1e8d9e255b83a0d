"""Ours in replay decides what decide() decides, from nothing but what was known."""

from datetime import timedelta

import numpy as np
import polars as pl
import pytest

from persona_platform.capacity.decide import decide, due
from persona_platform.capacity.plan_series import PlanSeries
from persona_platform.errors import InputError
from persona_platform.forecasting.demand import VALUES
from persona_platform.frames import INVENTORY, LEDGER_VIEW, PLAN, TS
from persona_platform.replay.engine import Recording
from persona_platform.replay.ours import SWEEP, Bare, Ours, Setting
from persona_platform.replay.outcomes import AS_PLANNED
from persona_platform.replay.policies import Reactive
from persona_platform.replay.terms import Terms

STEP = timedelta(minutes=15)
SECONDS = int(STEP.total_seconds())
ONE = (Setting(),)


def plans_for(recording: Recording, table, *, slots=2, history_days=30, first=0, until=None) -> PlanSeries:
    """Plans that know a (targets, steps) table of needs: every quantile stands at its value."""
    known = np.asarray(table, dtype=float)
    reach = np.concatenate([known, np.full((len(known), slots), np.nan)], axis=1)
    origins = range(first, until or recording.steps)
    ahead = np.stack([reach[:, at : at + slots] for at in origins], axis=1)
    shape = ahead.shape[:2]
    start = pl.Series([recording.at(first)]).cast(TS).to_physical()[0]
    return PlanSeries(
        recording.targets,
        recording.at(first),
        recording.step,
        np.repeat(ahead[..., None], len(VALUES), axis=-1),
        np.full(shape, history_days * 86_400),
        np.full(shape, 86_400),
        np.broadcast_to(start + SECONDS * 1_000_000 * np.arange(shape[1]), shape).copy(),
    )


def test_the_floor_is_there_when_the_plan_needs_it(recorded, limits):
    demand = [1, 1, 1, 1, 6, 6, 1, 1]
    recording = recorded(demand)
    walk = Ours([plans_for(recording, [demand])], limits("a")).walk(recording)
    # Asked for one step ahead, since the lead is one step, and held while any slot until then needs it. At step 6
    # the last reading is still 6, below which no floor goes; the plan of step 7 does not reach far enough.
    assert walk.floor[0, 0].tolist() == [1, 1, 1, 6, 6, 6, 6, 6]
    assert walk.desired[0, 0].tolist() == [1, 1, 1, 6, 6, 6, 6, 6]


def test_settings_sweep_the_quantile_and_the_margin(recorded, limits):
    recording = recorded([1, 1, 1, 11] + [2.0] * 8, scored_from=4)
    plans = plans_for(recording, [[2.0] * 12])
    spread = np.array([1, 2, 4, 8, 16]) / 2.0  # q10, q50, q90, q95, q99
    plans.values[..., 1:6] = np.where(np.isnan(plans.values[..., :1]), np.nan, spread)
    sweep = (Setting(), Setting(0.5), Setting(0.9), Setting(0.99), Setting(0.99, margin=1.5), Setting(0.5, least=0.9))
    ours = Ours([plans], limits("a"), sweep=sweep)
    names = [AS_PLANNED, "kappa 0.5", "kappa 0.9", "kappa 0.99", "kappa 0.99, times 1.5", "kappa 0.5, floor P90"]
    assert ours.settings(recording) == names
    # As planned is the plan's own q_kappa (2.0); the mean (2.0) holds the lowest quantile up; 8 times 1.5 is 12;
    # of the training demand 1, 1, 1, 11 the 0.9 quantile is 8.
    assert ours.walk(recording).floor[:, 0, -3].tolist() == [2, 2, 2, 8, 12, 8]
    assert len(set(Ours([plans], limits("a")).settings(recording))) == len(SWEEP)


@pytest.mark.parametrize("seed", range(6))
def test_it_decides_what_decide_decides(recorded, limits, seed):
    """The same walk made with frames, decide() called as a live tick calls it, gives the same floors."""
    rng = np.random.default_rng(seed)
    steps = 60
    demand = np.round(np.abs(rng.normal(8, 5, (2, steps))), 2)
    demand[0, 20:24] = np.nan
    needs = np.round(np.abs(rng.normal(9, 6, (2, steps))) * rng.choice([1, 1, 1, 5], (2, steps)), 2)
    recording = recorded(*demand, lead=timedelta(minutes=20))
    guards = limits(
        "a",
        "b",
        min=int(rng.integers(0, 3)),
        max=int(rng.integers(15, 40)),
        step_share=0.5,
        step_units=3,
        dead_band=0.1,
        cooldown_up_s=300,
        cooldown_down_s=int(rng.choice([600, 3600])),
        min_history_s=7 * 86_400,
        expiry_s=int(rng.choice([900, 3600])),
    )
    plans = plans_for(recording, needs, slots=3)
    plans.history_s[1, :10] = 3600
    walk = Ours([plans], guards, sweep=ONE).walk(recording)
    acting = guards.with_columns(
        mode=pl.lit("act"),
        act_unsuitable=pl.lit(value=True),
        **{
            name: pl.lit(None, guards.schema[name])
            for name in ("budget_day", "budget_total_day", "approval_units", "approval_cost")
        },
    )
    assert walk.floor[0].tolist() == _with_frames(recording, plans, acting)


def _with_frames(recording, plans, limits) -> list[list[int]]:
    """Floors by decide() on frames, the inventory and the ledger's view kept by hand."""
    none = None
    floors = dict.fromkeys(recording.targets, 0)
    past = {name: {"raised": none, "lowered": none, "expires": none} for name in recording.targets}
    found: dict[str, list[int]] = {name: [] for name in recording.targets}
    needed = plans.needed()
    for step in range(recording.steps):
        now = recording.at(step)
        for name, of in past.items():
            if of["expires"] is not None and of["expires"] <= now:
                floors[name], of["expires"] = 0, None
        rows = [
            {
                "plan_id": "p", "origin": now, "target": name, "slot": now + i * STEP, "mean": 0.0, "q50": 0.0,
                "q90": 0.0, "q95": 0.0, "q99": 0.0, "kappa": 0.95, "needed": int(needed[row, step, i]),
                "history_s": int(plans.history_s[row, step]), "cycle_s": int(plans.cycle_s[row, step]),
                "data_until": now, "suitable": None,
            }
            for row, name in enumerate(recording.targets)
            for i in range(needed.shape[2])
            if needed[row, step, i] >= 0
        ]  # fmt: skip
        reading = recording.demand[:, step - 1] if step else [np.nan] * len(recording.targets)
        inventory = pl.DataFrame(
            [
                {"inventory_id": "i", "target": name, "observed_at": now, "usable": 0, "booting": 0, "ready_at": None,
                 "floor": floors[name], "observed_demand": float(reading[row])}
                for row, name in enumerate(recording.targets)
            ],
            schema=INVENTORY,
        )  # fmt: skip
        view = pl.DataFrame(
            [
                {"target": name, "paused": False, "last_raised_at": of["raised"], "last_lowered_at": of["lowered"],
                 "last_failed_at": None, "cost_today": 0.0, "cost_today_total": 0.0,
                 "lead_time_s": float(recording.lead_steps * SECONDS), "approved_floor": None,
                 "floor_expires_at": of["expires"]}
                for name, of in past.items()
            ],
            schema=LEDGER_VIEW,
        )  # fmt: skip
        for action in due(decide(pl.DataFrame(rows, schema=PLAN), inventory, view, limits, now)).iter_rows(named=True):
            of = past[action["target"]]
            if action["to_floor"] > floors[action["target"]]:
                of["raised"] = now
            elif action["to_floor"] < floors[action["target"]]:
                of["lowered"] = now
            floors[action["target"]], of["expires"] = action["to_floor"], action["expires_at"]
        for name in recording.targets:
            found[name].append(floors[name])
    return [found[name] for name in recording.targets]


def test_limits_bind_and_are_told(recorded, limits):
    recording = recorded([1] * 8)
    plans = plans_for(recording, [[1, 1, 20, 20, 20, 20, 20, 20]])
    walk = Ours([plans], limits("a", step_share=0.5, step_units=4), sweep=ONE).walk(recording)
    # One unit, then at most four more (or half as many) a step: 5, 9, 14 (nine and a half of nine), 20.
    assert walk.floor[0, 0].tolist() == [1, 5, 9, 14, 20, 20, 20, 20]
    assert walk.bound.rows() == [(AS_PLANNED, "a", "step", 3)]


def test_without_limits_the_floor_follows_at_once(recorded, limits):
    recording = recorded([1] * 8)
    plans = plans_for(recording, [[1, 1, 20, 20, 5, 5, 5, 5]])
    tight = limits("a", step_share=0.5, step_units=4, dead_band=0.5, cooldown_down_s=86_400)
    walk = Ours([plans], tight, sweep=ONE, bare=Bare()).walk(recording)
    # At step 3 the 20 of that very slot must still be held.
    assert walk.floor[0, 0].tolist() == [1, 20, 20, 20, 5, 5, 5, 5]


def test_too_little_history_leaves_the_last_reading(recorded, limits):
    recording = recorded([3, 4, 5, 6])
    plans = plans_for(recording, [[9] * 4], history_days=1)
    walk = Ours([plans], limits("a", min_history_s=7 * 86_400), sweep=ONE).walk(recording)
    assert walk.floor.max() == 0
    assert walk.desired[0, 0].tolist() == [0, 3, 4, 5]
    # The plan of the last step does not reach the slot after it.
    assert walk.bound.rows() == [(AS_PLANNED, "a", "stale", 1), (AS_PLANNED, "a", "history", 3)]


def test_a_target_without_a_maximum_is_acted_on_in_replay(recorded, limits):
    recording = recorded([1] * 4)
    walk = Ours([plans_for(recording, [[7] * 4])], limits("a", max=None), sweep=ONE).walk(recording)
    assert walk.floor[0, 0].tolist() == [7, 7, 7, 7]


def test_floors_expire_where_no_plan_renews_them(recorded, limits):
    recording = recorded([1] * 12)
    plans = plans_for(recording, [[6] * 12], until=3)
    walk = Ours([plans], limits("a", expiry_s=1800), sweep=ONE).walk(recording)
    # The last plan is of step 2: its floor is needed at step 3, held for a slot and half an hour more.
    assert walk.floor[0, 0].tolist() == [6] * 6 + [0] * 6


def test_above_the_floor_may_stand_the_users_own_autoscaler(recorded, limits):
    recording = recorded([4] * 6)
    plans = plans_for(recording, [[3] * 6])
    alone = Reactive((0.5,)).desired(recording)[0]
    ours = Ours([plans], limits("a"), sweep=ONE, above=Reactive((0.5,)))
    assert ours.desired(recording)[0].tolist() == np.maximum(alone, 3).tolist()
    assert alone.max() == 8


def test_only_the_walk_is_planned_and_the_last_reading_is_known_before(limits):
    steps = 4 * 24 * 3
    demand = np.full((1, steps), 2.0)
    demand[0, :50] = 5.0
    recording = Recording(("a",), recorded_start(), STEP, demand, steps - 20, Terms(STEP))
    walk = Ours([plans_for(recording, [[3.0] * steps])], limits("a"), sweep=ONE).walk(recording)
    assert walk.desired.shape == (1, 1, recording.walked_steps)
    assert walk.desired[0, 0, 0] == 2
    assert walk.floor[0, 0, -20 - 1 - 8 - 1] == 0
    assert (walk.floor[0, 0, -20:] == 3).all()


def recorded_start():
    from datetime import UTC, datetime

    return datetime(2024, 3, 4, tzinfo=UTC)


def test_what_comes_later_changes_nothing_before(recorded, limits):
    rng = np.random.default_rng(3)
    demand, needs = rng.uniform(1, 20, (2, 40)), rng.uniform(1, 20, (2, 40))
    later_demand = demand.copy()
    later_demand[:, 25:] = 1e6
    first = recorded(*demand)
    second = recorded(*later_demand)
    plans, other = plans_for(first, needs), plans_for(second, needs)
    # A plan of step 24 knows the need of 25; plans from step 25 on are garbage too.
    other.values[:, 25:] = 1e6
    asked = Ours([plans], limits("a", "b")).desired(first)
    again = Ours([other], limits("a", "b")).desired(second)
    assert np.array_equal(asked[..., :25], again[..., :25])
    assert not np.array_equal(asked[..., 26:], again[..., 26:])


def test_targets_of_a_part_are_decided_as_among_all(recorded, limits):
    rng = np.random.default_rng(4)
    recording = recorded(*rng.uniform(1, 20, (3, 30)))
    ours = Ours([plans_for(recording, rng.uniform(1, 20, (3, 30)))], limits("a", "b", "c", step_units=2))
    whole = ours.desired(recording)
    for rows in ([1], [2, 0]):
        assert np.array_equal(ours.desired(recording.part(rows)), whole[:, rows])


def test_every_target_needs_limits_and_plans_their_step(recorded, limits):
    recording = recorded([1, 1], [1, 1])
    with pytest.raises(InputError, match="b has none"):
        Ours([plans_for(recording, [[1, 1], [1, 1]])], limits("a")).walk(recording)
    hourly = recorded([1] * 8, step=timedelta(hours=1))
    with pytest.raises(InputError, match="do not fit"):
        Ours([plans_for(recorded([1] * 8), [[1] * 8])], limits("a")).walk(hourly)
