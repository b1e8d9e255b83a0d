"""From an older schema to this one, beside the old data, which stays as it is until the new one is current."""

import logging
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import lmdb

from persona_platform.errors import InputError
from resources.persona_store import generations
from resources.persona_store.environment import MAP_SIZE, Handle
from resources.persona_store.inspection import (
    DATABASES,
    Transaction,
    check_length,
    open_faults,
    schema_of,
    write_faults,
)
from resources.persona_store.records import FIX, SCHEMA, activities, decode, encode, workload_key

KEPT: Final = "schema-1"
"""The folder beside the new data that the old file is moved to."""

log = logging.getLogger(__name__)


def upgrade(path: Path) -> None:
    """Take over what is true of a store of schema 1: its version, and what each workload plays.

    Its catalog is left out: the records of then lack what those of now must have (intervals, probabilities).
    The next refit publishes a new one, with the next number. Raises :class:`InputError` for what is damaged,
    foreign, or of a schema that is not known, and leaves it as it was.
    """
    with generations.replacing(path):
        if not generations.has_first_layout(path):
            return  # another process did it
        with open_faults(path):
            env = lmdb.open(str(path), map_size=MAP_SIZE, max_dbs=len(DATABASES), create=False)
        try:
            check_length(env, path, path)
            schema = schema_of(env, path)
            if schema not in {None, 1}:
                raise InputError(f"{path} has schema {schema}, this program knows 1 and {SCHEMA}; {FIX}")
            begin: Callable[..., Transaction] = env.begin
            with write_faults(path), begin(write=True) as old:  # whoever else writes to it waits, then ends here
                note = _rebuild(path, {} if schema is None else _read(env, old))
        finally:
            env.close()
        (path / KEPT).mkdir(exist_ok=True)
        for name in (generations.DATA, "lock.mdb"):
            (path / name).replace(path / KEPT / name)
        log.warning("%s: %s", path, note)


def _read(env: lmdb.Environment, old: Transaction) -> dict[str, Any]:
    meta, act = (env.open_db(name, txn=old, create=False) for name in (b"meta", b"act"))
    persona = env.open_db(b"persona", txn=old, create=False)
    return {
        "version": old.get(b"version", b"", db=meta),
        "personas": old.stat(persona)["entries"],
        "activity": [decode(activities, held) for _, held in old.cursor(act)],
    }


def _rebuild(path: Path, found: Mapping[str, Any]) -> str:
    """Make a generation of what was found and switch to it; what was done, in words."""
    version, rows = int.from_bytes(found.get("version", b"")), found.get("activity", [])
    note = (
        f"Migrated from schema 1 on {datetime.now(UTC):%Y-%m-%d}: version {version} and the activity of {len(rows)} "
        f"workloads are kept; its {found.get('personas', 0)} personas have another form now and come back with the "
        f"next refit. The old file lies in {KEPT}."
    )
    with generations.new_generation(path) as building:
        handle = Handle(path, building, MAP_SIZE)
        try:
            with handle.begin(write=True) as txn:
                for row in rows:
                    txn.put(workload_key(row.workload_id), encode(row), db=handle.dbs[b"act"])
                if version:
                    txn.put(b"version", version.to_bytes(8), db=handle.dbs[b"meta"])
                    txn.put(b"oldest", (version + 1).to_bytes(8), db=handle.dbs[b"meta"])
                txn.put(b"note", note.encode(), db=handle.dbs[b"meta"])
        finally:
            handle.env.close()
        generations.switch(path, building)
    return note
