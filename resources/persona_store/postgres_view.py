"""Reading the Persona Database on PostgreSQL: one consistent view, with the LMDB snapshot's interface."""

from collections.abc import Iterable, Iterator
from datetime import UTC
from typing import Any, Final

from persona_platform.errors import InputError
from persona_platform.personas.record import MemberRecord, Persona
from resources.persona_store.records import (
    MEMBERS,
    PERSONAS,
    TAGS,
    WORKLOADS,
    ActivityNow,
    VersionInfo,
    activities,
    decode,
    decode_member,
    member_key,
    names,
    persona_key,
    personas,
    unreadable,
    value,
    workload_key,
)

KINDS: Final = {table: tag[0] for table, tag in TAGS.items()}
"""The number in the column ``kind``: the tag that the LMDB store puts before a key."""

INFO: Final = "version, published_at, personas, members, changed, digest"


_PAST: Final = """(
    SELECT kind, key, since, body FROM persona_platform.record WHERE since <= {at}
    UNION ALL
    SELECT kind, key, since, body FROM persona_platform.superseded WHERE since <= {at} AND until > {at}
) AS past"""

_HISTORY: Final = """
SELECT since, body FROM persona_platform.record WHERE kind = %(kind)s AND key = %(key)s
UNION ALL
SELECT since, body FROM persona_platform.superseded WHERE kind = %(kind)s AND key = %(key)s
ORDER BY since DESC
"""


class PostgresView:
    """What one transaction sees. It holds nothing but a cursor: the store opens and ends it."""

    __slots__ = ("_at", "_cursor", "_records")

    def __init__(self, cursor: Any, at: int | None = None) -> None:
        self._cursor, self._at = cursor, at
        self._records = "persona_platform.record" if at is None else _PAST.format(at=int(at))

    def as_of(self, version: int) -> "PostgresView":
        """The catalog as this version published it; to be used within this view's ``with``.

        Raises :class:`InputError` for a version that was not published or is kept no longer.
        """
        kept = [noted.version for noted in self.versions()]
        if version not in kept:
            named = ", ".join(map(str, kept)) or "none"
            raise InputError(f"The catalog version {version} cannot be read; kept are {named}.")
        return PostgresView(self._cursor, version)

    def version(self) -> int:
        """The catalog version of this view; 0 before the first."""
        if self._at is not None:
            return self._at
        self._cursor.execute("SELECT version FROM persona_platform.store")
        return self._cursor.fetchone()[0]

    def versions(self) -> list[VersionInfo]:
        """The versions that can be read, the newest first."""
        return self._infos(
            f"SELECT {INFO} FROM persona_platform.publication "
            "WHERE version >= (SELECT oldest FROM persona_platform.store) ORDER BY version DESC"
        )

    def info(self, version: int) -> VersionInfo | None:
        """A published version, also one that can no longer be read; None where it never was."""
        found = self._infos(f"SELECT {INFO} FROM persona_platform.publication WHERE version = %s", version)
        return found[0] if found else None

    def get(self, persona_id: str) -> Persona | None:
        """The persona as the visible catalog has it; None when it has none of that id."""
        return self.get_many([persona_id]).get(persona_id)

    def get_many(self, persona_ids: Iterable[str]) -> dict[str, Persona]:
        """The personas that exist, by id."""
        asked = list(persona_ids)
        held = {key: body for key, body, _ in self._rows(PERSONAS, [persona_key(i) for i in asked])}
        return {i: decode(personas, held[i.encode()]) for i in asked if i.encode() in held}

    def scan(self, prefix: str = "") -> Iterator[Persona]:
        """The personas whose id begins with ``prefix``, in order of their ids."""
        for _, body, _ in self._under(PERSONAS, prefix.encode()):
            yield decode(personas, body)

    def history(self, persona_id: str) -> list[tuple[int, Persona]]:
        """Every content that the persona had, newest first, each with the catalog version that brought it."""
        until = self.version()
        self._cursor.execute(_HISTORY, {"kind": KINDS[PERSONAS], "key": persona_key(persona_id)})
        found = self._cursor.fetchall()
        return [(since, decode(personas, bytes(body))) for since, body in found if since <= until]

    def member(self, persona_id: str, workload_id: str) -> MemberRecord | None:
        """The workload as a member of the persona; None when it is none."""
        return next(_members(self._rows(MEMBERS, [member_key(persona_id, workload_id)])), None)

    def member_many(self, pairs: Iterable[tuple[str, str]]) -> dict[tuple[str, str], MemberRecord]:
        """The members that exist, by persona id and workload id."""
        rows = self._rows(MEMBERS, [member_key(*pair) for pair in pairs])
        return {(member.persona_id, member.workload_id): member for member in _members(rows)}

    def members(self, persona_id: str) -> list[MemberRecord]:
        """The persona's members, the heaviest first."""
        rows = _members(self._under(MEMBERS, persona_key(persona_id) + b"\0"))
        return sorted(rows, key=lambda m: (-m.weight, m.workload_id))

    def personas_of(self, workload_id: str) -> list[MemberRecord]:
        """The workload's memberships, the heaviest first."""
        found = self._rows(WORKLOADS, [workload_key(workload_id)])
        keys = [member_key(persona_id, workload_id) for _, body, _ in found for persona_id in decode(names, body)]
        return sorted(_members(self._rows(MEMBERS, keys)), key=lambda m: (-m.weight, m.persona_id))

    def activity(self, workload_id: str) -> ActivityNow | None:
        """What the workload plays by the newest observation; None when it was never observed."""
        asked = (workload_key(workload_id),)
        self._cursor.execute("SELECT body FROM persona_platform.activity WHERE workload = %s", asked)
        found = self._cursor.fetchone()
        return None if found is None else decode(activities, bytes(found[0]))

    def content(self) -> Iterator[tuple[bytes, bytes]]:
        """Keys and bodies of all personas, then all members, each in order of their keys."""
        for table in (PERSONAS, MEMBERS):
            # in a cursor of the server's: a million members do not fit at once
            with self._cursor.connection.cursor(f"content_{KINDS[table]}") as rows:
                rows.itersize = 5000
                rows.execute(f"SELECT key, body FROM {self._records} WHERE kind = %s ORDER BY key", (KINDS[table],))
                for key, body in rows:
                    yield bytes(key), bytes(body)

    def _infos(self, query: str, *given: int) -> list[VersionInfo]:
        self._cursor.execute(query, given)
        return [
            VersionInfo(version, at.astimezone(UTC), personas, members, changed, bytes(digest))
            for version, at, personas, members, changed, digest in self._cursor.fetchall()
        ]

    def _rows(self, table: bytes, keys: list[bytes]) -> Iterator[tuple[bytes, bytes, int]]:
        """Key, body and since of those keys that exist."""
        yield from self._found(KINDS[table], "key = ANY(%s::bytea[])", keys)

    def _under(self, table: bytes, prefix: bytes) -> Iterator[tuple[bytes, bytes, int]]:
        """Key, body and since of the keys that begin with a prefix, in their order."""
        if not prefix:
            return self._found(KINDS[table], "true")
        behind = prefix[:-1] + bytes([prefix[-1] + 1])  # text ends with no 0xFF
        return self._found(KINDS[table], "key >= %s AND key < %s", prefix, behind)

    def _found(self, kind: int, where: str, *given: object) -> Iterator[tuple[bytes, bytes, int]]:
        query = f"SELECT key, body, since FROM {self._records} WHERE kind = %s AND {where} ORDER BY key"
        self._cursor.execute(query, (kind, *given))
        for key, body, since in self._cursor.fetchall():
            yield bytes(key), bytes(body), since


def _members(rows: Iterable[tuple[bytes, bytes, int]]) -> Iterator[MemberRecord]:
    for _, body, since in rows:
        try:
            yield decode_member(value(body, since))
        except ValueError as fault:  # msgspec's errors
            raise unreadable(fault) from fault
