"""``decide()``: what to do now, from a plan, an inventory, the ledger's view and the limits.

Frames in, frame out, no clock and no effect: the same function runs live and in replay, and a decision can be
made again from what the ledger kept. Rows are independent of each other except for the total budget. What it
looks at is gathered in :mod:`.facts`; how far a floor may go up is in :mod:`.raising`, and down in
:mod:`.lowering`; here the rows are made.
"""

import hashlib
from datetime import UTC, datetime
from typing import Final

import polars as pl

from persona_platform.capacity.facts import gather
from persona_platform.capacity.lowering import lower, renew
from persona_platform.capacity.raising import raise_
from persona_platform.capacity.sizing import plan_slot
from persona_platform.errors import InputError
from persona_platform.frames import ACTIONS, TS, conform

NONE: Final = "none"
RENEWAL: Final = "renewal"


def decide(
    plan: pl.DataFrame,
    inventory: pl.DataFrame,
    ledger_view: pl.DataFrame,
    limits: pl.DataFrame,
    now: datetime,
) -> pl.DataFrame:
    """ACTIONS: at most two rows a target, sorted by target and floor.

    Args:
        plan: PLAN of one origin.
        inventory: INVENTORY; the newest row of each target counts.
        ledger_view: LEDGER_VIEW; a target without a row has no past.
        limits: LIMITS; targets without a row are left alone.
        now: aware, any zone.

    A raise acts as far as the limits let it; what only lacks approval is a second row. A row whose
    ``to_floor`` equals its ``from_floor`` is a record of what bound the target, except that ``bound_by``
    "renewal" asks for the same floor to stand longer. :func:`due` keeps the rows to perform. ``bound_by`` is
    one of pause, mode, stale, history, max, failure, dead_band, cooldown, step, budget, approval, not_ours (a
    floor that the ledger does not know is never lowered), renewal, none.

    ``cost`` is the money of the added units until the row expires, and of the floor below them for the time
    by which the row extends it: a budget without that would hold a floor for ever after paying for one hour.

    Raises :class:`InputError` on a naive ``now``, an unknown mode, and repeated or empty values.
    """
    if now.tzinfo is None:
        raise InputError(f"now is {now} without a zone; pass an aware time, for instance in UTC.")
    now = now.astimezone(UTC)
    width = plan_slot(plan)
    facts = gather(plan, inventory, ledger_view, limits, now=now, width=width)
    settled = raise_(renew(lower(facts, now), now, width), now)
    rows = pl.concat(
        [_records(settled), _raises(settled), _waiting(settled), _lowered(settled), _renewed(settled)]
    ).with_columns(act_at=pl.lit(now, TS))
    keys = [action_key(*row) for row in rows.select("target", "need_at", "to_floor").iter_rows()]
    keyed = rows.with_columns(pl.Series("key", keys, pl.String))
    return conform(keyed, ACTIONS, "The actions").sort("target", "to_floor", "waits_for_approval")


def due(actions: pl.DataFrame) -> pl.DataFrame:
    """The rows to perform: those that change a floor or renew it, and wait for nobody."""
    changes = (pl.col("to_floor") != pl.col("from_floor")) | (pl.col("bound_by") == RENEWAL)
    return actions.filter(changes & ~pl.col("waits_for_approval"))


def action_key(target: str, need_at: datetime, to_floor: int) -> str:
    """32 hex characters of sha256: the same need for the same floor is one action, whoever decides it."""
    return hashlib.sha256(f"{target}|{need_at.isoformat()}|{to_floor}".encode()).hexdigest()[:32]


def _row(**columns: pl.Expr) -> list[pl.Expr]:
    """The columns of a row, from what differs between the kinds of rows."""
    standard = {
        "target": pl.col("target"),
        "from_floor": pl.col("floor"),
        "need_at": pl.col("raise_at"),
        "expires_at": pl.col("raise_until"),
        "waits_for_approval": pl.lit(value=False),
        "cost": pl.lit(0.0),
    }
    merged = {**standard, **columns}
    names = ("target", "from_floor", "to_floor", "wanted", "need_at", "expires_at", "bound_by")
    return [merged[name].alias(name) for name in (*names, "waits_for_approval", "cost")]


def _records(settled: pl.DataFrame) -> pl.DataFrame:
    """Targets that something bound entirely."""
    why = (
        pl.when(pl.col("frozen").is_not_null() & (pl.col("raising") | pl.col("lowering")))
        .then("frozen")
        .otherwise(pl.coalesce("held", "bound_by"))
    )
    told_elsewhere = pl.any_horizontal(
        pl.col("to") > pl.col("floor"),
        pl.col("asked") > pl.col("to"),
        pl.col("lower_to").is_not_null(),
        pl.col("renewing"),
    )
    wanted = pl.when(pl.col("lowering")).then("low").otherwise("wanted")
    return settled.filter(~told_elsewhere & why.is_not_null()).select(
        _row(to_floor=pl.col("floor"), wanted=wanted, bound_by=why)
    )


def _raises(settled: pl.DataFrame) -> pl.DataFrame:
    cost = (pl.col("to") - pl.col("floor")) * pl.col("unit_cost") + pl.col("extension")
    return settled.filter(pl.col("to") > pl.col("floor")).select(
        _row(
            to_floor=pl.col("to"),
            wanted=pl.col("wanted"),
            bound_by=pl.col("bound_by").fill_null(NONE),
            cost=cost,
        )
    )


def _waiting(settled: pl.DataFrame) -> pl.DataFrame:
    return settled.filter(pl.col("asked") > pl.col("to")).select(
        _row(
            from_floor=pl.col("to"),
            to_floor=pl.col("asked"),
            wanted=pl.col("wanted"),
            bound_by=pl.lit("approval"),
            waits_for_approval=pl.lit(value=True),
            cost=(pl.col("asked") - pl.col("to")) * pl.col("unit_cost"),
        )
    )


def _lowered(settled: pl.DataFrame) -> pl.DataFrame:
    return settled.filter(pl.col("lower_to").is_not_null()).select(
        _row(
            to_floor=pl.col("lower_to"),
            wanted=pl.col("low"),
            need_at=pl.col("lower_at"),
            expires_at=pl.col("lower_until"),
            bound_by=pl.when("lower_waits").then(pl.lit("approval")).otherwise(pl.lit(NONE)),
            waits_for_approval=pl.col("lower_waits"),
        )
    )


def _renewed(settled: pl.DataFrame) -> pl.DataFrame:
    """Floors to renew. In propose mode a renewal waits too, unless a standing approval covers it."""
    covered = (pl.col("approved_floor") >= pl.col("floor")).fill_null(value=False)
    return settled.filter("renewing").select(
        _row(
            to_floor=pl.col("floor"),
            wanted=pl.max_horizontal("floor", "wanted"),
            bound_by=pl.lit(RENEWAL),
            waits_for_approval=(pl.col("mode") == "propose") & ~covered,
            cost=pl.col("extension"),
        )
    )
