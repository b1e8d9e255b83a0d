"""The outlook's model: the order in which it is learned from activations.

1. count exposures by place of the week and by age, for every pattern and for its persona;
2. choose the strengths of shrinkage and the weights of the views on left-out hazards;
3. learn what holidays, month ends and events change, and how much a persona's members move together;
4. write the shrunk views down as tables over *states*: all patterns, then one prior for each persona, by
   which a newcomer plays.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta

import numpy as np
import polars as pl

from persona_platform.errors import InputError
from persona_platform.frames import OTHER
from persona_platform.outlook.ages import BINS
from persona_platform.outlook.arrivals import learn_arrivals
from persona_platform.outlook.blend import fit_weights
from persona_platform.outlook.counts import RISKS, Pools, add, cells, empty_tally, pools, with_priors
from persona_platform.outlook.effects import DAY_US, Effects, learn_effects, left_out, views_at
from persona_platform.outlook.exposure import Exposures, runs_until
from persona_platform.outlook.grid import CalendarGrid, calendar_grid, microseconds, slot_number
from persona_platform.outlook.roster import RESTING, Roster, roster
from persona_platform.outlook.shrinkage import choose, log_likelihood
from persona_platform.outlook.source import Source, zones_of
from persona_platform.outlook.tables import OutlookModel, model_frames, model_from_frames
from persona_platform.outlook.views import (
    STRENGTH_GRIDS,
    STRENGTHS,
    Where,
    age_view,
    base_view,
    day_off_view,
    week_view,
)

__all__ = ["OutlookModel", "fit_outlook", "model_frames", "model_from_frames"]

HALF_LIFE_DAYS = 28.0
"""What happened four weeks ago counts half: workloads change their schedules."""
WRITE_STATES = 2000  # states written down at a time

Strengths = Mapping[str, np.ndarray]


def fit_outlook(
    activations: pl.DataFrame,
    patterns: pl.DataFrame,
    workloads: pl.DataFrame,
    calendar: pl.DataFrame,
    *,
    slot: timedelta,
    until: datetime,
    seed: int,
) -> OutlookModel:
    """Learn hazards from the activations before ``until``.

    Args:
        activations: ACTIVATION_KEYS and more; every read slot of a workload in one activation. Those of workloads
            without patterns (newcomers, which play by the personas' priors) teach nothing.
        patterns: workload_id, pattern, kind, persona_id, probability; patterns without activations are
            newcomers and play by their persona's prior.
        workloads: WORKLOADS; a workload that it lacks is taken to live in UTC.
        calendar: CALENDAR over the activations, for every zone of the workloads.
        slot: The planning interval.
        until: Nothing at or after it is seen.
        seed: Of the sample on which strengths are chosen.

    Raises:
        InputError: the calendar lacks a zone, or covers none of the activations.
    """
    activations = activations.join(patterns, on="workload_id", how="semi", maintain_order="left")
    roll = roster(activations, patterns)
    grid = calendar_grid(calendar, slot)
    zone = grid.zone_index(zones_of(roll.workload_ids, workloads))
    runs = runs_until(activations, roll, slot, until)
    half_life = HALF_LIFE_DAYS * DAY_US / microseconds(slot)
    source = Source(runs, roll, zone, grid, slot_number(until, slot), half_life)
    column = grid.columns(runs.start)
    if len(column) and (column < 0).all() and (grid.columns(runs.end - 1) < 0).all():
        raise InputError("The calendar covers none of the activations; it must reach back as far as they do.")
    tally = empty_tally(len(roll.workload), grid.week.places)
    for first, last, rows in source.chunks():
        add(tally, rows, cells(rows, grid), first=first, last=last)
    levels = pools(tally, roll, zone, grid)
    strengths, weights = _choose(levels, source.sample(seed), grid)
    effects = learn_effects(source, levels, strengths, weights)
    arrivals = learn_arrivals(runs, roll, zone, grid)
    kinds, partner = _companions(roll)
    return OutlookModel(
        slot=slot,
        until=until,
        roster=roll,
        persona_ids=roll.persona_ids,
        persona_kind=kinds,
        partner=partner,
        variance=effects.variance,
        kinds=grid.kinds,
        weights=weights,
        **_tables(with_priors(levels), strengths, effects),
        **{name: table.astype(np.float32) for name, table in vars(arrivals).items()},
    )


def _choose(levels: Pools, sample: Exposures, grid: CalendarGrid) -> tuple[Strengths, np.ndarray]:
    """Strengths and weights, for each risk from its own exposures outside holidays."""
    strengths = {name: np.full(RISKS, value) for name, value in STRENGTHS.items()}
    weights = np.zeros((RISKS, levels.personas, 2, 5))
    for risk in range(RISKS):
        rows = sample.take((sample.risk == risk) & ~cells(sample, grid).holiday)
        at = left_out(rows, cells(rows, grid))
        for name, value in _strengths(levels, at, rows).items():
            strengths[name][risk] = value
        views, _ = views_at(levels, at, strengths)
        weights[risk] = fit_weights(views, rows.happened, rows.weight, levels.persona[rows.state], levels.personas)
    return strengths, weights


def _strengths(levels: Pools, at: Where, rows: Exposures) -> Mapping[str, float]:
    """The strengths under which left-out hazards explain the rows best; the defaults where there are none."""
    if not len(rows.state):
        return STRENGTHS
    base = base_view(levels, at)

    def likelihood(log_odds: np.ndarray) -> float:
        return float((rows.weight * log_likelihood(rows.happened, log_odds)).sum())

    def spread(trial: Mapping[str, float]) -> Strengths:
        return {name: np.full(RISKS, value) for name, value in trial.items()}

    week_grid = {name: STRENGTH_GRIDS[name] for name in ("hour", "day", "week")}
    age_grid = {name: STRENGTH_GRIDS[name] for name in ("coarse", "fine")}
    best = choose(week_grid, STRENGTHS, lambda k: likelihood(week_view(levels, at, base, spread(k))))
    return choose(age_grid, best, lambda k: likelihood(age_view(levels, at, base, spread(k))))


def _tables(levels: Pools, strengths: Strengths, effects: Effects) -> dict[str, np.ndarray]:
    """The views at every place and age, written down in chunks of states."""
    total, per_day = len(levels.persona), levels.per_day
    tables = {
        "base": np.zeros((RISKS, total), np.float32),
        "week": np.zeros((RISKS, total, 7 * per_day), np.float32),
        "day_off": np.zeros((RISKS, total, per_day), np.float32),
        "age": np.zeros((RISKS, total, BINS), np.float32),
        "like_off": effects.like_off.astype(np.float32),
        "offsets": effects.offsets.astype(np.float32),
    }
    for first in range(0, total, WRITE_STATES):
        states = np.arange(first, min(first + WRITE_STATES, total))
        shape = (RISKS, len(states))

        def everywhere(width: int, states: np.ndarray = states, shape: tuple[int, int] = shape) -> Where:
            risk, who, cell = (a.reshape(-1) for a in np.indices((*shape, width)))
            return Where(risk, states[who], cell, cell)

        at = everywhere(7 * per_day)
        base = base_view(levels, at)
        tables["week"][:, states] = week_view(levels, at, base, strengths).reshape(*shape, -1)
        off = day_off_view(levels, at, base, strengths)
        tables["day_off"][:, states] = off.reshape(*shape, 7, per_day)[:, :, 0]
        tables["base"][:, states] = base.state.reshape(*shape, -1)[:, :, 0]
        at = everywhere(BINS)
        at = Where(at.risk, at.state, np.zeros_like(at.place), at.age)
        tables["age"][:, states] = age_view(levels, at, base_view(levels, at), strengths).reshape(*shape, -1)
    return tables


def _companions(roll: Roster) -> tuple[tuple[str, ...], np.ndarray]:
    """The kind of each persona, and the persona that its members most often alternate with (-1: none)."""
    rows = roll.rows.filter(pl.col("persona_id") != OTHER)
    kinds = rows.group_by("persona_id").agg(pl.col("kind").mode().sort().first())
    kind_of = dict(kinds.iter_rows())
    pairs = (
        rows.join(rows, on="workload_id", suffix="_with")
        .filter((pl.col("kind") == RESTING) != (pl.col("kind_with") == RESTING))
        .group_by("persona_id", "persona_id_with")
        .len()
        .sort("len", "persona_id_with", descending=[True, False])
        .unique("persona_id", keep="first", maintain_order=True)
    )
    lookup = {name: i for i, name in enumerate(roll.persona_ids)}
    partner = np.full(len(lookup), -1, dtype=np.int64)
    for persona, other in pairs.select("persona_id", "persona_id_with").iter_rows():
        partner[lookup[persona]] = lookup[other]
    return tuple(kind_of.get(name, "steady") for name in roll.persona_ids), partner
