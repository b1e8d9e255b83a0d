"""Outside series (weather, carbon, price) as they were known at a moment."""

from datetime import datetime

import polars as pl

from persona_platform.frames import COVARIATES, conform


def known_at(covariates: pl.DataFrame, origin: datetime) -> pl.DataFrame:
    """COVARIATES whose values may be used at ``origin``: known by then, the newest revision of each reading.

    A weather forecast has its ``ts`` after ``origin``; a measured value is known one step after its ts.
    Sorted by series, metric, ts; of two values known at the same instant the larger is kept, so that the
    order of the rows changes nothing.
    """
    keys = ["series", "metric", "ts"]
    return (
        conform(covariates, COVARIATES, "The covariates")
        .filter(pl.col("known_at") <= origin)
        .sort(*keys, "known_at", "value")
        .unique(keys, keep="last", maintain_order=True)
    )
