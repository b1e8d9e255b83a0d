"""Labels: what is known of a workload before it was ever read."""

from typing import Final

import polars as pl

LABELS: Final = ("pool", "team", "tier", "timezone", "storage_class", "prefix")
"""``prefix`` is the wordy beginning of the workload's id, the others are columns of WORKLOADS."""


def with_prefix(workloads: pl.DataFrame) -> pl.DataFrame:
    """``workload_id`` and :data:`LABELS` of a WORKLOADS frame, once each."""
    words = pl.col("workload_id").str.extract(r"^([A-Za-z]+(?:[-_./][A-Za-z]+)*)", 1).fill_null("")
    return (
        workloads.unique("workload_id", keep="first", maintain_order=True)
        .with_columns(prefix=words)
        .select("workload_id", *(pl.col(name).cast(pl.String).fill_null("") for name in LABELS))
    )
