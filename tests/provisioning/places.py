"""Rows, ledgers and clusters for the tests of provisioning."""

from datetime import UTC, datetime, timedelta

import polars as pl

from persona_platform.capacity.decide import action_key
from persona_platform.frames import ACTIONS

NOW = datetime(2026, 3, 2, 10, 2, tzinfo=UTC)


def action(
    target: str = "t",
    before: int = 0,
    after: int = 5,
    *,
    at: datetime = NOW,
    need: float = 5,
    stands: float = 75,
    **columns: object,
) -> dict:
    """A row of ACTIONS; ``need`` and ``stands`` in minutes from ``at``."""
    need_at = at + timedelta(minutes=need)
    row = {
        "key": action_key(target, need_at, after),
        "target": target,
        "from_floor": before,
        "to_floor": after,
        "wanted": after,
        "act_at": at,
        "need_at": need_at,
        "expires_at": at + timedelta(minutes=stands),
        "bound_by": "none",
        "waits_for_approval": False,
        "cost": 1.0,
    }
    return {**row, **columns}


def actions(*rows: dict) -> pl.DataFrame:
    return pl.DataFrame(list(rows), schema=ACTIONS)
