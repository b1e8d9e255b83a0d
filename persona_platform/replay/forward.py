"""Walking forward: the plans that the live platform would have made at each step, refitted as it would have been.

Every model learns only from what was read before its refit, and every plan only looks at what was read before
its origin. The plans are the live ones: the same routes, combined with weights from the same validation.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Literal

import numpy as np
import polars as pl

from persona_platform.capacity.plan_series import PlanSeries, plan_series
from persona_platform.capacity.planning import (
    History,
    Models,
    Sizing,
    Validated,
    fit_direct,
    fit_models,
    plan_at,
    validate_direct,
    validate_routes,
    weights_from,
)
from persona_platform.forecasting.combination import combine_series
from persona_platform.forecasting.demand import VALUES, direct_series

RoutesUsed = Literal["direct", "all"]

DAILY: Final = timedelta(days=1)


@dataclass(frozen=True)
class Walking:
    """How plans are made on the way.

    Attributes:
        refit_every: models and weights are learned anew so often; None: once, at the start.
        routes: "direct" leaves the mixture out, which costs a second an origin for a hundred workloads; the weights
            are then validated without it too. "all" is the whole live chain.
        plan_every: slots between two plans of "all"; the last plan stays in force between them.
        paths: simulated futures of the mixture.
        seed: of everything drawn.
    """

    refit_every: timedelta | None = DAILY
    routes: RoutesUsed = "direct"
    plan_every: int = 1
    paths: int = 200
    seed: int = 0


@dataclass(frozen=True)
class Walked:
    """The plans from one refit to the next; ``validated`` is what the refit held out (None with "all")."""

    plans: PlanSeries
    validated: Validated | None


@dataclass(frozen=True)
class Stretch:
    """The origins from one refit to the next."""

    cut: datetime
    """Everything is learned from what was read before it; it is the first origin too."""
    origins: int


def stretches(first: datetime, origins: int, slot: timedelta, refit_every: timedelta | None) -> list[Stretch]:
    """``origins`` origins from ``first`` on, a slot apart, cut where models are learned anew."""
    every = max(1, int(refit_every / slot)) if refit_every else max(1, origins)
    return [Stretch(first + begin * slot, min(every, origins - begin)) for begin in range(0, origins, every)]


def walk_stretch(
    history: History, sizing: Sizing, observed: pl.DataFrame, stretch: Stretch, *, slots: int, walking: Walking
) -> Walked:
    """Learns before the stretch and plans at each of its origins.

    Args:
        history: needs, workloads and calendar; needs at and after an origin are not looked at.
        sizing: targets and units, fixed before the first stretch.
        observed: OBSERVED demand of the targets, over the whole recording.
        stretch: what is planned.
        slots: how many a plan reaches, from its origin on; enough to hold the lead time.
        walking: how.
    """
    of_routes = _direct if walking.routes == "direct" else _whole
    return of_routes(history, sizing, observed, stretch, slots, walking)


def _direct(
    history: History, sizing: Sizing, observed: pl.DataFrame, stretch: Stretch, slots: int, walking: Walking
) -> Walked:
    cut, count = stretch.cut, stretch.origins
    validated = validate_direct(history, sizing, observed, origin=cut, slots=slots, seed=walking.seed)
    weights = weights_from(validated.backtest, history.slot)
    model = fit_direct(history, sizing, until=cut, seed=walking.seed, observed=observed, slots=slots)
    demand = direct_series(model, observed, history.calendar, cut, count, slots, sizing.targets)
    combined = combine_series(demand, weights)
    return Walked(plan_series(combined, demand.targets, observed, first=cut, slot=history.slot), validated)


def validated_plans(history: History, validated: Validated, observed: pl.DataFrame) -> PlanSeries | None:
    """The plans over the held-out slots of a validation; None where nothing could be held out."""
    if validated.series is None:
        return None
    combined = combine_series(validated.series, weights_from(validated.backtest, history.slot))
    first = validated.series.first
    return plan_series(combined, validated.series.targets, observed, first=first, slot=history.slot)


def _whole(
    history: History, sizing: Sizing, observed: pl.DataFrame, stretch: Stretch, slots: int, walking: Walking
) -> Walked:
    cut, count = stretch.cut, stretch.origins
    past = history.before(cut)
    weights = weights_from(
        validate_routes(past, sizing, origin=cut, slots=slots + walking.plan_every, seed=walking.seed), history.slot
    )
    models = fit_models(past, sizing, until=cut, previous=None, seed=walking.seed)
    return Walked(
        plans_with(models, weights, sizing, history, observed, first=cut, origins=count, slots=slots, walking=walking),
        None,
    )


def plans_with(
    models: Models,
    weights: pl.DataFrame,
    sizing: Sizing,
    history: History,
    observed: pl.DataFrame,
    *,
    first: datetime,
    origins: int,
    slots: int,
    walking: Walking,
    progress: Callable[[int, int], None] | None = None,
) -> PlanSeries:
    """The plans of the whole live chain with models that were learned before ``first``."""
    targets = tuple(sizing.targets["target"])
    values = np.full((len(targets), origins, slots, len(VALUES)), np.nan)
    for begin in range(0, origins, walking.plan_every):
        made = _one_plan(models, weights, sizing, history, first + begin * history.slot, slots, walking)
        for step in range(begin, min(begin + walking.plan_every, origins)):
            values[:, step] = made[:, step - begin : step - begin + slots]
        if progress:
            progress(min(begin + walking.plan_every, origins), origins)
    return plan_series(values, targets, observed, first=first, slot=history.slot)


def _one_plan(
    models: Models,
    weights: pl.DataFrame,
    sizing: Sizing,
    history: History,
    origin: datetime,
    slots: int,
    walking: Walking,
) -> np.ndarray:
    """(targets, slots + plan_every - 1, VALUES) of the live plan at an origin."""
    reach = slots + walking.plan_every - 1
    plan = plan_at(
        models, weights, sizing, history, origin=origin, slots=reach, paths=walking.paths, seed=walking.seed
    ).plan
    place = {name: i for i, name in enumerate(sizing.targets["target"])}
    ahead = ((plan["slot"] - origin) / history.slot).round().cast(pl.Int64).to_numpy()
    row = plan["target"].replace_strict(place, return_dtype=pl.Int64).to_numpy()
    found = np.full((len(place), reach, len(VALUES)), np.nan)
    columns = {name: plan[name].to_numpy() for name in VALUES if name in plan.columns}
    # The plan keeps what its floor stands at as whole units; those are what decide() is given.
    columns["q_kappa"] = plan["needed"].cast(pl.Float64).to_numpy()
    for name, column in columns.items():
        found[row, ahead, VALUES.index(name)] = column
    return found
