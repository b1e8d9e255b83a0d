"""Running a Dagster job of this project from the command line, with its steps shown as they go."""

import io
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from datetime import date, datetime
from functools import cache
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from persona_platform.errors import JobError, PersonaPlatformError
from persona_platform.settings import Project

QUIET: dict[str, Any] = {"console": {"config": {"log_level": "CRITICAL"}}}


def definitions(project: Project, location: str, history_since: date | None = None) -> Any:
    """The Definitions of a code location over this project folder; ``history_since`` moves the first partition."""
    import warnings

    import dagster as dg

    # Dagster warns of its own use of its own beta parameters while it resolves sensors
    warnings.filterwarnings("ignore", "Parameter `owners` of initializer `SensorDefinition", dg.BetaWarning)
    if location == "provisioning":
        return _provisioning(project.home)
    from persona_platform.locations import planning

    return planning.build_defs(project.home, history_since=history_since)


@cache
def _provisioning(home: Path) -> Any:
    """The same for each tick of a process: nothing in these Definitions depends on the state of the folder."""
    from persona_platform.locations import provisioning

    return provisioning.build_defs(home)


def run_job(
    project: Project,
    job: str,
    *,
    location: str = "planning",
    at: datetime | None = None,
    ops: Mapping[str, Any] | None = None,
    tags: Mapping[str, str] | None = None,
    history_since: date | None = None,
    console: Console,
    title: str | None,
) -> Any:
    """Runs a job in this process on the project's instance and shows a bar of its steps; silent without a title.

    Raises the error of the first failing step where it is one of ours, else :class:`JobError`.
    """
    from resources.instance import dagster_instance
    from resources.lost_runs import end_lost_runs

    started = time.monotonic()
    with dagster_instance(project) as instance, _bar(console, shown=title is not None) as progress:
        end_lost_runs(instance)
        task = progress.add_task(title or job, total=None, step="loading")
        definition = definitions(project, location, history_since).resolve_job_def(job)
        progress.update(task, total=len(definition.nodes_in_topological_order))
        run_id = str(uuid.uuid4())

        def show(event: Any) -> None:
            happened = event.dagster_event
            if happened and happened.is_step_start:
                progress.update(task, step=(happened.step_key or "").replace("__", "/"))
            elif happened and happened.is_step_success:
                progress.advance(task)

        instance.add_event_listener(run_id, show)
        config: dict[str, Any] = {"loggers": QUIET, "ops": dict(ops or {})}
        if at is not None:
            config["resources"] = {"project": {"config": {"home": str(project.home), "at": at.isoformat()}}}
        with (
            _in_a_sentence(title or job, run_id),
            redirect_stdout(io.StringIO()),
        ):  # dbt's own log, which Dagster keeps with the run
            result = definition.execute_in_process(
                instance=instance,
                run_id=run_id,
                run_config=config,
                tags=dict(tags or {}),
                raise_on_error=True,
            )
    if title is not None:
        console.print(f"{title}: {time.monotonic() - started:.0f} s", style="dim")
    return result


@contextmanager
def _in_a_sentence(title: str, run_id: str) -> Iterator[None]:
    """Whatever ends a run, as an error that a user can read; its trace is kept with the run."""
    import dagster as dg
    from dagster._core.errors import DagsterExecutionInterruptedError

    try:
        yield
    except DagsterExecutionInterruptedError:
        raise KeyboardInterrupt from None
    except PersonaPlatformError:
        raise
    except Exception as fault:
        said = fault.description if isinstance(fault, dg.Failure) else str(fault.__cause__ or fault)
        reason = (said or type(fault).__name__).strip().splitlines()[0].rstrip(".")
        raise JobError(f"{title} failed: {reason}; the whole trace is with run {run_id} in `persona up`.") from fault


def _bar(console: Console, *, shown: bool) -> Progress:
    """A bar that goes away when it is done; where nobody watches a terminal, none."""
    return Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        TextColumn("{task.fields[step]}", style="dim"),
        TimeElapsedColumn(),
        console=console,
        transient=True,
        disable=not (shown and console.is_terminal),
    )


def partition_range(first: str, last: str) -> dict[str, str]:
    """The tags by which one run covers the daily partitions from ``first`` to ``last``."""
    return {"dagster/asset_partition_range_start": first, "dagster/asset_partition_range_end": last}


__all__ = ["definitions", "partition_range", "run_job"]
