"""Writing a catalog version into the tables, keeping what it supersedes, and forgetting what is too old.

What a version supersedes goes to the history under that version and its key: appended in one piece, and in one
piece forgotten. The state at an earlier version is what the first version after it superseded, or what is
current; and a record of it is there if it was brought by then.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from persona_platform.errors import InputError
from resources.persona_store.catalog import Changes, Publication
from resources.persona_store.inspection import Transaction
from resources.persona_store.records import (
    MEMBERS,
    PERSONAS,
    STAMP,
    TABLES,
    WORKLOADS,
    VersionInfo,
    encode,
    history_key,
    infos,
    value,
)

Databases = Mapping[bytes, Any]
Step = tuple[bytes, bytes, bytes | None, bytes | None]
"""Table, key, what is held, the body that takes its place."""

CHUNK: Final = 1000
"""Changed keys in one value of ``byver``, and those that one pruning transaction goes through."""


def current(txn: Transaction, dbs: Databases) -> int:
    """The visible catalog version; 0 before the first."""
    return int.from_bytes(txn.get(b"version", b"", db=dbs[b"meta"]))


def oldest(txn: Transaction, dbs: Databases) -> int:
    """The oldest version that can still be read."""
    return int.from_bytes(txn.get(b"oldest", b"", db=dbs[b"meta"]))


def info(txn: Transaction, dbs: Databases, version: int) -> VersionInfo | None:
    """What is noted of a version that is kept."""
    held = txn.get(version.to_bytes(STAMP), db=dbs[b"versions"])
    return None if held is None else infos.decode(held)


def publish(txn: Transaction, dbs: Databases, publication: Publication) -> bool:
    """Make the catalog be this one; False when it is already, to the last byte."""
    held = current(txn, dbs)
    noted = info(txn, dbs, held)
    if publication.version == held and noted is not None and noted.digest == publication.digest:
        return False
    if publication.version <= held:
        raise InputError(
            f"The catalog version {publication.version} cannot be published: the store holds version {held}; "
            f"publish it as version {held + 1}."
        )
    _write(txn, dbs, publication, _differences(txn, dbs, publication))
    return True


def apply(txn: Transaction, dbs: Databases, changes: Changes) -> bool:
    """Go on from the version that the changes begin at; False when the store is beyond it already."""
    held = current(txn, dbs)
    if changes.version <= held:
        return False
    if changes.previous != held:
        raise InputError(
            f"The changes from version {changes.previous} to {changes.version} do not follow version {held}, "
            "which the store holds; publish the whole version."
        )
    steps = (
        (table, key, txn.get(key, db=dbs[table]), rows[key])
        for table in TABLES
        if (rows := changes.tables.get(table)) is not None
        for key in sorted(rows)
    )
    _write(txn, dbs, changes, steps)
    return True


def _differences(txn: Transaction, dbs: Databases, publication: Publication) -> Iterator[Step]:
    for table in TABLES:
        rows, db = publication.tables[table], dbs[table]
        there = set(txn.cursor(db).iternext(values=False))
        for key in sorted(there | rows.keys()):
            held, body = txn.get(key, db=db) if key in there else None, rows.get(key)
            if held is None or held[:-STAMP] != body:
                yield table, key, held, body


def _write(txn: Transaction, dbs: Databases, goal: Publication | Changes, steps: Iterator[Step]) -> None:
    """Take the steps, which come in the order of the tables and their keys, and note the version."""
    put = {table: _appending(txn, dbs[table]) for table in TABLES}
    records = 0
    for table, key, held, body in steps:
        if held is not None:
            txn.put(history_key(goal.version, table, key), held, append=True, db=dbs[b"hist"])
        if body is not None:
            put[table](key, value(body, goal.version))
        elif held is not None:
            txn.delete(key, db=dbs[table])
        records += table != WORKLOADS
    personas, members = (txn.stat(dbs[table])["entries"] for table in (PERSONAS, MEMBERS))
    noted = VersionInfo(goal.version, goal.published_at, personas, members, records, goal.digest)
    stamp = goal.version.to_bytes(STAMP)
    txn.put(stamp, encode(noted), db=dbs[b"versions"])
    if not current(txn, dbs):
        txn.put(b"oldest", stamp, db=dbs[b"meta"])
    txn.put(b"version", stamp, db=dbs[b"meta"])


def _appending(txn: Transaction, db: Any) -> Callable[[bytes, bytes], object]:
    """A put that fills pages to the brim behind the last key: an ordinary one leaves every second half empty."""
    cursor = txn.cursor(db)
    last = cursor.key() if cursor.last() else b""
    cursor.close()

    def put(key: bytes, held: bytes) -> None:
        nonlocal last
        if key > last:
            txn.put(key, held, append=True, db=db)
            last = key
        else:
            txn.put(key, held, db=db)

    return put


def prune_some(txn: Transaction, dbs: Databases, keep: int) -> tuple[int, bool]:
    """Make only the newest ``keep`` versions readable, and remove the oldest of what is history of none of them.

    How many records went, and whether there are more.
    """
    noted = list(txn.cursor(dbs[b"versions"]).iternext(values=False))
    if not noted:
        return 0, False
    first = noted[-keep:][0]
    if first > txn.get(b"oldest", b"", db=dbs[b"meta"]):
        txn.put(b"oldest", first, db=dbs[b"meta"])
    for old in noted[:-keep]:
        txn.delete(old, db=dbs[b"versions"])
    cursor, removed = txn.cursor(dbs[b"hist"]), 0
    cursor.first()
    while removed < CHUNK and cursor.key() and cursor.key()[:STAMP] <= first:
        cursor.delete()  # and stand on the next one
        removed += 1
    return removed, removed == CHUNK
