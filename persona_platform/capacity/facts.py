"""What ``decide`` knows of each target, in one row: limits, inventory, past, and what the plan says.

Nothing is decided here, except whether anything may be done at all.
"""

from datetime import datetime, timedelta
from typing import Final

import polars as pl

from persona_platform.capacity.limits import MODES, STALE_AT_LEAST
from persona_platform.capacity.sizing import whole_units
from persona_platform.errors import InputError
from persona_platform.frames import INVENTORY, LEDGER_VIEW, LIMITS, PLAN, TS, conform

FAILURE_BACKOFF: Final = timedelta(seconds=180)
"""No write for this long after one failed (Cluster Autoscaler's delay after failure). It is the distance
between two tries and not a matter of size, so it holds against observed demand too."""


def gather(
    plan: pl.DataFrame,
    inventory: pl.DataFrame,
    ledger_view: pl.DataFrame,
    limits: pl.DataFrame,
    *,
    now: datetime,
    width: timedelta,
) -> pl.DataFrame:
    """One row a target that has limits and an inventory.

    LIMITS, LEDGER_VIEW and INVENTORY, and beside them

    - ``needed``, ``hold_needed``, ``need_slot``: what the plan says, see :func:`_planned`;
    - ``floor``, ``observed``: whole units now;
    - ``wanted``: max(needed, observed, min); ``low``: the lowest floor that may be kept, at most the maximum;
    - ``raising``, ``lowering``, ``ours`` (the ledger knows the floor), ``failing`` (within the backoff);
    - ``raise_at``, ``raise_until``, ``lower_at``, ``lower_until``: need_at and expires_at of a change;
    - ``frozen``: why nothing may be done, or null.
    """
    guards = _checked(limits)
    view = conform(ledger_view, LEDGER_VIEW, "The ledger's view")
    _refuse_repeats(view, ["target"], "The ledger's view")
    newest = conform(inventory, INVENTORY, "The inventory").sort("observed_at").unique("target", keep="last")
    lead_s = pl.coalesce(pl.col("lead_time_s").fill_nan(None), "lead_time_prior_s")
    base = (
        guards.join(newest, on="target")
        .join(view, on="target", how="left")
        .with_columns(lead=(lead_s * 1e6).cast(pl.Int64).cast(pl.Duration("us")))
        .with_columns(lead_at=pl.lit(now, TS) + pl.col("lead"))
    )
    joined = base.join(_planned(plan, base, now, width), on="target", how="left")
    return _dated(_sized(joined, now), now, width).sort("target")


def _checked(limits: pl.DataFrame) -> pl.DataFrame:
    guards = conform(limits, LIMITS, "The limits")
    _refuse_repeats(guards, ["target"], "The limits")
    unknown = guards.filter(~pl.col("mode").is_in(MODES).fill_null(value=False))
    if unknown.height:
        raise InputError(
            f"Target {unknown['target'][0]} has the mode {unknown['mode'][0]!r}; it must be one of {', '.join(MODES)}."
        )
    return guards


def _refuse_repeats(frame: pl.DataFrame, key: list[str], what: str) -> None:
    repeated = frame.filter(pl.struct(key).is_duplicated())
    if repeated.height:
        raise InputError(f"{what} has target {repeated['target'][0]} with the same {' and '.join(key)} more than once.")


def _planned(plan: pl.DataFrame, base: pl.DataFrame, now: datetime, width: timedelta) -> pl.DataFrame:
    """What the plan says of each target between now and when capacity asked for now is usable.

    ``needed`` is of the slot that holds now + lead time (it covers the hold after it); ``hold_needed`` is the
    most of the slots from now's to that one. A plan that does not reach that slot says nothing.
    """
    rows = conform(plan, PLAN, "The plan")
    _refuse_repeats(rows, ["target", "slot"], "The plan")
    if rows["needed"].null_count():
        raise InputError("The plan has a row without needed; make it with make_plan, which refuses such a row.")
    ends = pl.col("slot") + width
    at_lead = ends > pl.col("lead_at")
    return (
        rows.join(base.select("target", "lead_at"), on="target")
        .filter((pl.col("slot") <= pl.col("lead_at")) & (ends > pl.lit(now, TS)))
        .group_by("target")
        .agg(
            needed=pl.col("needed").filter(at_lead).max(),
            need_slot=pl.col("slot").filter(at_lead).max(),
            hold_needed=pl.col("needed").max(),
            origin=pl.col("origin").min(),
            data_until=pl.col("data_until").min(),
            history_s=pl.col("history_s").min(),
            cycle_s=pl.col("cycle_s").max(),
        )
    )


def _sized(joined: pl.DataFrame, now: datetime) -> pl.DataFrame:
    reading = pl.col("observed_demand")
    failing = pl.col("last_failed_at") + FAILURE_BACKOFF > pl.lit(now, TS)
    capped = pl.min_horizontal("wanted", "max")
    return (
        joined.with_columns(
            floor=pl.col("floor").fill_null(0),
            # A reading that is no number is no reading; the other targets of its frame are still good.
            observed=whole_units(pl.when(reading.is_finite()).then(reading)).fill_null(0),
            paused=pl.col("paused").fill_null(value=False),
            ours=pl.col("floor_expires_at").is_not_null(),
            failing=failing.fill_null(value=False),
        )
        .with_columns(
            wanted=pl.max_horizontal("needed", "observed", "min"),
            low=pl.min_horizontal(pl.max_horizontal("hold_needed", "observed", "min"), "max"),
        )
        .with_columns(
            raising=capped > pl.col("floor"),
            lowering=(capped <= pl.col("floor")) & (pl.col("low") < pl.col("floor")),
        )
    )


def _dated(sized: pl.DataFrame, now: datetime, width: timedelta) -> pl.DataFrame:
    """When each change is needed, until when it stands, and whether anything may be done.

    A floor that was lowered since its slot began is needed *again* from then on: without that, the second
    raise within a slot would have the key of the first, and the ledger would take it for done.
    """
    slot_s = int(width.total_seconds())
    hold_slots = (pl.max_horizontal("cooldown_down_s", pl.lit(slot_s)) + (slot_s - 1)) // slot_s
    stands = pl.duration(seconds=hold_slots * slot_s + pl.col("expiry_s"))
    start = pl.coalesce("need_slot", "lead_at")
    return (
        sized.with_columns(
            need_slot=start,
            raise_at=pl.max_horizontal(start, "last_lowered_at"),
            lower_at=pl.max_horizontal(start, "last_raised_at"),
        )
        .with_columns(raise_until=pl.col("raise_at") + stands, lower_until=pl.col("lower_at") + stands)
        .with_columns(frozen=_frozen(now, width))
    )


def _frozen(now: datetime, width: timedelta) -> pl.Expr:
    """Why nothing may be done, or null; the first reason that a user has to remove."""
    default = int(max(2 * width, STALE_AT_LEAST).total_seconds())
    oldest = pl.lit(now, TS) - pl.duration(seconds=pl.col("stale_after_s").fill_null(default))
    # A slot ahead is allowed: the origin is the end of the newest slot, and clocks differ a little.
    newest = pl.lit(now + width, TS)
    fresh = pl.all_horizontal(
        pl.col(name).is_between(oldest, newest).fill_null(value=False)
        for name in ("origin", "data_until", "observed_at")
    )
    enough = pl.max_horizontal(pl.col("min_history_s"), 2 * pl.col("cycle_s"))
    return (
        pl.when("paused")
        .then(pl.lit("pause"))
        .when(pl.col("mode") == "observe")
        .then(pl.lit("mode"))
        .when(~fresh | pl.col("needed").is_null())
        .then(pl.lit("stale"))
        .when(pl.col("history_s").fill_null(0) < enough)
        .then(pl.lit("history"))
        .when(pl.col("max").is_null())
        .then(pl.lit("max"))
    )
