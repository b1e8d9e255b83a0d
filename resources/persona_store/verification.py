"""Whether a store is sound: its pages, then every record and what is said of them."""

from collections.abc import Iterator
from typing import Any, Final

import msgspec

from resources.persona_store import generations, versions
from resources.persona_store.catalog import digest_of
from resources.persona_store.environment import Handle, StoreReplacedError, current_key
from resources.persona_store.inspection import Transaction, structure_faults
from resources.persona_store.records import (
    MEMBERS,
    PERSONAS,
    STAMP,
    TAGS,
    WORKLOADS,
    activities,
    decode_member,
    member_key,
    names,
    persona_key,
    personas,
    since,
    workload_key,
)
from resources.persona_store.versions import Databases

SHOWN: Final = 20
"""Faults that are listed: a damaged file has thousands of the same."""


def verify(handle: Handle) -> list[str]:
    """What is wrong with the store: its pages, then every record; empty when it is sound.

    Writers wait while the pages are walked, some 10 s a GB; readers never.
    """
    with handle.begin(write=True):
        folder = generations.data_folder(handle.path)
        if folder is None or handle.key != current_key(handle.path):
            raise StoreReplacedError(f"The persona store {handle.path} was replaced; open it again.")
        faults = structure_faults(folder)
        txn = handle.begin()  # of the version that was walked
    try:
        return faults[:SHOWN] or content_faults(txn, handle.dbs)
    finally:
        txn.abort()


def content_faults(txn: Transaction, dbs: Databases) -> list[str]:
    """Records that do not decode or lie under another's key, and counts and digest that do not hold."""
    faults: list[str] = []
    for fault in _faults(txn, dbs):
        faults.append(fault)
        if len(faults) == SHOWN:
            break
    return faults


def _faults(txn: Transaction, dbs: Databases) -> Iterator[str]:
    version = versions.current(txn, dbs)
    yield from _record_faults(txn, dbs, PERSONAS, version)
    yield from _record_faults(txn, dbs, MEMBERS, version)
    yield from _workload_faults(txn, dbs)
    yield from _history_faults(txn, dbs, version)
    for key, held in txn.cursor(dbs[b"act"]):
        row = _read(activities.decode, held)
        if row is None or workload_key(row.workload_id) != key:
            yield f"the activity under {key[:60]!r} is not its own"
    noted = versions.info(txn, dbs, version)
    if noted is None:
        if any(txn.stat(dbs[table])["entries"] for table in (PERSONAS, MEMBERS)):
            yield f"there is a catalog, and no note of its version {version}"
        return
    counts = tuple(txn.stat(dbs[table])["entries"] for table in (PERSONAS, MEMBERS))
    if counts != (noted.personas, noted.members):
        yield f"it holds {counts} personas and members, version {version} has {(noted.personas, noted.members)}"
    rows = ((key, held[:-STAMP]) for table in (PERSONAS, MEMBERS) for key, held in txn.cursor(dbs[table]))
    if digest_of(rows) != noted.digest:
        yield f"the records are not those that were published as version {version}"


def _record_faults(txn: Transaction, dbs: Databases, table: bytes, version: int) -> Iterator[str]:
    for key, held in txn.cursor(dbs[table]):
        if _key_of(table, held) != key:
            yield f"the record of {table.decode()} under {key[:60]!r} is not its own"
        elif not 0 < since(held) <= version:
            yield f"the record of {table.decode()} under {key[:60]!r} is of version {since(held)}, later than {version}"


def _key_of(table: bytes, held: bytes) -> bytes | None:
    """The key that a value belongs under; None for one that cannot be read."""
    if table == PERSONAS:
        persona = _read(personas.decode, held[:-STAMP])
        return None if persona is None else persona_key(persona.persona_id)
    member = _read(decode_member, held)
    return None if member is None else member_key(member.persona_id, member.workload_id)


def _workload_faults(txn: Transaction, dbs: Databases) -> Iterator[str]:
    """Each pair of the index is a member and there are as many: so each member is in the index."""
    pairs = 0
    for key, held in txn.cursor(dbs[WORKLOADS]):
        for persona_id in _read(names.decode, held[:-STAMP]) or ():
            pairs += 1
            if txn.get(persona_id.encode() + b"\0" + key, db=dbs[MEMBERS]) is None:
                yield f"the workload under {key[:60]!r} is listed in '{persona_id}' and is no member of it"
    members = txn.stat(dbs[MEMBERS])["entries"]
    if pairs != members:
        yield f"the index of workloads has {pairs} memberships, there are {members}"


def _history_faults(txn: Transaction, dbs: Databases, version: int) -> Iterator[str]:
    tables = {tag: table for table, tag in TAGS.items()}
    for key, held in txn.cursor(dbs[b"hist"]):
        table, own = tables.get(key[STAMP : STAMP + 1], b""), key[STAMP + 1 :]
        timely = since(held) < int.from_bytes(key[:STAMP]) <= version
        if not timely or not (table == WORKLOADS or (table and _key_of(table, held) == own)):
            yield f"the superseded record under {key[:60]!r} is not its own"


def _read(decoder: Any, held: bytes) -> Any:
    try:
        return decoder(held)
    except msgspec.DecodeError:
        return None
