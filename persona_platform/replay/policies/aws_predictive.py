"""Predictive scaling in the form that AWS documents: hourly forecasts under a reactive target tracking.

Not AWS's model, which is not public: ours is a seasonal mean in that form.
"""

from dataclasses import dataclass
from datetime import timedelta

import numpy as np

from persona_platform.replay.engine import TOLERANCE, Recording, ahead, in_steps
from persona_platform.replay.policies.base import whole
from persona_platform.replay.policies.reactive import HPA_STABILIZATION, UTILIZATIONS, follow

HOUR = timedelta(hours=1)
DAY_H, WEEK_H = 24, 168

# As documented: 14 days of history, forecasts for 48 hours made anew each day, units launched 300 s ahead.
HISTORY_H = 14 * DAY_H
HORIZON_H = 48
BUFFER = timedelta(seconds=300)

HALF_LIFE_H = 7 * DAY_H
"""Of a past hour's weight in the forecast."""

LOWER = (0.1, 0.15, 0.2, 0.25, 0.3, 0.35)
"""Targets below a reactive autoscaler's, for little unserved demand."""


@dataclass(frozen=True)
class AwsPredictive:
    """The larger of target tracking and the forecast of the hour over the same target utilization.

    An hour's forecast is the mean of two recency-weighted means: of the same hour of the week and of the
    same hour of the day, over the 14 days before midnight (UTC), whichever were read. The forecast is a
    moving minReplicas under the reactive rules, there ``BUFFER`` or the lead time ahead, whichever is longer.
    """

    utilizations: tuple[float, ...] = (*LOWER, *UTILIZATIONS)
    name: str = "aws_predictive"

    def settings(self, recording: Recording) -> list[str]:
        """A name for each setting of the sweep."""
        return [f"target {u:.0%}" for u in self.utilizations]

    def desired(self, recording: Recording) -> np.ndarray:
        """(settings, targets, walked steps) whole units asked for."""
        load = predicted(recording)
        floor = np.stack([whole(load / utilization) for utilization in self.utilizations])
        return follow(recording, np.array(self.utilizations), (HPA_STABILIZATION,), floor[None])[0]


def predicted(recording: Recording) -> np.ndarray:
    """(targets, walked steps) the largest hourly forecast from each step to the buffer ahead; 0 where there is none."""
    buffer = max(in_steps(BUFFER, recording.step), recording.lead_steps)
    midnight = recording.start.replace(hour=0, minute=0, second=0, microsecond=0)
    since = (recording.start - midnight) / HOUR + np.arange(recording.steps + buffer) * (recording.step / HOUR)
    hour = np.floor(since + TOLERANCE).astype(int)
    hourly = _hourly_means(recording.demand, hour[: recording.steps])
    load = np.zeros((len(recording.targets), recording.walked_steps))
    day = hour // DAY_H
    for today in np.unique(day[recording.walked_from : recording.steps]):
        steps = np.flatnonzero(day[: recording.steps] == today)
        steps = steps[steps >= recording.walked_from]
        forecast = _forecast(hourly, today * DAY_H)
        upto = hour[steps[0] : steps[-1] + buffer + 1] - today * DAY_H
        seen = ahead(forecast[:, np.minimum(upto, HORIZON_H - 1)], buffer)
        load[:, steps - recording.walked_from] = seen[:, : len(steps)]
    return load


def _hourly_means(demand: np.ndarray, hour: np.ndarray) -> np.ndarray:
    """(targets, hours) mean demand of each hour from the first midnight on; NaN where unread."""
    firsts = np.unique(hour, return_index=True)
    means = np.full((len(demand), int(hour.max(initial=0)) + 1), np.nan)
    if hour.size:
        count = np.add.reduceat(~np.isnan(demand), firsts[1], axis=1, dtype=float)
        total = np.add.reduceat(np.nan_to_num(demand), firsts[1], axis=1)
        means[:, firsts[0]] = np.divide(total, count, out=np.full_like(total, np.nan), where=count > 0)
    return means


def _forecast(hourly: np.ndarray, origin: int) -> np.ndarray:
    """(targets, 48) load of the hours from ``origin`` on, from the hours before it; 0 where none was read."""
    kept = min(origin, HISTORY_H)
    past = np.full((len(hourly), HISTORY_H), np.nan)
    past[:, HISTORY_H - kept :] = hourly[:, origin - kept : origin]
    weekly, daily = _cyclic_mean(past, WEEK_H), _cyclic_mean(past, DAY_H)
    return np.nan_to_num(np.where(np.isnan(weekly), daily, (weekly + daily) / 2))


def _cyclic_mean(past: np.ndarray, period: int) -> np.ndarray:
    """(targets, 48) mean of the hours a whole number of periods ago, the newest weighing most; NaN where unread."""
    cycles = past.reshape(len(past), HISTORY_H // period, period)
    weight = 0.5 ** (np.arange(HISTORY_H, 0, -1) / HALF_LIFE_H).reshape(cycles.shape[1:])
    total = (~np.isnan(cycles) * weight).sum(axis=1)
    mean = np.divide(
        (np.nan_to_num(cycles) * weight).sum(axis=1), total, out=np.full_like(total, np.nan), where=total > 0
    )
    return mean[:, np.arange(HORIZON_H) % period]
