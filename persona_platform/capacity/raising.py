"""How far a floor may be raised: one cap a guard, one after the other.

A cap never depends on how much is wanted, and the part below it acts now; so wanting more never gives less.
"""

from datetime import datetime

import polars as pl

from persona_platform.capacity.sizing import TOLERANCE
from persona_platform.frames import TS

MOST_UNITS = 1e12
"""Money divided by a tiny price is clipped here, so that it stays a whole number."""


def raise_(facts: pl.DataFrame, now: datetime) -> pl.DataFrame:
    """The facts, with what comes of the wish to raise.

    - ``to``: the floor to raise to now, or the floor as it is; ``asked``: what it would be with every
      approval;
    - ``bound_by``: the cap that bound last; null: none;
    - ``unit_cost``: money for a unit until the raise expires; ``extension``: money for the floor that was
      there,
      from when it would have expired;
    - ``renewing``: whether it only stays for longer.
    """
    floor, observed = pl.col("floor"), pl.col("observed")
    approved = pl.max_horizontal("floor", "approved_floor")
    small = (pl.col("wanted") - floor) < pl.col("dead_band") * pl.max_horizontal(floor, pl.lit(1))
    cooling = pl.col("last_raised_at") + pl.duration(seconds="cooldown_up_s") > pl.lit(now, TS)
    step = pl.max_horizontal((pl.col("step_share") * floor - TOLERANCE).ceil().cast(pl.Int64), "step_units")
    left_today = pl.col("budget_day") - pl.col("cost_today").fill_null(0.0)
    rows = _priced(facts, now).with_columns(
        to=pl.when(pl.col("frozen").is_null() & pl.col("raising")).then("wanted").otherwise("floor"),
        bound_by=pl.lit(None, pl.String),
    )
    for name, cap in (
        ("max", pl.col("max")),
        ("failure", pl.when("failing").then(floor)),
        ("dead_band", pl.when(small).then(pl.max_horizontal("floor", "observed", "min"))),
        # What a person approved need not cool down: the part that needed no approval acted a moment ago.
        ("cooldown", pl.when(cooling).then(pl.max_horizontal(floor, observed, approved))),
        ("step", pl.max_horizontal(floor + step, observed)),
        ("budget", _affordable(left_today)),
    ):
        rows = _cap(rows, name, cap)
    rows = _cap(_shared(rows), "budget", _affordable(pl.col("left_total")))
    alone = pl.when(pl.col("mode") == "propose").then(floor).otherwise(_without_approval())
    capped = _cap(rows.with_columns(asked=pl.col("to")), "approval", _not_below(alone, approved))
    paid = pl.all_horizontal(
        (left.is_null() | (pl.col("extension") <= left + TOLERANCE)) for left in (left_today, pl.col("left_total"))
    )
    stays = pl.col("renewable") & (pl.col("to") == floor)
    return capped.with_columns(
        renewing=stays & paid,
        bound_by=pl.when(stays & ~paid).then(pl.lit("budget")).otherwise("bound_by"),
    )


def _priced(facts: pl.DataFrame, now: datetime) -> pl.DataFrame:
    since = pl.max_horizontal(pl.col("floor_expires_at"), pl.lit(now, TS))
    extended = _hours(pl.col("raise_until") - since).clip(lower_bound=0.0)
    return facts.with_columns(
        unit_cost=_hours(pl.col("raise_until") - pl.lit(now, TS)) * pl.col("price_per_hour"),
        extension=pl.when("ours").then(extended * pl.col("price_per_hour") * pl.col("floor")).otherwise(0.0),
    )


def _hours(duration: pl.Expr) -> pl.Expr:
    return duration.dt.total_microseconds() / 3.6e9


def _not_below(cap: pl.Expr, least: pl.Expr) -> pl.Expr:
    """A cap raised to ``least``; a cap that is null stays null: it caps nothing."""
    return pl.when(cap.is_not_null()).then(pl.max_horizontal(cap, least))


def _cap(rows: pl.DataFrame, name: str, cap: pl.Expr) -> pl.DataFrame:
    """Clamp ``to`` to the cap, but not below the floor; the last cap that lowered it is what bound."""
    capped = pl.min_horizontal(pl.col("to"), _not_below(cap, pl.col("floor")))
    return rows.with_columns(
        to=capped, bound_by=pl.when(capped < pl.col("to")).then(pl.lit(name)).otherwise("bound_by")
    )


def _affordable(left: pl.Expr) -> pl.Expr:
    """The highest floor whose raise fits what is left of a budget; null: no budget, or free units."""
    return pl.col("floor") + _units_for(left - pl.col("extension"))


def _units_for(money: pl.Expr) -> pl.Expr:
    price = pl.when(pl.col("unit_cost") > 0).then("unit_cost")
    return (money / price + TOLERANCE).floor().clip(0.0, MOST_UNITS).cast(pl.Int64)


def _shared(rows: pl.DataFrame) -> pl.DataFrame:
    """With ``left_total``: the total budget less what the targets before this one ask for.

    The order is by need and then by name, and does not depend on how much anybody needs.
    """
    ask = (pl.col("to") - pl.col("floor")) * pl.col("unit_cost") + pl.col("extension")
    asks = pl.when((pl.col("to") > pl.col("floor")) | pl.col("renewable")).then(ask).otherwise(0.0)
    left = pl.col("budget_total_day") - pl.col("cost_today_total").fill_null(0.0)
    ordered = rows.sort("need_slot", "target")
    return ordered.with_columns(left_total=left - (asks.cum_sum() - asks)).sort("target")


def _without_approval() -> pl.Expr:
    """The highest floor that needs no approval; null: any."""
    return pl.min_horizontal(
        pl.col("floor") + pl.col("approval_units"), pl.col("floor") + _units_for(pl.col("approval_cost"))
    )
