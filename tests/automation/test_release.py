"""The demonstration's held rows: what is due is released, and nothing twice."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import polars as pl
import pytest

from persona_platform.automation.demonstration import release, release_job
from persona_platform.fleet import FleetSpec, write
from resources.project import ProjectResource

END = datetime(2026, 3, 12, 10, tzinfo=UTC)
SPEC = FleetSpec(start=END - timedelta(days=1), end=END + timedelta(days=1), seed=3, workloads=3)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    write(SPEC, tmp_path, until=END)
    (tmp_path / "persona.toml").write_text('[project]\nname = "x"\n', encoding="utf-8")
    return tmp_path


def released(home: Path) -> pl.DataFrame:
    return pl.concat([pl.read_parquet(f) for f in sorted((home / "samples").glob("released-*.parquet"))])


def test_what_is_due_is_released_once_and_nothing_before_its_time(home: Path) -> None:
    held = pl.read_parquet(home / "held" / "part-00000.parquet")
    hour = END + timedelta(hours=1)
    rows = release(home, hour)
    assert rows > 0
    assert release(home, hour) == 0
    assert release(home, END) == 0
    assert released(home)["ts"].max() == hour - timedelta(minutes=15)
    release(home, END + timedelta(hours=7))
    release(home, END + timedelta(days=3))
    order = ["workload_id", "ts", "metric"]
    assert released(home).sort(order).equals(held.sort(order))


def test_before_anything_is_due_no_file_is_made(home: Path) -> None:
    assert release(home, END) == 0
    assert not list((home / "samples").glob("released-*"))


def test_the_job_releases_up_to_its_instant(home: Path) -> None:
    hour = END + timedelta(hours=1)
    with dg.DagsterInstance.ephemeral() as instance:
        for _ in range(2):
            result = release_job.execute_in_process(
                instance=instance, resources={"project": ProjectResource(home=str(home), at=hour.isoformat())}
            )
            assert result.success
    assert len(list((home / "samples").glob("released-*.parquet"))) == 1


def test_a_project_without_held_rows(tmp_path: Path) -> None:
    assert release(tmp_path, END) == 0
