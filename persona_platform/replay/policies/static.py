"""One size for all time, from the training part: what is provisioned for a peak and left alone."""

from dataclasses import dataclass

import numpy as np

from persona_platform.replay.engine import Recording
from persona_platform.replay.policies.base import training_quantiles, whole

QUANTILES = (0.25, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.999, 1.0)
PEAK_FACTORS = (1.1, 1.25, 1.5, 2.0, 3.0)


@dataclass(frozen=True)
class Static:
    """A quantile of the training demand, or its peak times a factor; 1 unit where nothing was read."""

    quantiles: tuple[float, ...] = QUANTILES
    peak_factors: tuple[float, ...] = PEAK_FACTORS
    name: str = "static"

    def settings(self, recording: Recording) -> list[str]:
        """A name for each setting of the sweep."""
        return [*(f"P{100 * q:g}" for q in self.quantiles), *(f"peak x {f:g}" for f in self.peak_factors)]

    def desired(self, recording: Recording) -> np.ndarray:
        """(settings, targets, walked steps) whole units asked for."""
        found = training_quantiles(recording, (*self.quantiles, 1.0))
        sizes = np.concatenate([found[:-1], np.multiply.outer(np.array(self.peak_factors), found[-1])])
        units = whole(np.where(np.isnan(sizes), 1.0, sizes))
        return np.repeat(units[:, :, None], recording.walked_steps, axis=2)
