"""One sample file into the warehouse: staged in batches, then taken in as one transaction.

A file is in as a whole or not at all: the stage is a temporary table that dies with the connection, and
samples, quarantine, days to rebuild and the file's digest are committed together.
"""

import hashlib
import json
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Final

import duckdb

from persona_platform.utilization.samples import FUTURE
from resources.warehouse_labels import next_seq, refresh_workloads
from resources.warehouse_reports import FileReport
from resources.warehouse_stage import COVARIATES, SAMPLES, Kind, Progress, stage_file
from resources.warehouse_upsert import take

GAP_DAYS: Final = 366
"""Days without samples are built too (the calendar has no gaps), but not the decades after a stray stamp."""


def file_digest(path: Path, metric_map: Mapping[str, str]) -> str:
    """Of the file's bytes and the renaming of metrics: what decides which samples it holds."""
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256")
    found.update(json.dumps(dict(metric_map), sort_keys=True).encode())
    return found.hexdigest()


def ingest_file(
    con: duckdb.DuckDBPyConnection,
    path: Path,
    *,
    now: datetime,
    replace: bool,
    metric_map: Mapping[str, str],
    timezone: str,
    progress: Progress | None,
) -> FileReport:
    """Stage, check and take in one file."""
    digest = file_digest(path, metric_map)
    known = con.execute(
        "select coalesce(bool_or(not worth_retrying), false) from raw.files where digest = ?", [digest]
    ).fetchall()[0][0]
    if known and not replace:
        return FileReport(str(path), already_ingested=True, notes=("already ingested, unchanged",))
    rows = stage_file(con, path, now=now, metric_map=metric_map, progress=progress)
    con.execute("begin")
    try:
        seq = next_seq(con)
        taken = [take(con, kind, seq, replace=replace, file=str(path)) for kind in (SAMPLES, COVARIATES)]
        changed = sorted({day for t in taken for day in t.days})
        quarantined = _keep_rejects(con, digest, now)
        _note_file(
            con,
            digest,
            path,
            now=now,
            rows=rows,
            new=sum(t.new for t in taken),
            retry=FUTURE in quarantined,
        )
        if changed:
            _fill_gaps(con, seq)
            for kind, part in zip((SAMPLES, COVARIATES), taken, strict=True):
                if part.days:
                    _count_version(con, kind, seq)
            refresh_workloads(con, timezone=timezone, seq=seq)
        else:
            con.execute("update raw.state set seq = seq - 1")
        con.execute("commit")
    except BaseException:
        con.execute("rollback")
        raise
    return FileReport(
        file=str(path),
        rows=rows,
        new=sum(t.new for t in taken),
        replaced=sum(t.replaced for t in taken),
        unchanged=sum(t.unchanged for t in taken),
        quarantined=quarantined,
        days=tuple(changed),
        notes=() if rows else ("the file has no rows",),
    )


def _keep_rejects(con: duckdb.DuckDBPyConnection, digest: str, now: datetime) -> dict[str, int]:
    """Rejected rows to the quarantine; how many there are by reason."""
    con.execute("delete from raw.quarantine where digest = ?", [digest])
    # A file that grew is read again from its start; what it was rejected for before is told once.
    con.execute(
        "insert into raw.quarantine select r.*, ?, ? from rejects r "
        "anti join raw.quarantine q using (file, row, reason, content)",
        [digest, now],
    )
    return dict(con.execute("select reason, count(*) from rejects group by reason order by reason").fetchall())


def _note_file(
    con: duckdb.DuckDBPyConnection,
    digest: str,
    path: Path,
    *,
    now: datetime,
    rows: int,
    new: int,
    retry: bool,
) -> None:
    con.execute("delete from raw.files where digest = ?", [digest])
    con.execute("insert into raw.files values (?, ?, ?, ?, ?, ?)", [digest, str(path), now, rows, new, retry])


def _fill_gaps(con: duckdb.DuckDBPyConnection, seq: int) -> None:
    con.execute(
        "insert into raw.days select gap.day, 0, 0, ?, 0 from ("
        "  select unnest(generate_series(day + 1, next - 1, interval 1 day))::date as day from ("
        "    select day, lead(day) over (order by day) as next from raw.days where samples > 0) "
        f"  where next - day between 2 and {GAP_DAYS}) gap anti join raw.days using (day)",
        [seq],
    )


def _count_version(con: duckdb.DuckDBPyConnection, kind: Kind, seq: int) -> None:
    con.execute(
        f"insert into raw.versions select ?, coalesce(sum({kind.counter}), 0)::bigint, ? from raw.days "
        "on conflict (name) do update set rows = excluded.rows, seq = excluded.seq",
        [kind.table.removeprefix("raw."), seq],
    )
