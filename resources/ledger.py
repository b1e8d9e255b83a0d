"""The ledger: the append-only record of decisions, actions, approvals and outcomes.

SQLAlchemy Core on SQLite by default, on PostgreSQL for many hosts. One table of entries, which nobody can
change or delete; unique keys make every action once-only over processes. What the entries *mean* is folded in
:mod:`persona_platform.capacity.ledger_view`, where their kinds are listed.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import polars as pl
import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.engine import Connection

from persona_platform.capacity.ledger_view import ALL, ENTRIES, paused_targets, read_bodies
from persona_platform.errors import ConfigError, InputError
from persona_platform.frames import ACTIONS

SCHEMA_VERSION: Final = 1

ONCE: Final = ("decision", "action", "applied", "met", "partial", "unmet", "lead_time", "expired", "released")
"""Kinds of which a key has one entry; appending a second changes nothing and returns the first one's seq."""

KINDS: Final = (*ONCE, "failed", "unknown", "approved", "rejected", "paused", "resumed")

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_BUSY_SECONDS: Final = 30

_META: Final = sa.MetaData()
_ENTRIES: Final = sa.Table(
    "entries",
    _META,
    sa.Column("seq", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), primary_key=True, autoincrement=True),
    sa.Column("at_us", sa.BigInteger, nullable=False),  # microseconds since 1970, UTC: exact on every database
    sa.Column("kind", sa.String(16), nullable=False),
    sa.Column("key", sa.String(64)),
    sa.Column("target", sa.String(256)),
    sa.Column("body", sa.Text, nullable=False),
    sa.Index("entries_of_key", "key"),
    sqlite_autoincrement=True,
)
_ONCE_ONLY: Final = sa.Index(
    "entries_once",
    _ENTRIES.c.kind,
    _ENTRIES.c.key,
    unique=True,
    sqlite_where=_ENTRIES.c.kind.in_(ONCE),
    postgresql_where=_ENTRIES.c.kind.in_(ONCE),
)
_SCHEMA: Final = sa.Table("ledger_schema", _META, sa.Column("version", sa.Integer, primary_key=True))

_FORBID_SQLITE: Final = [
    f"CREATE TRIGGER IF NOT EXISTS entries_no_{verb.lower()} BEFORE {verb} ON entries "
    "BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END"
    for verb in ("UPDATE", "DELETE")
]
_FORBID_POSTGRESQL: Final = [
    """CREATE OR REPLACE FUNCTION entries_append_only() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN RAISE EXCEPTION 'the ledger is append-only'; END $$""",
    """CREATE OR REPLACE TRIGGER entries_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON entries
    FOR EACH STATEMENT EXECUTE FUNCTION entries_append_only()""",
]


class Ledger:
    """The ledger in a file, or behind a database URL. Safe for many processes and threads at once."""

    def __init__(self, place: str | Path) -> None:
        self._engine = _engine_for(place)
        self._sqlite = self._engine.dialect.name == "sqlite"
        self._create()

    # Writing

    def append(
        self,
        kind: str,
        at: datetime,
        *,
        key: str | None = None,
        target: str | None = None,
        body: Mapping[str, object] | None = None,
    ) -> int:
        """Append an entry and return its seq; for a kind of :data:`ONCE` with a known key, the seq it has."""
        return self._append(kind, at, key, target, body or {})[0]

    def claim_action(self, row: Mapping[str, Any], decision_id: str, at: datetime) -> bool:
        """Append an action's entry, before its write. False: somebody has that key already."""
        body = {**{name: row[name] for name in ACTIONS}, "decision_id": decision_id}
        return self._append("action", at, row["key"], row["target"], body)[1]

    def record_decision(
        self,
        decision_id: str,
        *,
        plan_id: str,
        inventory_id: str,
        limits_digest: str,
        ledger_position: int,
        now: datetime,
        files: Mapping[str, Mapping[str, str]],
        actions: pl.DataFrame | None = None,
    ) -> int:
        """Append what it takes to make the decision again; ``files`` is ``{name: {path, digest}}``.

        Rows of ``actions`` that wait for approval are kept with it; :meth:`waiting` lists them.
        """
        waits = [] if actions is None else actions.filter("waits_for_approval").to_dicts()
        body = {
            "plan_id": plan_id,
            "inventory_id": inventory_id,
            "limits_digest": limits_digest,
            "ledger_position": ledger_position,
            "now": now,
            "files": files,
            "waiting": waits,
        }
        return self.append("decision", now, key=decision_id, body=body)

    def approve(self, key: str, *, by: str, at: datetime) -> int:
        """Approve a row that waits. Raises :class:`InputError` when no such row waits."""
        row = self._waiting_row(key, at)
        kept = {name: row[name] for name in ("from_floor", "to_floor", "expires_at")}
        return self.append("approved", at, key=row["key"], target=row["target"], body={**kept, "by": by})

    def reject(self, key: str, *, by: str, at: datetime) -> int:
        """Reject a row that waits. Raises :class:`InputError` when no such row waits."""
        row = self._waiting_row(key, at)
        return self.append("rejected", at, key=row["key"], target=row["target"], body={"by": by})

    def pause(self, target: str = ALL, *, by: str, at: datetime) -> int:
        """Stop all writes to a target, or to all, from the next action on; floors that stand lapse."""
        return self.append("paused", at, target=target, body={"by": by})

    def resume(self, target: str = ALL, *, by: str, at: datetime) -> int:
        """End a pause. Resuming ``*`` leaves the pauses of single targets as they are."""
        return self.append("resumed", at, target=target, body={"by": by})

    # Reading

    def entries(self, up_to: int | None = None, since: int | None = None, *, key: str | None = None) -> pl.DataFrame:
        """Entries by seq: those after ``since`` and up to ``up_to`` (both seqs), of one key or of all."""
        chosen = sa.select(_ENTRIES).order_by(_ENTRIES.c.seq)
        if up_to is not None:
            chosen = chosen.where(_ENTRIES.c.seq <= up_to)
        if since is not None:
            chosen = chosen.where(_ENTRIES.c.seq > since)
        if key is not None:
            chosen = chosen.where(_ENTRIES.c.key == key)
        return self._frame(chosen)

    def position(self) -> int:
        """The newest seq; 0 for an empty ledger."""
        with self._reading() as connection:
            return connection.scalar(sa.select(sa.func.max(_ENTRIES.c.seq))) or 0

    def decision(self, decision_id: str) -> dict[str, Any]:
        """The body of a decision's entry; raises :class:`InputError` for an unknown id."""
        rows = self.entries(key=decision_id).filter(pl.col("kind") == "decision")
        if rows.is_empty():
            raise InputError(f"The ledger has no decision {decision_id}; `persona plan` shows the newest ones.")
        body = json.loads(rows["body"][0])
        return {**body, "now": datetime.fromisoformat(body["now"])}

    def action(self, key: str) -> dict[str, Any] | None:
        """The row of ACTIONS under a key, with its decision_id; None when nobody claimed it."""
        rows = self.entries(key=key).filter(pl.col("kind") == "action")
        return None if rows.is_empty() else _row(json.loads(rows["body"][0]))

    def result(self, key: str) -> str | None:
        """The last of applied, failed and unknown that an action has; None: none, or no such action."""
        kinds = self.entries(key=key).filter(pl.col("kind").is_in(["applied", "failed", "unknown"]))["kind"]
        return kinds[-1] if len(kinds) else None

    def open_actions(self) -> pl.DataFrame:
        """Entries of actions that were neither applied nor refused: after a crash, what to look at first."""
        kinds = ("action", "applied", "failed", "unknown")
        rows = self._frame(sa.select(_ENTRIES).where(_ENTRIES.c.kind.in_(kinds)).order_by(_ENTRIES.c.seq))
        last = rows.unique("key", keep="last").filter(pl.col("kind").is_in(["action", "unknown"]))
        return rows.filter(pl.col("kind") == "action").join(last.select("key"), on="key", how="semi").sort("seq")

    def paused(self, target: str) -> bool:
        """Whether the target, or everything, is paused at this moment."""
        switches = sa.select(_ENTRIES).where(
            _ENTRIES.c.kind.in_(("paused", "resumed")), _ENTRIES.c.target.in_((target, ALL))
        )
        return bool(paused_targets(read_bodies(self._frame(switches))))

    def waiting(self, now: datetime) -> list[dict[str, Any]]:
        """Rows of ACTIONS that wait for approval at ``now``.

        Of the newest decision on each target; neither expired, approved nor rejected.
        """
        kinds = ("decision", "approved", "rejected")
        rows = self._frame(sa.select(_ENTRIES).where(_ENTRIES.c.kind.in_(kinds)).order_by(_ENTRIES.c.seq))
        answered = set(rows.filter(pl.col("kind") != "decision")["key"].to_list())
        newest: dict[str, dict[str, Any]] = {}
        for body in rows.filter(pl.col("kind") == "decision")["body"]:
            for row in json.loads(body)["waiting"]:
                newest[row["target"]] = _row(row)
        return [row for row in newest.values() if row["key"] not in answered and row["expires_at"] > now]

    def close(self) -> None:
        """Give back every connection."""
        self._engine.dispose()

    # Inside

    def _append(
        self, kind: str, at: datetime, key: str | None, target: str | None, body: Mapping[str, object]
    ) -> tuple[int, bool]:
        if kind not in KINDS:
            raise InputError(f"The ledger has no entries of the kind {kind!r}; the kinds are {', '.join(KINDS)}.")
        if at.tzinfo is None:
            raise InputError(f"An entry at {at} has no zone; pass an aware time, for instance in UTC.")
        if kind in ONCE and key is None:
            raise InputError(f"An entry of the kind {kind!r} needs a key: it is there once for each key.")
        values = {
            "at_us": (at - _EPOCH) // timedelta(microseconds=1),
            "kind": kind,
            "key": key,
            "target": target,
            "body": json.dumps(body, default=_json, allow_nan=False, sort_keys=True),
        }
        with self._writing() as connection:
            if kind in ONCE:
                known = sa.select(_ENTRIES.c.seq).where(_ENTRIES.c.kind == kind, _ENTRIES.c.key == key)
                seq = connection.scalar(known)
                if seq is not None:
                    return seq, False
            inserted = connection.execute(sa.insert(_ENTRIES).values(values))
            assert inserted.inserted_primary_key is not None
            return int(inserted.inserted_primary_key[0]), True

    def _waiting_row(self, key: str, now: datetime) -> dict[str, Any]:
        waits = self.waiting(now)
        found = [row for row in waits if row["key"].startswith(key)]
        if len(found) != 1 or not key:
            named = ", ".join(f"{row['key'][:12]} ({row['target']})" for row in waits) or "nothing"
            raise InputError(f"{len(found)} actions that wait begin with {key!r}; waiting are: {named}.")
        return found[0]

    def _frame(self, chosen: sa.Select[Any]) -> pl.DataFrame:
        with self._reading() as connection:
            rows = connection.execute(chosen).all()
        raw = {**ENTRIES, "at": pl.Int64}
        frame = pl.DataFrame([tuple(row) for row in rows], schema=raw, orient="row")
        return frame.with_columns(pl.col("at").cast(pl.Datetime("us")).dt.replace_time_zone("UTC"))

    @contextmanager
    def _writing(self) -> Iterator[Connection]:
        """One transaction that alone writes: on SQLite by BEGIN IMMEDIATE, on PostgreSQL by the table's lock.

        So seq is also the order of commits, and what was read up to a position never changes.
        """
        with self._engine.connect() as connection, connection.begin():
            if not self._sqlite:
                connection.execute(sa.text("LOCK TABLE entries IN EXCLUSIVE MODE"))
            yield connection

    @contextmanager
    def _reading(self) -> Iterator[Connection]:
        with self._engine.connect().execution_options(ledger_reads=True) as connection:
            yield connection

    def _create(self) -> None:
        with self._engine.connect() as connection, connection.begin():
            if not self._sqlite:
                connection.execute(sa.text("SELECT pg_advisory_xact_lock(7366)"))  # two creators, one after the other
            _META.create_all(connection)
            version = connection.scalar(sa.select(sa.func.max(_SCHEMA.c.version)))
            if version is None:
                connection.execute(sa.insert(_SCHEMA).values(version=SCHEMA_VERSION))
                for statement in _FORBID_SQLITE if self._sqlite else _FORBID_POSTGRESQL:
                    connection.exec_driver_sql(statement)
            elif version != SCHEMA_VERSION:
                raise ConfigError(
                    f"The ledger has schema version {version}; this program writes version {SCHEMA_VERSION}. "
                    "Use the program's version that wrote it."
                )


def _engine_for(place: str | Path) -> sa.Engine:
    """An engine; for a file one whose transactions take the write lock at once, unless they only read."""
    url = place if isinstance(place, str) and "://" in place else f"sqlite:///{Path(place)}"
    if not str(url).startswith("sqlite"):
        return sa.create_engine(url)
    # No pool: a connection that lives through a fork or into another thread is a corrupted file one day.
    engine = sa.create_engine(url, poolclass=sa.NullPool, connect_args={"timeout": _BUSY_SECONDS})
    database = engine.url.database
    if database is None or database == ":memory:":
        raise ConfigError("The ledger must outlive the process; give it a file, not :memory:.")
    Path(database).parent.mkdir(parents=True, exist_ok=True)

    def prepare(connection: Any, _record: object) -> None:
        connection.isolation_level = None  # the driver's own BEGIN is deferred: two writers would deadlock
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")  # ledger first: an entry is on disk before the write it covers

    def begin(connection: Connection) -> None:
        reads = connection.get_execution_options().get("ledger_reads", False)
        connection.exec_driver_sql("BEGIN" if reads else "BEGIN IMMEDIATE")

    event.listen(engine, "connect", prepare)
    event.listen(engine, "begin", begin)
    return engine


def _json(value: object) -> object:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat()
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"A ledger body cannot hold a {type(value).__name__}: {value!r}.")


def _row(body: dict[str, Any]) -> dict[str, Any]:
    """A row of ACTIONS back from JSON, its times as datetimes."""
    times = {name: datetime.fromisoformat(body[name]) for name in ("act_at", "need_at", "expires_at")}
    return {**body, **times}
