"""The workloads file: labels of workloads, and the defaults of those that have none."""

from difflib import get_close_matches
from pathlib import Path
from typing import Final
from zoneinfo import available_timezones

import polars as pl

from persona_platform.errors import InputError
from persona_platform.frames import WORKLOADS, empty

TIERS: Final = ("critical", "standard", "batch")
DEFAULT_POOL: Final = "default"
DEFAULT_TIER: Final = "standard"


def read_workloads_file(path: Path) -> pl.DataFrame:
    """WORKLOADS from a CSV or Parquet file; columns that it lacks, and empty cells, are null.

    Raises :class:`InputError` naming the file and the row when there is no workload_id, an id is named
    twice, a tier is not one of :data:`TIERS`, or a timezone is not an IANA one.
    """
    if not path.exists():
        raise InputError(f"There is no workloads file {path}; correct the path in persona.toml.")
    if path.stat().st_size == 0:
        return empty(WORKLOADS)
    try:
        parquet = path.suffix in (".parquet", ".pq")
        read = pl.read_parquet(path) if parquet else pl.read_csv(path, infer_schema=False)
    except (pl.exceptions.PolarsError, OSError) as fault:
        raise InputError(f"The workloads file {path} cannot be read: {fault}") from None
    return check_workloads(read, str(path))


def check_workloads(frame: pl.DataFrame, what: str) -> pl.DataFrame:
    """WORKLOADS from a frame with workload_id and any of the other columns; ``what`` names it in errors."""
    if "workload_id" not in frame.columns:
        raise InputError(
            f"{what} lacks the column workload_id: it has {', '.join(frame.columns) or 'none'}; expected "
            f"workload_id and any of {', '.join(list(WORKLOADS)[1:])}."
        )
    unknown = [name for name in frame.columns if name not in WORKLOADS]
    if unknown:
        near = get_close_matches(unknown[0], WORKLOADS, n=1)
        hint = f"did you mean '{near[0]}'?" if near else f"known are {', '.join(WORKLOADS)}."
        raise InputError(f"{what} has the column '{unknown[0]}', which is not a label; {hint}")
    text = [
        pl.col(name).cast(pl.String).str.strip_chars() if name in frame.columns else pl.lit(None, pl.String)
        for name in WORKLOADS
    ]
    labels = frame.select(e.alias(name) for e, name in zip(text, WORKLOADS, strict=True)).select(
        pl.when(pl.all() != "").then(pl.all())
    )
    _refuse(labels, pl.col("workload_id").is_null(), what, "has no workload_id; give it one or remove the row")
    _refuse(labels, pl.col("workload_id").is_duplicated(), what, "names a workload twice ({}); keep one row")
    tier = pl.col("tier").is_not_null() & ~pl.col("tier").is_in(TIERS)
    _refuse(labels, tier, what, "has the tier '{}'; expected " + ", ".join(TIERS), "tier")
    zone = pl.col("timezone").is_not_null() & ~pl.col("timezone").is_in(sorted(available_timezones()))
    _refuse(labels, zone, what, "has the timezone '{}'; expected an IANA name such as Europe/Berlin", "timezone")
    return labels


def _refuse(labels: pl.DataFrame, wrong: pl.Expr, what: str, says: str, shown: str = "workload_id") -> None:
    found = labels.with_row_index("row", offset=1).filter(wrong).head(1)
    if found.height:
        raise InputError(f"{what}, row {found['row'][0]}, {says.format(found[shown][0])}.")


def with_defaults(labels: pl.DataFrame, seen: pl.DataFrame, *, timezone: str) -> pl.DataFrame:
    """WORKLOADS of every workload that is labelled or seen, without a null pool, tier or timezone, sorted.

    ``seen``: workload_id, dataset of every workload that samples have. The pool defaults to the dataset,
    the tier to standard, the zone to ``timezone``.
    """
    return (
        labels.join(seen.select("workload_id", "dataset"), on="workload_id", how="full", coalesce=True)
        .with_columns(
            pl.coalesce("pool", "dataset", pl.lit(DEFAULT_POOL)).alias("pool"),
            pl.col("tier").fill_null(DEFAULT_TIER),
            pl.col("timezone").fill_null(timezone),
        )
        .select(list(WORKLOADS))
        .sort("workload_id")
    )
