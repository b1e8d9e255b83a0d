"""The folder of a store: one generation of the data is current, and a new one takes its place in one step.

``CURRENT`` names the generation's folder. What replaces a store as a whole (a restore, a migration) is built
beside it and becomes current by one rename, so that a reader that opens the store finds the old or the new one.
Readers that have the old one open go on reading it; its files are gone from the folder, not from them.
"""

import fcntl
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from persona_platform.errors import InputError
from resources.persona_store.records import FIX

CURRENT: Final = "CURRENT"
DATA: Final = "data.mdb"
FIRST: Final = "gen-000001"
NAME: Final = re.compile(r"gen-\d{6}")
LOCK: Final = ".replacing"


def data_folder(path: Path) -> Path | None:
    """The current generation's folder; None for a folder that has none yet, or that is not there.

    Raises :class:`InputError` for a file, or a folder that holds something else.
    """
    try:
        named = (path / CURRENT).read_text(encoding="ascii").strip()
    except FileNotFoundError:
        return _unnamed(path)
    except NotADirectoryError as fault:
        raise InputError(f"{path} is a file, not the folder of a persona store; move it away.") from fault
    except (OSError, UnicodeDecodeError) as fault:
        raise InputError(f"The persona store {path} cannot be opened ({fault}); {FIX}") from fault
    if NAME.fullmatch(named) and (path / named / DATA).is_file():
        return path / named
    if (path / CURRENT).read_text(encoding="ascii", errors="replace").strip() != named:
        return data_folder(path)  # replaced between the two looks
    raise InputError(f"{path / CURRENT} names no data of a persona store; {FIX}")


def has_first_layout(path: Path) -> bool:
    """Whether the data lie in the folder itself, as they did before there were generations (schema 1)."""
    return (path / DATA).is_file() and not (path / CURRENT).exists()


def make_first(path: Path) -> Path:
    """The folder of the first generation, made; it is current from :func:`point` on."""
    try:
        (path / FIRST).mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError) as fault:
        raise InputError(f"{path} is a file, not the folder of a persona store; move it away.") from fault
    except OSError as fault:
        raise InputError(f"The persona store {path} cannot be made ({fault}); check the folder.") from fault
    return path / FIRST


def point(path: Path, folder: Path) -> None:
    """Make the generation in ``folder`` the current one, durably and in one step."""
    handle, name = tempfile.mkstemp(prefix=".current-", dir=path)
    with os.fdopen(handle, "w", encoding="ascii") as file:
        file.write(folder.name)
        file.flush()
        os.fsync(file.fileno())
    Path(name).replace(path / CURRENT)
    sync_folder(path)


@contextmanager
def replacing(path: Path) -> Iterator[None]:
    """One replacement at a time, over all processes."""
    path.mkdir(parents=True, exist_ok=True)
    with (path / LOCK).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@contextmanager
def new_generation(path: Path) -> Iterator[Path]:
    """A folder to build in, gone again if that fails; hand it to :func:`switch`. Use it in :func:`replacing`."""
    for left in path.glob(".new-*"):  # of a process that was killed: the lock says that nobody builds
        shutil.rmtree(left, ignore_errors=True)
    building = Path(tempfile.mkdtemp(prefix=".new-", dir=path))
    try:
        yield building
    finally:
        shutil.rmtree(building, ignore_errors=True)


def switch(path: Path, building: Path) -> None:
    """Make what was built the current generation, and only then remove the others."""
    others = sorted(folder for folder in path.glob("gen-*") if NAME.fullmatch(folder.name))
    number = 1 + max((int(folder.name[4:]) for folder in others), default=0)
    folder = path / f"gen-{number:06}"
    sync_folder(building)
    building.rename(folder)
    point(path, folder)
    for other in others:
        shutil.rmtree(other, ignore_errors=True)


def sync_folder(folder: Path) -> None:
    """Make the names and the files in a folder outlast a loss of power."""
    for file in (*(inner for inner in folder.iterdir() if inner.is_file()), folder):
        handle = os.open(file, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _unnamed(path: Path) -> Path | None:
    """Without ``CURRENT``: nothing yet, or the first generation of a process that is just making it."""
    found = [inner.name for inner in path.iterdir()] if path.is_dir() else []
    strange = [name for name in found if name not in {FIRST, DATA, "lock.mdb"} and not name.startswith(".")]
    if strange:
        raise InputError(f"{path} is a folder of something else (it holds '{min(strange)}'); move it away.")
    return None
