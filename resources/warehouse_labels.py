"""Workloads and calendars in the warehouse: replaced as a whole, and the days that a change makes stale."""

from datetime import date, timedelta

import duckdb
import polars as pl

from persona_platform.frames import CALENDAR_DAYS, EVENTS, WORKLOADS, conform
from persona_platform.utilization.workloads import with_defaults

ONE_DAY = timedelta(days=1)


def next_seq(con: duckdb.DuckDBPyConnection) -> int:
    """The number of the change that the open transaction makes."""
    con.execute("update raw.state set seq = seq + 1")
    return int(con.execute("select seq from raw.state").fetchall()[0][0])


def refresh_workloads(con: duckdb.DuckDBPyConnection, *, timezone: str, seq: int) -> bool:
    """Labels and defaults of every workload labelled or seen; whether anything changed.

    A zone more or fewer makes every day stale: the calendar per slot has rows for each zone.
    """
    before = con.sql("from raw.workloads order by workload_id").pl()
    labels, seen = con.sql("from raw.workload_labels").pl(), con.sql("from raw.workloads_seen").pl()
    after = with_defaults(labels, seen, timezone=timezone)
    if after.equals(before):
        return False
    _replace(con, "workloads", after, seq)
    if set(after["timezone"]) != set(before["timezone"]):
        con.execute("update raw.days set changed = ?", [seq])
    return True


def put_labels(con: duckdb.DuckDBPyConnection, labels: pl.DataFrame, *, timezone: str) -> bool:
    """Replace the labels of workloads (WORKLOADS, nulls allowed); whether anything changed."""
    held = con.sql("from raw.workload_labels order by workload_id").pl()
    labels = labels.sort("workload_id")
    seq = next_seq(con)
    if not labels.equals(held):
        _replace(con, "workload_labels", labels, seq)
    changed = refresh_workloads(con, timezone=timezone, seq=seq)
    return changed or not labels.equals(held)


def put_calendars(con: duckdb.DuckDBPyConnection, events: pl.DataFrame, days: pl.DataFrame) -> bool:
    """Replace events and calendar days; whether anything changed. Only the days that changed become stale."""
    seq = next_seq(con)
    dates: set[date] = set()
    changed = False
    span = con.execute("select min(day), max(day) from raw.days").fetchall()[0]
    for name, schema, frame in (("calendar_events", EVENTS, events), ("calendar_days", CALENDAR_DAYS, days)):
        after = conform(frame, schema, f"The {name.replace('_', ' ')}").unique().sort(list(schema))
        before = conform(con.sql(f"from raw.{name}").pl(), schema, name).sort(list(schema))
        if after.equals(before):
            continue
        changed = True
        _replace(con, name, after, seq)
        differing = [
            one.join(other, on=list(schema), how="anti", nulls_equal=True)
            for one, other in ((before, after), (after, before))
        ]
        dates |= _dates(pl.concat(differing), *span)
    if dates:
        con.register("dates", pl.DataFrame({"day": sorted(dates)}))
        con.execute("update raw.days set changed = ? where day in (select day from dates)", [seq])
        con.unregister("dates")
    return changed


def _dates(rows: pl.DataFrame, first: date | None, last: date | None) -> set[date]:
    """UTC days that changed rows touch: a local date lies within a day of it, an event may be long."""
    if first is None or last is None or not rows.height:
        return set()
    if "date" in rows.columns:
        low, high = pl.col("date") - ONE_DAY, pl.col("date") + ONE_DAY
    else:
        low, high = pl.col("starts_at").dt.date(), pl.col("ends_at").dt.date()
    spans = (
        rows.select(low.clip(first, last + ONE_DAY).alias("low"), high.clip(first - ONE_DAY, last).alias("high"))
        .filter(pl.col("low") <= pl.col("high"))
        .unique()
    )
    return set(spans.select(pl.date_ranges("low", "high").explode().unique()).to_series().to_list())


def _replace(con: duckdb.DuckDBPyConnection, name: str, frame: pl.DataFrame, seq: int) -> None:
    con.execute(f"delete from raw.{name}")
    con.register("replacement", frame)
    con.execute(f"insert into raw.{name} by name from replacement")
    con.unregister("replacement")
    con.execute(
        "insert into raw.versions values (?, ?, ?) "
        "on conflict (name) do update set rows = excluded.rows, seq = excluded.seq",
        [name, frame.height, seq],
    )


def held_workloads(con: duckdb.DuckDBPyConnection) -> pl.DataFrame:
    """WORKLOADS, sorted by workload."""
    return conform(con.sql("from raw.workloads order by workload_id").pl(), WORKLOADS, "The workloads held")
