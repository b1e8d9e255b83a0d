"""From sample files to the checked readings of one metric: bounded memory, nothing refused silently."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

import polars as pl

from persona_platform.errors import InputError
from persona_platform.frames import COVARIATES, TS
from persona_platform.replay.cases_metrics import Measure
from persona_platform.utilization.readers import sample_batches, sample_rows
from persona_platform.utilization.samples import KNOWN_ALWAYS, READINGS, check_samples

BATCH_ROWS: Final = 500_000
OUTSIDE: Final = (*READINGS, *KNOWN_ALWAYS)
TWICE: Final = "another value for a reading that was read already"
REPEATED: Final = "the same reading again"

Progress = Callable[[str, int, int], None]
"""Called with a file, its rows read so far, and its rows in all (0: not known)."""

_PAIR: Final = ("workload_id", "metric")
_ID: Final = pl.col("workload_id").str.strip_chars()
_METRIC: Final = pl.col("metric").str.strip_chars()


@dataclass(frozen=True)
class Readings:
    """What was read, each reading once.

    Attributes:
        values: workload_id (an Enum of the included ids), ts, value; sorted by them.
        limits: the same of what was allocated.
        covariates: COVARIATES; ``known_at`` is null for readings, whose step is not known here.
        events: the same columns, of ``event:`` series.
        datasets: workload_id, dataset.
        refused: how many rows were refused for which reason.
    """

    values: pl.DataFrame
    limits: pl.DataFrame
    covariates: pl.DataFrame
    events: pl.DataFrame
    datasets: pl.DataFrame
    refused: Mapping[str, int]


def contents(files: Sequence[Path]) -> pl.DataFrame:
    """``workload_id, metric, rows``: what the files hold, names as they are written; raises as reading does."""
    found = [pl.DataFrame(schema={"workload_id": pl.String, "metric": pl.String, "rows": pl.UInt32})]
    for path in files:
        next(iter(sample_batches(path, rows=1)), None)  # its columns are checked, with a sentence
        if sample_rows(path):
            found.append(_of_parquet(path))
        else:
            found += [_counted(batch.lazy()).collect() for _, batch in sample_batches(path, BATCH_ROWS)]
    return pl.concat(found).group_by(_PAIR).agg(pl.col("rows").sum()).sort(_PAIR)


def of_workloads(held: pl.DataFrame) -> pl.DataFrame:
    """The :func:`contents` of the workloads among them, names as they are meant."""
    named = held.select(_ID, _METRIC, "rows").filter(pl.col("workload_id") != "", pl.col("metric") != "")
    return named.filter(~_outside(pl.col("workload_id"))).group_by(_PAIR).agg(pl.col("rows").sum()).sort(_PAIR)


def _of_parquet(path: Path) -> pl.DataFrame:
    try:
        return _counted(pl.scan_parquet(path, glob=False)).collect(engine="streaming")
    except (pl.exceptions.PolarsError, OSError) as fault:
        raise InputError(f"{path} is damaged ({fault}); fetch it again.") from None


def _counted(rows: pl.LazyFrame) -> pl.LazyFrame:
    return rows.group_by(pl.col(_PAIR).cast(pl.String)).agg(pl.len().alias("rows"))


def _outside(name: pl.Expr) -> pl.Expr:
    return pl.any_horizontal(name.str.starts_with(prefix) for prefix in OUTSIDE)


def read_readings(
    files: Sequence[Path],
    held: pl.DataFrame,
    measure: Measure,
    workloads: Sequence[str],
    *,
    start: datetime | None,
    end: datetime | None,
    now: datetime,
    progress: Progress | None = None,
) -> Readings:
    """The readings of a measure (and of its limit) of the workloads, in [start, end), with all outside series.

    ``held``: the :func:`contents` of the files. Rows of other metrics and workloads are passed over as each batch is
    read. The rest goes through :func:`check_samples`; of two values for one reading the first one wins, in the order
    of the files.
    """
    # Under a need's name the checks know that it cannot be negative.
    name = measure.metric if measure.known else measure.need
    renamed = {} if measure.known else {measure.metric: name}
    ids = pl.Enum(list(workloads))
    pairs = _wanted(held, measure, workloads)
    parts: list[pl.DataFrame] = []
    outside: list[pl.DataFrame] = []
    datasets: list[pl.DataFrame] = []
    refused: Counter[str] = Counter()
    for path in files:
        read, rows = 0, sample_rows(path)
        stem = path.name.split(".", maxsplit=1)[0] or "default"
        for first, raw in sample_batches(path, BATCH_ROWS):
            checked = check_samples(
                _chosen(raw, pairs),
                file=str(path),
                first_row=first,
                now=now,
                dataset=stem,
                metric_map=renamed,
            )
            refused.update(dict(checked.quarantine.group_by("reason").len().iter_rows()))
            datasets.append(checked.samples.select("workload_id", "dataset").unique())
            kept = checked.samples.select(
                pl.col("workload_id").cast(ids), "ts", "value", is_limit=pl.col("metric") != name
            )
            parts.append(_between(kept, start, end))
            outside.append(pl.concat([checked.covariates, checked.event_rows]).drop("row"))
            read += raw.height
            if progress is not None:
                progress(str(path), read, rows)
    empty = pl.DataFrame(schema={"workload_id": ids, "ts": TS, "value": pl.Float64, "is_limit": pl.Boolean})
    whole = pl.concat([empty, *parts])
    parts.clear()
    values = _once(whole.filter(~pl.col("is_limit")).drop("is_limit"), ["workload_id", "ts"], refused)
    limits = _once(whole.filter("is_limit").drop("is_limit"), ["workload_id", "ts"], refused)
    series = _once(pl.concat([pl.DataFrame(schema=COVARIATES), *outside]), ["series", "metric", "ts"], refused)
    is_event = pl.col("series").str.starts_with("event:")
    seen = pl.concat([pl.DataFrame(schema={"workload_id": pl.String, "dataset": pl.String}), *datasets])
    return Readings(
        values=values,
        limits=limits,
        covariates=series.filter(~is_event),
        events=series.filter(is_event),
        datasets=seen.group_by("workload_id").agg(pl.col("dataset").min()).sort("workload_id"),
        refused=refused,
    )


def _wanted(held: pl.DataFrame, measure: Measure, workloads: Sequence[str]) -> pl.DataFrame:
    """Pairs, as they are written, of the measure, of outside series, and so broken that they may be either."""
    metrics = [measure.metric] if measure.limit is None else [measure.metric, measure.limit]
    asked = _METRIC.is_in(metrics) | _METRIC.is_null() | (_METRIC == "")
    mine = _ID.is_in(list(workloads)) | _ID.is_null() | (_ID == "")
    return held.filter((asked & mine) | _outside(_ID)).select(_PAIR)


def _chosen(raw: pl.DataFrame, pairs: pl.DataFrame) -> pl.DataFrame:
    """The rows of a batch that have one of the pairs; a torn line has none and is among them."""
    named = raw.with_columns(pl.col(_PAIR).cast(pl.String))
    return named.join(pairs, on=list(_PAIR), how="semi", nulls_equal=True, maintain_order="left")


def _between(rows: pl.DataFrame, start: datetime | None, end: datetime | None) -> pl.DataFrame:
    if start is not None:
        rows = rows.filter(pl.col("ts") >= pl.lit(start, TS))
    return rows if end is None else rows.filter(pl.col("ts") < pl.lit(end, TS))


def _once(rows: pl.DataFrame, keys: list[str], refused: Counter[str]) -> pl.DataFrame:
    """The first row of each key, sorted by it; the others are counted, by whether they say something else."""
    ordered = rows.sort(keys, maintain_order=True)
    new = ordered.select(pl.any_horizontal(pl.col(key) != pl.col(key).shift() for key in keys).fill_null(value=True))
    starts = new.to_series()
    if starts.all():
        return ordered
    kept = ordered.filter(starts)
    first = kept["value"].gather(starts.cum_sum().cast(pl.Int64) - 1)
    differing = int((ordered["value"] != first).sum())
    refused.update({TWICE: differing, REPEATED: ordered.height - kept.height - differing})
    return kept
