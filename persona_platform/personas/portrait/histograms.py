"""Histograms of needs: how often a pattern needed how much, in steps of 1.5 %, at-least values counted apart.

A saturated slot showed only a lower bound. What follows a processor that is full (its own cores, and what is
read, written and served each second) is bounded then; memory, storage and gpus are bounded only where they
stand at the highest that their workload was ever seen at.
"""

import math
from typing import Final

import numpy as np
import polars as pl

from persona_platform.frames import NEEDS, Schema, need_columns

STEP: Final = math.log(2.0) / 46
"""Width of a bin in the logarithm: 1.5 %, and such that powers of two lie in the middle of theirs."""
NOTHING: Final = -32_000
"""The bin of amounts that are nothing."""
LEAST: Final = 1e-9
STOCKS: Final = ("mem_bytes", "disk_bytes", "gpus")
AT_LIMIT: Final = 0.98

HISTOGRAMS: Final[Schema] = {
    "row": pl.UInt32,  # of the pattern
    "need": pl.UInt8,  # its place in NEEDS
    "bin": pl.Int16,
    "n": pl.UInt32,  # slots seen to need that much
    "capped": pl.UInt32,  # slots that needed at least that much
}


def bins(log: np.ndarray) -> np.ndarray:
    """The bins of the logarithms of amounts; minus infinity is nothing."""
    inside = np.clip(np.nan_to_num(log / STEP, nan=NOTHING, neginf=NOTHING), NOTHING, 32_000)
    return np.rint(inside).astype(np.int32)


def amounts(of: np.ndarray) -> np.ndarray:
    """The amount in the middle of each bin."""
    return np.where(of <= NOTHING, 0.0, np.exp(np.asarray(of, dtype=float) * STEP))


def capped(slots: pl.DataFrame, need: str, workload: np.ndarray) -> np.ndarray:
    """Which slots showed only a lower bound of a need; ``workload`` is the number of each slot's workload."""
    saturated = slots["saturated"].to_numpy()
    if need not in STOCKS or not saturated.any() or not {"cpu_cores", "requests"} & set(need_columns(slots)):
        return saturated
    value = slots[need].fill_null(0.0).to_numpy()
    highest = np.zeros(int(workload.max()) + 1)
    np.maximum.at(highest, workload, value)
    return saturated & (value >= AT_LIMIT * highest[workload])


def histogram(row: np.ndarray, log: np.ndarray, bounded: np.ndarray, need: str, rows: int) -> pl.DataFrame:
    """The histogram of one need, as HISTOGRAMS.

    Of each slot: its pattern's row, the log of its need (NaN where it was not read), whether that is a bound.
    """
    read = ~np.isnan(log)
    at, place = row[read].astype(np.int64), bins(log[read])
    if not len(place):
        return pl.DataFrame(schema=HISTOGRAMS)
    none = place <= NOTHING
    low = int(place[~none].min()) - 1 if not none.all() else 0
    width = int(place.max()) - low + 1 if not none.all() else 1
    cell = at * width + np.where(none, 0, place - low)
    counts = np.bincount(cell, minlength=rows * width)
    least = np.bincount(cell[bounded[read]], minlength=rows * width)
    found = np.flatnonzero(counts)
    where = found % width
    return pl.DataFrame(
        {
            "row": found // width,
            "need": np.full(len(found), NEEDS.index(need)),
            "bin": np.where(where == 0, NOTHING if none.any() else low, where + low),
            "n": counts[found] - least[found],
            "capped": least[found],
        }
    ).cast(HISTOGRAMS)  # type: ignore[arg-type]
