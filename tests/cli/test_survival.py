"""Killed, repeated, two at once: nothing is lost, nothing half-written, and the next command works."""

import os
import signal
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path

import dagster as dg
import polars as pl
import pytest
from command_line import CONFIG, START, readings

from persona_platform.settings import Project
from resources.frames import FrameStore
from resources.instance import dagster_instance
from resources.lost_runs import end_lost_runs, mark_running
from resources.warehouse import Warehouse

END = START + timedelta(days=9)
AT = ("--at", END.isoformat())


def start(project: Project, *words: str | Path) -> subprocess.Popen[str]:
    """The command in a process, and a process group, of its own."""
    return subprocess.Popen(
        [sys.executable, "-W", "ignore", "-m", "persona_platform", *map(str, words)],
        env={**os.environ, "PERSONA_HOME": str(project.home)},
        cwd=project.home,
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def done(child: subprocess.Popen[str]) -> str:
    """What a command that ends well printed."""
    out, err = child.communicate(timeout=300)
    assert child.returncode == 0, err[-2000:]
    return out + err


def kill(child: subprocess.Popen[str]) -> None:
    os.killpg(child.pid, signal.SIGKILL)
    child.communicate()


def made(folder: Path) -> Project:
    folder.mkdir()
    (folder / "persona.toml").write_text(CONFIG, encoding="utf-8")
    return Project(folder)


def contents(project: Project) -> tuple[object, ...]:
    """What an ingest leaves: counts, span, slot, days to rebuild, the state file, the workloads."""
    warehouse = Warehouse(project.warehouse, project.marts, wait_s=60)
    text = (project.state / "state.json").read_text(encoding="utf-8")
    by_day, workloads = warehouse.samples_by_day(), warehouse.workloads()
    return warehouse.state(), warehouse.stale_days(), text, by_day.rows(), workloads.sort("workload_id").rows()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    ids = tuple(f"web-{i}" for i in range(40))
    frame = readings(9, ids, step=timedelta(minutes=15))
    frame.with_columns(dataset=pl.lit("shop")).write_parquet(tmp_path / "many.parquet")
    return tmp_path / "many.parquet"


def wait_for(true, seconds: float = 120) -> None:
    until = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < until
        time.sleep(0.02)


def test_an_ingest_killed_half_way_and_run_again_equals_a_clean_one(tmp_path: Path, file: Path) -> None:
    clean, killed = made(tmp_path / "clean"), made(tmp_path / "killed")
    done(start(clean, "ingest", file, *AT))
    for pause in (0.0, 0.3):
        child = start(killed, "ingest", file, *AT)
        wait_for(killed.warehouse.exists)
        time.sleep(pause)
        kill(child)
    began = time.monotonic()
    done(start(killed, "ingest", file, *AT))
    assert time.monotonic() - began < 60
    assert contents(killed) == contents(clean)
    done(start(killed, "ingest", file, *AT))
    assert contents(killed) == contents(clean)


@pytest.fixture(scope="module")
def planned(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project with a plan."""
    project = made(tmp_path_factory.mktemp("survival") / "home")
    readings(9).write_parquet(project.home / "good.parquet")
    done(start(project, "ingest", project.home / "good.parquet", *AT))
    done(start(project, "replan", *AT))
    return project


def running(project: Project) -> list[str]:
    with dagster_instance(project) as instance:
        return [run.run_id for run in instance.get_runs(dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED]))]


def test_a_killed_replan_leaves_the_plan_and_blocks_nobody(planned: Project) -> None:
    frames = FrameStore(planned.frames)
    before, plan = frames.folder("capacity/plan"), frames.read("capacity/plan", name="plan")
    child = start(planned, "replan", *AT)
    activations = planned.frames / "personas" / "activations" / "CURRENT"
    was = activations.read_text(encoding="utf-8")
    wait_for(lambda: activations.read_text(encoding="utf-8") != was)  # in the middle of the run, a slot in hand
    kill(child)
    assert frames.folder("capacity/plan") == before
    assert frames.read("capacity/plan", name="plan").equals(plan)
    assert len(running(planned)) == 1
    done(start(planned, "replan", *AT))
    assert running(planned) == []
    assert frames.folder("capacity/plan") != before
    assert frames.read("capacity/plan", name="plan").drop("plan_id").equals(plan.drop("plan_id"))


def test_an_ingest_while_a_replan_runs(planned: Project) -> None:
    more = planned.home / "more.parquet"
    readings(0.5, ("web-3",), start=END - timedelta(days=1)).write_parquet(more)
    both = [start(planned, "replan", *AT), start(planned, "ingest", more, *AT)]
    for child in both:
        done(child)
    assert FrameStore(planned.frames).read("capacity/plan", name="plan")["plan_id"].n_unique() == 1
    held = set(FrameStore(planned.frames).read("raw/workloads")["workload_id"])
    assert Warehouse(planned.warehouse, planned.marts, wait_s=60).state().workloads == 3
    assert held == {"web-1", "web-2", "web-3"}


def test_only_runs_without_a_process_are_ended(tmp_path: Path) -> None:
    project = made(tmp_path / "home")

    @dg.op
    def nothing() -> None: ...

    @dg.job
    def job() -> None:
        nothing()

    with dagster_instance(project) as instance:
        for run_id in ("mine", "killed", "young"):
            run = instance.create_run_for_job(job, run_id=run_id)
            instance.report_dagster_event(
                dg.DagsterEvent(event_type_value="PIPELINE_START", job_name="job"), run_id=run.run_id
            )
        mark_running(instance, "mine")
        mark_running(instance, "killed")
        instance.event_log_storage.initialize_concurrency_limit_to_default("planning")
        code = "import sys; from resources.lost_runs import mark_running; import dagster as dg"
        assert code
        assert end_lost_runs(instance) == []
