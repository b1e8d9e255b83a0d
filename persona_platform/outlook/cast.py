"""Who plays in the horizon, and what they begin with.

Arrays are over workloads and *columns*: the patterns of a workload, padded to the largest number, the resting
one in column 0 (which stays empty where a workload has none).
"""

from dataclasses import dataclass
from datetime import datetime

import numpy as np
import polars as pl

from persona_platform.frames import OTHER, conform
from persona_platform.outlook.grid import slot_number, slot_numbers
from persona_platform.outlook.roster import RESTING, persona_index
from persona_platform.outlook.state import STATE
from persona_platform.outlook.tables import OutlookModel

EMPTY = -1
UNSEEN_PATTERN = -1
"""The pattern number of a newcomer's other pattern, which it has not shown yet."""


@dataclass(frozen=True)
class Cast:
    """One row for each workload."""

    workload_ids: list[str]
    state: np.ndarray  # (W, P) row of the model's tables, EMPTY where there is no such pattern
    pattern: np.ndarray  # (W, P) number of the pattern within the workload
    persona: np.ndarray  # (W, P) index into the model's personas
    active: np.ndarray  # (W, P) bool: its kind is active
    follows: np.ndarray  # (W, P, P) share of column b after an end of column a
    known: np.ndarray  # (W,) bool: what it plays at the origin is known
    column: np.ndarray  # (W,) the column that it plays, 0 where unknown
    age: np.ndarray  # (W,) slots that it has been played for when the origin begins; 0 where unknown


def assemble(model: OutlookModel, state: pl.DataFrame, workload_ids: list[str], origin: datetime) -> Cast:
    """The cast of ``workload_ids`` (sorted): patterns from the roster, persona priors for newcomers."""
    state = conform(state, STATE, "The state frame").unique("workload_id", keep="last")
    listed = pl.DataFrame({"workload_id": workload_ids}, schema={"workload_id": pl.String}).with_row_index("w")
    rows = _veterans(model, listed)
    rows = pl.concat([rows, _newcomers(model, listed.join(rows, on="w", how="anti"), state)])
    count, columns = len(workload_ids), max(2, int(rows["column"].to_numpy().max(initial=0)) + 1)

    def table(name: str, fill: int) -> np.ndarray:
        out = np.full((count, columns), fill, dtype=np.int64)
        out[rows["w"], rows["column"]] = rows[name]
        return out

    states = table("state", EMPTY)
    pattern = table("pattern", UNSEEN_PATTERN)
    now = listed.join(state, on="workload_id", how="left", maintain_order="left")
    played = now["pattern"].cast(pl.Int64).fill_null(EMPTY).to_numpy()
    match = (states != EMPTY) & (pattern == played[:, None]) & (played >= 0)[:, None]
    newcomer = ~np.isin(np.arange(count), rows.filter(pl.col("state") < model.states)["w"].to_numpy())
    match |= newcomer[:, None] & (table("own", 0) == 1)
    since = now["since"].fill_null(origin)
    seen = now["start_seen"].fill_null(value=False).to_numpy()
    age = slot_number(origin, model.slot) - slot_numbers(since, model.slot)
    known = match.any(axis=1)
    return Cast(
        workload_ids=workload_ids,
        state=states,
        pattern=pattern,
        persona=table("persona", model.persona_ids.index(OTHER)),
        active=table("active", 0) == 1,
        follows=_follows(model, states),
        known=known,
        column=np.where(known, match.argmax(axis=1), 0),
        age=np.where(known & seen, np.maximum(age, 0), 0),
    )


def _veterans(model: OutlookModel, listed: pl.DataFrame) -> pl.DataFrame:
    """Rows (w, column, state, pattern, persona, active, own) of workloads that the roster knows."""
    roster = model.roster
    within = np.arange(model.states) - roster.bounds[roster.workload]
    rests = roster.resting[roster.bounds[:-1]] if model.states else np.zeros(0, dtype=bool)
    return (
        roster.rows.with_columns(
            column=pl.Series(within + ~rests[roster.workload], dtype=pl.Int64),
            state=pl.int_range(model.states, dtype=pl.Int64),
            persona=pl.Series(roster.persona, dtype=pl.Int64),
        )
        .join(listed, on="workload_id")
        .select(
            "w",
            "column",
            "state",
            pl.col("pattern").cast(pl.Int64),
            "persona",
            active=(pl.col("kind") == "active").cast(pl.Int64),
            own=pl.lit(0, pl.Int64),
        )
    )


def _newcomers(model: OutlookModel, unknown: pl.DataFrame, state: pl.DataFrame) -> pl.DataFrame:
    """The persona that a workload without history is said to play, and the one that alternates with it."""
    now = unknown.join(state, on="workload_id", how="left", maintain_order="left")
    persona = persona_index(now["persona_id"], model.persona_ids)
    kind = np.array(model.persona_kind)
    partner = model.partner[persona]
    own = now.select("w", pattern=pl.col("pattern").cast(pl.Int64).fill_null(0)).with_columns(
        pl.Series("persona", persona, dtype=pl.Int64), own=pl.lit(1, pl.Int64)
    )
    other = now.select("w", pattern=pl.lit(UNSEEN_PATTERN, pl.Int64)).with_columns(
        pl.Series("persona", partner, dtype=pl.Int64), own=pl.lit(0, pl.Int64)
    )
    rows = pl.concat([own, other.filter(pl.col("persona") >= 0)])
    kinds = kind[rows["persona"].to_numpy()]
    return rows.with_columns(
        pl.Series("column", (kinds != RESTING).astype(np.int64)),
        pl.Series("active", (kinds == "active").astype(np.int64)),
        state=pl.col("persona") + model.states,
    ).select("w", "column", "state", "pattern", "persona", "active", "own")


def _follows(model: OutlookModel, states: np.ndarray) -> np.ndarray:
    """Shares after an end, from the roster's table shifted to columns; a newcomer alternates."""
    count, columns = states.shape
    here = states != EMPTY
    alternate = here[:, None, :] & here[:, :, None] & ~np.eye(columns, dtype=bool)
    alternate = alternate / np.maximum(alternate.sum(axis=2, keepdims=True), 1)
    veteran = here & (states < model.states)
    if not model.states or not count:
        return alternate
    learned = model.follows[np.where(veteran, states, 0)]  # (W, P, columns of the roster)
    width = min(columns, learned.shape[2])
    shifted = np.zeros((count, columns, columns))
    rests = here[:, 0]
    shifted[rests, :, :width] = learned[rests, :, :width]
    shifted[~rests, :, 1:] = learned[~rests][:, :, : columns - 1]
    return np.where(veteran[:, :, None], shifted * here[:, None, :], alternate)
