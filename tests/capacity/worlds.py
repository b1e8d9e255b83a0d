"""Small worlds to decide in: a plan, an inventory, a ledger's view and limits, plain ones and random ones."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import polars as pl
from hypothesis import strategies as st

from persona_platform.capacity.decide import decide
from persona_platform.capacity.limits import Limits, limits_frame
from persona_platform.capacity.targets import Target, Unit
from persona_platform.frames import INVENTORY, LEDGER_VIEW, LIMITS, PLAN

SLOT = timedelta(minutes=15)
ORIGIN = datetime(2026, 3, 2, 10, 0, tzinfo=UTC)
NOW = ORIGIN + timedelta(minutes=2)
"""With the lead time of 300 s, capacity asked for now is usable at 10:07: the slot of 10:00 counts."""

ACT = Limits(mode="act", max=1000, step_units=1000)
"""Acts, and no step in the way; tests of one guard switch on that one."""


def a_plan(needed: dict[str, list[int]], /, **columns: object) -> pl.DataFrame:
    rows = [
        {
            "plan_id": "p",
            "origin": ORIGIN,
            "target": target,
            "slot": ORIGIN + i * SLOT,
            **dict.fromkeys(("mean", "q50", "q90", "q95", "q99"), float(units)),
            "kappa": 0.95,
            "needed": units,
            "history_s": 30 * 86400,
            "cycle_s": 7 * 86400,
            "data_until": ORIGIN,
            "suitable": None,
            **columns,
        }
        for target, units_by_slot in needed.items()
        for i, units in enumerate(units_by_slot)
    ]
    return pl.DataFrame(rows, schema=PLAN)


def an_inventory(floors: dict[str, int], observed: dict[str, float] | None = None, **columns: object) -> pl.DataFrame:
    rows = [
        {
            "inventory_id": "i",
            "target": target,
            "observed_at": NOW,
            "usable": floor,
            "booting": 0,
            "ready_at": None,
            "floor": floor,
            "observed_demand": (observed or {}).get(target, 0.0),
            **columns,
        }
        for target, floor in floors.items()
    ]
    return pl.DataFrame(rows, schema=INVENTORY)


def a_view(*targets: str, **columns: object) -> pl.DataFrame:
    """Floors are ours and expire in an hour, nothing was changed lately, nothing was spent."""
    plain = {
        "paused": False,
        "last_raised_at": None,
        "last_lowered_at": None,
        "last_failed_at": None,
        "cost_today": 0.0,
        "cost_today_total": 0.0,
        "lead_time_s": None,
        "approved_floor": None,
        "floor_expires_at": NOW + timedelta(minutes=73),
    }
    return pl.DataFrame([{"target": t, **plain, **columns} for t in targets], schema=LEDGER_VIEW)


def some_limits(*targets: str, limits: Limits = ACT, price: float = 1.0, total: float | None = None) -> pl.DataFrame:
    unit = Unit({"cpu_cores": 4.0}, price)
    return limits_frame([Target(t, "pool", unit=unit, limits=limits) for t in targets], global_budget=total)


def decide_one(
    *,
    needed: int | list[int] = 0,
    floor: int = 0,
    observed: float | None = 0.0,
    limits: Limits = ACT,
    price: float = 1.0,
    total: float | None = None,
    plan: dict[str, object] | None = None,
    inventory: dict[str, object] | None = None,
    view: dict[str, object] | None = None,
    now: datetime = NOW,
) -> list[dict]:
    """The rows decided for one target called t."""
    by_slot = needed if isinstance(needed, list) else [needed] * 8
    actions = decide(
        a_plan({"t": by_slot}, **(plan or {})),
        an_inventory({"t": floor}, **{"observed_demand": observed, **(inventory or {})}),
        a_view("t", **(view or {})),
        some_limits("t", limits=limits, price=price, total=total),
        now,
    )
    return actions.to_dicts()


def acting(**changes: object) -> Limits:
    return replace(ACT, **changes)


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
        suitable = guard(st.sampled_from([None, True, True, False]), None)
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
                "suitable": suitable,
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
                "act_unsuitable": guard(st.booleans() | st.none(), None),
            }
        )
    frames = ((plan, PLAN), (inventory, INVENTORY), (view, LEDGER_VIEW), (limits, LIMITS))
    return tuple(pl.DataFrame(rows, schema=schema) for rows, schema in frames)
