"""Frames on disk: Parquet under ``.persona/frames/<group>/<asset>/``, and the IO manager around it.

A write makes a new version folder and then moves a small pointer file, so a reader sees the old frames or the
new ones and never half. A run reads what it wrote itself, so that two replans at once do not mix. The last few
versions stay for readers that still hold them.
"""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import dagster as dg
import polars as pl

from persona_platform.errors import InputError

POINTER: Final = "CURRENT"
KEPT_VERSIONS: Final = 5
SINGLE: Final = "data"

Frames = pl.DataFrame | Mapping[str, pl.DataFrame]


class FrameStore:
    """Versioned frames, one folder an asset."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def write(self, key: str, frames: Frames, version: str) -> Path:
        """Writes one frame, or several by name, as ``version`` of ``group/asset`` and makes it current."""
        named = {SINGLE: frames} if isinstance(frames, pl.DataFrame) else frames
        folder = self.root / key
        target = folder / version
        scratch = folder / f".{version}.partial"
        shutil.rmtree(scratch, ignore_errors=True)
        scratch.mkdir(parents=True)
        for name, frame in named.items():
            frame.write_parquet(scratch / f"{name}.parquet")
        shutil.rmtree(target, ignore_errors=True)
        scratch.rename(target)
        pointer = folder / f".{version}.pointer"
        pointer.write_text(version, encoding="utf-8")
        pointer.replace(folder / POINTER)
        self._forget_old(folder, version)
        return target

    def folder(self, key: str, version: str | None = None) -> Path | None:
        """Where ``version`` (else the current one) of ``group/asset`` lies, or None when there is none."""
        folder = self.root / key
        if version is not None and (folder / version).is_dir():
            return folder / version
        pointer = folder / POINTER
        return folder / pointer.read_text(encoding="utf-8") if pointer.is_file() else None

    def read_all(self, key: str, version: str | None = None) -> dict[str, pl.DataFrame]:
        """Every frame of ``group/asset`` by name. Raises :class:`InputError` when it was never written."""
        folder = self.folder(key, version)
        if folder is None:
            raise InputError(f"{key} has not been made yet: run `persona replan`.")
        return {file.stem: pl.read_parquet(file, glob=False) for file in sorted(folder.glob("*.parquet"))}

    def read(self, key: str, name: str = SINGLE, version: str | None = None) -> pl.DataFrame:
        """One frame of ``group/asset``."""
        folder = self.folder(key, version)
        if folder is None or not (folder / f"{name}.parquet").is_file():
            raise InputError(f"{key} has not been made yet: run `persona replan`.")
        return pl.read_parquet(folder / f"{name}.parquet", glob=False)

    def has(self, key: str) -> bool:
        """Whether ``group/asset`` was ever written."""
        return self.folder(key) is not None

    @staticmethod
    def _forget_old(folder: Path, version: str) -> None:
        versions = sorted(
            (p for p in folder.iterdir() if p.is_dir() and not p.name.startswith(".") and p.name != version),
            key=lambda p: p.stat().st_mtime,
        )
        for old in versions[: max(0, len(versions) - KEPT_VERSIONS + 1)]:
            shutil.rmtree(old, ignore_errors=True)


class FramesIOManager(dg.IOManager):
    """Hands frames from asset to asset through the :class:`FrameStore`; the version is the run's id."""

    def __init__(self, store: FrameStore) -> None:
        self.store = store

    def handle_output(self, context: dg.OutputContext, obj: Frames) -> None:
        """Writes what an asset returned: a frame, or frames by name."""
        path = self.store.write("/".join(context.asset_key.path), obj, context.run_id)
        rows = obj.height if isinstance(obj, pl.DataFrame) else sum(f.height for f in obj.values())
        context.add_output_metadata({"dagster/row_count": rows, "frames": dg.MetadataValue.path(str(path))})

    def load_input(self, context: dg.InputContext) -> Frames:
        """The frames of an upstream asset: those of this run when it made them, else the current ones."""
        frames = self.store.read_all(
            "/".join(context.asset_key.path), context.step_context.run_id if context.has_asset_key else None
        )
        return frames[SINGLE] if set(frames) == {SINGLE} else frames
