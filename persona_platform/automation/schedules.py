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

REFIT_AT: Final = ["20 3 * * *"]
MINUTES_A_DAY: Final = 24 * 60


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


def every_slot(slot: timedelta, offset_minutes: int = 0) -> list[str]:
    """Cron strings that fire once at the start of each slot of a UTC day, the offset later.

    One string does where the slots of each hour, or the hours with a slot, are the same; slots of 45 or 90 minutes
    take several.
    """
    hours_at: dict[int, list[int]] = {}
    for start in range(0, MINUTES_A_DAY, max(1, int(slot.total_seconds() // 60))):
        hour, minute = divmod((start + offset_minutes) % MINUTES_A_DAY, 60)
        hours_at.setdefault(minute, []).append(hour)
    minutes_at: dict[str, list[int]] = {}
    for minute, hours in hours_at.items():
        named = "*" if len(hours) == 24 else ",".join(map(str, sorted(hours)))
        minutes_at.setdefault(named, []).append(minute)
    return [f"{','.join(map(str, sorted(minutes)))} {hours} * * *" for hours, minutes in minutes_at.items()]


def _schedule(job: Any, crons: list[str]) -> dg.ScheduleDefinition:
    name = f"{job.name}_schedule"

    @dg.schedule(
        name=name,
        job=job,
        cron_schedule=crons if len(crons) > 1 else crons[0],
        default_status=dg.DefaultScheduleStatus.RUNNING,
    )
    def tick(context: dg.ScheduleEvaluationContext) -> dg.RunRequest:
        day = context.scheduled_execution_time.strftime("%Y-%m-%d")
        partitioned = job.name in ("ingest", "replan", "refit")
        return dg.RunRequest(partition_key=day if partitioned else None)

    return tick
