"""Runs: stretches of an ordered timeline in which something stays the same, as arrays.

A timeline is sorted by workload, so what would join or group millions of texts is a matter of where runs begin.
Every function takes ``begins``: true at the first slot of each run.
"""

import numpy as np
import polars as pl


def begins(*values: np.ndarray) -> np.ndarray:
    """Where any of some arrays differs from the slot before, the first slot among them."""
    changed = np.zeros(len(values[0]), dtype=bool)
    changed[:1] = True
    for value in values:
        changed[1:] |= value[1:] != value[:-1]
    return changed


def codes(frame: pl.DataFrame, column: str = "workload_id") -> tuple[np.ndarray, pl.Series]:
    """The number of the run of equal texts that each row is in, and the text of each run."""
    runs = frame[column].rle().struct.unnest()
    return np.repeat(np.arange(runs.height), runs["len"].to_numpy()), runs["value"]


def numbered(begins: np.ndarray) -> np.ndarray:
    """The number of each slot's run, from 0."""
    return np.cumsum(begins) - 1


def lengths(begins: np.ndarray) -> np.ndarray:
    """Slots of each run."""
    return np.diff(np.flatnonzero(begins), append=len(begins))


def carried(known: np.ndarray, begins: np.ndarray) -> np.ndarray:
    """The place of the last known slot of the run up to each slot, -1 where there is none yet."""
    at = np.arange(len(known))
    last = np.maximum.accumulate(np.where(known, at, -1)) if len(known) else at
    return np.where(last >= np.maximum.accumulate(np.where(begins, at, 0)), last, -1) if len(known) else at


def means(value: np.ndarray, begins: np.ndarray) -> np.ndarray:
    """The mean of each run's finite values, at each of its slots; NaN where it has none."""
    first = np.flatnonzero(begins)
    if not len(first):
        return value
    known = np.isfinite(value)
    count = np.add.reduceat(known, first, dtype=np.int64)
    total = np.add.reduceat(np.where(known, value, 0.0), first)
    mean = np.divide(total, count, out=np.full(len(first), np.nan), where=count > 0)
    return np.repeat(mean, lengths(begins))
