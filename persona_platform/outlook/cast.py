"""Who plays in the horizon, and what they begin with.

Arrays are over workloads and *columns*: the patterns of a workload, padded to the largest number, the resting
one in column 0 (which stays empty where a workload has none). A newcomer has a row for each of its roles: it is
several workloads, of which one is true.
"""

from dataclasses import dataclass
from datetime import datetime

import numpy as np
import polars as pl

from persona_platform.frames import OTHER, conform, empty
from persona_platform.outlook.grid import slot_number, slot_numbers
from persona_platform.outlook.roster import RESTING, persona_index
from persona_platform.outlook.state import STATE
from persona_platform.outlook.tables import OutlookModel
from persona_platform.personas.newcomers.roles import ROLES

EMPTY = -1
UNSEEN_PATTERN = -1
"""The pattern number of a newcomer's other pattern, which it has not shown yet."""


@dataclass(frozen=True)
class Cast:
    """R rows: one for each workload (W), or for each role of a newcomer, likeliest first."""

    workload_ids: list[str]  # (W,)
    owner: np.ndarray  # (R,) workload of the row
    weight: np.ndarray  # (R,) probability of the row, 1 but for roles
    state: np.ndarray  # (R, P) row of the model's tables, EMPTY where there is no such pattern
    pattern: np.ndarray  # (R, P) number of the pattern within the workload
    persona: np.ndarray  # (R, P) index into the model's personas
    active: np.ndarray  # (R, P) bool: its kind is active
    follows: np.ndarray  # (R, P, P) share of column b after an end of column a
    known: np.ndarray  # (R,) bool: what it plays at the origin is known
    column: np.ndarray  # (R,) the column that it plays, 0 where unknown
    age: np.ndarray  # (R,) slots that it has been played for when the origin begins; 0 where unknown

    @property
    def row_ids(self) -> list[str]:
        """The workload's id of each row."""
        return [self.workload_ids[w] for w in self.owner]


def assemble(
    model: OutlookModel,
    state: pl.DataFrame,
    workload_ids: list[str],
    origin: datetime,
    roles: pl.DataFrame | None = None,
) -> Cast:
    """The cast of ``workload_ids`` (sorted): patterns from the roster, persona priors for newcomers.

    ``roles`` (ROLES) are what the newcomers may turn out to play; of a workload that neither the roster nor the
    roles know, only the persona in the state is known.
    """
    state = conform(state, STATE, "The state frame").unique("workload_id", keep="last")
    roles = conform(roles, ROLES, "The roles") if roles is not None else empty(ROLES)
    listed = _listed(workload_ids, roles)
    plain = listed.filter(pl.col("role").is_null()).select("w", "workload_id")
    rows = pl.concat([_veterans(model, plain), _in_roles(model, listed, roles)])
    rows = pl.concat([rows, _newcomers(model, plain.join(rows, on="w", how="anti"), state)])
    count, columns = listed.height, max(2, int(rows["column"].to_numpy().max(initial=0)) + 1)

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
    found = match.any(axis=1)
    # In a role without what it seems to play now, a newcomer is taken to be idle.
    known = found | listed["role"].is_not_null().to_numpy()
    idle = (states != EMPTY).argmax(axis=1)
    return Cast(
        workload_ids=workload_ids,
        owner=listed["workload_id"].rle_id().to_numpy().astype(np.int64),
        weight=listed["weight"].to_numpy(),
        state=states,
        pattern=pattern,
        persona=table("persona", model.persona_ids.index(OTHER)),
        active=table("active", 0) == 1,
        follows=_follows(model, states),
        known=known,
        column=np.where(found, match.argmax(axis=1), np.where(known, idle, 0)),
        age=np.where(found & seen, np.maximum(age, 0), 0),
    )


def _listed(workload_ids: list[str], roles: pl.DataFrame) -> pl.DataFrame:
    """The rows of the cast: w, workload_id, role (null for a workload without roles), weight."""
    chances = roles.select("workload_id", "role", "weight").unique(["workload_id", "role"])
    return (
        pl.DataFrame({"workload_id": workload_ids}, schema={"workload_id": pl.String})
        .join(chances, on="workload_id", how="left")
        .sort("workload_id", "role")
        .with_columns(pl.col("weight").fill_null(1.0))
        .with_row_index("w")
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


def _in_roles(model: OutlookModel, listed: pl.DataFrame, roles: pl.DataFrame) -> pl.DataFrame:
    """Rows of newcomers in their roles, by the priors of the personas."""
    rows = listed.join(roles.drop("weight"), on=["workload_id", "role"]).sort("w", "pattern")
    active = rows["kind"] == "active"
    # A role rests, or is steady, in one way at most; what would be a second one stands with the active ones.
    idle_first = rows.select((pl.col("kind") == RESTING) & (pl.col("kind") == RESTING).cum_sum().over("w").eq(1))
    columns = rows.with_columns(rests=idle_first.to_series()).with_columns(
        column=pl.when("rests").then(0).otherwise((~pl.col("rests")).cum_sum().over("w"))
    )
    return columns.with_columns(
        pl.Series("persona", persona_index(rows["persona_id"], model.persona_ids), dtype=pl.Int64),
        active=active.cast(pl.Int64),
    ).select(
        "w",
        pl.col("column").cast(pl.Int64),
        pl.col("persona").add(model.states).alias("state"),
        pl.col("pattern").cast(pl.Int64),
        "persona",
        "active",
        own=pl.lit(0, pl.Int64),
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
    """Shares after an end, from the roster's table shifted to columns; a newcomer goes back to rest."""
    count, columns = states.shape
    here = states != EMPTY
    alternate = here[:, None, :] & here[:, :, None] & ~np.eye(columns, dtype=bool)
    alternate[:, 1:, 1:] &= ~here[:, :1, None]
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
