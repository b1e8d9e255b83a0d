"""What planning assets read: needs, workloads and calendar up to the origin, and nothing after it."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

import dagster as dg
import polars as pl

from persona_platform.capacity.planning import History
from persona_platform.errors import InputError
from persona_platform.personas.share import Share
from persona_platform.utilization.metrics import METRICS, Role
from persona_platform.utilization.needs import needs_per_slot
from resources.project import ProjectResource
from resources.warehouse import read_mart, scan_mart

SHARE: Final = 500
"""Workloads whose slots a refit holds at a time."""
MOVES: Final = "activity_per_slot"


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


@dataclass(frozen=True)
class LearningInputs:
    """What a refit learns from: shares of the fleet, read one after the other when they are asked for."""

    origin: datetime
    shares: Iterator[Share]
    workloads: pl.DataFrame
    calendar: pl.DataFrame
    slot: timedelta


def learning_inputs(project: ProjectResource, context: Any, most: int = SHARE) -> LearningInputs:
    """The look-back of the current run, by ``most`` workloads at a time.

    ``shares`` raise :class:`InputError` when nothing in it says what is needed.
    """
    moment = project.moment(context)
    since = moment.origin - project.settings().planning.lookback
    return LearningInputs(
        origin=moment.origin,
        shares=_shares(project, since, moment.origin, most),
        workloads=project.workloads(),
        calendar=read_mart(project.project.marts, "calendar_per_slot", since=since, until=moment.origin),
        slot=project.slot(),
    )


def _shares(project: ProjectResource, since: datetime, until: datetime, most: int) -> Iterator[Share]:
    marts = {name: scan_mart(project.project.marts, name, since, until) for name in ("usage_per_slot", MOVES)}
    named = pl.concat([mart.select("workload_id") for mart in marts.values()]).unique().collect(engine="streaming")
    ids = named["workload_id"].sort().to_list()
    read = False
    for first in range(0, len(ids), most):
        # Marts are sorted by workload within a day, so a range skips what is not of it.
        last = min(first + most, len(ids)) - 1
        these = pl.col("workload_id").is_between(pl.lit(ids[first]), pl.lit(ids[last]))
        usage, activity = (mart.filter(these).collect() for mart in marts.values())
        needs = needs_per_slot(usage, activity)
        if needs.height:
            read = True
            yield Share(needs, activity)
    if not read:
        raise InputError(_nothing_to_learn_from(project, since, until))


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
        raise InputError(_nothing_to_learn_from(project, since, moment.origin))
    return PlanningInputs(
        origin=moment.origin,
        history=History(
            needs=needs,
            workloads=project.workloads(),
            calendar=read_mart(marts, "calendar_per_slot", since=since, until=until),
            slot=slot,
        ),
    )


def _nothing_to_learn_from(project: ProjectResource, since: datetime, origin: datetime) -> str:
    """Where no reading of the look-back counts: all of them too old or too new, or of metrics that no model uses."""
    span = f"Between {since:%Y-%m-%d} and {origin:%Y-%m-%d %H:%M} UTC"
    state = project.state()
    held = state.metrics if state else ()
    if any(METRICS[name].role is not Role.LIMIT for name in held if name in METRICS):
        return f"{span} nothing was read: give another --at, or a longer [planning] lookback."
    unknown = next((name for name in held if name not in METRICS), "my_cpu")
    return (
        f"{span} no metric was read that says what a workload uses (there is {', '.join(held) or 'none'}): name one "
        f'in persona.toml, for instance [sources] metrics = {{ {unknown} = "cpu_cores" }}, and ingest the file again.'
    )


def horizon_slots(project: ProjectResource, slot: timedelta) -> int:
    """How many slots a prediction covers."""
    return max(1, int(project.settings().planning.horizon / slot))


def when(moment: datetime) -> dg.TimestampMetadataValue:
    """An instant as metadata."""
    return dg.MetadataValue.timestamp(moment)
