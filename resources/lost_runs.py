"""Runs whose process is gone: found, ended, and their pool slots given back.

A run's process holds a lock on a file named after the run until it ends, however it ends: the kernel lets go of it.
An open run whose file is not locked was killed. Dagster itself only learns that from a launcher that can tell, and
until then the run keeps its slots and its lane, and everything after it waits.
"""

import fcntl
import os
import socket
import time
from pathlib import Path
from typing import Any, Final

import dagster as dg
from dagster._core.launcher import CheckRunHealthResult, DefaultRunLauncher, WorkerStatus

GONE: Final = "The process of this run was killed or its machine stopped; what it had written stays, run it again."
UNMARKED_S: Final = 120
"""A run marks itself as its resources start; one that has not by then never will."""

HOST: Final = "persona_platform/host"
"""The tag of a run that names the host whose process runs it."""

_held: dict[str, int] = {}
"""Run to the open file that holds its lock; closed by the end of the process, and by nothing before it."""


class WatchedRunLauncher(DefaultRunLauncher):
    """Dagster's launcher for one host, which also knows whether a run's process is still there."""

    @property
    def supports_check_run_worker_health(self) -> bool:
        """Yes: the daemon's run monitoring asks."""
        return True

    def check_run_worker_health(self, run: dg.DagsterRun) -> CheckRunHealthResult:
        """Failed when the process is gone."""
        lost = is_lost(self._instance, run.run_id)
        return CheckRunHealthResult(WorkerStatus.FAILED, GONE) if lost else CheckRunHealthResult(WorkerStatus.RUNNING)


def mark_running(instance: dg.DagsterInstance, run_id: str) -> None:
    """Says that this process is at work on a run, until it ends."""
    if run_id in _held:
        return
    place = _place(instance, run_id)
    place.parent.mkdir(parents=True, exist_ok=True)
    scratch = place.with_name(f".{run_id}")  # locked before it can be seen
    opened = os.open(scratch, os.O_CREAT | os.O_RDWR, 0o644)
    fcntl.flock(opened, fcntl.LOCK_EX)
    scratch.replace(place)
    _held[run_id] = opened
    instance.add_run_tags(run_id, {HOST: socket.gethostname()})


def is_lost(instance: dg.DagsterInstance, run_id: str) -> bool:
    """Whether an open run has no process any more."""
    try:
        opened = os.open(_place(instance, run_id), os.O_RDONLY)
    except FileNotFoundError:
        record = instance.get_run_record_by_id(run_id)
        if record is not None and record.dagster_run.tags.get(HOST, socket.gethostname()) != socket.gethostname():
            return False  # where hosts share Dagster's storage, only the run's own host can tell
        return record is not None and (record.start_time or 0) < time.time() - UNMARKED_S
    try:
        fcntl.flock(opened, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(opened)
    return True


def end_lost_runs(instance: dg.DagsterInstance) -> list[str]:
    """Fails the open runs whose process is gone and frees their slots; their ids."""
    open_runs: list[Any] = list(
        instance.get_runs(dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.CANCELING]))
    )
    lost = [run for run in open_runs if is_lost(instance, run.run_id)]
    for run in lost:
        instance.report_run_failed(run, GONE)
        instance.event_log_storage.free_concurrency_slots_for_run(run.run_id)
        _place(instance, run.run_id).unlink(missing_ok=True)
    return [run.run_id for run in lost]


def _place(instance: dg.DagsterInstance, run_id: str) -> Path:
    return Path(instance.root_directory) / "running" / run_id
