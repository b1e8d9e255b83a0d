"""A warehouse in a temporary folder, sample files to put in it, and everything that it holds."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from resources.warehouse import Warehouse
from resources.warehouse_connection import opened

START = datetime(2025, 3, 3, tzinfo=UTC)
NOW = datetime(2025, 6, 1, tzinfo=UTC)
SAMPLE = {"workload_id": pl.String, "ts": pl.Datetime("us", "UTC"), "metric": pl.String, "value": pl.Float64}

Row = tuple[str, float, str, float]
"""workload, hours after START, metric, value"""


@pytest.fixture
def warehouse(tmp_path: Path) -> Warehouse:
    return Warehouse(tmp_path / "state" / "warehouse.duckdb", tmp_path / "marts", wait_s=20)


@pytest.fixture
def feed(tmp_path: Path) -> Callable[[str, Sequence[Row]], Path]:
    """Writes a file of samples; ``.csv`` or ``.parquet`` by its name."""

    def write(name: str, rows: Sequence[Row]) -> Path:
        table = [(w, START + timedelta(hours=h), m, v) for w, h, m, v in rows]
        frame = pl.DataFrame(table, schema=SAMPLE, orient="row")
        path = tmp_path / name
        frame.write_csv(path) if name.endswith(".csv") else frame.write_parquet(path)
        return path

    return write


@pytest.fixture
def everything() -> Callable[[Warehouse], dict[str, list[tuple]]]:
    """All rows of all tables, sorted, without when a file came."""

    def read(warehouse: Warehouse) -> dict[str, list[tuple]]:
        with opened(warehouse.path, wait_s=20, read_only=True) as con:
            names = con.execute(
                "select table_name from information_schema.tables where table_schema = 'raw' "
                "and table_type = 'BASE TABLE'"
            ).fetchall()
            hidden = {"files": "ingested_at", "quarantine": "quarantined_at"}
            return {
                name: sorted(
                    con.execute(
                        f"select * {f'exclude ({hidden[name]})' if name in hidden else ''} from raw.{name}"
                    ).fetchall(),
                    key=repr,
                )
                for (name,) in names
            }

    return read
