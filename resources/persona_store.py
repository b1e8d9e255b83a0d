"""The Persona Database: every persona, its members and what each workload plays now, in one LMDB environment.

What a catalog version publishes becomes visible at once and whole: a reader sees the old one or the new one.
Keys and records belong here; what a persona is stands in ``persona_platform.personas.record``. Nothing here
imports numpy or polars: a reader in another service pays for LMDB and msgspec only.

One environment is open once in a process, shared by every store on its path, and is never used in a child
that was forked after it was opened (its reader slots and locks are the parent's): spawn such children.
"""

import os
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from hashlib import blake2b
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self

import lmdb
import msgspec

from persona_platform.errors import InputError
from persona_platform.personas.record import Persona

if TYPE_CHECKING:
    from persona_platform.personas.catalog import Catalog

SCHEMA: Final = b"persona-store 1"
MAP_SIZE: Final = 64 << 30
"""Address space, not disk: an environment that has to grow later fails in every other process."""

MAX_RECORD: Final = 1340
"""Bytes of a member record: three fit a page of 4 KB; one of 2030 bytes takes 4124."""

DATABASES: Final = (b"meta", b"persona", b"rec", b"byw", b"hist", b"act")
LAST: Final = 2**64 - 1
FIX: Final = "move it away; the next refit publishes the catalog again."


class MemberRecord(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A workload as a member of a persona: its weight, its patterns that play it, its mean need in it."""

    persona_id: str
    workload_id: str
    weight: float
    patterns: tuple[int, ...] = ()
    mean: dict[str, float] = {}


class ActivityNow(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What a workload plays: since when, and when that was observed. Both times carry a zone."""

    workload_id: str
    persona_id: str
    since: datetime
    observed_at: datetime


def member_records(catalog: "Catalog") -> list[MemberRecord]:
    """The members that a catalog's personas name, each with its patterns that play the persona."""
    played: dict[tuple[str, str], list[int]] = {}
    for workload, pattern, persona in catalog.patterns.select("workload_id", "pattern", "persona_id").rows():
        played.setdefault((persona, workload), []).append(pattern)
    return [
        MemberRecord(
            persona.persona_id,
            member.workload_id,
            member.weight,
            tuple(sorted(played.get((persona.persona_id, member.workload_id), ()))),
        )
        for persona in catalog.personas
        for member in persona.members
    ]


_personas, _members = msgspec.msgpack.Decoder(Persona), msgspec.msgpack.Decoder(MemberRecord)
_activities, _names = msgspec.msgpack.Decoder(ActivityNow), msgspec.msgpack.Decoder(list[str])
_encode: Callable[[Any], bytes] = msgspec.msgpack.Encoder(order="deterministic").encode


class _Handle:
    """The one open environment of a data file in this process."""

    def __init__(self, path: Path, map_size: int) -> None:
        self.pid, self.uses = os.getpid(), 0
        self.env = lmdb.open(str(path), map_size=map_size, max_dbs=len(DATABASES), max_readers=1024)
        self.key = _file_key(path)
        try:
            self.dbs = _databases(self.env, path)
        except BaseException:
            self.env.close()
            raise


_handles: dict[tuple[int, int] | None, _Handle] = {}
_handles_lock = threading.Lock()


class Snapshot:
    """One consistent view of the store, for several reads that belong together. Use it in ``with``, briefly.

    While it is open the pages of its version cannot be reused, and the file grows with each publish.
    """

    __slots__ = ("_dbs", "_env", "_txn")

    def __init__(self, env: lmdb.Environment, dbs: Mapping[bytes, Any]) -> None:
        self._env, self._dbs = env, dbs

    def __enter__(self) -> Self:
        self._txn = self._env.begin()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._txn.abort()
        if isinstance(fault, lmdb.Error):
            raise InputError(f"The persona store {self._env.path()} cannot be read ({fault}); {FIX}") from fault

    def version(self) -> int:
        """The catalog version that is visible; 0 before the first."""
        return _version(self._txn, self._dbs)

    def get(self, persona_id: str) -> Persona | None:
        """The persona as the visible catalog has it; None when it has none of that id."""
        held = self._txn.get(persona_id.encode(), db=self._dbs[b"persona"])
        return None if held is None else _decode(_personas, memoryview(held)[8:])

    def get_many(self, persona_ids: Iterable[str]) -> dict[str, Persona]:
        """The personas that exist, by id."""
        found = ((persona_id, self.get(persona_id)) for persona_id in persona_ids)
        return {persona_id: persona for persona_id, persona in found if persona is not None}

    def scan(self, prefix: str = "") -> Iterator[Persona]:
        """The personas whose id begins with ``prefix``, in order of their ids."""
        for _, held in _under(self._txn, self._dbs[b"persona"], prefix.encode()):
            yield _decode(_personas, memoryview(held)[8:])

    def history(self, persona_id: str) -> list[tuple[int, Persona]]:
        """Every content that the persona had, newest first, each with the catalog version that brought it."""
        now = self._txn.get(persona_id.encode(), db=self._dbs[b"persona"])
        current = [] if now is None else [(int.from_bytes(now[:8]), _decode(_personas, memoryview(now)[8:]))]
        past = _under(self._txn, self._dbs[b"hist"], persona_id.encode() + b"\0")
        return current + [(LAST - int.from_bytes(key[-8:]), _decode(_personas, held)) for key, held in past]

    def members(self, persona_id: str) -> list[MemberRecord]:
        """The persona's members, the heaviest first."""
        rows = _under(self._txn, self._dbs[b"rec"], persona_id.encode() + b"\0")
        return sorted((_decode(_members, held) for _, held in rows), key=lambda m: (-m.weight, m.workload_id))

    def personas_of(self, workload_id: str) -> list[MemberRecord]:
        """The workload's memberships, the heaviest first."""
        held = self._txn.get(_digest(workload_id), db=self._dbs[b"byw"])
        ids = [] if held is None else _decode(_names, held)
        rows = (self._txn.get(_member_key(persona_id, workload_id), db=self._dbs[b"rec"]) for persona_id in ids)
        return [_decode(_members, row) for row in rows if row is not None]

    def activity(self, workload_id: str) -> ActivityNow | None:
        """What the workload plays by the newest observation; None when it was never observed."""
        held = self._txn.get(_digest(workload_id), db=self._dbs[b"act"])
        return None if held is None else _decode(_activities, held)


class PersonaStore:
    """The store in the folder ``path``, made when it does not exist; stores of one path share one handle.

    Raises :class:`InputError` for a folder that holds something else, or a damaged file.
    """

    def __init__(self, path: Path | str, *, map_size: int = MAP_SIZE) -> None:
        self.path = Path(path)
        self._handle: _Handle | None = _acquire(self.path, map_size)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the environment; the last store of a path in the process closes it."""
        handle, self._handle = self._handle, None
        if handle is not None:
            _release(handle)

    def snapshot(self) -> Snapshot:
        """One consistent view for several reads: ``with store.snapshot() as view: ...``."""
        handle = self._opened()
        return Snapshot(handle.env, handle.dbs)

    def version(self) -> int:
        """See :meth:`Snapshot.version`."""
        with self.snapshot() as view:
            return view.version()

    def get(self, persona_id: str) -> Persona | None:
        """See :meth:`Snapshot.get`."""
        with self.snapshot() as view:
            return view.get(persona_id)

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

    def publish(self, version: int, personas: Sequence[Persona], members: Sequence[MemberRecord]) -> bool:
        """Replace the catalog by ``version``, durably and in one transaction; what it supersedes is history.

        True when it was written; False when this very version is there already with the same content (twice
        is once). Activity is not touched.

        Raises :class:`InputError` for an older version, the same version with another content, a member of a
        persona that is not published, an id given twice, or a record that is too large.
        """
        catalog = _Catalog.of(version, personas, members)
        handle = self._opened()
        with _writing(handle, self.path) as txn:
            written = catalog.write(txn, handle.dbs)
        handle.env.reader_check()  # slots of killed readers would keep old pages
        return written

    def update_activity(self, rows: Sequence[ActivityNow]) -> int:
        """Keep what is newer than what is held, by ``observed_at``; the number of rows kept.

        One transaction for all rows: call it once a tick, not once a row.
        """
        naive = next((row for row in rows if row.since.tzinfo is None or row.observed_at.tzinfo is None), None)
        if naive is not None:
            raise InputError(f"The activity of '{naive.workload_id}' has a time without a zone; give it in UTC.")
        newest: dict[bytes, ActivityNow] = {}
        for row in rows:
            key = _digest(row.workload_id)
            if key not in newest or row.observed_at > newest[key].observed_at:
                newest[key] = row
        if not newest:
            return 0
        handle, kept = self._opened(), 0
        with _writing(handle, self.path) as txn:
            for key in sorted(newest):
                held = txn.get(key, db=handle.dbs[b"act"])
                if held is None or _decode(_activities, held).observed_at < newest[key].observed_at:
                    kept += txn.put(key, _encode(newest[key]), db=handle.dbs[b"act"])
        return kept

    def _opened(self) -> _Handle:
        if self._handle is None:
            raise InputError(f"The persona store {self.path} is closed; open it again before using it.")
        if self._handle.pid != os.getpid():
            raise InputError(_forked(self.path))
        return self._handle


class _Catalog(msgspec.Struct, frozen=True):
    """A catalog version as keys and values, checked."""

    version: int
    personas: dict[bytes, bytes]
    members: dict[bytes, bytes]
    by_workload: dict[bytes, bytes]
    digest: bytes

    @classmethod
    def of(cls, version: int, personas: Sequence[Persona], members: Sequence[MemberRecord]) -> Self:
        if not 0 < version < LAST:
            raise InputError(f"The catalog version {version} cannot be published; versions count from 1.")
        encoded = {_persona_key(persona.persona_id): _encode(persona) for persona in personas}
        rows = {_member_key(m.persona_id, m.workload_id): _encode(m) for m in members}
        if len(encoded) < len(personas) or len(rows) < len(members):
            raise InputError(f"The catalog version {version} has a persona or a member twice; publish each once.")
        by_workload: dict[str, list[MemberRecord]] = {}
        for member, row in zip(members, rows.values(), strict=True):
            who = f"The member '{member.workload_id}' of '{member.persona_id}'"
            if member.persona_id.encode() not in encoded:
                raise InputError(f"{who} belongs to no published persona; publish that persona with it.")
            if len(row) > MAX_RECORD:
                raise InputError(f"{who} takes {len(row)} bytes; a member record has at most {MAX_RECORD}.")
            by_workload.setdefault(member.workload_id, []).append(member)
        hashed = blake2b(digest_size=16)
        for key, value in (*sorted(encoded.items()), *sorted(rows.items())):
            hashed.update(len(key).to_bytes(4) + key + len(value).to_bytes(8) + value)
        return cls(
            version,
            encoded,
            rows,
            {_digest(w): _heaviest(m) for w, m in by_workload.items()},
            hashed.digest(),
        )

    def write(self, txn: lmdb.Transaction, dbs: Mapping[bytes, Any]) -> bool:
        held = _version(txn, dbs)
        if self.version == held and txn.get(b"digest", db=dbs[b"meta"]) == self.digest:
            return False
        if self.version <= held:
            raise InputError(
                f"The catalog version {self.version} cannot be published: the store holds version {held}; "
                f"publish it as version {held + 1}."
            )
        self._write_personas(txn, dbs[b"persona"], dbs[b"hist"])
        _replace(txn, dbs[b"rec"], self.members)
        _replace(txn, dbs[b"byw"], self.by_workload)
        txn.put(b"version", self.version.to_bytes(8), db=dbs[b"meta"])
        txn.put(b"digest", self.digest, db=dbs[b"meta"])
        return True

    def _write_personas(self, txn: lmdb.Transaction, current: Any, past: Any) -> None:
        held = {bytes(key): bytes(value) for key, value in txn.cursor(current)}
        for key, value in held.items():
            if self.personas.get(key) != value[8:]:
                since = int.from_bytes(value[:8])
                txn.put(key + b"\0" + (LAST - since).to_bytes(8), value[8:], db=past)
                txn.delete(key, db=current)
        for key in sorted(self.personas):
            if key not in held or held[key][8:] != self.personas[key]:
                txn.put(key, self.version.to_bytes(8) + self.personas[key], db=current)


def _heaviest(members: Sequence[MemberRecord]) -> bytes:
    return _encode([m.persona_id for m in sorted(members, key=lambda m: (-m.weight, m.persona_id))])


def _replace(txn: lmdb.Transaction, db: Any, rows: Mapping[bytes, bytes]) -> None:
    """Make the database hold exactly these rows; only what differs is written, in order of the keys."""
    gone = [bytes(key) for key in txn.cursor(db).iternext(values=False) if bytes(key) not in rows]
    for key in gone:
        txn.delete(key, db=db)
    for key in sorted(rows):
        if txn.get(key, db=db) != rows[key]:
            txn.put(key, rows[key], db=db)


def _under(txn: lmdb.Transaction, db: Any, prefix: bytes) -> Iterator[tuple[bytes, bytes]]:
    cursor = txn.cursor(db)
    if cursor.set_range(prefix):
        for key, value in cursor:
            if bytes(key[: len(prefix)]) != prefix:
                return
            yield bytes(key), bytes(value)


def _version(txn: lmdb.Transaction, dbs: Mapping[bytes, Any]) -> int:
    return int.from_bytes(txn.get(b"version", b"", db=dbs[b"meta"]))


def _persona_key(persona_id: str) -> bytes:
    key = persona_id.encode()
    if not 0 < len(key) <= 200 or b"\0" in key:
        raise InputError(f"The persona id '{persona_id[:40]}' cannot be a key; it has 1 to 200 bytes and no NUL.")
    return key


def _member_key(persona_id: str, workload_id: str) -> bytes:
    return persona_id.encode() + b"\0" + _digest(workload_id)


def _digest(workload_id: str) -> bytes:
    """A key of 16 bytes: ids made from labels are longer than LMDB's 511 bytes."""
    return blake2b(workload_id.encode(), digest_size=16).digest()


def _decode(decoder: msgspec.msgpack.Decoder, held: bytes | memoryview) -> Any:
    try:
        return decoder.decode(held)
    except msgspec.DecodeError as fault:
        raise InputError(f"A record of the persona store cannot be read ({fault}); {FIX}") from fault


@contextmanager
def _writing(handle: _Handle, path: Path) -> Iterator[lmdb.Transaction]:
    try:
        with handle.env.begin(write=True) as txn:
            yield txn
    except lmdb.MapFullError as fault:
        raise InputError(f"The persona store {path} is full; open it with a larger map_size.") from fault
    except lmdb.Error as fault:
        raise InputError(f"The persona store {path} cannot be written ({fault}); check its disk.") from fault


def _acquire(path: Path, map_size: int) -> _Handle:
    with _handles_lock:
        handle = _handles.get(_file_key(path))
        if handle is None:
            handle = _open(path, map_size)
            _handles[handle.key] = handle
        elif handle.pid != os.getpid():
            raise InputError(_forked(path))
        handle.uses += 1
        return handle


def _release(handle: _Handle) -> None:
    with _handles_lock:
        handle.uses -= 1
        if handle.uses == 0 and handle.pid == os.getpid():
            del _handles[handle.key]
            handle.env.close()


def _open(path: Path, map_size: int) -> _Handle:
    try:
        path.mkdir(parents=True, exist_ok=True)
        return _Handle(path, map_size)
    except FileExistsError as fault:
        raise InputError(f"{path} is a file, not the folder of a persona store; {FIX}") from fault
    except OSError as fault:
        raise InputError(f"The persona store {path} cannot be made ({fault}); check the folder.") from fault
    except (lmdb.InvalidError, lmdb.VersionMismatchError, lmdb.CorruptedError) as fault:
        raise InputError(f"{path} holds no readable persona store ({fault}); {FIX}") from fault
    except lmdb.Error as fault:
        raise InputError(f"The persona store {path} cannot be opened ({fault}); check the folder.") from fault


def _databases(env: lmdb.Environment, path: Path) -> dict[bytes, Any]:
    """The named databases of an environment, made when it is empty, refused when it is not ours.

    In a write transaction, although it seldom writes: handles outlive only such a one.
    """
    _check_length(env, path)
    with env.begin(write=True) as txn:
        found = set(map(bytes, islice(txn.cursor().iternext(values=False), len(DATABASES) + 1)))
        if found and found != set(DATABASES):
            raise InputError(f"{path} is an LMDB environment of something else; {FIX}")
        dbs = {name: env.open_db(name, txn=txn, create=not found) for name in DATABASES}
        if not found:
            txn.put(b"schema", SCHEMA, db=dbs[b"meta"])
        schema = bytes(txn.get(b"schema", b"", db=dbs[b"meta"]))
    if schema != SCHEMA:
        raise InputError(f"{path} has the schema '{schema.decode()}', not '{SCHEMA.decode()}'; {FIX}")
    return dbs


def _check_length(env: lmdb.Environment, path: Path) -> None:
    """Refuse a truncated file, which would end the process at the first read beyond its end (SIGBUS).

    A sound file can be short as well: free pages at its end were never written. So a short one is walked, in
    milliseconds, with writers locked out. Damage inside a file of full length is only seen when it is read.
    """
    if (path / "data.mdb").stat().st_size >= (env.info()["last_pgno"] + 1) * env.stat()["psize"]:
        return
    from lmdb.verify import VerifyError, verify

    with env.begin(write=True):
        try:
            faults = verify(str(path))
        except VerifyError as fault:
            faults = [str(fault)]
    if faults:
        raise InputError(f"{path} holds a damaged persona store ({faults[0]}); {FIX}")


def _file_key(path: Path) -> tuple[int, int] | None:
    """The data file itself, not its path: a store that was removed and made again is another one."""
    try:
        status = (path / "data.mdb").stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _forked(path: Path) -> str:
    return f"The persona store {path} was opened before this process was forked; start the process with spawn."
