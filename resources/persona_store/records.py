"""The store's records as bytes: what a key is, what a value is, and the number of the schema that says so.

A value of the catalog's tables ends with the 8 bytes of the catalog version that brought it; what stands before
is its body. A member's value is decoded as it lies, without a copy: its stamp is one more element of its array,
which the decoder passes over. So a new field of a record is a new schema.
"""

from collections.abc import Callable
from datetime import datetime
from hashlib import blake2b
from typing import Any, Final

import msgspec

from persona_platform.errors import InputError
from persona_platform.personas.record import MemberRecord, Persona

SCHEMA: Final = 2
LAST: Final = 2**64 - 1
STAMP: Final = 8
FIX: Final = "restore a backup (persona store restore), or move it away: the next refit publishes the catalog again."

MAX_RECORD: Final = 1340
"""Bytes of a member's body beside its workload id: three fit a page of 4 KB; one of 2030 bytes takes 4124.
An id made of many labels takes more, and is nobody's fault."""

MAX_PERSONA_ID: Final = 200
PLAIN: Final = 72
"""Characters of a workload id that is its own key; a longer one (made of labels) is hashed, in 0.6 us. With
a persona id and a stamp it stays below LMDB's 511 bytes."""

PERSONAS, MEMBERS, WORKLOADS = b"persona", b"rec", b"byw"
TABLES: Final = (PERSONAS, MEMBERS, WORKLOADS)
"""The tables of a catalog version: persona id to persona, persona and workload to member, workload to persona ids."""

TAGS: Final = {table: bytes([number]) for number, table in enumerate(TABLES, start=1)}
"""The byte before a key in the history, where the keys of all tables lie together."""


class ActivityNow(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What a workload plays: since when, and when that was observed. Both times carry a zone."""

    workload_id: str
    persona_id: str
    since: datetime
    observed_at: datetime


class VersionInfo(msgspec.Struct, frozen=True, array_like=True):
    """A published catalog version: when, how many records it has and changed, and the digest of its content."""

    version: int
    published_at: datetime
    personas: int
    members: int
    changed: int  # records of personas and members that were written or removed
    digest: bytes


encode: Callable[[Any], bytes] = msgspec.msgpack.Encoder(order="deterministic").encode
decode_member: Callable[[bytes], MemberRecord] = msgspec.msgpack.Decoder(MemberRecord).decode
personas: Final = msgspec.msgpack.Decoder(Persona)
names: Final = msgspec.msgpack.Decoder(list[str])
activities: Final = msgspec.msgpack.Decoder(ActivityNow)
infos: Final = msgspec.msgpack.Decoder(VersionInfo)


def decode(decoder: msgspec.msgpack.Decoder, body: bytes) -> Any:
    """The record, or :class:`InputError` for bytes of another form."""
    try:
        return decoder.decode(body)
    except msgspec.DecodeError as fault:
        raise unreadable(fault) from fault


def unreadable(fault: Exception) -> InputError:
    """What to say of a record that cannot be decoded."""
    return InputError(f"A record of the persona store cannot be read ({fault}); {FIX}")


def member_body(member: MemberRecord) -> bytes:
    """A member without its stamp: an array with room for one more element, a byte string of 8."""
    plain = encode(member)
    return bytes([plain[0] + 1]) + plain[1:] + b"\xc4\x08"  # bin 8 of 8 bytes; arrays below 15 count in one byte


def value(body: bytes, version: int) -> bytes:
    """A body with the version that brought it."""
    return body + version.to_bytes(STAMP)


def since(held: bytes) -> int:
    """The version that brought a value."""
    return int.from_bytes(held[-STAMP:])


def persona_key(persona_id: str) -> bytes:
    """Its own bytes."""
    key = persona_id.encode()
    if not 0 < len(key) <= MAX_PERSONA_ID or b"\0" in key:
        raise InputError(f"The persona id '{persona_id[:40]}' cannot be a key; it has 1 to 200 bytes and no NUL.")
    return key


def workload_key(workload_id: str) -> bytes:
    """Its own bytes, or a hash behind a byte that no UTF-8 begins with."""
    if 0 < len(workload_id) <= PLAIN:
        return workload_id.encode()
    return b"\xff" + blake2b(workload_id.encode(), digest_size=16).digest()


def member_key(persona_id: str, workload_id: str) -> bytes:
    """Persona-major, so that the members of a persona lie side by side."""
    if 0 < len(workload_id) <= PLAIN:
        return f"{persona_id}\0{workload_id}".encode()
    return persona_id.encode() + b"\0" + workload_key(workload_id)


def history_key(version: int, table: bytes, key: bytes) -> bytes:
    """Of what ``version`` superseded: version-major, so that each version's history is written in one piece."""
    return version.to_bytes(STAMP) + TAGS[table] + key
