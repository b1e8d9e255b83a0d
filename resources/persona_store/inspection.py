"""Whether a data file is a store's, of which schema, and whole; and LMDB's errors in words."""

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Final, TypeAlias

import lmdb

from persona_platform.errors import InputError
from resources.persona_store import generations
from resources.persona_store.records import FIX, TABLES

DATABASES: Final = (b"meta", b"versions", *TABLES, b"hist", b"act")
Transaction: TypeAlias = "lmdb.Transaction[bytes]"
"""One that hands out bytes, not views of a page."""


@contextmanager
def write_faults(path: Path) -> Iterator[None]:
    """LMDB's errors of writing, in words."""
    try:
        yield
    except lmdb.MapFullError as fault:
        raise InputError(f"The persona store {path} is full; open it with a larger map_size.") from fault
    except lmdb.BadValsizeError as fault:
        raise InputError(f"A record or key is too large for the persona store {path} ({fault}).") from fault
    except lmdb.Error as fault:
        raise InputError(f"The persona store {path} cannot be written ({fault}); check its disk.") from fault


@contextmanager
def open_faults(path: Path) -> Iterator[None]:
    """LMDB's errors of opening, in words."""
    try:
        yield
    except (lmdb.InvalidError, lmdb.VersionMismatchError, lmdb.CorruptedError, lmdb.PageNotFoundError) as fault:
        raise InputError(f"{path} holds no readable persona store ({fault}); {FIX}") from fault
    except lmdb.Error as fault:
        raise InputError(f"The persona store {path} cannot be opened ({fault}); check the folder.") from fault


def check_length(env: lmdb.Environment, path: Path, folder: Path) -> None:
    """Refuse a truncated file, which would end the process at the first read beyond its end (SIGBUS).

    A sound file can be short as well: free pages at its end were never written. So a short one is walked, in
    milliseconds, with writers locked out. Damage inside a file of full length is only seen when it is read.
    """
    if (folder / generations.DATA).stat().st_size >= (env.info()["last_pgno"] + 1) * env.stat()["psize"]:
        return
    with env.begin(write=True):
        faults = structure_faults(folder)
    if faults:
        raise InputError(f"{path} holds a damaged persona store ({faults[0]}); {FIX}")


def structure_faults(folder: Path) -> list[str]:
    """What is wrong with the pages of a data file that nobody writes to meanwhile."""
    from lmdb.verify import VerifyError, verify

    try:
        return [str(fault) for fault in verify(str(folder))]
    except VerifyError as fault:
        return [str(fault)]


def schema_of(env: lmdb.Environment, path: Path) -> int | None:
    """The number of the schema; None for an environment without anything in it.

    Raises :class:`InputError` for one of something else.
    """
    with env.begin() as txn:
        found = list(map(bytes, islice(txn.cursor().iternext(values=False), 2 * len(DATABASES))))
    if not found:
        return None
    if not {b"meta", *TABLES} <= set(found):
        raise InputError(f"{path} is an LMDB environment of something else; {FIX}")
    with env.begin(write=not env.flags()["readonly"]) as txn:  # a handle outlives only a write transaction
        meta = env.open_db(b"meta", txn=txn, create=False)
        written = bytes(txn.get(b"schema", b"", db=meta))
    number = written.removeprefix(b"persona-store ")
    if not number.isdigit() or number == written:
        raise InputError(f"{path} has no schema of a persona store ({written[:40]!r}); {FIX}")
    return int(number)
