"""The facts that ``decide`` decides from, out of its four frames, and what it refuses to decide from.

Nothing is decided here; see :mod:`.facts` for the arrays and for how they say that something is not there.
"""

from datetime import datetime, timedelta
from typing import Final

import numpy as np
import polars as pl

from persona_platform.capacity.facts import NO_CAP, NONE, SECOND, Facts, lead_of
from persona_platform.capacity.limits import MODES
from persona_platform.errors import InputError
from persona_platform.frames import INVENTORY, LEDGER_VIEW, LIMITS, PLAN, TS, conform

_MUST_BE_THERE: Final = (
    *("min", "step_share", "step_units", "dead_band", "cooldown_up_s", "cooldown_down_s", "price_per_hour"),
    *("min_history_s", "expiry_s", "lead_time_prior_s"),
)
"""Limits that every target has; of the others null means something."""


def gather(
    plan: pl.DataFrame,
    inventory: pl.DataFrame,
    ledger_view: pl.DataFrame,
    limits: pl.DataFrame,
    *,
    now: datetime,
    width: timedelta,
) -> tuple[pl.Series, Facts]:
    """The names of the targets that have limits and an inventory, sorted, and what is known of each.

    A target without a row in the ledger's view has no past. Raises :class:`InputError` on an unknown mode, on
    repeated rows, on a plan without ``needed``, and on a limit or a cost that is no number.
    """
    guards = _checked(limits)
    view = conform(ledger_view, LEDGER_VIEW, "The ledger's view")
    _refuse_repeats(view, ["target"], "The ledger's view")
    _refuse_nan(view, ("cost_today", "cost_today_total"), "The ledger's view")
    newest = conform(inventory, INVENTORY, "The inventory").sort("observed_at").unique("target", keep="last")
    base = guards.join(newest, on="target").join(view, on="target", how="left").sort("target")
    lead = lead_of(base["lead_time_s"].to_numpy(), base["lead_time_prior_s"].to_numpy())
    usable_at = pl.lit(now, TS) + pl.Series(lead).cast(pl.Duration("us"))
    told = _planned(plan, base.select("target", lead_at=usable_at), now, width)
    joined = base.join(told, on="target", how="left", maintain_order="left")
    known = joined.select(
        *_instants("observed_at"),
        pl.col("floor").fill_null(0),
        "observed_demand",
        pl.col("paused").fill_null(value=False),
        *_instants("last_raised_at", "last_lowered_at", "last_failed_at", "floor_expires_at"),
        pl.col("cost_today", "cost_today_total").fill_null(0.0),
        pl.col("approved_floor", "needed", "hold_needed").fill_null(NONE),
        *_instants("need_slot", "origin", "data_until"),
        *_durations("cycle"),
        (pl.col("history_s").fill_null(0) * SECOND).alias("history"),
        pl.col("suitable").fill_null(value=True),
    )
    return joined["target"], Facts(**guards_of(joined), **_arrays(known), lead=lead)


def guards_of(limits: pl.DataFrame) -> dict[str, np.ndarray]:
    """The fields of :class:`Facts` that come from LIMITS, one entry a row of ``limits``, in the order of its rows."""
    mode = pl.col("mode")
    return _arrays(
        limits.select(
            (mode == "observe").alias("observe"),
            (mode == "propose").alias("propose"),
            pl.col("max", "approval_units").fill_null(NO_CAP),
            *("min", "step_share", "step_units", "dead_band", "price_per_hour"),
            *("budget_day", "budget_total_day", "approval_cost"),
            *_durations("cooldown_up", "cooldown_down", "min_history", "stale_after", "expiry"),
            pl.col("act_unsuitable").fill_null(value=False),
        )
    )


def _instants(*names: str) -> list[pl.Expr]:
    return [pl.col(name).cast(pl.Int64).fill_null(NONE) for name in names]


def _durations(*names: str) -> list[pl.Expr]:
    return [(pl.col(f"{name}_s") * SECOND).fill_null(NONE).alias(name) for name in names]


def _arrays(frame: pl.DataFrame) -> dict[str, np.ndarray]:
    """The columns; a null in a column of floats is NaN."""
    return {column.name: column.to_numpy() for column in frame}


def _checked(limits: pl.DataFrame) -> pl.DataFrame:
    guards = conform(limits, LIMITS, "The limits")
    _refuse_repeats(guards, ["target"], "The limits")
    unknown = guards.filter(~pl.col("mode").is_in(MODES).fill_null(value=False))
    if unknown.height:
        raise InputError(
            f"Target {unknown['target'][0]} has the mode {unknown['mode'][0]!r}; it must be one of {', '.join(MODES)}."
        )
    for name in _MUST_BE_THERE:
        lacks = ~np.isfinite(guards[name].to_numpy())
        if lacks.any():
            bad = guards.row(int(np.argmax(lacks)), named=True)
            raise InputError(
                f"The limits of target {bad['target']} have {name} = {bad[name]}; expected a finite number. "
                "limits_frame makes limits in which every one is."
            )
    _refuse_nan(guards, ("budget_day", "budget_total_day", "approval_cost"), "The limits")
    return guards


def _refuse_nan(frame: pl.DataFrame, names: tuple[str, ...], what: str) -> None:
    """In arrays NaN says that there is no cap, which a value that is no number must not be taken for."""
    for name in names:
        values = frame[name]
        if np.isnan(values.to_numpy()).sum() > values.null_count():
            bad = frame["target"].filter(values.is_nan())[0]
            raise InputError(f"{what} of target {bad} has {name} = nan; expected a number, or null for none.")


def _refuse_repeats(frame: pl.DataFrame, key: list[str], what: str) -> None:
    repeated = frame.select(key).is_duplicated()
    if repeated.any():
        target = frame["target"].filter(repeated)[0]
        raise InputError(f"{what} has target {target} with the same {' and '.join(key)} more than once.")


def _planned(plan: pl.DataFrame, leads: pl.DataFrame, now: datetime, width: timedelta) -> pl.DataFrame:
    """What the plan says of each target, by the rule of :func:`.facts.planned`, and of the rows that say so.

    ``leads``: target, lead_at (now + lead time).
    """
    rows = conform(plan, PLAN, "The plan")
    _refuse_repeats(rows, ["target", "slot"], "The plan")
    if rows["needed"].null_count():
        raise InputError("The plan has a row without needed; make it with make_plan, which refuses such a row.")
    ends = pl.col("slot") + width
    at_lead = ends > pl.col("lead_at")
    return (
        rows.filter(ends > pl.lit(now, TS))
        .join(leads, on="target")
        .filter(pl.col("slot") <= pl.col("lead_at"))
        .group_by("target")
        .agg(
            needed=pl.col("needed").filter(at_lead).max(),
            need_slot=pl.col("slot").filter(at_lead).max(),
            hold_needed=pl.col("needed").max(),
            origin=pl.col("origin").min(),
            data_until=pl.col("data_until").min(),
            history_s=pl.col("history_s").min(),
            cycle_s=pl.col("cycle_s").max(),
            suitable=pl.col("suitable").all(),
        )
    )
