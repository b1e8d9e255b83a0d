"""Timestamps as they come (ISO 8601 with or without a zone, epoch numbers, dates) read as UTC instants."""

import polars as pl

from persona_platform.frames import TS

_ISO = (
    r"^(?P<date>\d{4}-\d{2}-\d{2})"
    r"(?:[Tt ](?P<minute>\d{2}:\d{2})(?::(?P<second>\d{2})(?:[.,](?P<fraction>\d{1,9}))?)?"
    r"\s?(?P<zone>[Zz]|UTC|[+-]\d{2}(?::?\d{2})?)?)?$"
)
_NUMBER = r"^\d+(\.\d+)?$"

# Magnitudes that can only be one unit: each spans 1973 to 2286, and the gaps between them are left unread.
_EPOCHS = ((1e8, 1e10, 1e6), (1e11, 1e13, 1e3), (1e14, 1e16, 1.0), (1e17, 1e19, 1e-3))


def instants(column: pl.Series) -> pl.Series:
    """The column as ``Datetime("us", "UTC")``; null where it cannot be read.

    Without a zone a timestamp is UTC. A number is seconds, milliseconds, microseconds or nanoseconds since
    1970, whichever its magnitude allows. Each different value is read once.
    """
    dtype = column.dtype
    if isinstance(dtype, pl.Datetime):
        zoned = column.dt.replace_time_zone("UTC") if dtype.time_zone is None else column
        return zoned.dt.convert_time_zone("UTC").cast(TS)
    if dtype == pl.Date:
        return column.cast(pl.Datetime("us")).dt.replace_time_zone("UTC")
    if dtype.is_integer() or dtype.is_decimal():
        # Microseconds of today fit a Float64 exactly (1.8e15 < 2 ** 53).
        return column.to_frame("x").select(_epoch(pl.col("x").cast(pl.Float64)).alias(column.name))[column.name]
    if dtype.is_float():
        return column.to_frame("x").select(_epoch(pl.col("x")).alias(column.name))[column.name]
    if dtype in (pl.String, pl.Categorical):
        return _texts(column.cast(pl.String))
    return pl.Series(column.name, [None] * len(column), dtype=TS)


def _texts(column: pl.Series) -> pl.Series:
    found = column.to_frame("text")
    read = (
        found.unique()
        .with_columns(pl.col("text").str.strip_chars().alias("bare"))
        .with_columns(pl.col("bare").str.extract_groups(_ISO).alias("iso"))
        .with_columns(
            pl.when(pl.col("bare").str.contains(_NUMBER))
            .then(_epoch(pl.col("bare").cast(pl.Float64, strict=False)))
            .otherwise(_iso())
            .alias(column.name)
        )
        .select("text", column.name)
    )
    return found.join(read, on="text", how="left", maintain_order="left", nulls_equal=True)[column.name]


def _epoch(number: pl.Expr) -> pl.Expr:
    micros = pl.coalesce(
        pl.when((number >= low) & (number < high)).then(number * factor) for low, high, factor in _EPOCHS
    )
    return micros.round().cast(pl.Int64).cast(pl.Datetime("us")).dt.replace_time_zone("UTC")


def _iso() -> pl.Expr:
    part = pl.col("iso").struct.field
    second = part("second").fill_null("00")
    wall = pl.concat_str(part("date"), pl.lit("T"), part("minute").fill_null("00:00"), pl.lit(":"), second)
    fraction = part("fraction").fill_null("0").str.pad_end(6, "0").str.head(6).cast(pl.Int64)
    zone = part("zone").fill_null("Z")
    hours = zone.str.extract(r"^[+-](\d{2})").cast(pl.Int64).fill_null(0)
    minutes = zone.str.extract(r"^[+-]\d{2}:?(\d{2})$").cast(pl.Int64).fill_null(0)
    sign = pl.when(zone.str.starts_with("-")).then(-1).otherwise(1)
    return (
        wall.str.to_datetime("%Y-%m-%dT%H:%M:%S", time_unit="us", strict=False)
        + pl.duration(microseconds=fraction, time_unit="us")
        - pl.duration(minutes=sign * (60 * hours + minutes), time_unit="us")
    ).dt.replace_time_zone("UTC")
