"""What decide() promises whatever its inputs: more need never gives less, and bounds hold."""

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st
from worlds import NOW, ORIGIN, SLOT, SLOTS, worlds

from persona_platform.capacity.decide import decide, due
from persona_platform.frames import PLAN


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
