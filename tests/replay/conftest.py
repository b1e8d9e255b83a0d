"""Recordings, plans and limits small enough to work through by hand."""

from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest

from persona_platform.frames import ACTIONS, LIMITS, PLAN
from persona_platform.replay.engine import Recording, Terms

STEP = timedelta(minutes=15)
START = datetime(2024, 3, 4, tzinfo=UTC)


@pytest.fixture
def recorded():
    def make(*rows, lead=STEP, scored_from=0, step=STEP, start=START, **terms):
        demand = np.array(rows, dtype=float)
        names = tuple("abcdefgh"[: len(demand)])
        return Recording(names, start, step, demand, scored_from, Terms(lead, **terms))

    return make


@pytest.fixture
def limits():
    def make(*targets, **changed):
        base = {
            "provisioner": "simulated", "mode": "observe", "min": 0, "max": 1000, "step_share": 1.0,
            "step_units": 1000, "dead_band": 0.0, "cooldown_up_s": 0, "cooldown_down_s": 0, "budget_day": 0.0,
            "budget_total_day": 0.0, "approval_units": 0, "approval_cost": 0.0, "price_per_hour": 1.0,
            "min_history_s": 0, "stale_after_s": 1_000_000, "expiry_s": 3600, "lead_time_prior_s": 300.0,
        }  # fmt: skip
        return pl.DataFrame([{"target": t, **base, **changed} for t in targets], schema=LIMITS)

    return make


@pytest.fixture
def plan_of():
    """Plans that know a (targets, slots) table: every quantile stands at its value."""

    def make(table, *, targets="abcdefgh", step=STEP, start=START, slots=8, history=30):
        def plan_at(origin):
            first = (origin - start) // step
            rows = []
            for target, row in zip(targets, np.asarray(table, dtype=float), strict=False):
                rows.extend(
                    {
                        "plan_id": f"plan-{first}", "origin": origin, "target": target,
                        "slot": start + i * step, "mean": row[i], "q50": row[i], "q90": row[i],
                        "q95": row[i], "q99": row[i], "kappa": 0.95, "needed": int(np.ceil(row[i])),
                        "history_s": history * 86400, "cycle_s": 86400, "data_until": origin, "suitable": None,
                    }
                    for i in range(first, min(first + slots, len(row)))
                )  # fmt: skip
            return pl.DataFrame(rows, schema=PLAN)

        return plan_at

    return make


@pytest.fixture
def follow_the_plan():
    """The least that decide can do: the floor is what the plan needs once the lead time has passed."""

    def decide(plan, inventory, ledger_view, limits, now):
        ahead = inventory.join(ledger_view, on="target").join(plan, on="target")
        due = ahead.filter(pl.col("slot") == now + pl.duration(seconds=pl.col("lead_time_s")))
        changed = due.filter(pl.col("needed") != pl.col("floor"))
        return changed.select(
            key=pl.format("{}-{}", "target", "slot"),
            target="target",
            from_floor="floor",
            to_floor="needed",
            wanted="needed",
            act_at=pl.lit(now, dtype=ACTIONS["act_at"]),
            need_at="slot",
            expires_at=pl.col("slot") + timedelta(hours=2),
            bound_by=pl.lit("none"),
            waits_for_approval=pl.lit(value=False),
            cost=pl.lit(0.0),
        )

    return decide
