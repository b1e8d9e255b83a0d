"""The same folder at the same instant gives the same plan, to the last digit, however many threads there are."""

import os
import shutil
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from rich.console import Console

from persona_platform.cli.folder import prepare_state
from persona_platform.cli.pipeline import ingest_files
from persona_platform.fleet import FleetSpec, write
from persona_platform.settings import Project
from resources.frames import FrameStore

END = datetime(2026, 3, 14, tzinfo=UTC)
CONFIG = (
    '[project]\nname = "again"\n[planning]\nhorizon = "3h"\npaths = 16\n[sources]\nworkloads = "../workloads.csv"\n'
)


def plan_id(home: Path, threads: int) -> str:
    """The plan of a first replan in a process of its own."""
    env = {**os.environ, "PERSONA_HOME": str(home), "POLARS_MAX_THREADS": str(threads), "OMP_NUM_THREADS": str(threads)}
    command = [sys.executable, "-W", "ignore", "-m", "persona_platform", "replan", "--at", END.isoformat()]
    done = subprocess.run(command, env=env, cwd=home, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return FrameStore(Project(home).frames).read("capacity/plan", name="plan")["plan_id"][0]


@pytest.mark.slow
def test_two_replans_give_the_same_plan(tmp_path: Path) -> None:
    # Readings finer than a slot, and several workloads a pool: there are sums to be made at every step.
    write(FleetSpec(END - timedelta(days=8), END, seed=5, workloads=24, step=timedelta(hours=1)), tmp_path)
    first, second = tmp_path / "first", tmp_path / "second"
    first.mkdir()
    (first / "persona.toml").write_text(CONFIG, encoding="utf-8")
    prepare_state(Project(first))
    ingest_files(Project(first), [tmp_path / "samples"], at=END, console=Console(quiet=True))
    shutil.copytree(first, second)
    assert plan_id(first, threads=1) == plan_id(second, threads=3)
