"""The user's own warehouse as a case for replay: configured targets, units and limits, marts as planning reads them."""

import hashlib
import math
from datetime import datetime, timedelta
from fnmatch import fnmatchcase

import polars as pl

from persona_platform.capacity.limits import digest, limits_frame
from persona_platform.capacity.planning import History, Sizing
from persona_platform.capacity.targets import freeze_units, targets_frame
from persona_platform.errors import InputError
from persona_platform.frames import COVARIATES, empty
from persona_platform.replay.cases import AHEAD, Case
from persona_platform.settings import Project
from persona_platform.utilization.needs import needs_per_slot
from resources.project import ProjectResource
from resources.targets import configured_targets
from resources.warehouse import read_mart


def own_case(
    project: Project,
    *,
    include: tuple[str, ...] = (),
    start: datetime | None = None,
    end: datetime | None = None,
    train_share: float = 0.6,
) -> tuple[Case, pl.DataFrame]:
    """The case of a project's warehouse, and LIMITS of its targets.

    Args:
        project: whose marts are read.
        include: glob patterns on names of targets; none: all.
        start: only slots from it on; None: all.
        end: only slots before it; None: all.
        train_share: share of the time span that is learned from and not scored.

    Raises :class:`InputError` when nothing was ingested, or nothing is left to replay.
    """
    resource = ProjectResource(home=str(project.home))
    if resource.state() is None:
        raise InputError("Nothing was ingested here yet: persona ingest PATH first, or give files with --data PATH.")
    slot, marts = resource.slot(), project.marts
    usage = read_mart(marts, "usage_per_slot", since=start, until=end)
    needs = needs_per_slot(usage, read_mart(marts, "activity_per_slot", since=start, until=end))
    if needs.is_empty() and start is None and end is None:
        raise InputError("What was ingested is not in slots yet: persona replan first, or give files with --data PATH.")
    if needs.is_empty():
        raise InputError("No metric that says what a workload uses was read in that time; widen --from and --to.")
    first, last = needs["slot"].min(), needs["slot"].max()
    assert isinstance(first, datetime)
    assert isinstance(last, datetime)
    until = last + slot
    scored_from = first + math.ceil((until - first) / slot * train_share - 1e-9) * slot
    targets = [t for t in configured_targets(resource) if not include or any(fnmatchcase(t.name, p) for p in include)]
    workloads = resource.workloads()
    history = History(needs, workloads, read_mart(marts, "calendar_per_slot", since=first, until=until + AHEAD), slot)
    units, reasons = freeze_units(targets, needs.filter(pl.col("slot") < scored_from), workloads, slot)
    sized = targets_frame(targets, slot).join(units, on="target", how="semi")
    if sized.is_empty():
        raise InputError(" ".join(["No target is left to replay.", *reasons]))
    sizing = Sizing(sized, units)
    limits = limits_frame([target for target in targets if target.name in set(sized["target"])])
    # Digests read no lists: the kinds of a slot's events as one text.
    marked = history.calendar.with_columns(pl.col("events").list.join(","))
    frames = (needs, workloads, marked, sized, units)
    named = hashlib.sha256("|".join([scored_from.isoformat(), *map(digest, frames)]).encode()).hexdigest()[:32]
    case = Case(
        history=history,
        sizing=sizing,
        observed=sizing.observed(history),
        covariates=empty(COVARIATES),
        scored_from=scored_from,
        notes=(*reasons, *_told(slot, first, scored_from, until)),
        digest=named,
        metric="",
    )
    return case, limits


def _told(slot: timedelta, first: datetime, scored_from: datetime, until: datetime) -> tuple[str, ...]:
    times = [f"{at:%Y-%m-%d %H:%M}" for at in (first, scored_from, until)]
    return (
        f"A slot is {int(slot.total_seconds() // 60)} minutes, as the warehouse keeps them.",
        f"Learned from {times[0]} to {times[1]} UTC, scored until {times[2]}.",
    )
