"""When a floor is lowered, and when one that stays is renewed.

A floor is only lowered when nothing asks for more, one that the ledger does not know never is: it is somebody
else's.
"""

from datetime import datetime, timedelta

import polars as pl

from persona_platform.frames import TS


def lower(facts: pl.DataFrame, now: datetime) -> pl.DataFrame:
    """With ``lower_to`` (null: not lowered), ``lower_waits`` (for approval) and ``held`` (what forbids)."""
    floor = pl.col("floor")
    changed = pl.max_horizontal("last_raised_at", "last_lowered_at")
    cooling = (changed + pl.duration(seconds="cooldown_down_s") > pl.lit(now, TS)).fill_null(value=False)
    # A maximum that was set below the floor is obeyed however near it is.
    small = (floor - pl.col("low") < pl.col("dead_band") * floor) & (floor <= pl.col("max"))
    held = (
        pl.when(~pl.col("ours"))
        .then(pl.lit("not_ours"))
        .when("failing")
        .then(pl.lit("failure"))
        .when(small)
        .then(pl.lit("dead_band"))
        .when(cooling)
        .then(pl.lit("cooldown"))
    )
    open_ = pl.col("frozen").is_null() & pl.col("lowering")
    propose = pl.col("mode") == "propose"
    approved = (pl.col("approved_floor") < floor).fill_null(value=False)
    to = pl.when(propose & approved).then(pl.max_horizontal("low", "approved_floor")).otherwise("low")
    return facts.with_columns(held=pl.when(open_).then(held)).with_columns(
        lower_to=pl.when(open_ & pl.col("held").is_null()).then(to),
        lower_waits=propose & ~approved,
    )


def renew(lowered: pl.DataFrame, now: datetime, width: timedelta) -> pl.DataFrame:
    """With ``renewable``: a floor of ours that is wanted, is not lowered, and would soon expire.

    Soon is when half of the expiry is left (leases are renewed so), or a slot and a lead time if that is
    more: the next plan may be the last one before the floor lapses.
    """
    soon = pl.max_horizontal(pl.duration(seconds=pl.col("expiry_s") // 2), pl.col("lead") + width)
    return lowered.with_columns(
        renewable=pl.all_horizontal(
            pl.col("frozen").is_null(),
            pl.col("ours"),
            ~pl.col("failing"),
            pl.col("lower_to").is_null(),
            pl.col("floor") > 0,
            pl.col("low") > 0,
            (pl.col("floor") <= pl.col("max")).fill_null(value=False),
            (pl.col("floor_expires_at") <= pl.lit(now, TS) + soon).fill_null(value=False),
            (pl.col("raise_until") > pl.col("floor_expires_at")).fill_null(value=False),
        )
    )
