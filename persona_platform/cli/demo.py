"""``persona demo``: the whole line on a generated fleet, from samples to capacity on a simulated cluster.

The fleet ends at the current slot. Everything is first done as of an hour ago, so that what was provisioned then
can be judged now; the project folder it leaves is one that ``persona up`` goes on with.
"""

import shutil
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import click
import polars as pl
from rich.console import Console

from persona_platform.cli.act import tick
from persona_platform.cli.folder import prepare_state
from persona_platform.cli.options import Instant, err, out
from persona_platform.cli.pipeline import ingest_files, plan_now
from persona_platform.cli.runs import run_job
from persona_platform.cli.story import tell
from persona_platform.errors import ConfigError
from persona_platform.now import floor_slot
from persona_platform.settings import Project

SLOT: Final = timedelta(minutes=15)
AHEAD: Final = timedelta(days=3)
"""Rows of the days to come that the fleet holds back, for ``persona up``."""
JUDGED_AFTER: Final = timedelta(hours=1)
TICK: Final = timedelta(minutes=5)
REPLAYED: Final = timedelta(days=2)

CONFIG: Final = """\
# The demonstration: a generated fleet, a simulated cluster, and a platform that acts on it.

[project]
name = "demonstration"
environment = "demonstration"   # its schedules: release, replan, refit
seed = {seed}

[sources]
samples = ["samples/*.parquet", "samples_late.parquet", "samples_with_faults.csv"]
workloads = "workloads.csv"

[calendars]
files = ["events.csv", "calendar.ics"]
holidays = ["US", "DE", "IN"]

[planning]
lookback = "35d"
paths = 128

[limits]                        # acts, but on the simulated cluster only
mode = "act"
min = 1
max = 200
budget_day_total = 5000.0

[simulated]
lead_time_median = "180s"       # nodes take a median of three minutes, one in fifty never comes
lead_time_sigma = 0.35
failure_rate = 0.02

# One target for each pool of the fleet; a unit is a twentieth of the pool's mean demand.
{targets}"""

TARGET: Final = """\
[targets.{pool}]
unit = {{ price_per_hour = {price} }}

"""


@dataclass(frozen=True)
class Instants:
    """When the demonstration takes place: it acts at ``first`` and judges at ``last``."""

    start: datetime
    first: datetime
    last: datetime

    @classmethod
    def of(cls, now: datetime, days: int) -> "Instants":
        """Instants of a demonstration that ends in the slot of ``now``."""
        last = floor_slot(now, SLOT)
        midnight = last.replace(hour=0, minute=0, second=0, microsecond=0)
        return cls(midnight - timedelta(days=days), last - JUDGED_AFTER, last)


@click.command()
@click.option("--out", "folder", type=click.Path(file_okay=False, path_type=Path), default=".demo", show_default=True)
@click.option("--seed", default=7, show_default=True)
@click.option("--workloads", default=60, show_default=True, type=click.IntRange(12))
@click.option("--days", default=28, show_default=True, type=click.IntRange(10), help="Days of history.")
@click.option("--now", type=Instant(), default=None, help="End the fleet here instead of at the current slot.")
def demo(folder: Path, seed: int, workloads: int, days: int, now: datetime | None) -> None:
    """History in, personas, forecast, plan, a simulated cluster provisioned ahead of demand, a page to look at."""
    instants = Instants.of(now or datetime.now(UTC), days)
    project = fresh_folder(folder)
    generate(project, instants, seed=seed, workloads=workloads, console=err)
    run(project, instants, err)
    tell(project, instants.first, out)


def fresh_folder(folder: Path) -> Project:
    """An empty folder; an older demonstration in it is removed, anything else is left and refused."""
    project = Project(folder.resolve())
    if folder.exists() and any(folder.iterdir()):
        if not project.config.is_file() or project.settings().project.environment != "demonstration":
            raise ConfigError(f"{folder} is not empty and not a demonstration: choose another --out.")
        shutil.rmtree(folder)
    folder.mkdir(parents=True, exist_ok=True)
    return project


def generate(project: Project, instants: Instants, *, seed: int, workloads: int, console: Console) -> None:
    """Writes the fleet and the configuration that goes with it."""
    from persona_platform.fleet import FleetSpec, write

    with console.status(f"Generating {workloads} workloads"):
        spec = FleetSpec(start=instants.start, end=instants.last + AHEAD, seed=seed, workloads=workloads)
        write(spec, project.home, until=instants.first)
    pools = pl.read_csv(project.home / "workloads.csv")["pool"].unique().sort()
    targets = "".join(TARGET.format(pool=pool, price=0.80 if "gpu" in pool else 0.20) for pool in pools)
    project.config.write_text(CONFIG.format(seed=seed, targets=targets), encoding="utf-8")
    prepare_state(project)
    console.print(f"Generated {workloads} workloads in {len(pools)} pools under {project.home}")


def run(project: Project, instants: Instants, console: Console) -> None:
    """Ingest, learn, replay, plan, provision, let an hour pass, and judge."""
    from persona_platform.automation.demonstration import release
    from persona_platform.cli.comparison import replay_last_days

    sources = [
        project.home / "samples",
        project.home / "samples_late.parquet",
        project.home / "samples_with_faults.csv",
    ]
    ingest_files(project, sources, at=instants.first, console=console)
    # learned from what was known two days before: the replay below then sees nothing that it is judged on
    plan_now(project, at=instants.first - REPLAYED, console=console, refit=True)
    replay_last_days(project, instants.first, REPLAYED, console)
    plan_now(project, at=instants.first, console=console)
    live_through(project, instants.first, console)
    walk_hour(project, instants, console)
    release(project.home, instants.last)
    plan_now(project, at=instants.last, console=console)
    observe(project, instants.last, console, "Judge")
    tick(project, instants.last, console)


def observe(project: Project, at: datetime, console: Console, title: str | None) -> None:
    """Runs the job that takes the inventory and judges the actions so far."""
    run_job(project, "observe_capacity", location="provisioning", at=at, console=console, title=title)


def walk_hour(project: Project, instants: Instants, console: Console) -> None:
    """Observes and lets the sensor tick every five minutes of the hour, as the daemon would, and runs what it asks for.

    The plan is the one made at the hour's start; between ticks the cluster boots what was asked of it.
    """
    at = instants.first
    while at < instants.last:
        observe(project, at, console, "Observe" if at == instants.first else None)
        tick(project, at, console, quiet=True)
        at += TICK
    console.print(f"The sensor ticked from {instants.first:%H:%M} to {instants.last:%H:%M} UTC of the fleet's time.")


def live_through(project: Project, until: datetime, console: Console) -> None:
    """Lets the simulated cluster's own autoscaler live through the last two hours of demand."""
    from resources.frames import FrameStore
    from resources.provisioners.configured import configured_provisioner

    observed = FrameStore(project.frames).read("forecasts/demand", name="observed")
    recent = observed.filter(pl.col("slot") >= until - timedelta(hours=2)).drop_nulls("demand")
    cluster = configured_provisioner(project, project.settings(), "simulated")
    for (slot,), rows in recent.group_by("slot", maintain_order=True):
        at = slot + SLOT  # pyright: ignore[reportOperatorIssue]
        if at < until:
            cluster.observe(rows["target"].to_list(), dict(rows.select("target", "demand").iter_rows()), at)
    console.print("The simulated cluster's own autoscaler has followed the last two hours of demand.")
