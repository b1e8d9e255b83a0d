"""Rows of one file, checked and laid out beside the warehouse's tables before any of them changes.

Ids and metrics are staged as numbers: grouping and joining tens of millions of rows by two strings took
most of an ingest's time and memory.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

import duckdb
import polars as pl

from persona_platform.utilization.samples import check_samples, sample_batches, sample_rows

BATCH_ROWS: Final = 500_000

Progress = Callable[[str, int, int], None]
"""Called with a file, its rows read so far, and its rows in all (0: not known)."""


@dataclass(frozen=True)
class Kind:
    """A table that rows of a file go to; ``extra`` is its column that is neither key nor value."""

    stage: str
    table: str
    id: str
    extra: str
    extra_type: str
    counter: str


SAMPLES: Final = Kind("stage_samples", "raw.utilization_samples", "workload_id", "dataset", "varchar", "samples")
COVARIATES: Final = Kind("stage_covariates", "raw.covariates", "series", "known_at", "timestamptz", "covariates")


def stage_file(
    con: duckdb.DuckDBPyConnection,
    path: Path,
    *,
    now: datetime,
    metric_map: Mapping[str, str],
    progress: Progress | None,
) -> int:
    """Fill the temporary tables of both kinds from a file, batch by batch; returns the rows read.

    ``<stage>``: row, key, ts, value, extra (a number); ``<stage>_series``: key, id, metric;
    ``<stage>_extra``: extra, content; ``rejects``: QUARANTINE.
    """
    codes = {kind: (_Codes(["id", "metric"], "key"), _Codes(["content"], "extra")) for kind in (SAMPLES, COVARIATES)}
    for kind in codes:
        con.execute(
            f"create or replace temp table {kind.stage} "
            "(row bigint, key uinteger, ts timestamptz, value double, extra uinteger)"
        )
    con.execute("create or replace temp table rejects (file varchar, row bigint, reason varchar, content varchar)")
    rows, total = 0, sample_rows(path)
    dataset = path.name.split(".", maxsplit=1)[0] or "default"
    for first, raw in sample_batches(path, BATCH_ROWS):
        checked = check_samples(raw, file=str(path), first_row=first, now=now, dataset=dataset, metric_map=metric_map)
        outside = pl.concat([checked.covariates, checked.event_rows])
        for kind, frame in ((SAMPLES, checked.samples), (COVARIATES, outside)):
            if frame.height:
                series, extra = codes[kind]
                named = frame.rename({kind.id: "id", kind.extra: "content"})
                _append(con, kind.stage, extra.coded(series.coded(named)))
        _append(con, "rejects", checked.quarantine)
        rows += raw.height
        if progress is not None:
            progress(str(path), rows, total)
    for kind, (series, extra) in codes.items():
        con.execute(f"create or replace temp table {kind.stage}_series (key uinteger, id varchar, metric varchar)")
        con.execute(f"create or replace temp table {kind.stage}_extra (extra uinteger, content {kind.extra_type})")
        _append(con, f"{kind.stage}_series", series.known)
        _append(con, f"{kind.stage}_extra", extra.known)
    return rows


class _Codes:
    """Numbers for the different values of some columns, given as they come."""

    def __init__(self, columns: list[str], name: str) -> None:
        self._columns = columns
        self._name = name
        self.known = pl.DataFrame()

    def coded(self, frame: pl.DataFrame) -> pl.DataFrame:
        """``frame`` with the number in the place of the columns."""
        found = frame.select(self._columns).unique()
        if self.known.width:
            found = found.join(self.known, on=self._columns, how="anti", nulls_equal=True)
        numbers = pl.int_range(self.known.height, self.known.height + found.height, dtype=pl.UInt32)
        found = found.with_columns(numbers.alias(self._name))
        self.known = pl.concat([self.known, found]) if self.known.width else found
        return frame.join(self.known, on=self._columns, how="left", nulls_equal=True, maintain_order="left").drop(
            self._columns
        )


def _append(con: duckdb.DuckDBPyConnection, table: str, frame: pl.DataFrame) -> None:
    if frame.height:
        con.register("batch", frame)
        con.execute(f"insert into {table} by name from batch")
        con.unregister("batch")
