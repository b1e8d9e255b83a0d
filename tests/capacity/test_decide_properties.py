"""What decide() promises whatever its inputs: more need never gives less, and bounds hold."""

from datetime import timedelta

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st
from worlds import NOW, ORIGIN, SLOT

from persona_platform.capacity.decide import decide, due
from persona_platform.frames import INVENTORY, LEDGER_VIEW, LIMITS, PLAN

SLOTS = 5
units = st.integers(0, 60)
seconds_ago = st.none() | st.integers(0, 1200)
money = st.none() | st.floats(0, 60)


@st.composite
def worlds(draw, modes=("act", "propose", "observe"), free=False):
    """plan, inventory, view, limits of up to four targets. ``free``: nothing but sizes in the way."""
    names = [f"t{i}" for i in range(draw(st.integers(1, 4)))]
    guard = (lambda strategy, plain: plain) if free else (lambda strategy, _plain: draw(strategy))
    total, spent = guard(money, None), guard(st.floats(0, 30), 0.0)
    plan, inventory, view, limits = [], [], [], []
    for name in names:
        needs = draw(st.lists(units, min_size=SLOTS, max_size=SLOTS))
        behind = timedelta(minutes=guard(st.sampled_from([0, 0, 0, 45, 90]), 0))
        least, floor = draw(st.integers(0, 10)), draw(units)
        plan += [
            {
                "plan_id": "p",
                "origin": ORIGIN - behind,
                "target": name,
                "slot": ORIGIN + i * SLOT,
                **dict.fromkeys(("mean", "q50", "q90", "q95", "q99"), float(need)),
                "kappa": 0.95,
                "needed": need,
                "history_s": guard(st.sampled_from([30 * 86400] * 4 + [3 * 86400]), 30 * 86400),
                "cycle_s": 86400,
                "data_until": ORIGIN,
            }
            for i, need in enumerate(needs)
        ]
        inventory.append(
            {
                "inventory_id": "i",
                "target": name,
                "observed_at": NOW,
                "usable": floor,
                "booting": 0,
                "ready_at": None,
                "floor": floor,
                "observed_demand": draw(st.none() | st.floats(0, 60)),
            }
        )
        ago = {
            f"last_{what}_at": None if (s := guard(seconds_ago, None)) is None else NOW - timedelta(seconds=s)
            for what in ("raised", "lowered", "failed")
        }
        expires = guard(st.none() | st.integers(-600, 7200), 4000)
        view.append(
            {
                "target": name,
                "paused": guard(st.sampled_from([False] * 5 + [True]), False),
                **ago,
                "cost_today": guard(st.floats(0, 30), 0.0),
                "cost_today_total": spent,
                "lead_time_s": draw(st.none() | st.floats(30, 4000 if free else 5000)),
                "approved_floor": guard(st.none() | units, None),
                "floor_expires_at": None if expires is None else NOW + timedelta(seconds=expires),
            }
        )
        limits.append(
            {
                "target": name,
                "provisioner": "simulated",
                "mode": draw(st.sampled_from(modes)),
                "min": least,
                "max": least + draw(st.integers(0, 60)),
                "step_share": guard(st.floats(0, 1), 0.5),
                "step_units": guard(st.integers(0, 20), 1000),
                "dead_band": guard(st.floats(0, 0.5), 0.1),
                "cooldown_up_s": 300,
                "cooldown_down_s": 600,
                "budget_day": guard(money, None),
                "budget_total_day": total,
                "approval_units": guard(st.none() | st.integers(0, 20), None),
                "approval_cost": guard(money, None),
                "price_per_hour": draw(st.sampled_from([0.0, 0.3, 1.0, 7.0])),
                "min_history_s": 7 * 86400,
                "stale_after_s": None,
                "expiry_s": 3600,
                "lead_time_prior_s": 300.0,
            }
        )
    frames = ((plan, PLAN), (inventory, INVENTORY), (view, LEDGER_VIEW), (limits, LIMITS))
    return tuple(pl.DataFrame(rows, schema=schema) for rows, schema in frames)


def floors_after(world) -> dict[str, int]:
    """The floor of each target once the due rows were performed."""
    plan, inventory, view, limits = world
    floors = dict(inventory.select("target", "floor").iter_rows())
    floors.update(due(decide(plan, inventory, view, limits, NOW)).select("target", "to_floor").iter_rows())
    return floors


@settings(max_examples=80, deadline=None)
@given(world=worlds(), more=st.lists(st.integers(0, 40), min_size=SLOTS, max_size=SLOTS), whom=st.integers(0, 3))
def test_more_predicted_demand_never_yields_less_capacity(world, more, whom):
    plan, *rest = world
    name = f"t{whom % len(rest[0])}"
    added = pl.DataFrame(
        {"slot": [ORIGIN + i * SLOT for i in range(SLOTS)], "more": more},
        schema_overrides={"slot": PLAN["slot"]},
    )
    extra = pl.when(pl.col("target") == name).then("more").otherwise(0)
    grown = plan.join(added, on="slot").with_columns(needed=pl.col("needed") + extra).select(plan.columns)
    assert floors_after((grown, *rest))[name] >= floors_after(world)[name]


@settings(max_examples=30, deadline=None)
@given(world=worlds(), more=st.integers(0, 40))
def test_more_for_everybody_never_yields_less_where_nothing_is_shared(world, more):
    plan, inventory, view, limits = world
    limits = limits.with_columns(budget_total_day=pl.lit(None, pl.Float64))
    grown = plan.with_columns(pl.col("needed") + more)
    before, after = (
        floors_after((plan, inventory, view, limits)),
        floors_after((grown, inventory, view, limits)),
    )
    assert all(after[name] >= before[name] for name in before)


@settings(max_examples=30, deadline=None)
@given(world=worlds(), more=st.floats(0, 40))
def test_more_observed_demand_never_yields_less_capacity(world, more):
    plan, inventory, view, limits = world
    limits = limits.with_columns(budget_total_day=pl.lit(None, pl.Float64))
    grown = inventory.with_columns(pl.col("observed_demand").fill_null(0.0) + more)
    before, after = floors_after((plan, inventory, view, limits)), floors_after((plan, grown, view, limits))
    assert all(after[name] >= before[name] for name in before)


@settings(max_examples=30, deadline=None)
@given(world=worlds())
def test_the_same_inputs_in_any_order_give_the_same_rows(world):
    assert decide(*world, NOW).equals(decide(*(frame.reverse() for frame in world), NOW))


@settings(max_examples=30, deadline=None)
@given(world=worlds(), keep=st.integers(0, 3))
def test_targets_do_not_touch_each_other_without_a_total_budget(world, keep):
    plan, inventory, view, limits = world
    limits = limits.with_columns(budget_total_day=pl.lit(None, pl.Float64))
    name = f"t{keep % len(limits)}"
    alone = [frame.filter(pl.col("target") == name) for frame in (plan, inventory, view, limits)]
    together = decide(plan, inventory, view, limits, NOW).filter(pl.col("target") == name)
    assert decide(*alone, NOW).equals(together)


@settings(max_examples=30, deadline=None)
@given(world=worlds(modes=("act",), free=True))
def test_in_act_mode_the_floor_covers_what_is_observed_up_to_the_maximum(world):
    _, inventory, _, limits = world
    floors = floors_after(world)
    for name, observed, most in (
        inventory.join(limits, on="target").select("target", "observed_demand", "max").iter_rows()
    ):
        assert floors[name] >= min((observed or 0.0) - 1e-6, most)


@settings(max_examples=60, deadline=None)
@given(world=worlds())
def test_bounds_hold_whatever_the_limits(world):
    plan, inventory, view, limits = world
    actions = decide(plan, inventory, view, limits, NOW)
    rows = (
        actions.join(limits, on="target")
        .join(view, on="target")
        .join(inventory.select("target", observed="observed_demand"), on="target")
    )
    raised, lowered = pl.col("to_floor") > pl.col("from_floor"), pl.col("to_floor") < pl.col("from_floor")
    assert rows.filter(raised & (pl.col("to_floor") > pl.col("max"))).is_empty()
    assert rows.filter(
        lowered & (pl.col("to_floor") < pl.min_horizontal("max", pl.max_horizontal("min", pl.col("observed") - 1e-6)))
    ).is_empty()
    assert rows.filter((raised | lowered) & (pl.col("paused") | (pl.col("mode") == "observe"))).is_empty()
    assert rows.filter(lowered & pl.col("floor_expires_at").is_null()).is_empty()
    paid = rows.filter(~pl.col("waits_for_approval"))
    assert paid.filter(
        (pl.col("cost") > 0) & (pl.col("cost") > pl.col("budget_day") - pl.col("cost_today") + 1e-6)
    ).is_empty()
    left = rows.select((pl.col("budget_total_day") - pl.col("cost_today_total")).first()).item() if len(rows) else None
    assert left is None or actions["cost"].sum() <= max(left, 0) + 1e-6
    assert (
        actions["key"].n_unique()
        == actions.filter(raised_or_waits()).height + actions.filter(~raised_or_waits())["key"].n_unique()
    )


def raised_or_waits():
    return (pl.col("to_floor") != pl.col("from_floor")) | (pl.col("bound_by") == "renewal")
