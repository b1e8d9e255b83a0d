"""Several ways of forecasting averaged, quantile by quantile, with weights that held-out targets gave them.

The ways: two boosted models (few small trees, which suit unlike series; more and larger ones, which suit smooth ones),
and the naive rules (persistence, and for each period the latest cycle) with the quantiles of their past errors. Weights
are by band of steps ahead, pooled over series and then moved towards each series' own as far as its targets tell.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from persona_platform.forecasting.features import Past, Rows
from persona_platform.forecasting.gradient import (
    GradientModel,
    fit_gradient,
    gradient_quantiles,
    sample_rows,
)
from persona_platform.forecasting.naive import ErrorTables, error_tables, naive_quantiles, with_unknown
from persona_platform.forecasting.panel import Ints
from persona_platform.forecasting.quantiles import Floats, at_levels, pinball

LEVELS: Final = (0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99)
LARGE: Final = {"max_iter": 150, "learning_rate": 0.05, "max_leaf_nodes": 24, "min_samples_leaf": 60}
"""Boosting of the larger model."""
BANDS: Final = (2, 6, 24, 96, 288, 1_000_000)
"""Upper ends of the bands of steps ahead that have weights of their own."""
ENOUGH: Final = 4_000
"""Readings of all series below which there is one small model, and nothing is held out."""
ROUNDS: Final = 300
RATE: Final = 2.0
OWN_ROUNDS: Final = 30
"""Steps that each series' weights take from the pooled ones: stopped early, so that few targets move them little."""


@dataclass(frozen=True)
class Members:
    """What was learned for each way."""

    models: tuple[GradientModel, ...]
    errors: ErrorTables

    @property
    def count(self) -> int:
        """How many ways there are."""
        return len(self.models) + len(self.errors.periods)

    def quantiles(self, past: Past, rows: Rows) -> Floats:
        """(rows, ways, LEVELS)."""
        found = [gradient_quantiles(model, past, rows) for model in self.models]
        errors = with_unknown(self.errors, past)
        found += [
            naive_quantiles(errors, past, rows, np.full(len(errors.ids), which), LEVELS)
            for which in range(len(errors.periods))
        ]
        return np.stack(found, axis=1)


def fit_members(past: Past, farthest: int, *, large: bool, seed: int) -> Members:
    """Every way, learned from all of ``past``; the larger model only if asked for."""
    models = [fit_gradient(past, farthest, seed=seed, levels=LEVELS)]
    if large:
        models.append(fit_gradient(past, farthest, seed=seed, levels=LEVELS, boosting=LARGE))
    return Members(tuple(models), error_tables(past, farthest))


def enough(past: Past) -> bool:
    """Whether the past is long enough for a large model, and for holding a part of it out."""
    return past.panel.values.size >= ENOUGH


@dataclass(frozen=True)
class Weights:
    """(series, bands, ways), each row summing to 1; ``pooled`` (bands, ways) is for series that were not seen."""

    ids: tuple[str, ...]
    table: Floats
    pooled: Floats

    def of(self, ids: tuple[str, ...], rows: Rows) -> Floats:
        """(rows, ways)."""
        place = {name: index for index, name in enumerate(self.ids)}
        both = np.concatenate([self.table, self.pooled[None]])
        mine = np.array([place.get(name, len(self.ids)) for name in ids])
        return both[mine[rows.series], band_of(rows.ahead)]


def plain_weights(members: Members) -> Weights:
    """Half to the models, half to the naive rule that was best in each series: where nothing was held out."""
    ids, models = members.errors.ids, len(members.models)
    table = np.zeros((len(ids), len(BANDS), members.count))
    table[:, :, :models] = 0.5 / models
    table[np.arange(len(ids)), :, models + members.errors.best] = 0.5
    return Weights(ids, table, table.mean(axis=0) if ids else np.full((len(BANDS), members.count), 1 / members.count))


def band_of(ahead: Ints) -> Ints:
    """The band of each number of steps ahead."""
    return np.searchsorted(np.array(BANDS), ahead)


def learn_weights(said: Floats, actual: Floats, rows: Rows, ids: tuple[str, ...], size: Floats) -> Weights:
    """Weights from forecasts (rows, ways, LEVELS) of targets that were held out, each series relative to its size."""
    ways, count = said.shape[1], len(ids)
    pooled = np.full((len(BANDS), ways), 1.0 / ways)
    table = np.empty((count, len(BANDS), ways))
    band = band_of(rows.ahead)
    scaled, truth = said / size[rows.series][:, None, None], actual / size[rows.series]
    for one in range(len(BANDS)):
        here = np.flatnonzero(band == one)
        if here.size:
            pooled[one] = _descend(scaled[here], truth[here], pooled[one - 1] if one else pooled[one], ROUNDS)
        elif one:
            pooled[one] = pooled[one - 1]
        for series in range(count):
            mine = here[rows.series[here] == series]
            table[series, one] = (
                _descend(scaled[mine], truth[mine], pooled[one], OWN_ROUNDS) if mine.size else pooled[one]
            )
    return Weights(ids, table, pooled)


def _descend(said: Floats, actual: Floats, start: Floats, rounds: int) -> Floats:
    """Exponentiated gradient on the mean pinball loss of the averaged quantiles."""
    levels = np.asarray(LEVELS)
    usual = pinball(actual[:, None, None], said, levels).mean(axis=(0, 2)).min()
    weight = np.maximum(start, 1e-4)
    weight /= weight.sum()
    mean = np.zeros_like(weight)
    for turn in range(rounds):
        mixed = np.einsum("rwl,w->rl", said, weight)
        slope = np.where(mixed > actual[:, None], 1.0 - levels, -levels)
        gradient = np.einsum("rl,rwl->w", slope, said) / slope.size / max(float(usual), 1e-12)
        weight = weight * np.exp(-RATE / np.sqrt(turn + 1.0) * (gradient - gradient.min()))
        weight /= weight.sum()
        mean += weight
    return mean / mean.sum()


def held_out(past: Past, first: float, farthest: int, count: int, seed: int) -> Rows:
    """Rows from origins after the ``first`` share of each series, unseen by what was learned from that share."""
    rows = sample_rows(past, farthest, 4 * count, seed)
    edge = (past.panel.lengths * first).astype(np.int64)[rows.series]
    kept = np.flatnonzero(rows.origin >= edge - 1)[:count]
    return Rows(rows.series[kept], rows.origin[kept], rows.ahead[kept])


def blended(members: Members, weights: Weights, past: Past, rows: Rows, levels: Floats) -> Floats:
    """(rows, levels): the averaged quantiles; ways that are not known for a row are left out."""
    said = members.quantiles(past, rows)
    weight = weights.of(past.panel.ids, rows)[:, :, None] * np.isfinite(said)
    total = weight.sum(axis=1)
    mixed = np.where(total > 0, (weight * np.nan_to_num(said)).sum(axis=1) / np.maximum(total, 1e-300), np.nan)
    return at_levels(mixed, LEVELS, levels)
