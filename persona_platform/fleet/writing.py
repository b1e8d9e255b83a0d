"""A fleet as the files that a user would have, with the truth apart from them.

Files are written under a scratch name and renamed, so that a reader never sees half of one.
"""

import json
from collections.abc import Callable, Iterable
from dataclasses import asdict
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

import polars as pl

from persona_platform.fleet.generating import CHUNK, fleet_chunks
from persona_platform.fleet.happenings import IN_CALENDAR
from persona_platform.fleet.spec import Fleet, FleetSpec
from persona_platform.fleet.weather import HOURLY

TIME_FORMAT: Final = "%Y-%m-%dT%H:%M:%SZ"
_HELD: Final = "held"


def write(fleet: Fleet | FleetSpec, out: Path, *, until: datetime | None = None) -> None:
    """Write a fleet under ``out``; of a spec, chunk by chunk, so that memory stays bounded.

    ``samples/part-*.parquet``, ``samples_late.parquet``, ``samples_with_faults.csv``, ``workloads.csv``,
    ``events.csv``, ``calendar.ics``, and ``truth/``. Readings not over by ``until`` (ts + step > until) go to
    ``held/part-*.parquet`` instead: the days to come, late rows among them. See :func:`held_rows`.
    """
    if isinstance(fleet, FleetSpec):
        spec, chunks = fleet, fleet_chunks(fleet)
    else:
        spec, chunks = fleet.spec, _split(fleet)
    late, workloads, activations = [], [], []
    number, last = 0, None
    for number, chunk in enumerate(chunks, start=1):
        part, over = f"part-{number - 1:05d}.parquet", _over(spec, until)
        _parquet(chunk.samples.filter(over), out / "samples" / part)
        if until is not None:
            held = pl.concat([chunk.samples, chunk.late]).filter(~over)
            _parquet(held.sort("ts", "workload_id", "metric"), out / _HELD / part)
        _parquet(chunk.truth.membership, out / "truth" / "membership" / part)
        late.append(chunk.late.filter(over))
        workloads.append(chunk.workloads)
        activations.append(chunk.truth.activations)
        if number == 1:
            _once(chunk, out)
        last = chunk
    assert last is not None
    _parquet(pl.concat(late), out / "samples_late.parquet")
    _csv(pl.concat(workloads), out / "workloads.csv")
    _parquet(pl.concat(activations), out / "truth" / "activations.parquet")
    for folder, parts in (
        ("samples", number),
        (_HELD, number if until is not None else 0),
        ("truth/membership", number),
    ):
        _without_stale_parts(out / folder, parts)


def held_rows(out: Path, since: datetime, until: datetime, *, step: timedelta = timedelta(minutes=15)) -> pl.DataFrame:
    """The held samples that became over after ``since`` and by ``until``: what a schedule releases next."""
    over_at = _over_at(step)
    return pl.scan_parquet(out / _HELD / "part-*.parquet").filter(over_at > since, over_at <= until).collect()


def _over_at(step: timedelta) -> pl.Expr:
    """When a reading is over: the weather is read hourly."""
    weather = pl.col("workload_id").str.starts_with("weather:")
    return pl.col("ts") + pl.when(weather).then(pl.lit(max(step, HOURLY))).otherwise(pl.lit(step))


def _over(spec: FleetSpec, until: datetime | None) -> pl.Expr:
    return pl.lit(value=True) if until is None else _over_at(spec.step) <= until


def _split(fleet: Fleet) -> Iterable[Fleet]:
    """A fleet in memory, in the chunks that it would have been generated in."""
    ids = fleet.workloads["workload_id"]
    for first in range(0, max(len(ids), 1), CHUNK):
        here = pl.col("workload_id").is_in(ids[first : first + CHUNK].to_list())
        weather = pl.col("workload_id").str.starts_with("weather:") if first == 0 else pl.lit(value=False)
        yield Fleet(
            fleet.spec,
            fleet.samples.filter(here | weather),
            fleet.late.filter(here),
            fleet.bad,
            fleet.workloads.filter(here),
            fleet.events,
            fleet.ical,
            type(fleet.truth)(
                fleet.truth.membership.filter(here),
                fleet.truth.activations.filter(here),
                fleet.truth.personas,
                fleet.truth.uplifts,
            ),
        )


def _once(fleet: Fleet, out: Path) -> None:
    """What does not grow with the number of workloads."""
    _csv(fleet.bad.drop("fault"), out / "samples_with_faults.csv")
    _csv(fleet.bad, out / "truth" / "faults.csv")
    _csv(fleet.events.filter(~pl.col("kind").is_in(IN_CALENDAR)), out / "events.csv")
    _renamed(out / "calendar.ics", lambda path: path.write_bytes(fleet.ical.encode()))
    _csv(fleet.truth.personas, out / "truth" / "personas.csv")
    _csv(fleet.truth.uplifts, out / "truth" / "uplifts.csv")
    text = json.dumps(asdict(fleet.spec), indent=2, default=str) + "\n"
    _renamed(out / "truth" / "spec.json", lambda path: path.write_text(text))


def _parquet(frame: pl.DataFrame, path: Path) -> None:
    _renamed(path, lambda scratch: frame.write_parquet(scratch, compression="zstd", compression_level=3))


def _csv(frame: pl.DataFrame, path: Path) -> None:
    _renamed(path, lambda scratch: frame.write_csv(scratch, datetime_format=TIME_FORMAT))


def _renamed(path: Path, write_to: Callable[[Path], object]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_name(f"{path.name}.scratch")
    write_to(scratch)
    scratch.replace(path)


def _without_stale_parts(folder: Path, parts: int) -> None:
    """Parts of an earlier and larger fleet would be read as if they belonged to this one."""
    for path in folder.glob("part-*.parquet"):
        if int(path.stem.removeprefix("part-")) >= parts:
            path.unlink()
