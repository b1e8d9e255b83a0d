"""How far a slot is from the events of each kind."""

from collections.abc import Sequence
from datetime import timedelta

import polars as pl

CAP = timedelta(days=14)
"""Further than this an event explains nothing about a slot; a kind without events stands here too."""


def distance_to_events(
    frame: pl.DataFrame, events: pl.DataFrame, kinds: Sequence[str], *, cap: timedelta = CAP
) -> pl.DataFrame:
    """``frame`` (with ``slot``) with ``hours_to_<kind>`` and ``hours_since_<kind>`` for each kind.

    Hours, Float64, from the slot's start: to the start of the next event and since the end of the last one,
    both 0 while one is under way, both at most ``cap`` (also when there is none). Rows and their order stay.
    """
    slots = frame.select("slot").unique().sort("slot")
    for kind in kinds:
        slots = slots.with_columns(_distances(slots["slot"], events.filter(pl.col("kind") == kind), kind, cap))
    return frame.join(slots, on="slot", how="left", validate="m:1", maintain_order="left")


def _distances(slots: pl.Series, events: pl.DataFrame, kind: str, cap: timedelta) -> list[pl.Series]:
    windows = _merged(events)
    near = (
        slots.to_frame()
        .join_asof(windows.rename({"starts_at": "began", "ends_at": "ended"}), left_on="slot", right_on="began")
        .join_asof(windows.select("starts_at"), left_on="slot", right_on="starts_at", strategy="forward")
    )
    under_way = pl.col("ended") > pl.col("slot")
    most = cap / timedelta(hours=1)

    def hours(span: pl.Expr) -> pl.Expr:
        capped = (span.dt.total_microseconds() / 3.6e9).clip(0.0, most).fill_null(most)
        return pl.when(under_way).then(0.0).otherwise(capped)

    return near.select(
        hours(pl.col("starts_at") - pl.col("slot")).alias(f"hours_to_{kind}"),
        hours(pl.col("slot") - pl.col("ended")).alias(f"hours_since_{kind}"),
    ).get_columns()


def _merged(events: pl.DataFrame) -> pl.DataFrame:
    """Disjoint windows in order; overlapping and touching ones become one, so the last begun ends last."""
    ordered = events.select("starts_at", "ends_at").sort("starts_at")
    opens = (pl.col("starts_at") > pl.col("ends_at").cum_max().shift(1)).fill_null(value=True)
    return (
        ordered.with_columns(opens.cum_sum().alias("window"))
        .group_by("window")
        .agg(pl.col("starts_at").min(), pl.col("ends_at").max())
        .sort("starts_at")
        .drop("window")
    )
