"""The tables of the Persona Database on PostgreSQL, and bringing an older schema up to date.

Keys and bodies are the bytes that the LMDB store writes, so that a replica copies and never translates. A row of
``record`` is what a key holds now, ``superseded`` what it held before: from version ``since`` up to, without it,
``until``. Both together are every published version.
"""

from collections.abc import Sequence
from typing import Any, Final

from persona_platform.errors import InputError
from resources.persona_store.records import SCHEMA

LOCK: Final = 0x706572736F6E61
"""The advisory lock under which the tables are made and changed: "persona" in ASCII."""

FIRST: Final = """
CREATE SCHEMA IF NOT EXISTS persona_platform;
CREATE TABLE persona_platform.store (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    schema integer NOT NULL,
    records integer NOT NULL,
    identity uuid NOT NULL DEFAULT gen_random_uuid(),
    version bigint NOT NULL DEFAULT 0,
    oldest bigint NOT NULL DEFAULT 0
);
COMMENT ON COLUMN persona_platform.store.records IS 'the schema of keys and bodies';
COMMENT ON COLUMN persona_platform.store.version IS 'the visible catalog version; publishers lock this row';
COMMENT ON COLUMN persona_platform.store.oldest IS 'what was superseded before this version is forgotten';
CREATE TABLE persona_platform.publication (
    version bigint PRIMARY KEY,
    published_at timestamptz NOT NULL,
    personas integer NOT NULL,
    members integer NOT NULL,
    changed integer NOT NULL,
    digest bytea NOT NULL
);
CREATE TABLE persona_platform.record (
    kind smallint NOT NULL,
    key bytea NOT NULL,
    since bigint NOT NULL,
    body bytea NOT NULL,
    PRIMARY KEY (kind, key)
);
CREATE INDEX record_since ON persona_platform.record (since);
CREATE TABLE persona_platform.superseded (
    kind smallint NOT NULL,
    key bytea NOT NULL,
    since bigint NOT NULL,
    until bigint NOT NULL,
    body bytea NOT NULL,
    PRIMARY KEY (kind, key, since)
);
CREATE INDEX superseded_since ON persona_platform.superseded (since);
CREATE INDEX superseded_until ON persona_platform.superseded (until);
CREATE TABLE persona_platform.activity (
    workload bytea PRIMARY KEY,
    observed_at timestamptz NOT NULL,
    tick bigint NOT NULL,
    body bytea NOT NULL
);
CREATE INDEX activity_tick ON persona_platform.activity (tick);
CREATE TABLE persona_platform.clock (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    tick bigint NOT NULL DEFAULT 0
);
INSERT INTO persona_platform.clock DEFAULT VALUES;
"""

STEPS: Final = (FIRST,)
"""What brings schema n to n + 1, the first from nothing. Steps are added at the end, and never changed."""


def prepare(connection: Any, steps: Sequence[str] = STEPS) -> None:
    """Makes the tables, or brings them up to date, in one transaction; where they are, it only reads.

    Raises :class:`InputError` for tables or records of another program version.
    """
    with connection, connection.cursor() as cursor:
        if _held(cursor) == (len(steps), SCHEMA):
            return
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", (LOCK,))
        schema, records = _held(cursor)
        _check(schema, records, len(steps))
        for step in steps[schema:]:
            cursor.execute(step)
        if schema:
            cursor.execute("UPDATE persona_platform.store SET schema = %s", (len(steps),))
        else:
            cursor.execute("INSERT INTO persona_platform.store (schema, records) VALUES (%s, %s)", (len(steps), SCHEMA))


def _held(cursor: Any) -> tuple[int, int]:
    """The schema of the tables and of the records in them; 0 and this program's where there are none."""
    # not to_regclass(), which within one transaction repeats its first answer from a cache
    cursor.execute("SELECT FROM pg_catalog.pg_tables WHERE schemaname = 'persona_platform' AND tablename = 'store'")
    if cursor.fetchone() is None:
        return 0, SCHEMA
    cursor.execute("SELECT schema, records FROM persona_platform.store")
    return cursor.fetchone() or (0, SCHEMA)


def _check(schema: int, records: int, known: int) -> None:
    if schema > known or records > SCHEMA:
        raise InputError(
            f"The Persona Database on PostgreSQL has schema {schema} with records of schema {records}, and this "
            f"program knows {known} and {SCHEMA}: install the newer persona-platform on this host too."
        )
    if records < SCHEMA:
        raise InputError(
            f"The Persona Database on PostgreSQL holds records of schema {records}, and this program writes {SCHEMA}: "
            "drop its schema persona_platform there, and the next refit publishes the catalog again."
        )
