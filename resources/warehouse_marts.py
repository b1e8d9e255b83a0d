"""The marts as Python reads them: Parquet files in a folder a day, never through the warehouse's lock."""

from datetime import UTC, date, datetime
from pathlib import Path
from typing import Final

import polars as pl

from persona_platform.errors import InputError
from persona_platform.frames import ACTIVITY, CALENDAR, COVARIATES, TS, USAGE, Schema

MARTS: Final[dict[str, tuple[Schema, str]]] = {
    "usage_per_slot": (USAGE, "slot"),
    "activity_per_slot": (ACTIVITY, "slot"),
    "calendar_per_slot": (CALENDAR, "slot"),
    "covariates": (COVARIATES, "ts"),
}
"""Name of each mart, its contract, and the column whose UTC day names its folder."""


def scan_mart(marts: Path, name: str, since: datetime | None = None, until: datetime | None = None) -> pl.LazyFrame:
    """A mart as a lazy frame with its contract's columns, rows with ``since`` <= time < ``until``.

    Only the folders of those days are opened. Without a file the frame is empty. Raises :class:`InputError`
    for a name that is no mart.
    """
    if name not in MARTS:
        raise InputError(f"There is no mart '{name}'; there are {', '.join(MARTS)}.")
    schema, time = MARTS[name]
    parts = [
        path
        for path in sorted((marts / name).glob("day=*/part.parquet"))
        if _overlaps(date.fromisoformat(path.parent.name.removeprefix("day=")), since, until)
    ]
    if not parts:
        return pl.LazyFrame(schema=schema)
    frame = pl.scan_parquet(parts, hive_partitioning=False)
    if since is not None:
        frame = frame.filter(pl.col(time) >= pl.lit(since.astimezone(UTC), TS))
    if until is not None:
        frame = frame.filter(pl.col(time) < pl.lit(until.astimezone(UTC), TS))
    return frame.select(pl.col(column).cast(dtype) for column, dtype in schema.items())


def read_mart(marts: Path, name: str, since: datetime | None = None, until: datetime | None = None) -> pl.DataFrame:
    """:func:`scan_mart`, collected: the whole mart, or a stretch of it, in memory."""
    return scan_mart(marts, name, since, until).collect()


def _overlaps(day: date, since: datetime | None, until: datetime | None) -> bool:
    early = since is not None and day < since.astimezone(UTC).date()
    late = until is not None and day > until.astimezone(UTC).date()
    return not early and not late
