"""Commands that look after the Persona Database: ``store stats``, ``backup``, ``restore``, ``verify``."""

from pathlib import Path
from typing import TYPE_CHECKING

import click
import msgspec

from persona_platform.cli.options import err, json_option, out, print_json
from persona_platform.errors import InputError
from persona_platform.settings import Project, find_project

if TYPE_CHECKING:
    from resources.persona_store import PersonaStore, Stats


@click.group()
def store() -> None:
    """The Persona Database: figures, backups, and whether it is sound."""


@store.command()
@json_option
def stats(as_json: bool) -> None:
    """The version, when it was published, what is in it, and how large the file is."""
    with _opened(find_project()) as opened:
        found = opened.stats()
    if as_json:
        print_json(msgspec.to_builtins(found))
        return
    for what, text in _lines(found):
        out.print(f"{what:<12}{text}", soft_wrap=True)


@store.command()
@click.argument("destination", metavar="DEST", type=click.Path(path_type=Path))
@json_option
def backup(destination: Path, as_json: bool) -> None:
    """Copy the store into the new folder DEST, whole, while others read and write."""
    with _opened(find_project()) as opened, err.status(f"Copying to {destination}"):
        opened.backup(destination)
    size = sum(file.stat().st_size for file in destination.rglob("data.mdb"))
    if as_json:
        print_json({"backup": str(destination), "bytes": size})
    else:
        out.print(f"Wrote {destination} ({_size(size)}).", soft_wrap=True)


@store.command()
@click.argument("source", metavar="SRC", type=click.Path(path_type=Path))
@json_option
def restore(source: Path, as_json: bool) -> None:
    """Put the backup SRC in the store's place, once all of it has been read and found sound.

    What is there is removed after the backup has taken its place, not before. Programs that have the store
    open read on what was until they open it again.
    """
    from resources.persona_store import PersonaStore

    project = find_project()
    if project.settings().storage.personas == "postgres":
        raise InputError(
            f"The Persona Database of {project.home} is on PostgreSQL: restore it with PostgreSQL's own pg_restore; "
            "this host's replica then follows."
        )
    with err.status(f"Reading {source}"):
        PersonaStore.restore(project.store, source)
    with PersonaStore(project.store) as opened:
        found = opened.stats()
    if as_json:
        print_json(msgspec.to_builtins(found))
    else:
        out.print(
            f"The store is the backup {source} now: version {found.version}, {found.personas} personas, "
            f"{found.members} members.",
            soft_wrap=True,
        )


@store.command()
@json_option
def verify(as_json: bool) -> None:
    """Read every page and every record of the store; exit code 2 when something is wrong. Writers wait meanwhile."""
    project = find_project()
    with _opened(project) as opened:
        with err.status("Reading every record"):
            faults = opened.verify()
        version = opened.version()
    if as_json:
        print_json({"version": version, "sound": not faults, "faults": faults})
    elif not faults:
        out.print(f"The store is sound: version {version}.")
    if faults:
        raise InputError(
            f"The store {project.store} is damaged: {faults[0]} (and {len(faults) - 1} more); restore a backup with "
            "persona store restore."
        )


def _opened(project: Project) -> "PersonaStore":
    """The project's store; none is made for the asking."""
    from resources.storage import persona_database

    if not project.store.exists() and project.settings().storage.personas != "postgres":
        raise InputError(f"{project.home} has no Persona Database yet: persona refit publishes one.")
    return persona_database(project)


def _lines(found: "Stats") -> list[tuple[str, str]]:
    published = f", published {found.published_at:%Y-%m-%d %H:%M} UTC" if found.published_at else ""
    lines = [
        ("version", f"{found.version}{published}"),
        ("schema", f"{found.schema}"),
        ("personas", f"{found.personas:,}, with {found.members:,} members"),
        ("activity", f"of {found.activity:,} workloads"),
        ("history", f"{found.history:,} superseded records; {found.versions} versions can be read"),
        ("file", f"{_size(found.file_bytes)}, {_size(found.free_bytes)} of it free for the next writes"),
        ("readers", f"{found.readers} open now"),
    ]
    return [*lines, ("note", found.note)] if found.note else lines


def _size(count: int) -> str:
    return f"{count / 2**20:,.1f} MiB" if count < 2**30 else f"{count / 2**30:,.2f} GiB"
