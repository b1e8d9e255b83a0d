"""The demonstration's own job: rows of the days to come are released as their time comes."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import dagster as dg

from resources.project import ProjectResource

RELEASED: Final = "samples"
STAMP: Final = "%Y%m%dT%H%M%S"
BEGINNING: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dg.op
def release_rows(context: dg.OpExecutionContext, project: ProjectResource) -> None:
    """Moves the held rows whose interval is over into the folder that ``[sources]`` names."""
    now = project.clock(context)
    rows = release(project.project.home, now)
    context.log.info(f"Released {rows} rows up to {now:%Y-%m-%d %H:%M} UTC.")


def release(home: Path, now: datetime) -> int:
    """Writes the rows that became due since the last release as one more file of samples; returns how many.

    The file's name says up to when it holds rows, so running this twice releases nothing twice.
    """
    from persona_platform.fleet import held_rows

    before = sorted((home / RELEASED).glob("released-*.parquet"))
    since = datetime.strptime(before[-1].stem, f"released-{STAMP}").replace(tzinfo=UTC) if before else BEGINNING
    if not (home / "held").is_dir() or now <= since:
        return 0
    rows = held_rows(home, since, now)
    if rows.height:
        name = f"released-{now.astimezone(UTC):{STAMP}}.parquet"
        scratch = home / RELEASED / f".{name}.partial"
        rows.write_parquet(scratch)
        scratch.replace(home / RELEASED / name)
    return rows.height


@dg.job(name="release", executor_def=dg.in_process_executor)
def release_job() -> None:
    """Demonstration only: lets the fleet's time pass."""
    release_rows()
