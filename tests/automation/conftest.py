"""One project over the committed sample, ingested and refitted once; each test acts on a copy of it."""

import io
import shutil
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
from acting import NOW, SAMPLE, Acting
from rich.console import Console

from persona_platform.cli.folder import prepare_state
from persona_platform.cli.pipeline import ingest_files, plan_now
from persona_platform.settings import Project

CONFIG = """
[project]
name = "sample"
slot = "1h"
[sources]
workloads = "workloads.csv"
[calendars]
files = ["events.csv", "calendar.ics"]
holidays = ["DE", "US"]
[planning]
horizon = "12h"
paths = 16
[limits]
mode = "act"
min = 1
max = 200
[simulated]
failure_rate = 0.0
"""


@pytest.fixture(scope="session")
def planned(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """The sample's project with a plan at NOW."""
    home = tmp_path_factory.mktemp("sample")
    for name in ("workloads.csv", "events.csv", "calendar.ics"):
        shutil.copy(SAMPLE / name, home / name)
    (home / "persona.toml").write_text(CONFIG + targets(), encoding="utf-8")
    project = Project(home)
    prepare_state(project)
    quiet = Console(file=io.StringIO())
    ingest_files(project, [SAMPLE / "samples"], at=NOW, console=quiet)
    plan_now(project, at=NOW, console=quiet)
    return project


def targets() -> str:
    import polars as pl

    pools = pl.read_csv(SAMPLE / "workloads.csv")["pool"].unique().sort()
    return "".join(f"[targets.{pool}]\n" for pool in pools)


@pytest.fixture
def acting(planned: Project, tmp_path: Path) -> Iterator[Acting]:
    """A copy of the project, and an instance of its own that knows nothing yet."""
    shutil.copytree(planned.home, tmp_path / "home", ignore=shutil.ignore_patterns("dagster", "warehouse.duckdb"))
    with dg.DagsterInstance.ephemeral() as instance:
        yield Acting(Project(tmp_path / "home"), instance)
