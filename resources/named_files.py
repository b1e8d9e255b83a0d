"""Immutable Parquet files named by the digest of their content: plans and inventories.

A decision names the files that it was made from, so one that the ledger names is kept; of the others, the newest.
"""

import hashlib
from collections.abc import Collection
from pathlib import Path
from typing import Final

import polars as pl

EVIDENCE: Final = ".evidence"
"""Suffix of the file beside a plan that holds its evidence."""


def write_named(folder: Path, name: str, frame: pl.DataFrame) -> Path:
    """Writes ``name.parquet``, whole or not at all, and returns its path; the same name holds the same content."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.parquet"
    scratch = folder / f".{name}.partial"
    frame.write_parquet(scratch)
    scratch.replace(path)
    return path


def file_digest(path: Path) -> str:
    """sha256 of a file's bytes."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def newest_first(folder: Path) -> list[Path]:
    """The named files, by when they were written; evidence is left out."""
    files = [f for f in folder.glob("*.parquet") if not f.stem.endswith(EVIDENCE)]
    return sorted(files, key=lambda f: f.stat().st_mtime_ns, reverse=True)


def read_newest(folder: Path, most: int) -> pl.DataFrame | None:
    """The newest files as one frame; None where there is none."""
    files = newest_first(folder)[:most]
    return pl.concat([pl.read_parquet(f, glob=False) for f in files]) if files else None


def forget(folder: Path, *, named: Collection[str], keep: int) -> int:
    """Deletes what is neither among the newest ``keep`` nor ``named``; returns how many."""
    old = [f for f in newest_first(folder)[keep:] if f.stem not in named]
    for file in old:
        file.unlink(missing_ok=True)
        file.with_name(f"{file.stem}{EVIDENCE}.parquet").unlink(missing_ok=True)
    return len(old)
