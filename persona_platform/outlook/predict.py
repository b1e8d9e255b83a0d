"""The outlook as frames: what is played at each slot, what is activated within a horizon, and by how many."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
import polars as pl

from persona_platform.frames import ACTIVATION_OUTLOOK, OTHER, OUTLOOK, PERSONA_OUTLOOK, TS, conform
from persona_platform.outlook.cast import EMPTY
from persona_platform.outlook.forward import forward
from persona_platform.outlook.grid import microseconds
from persona_platform.outlook.members import member_counts
from persona_platform.outlook.process import Process, lay_out
from persona_platform.outlook.tables import OutlookModel

HORIZONS_S = (900, 3600, 86400)
MOST_PERSONAS = 8
"""Personas kept for a workload; the least likely of more become ``other``."""


@dataclass(frozen=True)
class OutlookFrames:
    """OUTLOOK, ACTIVATION_OUTLOOK and PERSONA_OUTLOOK."""

    slots: pl.DataFrame
    activations: pl.DataFrame
    personas: pl.DataFrame


def predict_outlook(
    model: OutlookModel,
    state: pl.DataFrame,
    workloads: pl.DataFrame,
    calendar: pl.DataFrame,
    origin: datetime,
    slots: int,
    *,
    horizons: Sequence[int] = HORIZONS_S,
) -> OutlookFrames:
    """Probabilities for the ``slots`` slots that begin at ``origin``.

    A pattern counts wholly for its likeliest persona, as membership does. Horizons are rounded up to whole
    slots (15 minutes at hourly slots is the first hour) and end with ``slots``; the ``horizon_s`` of one that
    would reach further is the span that is covered. ``personas`` leaves ``other`` out.

    Args:
        model: A fitted model.
        state: Of :func:`persona_platform.outlook.state.current_state`, at the same origin.
        workloads: WORKLOADS; all of them are predicted, and those of the state.
        calendar: CALENDAR of every zone over the horizon.
        origin: Start of the first slot that was not read, aligned to the slot.
        slots: Slots in the horizon.
        horizons: Seconds within which activations are asked for.

    Raises:
        InputError: the calendar does not cover the horizon.
    """
    process = lay_out(model, state, workloads, calendar, origin, slots)
    within = _horizons(model.slot, slots, horizons)
    row, persona, wanted = _questions(process, len(model.persona_ids))
    result = forward(process, row, wanted, max(within.values()))
    keys = _Keys(model, process, origin)
    at = np.array(list(within.values())) - 1
    hits = result.hits[:, at]
    return OutlookFrames(
        slots=keys.outlook(result.shares),
        activations=keys.activations(row, persona, wanted, hits, list(within)),
        personas=keys.personas(row, persona, wanted, hits, list(within)),
    )


def _horizons(slot: timedelta, slots: int, asked: Sequence[int]) -> dict[int, int]:
    """Seconds, and the slots that they take."""
    step = microseconds(slot) // 1_000_000
    horizons: dict[int, int] = {}
    for seconds in asked:
        count = -(-seconds // step)
        horizons[seconds if count <= slots else slots * step] = min(count, slots)
    return horizons


def _questions(process: Process, personas: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """One row for each workload and persona that it may play; also the columns that are this persona."""
    cast = process.cast
    w, column = np.nonzero(cast.state != EMPTY)
    pairs = np.unique(w * personas + cast.persona[w, column])
    row, persona = np.divmod(pairs, personas)
    return row, persona, (cast.persona[row] == persona[:, None]) & (cast.state[row] != EMPTY)


@dataclass(frozen=True)
class _Keys:
    model: OutlookModel
    process: Process
    origin: datetime

    def outlook(self, shares: np.ndarray) -> pl.DataFrame:
        """Shares of columns summed to personas, at most eight and ``other``, which always has its row."""
        cast, other = self.process.cast, self.model.persona_ids.index(OTHER)
        personas, (count, _, slots) = len(self.model.persona_ids), shares.shape
        w, column = np.nonzero(cast.state != EMPTY)
        persona = cast.persona[w, column]
        mass = shares[w, column]
        persona = np.where(_ranks(w, persona, mass.sum(axis=1), other) < MOST_PERSONAS, persona, other)
        keys = np.concatenate([w * personas + persona, np.arange(count) * personas + other])
        kept, where = np.unique(keys, return_inverse=True)
        table = np.zeros((len(kept), slots))
        np.add.at(table, where[: len(w)], mass)
        total = np.zeros((count, slots))
        np.add.at(total, kept // personas, table)
        bare = total <= 0.0  # nothing known: wholly other
        table = np.where(bare[kept // personas], (kept % personas == other)[:, None], table)
        table /= np.where(bare, 1.0, total)[kept // personas]
        index = pl.int_range(slots, dtype=pl.Int64, eager=True)
        times = pl.select(pl.lit(self.origin, TS) + index * self.model.slot).to_series()
        frame = pl.DataFrame(
            {
                "workload_id": pl.Series(cast.workload_ids, dtype=pl.String).gather(np.repeat(kept // personas, slots)),
                "slot": times.gather(np.tile(np.arange(slots), len(kept))),
                "persona_id": self._names(np.repeat(kept % personas, slots)),
                "probability": table.reshape(-1),
            }
        ).with_columns(origin=pl.lit(self.origin, TS))
        return conform(frame, OUTLOOK, "The outlook").sort("workload_id", "slot", "persona_id")

    def activations(
        self, row: np.ndarray, persona: np.ndarray, wanted: np.ndarray, hits: np.ndarray, seconds: list[int]
    ) -> pl.DataFrame:
        """Active personas that are not played at the origin, as far as that is known."""
        cast, names = self.process.cast, self.model.persona_ids
        played = cast.known[row] & (cast.persona[row, cast.column[row]] == persona)
        active = (wanted & cast.active[row]).any(axis=1) & ~played & (persona != names.index(OTHER))
        asked = np.flatnonzero(active)
        frame = pl.DataFrame(
            {
                "workload_id": pl.Series(cast.workload_ids, dtype=pl.String).gather(
                    np.repeat(row[asked], len(seconds))
                ),
                "persona_id": self._names(np.repeat(persona[asked], len(seconds))),
                "horizon_s": np.tile(np.array(seconds, dtype=np.int64), len(asked)),
                "probability": hits[asked].reshape(-1),
            }
        ).with_columns(origin=pl.lit(self.origin, TS))
        return conform(frame, ACTIVATION_OUTLOOK, "The activation outlook")

    def personas(
        self, row: np.ndarray, persona: np.ndarray, wanted: np.ndarray, hits: np.ndarray, seconds: list[int]
    ) -> pl.DataFrame:
        """Numbers of members that play a persona at some slot of the horizon."""
        cast = self.process.cast
        playing = cast.known[row] & wanted[np.arange(len(row)), cast.column[row]]
        counts = [
            member_counts(persona, hits[:, i], playing, self.model.variance, len(self.model.persona_ids))
            for i in range(len(seconds))
        ]
        frame = pl.concat(
            [
                pl.DataFrame(table).with_columns(
                    persona_id=self._names(np.arange(len(self.model.persona_ids))), horizon_s=pl.lit(span)
                )
                for table, span in zip(counts, seconds, strict=True)
            ]
        )
        asked = pl.col("persona_id").is_in(self._names(np.unique(persona)).to_list()) & (pl.col("persona_id") != OTHER)
        frame = frame.filter(asked).with_columns(origin=pl.lit(self.origin, TS))
        return conform(frame, PERSONA_OUTLOOK, "The persona outlook").sort("persona_id", "horizon_s")

    def _names(self, persona: np.ndarray) -> pl.Series:
        return pl.Series(self.model.persona_ids, dtype=pl.String).gather(persona)


def _ranks(w: np.ndarray, persona: np.ndarray, mass: np.ndarray, other: int) -> np.ndarray:
    """Rank by mass of each column's persona within its workload, 0 the likeliest; ``other`` is not ranked."""
    frame = pl.DataFrame({"w": w, "persona": persona, "mass": mass})
    ranks = frame.with_columns(pl.col("mass").sum().over("w", "persona")).select(
        pl.when(pl.col("persona") == other)
        .then(0)
        .otherwise(
            pl.struct(-pl.col("mass"), "persona").rank("dense").over("w", pl.col("persona") != other).cast(pl.Int64) - 1
        )
    )
    return ranks.to_series().to_numpy()
