"""Small worlds to decide in: a plan, an inventory, a ledger's view and limits, with plain defaults."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import polars as pl

from persona_platform.capacity.decide import decide
from persona_platform.capacity.limits import Limits, limits_frame
from persona_platform.capacity.targets import Target, Unit
from persona_platform.frames import INVENTORY, LEDGER_VIEW, PLAN

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
