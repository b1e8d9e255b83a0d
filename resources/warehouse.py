"""The warehouse: raw samples, workloads and calendars in one DuckDB file, and what of it must be rebuilt.

What belongs here: the class that ingest and the raw assets call. Only they and dbt open the file; every
method opens it, works and closes it. What does not: what a metric means (``persona_platform.utilization``)
and the models (``dbt/``). Python reads the marts with :func:`read_mart`.
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import duckdb
import polars as pl

from persona_platform.errors import InputError
from persona_platform.frames import QUARANTINE, TS, WORKLOADS, conform, empty
from persona_platform.utilization.metrics import check_metric_map
from persona_platform.utilization.samples import sample_files
from persona_platform.utilization.slots import SHORTEST, check_slot, slot_for
from persona_platform.utilization.workloads import check_workloads
from resources.warehouse_connection import WarehouseBusyError, has_tables, opened
from resources.warehouse_ingest import ingest_file
from resources.warehouse_labels import held_workloads, next_seq, put_calendars, put_labels
from resources.warehouse_marts import MARTS, read_mart, scan_mart
from resources.warehouse_reports import FileReport, IngestReport, StaleDays, WarehouseState
from resources.warehouse_stage import Progress

__all__ = [
    "MARTS",
    "FileReport",
    "IngestReport",
    "StaleDays",
    "Warehouse",
    "WarehouseBusyError",
    "WarehouseState",
    "read_mart",
    "scan_mart",
]

RAW_TABLES = (
    "utilization_samples",
    "workloads",
    "calendar_events",
    "calendar_days",
    "covariates",
)


class Warehouse:
    """A warehouse file, made at its first use.

    Args:
        path: the DuckDB file.
        marts: the folder of the marts (one folder a mart, one a day in it).
        wait_s: how long to wait for another process that holds the file.
        slot: the planning interval; None takes it from the data at the first ingest. It must divide a day.
        timezone: IANA zone of workloads whose labels name none.
    """

    def __init__(
        self,
        path: Path,
        marts: Path,
        *,
        wait_s: float = 60,
        slot: timedelta | None = None,
        timezone: str = "UTC",
    ) -> None:
        self.path = path
        self.marts = marts
        self.wait_s = wait_s
        self.slot = None if slot is None else check_slot(slot)
        self.timezone = timezone

    def ingest_samples(
        self,
        files: Sequence[Path],
        *,
        now: datetime,
        replace: bool = False,
        metric_map: Mapping[str, str] | None = None,
        progress: Progress | None = None,
    ) -> IngestReport:
        """Take in sample files (Parquet, CSV; a folder stands for those in it), each in one transaction.

        A value for a reading that is held already changes nothing: an equal one is counted, another one
        goes to quarantine, unless ``replace``. Killed at any moment, a second call completes the work. A
        file ingested before is skipped by its digest (with ``replace``, or when rows of it were in the
        future, it is not).

        Args:
            files: in this order: of two files with different values for a reading the first one's is kept.
            now: readings after it (and a tolerance of 15 min) are quarantined.
            replace: the values of these files win over those held, and a later row over an earlier one.
            metric_map: found metric name to the name that it is kept under.
            progress: called after each batch with file, rows read, rows in all (0: not known).

        Raises:
            InputError: a file is missing, unreadable or has the wrong columns; files before it are kept.
            WarehouseBusyError: another process holds the warehouse.
        """
        if now.tzinfo is None:
            raise InputError("The time of ingestion has no zone; give it in UTC.")
        check_metric_map(metric_map or {})
        reports = []
        for path in sample_files(files):
            with opened(self.path, wait_s=self.wait_s) as con:
                report = ingest_file(
                    con,
                    path,
                    now=now,
                    replace=replace,
                    metric_map=metric_map or {},
                    timezone=self.timezone,
                    progress=progress,
                )
            reports.append(report)
        with opened(self.path, wait_s=self.wait_s) as con:
            self._settle_slot(con)
        return IngestReport(tuple(reports))

    def put_workloads(self, frame: pl.DataFrame) -> bool:
        """Replace the labels of workloads (workload_id and any of WORKLOADS); whether anything changed."""
        labels = check_workloads(frame, "The workloads")
        with opened(self.path, wait_s=self.wait_s) as con, _transaction(con):
            return put_labels(con, labels, timezone=self.timezone)

    def put_calendar(self, events: pl.DataFrame, days: pl.DataFrame) -> bool:
        """Replace events (EVENTS) and calendar days (CALENDAR_DAYS); whether anything changed.

        Days of the marts become stale only where the calendar that covers them changed.
        """
        with opened(self.path, wait_s=self.wait_s) as con, _transaction(con):
            return put_calendars(con, events, days)

    def workloads(self) -> pl.DataFrame:
        """WORKLOADS of every workload labelled or seen, with defaults filled in."""
        with self._reading() as con:
            return empty(WORKLOADS) if con is None else held_workloads(con)

    def quarantine(self, limit: int = 100) -> pl.DataFrame:
        """The newest QUARANTINE rows."""
        with self._reading() as con:
            if con is None:
                return empty(QUARANTINE)
            found = con.sql(
                "select file, row, reason, content from raw.quarantine "
                f"order by quarantined_at desc, file, row limit {int(limit)}"
            ).pl()
            return conform(found, QUARANTINE, "The quarantine")

    def state(self) -> WarehouseState:
        """What is held: cheap, from counts by day and series."""
        with self._reading() as con:
            if con is None:
                return WarehouseState(self.slot, None, None, 0, 0, 0, 0, ())
            (slot_s,), (since, until, samples) = (
                con.execute("select slot_s from raw.state").fetchall()[0],
                con.execute(
                    "select min(day) filter (samples > 0), max(day) filter (samples > 0), "
                    "coalesce(sum(samples), 0)::bigint from raw.days"
                ).fetchall()[0],
            )
            slot = self.slot or (None if slot_s is None else timedelta(seconds=slot_s))
            return WarehouseState(
                slot=slot,
                history_since=since,
                newest=None if until is None else _newest(con, until, slot or SHORTEST),
                samples=samples,
                workloads=_count(con, "raw.workloads"),
                quarantined=_count(con, "raw.quarantine"),
                files=_count(con, "raw.files"),
                datasets=tuple(
                    name
                    for (name,) in con.execute(
                        "select distinct dataset from raw.workloads_seen order by dataset"
                    ).fetchall()
                ),
                metrics=tuple(
                    name
                    for (name,) in con.execute("select distinct metric from raw.series_days order by metric").fetchall()
                ),
            )

    def stale(self) -> StaleDays:
        """Days to rebuild, oldest first, with the token for :meth:`mark_done`."""
        with opened(self.path, wait_s=self.wait_s) as con:
            self._settle_slot(con)
            token = con.execute("select seq from raw.state").fetchall()[0][0]
            rows = con.execute("select day, samples from raw.days where changed > done order by day").fetchall()
        return StaleDays(tuple(day for day, _ in rows), tuple(samples for _, samples in rows), token)

    def stale_days(self) -> list[date]:
        """The days of :meth:`stale`."""
        return list(self.stale().days)

    def mark_done(self, days: Iterable[date], token: int) -> None:
        """The marts of ``days`` are built from what was held at ``token``.

        A day that an ingest changed since then stays stale.
        """
        done = sorted(set(days))
        if not done:
            return
        with opened(self.path, wait_s=self.wait_s) as con, _transaction(con):
            con.register("done_days", pl.DataFrame({"day": done}, schema={"day": pl.Date}))
            con.execute(
                "update raw.days set done = greatest(done, ?) where day in (select day from done_days)",
                [token],
            )

    def digest(self, table: str) -> str:
        """Data version of a raw table: equal while nothing changed in it. Names as in :data:`RAW_TABLES`."""
        if table not in RAW_TABLES:
            raise InputError(f"There is no raw table '{table}'; there are {', '.join(RAW_TABLES)}.")
        with self._reading() as con:
            rows = (
                []
                if con is None
                else con.execute("select rows, seq from raw.versions where name = ?", [table]).fetchall()
            )
        return hashlib.sha256(repr((table, rows)).encode()).hexdigest()[:16]

    def samples_by_day(self) -> pl.DataFrame:
        """``day, samples, covariates``, oldest first."""
        with self._reading() as con:
            if con is None:
                return pl.DataFrame(schema={"day": pl.Date, "samples": pl.Int64, "covariates": pl.Int64})
            return con.sql("select day, samples, covariates from raw.days order by day").pl()

    def event_readings(self) -> pl.DataFrame:
        """``series, ts, value`` of the series whose id begins with ``event:``."""
        with self._reading() as con:
            if con is None:
                return pl.DataFrame(schema={"series": pl.String, "ts": TS, "value": pl.Float64})
            found = con.sql("select series, ts, value from raw.covariates where starts_with(series, 'event:')").pl()
            return found.with_columns(pl.col("ts").cast(TS))

    @contextmanager
    def _reading(self) -> Iterator[duckdb.DuckDBPyConnection | None]:
        """A read-only connection, or None where no warehouse has been made yet."""
        if not self.path.exists() or self.path.stat().st_size == 0:
            yield None
            return
        with opened(self.path, wait_s=self.wait_s, read_only=True) as con:
            # The first writer may have been killed between making the file and making its tables.
            yield con if has_tables(con) else None

    def _settle_slot(self, con: duckdb.DuckDBPyConnection) -> None:
        """Keep the slot: the given one, else once and for all the data's. A new one makes all stale."""
        held = con.execute("select slot_s from raw.state").fetchall()[0][0]
        wanted = None if self.slot is None else int(self.slot.total_seconds())
        if wanted is None and held is None:
            step = con.execute("select median(step_s) from raw.series").fetchall()[0][0]
            wanted = None if step is None else int(slot_for(timedelta(seconds=step)).total_seconds())
        if wanted is not None and wanted != held:
            with _transaction(con):
                con.execute("update raw.state set slot_s = ?", [wanted])
                con.execute("update raw.days set changed = ?", [next_seq(con)])


@contextmanager
def _transaction(con: duckdb.DuckDBPyConnection) -> Iterator[None]:
    con.execute("begin")
    try:
        yield
        con.execute("commit")
    except BaseException:
        con.execute("rollback")
        raise


def _count(con: duckdb.DuckDBPyConnection, table: str) -> int:
    return int(con.execute(f"select count(*) from {table}").fetchall()[0][0])


def _newest(con: duckdb.DuckDBPyConnection, last_day: date, slot: timedelta) -> datetime:
    """The latest end of a reading: of the last two days' series, the last reading plus its step."""
    slot_s = slot.total_seconds()
    found = con.execute(
        "select max(last_ts + to_seconds(least(coalesce(step_s, ?), ?))) from raw.series_days where day >= ?",
        [slot_s, slot_s, last_day - timedelta(days=1)],
    ).fetchall()[0][0]
    return found.astimezone(UTC)
