"""Staged rows into the tables: the first value of a reading wins, and what changed is marked.

Days are taken in some at a time, in order, so that memory stays bounded and the rows of a day lie together in
the file: a later comparison with a day's rows reads little else.
"""

from dataclasses import dataclass, field
from datetime import date
from typing import Final

import duckdb

from resources.warehouse_stage import COVARIATES, SAMPLES, Kind

CHUNK_ROWS: Final = 2_000_000
"""Rows of the stage that are compared with the held ones at a time: whole days, at least one."""

CONFLICT: Final = "another value is held"
TWICE: Final = "another value is in the same file"

DAY_US: Final = 86_400_000_000
_DAY_OF: Final = f"date '1970-01-01' + (epoch_us(ts) // {DAY_US})::integer"


@dataclass(frozen=True)
class _Span:
    """Days since 1970, [low, high), that are taken in together."""

    low: int
    high: int

    def holds(self, ts: str) -> str:
        """The condition on a column, in literals: DuckDB then skips every row group of other days."""
        low, high = self.low * DAY_US, self.high * DAY_US
        return f"{ts} >= make_timestamptz({low}) and {ts} < make_timestamptz({high})"


@dataclass
class Taken:
    """Rows of one kind by what became of them, and the days that changed; the rest was rejected."""

    new: int = 0
    replaced: int = 0
    unchanged: int = 0
    days: list[date] = field(default_factory=list)


def take(con: duckdb.DuckDBPyConnection, kind: Kind, seq: int, *, replace: bool, file: str) -> Taken:
    """Everything staged of one kind into its table, some days at a time so that memory stays bounded."""
    taken = Taken()
    for span in _spans(con, kind):
        _compare(con, kind, span, taken, replace=replace, file=file)
        _write(con, kind, span, taken, seq=seq)
    if kind is SAMPLES and taken.new:
        con.execute(
            "insert into raw.workloads_seen "
            "select id, min(content) from stage_samples_series join stage_samples using (key) "
            "join stage_samples_extra using (extra) "
            "where id not in (select workload_id from raw.workloads_seen) group by id"
        )
    return taken


def _spans(con: duckdb.DuckDBPyConnection, kind: Kind) -> list[_Span]:
    """The days staged, in stretches of about :data:`CHUNK_ROWS` rows."""
    days = con.execute(
        f"select epoch_us(ts) // {DAY_US} as day, count(*) from {kind.stage} group by day order by day"
    ).fetchall()
    spans: list[_Span] = []
    filled = CHUNK_ROWS
    for day, rows in days:
        if filled + rows > CHUNK_ROWS:
            spans.append(_Span(day, day + 1))
            filled = rows
        else:
            spans[-1] = _Span(spans[-1].low, day + 1)
            filled += rows
    return spans


def _compare(
    con: duckdb.DuckDBPyConnection,
    kind: Kind,
    span: _Span,
    taken: Taken,
    *,
    replace: bool,
    file: str,
) -> None:
    """Make ``part`` (what the file says, a row a key), ``held`` (what of it is held), ``changes``; count."""
    pick = "max_by" if replace else "min_by"
    con.execute(
        f"create or replace temp table part as select key, ts, min(row) as row, {pick}(value, row) as value, "
        f"{pick}(extra, row) as extra, count(*) as copies, {_DAY_OF} as day "
        f"from {kind.stage} where {span.holds('ts')} group by key, ts"
    )
    con.execute(
        "create or replace temp table held as select part.*, h.value as held from part join ("
        f"  select key, ts, t.value from {kind.table} t "
        f"  join {kind.stage}_series s on t.{kind.id} = s.id and t.metric = s.metric "
        f"  where {span.holds('t.ts')}) h using (key, ts)"
    )
    con.execute(
        f"create or replace temp table conflicts as select row, key, ts, value, held, '{CONFLICT}' as reason "
        "from held where value <> held union all "
        f"select s.row, key, s.ts, s.value, p.value, '{TWICE}' from {kind.stage} s "
        "join part p using (key, ts) where p.copies > 1 and s.value <> p.value"
    )
    differing, others = con.execute(
        f"select count(*) filter (reason = '{CONFLICT}'), count(*) filter (reason = '{TWICE}') from conflicts"
    ).fetchall()[0]
    copies, parts, held = con.execute(
        "select coalesce(sum(copies), 0)::bigint, count(*), (select count(*) from held) from part"
    ).fetchall()[0]
    taken.new += parts - held
    taken.unchanged += (held - differing) + (copies - parts - others)
    changes = "select *, true as is_new from part" + (" anti join held using (key, ts)" if held else "")
    if replace:
        taken.replaced += differing + others
        changes += " union all by name select * exclude (held), false as is_new from held where value <> held"
    else:
        con.execute(
            f"insert into rejects select ?, row, reason, to_json({{'{kind.id}': id, 'ts': ts::varchar, "
            "'metric': metric, 'value': value::varchar, 'held': held::varchar})::varchar "
            f"from conflicts join {kind.stage}_series using (key)",
            [file],
        )
    con.execute(f"create or replace temp view changes as {changes}")


def _write(con: duckdb.DuckDBPyConnection, kind: Kind, span: _Span, taken: Taken, *, seq: int) -> None:
    days = con.execute("select day, count(*) filter (is_new) from changes group by day order by day").fetchall()
    if not days:
        return
    named = f"join {kind.stage}_series using (key) join {kind.stage}_extra using (extra)"
    con.execute(
        f"insert into {kind.table} ({kind.id}, ts, metric, value, {kind.extra}, seq) "
        f"select id, ts, metric, value, content, {seq} from changes {named} where is_new order by day, row"
    )
    con.execute(
        f"update {kind.table} as t set value = c.value, seq = {seq} "
        f"from (select * from changes {named} where not is_new) c "
        f"where t.{kind.id} = c.id and t.metric = c.metric and t.ts = c.ts and {span.holds('t.ts')}"
    )
    other = COVARIATES.counter if kind is SAMPLES else SAMPLES.counter
    con.executemany(
        f"insert into raw.days (day, {kind.counter}, {other}, changed, done) values (?, ?, 0, {seq}, 0) "
        f"on conflict (day) do update set {kind.counter} = {kind.counter} + excluded.{kind.counter}, "
        f"changed = {seq}",
        days,
    )
    if kind is SAMPLES:
        _describe_series(con, span)
    taken.days += [day for day, _ in days]


def _describe_series(con: duckdb.DuckDBPyConnection, span: _Span) -> None:
    """Step and typical value of each changed series on each changed day, from everything held of that day."""
    con.execute("create or replace temp table touched as select distinct key, day from changes")
    con.execute(
        "delete from raw.series_days where (workload_id, metric, day) in "
        "(select id, metric, day from touched join stage_samples_series using (key))"
    )
    con.execute(
        "insert into raw.series_days with stepped as ("
        f"  select key, day, t.metric, ts, value, (epoch_us(ts) - lag(epoch_us(ts)) "
        "    over (partition by key, day order by ts)) / 1e6 as step_s "
        f"  from (select *, {_DAY_OF} as day from raw.utilization_samples "
        f"    where {span.holds('ts')}) t "
        "  join stage_samples_series s on t.workload_id = s.id and t.metric = s.metric "
        "  semi join touched using (key, day)"
        "), described as ("
        "  select key, day, count(*) as readings, min(ts) as first_ts, max(ts) as last_ts, "
        "    median(step_s) as step_s, median(value) filter (value > 0 and metric in "
        "      (select metric from raw.metrics where role = 'limit')) as typical "
        "  from stepped group by key, day"
        ") select id, metric, day, readings, first_ts, last_ts, step_s, typical "
        "from described join stage_samples_series using (key)"
    )
