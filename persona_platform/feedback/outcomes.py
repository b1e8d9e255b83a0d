"""What became of every action: whether capacity reached the floor, when, and what demand then was.

Pure: from the ledger's entries, the inventories seen, and the demand observed. Nothing is written here.
"""

from datetime import UTC, datetime, timedelta
from typing import Final

import polars as pl

from persona_platform.capacity.ledger_view import ENTRIES
from persona_platform.frames import INVENTORY, OBSERVED, OUTCOMES, TS, conform

ALLOWANCE: Final = timedelta(seconds=300)
"""An action that was asked for later than this before its need is given this long from the request: what is
judged is whether capacity came, and ``ahead_s`` says whether it came before the demand."""

_ACTION: Final = pl.Struct(
    {
        "from_floor": pl.Int64,
        "to_floor": pl.Int64,
        "need_at": pl.String,
        "expires_at": pl.String,
        "usable": pl.Int64,
        "accepted_floor": pl.Int64,
    }
)


def outcomes(
    entries: pl.DataFrame,
    inventories: pl.DataFrame,
    observed: pl.DataFrame,
    now: datetime,
    *,
    allowance: timedelta = ALLOWANCE,
) -> pl.DataFrame:
    """OUTCOMES, one row for each action in the ledger, in the order of their requests.

    Args:
        entries: the ledger's, see :mod:`persona_platform.capacity.ledger_view`.
        inventories: INVENTORY rows of many moments; the finer, the sharper ``ready_at``.
        observed: OBSERVED.
        now: aware; later inventories and slots are not looked at.
        allowance: see :data:`ALLOWANCE`.

    The outcome of an action is

    - released: it lowered a floor, or its floor was given back before capacity reached it and before its
      deadline;
    - met: usable capacity reached its floor by the deadline, max(need_at, requested_at + allowance);
    - partial: the deadline passed, and some of the added units were seen usable, or all of them after it;
    - unmet: the deadline passed with none of them, or the write failed and was never made good;
    - open: none of these yet.
    """
    moment = now.astimezone(UTC)
    actions = _actions(entries, allowance)
    seen = _reached(actions, inventories, moment)
    peaks = _peaks(actions, observed, moment)
    rows = (
        actions.join(seen, on="key", how="left")
        .join(peaks, on="key", how="left")
        .with_columns(outcome=_verdict(moment))
        .with_columns(ahead_s=(pl.col("need_at") - pl.col("ready_at")).dt.total_microseconds() / 1e6)
    )
    return conform(rows.sort("seq"), OUTCOMES, "The outcomes")


def _actions(entries: pl.DataFrame, allowance: timedelta) -> pl.DataFrame:
    """One row a key: the action, its last result, what was usable before it, and when it was released."""
    rows = conform(entries, ENTRIES, "The ledger's entries").sort("seq")
    rows = rows.with_columns(pl.col("body").fill_null("{}").str.json_decode(_ACTION).struct.unnest())
    actions = rows.filter(pl.col("kind") == "action").select(
        "seq",
        "key",
        "target",
        "from_floor",
        "to_floor",
        _moment("need_at"),
        _moment("expires_at"),
        requested_at="at",
    )
    results = (
        rows.filter(pl.col("kind").is_in(["applied", "failed", "unknown"]))
        .group_by("key", maintain_order=True)
        .agg(result=pl.col("kind").last(), usable_before=pl.col("usable").drop_nulls().last())
    )
    released = rows.filter(pl.col("kind") == "released").group_by("key").agg(released_at=pl.col("at").min())
    return (
        actions.join(results, on="key", how="left")
        .join(released, on="key", how="left")
        .with_columns(deadline=pl.max_horizontal(pl.col("need_at"), pl.col("requested_at") + allowance))
    )


def _moment(name: str) -> pl.Expr:
    return pl.col(name).str.to_datetime("%+", time_unit="us", time_zone="UTC")


def _reached(actions: pl.DataFrame, inventories: pl.DataFrame, now: datetime) -> pl.DataFrame:
    """key, ready_at, most (usable), while the action stood.

    ``ready_at`` is when the inventory before the first one at the floor said that all would be usable, where that
    lies between the two; else when it was first seen. So it is not only as sharp as the observations are frequent.
    """
    seen = (
        conform(inventories, INVENTORY, "The inventories")
        .sort("target", "observed_at")
        .with_columns(
            said=pl.col("ready_at").shift(1).over("target"), before=pl.col("observed_at").shift(1).over("target")
        )
        .select(
            "target",
            "observed_at",
            "usable",
            came_at=pl.when(pl.col("said").is_between("before", "observed_at")).then("said").otherwise("observed_at"),
        )
    )
    while_it_stood = pl.col("observed_at").is_between("requested_at", pl.min_horizontal("expires_at", pl.lit(now, TS)))
    return (
        actions.join(seen, on="target")
        .filter(while_it_stood)
        .group_by("key")
        .agg(
            ready_at=pl.max_horizontal("came_at", "requested_at").filter(pl.col("usable") >= pl.col("to_floor")).min(),
            most=pl.col("usable").max(),
        )
    )


def _peaks(actions: pl.DataFrame, observed: pl.DataFrame, now: datetime) -> pl.DataFrame:
    """key, peak_demand: over the slots that begin while the action is needed, or contain its need."""
    slots = conform(observed, OBSERVED, "The observed demand").filter(pl.col("demand").is_finite())
    width = slots["slot"].unique().sort().diff().drop_nulls().min()
    ends = pl.col("slot") + (width if isinstance(width, timedelta) else timedelta(minutes=15))
    return (
        actions.join(slots, on="target")
        .filter(
            (ends > pl.col("need_at")) & (pl.col("slot") < pl.col("expires_at")) & (pl.col("slot") < pl.lit(now, TS))
        )
        .group_by("key")
        .agg(peak_demand=pl.col("demand").max())
    )


def _verdict(now: datetime) -> pl.Expr:
    ready, deadline = pl.col("ready_at"), pl.col("deadline")
    gone = pl.col("released_at").is_not_null() & ready.is_null() & (pl.col("released_at") <= deadline)
    before = pl.max_horizontal("usable_before", "from_floor")
    some = (pl.col("most") > before).fill_null(value=False) | ready.is_not_null()
    refused = (pl.col("result") == "failed").fill_null(value=False)
    applied = (pl.col("result") == "applied").fill_null(value=False)
    lowered, past = pl.col("to_floor") < pl.col("from_floor"), deadline < pl.lit(now, TS)
    return (
        pl.when(refused)
        .then(pl.when(past).then(pl.lit("unmet")).otherwise(pl.lit("open")))
        .when(lowered)
        .then(pl.when(applied).then(pl.lit("released")).otherwise(pl.lit("open")))
        .when((ready <= deadline).fill_null(value=False))
        .then(pl.lit("met"))
        .when(gone)
        .then(pl.lit("released"))
        .when(~past)
        .then(pl.lit("open"))
        .when(some)
        .then(pl.lit("partial"))
        .otherwise(pl.lit("unmet"))
    )
