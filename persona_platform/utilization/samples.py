"""Rows of samples against the contract: what is kept, what is a covariate, what is quarantined."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

import polars as pl

from persona_platform.frames import COVARIATES, QUARANTINE, SAMPLES, TS, Schema
from persona_platform.utilization.instants import instants
from persona_platform.utilization.metrics import METRICS
from persona_platform.utilization.readers import REQUIRED, UNPARSED, sample_batches, sample_files, sample_rows
from persona_platform.utilization.slots import SHORTEST

__all__ = ["Checked", "check_samples", "sample_batches", "sample_files", "sample_rows"]

READINGS: Final = ("weather:", "grid:")
"""Outside series that are read as time passes: a value is known at ts plus the series' step."""

KNOWN_ALWAYS: Final = ("calendar:", "event:")
"""Outside series that are announced: known from :data:`ALWAYS` on, and allowed to lie in the future."""

ALWAYS: Final = datetime(1970, 1, 1, tzinfo=UTC)

FUTURE: Final = "in the future"
"""The one reason that time heals: a file with such rows is worth ingesting again."""

CLOCK_TOLERANCE: Final = SHORTEST
"""How far ahead of us the clock of a source may run: one step at the planning grid's finest."""

STORED_COVARIATES: Final[Schema] = {"row": pl.Int64, **COVARIATES}
STORED_SAMPLES: Final[Schema] = {"row": pl.Int64, **SAMPLES}


@dataclass(frozen=True)
class Checked:
    """A batch of rows, each in one of the four frames; ``row`` counts from the file's first row of data.

    Attributes:
        samples: SAMPLES and ``row``; metrics renamed; a missing dataset is ``dataset`` of the call.
        covariates: COVARIATES and ``row``. ``known_at`` is null for readings, whose step only the whole
        series
            tells, and :data:`ALWAYS` for the series of a calendar.
        event_rows: the same columns for ``event:`` series; a value above 0 says that the event takes place.
        quarantine: QUARANTINE.
    """

    samples: pl.DataFrame
    covariates: pl.DataFrame
    event_rows: pl.DataFrame
    quarantine: pl.DataFrame


def check_samples(
    raw: pl.DataFrame,
    *,
    file: str,
    first_row: int,
    now: datetime,
    dataset: str = "default",
    metric_map: Mapping[str, str] | None = None,
) -> Checked:
    """Check a batch as :func:`sample_batches` reads it: ``workload_id, ts, metric, value``, any types.

    A row is quarantined, with the first reason that holds, when its line has the wrong number of fields;
    its id or metric is missing; its ts cannot be read, lies before 1970, or after ``now`` by more than
    :data:`CLOCK_TOLERANCE` (calendars and events may); its value is missing, not a number, or not finite;
    or it is negative in a metric that a model uses. A percentage above 100 is kept: machines report it.
    """
    read = _read(raw, dataset, metric_map or {}).with_columns(
        pl.int_range(first_row, first_row + raw.height, dtype=pl.Int64).alias("row")
    )
    reasons = read.select(pl.coalesce(_reasons(now)).alias("reason"))["reason"]
    good = reasons.is_null()
    kept = read.filter(good) if not good.all() else read
    outside = kept["workload_id"].str.contains(":", literal=True)
    series = kept.filter(outside) if outside.any() else kept.clear()
    is_outside = _starts_with(READINGS + KNOWN_ALWAYS)
    covariates = series.filter(is_outside).select(
        "row",
        pl.col("workload_id").alias("series"),
        "metric",
        "ts",
        "value",
        pl.when(_starts_with(KNOWN_ALWAYS)).then(pl.lit(ALWAYS, TS)).alias("known_at"),
    )
    from_event = pl.col("series").str.starts_with("event:")
    return Checked(
        samples=(kept.filter(~is_outside) if series.height else kept).select(list(STORED_SAMPLES)),
        covariates=covariates.filter(~from_event),
        event_rows=covariates.filter(from_event),
        quarantine=_quarantine(raw, reasons, file, first_row),
    )


def _starts_with(prefixes: tuple[str, ...]) -> pl.Expr:
    return pl.any_horizontal(pl.col("workload_id").str.starts_with(prefix) for prefix in prefixes)


def _read(raw: pl.DataFrame, dataset: str, metric_map: Mapping[str, str]) -> pl.DataFrame:
    """The columns as what they mean, null where unreadable; ``given`` says that there was a value."""
    metric = pl.col("metric").cast(pl.String).str.strip_chars()
    given = pl.col("value").is_not_null()
    value = pl.col("value").cast(pl.Float64, strict=False)
    if raw.schema["value"] == pl.String:
        text = pl.col("value").str.strip_chars()
        given, value = given & (text != ""), text.cast(pl.Float64, strict=False)
    named = pl.col("dataset").cast(pl.String).str.strip_chars() if "dataset" in raw.columns else pl.lit(None)
    return raw.select(
        pl.col("workload_id").cast(pl.String).str.strip_chars(),
        instants(raw["ts"]).alias("ts"),
        metric.replace(dict(metric_map)) if metric_map else metric,
        value,
        pl.coalesce(pl.when(named != "").then(named), pl.lit(dataset)).cast(pl.String).alias("dataset"),
        given.alias("given"),
        pl.col("ts").is_not_null().alias("stamped"),
        (pl.col(UNPARSED).is_not_null() if UNPARSED in raw.columns else pl.lit(value=False)).alias("torn"),
    )


def _reasons(now: datetime) -> list[pl.Expr]:
    """One expression a reason, in the order in which they are told; null where it does not hold."""
    number, ts = pl.col("value"), pl.col("ts")
    announced = _starts_with(KNOWN_ALWAYS)
    latest = pl.lit(now.astimezone(UTC) + CLOCK_TOLERANCE, TS)
    holds = {
        "wrong number of fields": pl.col("torn"),
        "no workload_id": pl.col("workload_id").is_null() | (pl.col("workload_id") == ""),
        "workload_id is not UTF-8": pl.col("workload_id").str.contains("\ufffd", literal=True),
        "no metric": pl.col("metric").is_null() | (pl.col("metric") == ""),
        "no timestamp": ~pl.col("stamped"),
        "timestamp cannot be read": ts.is_null(),
        "timestamp before 1970": ts < pl.lit(ALWAYS, TS),
        FUTURE: (ts > latest) & ~announced,
        "no value": ~pl.col("given"),
        "value is not a number": number.is_null() | number.is_nan(),
        "value is not finite": number.is_infinite(),
        "negative": (number < 0) & pl.col("metric").is_in(list(METRICS)),
    }
    return [pl.when(condition).then(pl.lit(reason)) for reason, condition in holds.items()]


def _quarantine(raw: pl.DataFrame, reasons: pl.Series, file: str, first_row: int) -> pl.DataFrame:
    at = reasons.is_not_null().arg_true()
    rows = raw[at] if len(at) else raw.clear()
    shown = [name for name in (*REQUIRED, "dataset") if name in raw.columns]
    content = pl.struct(pl.col(name).cast(pl.String) for name in shown).struct.json_encode()
    if UNPARSED in raw.columns:
        torn = pl.struct(pl.col(UNPARSED).alias("line")).struct.json_encode()
        content = pl.when(pl.col(UNPARSED).is_not_null()).then(torn).otherwise(content)
    return rows.select(
        pl.lit(file).alias("file"),
        (at.cast(pl.Int64) + first_row).alias("row"),
        reasons.gather(at).alias("reason"),
        content.alias("content"),
    ).select(pl.col(name).cast(dtype) for name, dtype in QUARANTINE.items())
