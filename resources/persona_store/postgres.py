"""The Persona Database on PostgreSQL: the one truth that many hosts publish to and that their replicas follow.

The interface is the LMDB store's. An operation has a connection of its own: these are seldom (a refit, a tick of
activity), and nothing is left to break, to share between threads or to inherit over a fork. Readers ask their host's
replica (:mod:`resources.persona_store.replica`): a read here costs a connection and its round trips.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Final, NoReturn, Self

from persona_platform.errors import InputError
from persona_platform.personas.record import MemberRecord, Persona
from resources.persona_store.catalog import Publication, digest_of
from resources.persona_store.lmdb_store import KEEP
from resources.persona_store.postgres_copy import CopyStream
from resources.persona_store.postgres_schema import prepare
from resources.persona_store.postgres_view import KINDS, PostgresView
from resources.persona_store.records import (
    MEMBERS,
    PERSONAS,
    SCHEMA,
    ActivityNow,
    VersionInfo,
    encode,
    workload_key,
)
from resources.persona_store.upkeep import Stats
from resources.postgres_server import connect, spoken

CATALOG: Final = "persona_catalog"
ACTIVITY: Final = "persona_activity"
"""The channels that a publication and an update of activity notify, each in its own transaction."""

_PUBLISHER_WAIT: Final = "10min"
"""How long a publisher waits for the one before it: a million members take about a minute."""

_SUPERSEDE: Final = """
INSERT INTO persona_platform.superseded (kind, key, since, until, body)
SELECT held.kind, held.key, held.since, %(version)s, held.body
FROM persona_platform.record AS held LEFT JOIN incoming USING (kind, key)
WHERE incoming.body IS DISTINCT FROM held.body
"""
_DROP: Final = """
DELETE FROM persona_platform.record AS held
WHERE NOT EXISTS (SELECT FROM incoming WHERE incoming.kind = held.kind AND incoming.key = held.key)
"""
_WRITE: Final = """
INSERT INTO persona_platform.record AS held (kind, key, since, body)
SELECT kind, key, %(version)s, body FROM incoming
ON CONFLICT (kind, key) DO UPDATE SET since = excluded.since, body = excluded.body
WHERE held.body <> excluded.body
"""
_FORGET: Final = """
UPDATE persona_platform.store SET oldest = greatest(oldest, (
    SELECT min(version)
    FROM (SELECT version FROM persona_platform.publication ORDER BY version DESC LIMIT %(keep)s) AS newest
))
"""
_UPDATE_ACTIVITY: Final = """
WITH now AS (
    -- the lock on this row makes ticks grow in the order of commits, so that a follower misses none; the clock
    -- makes them grow also when the database was put back to an earlier state
    UPDATE persona_platform.clock
    SET tick = greatest(tick + 1, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint)
    RETURNING tick
)
INSERT INTO persona_platform.activity AS held (workload, observed_at, tick, body)
SELECT given.workload, given.observed_at, now.tick, given.body
FROM now, unnest(%(workloads)s::bytea[], %(observed)s::timestamptz[], %(bodies)s::bytea[])
    AS given (workload, observed_at, body)
ON CONFLICT (workload) DO UPDATE SET observed_at = excluded.observed_at, tick = excluded.tick, body = excluded.body
WHERE held.observed_at < excluded.observed_at
"""

_STATS: Final = """
SELECT (SELECT count(*) FROM persona_platform.superseded) AS history,
    (SELECT count(*) FROM persona_platform.activity) AS activity,
    (SELECT sum(pg_total_relation_size(oid))::bigint FROM pg_class
        WHERE relnamespace = 'persona_platform'::regnamespace AND relkind = 'r') AS file_bytes,
    (SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'LISTEN persona_catalog%') AS readers
"""


class PostgresStore:
    """The store behind a URL; its tables are made when they are missing.

    Raises :class:`InputError` or :class:`ConfigError`, one sentence without the password: a server that cannot be
    used, tables of another program version, or whatever the server refuses.
    """

    def __init__(self, url: str, *, keep: int = KEEP) -> None:
        self._url, self._keep = url, keep
        connection = connect(url)
        try:
            with spoken():
                prepare(connection)
        finally:
            connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Nothing: no connection outlives its operation."""

    # Writing

    def publish(self, version: int, personas: Sequence[Persona], members: Sequence[MemberRecord]) -> bool:
        """Replace the catalog by ``version``, durably and in one transaction; what it supersedes is history.

        True when it was written; False when this very version is there already with the same content (twice is
        once). Of two publishers at once the second waits for the first, and is then told what the store holds.

        Raises :class:`InputError` for what :class:`Publication` refuses, an older version, or the same version with
        another content.
        """
        return self.publish_whole(Publication.of(version, personas, members))

    def publish_whole(self, publication: Publication) -> bool:
        """See :meth:`publish`; of a catalog that is bytes already."""
        version = publication.version
        with self._transaction() as cursor:
            cursor.execute("SELECT set_config('lock_timeout', %s, true)", (_PUBLISHER_WAIT,))
            cursor.execute("SELECT version FROM persona_platform.store FOR UPDATE")
            held = cursor.fetchone()[0]
            if version <= held:
                info = PostgresView(cursor).info(version) if version == held else None
                if info is not None and info.digest == publication.digest:
                    return False
                raise InputError(
                    f"The catalog version {version} cannot be published: the store holds version {held}; "
                    f"publish it as version {held + 1}."
                )
            _write(cursor, publication)
        self.prune(self._keep)
        return True

    def prune(self, keep: int) -> int:
        """Forget all but the newest ``keep`` versions; the number of superseded records that are gone.

        That they were published, and their digests, stays: a replica is compared with them.
        """
        if keep < 1:
            raise InputError(f"{keep} versions cannot be kept; the current one always is.")
        with self._transaction() as cursor:
            cursor.execute(_FORGET, {"keep": keep})
            cursor.execute(
                "DELETE FROM persona_platform.superseded WHERE until <= (SELECT oldest FROM persona_platform.store)"
            )
            return cursor.rowcount

    def update_activity(self, rows: Sequence[ActivityNow]) -> int:
        """Keep what is newer than what is held, by ``observed_at``, in one statement; the number of rows kept."""
        newest: dict[bytes, ActivityNow] = {}
        for row in rows:
            if row.since.tzinfo is None or row.observed_at.tzinfo is None:
                raise InputError(f"The activity of '{row.workload_id}' has a time without a zone; give it in UTC.")
            key = workload_key(row.workload_id)
            if key not in newest or row.observed_at > newest[key].observed_at:
                newest[key] = row
        if not newest:
            return 0
        given = {
            "workloads": list(newest),
            "observed": [row.observed_at for row in newest.values()],
            "bodies": [encode(row) for row in newest.values()],
        }
        with self._transaction() as cursor:
            cursor.execute(_UPDATE_ACTIVITY, given)
            kept = cursor.rowcount
            if kept:
                cursor.execute("SELECT pg_notify(%s, '')", (ACTIVITY,))
        return kept

    # Reading

    @contextmanager
    def snapshot(self) -> Iterator[PostgresView]:
        """One consistent view, for several reads that belong together."""
        with self.reading() as cursor:
            yield PostgresView(cursor)

    @contextmanager
    def reading(self) -> Iterator[Any]:
        """A cursor in a transaction that reads one state of everything."""
        with self._transaction(reading=True) as cursor:
            yield cursor

    def version(self) -> int:
        """See :meth:`PostgresView.version`."""
        with self.snapshot() as view:
            return view.version()

    def versions(self) -> list[VersionInfo]:
        """See :meth:`PostgresView.versions`."""
        with self.snapshot() as view:
            return view.versions()

    def get(self, persona_id: str, version: int | None = None) -> Persona | None:
        """The persona, as the current catalog has it or as ``version`` had it; see :meth:`PostgresView.as_of`."""
        with self.snapshot() as view:
            return (view if version is None else view.as_of(version)).get(persona_id)

    def get_many(self, persona_ids: Iterable[str]) -> dict[str, Persona]:
        """See :meth:`PostgresView.get_many`."""
        with self.snapshot() as view:
            return view.get_many(persona_ids)

    def scan(self, prefix: str = "") -> Iterator[Persona]:
        """See :meth:`PostgresView.scan`; read at once."""
        with self.snapshot() as view:
            return iter(list(view.scan(prefix)))

    def history(self, persona_id: str) -> list[tuple[int, Persona]]:
        """See :meth:`PostgresView.history`."""
        with self.snapshot() as view:
            return view.history(persona_id)

    def member(self, persona_id: str, workload_id: str) -> MemberRecord | None:
        """See :meth:`PostgresView.member`."""
        with self.snapshot() as view:
            return view.member(persona_id, workload_id)

    def member_many(self, pairs: Iterable[tuple[str, str]]) -> dict[tuple[str, str], MemberRecord]:
        """See :meth:`PostgresView.member_many`."""
        with self.snapshot() as view:
            return view.member_many(pairs)

    def members(self, persona_id: str) -> list[MemberRecord]:
        """See :meth:`PostgresView.members`."""
        with self.snapshot() as view:
            return view.members(persona_id)

    def personas_of(self, workload_id: str) -> list[MemberRecord]:
        """See :meth:`PostgresView.personas_of`."""
        with self.snapshot() as view:
            return view.personas_of(workload_id)

    def activity(self, workload_id: str) -> ActivityNow | None:
        """See :meth:`PostgresView.activity`."""
        with self.snapshot() as view:
            return view.activity(workload_id)

    # Looking after it

    def stats(self) -> Stats:
        """The store in figures: bytes are on the server's disk, readers are the replicas that listen."""
        with self.reading() as cursor:
            view = PostgresView(cursor)
            noted, version, versions = view.info(view.version()), view.version(), view.versions()
            cursor.execute(_STATS)
            history, activity, file_bytes, readers = cursor.fetchone()
        return Stats(
            version=version,
            schema=SCHEMA,
            published_at=noted.published_at if noted else None,
            personas=noted.personas if noted else 0,
            members=noted.members if noted else 0,
            versions=len(versions),
            history=history,
            activity=activity,
            file_bytes=file_bytes,
            free_bytes=0,
            readers=readers,
        )

    def verify(self) -> list[str]:
        """Reads every record of the visible version and compares them with its digest; what is wrong, or nothing."""
        with self.reading() as cursor:
            view = PostgresView(cursor)
            info = view.info(view.version())
            found = digest_of(view.content())
        held = info.digest if info else digest_of(iter(()))
        if found != held:
            number = info.version if info else 0
            return [f"The records of catalog version {number} are not those that were published."]
        return []

    def backup(self, path: Path) -> NoReturn:
        """Not here: PostgreSQL has its own. A replica's :meth:`PersonaStore.backup` copies what a host has."""
        raise InputError(
            f"The Persona Database is on PostgreSQL, and {path} was not written: back it up with PostgreSQL's own "
            "`pg_dump --schema=persona_platform`, or back up this host's replica."
        )

    @contextmanager
    def _transaction(self, *, reading: bool = False) -> Iterator[Any]:
        connection = connect(self._url)
        try:
            if reading:
                connection.set_session(isolation_level="REPEATABLE READ", readonly=True)
            with spoken(), connection, connection.cursor() as cursor:
                yield cursor
        finally:
            connection.close()


def _write(cursor: Any, publication: Publication) -> None:
    """The version's rows beside the held ones, then only what differs written."""
    cursor.execute("CREATE TEMPORARY TABLE incoming (kind smallint, key bytea, body bytea) ON COMMIT DROP")
    cursor.copy_expert("COPY incoming FROM STDIN (FORMAT binary)", CopyStream(_incoming(publication)))
    given = {"version": publication.version}
    cursor.execute(_SUPERSEDE, given)
    changed = _counted(cursor, _DROP, given) + _counted(cursor, _WRITE, given)
    counts = (len(publication.tables[PERSONAS]), len(publication.tables[MEMBERS]), changed)
    cursor.execute(
        "INSERT INTO persona_platform.publication (version, published_at, personas, members, changed, digest) "
        "VALUES (%s, %s, %s, %s, %s, %s)",
        (publication.version, publication.published_at, *counts, publication.digest),
    )
    cursor.execute(
        "UPDATE persona_platform.store SET version = %(version)s, "
        "oldest = CASE oldest WHEN 0 THEN %(version)s ELSE oldest END",
        given,
    )
    cursor.execute("SELECT pg_notify(%s, %s)", (CATALOG, str(publication.version)))


def _counted(cursor: Any, statement: str, given: dict[str, int]) -> int:
    """Runs a statement; how many personas and members it changed."""
    kinds = (KINDS[PERSONAS], KINDS[MEMBERS])
    cursor.execute(
        f"WITH changed AS ({statement} RETURNING held.kind) SELECT count(*) FROM changed WHERE kind IN %(kinds)s",
        {**given, "kinds": kinds},
    )
    return cursor.fetchone()[0]


def _incoming(publication: Publication) -> Iterator[tuple[bytes, bytes, bytes]]:
    for table, rows in publication.tables.items():
        kind = KINDS[table].to_bytes(2)
        for key in sorted(rows):
            yield kind, key, rows[key]
