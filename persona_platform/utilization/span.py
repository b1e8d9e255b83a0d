"""Which UTC days a set of sample files touches: what a run's partitions are named from, before it reads them."""

from collections.abc import Iterable, Sequence
from datetime import date, datetime
from pathlib import Path

import polars as pl

from persona_platform.frames import TS
from persona_platform.utilization.instants import instants
from persona_platform.utilization.readers import sample_batches, sample_files


def day_span(files: Sequence[Path], now: datetime) -> tuple[date, date] | None:
    """First and last UTC day of the readable times up to ``now``; None when there is none.

    Parquet with a time column is answered from its statistics, anything else is read through once.
    Raises :class:`InputError` as reading does.
    """
    spans = [span for path in sample_files(files) if (span := _file_span(path, now)) is not None]
    if not spans:
        return None
    return min(first for first, _ in spans).date(), max(last for _, last in spans).date()


def _file_span(path: Path, now: datetime) -> tuple[datetime, datetime] | None:
    if path.stat().st_size == 0:
        return None
    if path.suffix == ".parquet":
        next(iter(sample_batches(path, rows=1)), None)  # its columns are checked, with a sentence
        lazy = pl.scan_parquet(path, glob=False)
        if isinstance(lazy.collect_schema().get("ts"), pl.Datetime):
            return _bounds([lazy.select(_as_utc(lazy.collect_schema()["ts"])).collect()["ts"]], now)
    return _bounds((instants(batch["ts"]) for _, batch in sample_batches(path)), now)


def _as_utc(dtype: pl.DataType) -> pl.Expr:
    aware = getattr(dtype, "time_zone", None) is not None
    return (pl.col("ts") if aware else pl.col("ts").dt.replace_time_zone("UTC")).cast(TS)


def _bounds(columns: Iterable[pl.Series], now: datetime) -> tuple[datetime, datetime] | None:
    found: list[datetime] = []
    for column in columns:
        past = column.filter(column <= now)
        found += [t for t in (past.min(), past.max()) if isinstance(t, datetime)]
    return (min(found), max(found)) if found else None
