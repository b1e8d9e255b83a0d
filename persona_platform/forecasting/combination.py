"""Which route counts how much: weights by target and band of leads, from what each said and what came.

Weights are made from pinball loss at the operating quantile on past origins. A route that did not beat the
better of the two baselines there gets none; where none did, that baseline gets all.
"""

from datetime import timedelta
from itertools import product
from typing import Final, NamedTuple

import numpy as np
import polars as pl

from persona_platform.forecasting.backtest import BACKTEST
from persona_platform.forecasting.demand import VALUES, DemandSeries
from persona_platform.forecasting.quantiles import Floats, pinball
from persona_platform.frames import COMBINATION, DEMAND, conform, empty
from persona_platform.sums import total

BANDS: Final = (1, 4, 24, 96, 1_000_000)
"""Upper ends of the bands of leads, in slots from the origin (the slot at the origin has lead 0)."""

BASELINES: Final = ("seasonal_naive", "persistence")
LEARNED: Final = ("mixture", "direct")

_FOLDS: Final = 8.0  # origins that weigh as much as the belief in the plain average
_GRID: Final = 10  # weights are tried in tenths


def combination_weights(backtest: pl.DataFrame, *, slot: timedelta) -> pl.DataFrame:
    """COMBINATION from ``origin, target, slot, route, q_kappa, kappa, actual``.

    Only slots that every route of the target forecast are scored. The best weights on a grid are drawn
    towards the plain average of the routes that earned weight: by 8 / (origins + 8). Empty where nothing
    could be scored.
    """
    if backtest.is_empty():
        return empty(COMBINATION)
    scored = (
        conform(backtest, BACKTEST, "backtest")
        .filter(pl.col("actual").is_finite() & pl.col("q_kappa").is_finite())
        .with_columns(_band(slot))
    )
    rows: list[_Row] = []
    for (target, band), part in scored.group_by("target", "lead_slots", maintain_order=True):
        rows += _weigh(str(target), band, part)  # type: ignore[arg-type]
    return conform(pl.DataFrame(rows, schema=COMBINATION, orient="row"), COMBINATION, "combination").sort(
        "target", "lead_slots", "route"
    )


def _band(slot: timedelta) -> pl.Expr:
    """The upper end of the band that a row's lead falls into, as ``lead_slots``."""
    lead = (pl.col("slot") - pl.col("origin")).dt.total_microseconds() // (slot // timedelta(microseconds=1))
    band = pl.lit(BANDS[-1], pl.Int64)
    for end in reversed(BANDS[:-1]):
        band = pl.when(lead <= end).then(pl.lit(end, pl.Int64)).otherwise(band)
    return band.alias("lead_slots")


class _Row(NamedTuple):
    target: str
    lead_slots: int
    route: str
    weight: float
    pinball: float
    relative: float


def _weigh(target: str, band: int, part: pl.DataFrame) -> list[_Row]:
    """The rows of one target and band."""
    wide = part.pivot(
        on="route", index=["origin", "slot", "kappa", "actual"], values="q_kappa", aggregate_function="first"
    ).drop_nulls()
    routes = sorted(set(wide.columns) - {"origin", "slot", "kappa", "actual"})
    if wide.is_empty():
        return []
    forecasts, actual = wide.select(routes).to_numpy(), wide["actual"].to_numpy()
    kappa = wide["kappa"].to_numpy()
    losses = pinball(actual[:, None], forecasts, kappa[:, None]).mean(axis=0)
    baselines = [i for i, route in enumerate(routes) if route in BASELINES]
    weights = np.zeros(len(routes))
    best = min(baselines, key=lambda i: losses[i], default=None)
    bar = np.inf if best is None else losses[best]
    earned = [i for i in range(len(routes)) if i not in baselines and losses[i] < bar]
    if earned:
        tuned = _best_weights(forecasts[:, earned], actual, kappa)
        trust = wide["origin"].n_unique() / (wide["origin"].n_unique() + _FOLDS)
        weights[earned] = trust * tuned + (1 - trust) / len(earned)
    else:
        weights[best if best is not None else int(np.argmin(losses))] = 1.0
    return [
        _Row(
            target,
            band,
            route,
            weight,
            loss,
            _relative(loss, bar if np.isfinite(bar) else float(losses.min())),
        )
        for route, weight, loss in zip(routes, weights.tolist(), losses.tolist(), strict=True)
    ]


def _relative(loss: float, bar: float) -> float:
    if bar > 0:
        return loss / float(bar)
    return 1.0 if loss == 0 else float("inf")


def _best_weights(forecasts: Floats, actual: Floats, kappa: Floats) -> Floats:
    """The weights on a grid of tenths with the lowest pinball loss of the averaged quantile."""
    count = forecasts.shape[1]
    grid = np.array([point for point in product(range(_GRID + 1), repeat=count) if sum(point) == _GRID]) / _GRID
    loss = [float(pinball(actual, forecasts @ point, kappa).mean()) for point in grid]
    return grid[int(np.argmin(loss))]


def combine(demand: pl.DataFrame, weights: pl.DataFrame, slot: timedelta) -> pl.DataFrame:
    """The demand with the rows of route ``combined`` added: every column averaged with the routes' weights.

    A target and band without weights, or of whose weighted routes none is present, takes the plain average of
    mixture and direct, and of whatever is present where both lack. Averages of ordered quantiles are ordered.
    """
    routes = conform(demand, DEMAND, "demand").filter(pl.col("route") != "combined")
    if routes.is_empty():
        return routes
    known = conform(weights, COMBINATION, "combination").select("target", "lead_slots", "route", "weight")
    key = ["origin", "target", "slot"]
    learned = pl.col("route").is_in(LEARNED).cast(pl.Float64)
    weighed = (
        routes.with_columns(_band(slot))
        .join(known, on=["target", "lead_slots", "route"], how="left", maintain_order="left")
        .with_columns(pl.col("weight").fill_null(0.0))
        .with_columns(
            pl.when(pl.col("weight").sum().over(key) > 0)
            .then("weight")
            .when(learned.sum().over(key) > 0)
            .then(learned)
            .otherwise(1.0)
            .alias("weight")
        )
    )
    share = pl.col("weight") / total("weight")
    combined = (
        weighed.group_by(key, maintain_order=True)
        .agg(
            pl.lit("combined").alias("route"),
            pl.col("kappa").first(),
            *(total(pl.col(name) * share) for name in VALUES),
        )
        .select(list(DEMAND))
    )
    return pl.concat([routes, combined])


def combine_series(demand: DemandSeries, weights: pl.DataFrame) -> Floats:
    """:func:`combine` for many origins: (targets, origins, slots, VALUES), NaN where no route has a forecast."""
    known = conform(weights, COMBINATION, "combination")
    table = {(row[0], row[1], row[2]): row[3] for row in known.iter_rows()}
    routes = list(demand.values)
    stacked = np.stack([demand.values[route] for route in routes])
    slots = stacked.shape[3]
    bands = [next(end for end in BANDS if lead <= end) for lead in range(slots)]
    weight = np.array(
        [[[table.get((name, band, route), 0.0) for band in bands] for name in demand.targets] for route in routes]
    ).reshape(len(routes), len(demand.targets), 1, slots)
    there = ~np.isnan(stacked[..., 0])
    learned = np.array([route in LEARNED for route in routes], dtype=np.float64)[:, None, None, None]
    share = there * weight
    share = np.where(share.sum(axis=0) > 0, share, there * learned)
    share = np.where(share.sum(axis=0) > 0, share, there)
    total = share.sum(axis=0)
    summed = (share[..., None] * np.nan_to_num(stacked)).sum(axis=0)
    return np.where(total[..., None] > 0, summed / np.maximum(total, 1e-300)[..., None], np.nan)
