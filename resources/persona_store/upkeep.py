"""Looking after a store: its figures, its backups and what comes back from them."""

import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime
from pathlib import Path

import lmdb
import msgspec

from persona_platform.errors import InputError
from resources.persona_store import generations, versions
from resources.persona_store.environment import MAP_SIZE, Handle, acquire, release
from resources.persona_store.inspection import DATABASES, Transaction, open_faults, schema_of, structure_faults
from resources.persona_store.migration import upgrade
from resources.persona_store.records import MEMBERS, PERSONAS, SCHEMA
from resources.persona_store.verification import content_faults


class Stats(msgspec.Struct, frozen=True):
    """A store in figures. ``note`` says what a migration left out, if there was one."""

    version: int
    schema: int
    published_at: datetime | None
    personas: int
    members: int
    versions: int  # that can be read
    history: int  # superseded records
    activity: int  # workloads whose activity is held
    file_bytes: int
    free_bytes: int  # of pages that the next writes use
    readers: int  # open snapshots of all processes
    note: str = ""


def stats(handle: Handle) -> Stats:
    """The figures of the store as it is now."""
    env, dbs = handle.env, handle.dbs
    with handle.begin() as txn:
        entries = {name: txn.stat(db)["entries"] for name, db in dbs.items()}
        trees = [env.stat(), *(txn.stat(db) for db in dbs.values())]
        version, first = versions.current(txn, dbs), versions.oldest(txn, dbs)
        noted = versions.info(txn, dbs, version)
        kept = sum(int.from_bytes(key) >= first for key in txn.cursor(dbs[b"versions"]).iternext(values=False))
        note = txn.get(b"note", b"", db=dbs[b"meta"]).decode()
        pages = env.info()["last_pgno"] + 1
    used = 2 + sum(tree["branch_pages"] + tree["leaf_pages"] + tree["overflow_pages"] for tree in trees)
    return Stats(
        version=version,
        schema=SCHEMA,
        published_at=None if noted is None else noted.published_at,
        personas=entries[PERSONAS],
        members=entries[MEMBERS],
        versions=kept,
        history=entries[b"hist"],
        activity=entries[b"act"],
        file_bytes=pages * trees[0]["psize"],
        free_bytes=max(pages - used, 0) * trees[0]["psize"],
        readers=_readers(env),
        note=note,
    )


def backup(handle: Handle, destination: Path) -> None:
    """A compact copy of the store as it is now, a store folder itself; whoever writes meanwhile goes on.

    Raises :class:`InputError` for a destination that is there already, or that cannot be written.
    """
    if destination.exists():
        raise InputError(f"{destination} is there already; name a folder that is not.")
    building = None
    try:
        destination.parent.mkdir(parents=True, exist_ok=True)
        building = Path(tempfile.mkdtemp(prefix=f".{destination.name}-", dir=destination.parent))
        folder = generations.make_first(building)
        handle.env.copy(str(folder), compact=True)
        generations.sync_folder(folder)
        generations.point(building, folder)
        building.chmod(0o755)  # a temporary folder is its owner's alone
        building.rename(destination)
    except (OSError, lmdb.Error) as fault:
        raise InputError(f"The backup {destination} cannot be written ({fault}); choose another place.") from fault
    finally:
        if building is not None:
            shutil.rmtree(building, ignore_errors=True)


def restore(path: Path, source: Path) -> None:
    """Put the backup in the store's place, once every record of it has been read.

    Whoever opens the store from then on reads the backup; who has it open reads on what was, and writes to
    the new one. What was is removed when the backup is in its place, not before.

    Raises :class:`InputError` for a backup that is not one, is damaged, or is of another schema.
    """
    if source.resolve() == path.resolve():
        raise InputError(f"{source} is the store itself; name a backup of it.")
    with _sound(source) as backed_up, ExitStack() as until_done:
        live = _opened(path)
        if live is not None:
            until_done.callback(release, live)
        until_done.enter_context(generations.replacing(path))
        building = until_done.enter_context(generations.new_generation(path))
        backed_up.copy(str(building), compact=True)
        if live is not None:
            until_done.enter_context(live.begin(write=True))  # no write may go into what is being replaced
        generations.switch(path, building)


@contextmanager
def _sound(source: Path) -> Iterator[lmdb.Environment]:
    """The environment of a backup in which everything is in order."""
    folder = generations.data_folder(source) if source.exists() else None
    if folder is None:
        raise InputError(f"{source} is no backup of a persona store; name a folder that persona store backup made.")
    faults = structure_faults(folder)
    if not faults:
        with open_faults(source):
            locked = (folder / "lock.mdb").exists()  # a backup may lie where nothing can be written
            env = lmdb.open(
                str(folder), map_size=MAP_SIZE, max_dbs=len(DATABASES), readonly=True, lock=locked, create=False
            )
        try:
            faults = _content_of(env, source)
            if not faults:
                yield env
                return
        finally:
            env.close()
    raise InputError(f"The backup {source} is damaged ({faults[0]}); restore another one.")


def _content_of(env: lmdb.Environment, source: Path) -> list[str]:
    schema = schema_of(env, source)
    if schema != SCHEMA:
        raise InputError(f"The backup {source} has schema {schema}, not {SCHEMA}; restore another one.")
    begin: Callable[..., Transaction] = env.begin
    with begin() as txn:
        dbs = {name: env.open_db(name, txn=txn, create=False) for name in DATABASES}
        return content_faults(txn, dbs)


def _opened(path: Path) -> Handle | None:
    """The live store, to keep writers out; None when there is none, or when it is damaged."""
    if not (path / generations.CURRENT).exists() and not generations.has_first_layout(path):
        generations.data_folder(path)  # complains of a folder of something else
        return None
    try:
        return acquire(path, MAP_SIZE, upgrade)
    except InputError:
        return None


def _readers(env: lmdb.Environment) -> int:
    """Reader slots that look at a version now; the listing has one line for each, and a head."""
    return sum(line.split()[-1] != "-" for line in env.readers().splitlines()[1:] if line.strip())
