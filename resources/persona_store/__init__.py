"""The Persona Database: every persona, its members and what each workload plays now.

Read in this order: records (keys and values), catalog (a version as bytes), generations (the folder),
inspection and environment (opening), versions (writing), snapshot (reading), lmdb_store; migration, upkeep and
verification beside them; then postgres and replica, for many hosts.
What a persona is stands in ``persona_platform.personas.record``. Reading costs an import of LMDB and msgspec
only: nothing here imports numpy, polars or a database driver before it is used.
"""

from pathlib import Path

from persona_platform.personas.record import MemberRecord
from resources.persona_store.lmdb_store import PersonaStore
from resources.persona_store.records import ActivityNow, VersionInfo
from resources.persona_store.snapshot import Snapshot
from resources.persona_store.upkeep import Stats

__all__ = ["ActivityNow", "MemberRecord", "PersonaStore", "Snapshot", "Stats", "VersionInfo", "open_store"]


def open_store(path: Path | str, url: str | None = None) -> PersonaStore:
    """The store of a project: embedded, or with ``url`` the one of many hosts, read from a replica in ``path``."""
    if url is None:
        return PersonaStore(path)
    from resources.persona_store.replica import Replica

    return Replica(url, path)
