"""From needs to a plan, as one chain: what the assets run step by step and what replay runs at each origin.

Live planning, the validation of the routes and replay all go through these functions, so that what is judged is
what acts. Each stage's method lives in its own package; here is only their order and what is handed on.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import polars as pl

from persona_platform.capacity.plan import Plan, make_plan
from persona_platform.forecasting.backtest import BACKTEST, backtest, backtest_rows
from persona_platform.forecasting.combination import combination_weights, combine
from persona_platform.forecasting.demand import (
    DemandSeries,
    DirectModel,
    direct_demand,
    direct_series,
    fit_demand,
    series_rows,
)
from persona_platform.forecasting.mixture import mixture_demand
from persona_platform.forecasting.units import demand_in_units
from persona_platform.frames import empty
from persona_platform.outlook.model import OutlookModel, fit_outlook
from persona_platform.outlook.simulate import simulate
from persona_platform.outlook.state import current_state
from persona_platform.personas.assignment import Played, meet, play
from persona_platform.personas.catalog import Catalog
from persona_platform.personas.learning import learn

RECENT = timedelta(days=15)
"""How much of the past a prediction cuts into activations: two cycles of a week and a day, so that the resampled
needs are recent and every age that a hazard knows can be seen."""

VALIDATION_SHARE = 0.2
VALIDATION_LONGEST = timedelta(days=7)
VALIDATION_ORIGINS = 12
VALIDATION_PATHS = 64
DIRECT_ORIGINS = 168
"""Origins that the direct route is judged at where it is validated alone: they cost little."""

VALIDATION_SLOTS = 120
"""The last band of leads begins at 96 slots: this reaches into it."""


@dataclass(frozen=True)
class History:
    """What was read of a fleet, in slots, with the calendar of the past and of the horizon."""

    needs: pl.DataFrame
    workloads: pl.DataFrame
    calendar: pl.DataFrame
    slot: timedelta

    def before(self, until: datetime, since: datetime | None = None) -> "History":
        """The same with only the needs read before ``until``; calendars are known ahead and stay."""
        keep = pl.col("slot") < until
        if since is not None:
            keep &= pl.col("slot") >= since
        return History(self.needs.filter(keep), self.workloads, self.calendar, self.slot)


@dataclass(frozen=True)
class Sizing:
    """What demand is counted in: TARGETS and UNITS."""

    targets: pl.DataFrame
    units: pl.DataFrame

    def observed(self, history: History) -> pl.DataFrame:
        """OBSERVED demand of each target."""
        return demand_in_units(history.needs, history.workloads, self.targets, self.units, history.slot)


@dataclass(frozen=True)
class Models:
    """Everything that a refit learns but the weights."""

    catalog: Catalog
    outlook: OutlookModel
    direct: DirectModel


@dataclass(frozen=True)
class Routes:
    """Every route's demand at one origin, and the mixture's account of it."""

    demand: pl.DataFrame
    """DEMAND rows of each route."""
    expected: pl.DataFrame
    """target, slot, persona_id, expected (units)."""


def fit_models(history: History, sizing: Sizing, *, until: datetime, previous: Catalog | None, seed: int) -> Models:
    """Personas, hazards and direct forecasters from what was read before ``until``."""
    past = history.before(until)
    learned = learn(past.needs, past.workloads, past.calendar, slot=past.slot, previous=previous, seed=seed)
    outlook = fit_outlook(
        learned.activations,
        learned.catalog.patterns,
        past.workloads,
        past.calendar,
        slot=past.slot,
        until=until,
        seed=seed,
    )
    return Models(learned.catalog, outlook, fit_direct(past, sizing, until=until, seed=seed))


def fit_direct(
    history: History,
    sizing: Sizing,
    *,
    until: datetime,
    seed: int,
    observed: pl.DataFrame | None = None,
    slots: int | None = None,
) -> DirectModel:
    """The direct route's forecasters from what was read before ``until``, for ``slots`` ahead (None: all)."""
    known = observed if observed is not None else sizing.observed(history)
    return fit_demand(
        known.filter(pl.col("slot") < until),
        history.calendar,
        sizing.targets,
        history.workloads,
        slot=history.slot,
        until=until,
        seed=seed,
        slots=slots,
    )


def played_until(catalog: Catalog, history: History, origin: datetime) -> Played:
    """The activations and membership of the recent past, as seen at the origin."""
    recent = history.before(origin, origin - RECENT)
    return play(recent.needs, recent.workloads, recent.calendar, catalog)


def predict_routes(
    models: Models,
    sizing: Sizing,
    history: History,
    *,
    origin: datetime,
    slots: int,
    paths: int,
    seed: int,
    played: Played | None = None,
    observed: pl.DataFrame | None = None,
) -> Routes:
    """The demand of every target by every route, from what was read before the origin.

    ``played`` and ``observed`` are taken when the caller has them already; both must end before the origin.
    """
    past = history.before(origin)
    seen = played if played is not None else played_until(models.catalog, history, origin)
    known = observed if observed is not None else sizing.observed(past)
    recent = past.before(origin, origin - RECENT).needs
    new = seen.newcomers or meet(recent, past.workloads, past.calendar, models.catalog)
    state = current_state(seen.activations, new.known_as(models.catalog.patterns), origin, past.slot)
    simulated = simulate(
        models.outlook, state, past.workloads, past.calendar, origin, slots, paths, seed, roles=new.roles
    )
    mixture = mixture_demand(
        simulated,
        recent,
        seen.membership,
        models.catalog,
        past.workloads,
        sizing.targets,
        sizing.units,
        origin=origin,
        slot=past.slot,
        seed=seed,
        newcomers=new.sizes,
    )
    direct = direct_demand(models.direct, known, past.calendar, origin, slots, sizing.targets)
    return Routes(pl.concat([mixture.demand, direct]), mixture.expected)


def validation_origins(read: pl.DataFrame, slot: timedelta, origin: datetime) -> tuple[datetime, list[datetime]]:
    """The cut before which validation models learn, and the origins after it at which they are judged.

    The last fifth of the history, at most a week, is held out; none where that is under eight slots. The
    origins are spread over it at odd distances, so that they meet different hours of the day.
    """
    first = read["slot"].min()
    if not isinstance(first, datetime):
        return origin, []
    held_out = min((origin - first) * VALIDATION_SHARE, VALIDATION_LONGEST)
    slots = int(held_out / slot)
    if slots < 8:
        return origin, []
    cut = origin - slots * slot
    step = max(1, slots // VALIDATION_ORIGINS)
    step += 1 - step % 2
    return cut, [cut + i * slot for i in range(0, slots - 1, step)]


def validate_routes(
    history: History,
    sizing: Sizing,
    *,
    origin: datetime,
    slots: int,
    seed: int,
    progress: Callable[[int, int], None] | None = None,
) -> pl.DataFrame:
    """What each route said at past origins beside what came: the frame that the weights are made from.

    Every model is learned anew before the cut, so nothing is scored in sample. BACKTEST rows; none where the
    history is too short.
    """
    cut, origins = validation_origins(history.needs, history.slot, origin)
    if not origins:
        return empty(BACKTEST)
    models = fit_models(history, sizing, until=cut, previous=None, seed=seed)
    observed = sizing.observed(history.before(origin))
    done: list[datetime] = []

    def routes_at(at: datetime) -> pl.DataFrame:
        routes = predict_routes(
            models,
            sizing,
            history,
            origin=at,
            slots=min(slots, VALIDATION_SLOTS),
            paths=VALIDATION_PATHS,
            seed=seed + len(done),
            observed=observed.filter(pl.col("slot") < at),
        )
        done.append(at)
        if progress:
            progress(len(done), len(origins))
        return routes.demand

    return backtest(origins, {"routes": routes_at}, observed, sizing.targets)


@dataclass(frozen=True)
class Validated:
    """The direct route on held-out slots: every origin's demand, and BACKTEST rows of some of them."""

    backtest: pl.DataFrame
    series: DemandSeries | None
    """Of a model that learned before its first origin; None where the history is too short to hold any out."""


def validate_direct(
    history: History, sizing: Sizing, observed: pl.DataFrame, *, origin: datetime, slots: int, seed: int
) -> Validated:
    """:func:`validate_routes` without the mixture, which makes many more origins affordable.

    ``observed`` is the OBSERVED demand of the history; what is not before the origin is left out.
    """
    past = observed.filter(pl.col("slot") < origin)
    cut, some = validation_origins(past, history.slot, origin)
    if not some:
        return Validated(empty(BACKTEST), None)
    model = fit_direct(history, sizing, until=cut, seed=seed, observed=past, slots=slots)
    count = int((origin - cut) / history.slot)
    series = direct_series(model, past, history.calendar, cut, count, slots, sizing.targets)
    every = max(1, count // DIRECT_ORIGINS)
    every += 1 - every % 2
    rows = series_rows(series, range(0, count, every))
    return Validated(backtest_rows(rows, past, sizing.targets), series)


def plan_from_routes(
    routes: Routes,
    weights: pl.DataFrame,
    observed: pl.DataFrame,
    sizing: Sizing,
    *,
    origin: datetime,
    slot: timedelta,
    suitability: pl.DataFrame | None = None,
) -> tuple[pl.DataFrame, Plan]:
    """The routes combined (DEMAND with route ``combined`` added) and the plan made of them."""
    demand = combine(routes.demand, weights, slot)
    plan = make_plan(
        demand, routes.expected, observed, sizing.targets, origin=origin, slot=slot, suitability=suitability
    )
    return demand, plan


def plan_at(
    models: Models,
    weights: pl.DataFrame,
    sizing: Sizing,
    history: History,
    *,
    origin: datetime,
    slots: int,
    paths: int,
    seed: int,
) -> Plan:
    """The plan as the live platform would have made it at ``origin``: what replay asks for at each step."""
    observed = sizing.observed(history.before(origin))
    routes = predict_routes(
        models, sizing, history, origin=origin, slots=slots, paths=paths, seed=seed, observed=observed
    )
    return plan_from_routes(routes, weights, observed, sizing, origin=origin, slot=history.slot)[1]


def weights_from(backtest: pl.DataFrame, slot: timedelta) -> pl.DataFrame:
    """COMBINATION from a validation frame; empty (a plain average) where there was nothing to validate on."""
    return combination_weights(backtest, slot=slot)


__all__: Sequence[str] = [
    "History",
    "Models",
    "Routes",
    "Sizing",
    "fit_direct",
    "fit_models",
    "plan_at",
    "plan_from_routes",
    "played_until",
    "predict_routes",
    "validate_routes",
    "weights_from",
]
