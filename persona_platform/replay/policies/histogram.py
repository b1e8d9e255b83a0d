"""A decaying histogram of usage with a margin, as the Kubernetes vertical autoscaler and Autopilot keep."""

from dataclasses import dataclass
from datetime import timedelta

import numpy as np

from persona_platform.replay.engine import Recording
from persona_platform.replay.policies.base import whole

# Of the vertical autoscaler's recommender: half-life, growth of its buckets, size of the first one, and the
# weight below which a bucket counts as empty. Its margin is 1.15.
HALF_LIFE = timedelta(hours=24)
GROWTH = 1.05
FIRST_BUCKET = 0.01
EMPTY = 1e-4

REMEMBERED = 14
"""Half-lives of readings that are counted when the walk begins; older ones weigh less than ``EMPTY``."""

PERCENTILES = (0.5, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99, 1.0)
MARGINS = (0.9, 1.0, 1.15, 1.5, 2.0)


@dataclass(frozen=True)
class Histogram:
    """A percentile of the decaying histogram times a margin, taken anew at each step and applied at once."""

    percentiles: tuple[float, ...] = PERCENTILES
    margins: tuple[float, ...] = MARGINS
    name: str = "histogram"

    def settings(self, recording: Recording) -> list[str]:
        """A name for each setting of the sweep."""
        return [f"P{100 * p:g} x {margin:g}" for margin in self.margins for p in self.percentiles]

    def desired(self, recording: Recording) -> np.ndarray:
        """(settings, targets, walked steps) whole units asked for."""
        levels = self._levels(recording)
        return np.concatenate([whole(margin * levels) for margin in self.margins])

    def _levels(self, recording: Recording) -> np.ndarray:
        """(percentiles, targets, walked steps) float32 units: the upper ends of the percentiles' buckets."""
        bucket = _bucket(recording.demand)
        read, decay = bucket >= 0, 0.5 ** (recording.step / HALF_LIFE)
        ends = FIRST_BUCKET * (GROWTH ** np.arange(1, bucket.max(initial=0) + 2) - 1) / (GROWTH - 1)
        weight = _remembered(bucket, recording, len(ends), decay)
        rows, shares = np.arange(len(bucket)), np.array(self.percentiles)[:, None, None]
        levels = np.zeros((len(shares), len(bucket), recording.walked_steps), dtype=np.float32)
        for index, step in enumerate(range(recording.walked_from, recording.steps)):
            if index:  # the readings before the walk are in already
                weight *= decay
                weight[rows, bucket[:, step - 1]] += read[:, step - 1]
            below = np.cumsum(np.where(weight < EMPTY, 0.0, weight), axis=1)
            total = below[:, -1:]
            # Rounding must not push the whole beyond its last bucket.
            at = (below < shares * total * (1 - 1e-12)).sum(axis=-1)
            levels[:, :, index] = np.where(total[:, 0] > 0, ends[at], 0.0)
        return levels


def _bucket(demand: np.ndarray) -> np.ndarray:
    """Index of each reading's bucket, the first one from 0 to ``FIRST_BUCKET``; -1 where unread."""
    at = np.floor(np.log1p(demand * (GROWTH - 1) / FIRST_BUCKET) / np.log(GROWTH))
    return np.where(np.isnan(demand), -1, at).astype(np.int32)


def _remembered(bucket: np.ndarray, recording: Recording, buckets: int, decay: float) -> np.ndarray:
    """(targets, buckets) weights of the readings before the walk."""
    first = recording.walked_from
    span = min(first, REMEMBERED * (HALF_LIFE // recording.step))
    seen = bucket[:, first - span : first]
    age = np.broadcast_to(np.arange(span - 1, -1, -1), seen.shape)
    row = np.broadcast_to(np.arange(len(bucket))[:, None], seen.shape)
    read = seen >= 0
    flat = np.bincount(row[read] * buckets + seen[read], decay ** age[read], minlength=len(bucket) * buckets)
    return flat.astype(float).reshape(len(bucket), buckets)
