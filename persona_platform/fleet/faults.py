"""Rows that break the contract of samples, as a careless exporter would write them, with the fault known."""

from collections.abc import Callable
from typing import Final

import numpy as np
import polars as pl

from persona_platform.fleet.draws import Draws
from persona_platform.fleet.spec import DAY, FleetSpec
from persona_platform.frames import Schema

BAD: Final[Schema] = dict.fromkeys(("workload_id", "ts", "metric", "value", "fault"), pl.String)

_Row = dict[str, str]
FAULTS: Final[dict[str, Callable[[_Row], _Row]]] = {
    "value is no number": lambda row: {**row, "value": "n/a"},
    "value is NaN": lambda row: {**row, "value": "NaN"},
    "negative": lambda row: {**row, "value": f"-{row['value']}"},
    "infinite": lambda row: {**row, "value": "inf"},
    "value is missing": lambda row: {**row, "value": ""},
    "ts is no time": lambda row: {**row, "ts": "yesterday"},
    "ts is missing": lambda row: {**row, "ts": ""},
    "in the future": lambda row: {**row, "ts": f"2{row['ts'][1:2]}99{row['ts'][4:]}"},
    "workload_id is missing": lambda row: {**row, "workload_id": ""},
    "another value for a key already held": lambda row: {**row, "value": repr(1.5 * float(row["value"]) + 1)},
}
"""What each fault does to a good row. The year of the future is 2099."""

_SPOILED_WORKLOADS: Final = 12


def bad_rows(spec: FleetSpec, samples: pl.DataFrame) -> pl.DataFrame:
    """``spec.bad_rows`` bad rows, each after a good one that repeats a sample of the first day as it is.

    Taken from the first twelve workloads in ``samples``, so that larger fleets have the same.
    """
    first_day = samples.filter(
        pl.col("metric") == "cpu_cores", pl.col("ts") < spec.start + min(DAY, spec.end - spec.start)
    )
    names = first_day["workload_id"].unique(maintain_order=True)[:_SPOILED_WORKLOADS]
    good = first_day.filter(pl.col("workload_id").is_in(names.to_list()))
    if good.is_empty() or not spec.bad_rows:
        return pl.DataFrame(schema=BAD)
    draws = Draws(spec.seed, "faults").uniform("row", np.arange(2 * spec.bad_rows))
    drawn = good[np.floor(draws * len(good)).astype(np.int64)].select(
        "workload_id",
        pl.col("ts").dt.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "metric",
        pl.col("value").map_elements(repr, pl.String),
    )
    faults = list(FAULTS)
    rows = []
    for i, row in enumerate(drawn.iter_rows(named=True)):
        fault = faults[i // 2 % len(faults)] if i % 2 else None
        rows.append({**(FAULTS[fault](row) if fault else row), "fault": fault})
    return pl.DataFrame(rows, schema=BAD)
