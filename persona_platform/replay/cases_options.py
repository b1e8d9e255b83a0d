"""What a user may ask of a replay of sample files, and what cannot be asked."""

import math
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final, Literal

from persona_platform.calendars.zones import check_zone
from persona_platform.capacity.targets import Prices
from persona_platform.errors import InputError
from persona_platform.utilization.slots import check_slot

GROUPS: Final = ("workload", "dataset", "pool")


@dataclass(frozen=True)
class CaseOptions:
    """What of the files is replayed, and how.

    Attributes:
        metric: None takes the first that was read, in a fixed order of preference.
        include: glob patterns on workload ids; none: all.
        group_by: what becomes one target: each workload, dataset, or pool of the workloads file.
        unit: amount of the metric in one unit of every target; None: a twentieth of each target's mean demand in
            the training part.
        slot: None takes the data's own step.
        start: only whole slots that begin at or after it are read; None: no bound.
        end: only whole slots that end at or before it are read; None: no bound.
        train_share: share of the time span that is learned from and not scored.
        timezone: IANA zone of workloads whose labels name none.
        countries: whose public holidays count.
        workloads: a file of labels.
        events: CSV and iCalendar files.
        prices: of an unserved and an idle unit-hour, the same for every target; None: by tier.
    """

    metric: str | None = None
    include: tuple[str, ...] = ()
    group_by: Literal["workload", "dataset", "pool"] = "workload"
    unit: float | None = None
    slot: timedelta | None = None
    start: datetime | None = None
    end: datetime | None = None
    train_share: float = 0.6
    timezone: str = "UTC"
    countries: tuple[str, ...] = ()
    workloads: Path | None = None
    events: tuple[Path, ...] = ()
    prices: Prices | None = None


def checked(options: CaseOptions) -> CaseOptions:
    """The options with their bounds in UTC.

    Raises :class:`InputError` for what contradicts itself, :class:`ConfigError` for a slot that does not divide a
    day.
    """
    for name, at in (("--from", options.start), ("--to", options.end)):
        if at is not None and at.tzinfo is None:
            raise InputError(f"{name} {at} has no zone; give an instant in UTC, for instance 2026-03-01T00:00Z.")
    if options.start is not None and options.end is not None and options.start >= options.end:
        raise InputError(f"--from {options.start} is not before --to {options.end}; give an earlier --from.")
    if options.group_by not in GROUPS:
        raise InputError(f"Targets cannot be grouped by '{options.group_by}'; choose one of {', '.join(GROUPS)}.")
    if options.unit is not None and not (math.isfinite(options.unit) and options.unit > 0):
        raise InputError(f"A unit of {options.unit} holds nothing; give an amount above 0, or auto.")
    if not 0 < options.train_share < 1:
        raise InputError(f"A training share of {options.train_share} cannot be; give one between 0 and 1.")
    if options.slot is not None:
        check_slot(options.slot)
    check_zone(options.timezone, "--timezone")
    if options.workloads is not None and not options.workloads.exists():
        raise InputError(f"There is no workloads file {options.workloads}; correct its path.")
    return replace(
        options,
        start=options.start and options.start.astimezone(UTC),
        end=options.end and options.end.astimezone(UTC),
    )
