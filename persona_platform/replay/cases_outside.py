"""What came along with the samples from outside: covariates with when they are known, and events."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

import polars as pl

from persona_platform.calendars.events import events_from_series, read_events, tidy_events
from persona_platform.frames import COVARIATES, EVENTS, conform

SINGLE: Final = timedelta(hours=1)
"""The step of an outside series with one reading; the longest that an event told by a single sample lasts."""


def covariates_of(read: pl.DataFrame, start: datetime, end: datetime) -> pl.DataFrame:
    """COVARIATES in [start, end): a reading is known a step of its series after its ts, a calendar always.

    ``read``: COVARIATES, sorted, ``known_at`` null for readings. The rule of the warehouse's ``stg_covariates``.
    """
    known = pl.coalesce("known_at", pl.col("ts") + _steps())
    found = read.with_columns(known_at=known).filter(pl.col("ts") >= start, pl.col("ts") < end)
    return conform(found, COVARIATES, "The covariates")


def events_of(
    files: Sequence[Path], read: pl.DataFrame, start: datetime, end: datetime, slot: timedelta
) -> pl.DataFrame:
    """EVENTS in [start, end) of calendar files and of ``event:`` series.

    ``read``: COVARIATES of the series, sorted. As live planning has it, a value above 0 is an event twice over:
    while readings above 0 follow each other, a slot at most each (``events_from_series``), and for a step of its
    series from each, an hour at most (the warehouse's ``stg_calendar_events``).
    """
    moments = (
        read.with_columns(ends_at=pl.col("ts") + pl.min_horizontal(_steps(), pl.lit(SINGLE)))
        .filter(pl.col("value") > 0)
        .select(
            kind=pl.col("series").str.strip_prefix("event:").str.to_lowercase(),
            name="metric",
            starts_at="ts",
            ends_at="ends_at",
            zone=pl.lit("UTC"),
        )
    )
    told = pl.concat([events_from_series(read, slot), conform(moments, EVENTS, "The events told by samples")])
    near = told.filter(pl.col("starts_at") < end, pl.col("ends_at") > start)
    return tidy_events(pl.concat([read_events(files, start, end), near]))


def _steps() -> pl.Expr:
    """The median step of each row's series."""
    series = ("series", "metric")
    return pl.col("ts").diff().over(series).median().over(series).fill_null(SINGLE)
