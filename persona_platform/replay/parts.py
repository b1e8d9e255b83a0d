"""The parts of a replay on disk, so that a killed one goes on where it stopped.

A part is a file of its own, written whole or not at all. What a replay is made from has a digest; parts of another
one are removed before the first is written. One replay at a time has a folder.
"""

import fcntl
import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Self

import numpy as np
import polars as pl

from persona_platform.capacity.plan_series import PlanSeries
from persona_platform.errors import InputError
from persona_platform.replay.outcomes import Outcome, load_outcome, save_outcome

FOLDER = ".parts"


class Parts:
    """The finished parts of one replay, in ``<out>/.parts``; the folder is its alone from ``with`` on.

    Entering raises :class:`InputError` while another replay has the folder: it would mix its parts with ours.
    """

    def __init__(self, out: Path, digest: str) -> None:
        self.out, self.folder, self.digest = out, out / FOLDER, digest
        self._lock = -1

    def __enter__(self) -> Self:
        self.out.mkdir(parents=True, exist_ok=True)
        self._lock = os.open(self.out, os.O_RDONLY)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(self._lock)
            raise InputError(
                f"Another replay is writing to {self.out}; wait for it, or give another folder with --out."
            ) from None
        named = self.folder / "digest"
        if self.folder.exists() and (not named.exists() or named.read_text(encoding="utf-8") != self.digest):
            shutil.rmtree(self.folder)
        self.folder.mkdir(exist_ok=True)
        named.write_text(self.digest, encoding="utf-8")
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._lock)

    def path(self, name: str) -> Path:
        """Where a part lies, or would."""
        return self.folder / name

    def whole(self, name: str, write: Callable[[Path], None]) -> Path:
        """The path of a part; ``write`` is called with a path to write to where it is not there yet."""
        path = self.path(name)
        if not path.exists():
            draft = path.with_name(f".{os.getpid()}.{name}")
            write(draft)
            draft.replace(path)
        return path

    def frame(self, name: str, make: Callable[[], pl.DataFrame]) -> pl.DataFrame:
        """A frame, made once."""
        return pl.read_parquet(self.whole(f"{name}.parquet", lambda path: make().write_parquet(path)), glob=False)

    def outcome(self, name: str, make: Callable[[], Outcome]) -> Outcome:
        """An outcome, made once."""
        path = self.path(f"{name}.npz")
        if not path.exists():
            save_outcome(path, make())
        return load_outcome(path)

    def plans(self, name: str, make: Callable[[], PlanSeries]) -> PlanSeries:
        """Plans, made once."""
        with np.load(self.whole(f"{name}.npz", lambda path: _save_plans(path, make())), allow_pickle=False) as held:
            return _plans(held)


def _save_plans(path: Path, plans: PlanSeries) -> None:
    with path.open("wb") as file:
        np.savez(
            file,
            allow_pickle=False,
            targets=np.array(plans.targets, dtype=np.str_),
            first=np.array(pl.Series([plans.first]).to_physical()[0]),
            slot=np.array(plans.slot, dtype="timedelta64[us]"),
            values=plans.values,
            history_s=plans.history_s,
            cycle_s=plans.cycle_s,
            data_until_us=plans.data_until_us,
        )


def _plans(held: Mapping[str, np.ndarray]) -> PlanSeries:
    first = pl.Series([int(held["first"])]).cast(pl.Datetime("us", "UTC"))[0]
    return PlanSeries(
        tuple(held["targets"].tolist()),
        first,
        held["slot"].item(),
        held["values"],
        held["history_s"],
        held["cycle_s"],
        held["data_until_us"],
    )
