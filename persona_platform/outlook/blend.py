"""The blend: one hazard out of three views, with weights that the fleet's own history chooses.

log odds = b0 + b1 base + b2 week + b3 age + b4 max(week, age); week and age are differences to the base.
Independent views would all weigh 1, views that repeat each other weigh less, and the last term lets one sharp
view stand against a blunt one. The weights are a maximum a posteriori logistic regression on left-out views.
"""

from dataclasses import dataclass, replace

import numpy as np

from persona_platform.outlook.shrinkage import expit
from persona_platform.sums import one_thread

PRIORS = np.array([[0.0, 1.0, 0.6, 0.4, 0.3], [0.0, 1.0, 0.7, 0.0, 0.3]])
PRIOR_SPREAD = np.array([0.3, 0.1, 0.2, 0.2, 0.2])
"""Standard deviations of the prior: a fleet of one workload stays near it, one of a hundred does not."""
PERSONA_SPREAD = np.array([0.5, 0.2, 0.2, 0.2, 0.2])
STEPS = 12


@dataclass(frozen=True)
class Views:
    """The three views of the same hazards, log odds; any shapes that broadcast."""

    base: np.ndarray
    week: np.ndarray
    age: np.ndarray


WITH_AGE, WITHOUT_AGE = 0, 1
"""Two sets of weights: where the age is not known, the others carry what it would have said."""


def blended(weights: np.ndarray, views: Views, offset: np.ndarray | float = 0.0) -> np.ndarray:
    """Log odds of the hazard. ``weights``: the last axis is the five weights, the others broadcast."""
    week = views.week - views.base
    age = views.age - views.base
    plain = weights[..., 0] + weights[..., 1] * views.base + offset
    sharpest = np.maximum(week, age)
    return plain + weights[..., 2] * week + weights[..., 3] * age + weights[..., 4] * sharpest


def fit_weights(
    views: Views, happened: np.ndarray, weight: np.ndarray, persona: np.ndarray, personas: int
) -> np.ndarray:
    """Weights of each persona (personas, 2, 5), shrunk to the fleet's; the fleet's where there are no rows.

    Personas differ: off its schedule a nightly job never starts, and an interactive one starts at any time.
    """
    weights = np.zeros((personas, 2, 5))
    for which in (WITH_AGE, WITHOUT_AGE):
        seen = views if which == WITH_AGE else replace(views, age=views.base)
        fleet = _posterior(seen, happened, weight, PRIORS[which], PRIOR_SPREAD)
        weights[:, which] = fleet
        for k in np.unique(persona):
            rows = persona == k
            mine = Views(seen.base[rows], seen.week[rows], seen.age[rows])
            weights[k, which] = _posterior(mine, happened[rows], weight[rows], fleet, PERSONA_SPREAD)
    return weights


def _posterior(
    views: Views, happened: np.ndarray, weight: np.ndarray, prior: np.ndarray, spread: np.ndarray
) -> np.ndarray:
    """Weights by Newton steps under a normal prior."""
    week, age = views.week - views.base, views.age - views.base
    design = np.stack([np.ones_like(week), views.base, week, age, np.maximum(week, age)], axis=1)
    precision = np.diag(1.0 / spread**2)
    current = prior.copy()
    with one_thread():
        for _ in range(STEPS):
            rate = expit(design @ current)
            slope = design.T @ (weight * (happened - rate)) - precision @ (current - prior)
            curve = (design * (weight * np.maximum(rate * (1.0 - rate), 1e-6))[:, None]).T @ design + precision
            step = np.linalg.solve(curve, slope)
            current = current + np.clip(step, -1.0, 1.0)
            if np.abs(step).max() < 1e-5:
                break
    return current
