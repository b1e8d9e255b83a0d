"""The planning location: raw to plan, learning and prediction. It never reads inventory and holds no credentials."""

from datetime import date, timedelta
from pathlib import Path
from typing import Any, Final

import dagster as dg

from assets import capacity, checks, feedback, forecasts, outlook, personas
from assets.raw import raw_assets
from assets.warehouse import DBT_PROJECT, MANIFEST, warehouse_assets
from persona_platform.automation.demonstration import release_job
from persona_platform.automation.jobs import planning_jobs
from persona_platform.automation.schedules import planning_schedules
from persona_platform.automation.sensors import activity_monitor
from persona_platform.errors import ConfigError
from persona_platform.locations import home_if_any
from persona_platform.settings import Project
from resources.dbt import installed_dbt
from resources.frames import FramesIOManager, FrameStore
from resources.project import ProjectResource, ProjectState, state_path

BEFORE_ANY_INGEST: Final = date(2026, 1, 1)
"""Where daily partitions start while no project folder, or no sample, says otherwise."""


def build_defs(home: Path | None, *, at: str = "", history_since: date | None = None) -> dg.Definitions:
    """The location over one project folder; without one it loads, and its assets say what is missing.

    ``at`` fixes the instant that every run plans from; ``history_since`` is the first daily partition where an
    ingest is about to move it.
    """
    if not MANIFEST.is_file():
        raise ConfigError(f"{MANIFEST} is missing: run `make install`, or `dbt parse` in {DBT_PROJECT}.")
    state = ProjectState.load(state_path(Project(home))) if home else None
    settings = Project(home).settings() if home else None
    slot = state.slot if state else timedelta(minutes=15)
    jobs = {job.name: job for job in [*planning_jobs(), release_job]}
    return dg.Definitions(
        assets=[
            *raw_assets(history_since or (state.history_since if state else BEFORE_ANY_INGEST)),
            warehouse_assets(),
            *personas.default_assets,
            *outlook.default_assets,
            *forecasts.default_assets,
            *capacity.default_assets,
            *feedback.default_assets,
        ],
        asset_checks=checks.default_checks,
        jobs=list(jobs.values()),
        schedules=planning_schedules(settings.project.environment, slot, jobs) if settings else [],
        sensors=[activity_monitor] if home else [],
        resources=default_resources(home, at),
    )


def default_resources(home: Path | None, at: str) -> dict[str, Any]:
    """The resources over a project folder."""
    folder = str(home) if home else ""
    return {
        "project": ProjectResource(home=folder, at=at),
        "dbt": installed_dbt(DBT_PROJECT),
        "io_manager": FramesIOManager(FrameStore(Project(home or Path()).frames)),
    }


@dg.definitions
def defs() -> dg.Definitions:
    """What Dagster loads: the project of ``PERSONA_HOME`` or of the folder it was started in."""
    return build_defs(home_if_any())
