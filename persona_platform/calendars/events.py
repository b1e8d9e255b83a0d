"""Events from CSV files, the one entry point for every kind of calendar file, and what comes next.

CSV: ``kind, name, starts_at, ends_at, zone``. A time is ISO: a wall time in ``zone``, or an instant when it
carries an offset; a date alone is midnight. Ends are exclusive. Without an end (or with an end equal to the
start) an entry that starts on a date lasts that day, and one that starts at a time lasts :data:`MOMENT`.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta
from pathlib import Path

import polars as pl

from persona_platform.calendars.ical import MOMENT, read_ical
from persona_platform.calendars.zones import check_zone, utc_to_wall, wall_to_utc
from persona_platform.errors import InputError
from persona_platform.frames import EVENTS, conform, empty

__all__ = ["MOMENT", "events_from_series", "read_events", "read_events_csv", "read_ical", "tidy_events", "upcoming"]

_ISO = r"^(\d{4}-\d{2}-\d{2})(?:[T ](\d{2}:\d{2})(:\d{2}(?:[.,]\d{1,9})?)?\s*(Z|z|[+-]\d{2}(?::?\d{2})?)?)?$"


def read_events(paths: Iterable[str | Path], start: datetime, end: datetime) -> pl.DataFrame:
    """EVENTS of every file (``.csv``; ``.ics``, ``.ical``) that overlap [start, end), sorted, each once.

    Raises :class:`InputError` for a file that is neither, cannot be read, or has an entry that breaks its
    contract.
    """
    frames = [empty(EVENTS)]
    for path in map(Path, paths):
        match path.suffix.lower():
            case ".csv":
                frames.append(read_events_csv(path))
            case ".ics" | ".ical":
                frames.append(read_ical(path, start, end))
            case suffix:
                raise InputError(f"{path} ends in '{suffix}'; a calendar is a .csv or an .ics file.")
    found = pl.concat(frames)
    return tidy_events(found.filter(pl.col("starts_at") < end, pl.col("ends_at") > start))


def read_events_csv(path: str | Path) -> pl.DataFrame:
    """EVENTS of one CSV file, all of them, sorted, each once; kinds in lower case.

    Raises :class:`InputError` naming file, row (1 is the first row of data) and fix.
    """
    rows = _csv_rows(Path(path))
    if rows.is_empty():
        return empty(EVENTS)
    _check_rows(rows, str(path))
    begins, ends = _parsed(rows["starts_at"]), _parsed(rows["ends_at"])
    _refuse(rows, begins["wall"].is_null(), str(path), "starts_at")
    _refuse(rows, ends["wall"].is_null() & (rows["ends_at"] != ""), str(path), "ends_at")

    starts_at = _instants(begins, rows["zone"])
    default = (
        pl.when(begins["dated"])
        .then(_instants(begins.with_columns(pl.col("wall").dt.offset_by("1d")), rows["zone"]))
        .otherwise(starts_at + MOMENT)
    )
    given = _instants(ends, rows["zone"])
    frame = rows.with_columns(starts_at.alias("starts_at"), given.alias("given"))
    late = frame.filter(pl.col("given") < pl.col("starts_at"))
    if late.height:
        raise InputError(
            f"{path}, row {late['row'][0]} ('{late['name'][0]}') ends before it starts; "
            "ends_at must be later than starts_at, or empty."
        )
    lasting = pl.when(pl.col("given") > pl.col("starts_at")).then("given").otherwise(default)
    return tidy_events(frame.with_columns(lasting.alias("ends_at")))


def tidy_events(events: pl.DataFrame) -> pl.DataFrame:
    """The events in the contract's form, each once, in an order that does not depend on the files'."""
    return conform(events, EVENTS, "The events").unique().sort("starts_at", "ends_at", "kind", "name", "zone")


def events_from_series(readings: pl.DataFrame, slot: timedelta) -> pl.DataFrame:
    """EVENTS that ``event:`` series tell of: while a reading is above 0 the event takes place.

    ``readings``: series, ts, value. A reading holds until the next of its series, a slot at most; readings that
    touch are one event. The kind is what stands after the prefix, in lower case.
    """
    each = readings.group_by("series", "ts").agg(pl.col("value").max()).sort("series", "ts")
    until = pl.min_horizontal(pl.col("ts").shift(-1).over("series"), pl.col("ts") + slot)
    held = each.with_columns(until=until).filter(pl.col("value") > 0)
    new = (pl.col("ts") != pl.col("until").shift(1).over("series")).fill_null(value=True)
    kind = pl.col("series").str.strip_prefix("event:").str.to_lowercase()
    return tidy_events(
        held.with_columns(event=new.cum_sum())
        .group_by("event", maintain_order=True)
        .agg(pl.col("series").first(), starts_at=pl.col("ts").min(), ends_at=pl.col("until").max())
        .with_columns(kind=kind, name=kind.str.replace_all("_", " "), zone=pl.lit("UTC"))
    )


def upcoming(events: pl.DataFrame, at: datetime, n: int = 10) -> pl.DataFrame:
    """The next ``n`` windows of EVENTS at ``at``, those under way first.

    Columns: kind, name, zone, starts_local, ends_local (in the zone of the event), starts_at, under_way.
    """
    ahead = events.filter(pl.col("ends_at") > at).sort("starts_at", "ends_at", "kind", "name").head(n)
    by_zone = [
        part.with_columns(
            utc_to_wall(part["starts_at"], zone).alias("starts_local"),
            utc_to_wall(part["ends_at"], zone).alias("ends_local"),
        )
        for (zone,), part in ahead.partition_by("zone", as_dict=True).items()
    ]
    wall = pl.Datetime("us")
    blank = ahead.clear().with_columns(pl.lit(None, wall).alias("starts_local"), pl.lit(None, wall).alias("ends_local"))
    return (
        pl.concat([blank, *by_zone])
        .sort("starts_at", "ends_at", "kind", "name")
        .select(
            "kind",
            "name",
            "zone",
            "starts_local",
            "ends_local",
            "starts_at",
            (pl.col("starts_at") <= at).alias("under_way"),
        )
    )


def _csv_rows(path: Path) -> pl.DataFrame:
    try:
        raw = pl.read_csv(path, infer_schema=False)
    except FileNotFoundError as fault:
        raise InputError(f"{path} does not exist; check the path of the calendar.") from fault
    except pl.exceptions.NoDataError:
        return pl.DataFrame()
    except (pl.exceptions.ComputeError, OSError) as fault:
        raise InputError(
            f"{path} cannot be read as CSV ({str(fault).splitlines()[0]}); "
            "save it as UTF-8 with commas between the fields."
        ) from fault
    raw = raw.rename({name: name.strip().strip("\ufeff").lower() for name in raw.columns})
    missing = [name for name in ("kind", "name", "starts_at", "zone") if name not in raw.columns]
    if missing:
        raise InputError(
            f"{path} lacks the column{'s' if len(missing) > 1 else ''} {', '.join(missing)}; "
            "a calendar has kind, name, starts_at, ends_at, zone."
        )
    if "ends_at" not in raw.columns:
        raw = raw.with_columns(pl.lit("").alias("ends_at"))
    rows = raw.select(pl.col(*EVENTS).fill_null("").str.strip_chars()).with_row_index("row", offset=1)
    rows = rows.filter(~pl.all_horizontal(pl.col(*EVENTS) == ""))
    return rows.with_columns(pl.col("kind").str.to_lowercase())


def _check_rows(rows: pl.DataFrame, file: str) -> None:
    unnamed = rows.filter(pl.col("kind") == "")
    if unnamed.height:
        raise InputError(f"{file}, row {unnamed['row'][0]} has no kind; write what it is, for instance campaign.")
    for row, name, zone in rows.unique("zone", keep="first", maintain_order=True).select("row", "name", "zone").rows():
        check_zone(zone, f"{file}, row {row} ('{name}')")


def _refuse(rows: pl.DataFrame, broken: pl.Series, file: str, column: str) -> None:
    if broken.any():
        row = rows.filter(broken).row(0, named=True)
        found = f"'{row[column]}'" if row[column] else "nothing"
        raise InputError(
            f"{file}, row {row['row']} ('{row['name']}') has {found} as {column}; "
            "write an ISO time such as 2026-03-31T18:00, or a date."
        )


def _parsed(texts: pl.Series) -> pl.DataFrame:
    """Columns ``wall`` (naive; null when unparsable), ``offset`` (duration; null without one), ``dated``."""
    parts = texts.to_frame("text").select(
        pl.col("text").str.extract_groups(_ISO).struct.rename_fields(["date", "minute", "second", "offset"])
    )
    date, minute, second, offset = (pl.col("text").struct.field(f) for f in ("date", "minute", "second", "offset"))
    digits = offset.str.replace_all("[^0-9]", "").str.pad_end(4, "0")
    minutes = digits.str.head(2).cast(pl.Int64, strict=False) * 60 + digits.str.tail(2).cast(pl.Int64, strict=False)
    sign = pl.when(offset.str.starts_with("-")).then(-1).otherwise(1)
    zulu = offset.str.to_lowercase() == "z"
    time = pl.concat_str(minute.fill_null("00:00"), second.fill_null(":00").str.replace(",", ".", literal=True))
    return parts.select(
        pl.concat_str(date, pl.lit("T"), time)
        .str.to_datetime("%Y-%m-%dT%H:%M:%S%.f", time_unit="us", strict=False)
        .alias("wall"),
        pl.duration(minutes=pl.when(zulu).then(0).otherwise(sign * minutes)).alias("offset"),
        minute.is_null().fill_null(value=False).alias("dated"),
    )


def _instants(parsed: pl.DataFrame, zones: pl.Series) -> pl.Series:
    """Instants of parsed times: by their offset where they have one, else by their row's zone."""
    frame = parsed.with_columns(zones.alias("zone"), (pl.col("wall") - pl.col("offset")).alias("exact")).with_row_index(
        "i"
    )
    parts = [
        part.select("i", wall_to_utc(part["wall"], zone).alias("at"), pl.col("exact").dt.replace_time_zone("UTC"))
        for (zone,), part in frame.partition_by("zone", as_dict=True).items()
    ]
    return pl.concat(parts).sort("i").select(pl.coalesce("exact", "at").alias("at")).to_series()
