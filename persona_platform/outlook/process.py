"""A fitted model laid out for one origin: the hazards of every workload at each coming slot."""

from dataclasses import dataclass
from datetime import datetime

import numpy as np
import polars as pl

from persona_platform.errors import InputError
from persona_platform.frames import WORKLOADS, conform
from persona_platform.outlook.ages import BINS, UNKNOWN, age_bin
from persona_platform.outlook.blend import WITH_AGE, WITHOUT_AGE, Views, blended
from persona_platform.outlook.cast import EMPTY, Cast, assemble
from persona_platform.outlook.exposure import END, START
from persona_platform.outlook.grid import CalendarGrid, calendar_grid, slot_number
from persona_platform.outlook.shrinkage import expit, logit
from persona_platform.outlook.source import zones_of
from persona_platform.outlook.tables import OutlookModel

LARGEST_HAZARD = 7.0  # a chance of 0.999 in one slot


@dataclass(frozen=True)
class Process:
    """Log odds are of (risks, workloads, columns, slots or ages)."""

    cast: Cast
    weights: np.ndarray  # (2, W, P, known or unknown age, 1, 5)
    base: np.ndarray  # (2, W, P)
    week: np.ndarray  # (2, W, P, slots): the view by place of the week
    day_off: np.ndarray  # (2, W, P, slots): the same as if the day were a day off
    day_off_share: np.ndarray  # (2, W, P, slots): on holidays, the probability that it is one; else 0
    offset: np.ndarray  # (2, W, P, slots)
    age: np.ndarray  # (2, W, P, bins + 1): the last is the unknown age
    density: np.ndarray  # (W, P, slots)
    begin: np.ndarray  # (W, P) shares at the last slot read
    startable: np.ndarray  # (W, P) bool: can start out of rest
    endable: np.ndarray  # (W, P) bool: not resting, and something can follow

    @property
    def slots(self) -> int:
        """Slots in the horizon."""
        return self.week.shape[3]

    def start_hazard(self, step: int, bins: np.ndarray) -> np.ndarray:
        """Cumulative hazards of starting in slot ``step`` at ages in ``bins`` of rest: (W, P, ages).

        ``bins`` is of shape (W, ages).
        """
        hazard = np.logaddexp(0.0, self._log_odds(START, step, bins))
        return np.where(self.startable[:, :, None], np.minimum(hazard, LARGEST_HAZARD), 0.0)

    def end_chance(self, step: int, bins: np.ndarray) -> np.ndarray:
        """Chances that what is played is over when slot ``step`` begins; shapes as for starts."""
        return np.where(self.endable[:, :, None], expit(self._log_odds(END, step, bins)), 0.0)

    def destinations(self, step: int) -> np.ndarray:
        """(W, P, P): the share of column b among what follows column a at slot ``step``."""
        share = self.cast.follows * self.density[:, None, :, step]
        return share / np.maximum(share.sum(axis=2, keepdims=True), 1e-12)

    def _log_odds(self, risk: int, step: int, bins: np.ndarray) -> np.ndarray:
        usual = self._blended(risk, step, bins, self.week[risk][:, :, step, None])
        share = self.day_off_share[risk][:, :, step, None]
        if not share.any():
            return usual
        day_off = self._blended(risk, step, bins, self.day_off[risk][:, :, step, None])
        return logit((1.0 - share) * expit(usual) + share * expit(day_off))

    def _blended(self, risk: int, step: int, bins: np.ndarray, week: np.ndarray) -> np.ndarray:
        base, offset = self.base[risk][:, :, None], self.offset[risk][:, :, step, None]
        ages = np.take_along_axis(self.age[risk], bins[:, None, :], axis=2)
        known = blended(self.weights[risk, :, :, WITH_AGE], Views(base, week, ages), offset)
        unknown = bins == UNKNOWN
        if not unknown.any():
            return known
        ageless = blended(self.weights[risk, :, :, WITHOUT_AGE], Views(base, week, base), offset)
        return np.where(unknown[:, None, :], ageless, known)

    def first_bins(self, step: int) -> np.ndarray:
        """(W, 1): age bins, at slot ``step``, of what has been played since before the origin."""
        age = self.cast.age
        return np.where(age > 0, age_bin(age + step), UNKNOWN)[:, None]


def lay_out(
    model: OutlookModel,
    state: pl.DataFrame,
    workloads: pl.DataFrame,
    calendar: pl.DataFrame,
    origin: datetime,
    slots: int,
    roles: pl.DataFrame | None = None,
) -> Process:
    """The process of all workloads in ``workloads`` or ``state``, from ``origin`` on.

    Raises:
        InputError: no slots, or the calendar does not cover them in every zone.
    """
    if slots < 1:
        raise InputError(f"The horizon is {slots} slots; it must be at least one.")
    listed = conform(workloads, WORKLOADS, "The workloads frame")["workload_id"]
    ids = pl.concat([listed, state["workload_id"].cast(pl.String)]).unique().sort().to_list()
    grid = calendar_grid(calendar, model.slot, model.kinds)
    cast = assemble(model, state, ids, origin, roles)
    zone = grid.zone_index(zones_of(cast.row_ids, workloads))
    first = slot_number(origin, model.slot)
    columns = grid.require(zone, np.arange(first, first + slots))
    return process_of(model, cast, grid, zone, columns)


def process_of(model: OutlookModel, cast: Cast, grid: CalendarGrid, zone: np.ndarray, columns: np.ndarray) -> Process:
    """Hazards at the calendar's ``columns``, in the zone of each workload."""
    state = np.maximum(cast.state, 0)
    here = cast.state != EMPTY
    place = grid.place[zone[:, None], columns]
    holiday = grid.holiday[zone[:, None], columns]
    marks = grid.marks[:, zone[:, None], columns]
    at, within = place[:, None, :], (place % model.day_off.shape[2])[:, None, :]
    share = model.like_off[:, state][..., None] * holiday[:, None, :]
    offset = np.einsum("rwpk,kwi->rwpi", model.offsets[:, state].astype(np.float64), marks.astype(np.float64))
    base = model.base[:, state].astype(np.float64)
    age = np.concatenate([model.age[:, state].astype(np.float64), base[..., None]], axis=3)
    rests = here[:, :1]
    startable = here & rests
    startable[:, 0] = False
    endable = here & (cast.follows.sum(axis=2) > 0)
    endable[:, 0] = False
    hour = grid.hour[zone[:, None], columns]
    return Process(
        cast=cast,
        weights=model.weights[:, cast.persona][..., None, :],
        base=base,
        week=model.week[:, state[:, :, None], at].astype(np.float64),
        day_off=model.day_off[:, state[:, :, None], within].astype(np.float64),
        day_off_share=share.astype(np.float64),
        offset=offset,
        age=age[..., : BINS + 1],
        density=_by_hour(model, model.density, cast.state, hour, 1.0),
        begin=_begin(model, cast, hour[:, :1]),
        startable=startable,
        endable=endable,
    )


def _by_hour(model: OutlookModel, table: np.ndarray, state: np.ndarray, hour: np.ndarray, fill: float) -> np.ndarray:
    """(W, P, slots) of a table over the roster's states and hours of the week; ``fill`` elsewhere."""
    veteran = (state != EMPTY) & (state < model.states)
    if not model.states:
        return np.full((*state.shape, hour.shape[1]), fill)
    values = table[np.where(veteran, state, 0)[:, :, None], hour[:, None, :]]
    return np.where(veteran[:, :, None], values, fill).astype(np.float64)


def _begin(model: OutlookModel, cast: Cast, hour: np.ndarray) -> np.ndarray:
    """What is known to be played, else the occupancy of the hour."""
    shares = _by_hour(model, model.occupancy, cast.state, hour, 0.0)[:, :, 0]
    shares /= np.maximum(shares.sum(axis=1, keepdims=True), 1e-12)
    certain = np.zeros_like(shares)
    certain[np.arange(len(shares)), cast.column] = 1.0
    return np.where(cast.known[:, None], certain, shares)
