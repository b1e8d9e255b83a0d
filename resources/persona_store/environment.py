"""The open LMDB environment of a store: one in a process, checked before it is used, never used over a fork.

LMDB must not open a file twice in one process, and an environment that was inherited over a fork shares its
reader slots and locks with the parent: spawn such children, or open the store in them. Readers are told apart
by their process ids: two containers that both run as process 1 cannot share a store's folder.
"""

import os
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, TypeVar

import lmdb

from persona_platform.errors import InputError
from resources.persona_store import generations
from resources.persona_store.inspection import (
    DATABASES,
    Transaction,
    check_length,
    open_faults,
    schema_of,
    write_faults,
)
from resources.persona_store.records import FIX, MEMBERS, SCHEMA

MAP_SIZE: Final = 64 << 30
"""Address space, not disk: an environment that has to grow later fails in every other process."""

MAX_READERS: Final = 1024

T = TypeVar("T")


class StoreReplacedError(InputError):
    """The store was replaced as a whole since it was opened: a write would go into the old one."""


class Handle:
    """The one open environment of a data file in this process."""

    def __init__(self, path: Path, folder: Path, map_size: int) -> None:
        self.path, self.uses, self.forked = path, 0, False
        self.env = lmdb.open(
            str(folder),
            map_size=map_size,
            max_dbs=len(DATABASES),
            max_readers=MAX_READERS,
            max_spare_txns=16,  # read transactions kept for reuse: a new one takes a lock and walks the slots
            create=False,
        )
        self.key = _file_key(folder / generations.DATA)
        self.begin: Callable[..., Transaction] = self.env.begin
        try:
            self.dbs: Mapping[bytes, Any] = _databases(self.env, path, folder)
            self.members = self.dbs[MEMBERS]
        except BaseException:
            self.env.close()
            raise

    def write(self, work: Callable[[Transaction, Mapping[bytes, Any]], T]) -> T:
        """What ``work`` returns, its writes durable and all visible at once; nothing of them when it raises."""
        with write_faults(self.path):
            begin = self.begin
            with begin(write=True) as txn:
                if self.key != current_key(self.path):
                    raise StoreReplacedError(f"The persona store {self.path} was replaced; open it again.")
                done = work(txn, self.dbs)
            self.env.reader_check()  # slots of killed readers would keep old pages
        return done

    def refuse(self, *_: Any, **__: Any) -> Any:
        """Stands for ``begin`` in a forked child."""
        raise InputError(
            f"The persona store {self.path} was opened before this process was forked; "
            "start the process with spawn, or open the store in it alone."
        )


_handles: dict[tuple[int, int], Handle] = {}
_lock = threading.Lock()


def acquire(path: Path, map_size: int, upgrade: Callable[[Path], None]) -> Handle:
    """The handle of the store's current data, opened or shared; :func:`release` it.

    ``upgrade`` is called for a store of an older schema and leaves it with a current one. Raises
    :class:`InputError` for what is damaged, foreign, newer than known, or was opened before a fork.
    """
    with _lock:
        while True:
            if generations.has_first_layout(path):
                upgrade(path)
            folder = generations.data_folder(path)
            handle = _make(path, map_size) if folder is None else _shared(path, folder, map_size)
            if handle is not None and handle.key == current_key(path):
                handle.uses += 1
                return handle
            if handle is not None:  # replaced while it was being opened
                _close_unused(handle)


def release(handle: Handle) -> None:
    """Let go of a handle; the last one closes the environment."""
    with _lock:
        handle.uses -= 1
        _close_unused(handle)


def current_key(path: Path) -> tuple[int, int] | None:
    """The identity of the data file that a newly opened store would read."""
    try:
        folder = generations.data_folder(path)
    except InputError:
        return None
    return None if folder is None else _file_key(folder / generations.DATA)


def _databases(env: lmdb.Environment, path: Path, folder: Path) -> dict[bytes, Any]:
    """The named databases of an environment, made when it is empty, refused when they are not this schema's."""
    check_length(env, path, folder)
    schema = schema_of(env, path)
    if schema not in {None, SCHEMA}:
        raise InputError(
            f"{path} has schema {schema}, this program knows {SCHEMA}; use the program that wrote it"
            + ("." if schema and schema > SCHEMA else f", or {FIX}")
        )
    with env.begin(write=True) as txn:
        dbs = {name: env.open_db(name, txn=txn, create=schema is None) for name in DATABASES}
        if schema is None:
            txn.put(b"schema", b"persona-store %d" % SCHEMA, db=dbs[b"meta"])
    env.reader_check()
    return dbs


def _make(path: Path, map_size: int) -> Handle | None:
    """A new store; None when another process was faster."""
    generations.make_first(path)
    with generations.replacing(path):
        if generations.data_folder(path) is not None:
            return None
        folder = generations.make_first(path)
        with open_faults(path):
            handle = Handle(path, folder, map_size)
        generations.point(path, folder)
    _handles[handle.key] = handle
    return handle


def _shared(path: Path, folder: Path, map_size: int) -> Handle | None:
    """The handle of this folder's data; None when the folder was just replaced."""
    try:
        handle = _handles.get(_file_key(folder / generations.DATA))
        if handle is None:
            with open_faults(path):
                handle = Handle(path, folder, map_size)
    except (FileNotFoundError, InputError):
        if folder.is_dir():
            raise
        return None
    if handle.forked:
        handle.refuse()
    _handles[handle.key] = handle
    return handle


def _close_unused(handle: Handle) -> None:
    if handle.uses == 0 and not handle.forked:
        _handles.pop(handle.key, None)
        handle.env.close()


def _file_key(file: Path) -> tuple[int, int]:
    status = file.stat()
    return status.st_dev, status.st_ino


def _refuse_in_child() -> None:
    global _lock  # noqa: PLW0603 (a lock that another thread held at the fork stays held in the child)
    _lock = threading.Lock()
    for handle in _handles.values():
        handle.forked, handle.begin = True, handle.refuse


os.register_at_fork(after_in_child=_refuse_in_child)
