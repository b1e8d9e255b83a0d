"""A share of the fleet: what learning holds in memory at a time."""

from typing import NamedTuple

import polars as pl


class Share(NamedTuple):
    """The whole histories of some workloads."""

    needs: pl.DataFrame
    activity: pl.DataFrame | None = None  # ACTIVITY: what may lead the needs
