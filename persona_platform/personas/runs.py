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


def lengths(begins: np.ndarray) -> np.ndarray:
    """Slots of each run."""
    return np.diff(np.flatnonzero(begins), append=len(begins))
