"""The outlook as frames: what is played at each slot, what is activated within a horizon, and by how many."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

import numpy as np
import polars as pl

from persona_platform.frames import ACTIVATION_OUTLOOK, OTHER, OUTLOOK, PERSONA_OUTLOOK, TS, conform
from persona_platform.outlook.cast import EMPTY, Cast
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
    roles: pl.DataFrame | None = None,
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
        roles: ROLES of the newcomers (personas.newcomers.roles); the outlook of one is the mean over its roles.

    Raises:
        InputError: the calendar does not cover the horizon.
    """
    process = lay_out(model, state, workloads, calendar, origin, slots, roles)
    within = _horizons(model.slot, slots, horizons)
    row, persona, wanted = _questions(process, len(model.persona_ids))
    result = forward(process, row, wanted, max(within.values()))
    keys = _Keys(model, process, origin)
    at = np.array(list(within.values())) - 1
    answers = _answers(process.cast, row, persona, wanted, result.hits[:, at], len(model.persona_ids))
    return OutlookFrames(
        slots=keys.outlook(result.shares),
        activations=keys.activations(answers, list(within)),
        personas=keys.personas(answers, list(within)),
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


class _Answers(NamedTuple):
    """One row for each workload and persona that it may play."""

    workload: np.ndarray
    persona: np.ndarray
    hits: np.ndarray  # (rows, horizons) chance of playing it within each
    active: np.ndarray  # bool: as an active persona
    playing: np.ndarray  # bool: at the origin, as far as that is known


def _answers(
    cast: Cast, row: np.ndarray, persona: np.ndarray, wanted: np.ndarray, hits: np.ndarray, personas: int
) -> _Answers:
    """Answers of the cast's rows, those of a workload's roles taken together by their weights."""
    key, at = np.unique(cast.owner[row] * personas + persona, return_inverse=True)
    together = np.zeros((len(key), hits.shape[1]))
    np.add.at(together, at, hits * cast.weight[row][:, None])
    active, playing = np.zeros(len(key), dtype=bool), np.zeros(len(key), dtype=bool)
    np.logical_or.at(active, at, (wanted & cast.active[row]).any(axis=1))
    np.logical_or.at(playing, at, cast.known[row] & wanted[np.arange(len(row)), cast.column[row]])
    return _Answers(key // personas, key % personas, together, active, playing)


@dataclass(frozen=True)
class _Keys:
    model: OutlookModel
    process: Process
    origin: datetime

    def outlook(self, shares: np.ndarray) -> pl.DataFrame:
        """Shares of columns summed to personas, at most eight and ``other``, which always has its row."""
        cast, other = self.process.cast, self.model.persona_ids.index(OTHER)
        personas, count, slots = len(self.model.persona_ids), len(cast.workload_ids), shares.shape[2]
        row, column = np.nonzero(cast.state != EMPTY)
        w, persona = cast.owner[row], cast.persona[row, column]
        mass = shares[row, column] * cast.weight[row][:, None]
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

    def activations(self, of: _Answers, seconds: list[int]) -> pl.DataFrame:
        """Active personas that are not played at the origin, as far as that is known."""
        asked = np.flatnonzero(of.active & ~of.playing & (of.persona != self.model.persona_ids.index(OTHER)))
        ids = pl.Series(self.process.cast.workload_ids, dtype=pl.String)
        frame = pl.DataFrame(
            {
                "workload_id": ids.gather(np.repeat(of.workload[asked], len(seconds))),
                "persona_id": self._names(np.repeat(of.persona[asked], len(seconds))),
                "horizon_s": np.tile(np.array(seconds, dtype=np.int64), len(asked)),
                "probability": of.hits[asked].reshape(-1),
            }
        ).with_columns(origin=pl.lit(self.origin, TS))
        return conform(frame, ACTIVATION_OUTLOOK, "The activation outlook")

    def personas(self, of: _Answers, seconds: list[int]) -> pl.DataFrame:
        """Numbers of members that play a persona at some slot of the horizon."""
        counts = [
            member_counts(of.persona, of.hits[:, i], of.playing, self.model.variance, len(self.model.persona_ids))
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
        asked = pl.col("persona_id").is_in(self._names(np.unique(of.persona)).to_list()) & (
            pl.col("persona_id") != OTHER
        )
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
