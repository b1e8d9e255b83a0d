"""A catalog version as the keys and bodies of the store's tables, checked before anything is written."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from hashlib import blake2b
from typing import Self

import msgspec

from persona_platform.errors import InputError
from persona_platform.personas.record import MemberRecord, Persona
from resources.persona_store.records import (
    LAST,
    MAX_RECORD,
    MEMBERS,
    PERSONAS,
    WORKLOADS,
    encode,
    member_body,
    member_key,
    persona_key,
    workload_key,
)


class Publication(msgspec.Struct, frozen=True):
    """A whole catalog version: for each table, key to body."""

    version: int
    published_at: datetime
    tables: Mapping[bytes, Mapping[bytes, bytes]]
    digest: bytes

    @classmethod
    def of(
        cls,
        version: int,
        personas: Sequence[Persona],
        members: Sequence[MemberRecord],
        published_at: datetime | None = None,
    ) -> Self:
        """The version's tables; published now unless told.

        Raises :class:`InputError` for a version below 1, a persona or member given twice, a member of a
        persona that is not published, an id that cannot be a key, or a record that is too large.
        """
        if not 0 < version < LAST:
            raise InputError(f"The catalog version {version} cannot be published; versions count from 1.")
        tables = {
            PERSONAS: {persona_key(persona.persona_id): encode(persona) for persona in personas},
            MEMBERS: {member_key(m.persona_id, m.workload_id): member_body(m) for m in members},
        }
        if len(tables[PERSONAS]) < len(personas) or len(tables[MEMBERS]) < len(members):
            raise InputError(f"The catalog version {version} has a persona or a member twice; publish each once.")
        played: dict[str, list[str]] = {}
        for member, body in zip(members, tables[MEMBERS].values(), strict=True):
            _check_member(member, body, tables[PERSONAS])
            played.setdefault(member.workload_id, []).append(member.persona_id)
        # by id, not by weight: an order that seldom changes is seldom written
        tables[WORKLOADS] = {workload_key(workload): encode(sorted(ids)) for workload, ids in played.items()}
        return cls(version, published_at or datetime.now(UTC), tables, digest_of(_rows(tables)))


class Changes(msgspec.Struct, frozen=True):
    """From one version to the next: for each table, key to body, or to None where the record is gone."""

    previous: int
    version: int
    published_at: datetime
    tables: Mapping[bytes, Mapping[bytes, bytes | None]]
    digest: bytes


def digest_of(rows: Iterator[tuple[bytes, bytes]]) -> bytes:
    """16 bytes of the keys and bodies of all personas, then all members, each in order of their keys."""
    hashed = blake2b(digest_size=16)
    for key, body in rows:
        hashed.update(len(key).to_bytes(4) + key + len(body).to_bytes(8))
        hashed.update(body)
    return hashed.digest()


def _rows(tables: Mapping[bytes, Mapping[bytes, bytes]]) -> Iterator[tuple[bytes, bytes]]:
    for table in (PERSONAS, MEMBERS):
        rows = tables[table]
        for key in sorted(rows):
            yield key, rows[key]


def _check_member(member: MemberRecord, body: bytes, personas: Mapping[bytes, bytes]) -> None:
    who = f"The member '{member.workload_id[:80]}' of '{member.persona_id}'"
    if member.persona_id.encode() not in personas:
        raise InputError(f"{who} belongs to no published persona; publish that persona with it.")
    if "\0" in member.workload_id:
        raise InputError(f"{who} has a NUL in its workload id; ids are text without it.")
    size = len(body) - len(member.workload_id.encode())
    if size > MAX_RECORD:
        raise InputError(f"{who} takes {size} bytes beside its id; a member record has at most {MAX_RECORD}.")
