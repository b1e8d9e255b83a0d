"""Opening the warehouse file: a bounded wait for its lock, and the tables that it must have.

DuckDB lets one process write, or several read, at a time. Every use is open, use, close; who waits too long
learns which process holds the file.
"""

import re
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import duckdb

from persona_platform.errors import PersonaPlatformError
from persona_platform.utilization.metrics import metrics_frame

MEMORY_LIMIT: Final = "1GiB"
"""DuckDB's share; a batch of half a million rows in polars takes up to 300 MB beside it."""

THREADS: Final = 2
_FIRST_PAUSE: Final = 0.02
_LONGEST_PAUSE: Final = 0.5

LAYOUT: Final = 1
"""Version of the tables below; a file of another one is refused rather than misread."""

_TABLES: Final = f"""
create schema if not exists raw;
create table if not exists raw.utilization_samples (
    workload_id varchar not null, ts timestamptz not null, metric varchar not null, value double not null,
    dataset varchar not null, seq bigint not null);
create table if not exists raw.covariates (
    series varchar not null, ts timestamptz not null, metric varchar not null, value double not null,
    known_at timestamptz, seq bigint not null);
create table if not exists raw.workloads (
    workload_id varchar not null, pool varchar not null, team varchar, tier varchar not null, az varchar,
    timezone varchar not null, storage_class varchar);
create table if not exists raw.workload_labels (
    workload_id varchar not null, pool varchar, team varchar, tier varchar, az varchar, timezone varchar,
    storage_class varchar);
create table if not exists raw.workloads_seen (workload_id varchar not null, dataset varchar not null);
create table if not exists raw.calendar_events (
    kind varchar, name varchar, starts_at timestamptz, ends_at timestamptz, zone varchar);
create table if not exists raw.calendar_days (
    zone varchar, date date, day_type varchar, holiday varchar, is_month_begin boolean, is_month_end
    boolean);
create table if not exists raw.metrics (metric varchar, role varchar, need varchar, factor double);
create table if not exists raw.series_days (
    workload_id varchar not null, metric varchar not null, day date not null, readings bigint not null,
    first_ts timestamptz not null, last_ts timestamptz not null, step_s double, typical double);
create table if not exists raw.days (
    day date primary key, samples bigint not null, covariates bigint not null, changed bigint not null,
    done bigint not null);
create table if not exists raw.files (
    digest varchar not null, file varchar not null, ingested_at timestamptz not null, rows bigint not null,
    new bigint not null, worth_retrying boolean not null);
create table if not exists raw.quarantine (
    file varchar, row bigint, reason varchar, content varchar, digest varchar, quarantined_at timestamptz);
create table if not exists raw.versions (name varchar primary key, rows bigint not null, seq bigint not
null); create table if not exists raw.state (layout integer not null, seq bigint not null, slot_s bigint);
insert into raw.state select {LAYOUT}, 0, null where not exists (from raw.state);
-- The step of a series is the median of its days' median steps, each weighing as many as it has; a series
-- with one reading a day has the distance between days. Typical is the median of its days' medians.
create or replace view raw.series as
with ranked as (
    select workload_id, metric, step_s,
        sum(readings - 1) over (partition by workload_id, metric order by step_s, day) as upto,
        sum(readings - 1) over (partition by workload_id, metric) as total
    from raw.series_days where step_s is not null
), within_days as (
    select workload_id, metric, min(step_s) as step_s from ranked where 2 * upto >= total group by all
), across as (
    select workload_id, metric, median(epoch(first_ts) - epoch(earlier)) as step_s
    from (select *, lag(first_ts) over (partition by workload_id, metric order by day) as earlier
          from raw.series_days)
    group by all
), known as (
    select workload_id, metric, median(typical) as typical from raw.series_days group by all
)
select workload_id, metric, coalesce(w.step_s, a.step_s) as step_s, typical
from known left join within_days w using (workload_id, metric) left join across a using (workload_id,
metric);
"""


class WarehouseBusyError(PersonaPlatformError):
    """Another process holds the warehouse file and did not let go in time."""


@contextmanager
def opened(path: Path, *, wait_s: float, read_only: bool = False) -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection, closed at the end whatever happens; a writer finds the tables made.

    Raises :class:`WarehouseBusyError` naming the holder when the lock is not free within ``wait_s``
    seconds, and :class:`PersonaPlatformError` when the file is not a warehouse of ours.
    """
    if not read_only:
        path.parent.mkdir(parents=True, exist_ok=True)
    con = _connected(path, wait_s, read_only=read_only)
    try:
        con.execute("set TimeZone = 'UTC'")
        con.execute(f"set memory_limit = '{MEMORY_LIMIT}'")
        con.execute(f"set threads = {THREADS}")
        if not read_only:
            _prepare(con, path)
        yield con
    finally:
        con.close()


def _connected(path: Path, wait_s: float, *, read_only: bool) -> duckdb.DuckDBPyConnection:
    until = time.monotonic() + wait_s
    pause = _FIRST_PAUSE
    while True:
        try:
            return duckdb.connect(path, read_only=read_only)
        except (duckdb.IOException, duckdb.ConnectionException) as fault:
            said = str(fault)
            # The second is this very process, with the file open in the other mode (another thread).
            if "Could not set lock" not in said and "different configuration" not in said:
                raise PersonaPlatformError(
                    f"The warehouse {path} cannot be opened: {said.splitlines()[0]} Restore it from a "
                    "copy, or remove it and ingest again."
                ) from None
            if time.monotonic() + pause > until:
                raise WarehouseBusyError(
                    f"The warehouse {path} is held by {_holder(said)} and was not released within "
                    f"{wait_s:g} s; wait for it to end, or end it, and try again."
                ) from None
        time.sleep(pause)
        pause = min(2 * pause, _LONGEST_PAUSE)


def _holder(said: str) -> str:
    found = re.search(r"held in (.+?) \(PID (\d+)\)", said)
    return f"process {found[2]} ({found[1]})" if found else "another user in this process"


def has_tables(con: duckdb.DuckDBPyConnection) -> bool:
    """Whether a writer has made the tables: all of them come in one transaction."""
    found = con.execute(
        "select count(*) from information_schema.tables where table_schema = 'raw' and table_name = 'state'"
    ).fetchall()
    return bool(found[0][0])


def _prepare(con: duckdb.DuckDBPyConnection, path: Path) -> None:
    held = has_tables(con)
    if held:
        layout = con.execute("select layout from raw.state").fetchall()[0][0]
        if layout != LAYOUT:
            raise PersonaPlatformError(
                f"The warehouse {path} has layout {layout} and this version writes layout {LAYOUT}; move "
                "the file away and ingest again."
            )
    # What a killed writer spilled; nobody else can be at it while we hold the lock.
    shutil.rmtree(f"{path}.tmp", ignore_errors=True)
    con.execute("begin")
    if not held:
        con.execute(_TABLES)
    known = metrics_frame()
    if not con.sql("from raw.metrics order by metric").pl().equals(known):
        con.execute("delete from raw.metrics")
        con.register("known_metrics", known)
        con.execute("insert into raw.metrics from known_metrics")
        con.unregister("known_metrics")
        con.execute("update raw.days set changed = (select seq + 1 from raw.state)")
        con.execute("update raw.state set seq = seq + 1")
    con.execute("commit")
