"""The direct route: quantiles of a target's window maximum from its own past, beside the two baselines."""

import pickle
from collections.abc import Mapping
from dataclasses import dataclass
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
from persona_platform.forecasting.panel import Panel, make_panel
from persona_platform.forecasting.phases import day_facts, event_kinds, natural_periods
from persona_platform.forecasting.quantiles import LEVELS, Floats, at_levels
from persona_platform.frames import DEMAND, OBSERVED, QUANTILE_COLUMNS, TARGETS, conform, empty

LOOK_BACK: Final = timedelta(days=36)
"""Past that a forecast looks at: four whole weeks before the target's week, and a day for late readings."""

LEARN_FROM: Final = timedelta(days=180)
"""Past that a model is trained on."""

_FARTHEST: Final = timedelta(hours=48)  # steps ahead that are learned one by one; later ones take the last
_MEAN_AT: Final = (np.arange(40) + 0.5) / 40  # levels whose quantiles are averaged to the mean


@dataclass(frozen=True)
class DirectModel:
    """What :func:`direct_demand` needs besides the newest readings."""

    slot: timedelta
    until: datetime
    kinds: tuple[str, ...]
    zones: Mapping[str, str]  # IANA zone of each target
    gradient: GradientModel
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
) -> DirectModel:
    """Fit the direct route and the baselines on the demand of the slots before `until`, at most 180 days.

    A target follows the clock that most of its pool's workloads follow. Slots that are saturated are taken
    as they are: demand was at least that.

    Raises:
        InputError: no target has a reading before `until`.
    """
    zones = _zones(targets, workloads)
    panel = _panel(observed, targets, zones, slot, until - LEARN_FROM, until)
    if not panel.ids:
        raise InputError(f"No target has observed demand before {until:%Y-%m-%d %H:%M}; ingest history first.")
    kinds = event_kinds(calendar)
    past = Past(panel, natural_periods(slot), day_facts(calendar, list(zones.values()), kinds))
    # Never farther than a third of the longest history: beyond it there are hardly two origins to learn from.
    farthest = int(min(max(_FARTHEST // slot, 1), max(int(panel.lengths.max()) // 3, 1)))
    return DirectModel(slot, until, kinds, zones, fit_gradient(past, farthest, seed=seed), error_tables(past, farthest))


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
    panel = _panel(observed, targets, model.zones, model.slot, origin - LOOK_BACK, origin)
    if not panel.ids or slots < 1:
        return empty(DEMAND)
    reach = calendar.filter(pl.col("slot") >= origin - timedelta(days=1))
    past = Past(panel, model.gradient.periods, day_facts(reach, panel.zones or (), model.kinds))
    count = len(panel.ids)
    series, ahead = np.repeat(np.arange(count), slots), np.tile(np.arange(1, slots + 1), count)
    rows = Rows(series, panel.lengths[series] - 1, ahead)
    errors = with_unknown(model.errors, past)
    routes = {
        "direct": gradient_quantiles(model.gradient, past, rows),
        "seasonal_naive": naive_quantiles(errors, past, rows, errors.season, LEVELS),
        "persistence": naive_quantiles(errors, past, rows, np.full(len(errors.ids), PERSISTENCE), LEVELS),
    }
    kappa = dict(targets.select("target", "kappa").iter_rows())
    at = np.array([kappa[name] for name in panel.ids])[series]
    keys = {
        "target": pl.Series(panel.ids, dtype=pl.String).gather(series),
        "slot": pl.Series(panel.times(series, rows.target)).cast(pl.Datetime("us")).dt.replace_time_zone("UTC"),
    }
    return pl.concat(
        demand_rows(quantiles, at, origin=origin, route=route, **keys) for route, quantiles in routes.items()
    )


def demand_rows(
    quantiles: Floats, kappa: Floats, *, origin: datetime, route: str, target: pl.Series, slot: pl.Series
) -> pl.DataFrame:
    """DEMAND rows from quantiles (rows, LEVELS), each with the quantile at its kappa; never below zero."""
    floored = np.maximum(quantiles, 0.0)
    at_kappa = np.empty(kappa.size)
    for level in np.unique(kappa):
        at_kappa[kappa == level] = at_levels(floored[kappa == level], LEVELS, [level])[:, 0]
    columns = dict(zip(QUANTILE_COLUMNS, floored.T, strict=True))
    frame = pl.DataFrame({"target": target, "slot": slot, **columns}).with_columns(
        origin=pl.lit(origin),
        route=pl.lit(route),
        mean=pl.Series(np.maximum(at_levels(floored, LEVELS, _MEAN_AT), 0.0).mean(axis=1)),
        kappa=pl.Series(kappa),
        q_kappa=pl.Series(np.maximum(at_kappa, 0.0)),
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
