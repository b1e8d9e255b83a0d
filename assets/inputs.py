"""What planning assets read: needs, workloads and calendar up to the origin, and nothing after it."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import dagster as dg
import polars as pl

from persona_platform.capacity.planning import History
from persona_platform.errors import InputError
from persona_platform.utilization.needs import needs_per_slot
from resources.project import ProjectResource
from resources.warehouse import read_mart


@dataclass(frozen=True)
class PlanningInputs:
    """Everything that learning and predicting start from, cut at the origin."""

    origin: datetime
    history: History
    """The needs of the look-back; the calendar reaches to the end of the horizon, since it is always known."""

    @property
    def slot(self) -> timedelta:
        """The planning interval."""
        return self.history.slot

    @property
    def needs(self) -> pl.DataFrame:
        """Needs of every workload and slot read."""
        return self.history.needs

    @property
    def workloads(self) -> pl.DataFrame:
        """WORKLOADS."""
        return self.history.workloads

    @property
    def calendar(self) -> pl.DataFrame:
        """CALENDAR of every zone in use."""
        return self.history.calendar


def planning_inputs(project: ProjectResource, context: Any) -> PlanningInputs:
    """The inputs of the current run. Raises :class:`InputError` when no metric that a model uses was read."""
    settings = project.settings()
    moment = project.moment(context)
    slot = project.slot()
    since = moment.origin - settings.planning.lookback
    until = moment.origin + settings.planning.horizon + slot
    marts = project.project.marts
    usage = read_mart(marts, "usage_per_slot", since=since, until=moment.origin)
    activity = read_mart(marts, "activity_per_slot", since=since, until=moment.origin)
    needs = needs_per_slot(usage, activity)
    if needs.height == 0:
        raise InputError(
            f"Between {since:%Y-%m-%d} and {moment.origin:%Y-%m-%d %H:%M} no metric was read that a model uses: "
            'map one in persona.toml, for instance [sources.metrics] my_cpu = "cpu_cores", and ingest again with '
            "--replace."
        )
    return PlanningInputs(
        origin=moment.origin,
        history=History(
            needs=needs,
            workloads=project.workloads(),
            calendar=read_mart(marts, "calendar_per_slot", since=since, until=until),
            slot=slot,
        ),
    )


def horizon_slots(project: ProjectResource, slot: timedelta) -> int:
    """How many slots a prediction covers."""
    return max(1, int(project.settings().planning.horizon / slot))


def when(moment: datetime) -> dg.TimestampMetadataValue:
    """An instant as metadata."""
    return dg.MetadataValue.timestamp(moment)
