"""Group ``raw``: samples, covariates, workloads and calendars, from files into the warehouse.

What belongs here: calling the warehouse and reporting what it took in. What makes a row good or bad is
``persona_platform.utilization``'s; what an event is, ``persona_platform.calendars``'.
"""

from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import dagster as dg
import polars as pl
from pydantic import Field

from assets.metadata import DATA_TEAM, table
from persona_platform.errors import InputError
from persona_platform.settings import Project
from persona_platform.utilization.workloads import read_workloads_file
from resources.project import ProjectResource, ProjectState, state_path
from resources.warehouse import IngestReport, Warehouse

SAMPLES = dg.AssetKey(["raw", "utilization_samples"])
COVARIATES = dg.AssetKey(["raw", "covariates"])
WORKLOADS = dg.AssetKey(["raw", "workloads"])
CALENDAR_EVENTS = dg.AssetKey(["raw", "calendar_events"])

CALENDAR_AHEAD = timedelta(days=60)
"""How far past the newest sample calendar days are laid out: the longest horizon is 14 days."""


class IngestConfig(dg.Config):
    """What to read; without files, the sources of ``persona.toml``."""

    files: list[str] = Field(default_factory=list)
    replace: bool = False


def raw_assets(history_since: date) -> list[dg.AssetsDefinition]:
    """The group's assets; samples are partitioned by UTC day from the first day ever ingested."""
    days = dg.DailyPartitionsDefinition(start_date=history_since.isoformat(), end_offset=1)

    @dg.multi_asset(
        name="samples",
        specs=[
            dg.AssetSpec(
                SAMPLES,
                description="Every reading that kept the contract: workload, time, metric, value. Rows that "
                "broke it are in the quarantine table, with the reason.",
                partitions_def=days,
                group_name="raw",
                owners=[DATA_TEAM],
                kinds={"duckdb"},
            ),
            dg.AssetSpec(
                COVARIATES,
                description="Outside series such as weather, each value with the instant it became known.",
                partitions_def=days,
                group_name="raw",
                owners=[DATA_TEAM],
                kinds={"duckdb"},
            ),
        ],
        backfill_policy=dg.BackfillPolicy.single_run(),
        pool="warehouse",
    )
    def samples(
        context: dg.AssetExecutionContext, config: IngestConfig, project: ProjectResource
    ) -> Iterator[dg.MaterializeResult]:
        settings = project.settings()
        warehouse = project_warehouse(project)
        given = [Path(f) for f in config.files] or source_files(project.project, settings.sources.samples)
        report = warehouse.ingest_samples(
            given,
            now=project.clock(context),
            replace=config.replace,
            metric_map=settings.sources.metrics,
            progress=lambda file, done, of: context.log.info(f"{file}: {done} of {of or 'many'} rows"),
        )
        state = warehouse.state()
        if state.slot is None or state.history_since is None or state.newest is None:
            raise InputError(_nothing_usable(given))
        ProjectState(state.slot, state.history_since, state.newest, state.metrics).save(state_path(project.project))
        yield dg.MaterializeResult(
            asset_key=SAMPLES,
            data_version=dg.DataVersion(warehouse.digest("utilization_samples")),
            metadata={
                "dagster/row_count": state.samples,
                "workloads": state.workloads,
                "in quarantine": state.quarantined,
                "files": table(report_frame(report)),
                "report": dg.MetadataValue.json(report_frame(report).to_dicts()),
            },
        )
        by_day = warehouse.samples_by_day()
        yield dg.MaterializeResult(
            asset_key=COVARIATES,
            data_version=dg.DataVersion(warehouse.digest("covariates")),
            metadata={"dagster/row_count": int(by_day["covariates"].sum())},
        )

    return [samples, workloads, calendar_events]


@dg.asset(
    key=WORKLOADS,
    deps=[SAMPLES],
    group_name="raw",
    owners=[DATA_TEAM],
    kinds={"duckdb", "parquet"},
    pool="warehouse",
    description="The things measured, with pool, team, tier, zone of time and storage class. A workload that no "
    "file names gets its data set as pool and the standard tier.",
)
def workloads(project: ProjectResource) -> dg.MaterializeResult[pl.DataFrame]:
    """Workloads from the file and from the samples."""
    settings = project.settings()
    warehouse = project_warehouse(project)
    given = settings.sources.workloads
    if given is not None:
        warehouse.put_workloads(read_workloads_file(project.project.home / given))
    frame = warehouse.workloads()
    return dg.MaterializeResult(
        value=frame,
        data_version=dg.DataVersion(warehouse.digest("workloads")),
        metadata={"pools": table(frame.group_by("pool", "tier").len("workloads").sort("pool", "tier"))},
    )


@dg.asset(
    key=CALENDAR_EVENTS,
    deps=[WORKLOADS],
    group_name="raw",
    owners=[DATA_TEAM],
    kinds={"duckdb", "parquet", "ical"},
    pool="warehouse",
    description="Events from CSV and iCalendar files and from event: series, and the day types of every zone in use: "
    "working day, weekend, public holiday, month begin and end.",
)
def calendar_events(project: ProjectResource) -> dg.MaterializeResult[dict[str, pl.DataFrame]]:
    """Events and days, from the first sample to :data:`CALENDAR_AHEAD` past the newest; events told by series too."""
    from persona_platform.calendars.days import calendar_days
    from persona_platform.calendars.events import events_from_series, read_events, tidy_events, upcoming

    settings = project.settings()
    state = project.state()
    if state is None:
        raise InputError("There are no samples yet: run `persona ingest PATH` first.")
    first, last = state.history_since - timedelta(days=1), (state.newest + CALENDAR_AHEAD).date()
    zones = sorted(project.workloads()["timezone"].unique())
    files = [project.project.home / name for name in settings.calendars.files]
    events = read_events(files, datetime.combine(first, datetime.min.time(), UTC), state.newest + CALENDAR_AHEAD)
    days = calendar_days(zones, first, last, settings.calendars.holidays)
    warehouse = project_warehouse(project)
    told = events_from_series(warehouse.event_readings(), state.slot)
    events = tidy_events(pl.concat([events, told]))
    warehouse.put_calendar(events, days)
    return dg.MaterializeResult(
        value={"events": events, "days": days},
        data_version=dg.DataVersion(warehouse.digest("calendar_events")),
        metadata={"zones": len(zones), "next events": table(upcoming(events, state.newest, 10))},
    )


def source_files(project: Project, patterns: Sequence[str]) -> list[Path]:
    """The files that ``[sources] samples`` names, patterns expanded, sorted by name."""
    found: list[Path] = []
    for pattern in patterns:
        matches = sorted(project.home.glob(pattern)) if not Path(pattern).is_absolute() else [Path(pattern)]
        found += [m for m in matches if m.is_file()]
    return found


def project_warehouse(project: ProjectResource) -> Warehouse:
    """The warehouse of a project folder, with its slot and default zone."""
    settings = project.settings()
    folder = project.project
    return Warehouse(folder.warehouse, folder.marts, slot=settings.project.slot, timezone=settings.project.timezone)


def report_frame(report: IngestReport) -> pl.DataFrame:
    """One row a file: rows read, new, equal to what was held, quarantined, and why."""
    return pl.DataFrame(
        [
            {
                "file": Path(f.file).name,
                "rows": f.rows,
                "new": f.new + f.replaced,
                "unchanged": f.unchanged,
                "quarantined": sum(f.quarantined.values()),
                "why": "; ".join(f"{reason} ({count})" for reason, count in f.quarantined.items())
                or "; ".join(["ingested before"] if f.already_ingested else f.notes),
                "days": len(f.days),
            }
            for f in report.files
        ],
        schema={
            "file": pl.String,
            "rows": pl.Int64,
            "new": pl.Int64,
            "unchanged": pl.Int64,
            "quarantined": pl.Int64,
            "why": pl.String,
            "days": pl.Int64,
        },
    )


def _nothing_usable(files: Sequence[Path]) -> str:
    if not files:
        return "There are no samples yet: run `persona ingest PATH`, or name files under [sources] in persona.toml."
    named = ", ".join(f.name for f in files[:5])
    return f"No series in {named} has two readings, so there is nothing to plan from: ingest more data."
