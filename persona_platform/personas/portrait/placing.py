"""Placing: where rows of another frame lie among the slots of a timeline, without joining millions of texts."""

from datetime import timedelta

import numpy as np
import polars as pl

from persona_platform.personas.timeline import microseconds


def placed(slots: pl.DataFrame, other: pl.DataFrame, slot: timedelta) -> tuple[np.ndarray, pl.DataFrame]:
    """The rows of ``other`` (workload_id, slot, ...) that were read, and the place of each among ``slots``.

    ``slots`` is a timeline: sorted by workload and tick, once each.
    """
    code = slots["workload_id"].rle_id()
    people = pl.DataFrame(
        {"workload_id": slots["workload_id"].unique(maintain_order=True)}, schema={"workload_id": pl.String}
    ).with_row_index("code")
    known = other.join(people, on="workload_id", how="inner")
    every = microseconds(slot)
    tick = slots["tick"].to_numpy()
    first, span = (int(tick.min()), int(tick.max()) - int(tick.min()) + 1) if len(tick) else (0, 1)
    keys = code.to_numpy().astype(np.int64) * span + (tick - first)
    theirs = known["slot"].dt.epoch("us").to_numpy() // every - first
    inside = (theirs >= 0) & (theirs < span)
    wanted = known["code"].to_numpy().astype(np.int64) * span + theirs
    at = np.searchsorted(keys, wanted)
    inside &= at < len(keys)
    inside[inside] = keys[at[inside]] == wanted[inside]
    return at[inside], known.filter(pl.Series(inside))
