"""``decide()``: what to do now, from a plan, an inventory, the ledger's view and the limits.

Frames in, frame out, no clock and no effect: the same function runs live and in replay, and a decision can be
made again from what the ledger kept. This module is the edge. Frames become arrays in :mod:`.gathering`; the
decision is :func:`.settle.settle`, which replay calls too; here its answer becomes rows. To follow a decision,
read :mod:`.wishes` (what is wanted, and why nothing may be done), then :mod:`.lowering`, then :mod:`.raising`.
"""

import hashlib
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Final

import numpy as np
import polars as pl

from persona_platform.capacity.gathering import gather
from persona_platform.capacity.reasons import REASONS, Reason
from persona_platform.capacity.settle import Settled, settle
from persona_platform.capacity.sizing import plan_slot
from persona_platform.errors import InputError
from persona_platform.frames import ACTIONS, TS, conform

RENEWAL: Final = REASONS[Reason.RENEWAL]

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


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
    one of pause, mode, stale, history, unsuitable (the plan says that its forecast was not worth acting on),
    max, failure, dead_band, cooldown, step, budget, approval, not_ours (a floor that the ledger does not know
    is never lowered), renewal, none.

    ``cost`` is the money of the added units until the row expires, and of the floor below them for the time
    by which the row extends it: a budget without that would hold a floor for ever after paying for one hour.

    Raises :class:`InputError` on a naive ``now``, an unknown mode, and repeated or empty values.
    """
    if now.tzinfo is None:
        raise InputError(f"now is {now} without a zone; pass an aware time, for instance in UTC.")
    now = now.astimezone(UTC)
    width = plan_slot(plan)
    names, facts = gather(plan, inventory, ledger_view, limits, now=now, width=width)
    settled = settle(facts, (now - _EPOCH) // _MICROSECOND, width // _MICROSECOND)
    rows = _rows(names, _kinds(settled))
    keys = map(action_key, rows["target"], rows["need_at"], rows["to_floor"])
    whole = rows.with_columns(pl.Series("key", list(keys), pl.String), act_at=pl.lit(now, TS))
    return conform(whole, ACTIONS, "The actions").sort("target", "to_floor", "waits_for_approval")


def due(actions: pl.DataFrame) -> pl.DataFrame:
    """The rows to perform: those that change a floor or renew it, and wait for nobody."""
    changes = (pl.col("to_floor") != pl.col("from_floor")) | (pl.col("bound_by") == RENEWAL)
    return actions.filter(changes & ~pl.col("waits_for_approval"))


def action_key(target: str, need_at: datetime, to_floor: int) -> str:
    """32 hex characters of sha256: the same need for the same floor is one action, whoever decides it."""
    return hashlib.sha256(f"{target}|{need_at.isoformat()}|{to_floor}".encode()).hexdigest()[:32]


def _kinds(s: Settled) -> Iterable[dict[str, np.ndarray]]:
    """The columns of each kind of row, ``at`` (which target) among them."""
    nobody, free = np.zeros(len(s.floor), dtype=bool), np.zeros(len(s.floor))
    raising = {"from_floor": s.floor, "wanted": s.wanted, "need_at": s.raise_at, "expires_at": s.raise_until}
    recorded = {**raising, "to_floor": s.floor, "wanted": s.withheld_wish, "bound_by": s.withheld}
    raised = {**raising, "to_floor": s.to, "bound_by": s.bound_by, "cost": s.raise_cost}
    waiting = {
        **raising,
        "from_floor": s.to,
        "to_floor": s.asked,
        "bound_by": np.full(len(s.floor), Reason.APPROVAL),
        "waits_for_approval": ~nobody,
        "cost": (s.asked - s.to) * s.unit_cost,
    }
    lowered = {
        "from_floor": s.floor,
        "to_floor": s.lower_to,
        "wanted": s.low,
        "need_at": s.lower_at,
        "expires_at": s.lower_until,
        "bound_by": np.where(s.lower_waits, Reason.APPROVAL, Reason.NONE),
        "waits_for_approval": s.lower_waits,
    }
    renewed = {
        **raising,
        "to_floor": s.floor,
        "wanted": np.maximum(s.floor, s.wanted),
        "bound_by": np.full(len(s.floor), Reason.RENEWAL),
        "waits_for_approval": s.renewal_waits,
        "cost": s.extension,
    }
    for which, columns in (
        (s.withheld != Reason.NONE, recorded),
        (s.raised, raised),
        (s.waiting, waiting),
        (s.lowered, lowered),
        (s.renewing, renewed),
    ):
        at = np.flatnonzero(which)
        full = {"waits_for_approval": nobody, "cost": free, **columns}
        yield {"at": at, **{name: values[at] for name, values in full.items()}}


def _rows(names: pl.Series, kinds: Iterable[dict[str, np.ndarray]]) -> pl.DataFrame:
    """ACTIONS without key and act_at, unsorted."""
    parts = list(kinds)
    columns = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    words = pl.Series(REASONS, dtype=pl.String)
    return pl.DataFrame(
        {
            **columns,
            "target": names.gather(columns["at"]),
            "bound_by": words.gather(columns["bound_by"]),
            "need_at": pl.Series(columns["need_at"]).cast(TS),
            "expires_at": pl.Series(columns["expires_at"]).cast(TS),
        }
    )
