"""Shared shocks: on a day a persona's members all start more, or all start less, than the hazards say.

A gamma variable of mean one multiplies the cumulative hazards of starting; one for each path, persona, day.
The hazards are enlarged so that the chance of each first start of a day stays what it was:
E[exp(-z H*)] = exp(-H) for H* = k (exp(H / k) - 1), k = 1 / variance.
"""

import numpy as np

DEFAULT_VARIANCE = 0.05
"""A common shock of 22 % in standard deviation, until days have been seen."""
PRIOR_STARTS = 40.0  # squared expected starts that the default is worth
BOUNDS = (1e-3, 1.0)
LARGEST_EXPONENT = 25.0


def estimate(persona: np.ndarray, day: np.ndarray, rate: np.ndarray, happened: np.ndarray, personas: int) -> np.ndarray:
    """Variance of the shock of each persona, by moments of its starts a day.

    Args:
        persona: Persona of each exposure to a start.
        day: Its day, any whole numbers.
        rate: The hazard that was expected, left-out.
        happened: 1 where the start took place.
        personas: How many there are.

    Returns:
        Variances, shrunk to the fleet's and that to :data:`DEFAULT_VARIANCE`.
    """
    if not len(day):
        return np.full(personas, DEFAULT_VARIANCE)
    days = int(day.max() - day.min()) + 1
    cell = persona * days + day - day.min()

    def daily(values: np.ndarray) -> np.ndarray:
        return np.bincount(cell, values, minlength=personas * days).reshape(personas, days)

    expected = daily(rate)
    excess = ((daily(happened) - expected) ** 2 - daily(rate * (1.0 - rate))).sum(axis=1)
    square = (expected**2).sum(axis=1)
    fleet = (excess.sum() + PRIOR_STARTS * DEFAULT_VARIANCE) / (square.sum() + PRIOR_STARTS)
    return np.clip((excess + PRIOR_STARTS * np.clip(fleet, *BOUNDS)) / (square + PRIOR_STARTS), *BOUNDS)


def enlarged(hazard: np.ndarray, spent: np.ndarray | float, variance: np.ndarray | float) -> np.ndarray:
    """H* for a cumulative hazard ``hazard`` after ``spent`` has passed without a start on the same day."""
    shape = 1.0 / variance
    exponent = np.minimum(hazard / shape, LARGEST_EXPONENT)
    return shape * np.expm1(exponent) * np.exp(np.minimum(spent / shape, LARGEST_EXPONENT))
