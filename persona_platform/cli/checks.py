"""What ``persona check`` looks at, beyond the configuration's own shape: each fault one sentence with its fix."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import polars as pl

from persona_platform.errors import ConfigError, InputError, PersonaPlatformError
from persona_platform.settings import Project, Settings
from resources.frames import FrameStore
from resources.provisioners.configured import KNOWN


def faults(project: Project) -> list[str]:
    """Every fault of a project folder; empty when it is sound."""
    try:
        settings = project.settings()
    except ConfigError as fault:
        return str(fault).splitlines()
    return [*_sources(project, settings), *_calendars(project, settings), *_targets(project, settings)]


def _sources(project: Project, settings: Settings) -> Iterator[str]:
    from assets.raw import source_files
    from persona_platform.utilization.readers import sample_batches
    from persona_platform.utilization.workloads import read_workloads_file

    for pattern in settings.sources.samples:
        if not source_files(project, (pattern,)):
            yield f"{project.config}: sources.samples: {pattern!r} matches no file; correct it or remove it."
    for file in source_files(project, settings.sources.samples):
        try:
            next(iter(sample_batches(file, rows=1000)), None)
        except InputError as fault:
            yield str(fault)
    if settings.sources.workloads:
        try:
            read_workloads_file(project.home / settings.sources.workloads)
        except InputError as fault:
            yield str(fault)


def _calendars(project: Project, settings: Settings) -> Iterator[str]:
    from persona_platform.calendars.days import calendar_days
    from persona_platform.calendars.events import read_events

    today = datetime.now(UTC)
    for name in settings.calendars.files:
        try:
            read_events([project.home / name], today - timedelta(days=366), today + timedelta(days=366))
        except InputError as fault:
            yield str(fault)
    try:
        calendar_days(["UTC"], today.date(), today.date(), settings.calendars.holidays)
    except PersonaPlatformError as fault:
        yield f"{project.config}: calendars.holidays: {fault}"


def _targets(project: Project, settings: Settings) -> Iterator[str]:
    frames = FrameStore(project.frames)
    pools = set(frames.read("raw/workloads")["pool"]) if frames.has("raw/workloads") else None
    for target in settings.targets:
        if target.provisioner not in KNOWN:
            yield (
                f"{project.config}: targets.{target.name}.provisioner: there is no {target.provisioner!r}; "
                f"known are {', '.join(KNOWN)}."
            )
        if pools is not None and target.pool not in pools:
            yield (
                f"{project.config}: targets.{target.name}.pool: no workload is in pool {target.pool!r}; "
                f"the pools are {', '.join(sorted(pools))}."
            )
    if frames.has("capacity/units") and frames.has("personas/catalog"):
        yield from small_units(frames)


def small_units(frames: FrameStore) -> Iterator[str]:
    """A unit given in persona.toml that cannot hold the largest single need of the personas that it serves."""
    from persona_platform.personas.catalog import catalog_from_frames

    catalog = catalog_from_frames(frames.read_all("personas/catalog"))
    units = frames.read("capacity/units", name="units")
    targets = frames.read("capacity/units", name="targets")
    given = frames.read("capacity/units", name="configured")["target"]
    workloads = frames.read("raw/workloads").select("workload_id", "pool")
    members = pl.DataFrame(
        [
            {"workload_id": m.workload_id, "need": need, "persona": p.name, "amount": amount}
            for p in catalog.personas
            for m in p.members
            for size in p.requirement.sizes
            for need, amount in size.amounts.items()
        ],
        schema={"workload_id": pl.String, "need": pl.String, "persona": pl.String, "amount": pl.Float64},
    )
    largest = (
        members.join(workloads, on="workload_id")
        .join(targets.filter(pl.col("target").is_in(given.implode())), on="pool")
        .sort("amount")
        .group_by("target", "need")
        .last()
        .join(units.rename({"amount": "held"}), on=["target", "need"])
        .filter(pl.col("amount") > pl.col("held") * (1 + 1e-9))
        .sort("target", "need")
    )
    for row in largest.iter_rows(named=True):
        yield (
            f"targets.{row['target']}.unit holds {row['held']:g} {row['need']}, and persona {row['persona']!r} needs "
            f"{row['amount']:g} at once: make the unit at least that large."
        )
