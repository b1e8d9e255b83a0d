"""Which truth a replica follows, as it notes itself, and whether what it has is that truth's past."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import lmdb
import msgspec

from persona_platform.errors import InputError
from resources.persona_store import versions
from resources.persona_store.environment import Handle
from resources.persona_store.postgres_changes import Head
from resources.persona_store.records import VersionInfo, encode

NOTE: Final = b"truth"
"""The key of the note in the replica's table ``meta``."""

FIX: Final = "replace it by what PostgreSQL holds: Replica.resync(url, path, force=True)."

Databases = Mapping[bytes, Any]


class Followed(msgspec.Struct, frozen=True, array_like=True):
    """The database that a replica follows, and the tick up to which it has that one's activity.

    ``own`` is the version that the store had published itself before it began to follow a truth that was empty.
    """

    identity: str
    tick: int = 0
    own: int = 0


class Held(msgspec.Struct, frozen=True):
    """What a replica has: its catalog version, that one's digest, and whom it follows; None for nobody yet."""

    version: int
    digest: bytes | None
    followed: Followed | None

    @property
    def is_own(self) -> bool:
        """Whether the catalog was published by the store itself, before it followed anybody."""
        return self.version > 0 and self.followed is not None and self.version == self.followed.own


def held(handle: Handle) -> Held:
    """What the store has now."""
    with handle.begin() as txn:
        version = versions.current(txn, handle.dbs)
        noted = versions.info(txn, handle.dbs, version)
        return Held(version, noted.digest if noted else None, _read(txn, handle.dbs))


def note(txn: lmdb.Transaction, dbs: Databases, followed: Followed) -> None:
    """Write it down; a tick of the same truth never goes back, also when two processes sync at once."""
    before = _read(txn, dbs)
    if before is not None and before.identity == followed.identity:
        followed = msgspec.structs.replace(followed, tick=max(before.tick, followed.tick))
    txn.put(NOTE, encode(followed), db=dbs[b"meta"])


def checked(path: Path, has: Held, at: Head, published: VersionInfo | None) -> Followed:
    """Whom the replica follows from now on; ``published`` is what the truth says of the replica's version.

    Raises :class:`InputError` for a store that has a catalog of its own, a replica of another truth, and a truth
    that was put back to an earlier state.
    """
    followed = has.followed
    same = published is not None and published.digest == has.digest
    if followed is None or (followed.identity != at.identity and not (has.version or followed.tick)):
        if has.version and at.version and not same:
            raise InputError(
                f"{path} holds a catalog of its own (version {has.version}), not a replica of the Persona Database "
                f"on PostgreSQL: move it away, or {FIX}"
            )
        return Followed(at.identity, own=0 if same else has.version)
    if followed.identity != at.identity:
        raise InputError(
            f"{path} is a replica of another Persona Database on PostgreSQL than the one at this URL: correct the "
            f"URL, or {FIX}"
        )
    replaceable = has.is_own and not 0 < at.version <= has.version
    if has.version and not same and not replaceable:
        raise InputError(
            f"PostgreSQL holds catalog version {at.version}, and not the version {has.version} that its replica "
            f"{path} has: it was put back to an earlier state. If that is meant, {FIX}"
        )
    return followed


def _read(txn: lmdb.Transaction, dbs: Databases) -> Followed | None:
    written = txn.get(NOTE, db=dbs[b"meta"])
    return None if written is None else msgspec.msgpack.decode(written, type=Followed)
