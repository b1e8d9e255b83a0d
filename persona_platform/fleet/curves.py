"""How demand moves with the local time of day and week: one curve a name, about 1 at its peak."""

from collections.abc import Callable
from typing import Final

import numpy as np

from persona_platform.fleet.draws import Floats, Ints

Curve = Callable[[Floats, Ints], Floats]


def _hump(hour: Floats, at: float, width: float) -> Floats:
    """A bell around an hour of the day, seamless at midnight."""
    away = np.abs(hour - at)
    return np.exp(-((np.minimum(away, 24 - away) / width) ** 2))


def _weekday(weekday: Ints, factors: tuple[float, float, float, float, float, float, float]) -> Floats:
    return np.array(factors)[weekday]


def flat(hour: Floats, weekday: Ints) -> Floats:
    """A job that runs as hard as it can."""
    del weekday
    return np.full_like(hour, 0.95)


def office(hour: Floats, weekday: Ints) -> Floats:
    """People at work: before noon and in the afternoon, a dip at lunch, less on Fridays."""
    day = 0.38 + 0.6 * np.minimum(1, _hump(hour, 10.7, 1.9) + 0.92 * _hump(hour, 15.2, 2.1))
    return day * _weekday(weekday, (1.05, 1.02, 1.0, 0.99, 0.88, 0.9, 0.9))


def shop(hour: Floats, weekday: Ints) -> Floats:
    """Consumers: some at noon, most in the evening, more at the weekend."""
    day = 0.3 + 0.25 * _hump(hour, 12.5, 2.8) + 0.6 * _hump(hour, 20.3, 2.4)
    return day * _weekday(weekday, (0.95, 0.93, 0.95, 1.0, 1.05, 1.16, 1.2))


def store(hour: Floats, weekday: Ints) -> Floats:
    """Shops in town: noon, after work, and Saturdays."""
    day = 0.36 + 0.35 * _hump(hour, 12.8, 2.2) + 0.45 * _hump(hour, 17.8, 2.2)
    return day * _weekday(weekday, (0.9, 0.9, 0.92, 0.98, 1.1, 1.35, 0.85))


def assistant(hour: Floats, weekday: Ints) -> Floats:
    """Questions to a model: all day, until late."""
    day = 0.36 + 0.5 * _hump(hour, 14.5, 4.5) + 0.25 * _hump(hour, 21.0, 2.2)
    return day * _weekday(weekday, (1.0, 1.02, 1.02, 1.0, 0.92, 0.7, 0.72))


def always(hour: Floats, weekday: Ints) -> Floats:
    """A gentle swell with the day."""
    return (0.82 + 0.16 * _hump(hour, 14.0, 5.0)) * _weekday(weekday, (1.0, 1.0, 1.0, 1.0, 0.99, 0.94, 0.94))


def trickle(hour: Floats, weekday: Ints) -> Floats:
    """What is left of the traffic when nobody is at work: a little more by day."""
    del weekday
    return 0.75 + 0.5 * _hump(hour, 15.0, 5.0)


def quiet(hour: Floats, weekday: Ints) -> Floats:
    """Agents and health checks."""
    del weekday
    return np.ones_like(hour)


CURVES: Final[dict[str, Curve]] = {
    curve.__name__: curve for curve in (flat, office, shop, store, assistant, always, trickle, quiet)
}
