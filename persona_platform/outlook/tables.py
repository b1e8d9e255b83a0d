"""What a fitted model is: tables over states, and the frames in which they are kept.

States are the rows of the roster, then one row for each persona: its prior, by which a newcomer plays.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
import polars as pl

from persona_platform.frames import TS
from persona_platform.outlook.grid import Week, microseconds
from persona_platform.outlook.roster import Roster

STATE_TABLES = ("base", "week", "day_off", "age", "like_off", "offsets")
ROSTER_TABLES = ("follows", "density", "occupancy")


@dataclass(frozen=True)
class OutlookModel:
    """Log odds and shares; T = states of the roster + personas, two risks (start, end)."""

    slot: timedelta
    until: datetime
    roster: Roster
    persona_ids: tuple[str, ...]
    persona_kind: tuple[str, ...]
    partner: np.ndarray  # int64 (personas,): the persona that a newcomer of this one alternates with
    variance: np.ndarray  # (personas,): of the shared shock on starts
    kinds: tuple[str, ...]  # marks that ``offsets`` belong to
    weights: np.ndarray  # (2, personas, 2, 5): of the views, where the age is known and where not
    base: np.ndarray  # (2, T)
    week: np.ndarray  # (2, T, places of the week)
    day_off: np.ndarray  # (2, T, places of the day)
    age: np.ndarray  # (2, T, fine age bins)
    like_off: np.ndarray  # (2, T): probability that holidays are treated like days off
    offsets: np.ndarray  # (2, T, kinds)
    follows: np.ndarray  # (states, columns)
    density: np.ndarray  # (states, 168)
    occupancy: np.ndarray  # (states, 168)

    @property
    def states(self) -> int:
        """States of the roster; rows from here on are the personas' priors."""
        return self.roster.rows.height

    @property
    def calendar_week(self) -> Week:
        """How the slot divides the week."""
        return Week(microseconds(self.slot))


def model_frames(model: OutlookModel) -> dict[str, pl.DataFrame]:
    """The model as frames that Parquet holds without loss: meta, weights, roster, states, personas."""
    meta = pl.DataFrame(
        {"slot_us": [microseconds(model.slot)], "until": [model.until], "kinds": [list(model.kinds)]},
        schema={"slot_us": pl.Int64, "until": TS, "kinds": pl.List(pl.String)},
    )
    personas = pl.DataFrame(
        {
            "persona_id": list(model.persona_ids),
            "kind": list(model.persona_kind),
            "partner": model.partner,
            "variance": model.variance,
        },
        schema={"persona_id": pl.String, "kind": pl.String, "partner": pl.Int64, "variance": pl.Float64},
    )
    states = pl.DataFrame(
        {f"{name}_{risk}": _lists(getattr(model, name)[risk]) for name in STATE_TABLES for risk in (0, 1)}
    )
    roster = model.roster.rows.with_columns(_lists(getattr(model, name)).alias(name) for name in ROSTER_TABLES)
    weights = pl.DataFrame({f"weights_{risk}": _lists(model.weights[risk].reshape(-1, 10)) for risk in (0, 1)})
    return {"meta": meta, "weights": weights, "roster": roster, "states": states, "personas": personas}


def model_from_frames(frames: Mapping[str, pl.DataFrame]) -> OutlookModel:
    """The inverse of :func:`model_frames`."""
    meta, personas, roster = frames["meta"], frames["personas"], frames["roster"]
    states = {name: np.stack([_array(frames["states"][f"{name}_{risk}"]) for risk in (0, 1)]) for name in STATE_TABLES}
    for name in ("base", "like_off"):
        states[name] = states[name][..., 0]
    weights = np.stack([_array(frames["weights"][f"weights_{risk}"]) for risk in (0, 1)])
    tables = {name: _array(roster[name]) for name in ROSTER_TABLES}
    return OutlookModel(
        slot=timedelta(microseconds=meta["slot_us"][0]),
        until=meta["until"][0],
        roster=Roster(roster.drop(ROSTER_TABLES)),
        persona_ids=tuple(personas["persona_id"]),
        persona_kind=tuple(personas["kind"]),
        partner=personas["partner"].to_numpy(),
        variance=personas["variance"].to_numpy(),
        kinds=tuple(meta["kinds"][0]),
        weights=weights.reshape(2, -1, 2, 5),
        **states,
        **tables,
    )


def _lists(table: np.ndarray) -> pl.Series:
    """Rows of a table as fixed-length lists."""
    table = table[:, None] if table.ndim == 1 else table
    inner = pl.Float64 if table.dtype == np.float64 else pl.Float32
    flat = pl.Series(values=table.reshape(-1), dtype=inner)
    return flat.reshape((len(table), table.shape[1])) if table.size else _empty_lists(table, inner)


def _empty_lists(table: np.ndarray, inner: type[pl.DataType]) -> pl.Series:
    return pl.Series(values=[[]] * len(table), dtype=pl.Array(inner, table.shape[1]))


def _array(column: pl.Series) -> np.ndarray:
    width = column.dtype.shape[0] if isinstance(column.dtype, pl.Array) else 0
    return column.explode().to_numpy().reshape(len(column), width) if width else np.zeros((len(column), 0))
