"""Steps: where a workload's height changes at once, and the mean height between two such changes.

A demand that begins or ends does so from one slot to the next, while what it does in between moves slowly. So the
mean between steps tells levels apart where single slots overlap: the quiet hours of a busy shop are no higher
than its rest at noon.
"""

from typing import Final

import polars as pl

LEAST_STEP: Final = 0.3
"""In log: a third more or a quarter less."""
NOISE_STEP: Final = 5.0
"""In standard deviations of the slot-to-slot noise."""


def noise(height: str = "x") -> pl.Expr:
    """The slot-to-slot noise of one workload's heights.

    The 30 % quantile of absolute steps, scaled to the standard deviation of normal noise: it holds even for a job
    that runs in one slot of four, where half of all steps are jumps.
    """
    return pl.col(height).diff().filter(pl.col("tick").diff() == 1).abs().quantile(0.3) / 0.385 / 2.0**0.5


def between_steps(place: list[str], step: pl.Expr, height: str = "x") -> pl.Expr:
    """The mean height between the steps around each slot of an ordered timeline; a step is larger than ``step``.

    ``place`` are the columns within which heights adjoin.
    """
    jumped = (pl.col(height).forward_fill().over(place).diff().abs() > step).fill_null(value=False)
    first = pl.struct(place).rle_id().diff().fill_null(1) != 0
    return pl.col(height).mean().over((jumped | first).cast(pl.UInt32).cum_sum())
