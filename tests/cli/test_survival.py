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
from command_line import CONFIG, START, ended, readings
from dagster._core.launcher import WorkerStatus

from persona_platform.settings import Project
from resources.frames import FrameStore
from resources.instance import dagster_instance
from resources.lost_runs import end_lost_runs
from resources.warehouse import Warehouse

pytestmark = pytest.mark.slow

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


@pytest.fixture(scope="module")
def planned(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project with a plan."""
    project = made(tmp_path_factory.mktemp("survival") / "home")
    readings(9).write_parquet(project.home / "good.parquet")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PERSONA_HOME", str(project.home))
        for words in (("ingest", project.home / "good.parquet"), ("replan",)):
            assert ended(*words, *AT).code == 0
    return project


def running(project: Project) -> list[str]:
    with dagster_instance(project) as instance:
        return [run.run_id for run in instance.get_runs(dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED]))]


def test_a_killed_replan_leaves_the_plan_and_blocks_neither_a_replan_nor_an_ingest_beside_it(planned: Project) -> None:
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

    more = planned.home / "more.parquet"
    readings(0.5, ("web-3",), start=END - timedelta(days=1)).write_parquet(more)
    for both in [start(planned, "replan", *AT), start(planned, "ingest", more, *AT)]:
        done(both)
    assert running(planned) == []
    assert frames.folder("capacity/plan") != before
    after = frames.read("capacity/plan", name="plan")
    assert after["plan_id"].n_unique() == 1
    assert after["slot"].to_list() == plan["slot"].to_list()
    assert Warehouse(planned.warehouse, planned.marts, wait_s=60).state().workloads == 3
    assert set(frames.read("raw/workloads")["workload_id"]) == {"web-1", "web-2", "web-3"}


def test_an_interrupted_replan_stops_with_a_word(planned: Project) -> None:
    before = FrameStore(planned.frames).folder("capacity/plan")
    child = start(planned, "replan", *AT)
    wait_for(lambda: running(planned) != [])
    child.send_signal(signal.SIGINT)
    err = child.communicate(timeout=60)[1]
    assert child.returncode == 130
    assert err.splitlines()[-1] == "Stopped."
    assert "Traceback" not in err
    assert running(planned) == []
    assert FrameStore(planned.frames).folder("capacity/plan") == before


CHILD = """
import sys, time, uuid
from pathlib import Path
import dagster as dg
from persona_platform.settings import Project
from resources.instance import dagster_instance
from resources.lost_runs import mark_running

@dg.job
def job(): ...

with dagster_instance(Project(Path(sys.argv[1]))) as instance:
    run_id = str(uuid.uuid4())
    run = instance.create_run_for_job(job, run_id=run_id)
    instance.report_dagster_event(dg.DagsterEvent(event_type_value="PIPELINE_START", job_name="job"), run_id=run_id)
    mark_running(instance, run_id)
    instance.event_log_storage.initialize_concurrency_limit_to_default("planning")
    assert instance.event_log_storage.claim_concurrency_slot("planning", run_id, "step").is_claimed
    print(run_id, flush=True)
    time.sleep(600)
"""


def test_a_run_is_ended_and_its_slot_freed_when_its_process_is_gone_and_not_before(tmp_path: Path) -> None:
    project = made(tmp_path / "home")
    words = [sys.executable, "-W", "ignore", "-c", CHILD, str(project.home)]
    child = subprocess.Popen(words, stdout=subprocess.PIPE, text=True, start_new_session=True)
    assert child.stdout is not None
    run_id = child.stdout.readline().strip()
    with dagster_instance(project) as instance:
        run = instance.get_run_by_id(run_id)
        assert run is not None
        assert end_lost_runs(instance) == []
        assert instance.run_launcher.check_run_worker_health(run).status is WorkerStatus.RUNNING
        kill(child)
        slots = instance.event_log_storage
        assert not slots.claim_concurrency_slot("planning", "next", "step").is_claimed
        # what the daemon's run monitoring asks
        assert instance.run_launcher.supports_check_run_worker_health
        assert instance.run_launcher.check_run_worker_health(run).status is WorkerStatus.FAILED
        assert end_lost_runs(instance) == [run_id]
        assert slots.claim_concurrency_slot("planning", "next", "step").is_claimed
        ended = instance.get_run_by_id(run_id)
        assert ended is not None
        assert ended.status is dg.DagsterRunStatus.FAILURE
        assert end_lost_runs(instance) == []
