"""The catalog: one published version of all personas, with the frozen levels and patterns that play needs."""

from dataclasses import dataclass, field
from datetime import timedelta
from functools import cached_property
from typing import Final, TypeVar

import msgspec
import polars as pl

from persona_platform.errors import InputError
from persona_platform.frames import Schema, conform, empty
from persona_platform.personas.clustering import SELECTION
from persona_platform.personas.levels import LEVELS
from persona_platform.personas.lineage import LINEAGE, REFITS
from persona_platform.personas.newcomers.peer_tables import PeerTables, peer_tables
from persona_platform.personas.newcomers.peers import PEERS, no_peers
from persona_platform.personas.record import MemberRecord, Persona
from persona_platform.personas.shapes import SHAPES

PATTERNS: Final[Schema] = {
    "workload_id": pl.String,
    "pattern": pl.UInt16,
    "kind": pl.String,  # resting, steady, active
    "persona_id": pl.String,
    "probability": pl.Float64,  # of that persona, given the pattern
    "activations": pl.Int64,
    "slots": pl.Int64,  # read slots in which it was played
    "features": pl.List(pl.Float64),  # as features.SCALES weighs them
    **SHAPES,  # null for resting and steady
}
_RECORDS: Final[Schema] = {"persona_id": pl.String, "version": pl.Int64, "record": pl.Binary}
_MEMBERS: Final[Schema] = {"persona_id": pl.String, "workload_id": pl.String, "record": pl.Binary}
_HEAD: Final[Schema] = {"version": pl.Int64, "slot_us": pl.Int64, "last_id": pl.Int64}

Stored = TypeVar("Stored", Persona, MemberRecord)


@dataclass(frozen=True)
class Catalog:
    """``patterns`` as :data:`PATTERNS`, ``levels`` as levels.LEVELS, ``selection`` as clustering.SELECTION.

    ``last_id`` is the highest persona number ever given, so that no id is given twice. ``lineage`` and ``refits``
    (lineage.LINEAGE and REFITS) are of the refits so far, this one too. ``peers`` (peers.PEERS) are the workloads that
    newcomers are compared with.
    """

    version: int
    slot: timedelta
    personas: tuple[Persona, ...]
    patterns: pl.DataFrame
    levels: pl.DataFrame
    selection: pl.DataFrame
    last_id: int = 0
    lineage: pl.DataFrame = field(default_factory=lambda: empty(LINEAGE))
    refits: pl.DataFrame = field(default_factory=lambda: empty(REFITS))
    members: tuple[MemberRecord, ...] = ()
    peers: pl.DataFrame = field(default_factory=no_peers)

    @cached_property
    def peer_tables(self) -> PeerTables | None:
        """The peers as arrays; none without peers."""
        return peer_tables(self.peers)


def catalog_frames(catalog: Catalog) -> dict[str, pl.DataFrame]:
    """The catalog as frames that can be stored as Parquet, by name."""
    head = {
        "version": [catalog.version],
        "slot_us": [catalog.slot // timedelta(microseconds=1)],
        "last_id": [catalog.last_id],
    }
    records = [(p.persona_id, p.version, msgspec.msgpack.encode(p)) for p in catalog.personas]
    members = [(m.persona_id, m.workload_id, msgspec.msgpack.encode(m)) for m in catalog.members]
    return {
        "head": pl.DataFrame(head, schema=_HEAD),
        "personas": pl.DataFrame(records, schema=_RECORDS, orient="row"),
        "members": pl.DataFrame(members, schema=_MEMBERS, orient="row"),
        "patterns": conform(catalog.patterns, PATTERNS, "the catalog's patterns"),
        "levels": conform(catalog.levels, LEVELS, "the catalog's levels"),
        "selection": conform(catalog.selection, SELECTION, "the catalog's selection"),
        "lineage": conform(catalog.lineage, LINEAGE, "the catalog's lineage"),
        "refits": conform(catalog.refits, REFITS, "the catalog's refits"),
        "peers": conform(catalog.peers, PEERS, "the catalog's peers"),
    }


def catalog_from_frames(frames: dict[str, pl.DataFrame]) -> Catalog:
    """The catalog that :func:`catalog_frames` made the frames of."""
    names = ("head", "personas", "members", "patterns", "levels", "selection", "lineage", "refits")
    missing = [name for name in names if name not in frames]
    if missing:
        raise InputError(f"The stored catalog lacks {', '.join(missing)}; refit the personas.")
    version, slot, last_id = _head(frames["head"])
    return Catalog(
        version=version,
        slot=slot,
        personas=_decoded(frames["personas"], _RECORDS, Persona),
        patterns=conform(frames["patterns"], PATTERNS, "the catalog's patterns"),
        levels=conform(frames["levels"], LEVELS, "the catalog's levels"),
        selection=conform(frames["selection"], SELECTION, "the catalog's selection"),
        last_id=last_id,
        lineage=conform(frames["lineage"], LINEAGE, "the catalog's lineage"),
        refits=conform(frames["refits"], REFITS, "the catalog's refits"),
        members=_decoded(frames["members"], _MEMBERS, MemberRecord),
        peers=conform(frames.get("peers", no_peers()), PEERS, "the catalog's peers"),
    )


def catalog_to_succeed(frames: dict[str, pl.DataFrame]) -> tuple[Catalog, str]:
    """The stored catalog as the one before a refit, and why hardly anything of it can be read ("" when all can).

    A catalog of an older release is good for its version and its last id only: personas are found anew then, and no
    id is given twice. Raises :class:`InputError` when not even these are there.
    """
    try:
        return catalog_from_frames(frames), ""
    except InputError as fault:
        if "head" not in frames:
            raise
        version, slot, last_id = _head(frames["head"])
        bare = Catalog(version, slot, (), empty(PATTERNS), empty(LEVELS), empty(SELECTION), last_id)
        return bare, str(fault)


def _head(head: pl.DataFrame) -> tuple[int, timedelta, int]:
    row = conform(head, _HEAD, "the catalog's head")
    if row.height != 1:
        raise InputError(f"The stored catalog has {row.height} heads, not 1; refit the personas.")
    version, slot_us, last_id = row.row(0)
    return version, timedelta(microseconds=slot_us), last_id


def _decoded(stored: pl.DataFrame, schema: Schema, kind: type[Stored]) -> tuple[Stored, ...]:
    try:
        records = conform(stored, schema, "the catalog's records")["record"]
        return tuple(msgspec.msgpack.decode(record, type=kind) for record in records)
    except msgspec.DecodeError as fault:
        raise InputError(f"The stored catalog has records of another release ({fault}); refit the personas.") from fault
