"""The direct route: quantiles of a target's window maximum from its own past, beside the two baselines."""

import pickle
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from typing import Final

import numpy as np
import polars as pl

from persona_platform.errors import InputError
from persona_platform.forecasting.features import Past, Rows
from persona_platform.forecasting.gradient import GradientModel, fit_gradient, gradient_quantiles
from persona_platform.forecasting.naive import (
    PERSISTENCE,
    ErrorTables,
    error_tables,
    naive_quantiles,
    with_unknown,
)
from persona_platform.forecasting.panel import Panel, make_panel, trailing
from persona_platform.forecasting.phases import day_facts, event_kinds, natural_periods
from persona_platform.forecasting.quantiles import LEVELS, Floats, at_levels
from persona_platform.frames import DEMAND, OBSERVED, QUANTILE_COLUMNS, TARGETS, conform, empty

LOOK_BACK: Final = timedelta(days=36)
"""Past that a forecast looks at: four whole weeks before the target's week, and a day for late readings."""

LEARN_FROM: Final = timedelta(days=180)
"""Past that a model is trained on."""

NEAR: Final = 12
"""Slots ahead that a model of their own serves."""

ROUTES: Final = ("direct", "seasonal_naive", "persistence")
"""The routes that this module has."""

VALUES: Final = ("mean", *QUANTILE_COLUMNS, "q_kappa")
"""The columns of DEMAND that say how much."""

_US: Final = timedelta(microseconds=1)
_AT_ONCE: Final = 200_000  # rows that are forecast at once: about 60 MB of features
_FARTHEST: Final = timedelta(hours=48)  # steps ahead that are learned one by one; later ones take the last
_MEAN_AT: Final = (np.arange(40) + 0.5) / 40  # levels whose quantiles are averaged to the mean


@dataclass(frozen=True)
class DirectModel:
    """What :func:`direct_demand` needs besides the newest readings."""

    slot: timedelta
    until: datetime
    kinds: tuple[str, ...]
    zones: Mapping[str, str]  # IANA zone of each target
    periods: tuple[int, ...]  # in slots
    near: GradientModel
    """For the slots that actions are decided on. One model for two days spends itself on telling near from far: at
    two slots its pinball at 0.99 was 1.1 to 3.9 times that of a model of the next hour."""
    far: GradientModel | None
    """For what comes after; None where nothing beyond the near slots was asked for."""
    errors: ErrorTables


def fit_demand(
    observed: pl.DataFrame,
    calendar: pl.DataFrame,
    targets: pl.DataFrame,
    workloads: pl.DataFrame,
    *,
    slot: timedelta,
    until: datetime,
    seed: int,
    slots: int | None = None,
) -> DirectModel:
    """Fit the direct route and the baselines on the demand of the slots before `until`, at most 180 days.

    ``slots`` is how far ahead will be asked for; None: as far as the longest plan. A target follows the clock
    that most of its pool's workloads follow. Slots that are saturated are taken as they are: demand was at
    least that.

    Raises:
        InputError: no target has a reading before `until`.
    """
    zones = _zones(targets, workloads)
    panel = _panel(observed, targets, zones, slot, until - LEARN_FROM, until)
    if not panel.ids:
        raise InputError(f"No target has observed demand before {until:%Y-%m-%d %H:%M}; ingest history first.")
    kinds = event_kinds(calendar)
    facts = day_facts(calendar, list(zones.values()), kinds)
    past = Past(panel, natural_periods(slot), facts, memory=LOOK_BACK // slot)
    # Never farther than a third of the longest history: beyond it there are hardly two origins to learn from.
    most = max(int(panel.lengths.max()) // 3, 1)
    farthest = int(min(max(_FARTHEST // slot, 1), most, slots or most))
    near = fit_gradient(past, min(NEAR, farthest), seed=seed)
    far = fit_gradient(past, farthest, seed=seed) if farthest > NEAR else None
    return DirectModel(slot, until, kinds, zones, past.periods, near, far, error_tables(past, farthest))


def direct_demand(
    model: DirectModel,
    observed: pl.DataFrame,
    calendar: pl.DataFrame,
    origin: datetime,
    slots: int,
    targets: pl.DataFrame,
) -> pl.DataFrame:
    """DEMAND rows of the routes direct, seasonal_naive and persistence for the slots from `origin` on.

    Only slots before `origin` are looked at. A target without a reading in the last 36 days has no rows; one
    that the model was not trained on is forecast with what was learned from the others.
    """
    past = _past(model, observed, calendar, targets, origin, origin)
    panel = past.panel
    if not panel.ids or slots < 1:
        return empty(DEMAND)
    count = len(panel.ids)
    series, ahead = np.repeat(np.arange(count), slots), np.tile(np.arange(1, slots + 1), count)
    rows = Rows(series, panel.lengths[series] - 1, ahead)
    routes = _routes(model, with_unknown(model.errors, past), past, rows)
    kappa = dict(targets.select("target", "kappa").iter_rows())
    at = np.array([kappa[name] for name in panel.ids])[series]
    keys = {
        "target": pl.Series(panel.ids, dtype=pl.String).gather(series),
        "slot": pl.Series(panel.times(series, rows.target)).cast(pl.Datetime("us")).dt.replace_time_zone("UTC"),
    }
    return pl.concat(
        demand_rows(quantiles, at, origin=origin, route=route, **keys) for route, quantiles in routes.items()
    )


@dataclass(frozen=True)
class DemandSeries:
    """Demand of many origins as arrays; what cannot be forecast is NaN.

    Attributes:
        targets: the targets, (T).
        first: the first origin; the others follow slot by slot, (O).
        kappa: (T,) the operating quantile of each target.
        values: by route, (T, O, slots, VALUES): the columns of DEMAND, of the slots from the origin on.
    """

    targets: tuple[str, ...]
    first: datetime
    slot: timedelta
    kappa: Floats
    values: Mapping[str, Floats]


def direct_series(
    model: DirectModel,
    observed: pl.DataFrame,
    calendar: pl.DataFrame,
    first: datetime,
    origins: int,
    slots: int,
    targets: pl.DataFrame,
) -> DemandSeries:
    """What :func:`direct_demand` says at each of ``origins`` origins, all at once; nothing looks past its origin.

    A target that the model was not trained on has no forecast here: what :func:`direct_demand` makes up for it
    from its own past would be made of later readings for the earlier origins.
    """
    names = tuple(targets["target"])
    kappa = targets["kappa"].to_numpy().astype(np.float64)
    values = {route: np.full((len(names), origins, slots, len(VALUES)), np.nan) for route in ROUTES}
    last = first + (origins - 1) * model.slot
    past = _past(model, observed, calendar, targets.filter(pl.col("target").is_in(model.errors.ids)), first, last)
    panel, place = past.panel, {name: index for index, name in enumerate(names)}
    row = np.array([place[name] for name in panel.ids], dtype=np.int64)
    # The newest reading that each origin may see; the panel ends with the slot before the last origin.
    at = panel.lengths[:, None] - origins + np.arange(origins)
    series = np.broadcast_to(np.arange(len(panel.ids))[:, None], at.shape)
    read, _ = trailing(panel, LOOK_BACK // model.slot)
    of, origin = np.nonzero(~np.isnan(panel.at(read, series, at)))
    for first_pair in range(0, of.size, max(1, _AT_ONCE // slots)):
        some = slice(first_pair, first_pair + max(1, _AT_ONCE // slots))
        who, when = of[some], origin[some]
        ahead = np.tile(np.arange(1, slots + 1), who.size)
        rows = Rows(np.repeat(who, slots), np.repeat(at[who, when], slots), ahead)
        level = kappa[row[rows.series]]
        for route, quantiles in _routes(model, model.errors, past, rows).items():
            found = demand_values(quantiles, level).reshape(who.size, slots, len(VALUES))
            values[route][row[who], when] = found
    return DemandSeries(names, first, model.slot, kappa, values)


def series_rows(series: DemandSeries, origins: Iterable[int]) -> pl.DataFrame:
    """Rows of a series' chosen origins (by number): ``origin, target, slot, route, kappa`` and VALUES."""
    some = np.fromiter(origins, dtype=np.int64)
    count, slots = len(series.targets), next(iter(series.values.values())).shape[2]
    target, origin, ahead = (grid.ravel() for grid in np.meshgrid(range(count), some, range(slots), indexing="ij"))
    first, slot_us = pl.Series([series.first]).cast(DEMAND["slot"]).to_physical()[0], series.slot // _US
    keys = {
        "origin": pl.Series(first + origin * slot_us).cast(DEMAND["slot"]),
        "target": pl.Series(series.targets, dtype=pl.String).gather(target),
        "slot": pl.Series(first + (origin + ahead) * slot_us).cast(DEMAND["slot"]),
        "kappa": series.kappa[target],
    }
    found = [
        pl.DataFrame({**keys, **dict(zip(VALUES, values[:, some].reshape(-1, len(VALUES)).T, strict=True))})
        .with_columns(route=pl.lit(route))
        .filter(pl.col("mean").is_not_nan())
        for route, values in series.values.items()
    ]
    return conform(pl.concat(found), DEMAND, "demand")


def _past(
    model: DirectModel,
    observed: pl.DataFrame,
    calendar: pl.DataFrame,
    targets: pl.DataFrame,
    first: datetime,
    last: datetime,
) -> Past:
    """What is known of each slot from the first origin's look-back to before the last origin."""
    panel = _panel(observed, targets, model.zones, model.slot, first - LOOK_BACK, last)
    reach = calendar.filter(pl.col("slot") >= first - timedelta(days=1))
    facts = day_facts(reach, panel.zones or (), model.kinds)
    return Past(panel, model.periods, facts, memory=LOOK_BACK // model.slot, causal=True)


def _routes(model: DirectModel, errors: ErrorTables, past: Past, rows: Rows) -> dict[str, Floats]:
    """Quantiles (rows, LEVELS) of the routes that this module has."""
    persistence = np.full(len(errors.ids), PERSISTENCE)
    return {
        "direct": _learned(model, past, rows),
        "seasonal_naive": naive_quantiles(errors, past, rows, errors.season, LEVELS),
        "persistence": naive_quantiles(errors, past, rows, persistence, LEVELS),
    }


def _learned(model: DirectModel, past: Past, rows: Rows) -> Floats:
    """Each row from the model of its distance."""
    near = rows.ahead <= model.near.max_ahead
    if model.far is None or near.all():
        return gradient_quantiles(model.near, past, rows)
    found = np.empty((rows.ahead.size, len(LEVELS)))
    for some, gradient in ((near, model.near), (~near, model.far)):
        if some.any():
            found[some] = gradient_quantiles(
                gradient, past, Rows(rows.series[some], rows.origin[some], rows.ahead[some])
            )
    return found


def demand_values(quantiles: Floats, kappa: Floats) -> Floats:
    """(rows, VALUES) from quantiles (rows, LEVELS) and each row's kappa; never below zero."""
    floored = np.maximum(quantiles, 0.0)
    at_kappa = np.empty(kappa.size)
    for level in np.unique(kappa):
        at_kappa[kappa == level] = at_levels(floored[kappa == level], LEVELS, [level])[:, 0]
    mean = np.maximum(at_levels(floored, LEVELS, _MEAN_AT), 0.0).mean(axis=1)
    return np.column_stack([mean, floored, np.maximum(at_kappa, 0.0)])


def demand_rows(
    quantiles: Floats, kappa: Floats, *, origin: datetime, route: str, target: pl.Series, slot: pl.Series
) -> pl.DataFrame:
    """DEMAND rows from quantiles (rows, LEVELS), each with the quantile at its kappa; never below zero."""
    columns = dict(zip(VALUES, demand_values(quantiles, kappa).T, strict=True))
    frame = pl.DataFrame({"target": target, "slot": slot, **columns}).with_columns(
        origin=pl.lit(origin), route=pl.lit(route), kappa=pl.Series(kappa)
    )
    return conform(frame, DEMAND, "demand")


def to_bytes(model: DirectModel) -> bytes:
    """The model as bytes, for storage of our own."""
    return pickle.dumps(model, protocol=5)


def from_bytes(content: bytes) -> DirectModel:
    """The model that :func:`to_bytes` wrote. Only for bytes of our own: reading runs code."""
    model = pickle.loads(content)  # noqa: S301  # fitted trees have no other form; the file is our own
    if not isinstance(model, DirectModel):
        raise InputError(f"These bytes hold a {type(model).__name__}, not a DirectModel; refit the forecasts.")
    if any(not hasattr(model, field.name) for field in fields(DirectModel)):
        raise InputError("The forecasters were learned by another version of the program: run `persona refit`.")
    return model


def _panel(
    observed: pl.DataFrame,
    targets: pl.DataFrame,
    zones: Mapping[str, str],
    slot: timedelta,
    start: datetime,
    end: datetime,
) -> Panel:
    """Demand from `start` to before `end` of the targets read there; each ends at the slot before `end`."""
    wanted = conform(targets, TARGETS, "targets").select("target", "hold_slots").unique("target", keep="first")
    step_us = slot // timedelta(microseconds=1)
    read = (
        conform(observed, OBSERVED, "observed demand")
        .filter((pl.col("slot") < end) & (pl.col("slot") >= start) & pl.col("demand").is_finite())
        .join(wanted, on="target")
        .with_columns(back=(pl.lit(end).cast(OBSERVED["slot"]) - pl.col("slot")).dt.total_microseconds() // step_us)
        .filter(pl.col("back") >= 1)
        .sort("target", "slot")
    )
    ids, rows, hold = [], [], []
    for (name,), part in read.group_by("target", maintain_order=True):
        back = part["back"].to_numpy()
        values = np.full(int(back.max()), np.nan)
        values[values.size - back] = part["demand"].to_numpy()
        ids.append(str(name))
        rows.append(values)
        hold.append(part["hold_slots"][0])
    last_us = pl.Series([end]).cast(OBSERVED["slot"]).to_physical()[0] - step_us
    of_target = [zones.get(name, "UTC") for name in ids]
    return make_panel(
        ids, rows, np.full(len(ids), last_us), step_us, zones=of_target, hold=np.array(hold, dtype=np.int64)
    )


def _zones(targets: pl.DataFrame, workloads: pl.DataFrame) -> dict[str, str]:
    counted = (
        targets.select("target", "pool")
        .join(workloads.select("pool", "timezone"), on="pool", how="left")
        .group_by("target", "timezone")
        .len()
        .sort("target", "len", "timezone", descending=[False, True, False])
        .unique("target", keep="first", maintain_order=True)
        .with_columns(pl.col("timezone").fill_null("UTC"))
    )
    return dict(counted.select("target", "timezone").iter_rows())
