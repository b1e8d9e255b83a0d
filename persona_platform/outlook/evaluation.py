"""Brier skill of activation: trained before a moment, scored after it, against the best of the baselines."""

from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
import polars as pl

from persona_platform.errors import InputError
from persona_platform.frames import TS
from persona_platform.outlook.baselines import (
    ACTIVE,
    RESTING,
    STRENGTHS,
    UNREAD,
    Panel,
    climatology,
    label,
    markov,
)
from persona_platform.outlook.cast import EMPTY, assemble
from persona_platform.outlook.exposure import runs_until
from persona_platform.outlook.forward import forward
from persona_platform.outlook.grid import CalendarGrid, calendar_grid, slot_number
from persona_platform.outlook.model import OutlookModel, fit_outlook
from persona_platform.outlook.process import process_of
from persona_platform.outlook.roster import Roster, roster
from persona_platform.outlook.source import zones_of
from persona_platform.outlook.state import STATE

RELIABILITY_BINS = 15


@dataclass(frozen=True)
class Skill:
    """Brier scores at one lead; ``skill`` is 1 - outlook / best baseline."""

    rows: int
    base_rate: float
    outlook: float
    climatology: float  # hour of week, whatever is played now
    climatology_given_rest: float
    markov: float
    skill: float
    calibration_error: float  # over 15 bins of equal mass
    scored: pl.DataFrame  # workload_id, slot (the origin), probability, happened


def brier_skill(
    activations: pl.DataFrame,
    patterns: pl.DataFrame,
    workloads: pl.DataFrame,
    calendar: pl.DataFrame,
    *,
    slot: timedelta,
    split: datetime,
    until: datetime,
    lead: int = 1,
    event: str = "at",
    every: int = 1,
    seed: int = 0,
) -> Skill:
    """Score P(active | resting now), fitted once on what is before ``split``.

    Args:
        activations: As for the fit; those after ``split`` are the truth.
        patterns: As for the fit.
        workloads: As for the fit.
        calendar: Over both stretches.
        slot: The planning interval.
        split: Trained before, scored from here.
        until: End of what is scored.
        lead: Slots ahead; 1 is the first slot after the one read last.
        event: "at" that slot, or "within" the slots up to it.
        every: Score every n-th origin only.
        seed: Of the fit.

    Raises:
        InputError: nothing can be scored.
    """
    model = fit_outlook(activations, patterns, workloads, calendar, slot=slot, until=split, seed=seed)
    roll, grid = roster(activations, patterns), calendar_grid(calendar, slot, model.kinds)
    zone = grid.zone_index(zones_of(roll.workload_ids, workloads))
    board = _board(activations, roll, zone, grid, model=model, until=until)
    cut = slot_number(split, slot) - grid.first
    origins = np.arange(cut, min(slot_number(until, slot) - grid.first, board.panel.played.shape[1]) - lead + 1, every)
    chances = np.stack([_chances(board, int(t), lead, event) for t in origins], axis=1)
    outcome = label(board.panel.played, lead, event)[:, origins]
    scored = (board.panel.played[:, origins - 1] == RESTING) & (outcome >= 0) & np.isfinite(chances)
    if not scored.any():
        raise InputError("No workload rests at any of the origins, so that no activation can be scored.")
    happened = (outcome == 1)[scored].astype(np.float64)

    def brier(values: np.ndarray) -> float:
        return float(((np.broadcast_to(values, outcome.shape)[scored] - happened) ** 2).mean())

    train = np.arange(board.panel.played.shape[1]) < cut - lead + 1
    plain, rested = (
        min(
            brier(climatology(board.panel, train, lead, event, given_rest=given, strength=k)[:, origins])
            for k in STRENGTHS
        )
        for given in (False, True)
    )
    chain = min(brier(markov(board.panel, train, lead, event, k)) for k in STRENGTHS)
    ours = brier(chances)
    w, t = np.nonzero(scored)
    return Skill(
        rows=len(happened),
        base_rate=float(happened.mean()),
        outlook=ours,
        climatology=plain,
        climatology_given_rest=rested,
        markov=chain,
        skill=1.0 - ours / max(min(plain, rested, chain), 1e-12),
        calibration_error=calibration_error(chances[scored], happened),
        scored=pl.DataFrame(
            {
                "workload_id": pl.Series(roll.workload_ids, dtype=pl.String).gather(w),
                "slot": _times(origins[t] + grid.first, slot),
                "probability": chances[scored],
                "happened": happened,
            }
        ),
    )


def calibration_error(probability: np.ndarray, happened: np.ndarray) -> float:
    """Mean absolute difference of forecast and frequency over bins of equal mass."""
    order = np.argsort(probability, kind="stable")
    parts = np.array_split(order, min(RELIABILITY_BINS, len(order)))
    return float(sum(abs(probability[p].sum() - happened[p].sum()) for p in parts) / len(order))


@dataclass(frozen=True)
class _Board:
    model: OutlookModel
    roster: Roster
    zone: np.ndarray
    grid: CalendarGrid
    panel: Panel
    state: np.ndarray  # (workloads, slots) state of the roster, -1 unread
    since: np.ndarray  # (workloads, slots) column at which the run began
    start_seen: np.ndarray  # (workloads, slots) whether that was read


def _board(
    activations: pl.DataFrame,
    roll: Roster,
    zone: np.ndarray,
    grid: CalendarGrid,
    *,
    model: OutlookModel,
    until: datetime,
) -> _Board:
    """Runs painted on a (workloads, slots) grid."""
    runs = runs_until(activations, roll, model.slot, until)
    width = grid.place.shape[1]
    state = np.full((len(roll.workload_ids), width), -1)
    since = np.zeros_like(state)
    count = runs.end - runs.start
    run = np.repeat(np.arange(len(count)), count)
    column = runs.start[run] + np.arange(len(run)) - np.repeat(np.cumsum(count) - count, count) - grid.first
    inside = (column >= 0) & (column < width)
    run, column = run[inside], column[inside]
    w = roll.workload[runs.state[run]]
    state[w, column] = runs.state[run]
    since[w, column] = runs.start[run] - grid.first
    start_seen = np.zeros(state.shape, dtype=bool)
    start_seen[w, column] = runs.start_seen[run]
    resting = np.append(roll.resting, False)
    played = np.where(state < 0, UNREAD, np.where(resting[state], RESTING, ACTIVE)).astype(np.int8)
    return _Board(model, roll, zone, grid, Panel(played, grid.hour[zone]), state, since, start_seen)


def _chances(board: _Board, origin: int, lead: int, event: str) -> np.ndarray:
    """The outlook of workloads that rested in the slot before the origin's column; NaN for the others."""
    model, roll, grid = board.model, board.roster, board.grid
    out = np.full(len(roll.workload_ids), np.nan)
    who = np.flatnonzero(board.panel.played[:, origin - 1] == RESTING)
    if not len(who):
        return out
    ids = [roll.workload_ids[w] for w in who]
    begun = board.since[who, origin - 1]
    state = pl.DataFrame(
        {
            "workload_id": ids,
            "pattern": roll.rows["pattern"].gather(board.state[who, origin - 1]),
            "persona_id": roll.rows["persona_id"].gather(board.state[who, origin - 1]),
            "since": _times(begun + grid.first, model.slot),
            "start_seen": board.start_seen[who, origin - 1],
        },
        schema=STATE,
    )
    at = _times(np.array([origin + grid.first]), model.slot)[0]
    process = process_of(
        model, assemble(model, state, ids, at), grid, board.zone[who], np.arange(origin, origin + lead)
    )
    wanted = process.cast.state != EMPTY
    wanted[:, 0] = False
    if event == "within":
        out[who] = forward(process, np.arange(len(who)), wanted, lead).hits[:, -1]
    else:
        none = np.zeros((0, wanted.shape[1]), dtype=bool)
        shares = forward(process, np.zeros(0, dtype=np.int64), none, 1).shares[:, :, -1]
        out[who] = (shares * wanted).sum(axis=1)
    return out


def _times(slots: np.ndarray, slot: timedelta) -> pl.Series:
    return pl.Series(slots * (slot // timedelta(microseconds=1)), dtype=pl.Int64).cast(TS)
