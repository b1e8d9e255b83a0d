"""What young workloads' predictions are compared with: one global model without personas, and two simple rules.

The global model is gradient-boosted quantile regression over all workloads: labels, calendar, lead, age and what was
read of the workload so far, the target relative to the workload's own mean so far (its pool's before that). It is
trained on the known workloads' young phases, from many starts, with each workload's loss relative to its mean need as
in the score, and stopped by workloads that it was not trained on. It has the same readings, labels and calendar as
ours.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from sklearn.ensemble import HistGradientBoostingRegressor as Boosted

STARTS = 12  # young phases of each known workload in training
LEADS = 12  # leads drawn for each phase and age
HELD_OUT = 5  # every fifth workload stops the boosting
ROUNDS, PATIENCE = 400, 20


@dataclass(frozen=True)
class Panel:
    """A fleet as arrays (workloads, slots); NaN where the main need was not read."""

    need: np.ndarray
    hour: np.ndarray  # of the local day, with its quarters
    weekday: np.ndarray
    off: np.ndarray
    mark: np.ndarray  # number of the event or month edge, 0 for none
    labels: np.ndarray  # (workloads, labels) of str
    kappa: np.ndarray  # (workloads,)
    pool: np.ndarray  # (workloads,) of str
    per_day: int

    @cached_property
    def sums(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Running sums of the needs, of their squares and of the slots read; the first is 0."""
        read = ~np.isnan(self.need)
        filled = np.nan_to_num(self.need)

        def running(values: np.ndarray) -> np.ndarray:
            return np.cumsum(np.pad(values, ((0, 0), (1, 0))), axis=1)

        return running(filled), running(filled**2), running(read.astype(float))

    def mean(self, w: np.ndarray, first: np.ndarray, until: np.ndarray) -> np.ndarray:
        """Means over [first, until), NaN where nothing was read."""
        total, _, read = self.sums
        count = read[w, until] - read[w, first]
        return np.where(count > 0, (total[w, until] - total[w, first]) / np.maximum(count, 1), np.nan)


@dataclass(frozen=True)
class Cases:
    """Predictions asked for: workload, first slot read, slots read, slots ahead; arrays of one length."""

    w: np.ndarray
    start: np.ndarray
    age: np.ndarray
    lead: np.ndarray

    @property
    def origin(self) -> np.ndarray:
        """The first slot that was not read."""
        return self.start + self.age

    @property
    def at(self) -> np.ndarray:
        """The slot that is predicted."""
        return self.origin + self.lead

    def take(self, which: np.ndarray) -> "Cases":
        """Some of them."""
        return Cases(self.w[which], self.start[which], self.age[which], self.lead[which])


def features(panel: Panel, cases: Cases, before: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Numbers of each case, and the scale that its target is divided by; ``before`` is the scale at age 0."""
    w, start, age, at, origin = cases.w, cases.start, cases.age, cases.at, cases.origin
    mean = panel.mean(w, start, origin)
    scale = np.maximum(np.where(np.isnan(mean), before[w], mean), 0.02)
    _, squares, read = panel.sums
    count = np.maximum(read[w, origin] - read[w, start], 1)
    spread = np.sqrt(np.maximum((squares[w, origin] - squares[w, start]) / count - np.nan_to_num(mean) ** 2, 0.0))
    own = _own(panel, cases)

    def around(back: int, reach: int) -> np.ndarray:
        first, until = np.clip(at - back - reach, start, origin), np.clip(at - back + reach + 1, start, origin)
        return np.where(until > first, panel.mean(w, first, np.maximum(until, first)), np.nan)

    def back(slots: int) -> np.ndarray:
        there = (at - slots >= start) & (at - slots < origin)
        return np.where(there, panel.need[w, np.maximum(at - slots, 0)], np.nan)

    day = panel.per_day
    hour = day // 24
    relative = [
        spread, *own.T, np.where(age > 0, panel.need[w, np.maximum(origin - 1, 0)], np.nan),
        np.where(age > 0, panel.mean(w, np.maximum(origin - hour, start), origin), np.nan),
        back(day), around(day, hour), around(day, 2 * hour), around(2 * day, hour),
        back(7 * day), around(7 * day, hour),
    ]  # fmt: skip
    plain = [panel.hour[w, at], panel.weekday[w, at], panel.off[w, at], age, cases.lead, np.log(scale)]
    columns = [*_codes(panel.labels)[w].T, panel.mark[w, at], *plain, *(x / scale for x in relative)]
    return np.column_stack(columns).astype(float), scale


def _own(panel: Panel, cases: Cases) -> np.ndarray:
    """Largest, least, 0.9 quantile and median of each case's own history."""
    phases, of = np.unique(np.stack([cases.w, cases.start, cases.age]), axis=1, return_inverse=True)
    found = np.full((phases.shape[1], 4), np.nan)
    for row, (w, start, age) in enumerate(phases.T):
        read = panel.need[w, start : start + age]
        read = read[~np.isnan(read)]
        if len(read):
            found[row] = read.max(), read.min(), *np.quantile(read, [0.9, 0.5])
    return found[of.reshape(-1)]


def _codes(labels: np.ndarray) -> np.ndarray:
    return np.stack([np.unique(column, return_inverse=True)[1].reshape(-1) for column in labels.T], axis=1)


def global_model(panel: Panel, known: np.ndarray, until: int, ages: list[int], asked: Cases, seed: int) -> np.ndarray:
    """The global model's quantile of each case asked, at its workload's kappa."""
    rng = np.random.default_rng(seed)
    each = len(ages) * LEADS
    drawn = rng.integers(0, until - max(ages) - panel.per_day, len(known) * STARTS)
    cases = Cases(
        np.repeat(known, STARTS * each),
        np.repeat(drawn, each),
        np.tile(np.repeat(ages, LEADS), len(known) * STARTS),
        rng.integers(0, panel.per_day, len(known) * STARTS * each),
    )
    target = panel.need[cases.w, cases.at]
    cases, target = cases.take(~np.isnan(target)), target[~np.isnan(target)]
    mean = np.nanmean(panel.need[:, :until], axis=1)
    before = pool_means(panel, known, mean)
    numbers, scale = features(panel, cases, before)
    wanted, wanted_scale = features(panel, asked, before)
    weight = scale / mean[cases.w]
    out = np.zeros(len(wanted))
    for kappa in np.unique(panel.kappa):
        here = panel.kappa[asked.w] == kappa
        model = _boosted(numbers, target / scale, weight, cases.w, float(kappa), panel.labels.shape[1] + 1)
        out[here] = np.maximum(model.predict(wanted[here]), 0.0) * wanted_scale[here]
    return out


def pool_means(panel: Panel, known: np.ndarray, mean: np.ndarray) -> np.ndarray:
    """For every workload the typical mean need of its pool's known workloads."""
    everyone = np.exp(np.log(mean[known]).mean())
    typical = {p: np.exp(np.log(mean[known][panel.pool[known] == p]).mean()) for p in np.unique(panel.pool[known])}
    return np.array([typical.get(p, everyone) for p in panel.pool])


def _boosted(x: np.ndarray, y: np.ndarray, weight: np.ndarray, w: np.ndarray, kappa: float, categories: int) -> Boosted:
    """Stopped by held-out workloads, then fitted on all for as many rounds."""
    options: dict[str, Any] = {
        "loss": "quantile", "quantile": kappa, "learning_rate": 0.1, "max_leaf_nodes": 31, "min_samples_leaf": 40,
        "categorical_features": list(range(categories)), "random_state": 0, "early_stopping": True,
    }  # fmt: skip
    held = np.unique(w, return_inverse=True)[1].reshape(-1) % HELD_OUT == 0
    trial = Boosted(max_iter=ROUNDS, n_iter_no_change=PATIENCE, **options)
    trial.fit(x[~held], y[~held], weight[~held], X_val=x[held], y_val=y[held], sample_weight_val=weight[held])
    options["early_stopping"] = False
    return Boosted(max_iter=max(10, trial.n_iter_ - PATIENCE), **options).fit(x, y, weight)


def pool_by_hour(panel: Panel, known: np.ndarray, until: int, asked: Cases) -> np.ndarray:
    """The quantile of the pool's known workloads at that hour of a day of that kind."""
    out = np.zeros(len(asked.w))
    hour = np.floor(panel.hour).astype(int) + 24 * panel.off.astype(int)
    for pool in np.unique(panel.pool[asked.w]):
        members = known[panel.pool[known] == pool] if (panel.pool[known] == pool).any() else known
        values, at = panel.need[members, :until].ravel(), hour[members, :until].ravel()
        for kappa in np.unique(panel.kappa):
            table = np.array([np.nanquantile(values[at == h], kappa) for h in range(48)])
            here = (panel.pool[asked.w] == pool) & (panel.kappa[asked.w] == kappa)
            out[here] = table[hour[asked.w[here], asked.at[here]]]
    return out


def own_so_far(panel: Panel, asked: Cases, otherwise: np.ndarray) -> np.ndarray:
    """The quantile of the workload's own history; ``otherwise`` where nothing was read."""
    phases, of = np.unique(np.stack([asked.w, asked.start, asked.age]), axis=1, return_inverse=True)
    found = np.full(phases.shape[1], np.nan)
    for row, (w, start, age) in enumerate(phases.T):
        read = panel.need[w, start : start + age]
        if (~np.isnan(read)).any():
            found[row] = np.nanquantile(read, panel.kappa[w])
    own = found[of.reshape(-1)]
    return np.where(np.isnan(own), otherwise, own)
