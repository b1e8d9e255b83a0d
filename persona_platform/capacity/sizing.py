"""Rounding of demand to whole units, and the width of a plan's slots: what plan and decide must agree on."""

from datetime import timedelta
from typing import Final

import polars as pl

TOLERANCE: Final = 1e-9
"""Relative. Demand is a sum of floats divided by an amount: ten times 0.3 is 3.0000000000000004 units, and a
plain ceiling would buy a fourth unit for it. 1e-9 is far above such noise (1e-12 for 10,000 terms) and far
below any demand that matters."""

DEFAULT_SLOT: Final = timedelta(minutes=15)


def whole_units(demand: pl.Expr) -> pl.Expr:
    """The fewest whole units that hold a demand (Int64, at least 0); null stays null."""
    slack = TOLERANCE * pl.max_horizontal(demand.abs(), pl.lit(1.0))
    return (demand - slack).ceil().clip(lower_bound=0.0).cast(pl.Int64)


def plan_slot(plan: pl.DataFrame) -> timedelta:
    """The width of a plan's slots: the smallest distance between two, 15 minutes where there is one slot."""
    steps = plan["slot"].unique().sort().diff().drop_nulls()
    width = steps.min()
    return width if isinstance(width, timedelta) else DEFAULT_SLOT
