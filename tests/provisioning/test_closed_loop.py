"""Plan, decide, perform, settle and sweep over half a day of the simulated cluster."""

from datetime import UTC, datetime, timedelta

import polars as pl
import pytest

from persona_platform.capacity.decide import decide, due
from persona_platform.capacity.ledger_view import ledger_view
from persona_platform.capacity.limits import Limits, limits_frame
from persona_platform.capacity.targets import Target
from persona_platform.feedback.outcomes import outcomes
from persona_platform.frames import OBSERVED, PLAN
from resources.ledger import Ledger
from resources.provisioners.protocol import perform, settle, sweep
from resources.provisioners.simulated import SimulatedProvisioner, SimulatedSettings

SLOT, TICK = timedelta(minutes=15), timedelta(minutes=5)
START = datetime(2026, 3, 2, tzinfo=UTC)
HOURS = 6.5


def demand_at(slot: datetime) -> float:
    """Four units, and twelve from 02:00 to 03:00."""
    return 12.0 if 2 <= (slot - START).total_seconds() / 3600 < 3 else 4.0


def plan_at(origin: datetime) -> pl.DataFrame:
    """A plan that knows."""
    rows = [
        {
            "plan_id": f"p{origin:%H%M}",
            "origin": origin,
            "target": "t",
            "slot": slot,
            **dict.fromkeys(("mean", "q50", "q90", "q95", "q99"), demand_at(slot)),
            "kappa": 0.95,
            "needed": int(demand_at(slot)),
            "history_s": 30 * 86400,
            "cycle_s": 86400,
            "data_until": origin,
            "suitable": None,
        }
        for slot in (origin + i * SLOT for i in range(8))
    ]
    return pl.DataFrame(rows, schema=PLAN)


@pytest.fixture
def day(tmp_path):
    """Ticks from 00:00; the last plan is of 04:00. Gives ledger, cluster, inventories, observed."""
    ledger = Ledger(tmp_path / "ledger.sqlite")
    # A native autoscaler that does nothing: what stands is what was asked for.
    settings = SimulatedSettings(failure_rate=0.0, lead_time_sigma=0.1, native_target=1.0)
    cluster = SimulatedProvisioner(tmp_path / "simulated.sqlite", settings)
    limits = limits_frame([Target("t", "p", limits=Limits(mode="act", max=20))])
    seen, read = [], []
    for tick in range(int(HOURS * 12)):
        now = START + tick * TICK
        origin = START + (now - START) // SLOT * SLOT
        if now == origin:
            last = origin - SLOT
            read.append({"target": "t", "slot": last, "demand": demand_at(last), "saturated": False})
        sweep(ledger, cluster, now)
        inventory = cluster.observe(["t"], {"t": read[-1]["demand"]}, now)
        seen.append(inventory)
        settle(ledger, inventory, pl.DataFrame(read, schema=OBSERVED), now)
        view = ledger_view(ledger.entries(), ["t"], now)
        plan = plan_at(min(origin, START + timedelta(hours=4)))
        actions = decide(plan, inventory, view, limits, now)
        perform(due(actions), ledger, cluster, now, decision_id=f"d{tick}")
    yield ledger, cluster, pl.concat(seen), pl.DataFrame(read, schema=OBSERVED)
    ledger.close()


def test_a_day_of_the_whole_loop(day):
    ledger, cluster, inventories, observed = day
    usable = dict(inventories.select("observed_at", "usable").iter_rows())
    floors = dict(inventories.select("observed_at", "floor").iter_rows())

    # After the first slot (capacity starts at zero) demand never waits: the step up is met ahead of it.
    first = START + 2 * SLOT
    short = [at for at, n in usable.items() if first <= at < START + timedelta(hours=4) and n < demand_at(at)]
    assert short == []

    # The floor comes down after the peak, is renewed while planned for, and lapses when plans stop.
    assert floors[START + timedelta(hours=3.5)] == 4
    assert floors[START + timedelta(hours=5)] == 4
    assert floors[START + timedelta(hours=HOURS) - TICK] == 0
    kinds = dict(ledger.entries()["kind"].value_counts().iter_rows())
    assert kinds["expired"] == kinds["released"] == 1
    assert "failed" not in kinds

    # No more writes than there is reason for: three changes, and a renewal each half hour or more.
    applied = ledger.entries().filter(pl.col("kind") == "applied")
    assert len(applied) <= 3 + 5 * 2
    judged = outcomes(ledger.entries(), inventories, observed, START + timedelta(hours=HOURS))
    raises = judged.filter(pl.col("to_floor") > pl.col("from_floor"))
    assert raises["to_floor"].to_list() == [4, 12]
    assert raises["outcome"].to_list() == ["met", "met"]
    assert raises["peak_demand"].to_list() == [4.0, 12.0]
    assert set(judged["outcome"]) == {"met", "released"}
    assert cluster.history("t")["floor"].max() == 12
