"""Ingests that are killed, and two at once: nothing half-written, nothing lost, nothing twice."""

import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest

from resources.warehouse import Warehouse, WarehouseBusyError
from resources.warehouse_connection import opened

NOW = datetime(2025, 6, 1, tzinfo=UTC)
CHILD = """
import sys
from datetime import UTC, datetime
from pathlib import Path
from resources.warehouse import Warehouse
path, *files = map(Path, sys.argv[1:])
print("ready", flush=True)
report = Warehouse(path, path.parent / "marts").ingest_samples(files, now=datetime(2025, 6, 1, tzinfo=UTC))
print("done", report.new, flush=True)
"""


def write_files(folder: Path, rows: int) -> list[Path]:
    """Two files, with some rows of the second in the first, some of them with another value, some broken."""
    at = pl.int_range(rows)
    frame = pl.select(
        workload_id=pl.format("w{}", at % 50),
        ts=1_740_960_000 + 300 * (at // 50),
        metric=pl.lit("cpu_cores"),
        value=(at % 97).cast(pl.Float64),
    )
    files = [folder / "a.parquet", folder / "b.parquet"]
    half = rows // 2
    frame.head(half + 1000).write_parquet(files[0])
    frame.tail(half).with_columns(
        value=pl.when(pl.int_range(half) % 1500 == 7)
        .then(-1)
        .when(pl.int_range(half) < 10)
        .then(3.5)
        .otherwise("value")
    ).write_parquet(files[1])
    return files


def start(path: Path, files: list[Path]) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", CHILD, str(path), *map(str, files)]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    assert child.stdout.readline() == "ready\n"
    return child


def test_an_ingest_killed_at_any_moment_is_completed_by_the_next(tmp_path: Path, everything) -> None:
    files = write_files(tmp_path, 160_000)
    clean = Warehouse(tmp_path / "clean.duckdb", tmp_path)
    began = time.monotonic()
    clean.ingest_samples(files, now=NOW)
    took = time.monotonic() - began

    killed = Warehouse(tmp_path / "killed.duckdb", tmp_path)
    for share in (0.1, 0.35, 0.6, 0.85):
        child = start(killed.path, files)
        time.sleep(share * took)
        child.kill()
        child.communicate()
        if killed.path.exists():
            held = killed.state()
            # Whole files only, and the counts agree with the rows.
            assert held.samples in {0, 81_000, clean.state().samples}
    killed.ingest_samples(files, now=NOW)
    assert everything(killed) == everything(clean)


def test_two_ingests_at_once_take_turns(tmp_path: Path, everything) -> None:
    files = write_files(tmp_path, 30_000)
    clean = Warehouse(tmp_path / "clean.duckdb", tmp_path)
    clean.ingest_samples(files, now=NOW)
    path = tmp_path / "both.duckdb"
    children = [start(path, files) for _ in range(2)]
    told = [child.communicate(timeout=60)[0] for child in children]
    assert [child.returncode for child in children] == [0, 0]
    assert sum(int(text.split()[-1]) for text in told) == clean.state().samples
    assert everything(Warehouse(path, tmp_path)) == everything(clean)


def test_who_waits_too_long_learns_who_holds_the_file(tmp_path: Path) -> None:
    path = tmp_path / "w.duckdb"
    hold = "import sys, duckdb; con = duckdb.connect(sys.argv[1]); print('ready', flush=True); sys.stdin.read()"
    child = subprocess.Popen(
        [sys.executable, "-c", hold, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert child.stdout is not None
    assert child.stdout.readline() == "ready\n"
    with pytest.raises(WarehouseBusyError, match=rf"held by process {child.pid} .* not released within 0\.2 s"):
        Warehouse(path, tmp_path, wait_s=0.2).state()
    child.communicate("", timeout=20)
    assert Warehouse(path, tmp_path, wait_s=5).stale_days() == []


def test_a_thread_of_this_process_that_reads_makes_a_writer_wait(tmp_path: Path) -> None:
    warehouse = Warehouse(tmp_path / "w.duckdb", tmp_path, wait_s=0.2)
    warehouse.stale_days()
    with (
        opened(warehouse.path, wait_s=1, read_only=True),
        pytest.raises(WarehouseBusyError, match="another user in this process"),
    ):
        warehouse.stale_days()
