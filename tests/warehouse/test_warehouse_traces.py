"""Real traces into the warehouse, where they are at hand."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from resources.warehouse import Warehouse
from resources.warehouse_connection import opened

TRACES = Path(__file__).parents[3] / "shared" / "traces"
NOW = datetime(2026, 1, 1, tzinfo=UTC)

needs_traces = pytest.mark.skipif(not TRACES.exists(), reason="the traces are not at hand")


@needs_traces
@pytest.mark.parametrize(
    ("names", "slot"),
    [
        (["crane_series", "nasa_http_1995"], timedelta(minutes=15)),
        (["nyc_flights_weather"], timedelta(hours=1)),
        (["worldcup98"], timedelta(minutes=15)),
    ],
)
def test_every_row_of_a_trace_is_taken_in(warehouse: Warehouse, names: list[str], slot: timedelta) -> None:
    files = [TRACES / f"{name}.parquet" for name in names]
    rows = pl.concat(pl.scan_parquet(files[i]) for i in range(len(files))).collect()
    report = warehouse.ingest_samples(files, now=NOW)
    assert (report.new, report.quarantined) == (rows.height, 0)
    state = warehouse.state()
    assert state.slot == slot
    assert state.history_since == rows["ts"].min().date()
    outside = rows["workload_id"].str.contains("^(weather|calendar|event|grid):")
    assert state.samples == (~outside).sum()
    last = rows.filter(~outside)["ts"].max()
    assert last < state.newest <= last + slot
    with opened(warehouse.path, wait_s=5, read_only=True) as con:
        held = con.execute("select sum(value), count(distinct workload_id) from raw.utilization_samples").fetchall()
    assert held[0][0] == pytest.approx(rows.filter(~outside)["value"].sum())
    assert held[0][1] == state.workloads == rows.filter(~outside)["workload_id"].n_unique()
    assert warehouse.ingest_samples(files, now=NOW).new == 0
