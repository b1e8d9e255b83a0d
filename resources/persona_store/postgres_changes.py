"""What a follower lacks: the changes from one published version to a later one, and the activity since a tick."""

from typing import Any, Final

import msgspec

from resources.persona_store.catalog import Changes, Publication
from resources.persona_store.postgres_view import KINDS, PostgresView
from resources.persona_store.records import ActivityNow, activities, decode

_TABLES: Final = {kind: table for table, kind in KINDS.items()}

_WRITTEN: Final = """
SELECT kind, key, body FROM persona_platform.record WHERE since > %(previous)s AND since <= %(version)s
UNION ALL
SELECT kind, key, body FROM persona_platform.superseded
WHERE since > %(previous)s AND since <= %(version)s AND until > %(version)s
"""
_GONE: Final = """
SELECT kind, key FROM persona_platform.superseded AS old
WHERE since <= %(previous)s AND until > %(previous)s AND until <= %(version)s
AND NOT EXISTS (
    SELECT FROM persona_platform.record AS new
    WHERE new.kind = old.kind AND new.key = old.key AND new.since <= %(version)s
)
AND NOT EXISTS (
    SELECT FROM persona_platform.superseded AS new
    WHERE new.kind = old.kind AND new.key = old.key AND new.since <= %(version)s AND new.until > %(version)s
)
"""


class Head(msgspec.Struct, frozen=True):
    """Where the truth stands: which database it is, its newest version, its newest tick of activity.

    From ``oldest`` on it can say what changed from a version to the next.
    """

    identity: str
    version: int
    oldest: int
    tick: int


def head(cursor: Any) -> Head:
    """What a follower compares itself with; one row, cheap enough for polling."""
    cursor.execute("SELECT identity::text, version, oldest, tick FROM persona_platform.store, persona_platform.clock")
    return Head(*cursor.fetchone())


def versions_after(cursor: Any, version: int) -> list[int]:
    """The versions that were published after one, in order."""
    cursor.execute(
        "SELECT version FROM persona_platform.publication WHERE version > %s ORDER BY version",
        (version,),
    )
    return [row[0] for row in cursor.fetchall()]


def changes(cursor: Any, previous: int, version: int) -> Changes:
    """What is written and what is gone from ``previous`` (0: nothing yet) to the published ``version``."""
    info = PostgresView(cursor).info(version)
    assert info is not None
    span = {"previous": previous, "version": version}
    tables: dict[bytes, dict[bytes, bytes | None]] = {table: {} for table in KINDS}
    cursor.execute(_WRITTEN, span)
    for kind, key, body in cursor:
        tables[_TABLES[kind]][bytes(key)] = bytes(body)
    cursor.execute(_GONE, span)
    for kind, key in cursor:
        tables[_TABLES[kind]][bytes(key)] = None
    return Changes(previous, version, info.published_at, tables, info.digest)


def whole(cursor: Any, version: int) -> Publication:
    """The visible version with everything that it has."""
    info = PostgresView(cursor).info(version)
    assert info is not None
    tables: dict[bytes, dict[bytes, bytes]] = {table: {} for table in KINDS}
    cursor.execute("SELECT kind, key, body FROM persona_platform.record")
    for kind, key, body in cursor:
        tables[_TABLES[kind]][bytes(key)] = bytes(body)
    return Publication(version, info.published_at, tables, info.digest)


def activity_after(cursor: Any, tick: int) -> list[ActivityNow]:
    """The newest activity of every workload that was observed anew after a tick."""
    cursor.execute("SELECT body FROM persona_platform.activity WHERE tick > %s", (tick,))
    return [decode(activities, bytes(row[0])) for row in cursor.fetchall()]
