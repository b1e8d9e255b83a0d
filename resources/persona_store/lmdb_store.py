"""The embedded Persona Database: what is published becomes visible at once and whole, in every process."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self, TypeVar

import lmdb
import msgspec

from persona_platform.errors import InputError
from persona_platform.personas.record import MemberRecord, Persona
from resources.persona_store import upkeep, verification, versions
from resources.persona_store.catalog import Changes, Publication
from resources.persona_store.environment import MAP_SIZE, Handle, StoreReplacedError, Transaction, acquire, release
from resources.persona_store.migration import upgrade
from resources.persona_store.records import (
    PLAIN,
    ActivityNow,
    VersionInfo,
    activities,
    decode,
    decode_member,
    encode,
    member_key,
    workload_key,
)
from resources.persona_store.snapshot import Snapshot, read_fault

KEEP: Final = 12
"""Catalog versions whose state can be read: a quarter of weekly refits.

Each that changes every record adds the catalog's own size to the file."""

T = TypeVar("T")


class PersonaStore:
    """The store in the folder ``path``, made when it does not exist; stores of one path share one handle.

    It may be used from several threads. ``keep`` is the number of versions that stay readable. Raises
    :class:`InputError` for a folder that holds something else, or a damaged file.
    """

    def __init__(self, path: Path | str, *, map_size: int = MAP_SIZE, keep: int = KEEP) -> None:
        self.path, self._map_size, self._keep = Path(path), map_size, keep
        self._held = [acquire(self.path, map_size, upgrade)]
        self._handle: Handle | None = self._held[0]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the environment; the last store of a path in the process closes it."""
        self._handle = None
        held, self._held = self._held, []
        for handle in held:
            release(handle)

    # Reading

    def snapshot(self) -> Snapshot:
        """One consistent view for several reads: ``with store.snapshot() as view: ...``."""
        return Snapshot(self._opened())

    def member(self, persona_id: str, workload_id: str) -> MemberRecord | None:
        """See :meth:`Snapshot.member`. The read that is asked most: one function, 1.4 times a bare get of LMDB."""
        handle = self._handle
        if handle is None:
            raise self._closed()
        try:
            txn = handle.begin(handle.members)
            try:
                held = txn.get(
                    f"{persona_id}\0{workload_id}".encode()
                    if 0 < len(workload_id) <= PLAIN
                    else member_key(persona_id, workload_id)
                )
            finally:
                txn.abort()
            return None if held is None else decode_member(held)
        except (lmdb.Error, msgspec.DecodeError) as fault:
            raise read_fault(self.path, fault) from fault

    def member_many(self, pairs: Iterable[tuple[str, str]]) -> dict[tuple[str, str], MemberRecord]:
        """See :meth:`Snapshot.member_many`."""
        with self.snapshot() as view:
            return view.member_many(pairs)

    def version(self) -> int:
        """See :meth:`Snapshot.version`."""
        with self.snapshot() as view:
            return view.version()

    def versions(self) -> list[VersionInfo]:
        """See :meth:`Snapshot.versions`."""
        with self.snapshot() as view:
            return view.versions()

    def get(self, persona_id: str, version: int | None = None) -> Persona | None:
        """The persona, as the current catalog has it or as ``version`` had it; see :meth:`Snapshot.as_of`."""
        with self.snapshot() as view:
            return (view if version is None else view.as_of(version)).get(persona_id)

    def get_many(self, persona_ids: Iterable[str]) -> dict[str, Persona]:
        """See :meth:`Snapshot.get_many`."""
        with self.snapshot() as view:
            return view.get_many(persona_ids)

    def scan(self, prefix: str = "") -> Iterator[Persona]:
        """See :meth:`Snapshot.scan`; read at once, so that a slow consumer holds no snapshot."""
        with self.snapshot() as view:
            return iter(list(view.scan(prefix)))

    def history(self, persona_id: str) -> list[tuple[int, Persona]]:
        """See :meth:`Snapshot.history`."""
        with self.snapshot() as view:
            return view.history(persona_id)

    def members(self, persona_id: str) -> list[MemberRecord]:
        """See :meth:`Snapshot.members`."""
        with self.snapshot() as view:
            return view.members(persona_id)

    def personas_of(self, workload_id: str) -> list[MemberRecord]:
        """See :meth:`Snapshot.personas_of`."""
        with self.snapshot() as view:
            return view.personas_of(workload_id)

    def activity(self, workload_id: str) -> ActivityNow | None:
        """See :meth:`Snapshot.activity`."""
        with self.snapshot() as view:
            return view.activity(workload_id)

    # Writing

    def publish(self, version: int, personas: Sequence[Persona], members: Sequence[MemberRecord]) -> bool:
        """Replace the catalog by ``version``, durably and in one transaction; what it supersedes is history.

        True when it was written; False when this very version is there already with the same content (twice
        is once). Activity is not touched. Versions beyond ``keep`` are pruned afterwards.

        Raises :class:`InputError` for an older version, the same version with another content, a member of a
        persona that is not published, an id given twice, or a record that is too large.
        """
        return self.publish_whole(Publication.of(version, personas, members))

    def publish_whole(self, publication: Publication) -> bool:
        """See :meth:`publish`; of a catalog that is bytes already."""
        return self._published(lambda txn, dbs: versions.publish(txn, dbs, publication))

    def apply(self, changes: Changes) -> bool:
        """Go on from the version that the changes begin at; False when the store has them already.

        Raises :class:`InputError` when the store holds another version than the one they begin at.
        """
        return self._published(lambda txn, dbs: versions.apply(txn, dbs, changes))

    def update_activity(self, rows: Sequence[ActivityNow]) -> int:
        """Keep what is newer than what is held, by ``observed_at``; the number of rows kept.

        One transaction for all rows: call it once a tick, not once a row.
        """
        naive = next((row for row in rows if row.since.tzinfo is None or row.observed_at.tzinfo is None), None)
        if naive is not None:
            raise InputError(f"The activity of '{naive.workload_id}' has a time without a zone; give it in UTC.")
        newest: dict[bytes, ActivityNow] = {}
        for row in rows:
            key = workload_key(row.workload_id)
            if key not in newest or row.observed_at > newest[key].observed_at:
                newest[key] = row
        return self._write(lambda txn, dbs: _put_newer(txn, dbs[b"act"], newest)) if newest else 0

    def prune(self, keep: int) -> int:
        """Forget all but the newest ``keep`` versions; the number of superseded records that are gone.

        In short transactions, so that no other writer waits long; a stopped one is finished by the next.
        """
        if keep < 1:
            raise InputError(f"{keep} versions cannot be kept; the current one always is.")
        removed, more = 0, True
        while more:
            some, more = self._write(lambda txn, dbs: versions.prune_some(txn, dbs, keep))
            removed += some
        return removed

    # Upkeep

    def stats(self) -> upkeep.Stats:
        """The store in figures."""
        return upkeep.stats(self._opened())

    def verify(self) -> list[str]:
        """What is wrong with pages or records, in words; empty when the store is sound. Writers wait meanwhile."""
        return verification.verify(self._opened())

    def backup(self, destination: Path | str) -> None:
        """A consistent copy into a new folder while others read and write; it is a store folder itself."""
        upkeep.backup(self._opened(), Path(destination))

    @staticmethod
    def restore(path: Path | str, source: Path | str) -> None:
        """Put a backup in the place of the store in ``path``, sound or not; see :func:`upkeep.restore`.

        Stores that are open go on reading what was until they are opened again.
        """
        upkeep.restore(Path(path), Path(source))

    def _published(self, work: Callable[[Transaction, Mapping[bytes, Any]], bool]) -> bool:
        written = self._write(work)
        if written:
            self.prune(self._keep)
        return written

    def _write(self, work: Callable[[Transaction, Mapping[bytes, Any]], T]) -> T:
        while True:
            try:
                return self._opened().write(work)
            except StoreReplacedError:
                handle = acquire(self.path, self._map_size, upgrade)
                self._held.append(handle)  # the old one closes with the store: a snapshot may still read it
                self._handle = handle

    def _opened(self) -> Handle:
        if self._handle is None:
            raise self._closed()
        return self._handle

    def _closed(self) -> InputError:
        return InputError(f"The persona store {self.path} is closed; open it again before using it.")


def _put_newer(txn: Transaction, db: Any, rows: Mapping[bytes, ActivityNow]) -> int:
    kept = 0
    for key in sorted(rows):
        held = txn.get(key, db=db)
        if held is None or decode(activities, held).observed_at < rows[key].observed_at:
            kept += txn.put(key, encode(rows[key]), db=db)
    return kept
