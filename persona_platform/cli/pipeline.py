"""Commands that run the planning jobs: ``ingest``, ``replan``, ``refit``."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import click
import polars as pl
from rich.console import Console

from persona_platform.cli.options import at_option, err, frame_table
from persona_platform.cli.persona_view import duration_text
from persona_platform.cli.runs import partition_range, run_job
from persona_platform.errors import InputError
from persona_platform.now import Moment, resolve_now
from persona_platform.settings import Project, find_project


@click.command()
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--replace", is_flag=True, help="Let a new value replace the one that a key already has.")
@at_option
def ingest(paths: tuple[Path, ...], replace: bool, at: datetime | None) -> None:
    """Read samples (Parquet or CSV: workload_id, ts, metric, value) into the warehouse.

    Rows that break the contract go to quarantine with the reason; reading the same file again changes nothing.
    """
    ingest_files(find_project(), list(paths), replace=replace, at=at, console=err)


def ingest_files(
    project: Project,
    paths: list[Path],
    *,
    replace: bool = False,
    at: datetime | None = None,
    console: Console,
) -> Any:
    """Runs the ingest job over the days that the files touch and says what it took in."""
    from persona_platform.utilization.span import day_span
    from resources.project import ProjectState, state_path

    project.settings()  # its faults first
    files = expand(paths)
    now = at or datetime.now(UTC)
    span = day_span(files, now)
    state = ProjectState.load(state_path(project))
    known = [d for d in (span and span[0], state and state.history_since) if d]
    if not known:
        raise InputError(_nothing_in(files, now))
    # partitions start at the first day ever seen: known before the run, since a run names its partitions
    since = min(known)
    days = span or (since, since)
    result = run_job(
        project,
        "ingest",
        at=at,
        ops={"samples": {"config": {"files": [str(f) for f in files], "replace": replace}}},
        tags=partition_range(days[0].isoformat(), days[1].isoformat()),
        history_since=since,
        console=console,
        title="Ingest",
    )
    _say_ingested(project, result, console)
    return result


def _nothing_in(files: list[Path], now: datetime) -> str:
    """Why no file has a day: they are empty, or nothing in them has a time that is past."""
    from persona_platform.utilization.readers import sample_batches

    named = ", ".join(map(str, files[:3])) + (f" and {len(files) - 3} more" if len(files) > 3 else "")
    if all(next(iter(sample_batches(f, rows=1)), None) is None for f in files):
        return f"{named}: no row at all, nothing was ingested; export the samples again."
    return (
        f"{named}: no row has a readable ts up to {now:%Y-%m-%d %H:%M} UTC, nothing was ingested; write ts in ISO "
        "8601 or as seconds since 1970, or give --at a later instant."
    )


def expand(paths: list[Path]) -> list[Path]:
    """Files as given and the Parquet and CSV files of folders; :class:`InputError` for what does not exist."""
    files: list[Path] = []
    for path in paths:
        if path.is_dir():
            inside = sorted(
                p for p in path.iterdir() if p.suffix in (".parquet", ".csv") and not p.name.startswith(".")
            )
            if not inside:
                raise InputError(f"{path} holds no .parquet or .csv file: name the files to ingest.")
            files += inside
        elif path.is_file():
            files.append(path)
        else:
            raise InputError(f"{path} does not exist: check the path.")
    return [f.resolve() for f in files]


def _say_ingested(project: Project, result: Any, console: Console) -> None:
    from persona_platform.utilization.metrics import METRICS
    from resources.project import ProjectState, state_path

    made = {m.asset_key.path[-1]: m for m in result.asset_materializations_for_node("samples")}
    said = {name: value.value for name, value in made["utilization_samples"].metadata.items()}
    outside = made["covariates"].metadata["dagster/row_count"].value
    console.print(frame_table("Ingested", pl.DataFrame(said["report"])))
    state = ProjectState.load(state_path(project))
    assert state is not None
    workloads = f"{said['workloads']:,} workload{'' if said['workloads'] == 1 else 's'}"
    console.print(
        f"{said['dagster/row_count']:,} samples of {workloads}, {state.history_since} to "
        f"{state.newest:%Y-%m-%d %H:%M} UTC, in slots of {duration_text(state.slot.total_seconds())}; "
        + (f"{outside:,} readings of outside series; " if outside else "")
        + f"{said['in quarantine']:,} rows in quarantine."
    )
    idle = [name for name in state.metrics if name not in METRICS]
    if idle:
        named = "[sources] metrics in persona.toml says what they are"
        console.print(f"Kept, but used by no model: {', '.join(idle)} ({named}).", markup=False)


@click.command()
@at_option
def replan(at: datetime | None) -> None:
    """From raw to plan in one run; learns personas first when there is no catalog yet."""
    project = find_project()
    plan_now(project, at=at, console=err)


@click.command()
@at_option
def refit(at: datetime | None) -> None:
    """Learn personas and models anew, then plan with them."""
    project = find_project()
    plan_now(project, at=at, console=err, refit=True)


def plan_now(project: Project, *, at: datetime | None, console: Console, refit: bool = False) -> Moment:
    """Runs ``replan``, or ``refit`` when asked or when there is no catalog; says from which instant."""
    from resources.frames import FrameStore
    from resources.project import ProjectState, state_path

    project.settings()  # its faults first
    state = ProjectState.load(state_path(project))
    moment = resolve_now(
        at, datetime.now(UTC), state.newest if state else None, state.slot if state else timedelta(minutes=15)
    )
    if state and moment.at.date() < state.history_since:
        raise InputError(
            f"There is no sample before {moment.at:%Y-%m-%d %H:%M} UTC: the first is of {state.history_since}, so give "
            "a later --at."
        )
    console.print(moment.sentence, soft_wrap=True)
    first = not FrameStore(project.frames).has("forecasts/combination")
    job = "refit" if refit or first else "replan"
    day = partition_of(moment.at, state.history_since if state else moment.at.date())
    run_job(
        project,
        job,
        at=moment.at,
        tags=partition_range(day, day),
        console=console,
        title="Learn and plan" if job == "refit" else "Replan",
    )
    for sentence in unplanned(project):
        console.print(sentence, soft_wrap=True)
    console.print("Done: `persona plan` shows the plan, `persona personas` what was learned.")
    return moment


def unplanned(project: Project) -> list[str]:
    """One sentence for each target that the newest plan lacks; the others are planned all the same."""
    from resources.project import ProjectResource
    from resources.targets import configured_targets

    resource = ProjectResource(home=str(project.home))
    planned = set(resource.frames.read("capacity/plan", name="plan")["target"])
    pools = resource.workloads()["pool"].unique().sort().to_list()
    return [
        f"Target {target.name} is not planned: "
        + (
            "it had no demand when units were last sized, so run `persona refit` when it has some."
            if target.pool in pools
            else f"no workload is in its pool {target.pool!r}, the pools are {', '.join(pools[:8])}."
        )
        for target in configured_targets(resource)
        if target.name not in planned
    ]


def partition_of(at: datetime, history_since: date) -> str:
    """The daily partition of an instant, not before the first."""
    return max(at.date(), history_since).isoformat()


def catch_up(project: Project, console: Console) -> None:
    """What ``up`` starts with: held rows whose time has come, then one replan. Says so when there is nothing."""
    from persona_platform.automation.demonstration import release
    from resources.project import ProjectState, state_path

    state = ProjectState.load(state_path(project))
    if state is None:
        console.print("No samples yet: `persona ingest PATH` in another terminal; the UI starts anyway.")
        return
    if project.settings().project.environment == "demonstration":
        release(project.home, datetime.now(UTC))
    plan_now(project, at=None, console=console)


__all__ = ["catch_up", "expand", "ingest", "ingest_files", "plan_now", "refit", "replan"]
