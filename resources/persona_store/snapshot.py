"""One consistent view of a store, now or at an earlier version."""

from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import Self

import lmdb
import msgspec

from persona_platform.errors import InputError
from persona_platform.personas.record import MemberRecord, Persona
from resources.persona_store import versions
from resources.persona_store.environment import Handle, Transaction
from resources.persona_store.records import (
    FIX,
    MEMBERS,
    PERSONAS,
    STAMP,
    WORKLOADS,
    ActivityNow,
    VersionInfo,
    activities,
    decode,
    decode_member,
    history_key,
    infos,
    member_key,
    names,
    persona_key,
    personas,
    since,
    unreadable,
    workload_key,
)


def read_fault(path: object, fault: Exception) -> InputError:
    """What to say of an error of reading."""
    if isinstance(fault, lmdb.BadValsizeError):
        return InputError("An id has more than 500 bytes; no persona has such a one.")
    if isinstance(fault, lmdb.ReadersFullError):
        return InputError(f"The persona store {path} has its 1024 readers; close snapshots that are left open.")
    if isinstance(fault, msgspec.DecodeError):
        return unreadable(fault)
    return InputError(f"The persona store {path} cannot be read ({fault}); {FIX}")


class Snapshot:
    """One consistent view of the store, for several reads that belong together. Use it in ``with``, briefly.

    While it is open the pages of its version cannot be reused, and the file grows with each publish.
    """

    __slots__ = ("_at", "_dbs", "_handle", "_txn")

    def __init__(self, handle: Handle) -> None:
        self._handle, self._dbs = handle, handle.dbs
        self._at: int | None = None

    def __enter__(self) -> Self:
        try:
            self._txn: Transaction = self._handle.begin()
        except lmdb.Error as fault:
            raise read_fault(self._handle.path, fault) from fault
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._txn.abort()
        if isinstance(fault, (lmdb.Error, msgspec.DecodeError)):
            raise read_fault(self._handle.path, fault) from fault

    def as_of(self, version: int) -> "Snapshot":
        """The catalog as this version published it; to be used within this snapshot's ``with``.

        Raises :class:`InputError` for a version that was not published here or is kept no longer.
        """
        if versions.info(self._txn, self._dbs, version) is None or version < versions.oldest(self._txn, self._dbs):
            kept = ", ".join(str(noted.version) for noted in self.versions()) or "none"
            raise InputError(f"The catalog version {version} cannot be read; kept are {kept}.")
        past = Snapshot(self._handle)
        past._txn, past._at = self._txn, version
        return past

    def version(self) -> int:
        """The catalog version of this view; 0 before the first."""
        return versions.current(self._txn, self._dbs) if self._at is None else self._at

    def versions(self) -> list[VersionInfo]:
        """The versions that can be read, newest first."""
        first = versions.oldest(self._txn, self._dbs)
        found = (infos.decode(held) for _, held in self._txn.cursor(self._dbs[b"versions"]).iterprev())
        return [noted for noted in found if noted.version >= first]

    def get(self, persona_id: str) -> Persona | None:
        """The persona as this version of the catalog has it; None when it has none of that id."""
        held = self._held(PERSONAS, persona_key(persona_id))
        return None if held is None else decode(personas, held[:-STAMP])

    def get_many(self, persona_ids: Iterable[str]) -> dict[str, Persona]:
        """The personas that exist, by id."""
        found = ((persona_id, self.get(persona_id)) for persona_id in persona_ids)
        return {persona_id: persona for persona_id, persona in found if persona is not None}

    def scan(self, prefix: str = "") -> Iterator[Persona]:
        """The personas whose id begins with ``prefix``, in order of their ids."""
        for _, held in self._under(PERSONAS, prefix.encode()):
            yield decode(personas, held[:-STAMP])

    def history(self, persona_id: str) -> list[tuple[int, Persona]]:
        """Every content that the persona had, newest first, each with the catalog version that brought it."""
        key = persona_key(persona_id)
        past = (self._superseded(version, PERSONAS, key) for version in self._later(0))
        found = [held for held in (*past, self._txn.get(key, db=self._dbs[PERSONAS])) if held is not None]
        until = self.version()
        return [(since(held), decode(personas, held[:-STAMP])) for held in reversed(found) if since(held) <= until]

    def member(self, persona_id: str, workload_id: str) -> MemberRecord | None:
        """The workload in that persona; None when it does not play it."""
        held = self._held(MEMBERS, member_key(persona_id, workload_id))
        return None if held is None else decode_member(held)

    def member_many(self, pairs: Iterable[tuple[str, str]]) -> dict[tuple[str, str], MemberRecord]:
        """The members that exist, by persona id and workload id."""
        if self._at is not None:
            found = ((pair, self.member(*pair)) for pair in pairs)
            return {pair: member for pair, member in found if member is not None}
        get, db, members = self._txn.get, self._dbs[MEMBERS], dict[tuple[str, str], MemberRecord]()
        for pair in pairs:
            held = get(member_key(*pair), None, db)
            if held is not None:
                members[pair] = decode_member(held)
        return members

    def members(self, persona_id: str) -> list[MemberRecord]:
        """The persona's members, the heaviest first."""
        rows = self._under(MEMBERS, persona_key(persona_id) + b"\0")
        return sorted((decode_member(held) for _, held in rows), key=lambda m: (-m.weight, m.workload_id))

    def personas_of(self, workload_id: str) -> list[MemberRecord]:
        """The workload's memberships, the heaviest first."""
        held = self._held(WORKLOADS, workload_key(workload_id))
        ids: list[str] = [] if held is None else decode(names, held[:-STAMP])
        found = (self.member(persona_id, workload_id) for persona_id in ids)
        return sorted((m for m in found if m is not None), key=lambda m: (-m.weight, m.persona_id))

    def activity(self, workload_id: str) -> ActivityNow | None:
        """What the workload plays by the newest observation; None when it was never observed.

        Activity has no history: a view of an earlier version shows the newest as well.
        """
        held = self._txn.get(workload_key(workload_id), db=self._dbs[b"act"])
        return None if held is None else decode(activities, held)

    def _held(self, table: bytes, key: bytes) -> bytes | None:
        """The value of a key at the version of this view."""
        held = self._txn.get(key, db=self._dbs[table])
        if self._at is None or (held is not None and since(held) <= self._at):
            return held
        past = (self._superseded(version, table, key) for version in self._later(self._at))
        held = next((found for found in past if found is not None), None)
        return held if held is not None and since(held) <= self._at else None

    def _under(self, table: bytes, prefix: bytes) -> Iterator[tuple[bytes, bytes]]:
        """The keys that begin so and their values at the version of this view, in order."""
        if self._at is None:
            yield from self._range(table, prefix)
            return
        found = dict(self._range(table, prefix))
        for version in reversed(self._later(self._at)):
            past = self._range(b"hist", history_key(version, table, prefix))
            found.update((key[STAMP + 1 :], held) for key, held in past)
        for key in sorted(found):
            if since(found[key]) <= self._at:
                yield key, found[key]

    def _later(self, version: int) -> list[int]:
        """The kept versions after this one, the oldest first."""
        keys = self._txn.cursor(self._dbs[b"versions"]).iternext(values=False)
        return [later for key in keys if (later := int.from_bytes(key)) > version]

    def _superseded(self, version: int, table: bytes, key: bytes) -> bytes | None:
        """What that version took the place of."""
        return self._txn.get(history_key(version, table, key), db=self._dbs[b"hist"])

    def _range(self, name: bytes, prefix: bytes) -> Iterator[tuple[bytes, bytes]]:
        cursor = self._txn.cursor(self._dbs[name])
        if cursor.set_range(prefix):
            for key, held in cursor:
                if not key.startswith(prefix):
                    return
                yield key, held
