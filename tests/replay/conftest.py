"""Recordings, plans and limits small enough to work through by hand."""

from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest

from persona_platform.frames import LIMITS
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
