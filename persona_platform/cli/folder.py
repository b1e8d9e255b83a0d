"""Commands about the project folder: ``init``, ``check``, and ``fleet``, which generates data to try things on."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import click

from persona_platform.cli.options import Duration, Instant, err, out
from persona_platform.errors import ConfigError
from persona_platform.settings import FILE_NAME, Project, find_project

TEMPLATE: Final = """\
# Persona Platform. Every key is optional unless it says otherwise; `persona check` shows every fault at once.

[project]
name = "{name}"            # required
timezone = "{timezone}"             # IANA zone of workloads that name none
# slot = "15m"               # planning interval; default: the data's median step, at least 15 minutes

[sources]
# samples = ["samples/*.parquet"]   # read again at every replan: workload_id, ts, metric, value (Parquet or CSV)
# workloads = "workloads.csv"       # workload_id, pool, team, tier, az, timezone, storage_class
# metrics = {{ my_cpu = "cpu_cores" }}  # your metric's name to ours

[calendars]
# files = ["events.csv", "calendar.ics"]
# holidays = ["US", "DE-BE"]        # countries, or countries and subdivisions

# [storage]                  # for many hosts: docs/storage.md
# postgres_env = "PERSONA_DATABASE_URL"   # variable that holds postgresql://USER:PASSWORD@HOST/DATABASE
# personas = "postgres"
# dagster = "postgres"

[limits]                     # of every target; a target's own [targets.NAME.limits] go first
mode = "observe"             # observe, propose or act
# budget_day_total = 200.0   # money a day over all targets

# Without targets, each pool is a simulated target in observe.
# [targets.web]
# pool = "web"
# provisioner = "simulated"
# unit = {{ amounts = {{ cpu_cores = 4, mem_bytes = 17179869184 }}, price_per_hour = 0.19 }}
# limits = {{ mode = "propose", min = 1, max = 40 }}
"""


@click.command()
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path), default=".")
@click.option("--timezone", default="UTC", show_default=True, help="Zone of workloads that name none.")
def init(folder: Path, timezone: str) -> None:
    """Make a project folder: a commented persona.toml and the state folder."""
    project = Project(folder.resolve())
    if project.config.exists():
        raise ConfigError(f"{project.config} is there already: edit it, or choose another folder.")
    folder.mkdir(parents=True, exist_ok=True)
    project.config.write_text(TEMPLATE.format(name=project.home.name, timezone=timezone), encoding="utf-8")
    prepare_state(project)
    out.print(f"Wrote {project.config}. Next: persona ingest PATH, then persona replan.")


def prepare_state(project: Project) -> None:
    """The state folder, ignored by git as a whole."""
    from resources.instance import prepare_instance

    project.settings()
    project.state.mkdir(exist_ok=True)
    (project.state / ".gitignore").write_text("*\n", encoding="utf-8")
    prepare_instance(project)


@click.command()
def check() -> None:
    """Check persona.toml, the sources, the calendars and the targets; show every fault at once."""
    from persona_platform.cli.checks import faults

    project = find_project()
    found = faults(project)
    for sentence in found:
        err.print(sentence, soft_wrap=True)
    if found:
        raise ConfigError(f"{len(found)} {'fault' if len(found) == 1 else 'faults'} in {project.config}.")
    out.print(f"{project.config} is sound.")


@click.command()
@click.option(
    "--out", "folder", type=click.Path(file_okay=False, path_type=Path), required=True, help="Where to write."
)
@click.option("--seed", default=0, show_default=True)
@click.option("--workloads", default=60, show_default=True, type=click.IntRange(1))
@click.option("--days", default=28, show_default=True, type=click.IntRange(1))
@click.option("--end", type=Instant(), default=None, help="End of the data, exclusive; default: today 00:00 UTC.")
@click.option("--step", type=Duration(), default="15m", show_default=True, help="Interval between readings.")
def fleet(folder: Path, seed: int, workloads: int, days: int, end: datetime | None, step: timedelta) -> None:
    """Generate a fleet with known truth: samples, workloads file, events, calendar, truth."""
    from persona_platform.fleet import FleetSpec, write

    last = end or datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    spec = FleetSpec(seed=seed, workloads=workloads, start=last - timedelta(days=days), end=last, step=step)
    with err.status(f"Generating {workloads} workloads over {days} days"):
        write(spec, folder)
    out.print(f"Wrote {folder}: samples/, workloads.csv, events.csv, calendar.ics, truth/.")


__all__ = ["FILE_NAME", "check", "fleet", "init", "prepare_state"]
