"""Days of a persona's members: how much of tomorrow do a member's own days tell beyond its fellows'?

Some personas are kept to the minute by each member and differ between members (a job every four hours, with an
offset of its own); others follow one clock; others come at any time. So how fast own history counts, and within
what distance on the clock, is learned for each persona, from the days of its members.
"""

from dataclasses import dataclass
from typing import Final, Self

import numpy as np

REACHES_H: Final = (0.0, 0.25, 0.5, 1.0, 3.0, np.inf)
"""Hours on the clock within which a past slot speaks for another one (standard deviations of a bell)."""
STRENGTHS: Final = np.array([0.1, 0.5, 1.0, 2.0, 4.0, 8.0, 32.0, 128.0, 1024.0])
"""Past slots, weighed by the bell, that weigh as much as the prior."""
BACK_DAYS: Final = (1, 2, 7)
OTHER_DAY: Final = 0.3
"""What a working day weighs for a day off, and the reverse."""
LAGS_H: Final = np.array([0.25, 1.0, 4.0, 12.0, 24.0])
FEWEST_DAYS: Final = 4


@dataclass(frozen=True)
class Days:
    """Whole local days of one member and persona; arrays are (days, slots of the day)."""

    played: np.ndarray  # 1 where it was played
    read: np.ndarray  # 1 where it was read
    place: np.ndarray  # of the week
    off: np.ndarray  # (days,) bool
    count: np.ndarray  # (2, places): slots played, and read, by place of the week

    @classmethod
    def of(cls, played: np.ndarray, read: np.ndarray, day: np.ndarray, off: np.ndarray) -> Self:
        """From (days, slots of the day), and of each day its place in the week and whether it is off."""
        per_day = played.shape[1]
        count = np.zeros((2, 7, per_day))
        for row, values in enumerate((played, read)):
            np.add.at(count[row], day, values)
        place = day[:, None] * per_day + np.arange(per_day)
        return cls(played, read, place, off, count.reshape(2, -1))


def bell(distance_slots: np.ndarray, reach_h: float, per_day: int) -> np.ndarray:
    """What slots at a distance on the clock weigh for each other."""
    if np.isinf(reach_h):
        return np.ones(np.shape(distance_slots))
    reach = max(reach_h * per_day / 24.0, 0.05)  # in slots; only the slot itself where it is none
    return np.exp(-0.5 * (distance_slots / reach) ** 2)


def around(phase: np.ndarray, other: np.ndarray, per_day: int) -> np.ndarray:
    """Distance on the clock, in slots, of every phase to every other."""
    return np.abs((phase[:, None] - other[None, :] + per_day // 2) % per_day - per_day // 2)


def smooth_rate(count: np.ndarray, read: np.ndarray, per_day: int, *, hours: float, slots: float) -> np.ndarray:
    """Chances by place of the week from (..., 7 x per_day) counts.

    An hour of the week is drawn towards the whole week with ``hours`` slots, its slots towards the hour (as the
    hour is usually divided) with ``slots`` slots.
    """
    per_hour = max(1, per_day // 24)
    shape = (*count.shape[:-1], 7, per_day // per_hour, per_hour)
    whole = count.sum(axis=-1, keepdims=True) / np.maximum(read.sum(axis=-1, keepdims=True), 1.0)
    by_hour = count.reshape(shape).sum(axis=-1), read.reshape(shape).sum(axis=-1)
    rate = (by_hour[0] + hours * whole[..., None]) / (by_hour[1] + hours)
    within = count.reshape(shape).sum(axis=-3)
    mean = within.mean(axis=-1, keepdims=True)
    division = (within + 0.5 * mean + 0.01) / (1.5 * mean + 0.01)
    prior = np.clip(rate[..., None] * division[..., None, :, :], 0.0, 1.0).reshape(count.shape)
    return (count + slots * prior) / (read + slots)


def habit_scores(days: Days, others: list[Days]) -> np.ndarray:
    """(reaches, strengths): the squared error of predicting each day from the days before it and the others."""
    scores = np.zeros((len(REACHES_H), len(STRENGTHS)))
    count, per_day = days.played.shape
    if count < FEWEST_DAYS:
        return scores
    pooled = (
        np.sum([d.count for d in others], axis=0)
        if others
        else np.ones_like(days.count) * days.count.mean(axis=1, keepdims=True)
    )
    prior = smooth_rate(pooled[0], pooled[1], per_day, hours=1.0, slots=2.0)[days.place]
    surprise = np.where(days.read > 0, days.played - prior, 0.0)
    alike = np.where(days.off[:, None] == days.off[None, :], 1.0, OTHER_DAY)
    ahead = np.arange(count)[:, None] - np.arange(count)[None, :]
    phases = np.arange(per_day)
    for row, reach in enumerate(REACHES_H):
        weights = bell(around(phases, phases, per_day), reach, per_day)
        near, seen = surprise @ weights, days.read @ weights
        for back in BACK_DAYS:
            use = np.arange(count) >= back
            window = (alike * ((ahead >= 1) & (ahead <= back)))[use]
            shift, weight = window @ near, window @ seen
            for column, strength in enumerate(STRENGTHS):
                said = np.clip(prior[use] + shift / (strength + weight), 0.0, 1.0)
                scores[row, column] += (np.square(days.played[use] - said) * days.read[use]).sum()
    return scores


def persistence_sums(days: Days) -> np.ndarray:
    """Sums of products of surprises :data:`LAGS_H` apart, and last the sum of their squares."""
    per_day = days.played.shape[1]
    rate = smooth_rate(days.count[0], days.count[1], per_day, hours=1.0, slots=2.0)
    surprise = np.where(days.read > 0, days.played - rate[days.place], 0.0).ravel()
    lags = lag_slots(per_day)
    products = [float(surprise[lag:] @ surprise[: len(surprise) - lag]) if lag < len(surprise) else 0.0 for lag in lags]
    return np.array([*products, float(surprise @ surprise)])


def lag_slots(per_day: int) -> np.ndarray:
    """:data:`LAGS_H` in slots, at least one."""
    return np.maximum(1, np.rint(LAGS_H * per_day / 24.0)).astype(np.int64)
