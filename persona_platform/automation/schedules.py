"""Which schedules run in which environment. One that an environment does not name is absent, not stopped."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final

import dagster as dg

SCHEDULES: Final[Mapping[str, tuple[str, ...]]] = {
    "local": ("replan", "refit"),
    "demonstration": ("release", "replan", "refit"),
}
"""Environment of ``persona.toml`` to its schedules. ``replan`` reads the sources first, so ingest needs none."""

REFIT_AT: Final = "20 3 * * *"


def planning_schedules(environment: str, slot: timedelta, jobs: Mapping[str, Any]) -> list[dg.ScheduleDefinition]:
    """The schedules of an environment; raises KeyError for one that is not declared."""
    every = every_slot(slot)
    crons = {
        "release": every,
        "replan": every_slot(slot, offset_minutes=1),
        "refit": REFIT_AT,
        "ingest": every,
    }
    return [_schedule(jobs[name], crons[name]) for name in SCHEDULES[environment]]


def every_slot(slot: timedelta, offset_minutes: int = 0) -> str:
    """A cron string for the start of each slot; slots of an hour or more run hourly at most."""
    minutes = int(slot.total_seconds() // 60)
    if minutes >= 60:
        hours = max(1, minutes // 60)
        return f"{offset_minutes} {'*' if hours == 1 else f'*/{min(hours, 23)}'} * * *"
    return f"{offset_minutes}-59/{minutes} * * * *" if offset_minutes else f"*/{minutes} * * * *"


def _schedule(job: Any, cron: str) -> dg.ScheduleDefinition:
    name = f"{job.name}_schedule"

    @dg.schedule(name=name, job=job, cron_schedule=cron, default_status=dg.DefaultScheduleStatus.RUNNING)
    def tick(context: dg.ScheduleEvaluationContext) -> dg.RunRequest:
        day = context.scheduled_execution_time.strftime("%Y-%m-%d")
        partitioned = job.name in ("ingest", "replan", "refit")
        return dg.RunRequest(partition_key=day if partitioned else None)

    return tick
