"""The last reading with headroom: our rule of size without a forecast."""

from dataclasses import dataclass, field

import numpy as np

from persona_platform.replay.engine import Recording
from persona_platform.replay.policies.base import last_known
from persona_platform.replay.policies.headroom import Headroom


@dataclass(frozen=True)
class LastValue:
    """The last known reading and a rolling quantile of how much demand rose from it by the lead time."""

    headroom: Headroom = field(default_factory=Headroom)
    name: str = "last_value"

    def settings(self, recording: Recording) -> list[str]:
        """A name for each setting of the sweep."""
        return self.headroom.settings()

    def desired(self, recording: Recording) -> np.ndarray:
        """(settings, targets, walked steps) whole units asked for."""
        return self.headroom.desired(recording, last_known(recording.demand), after_lead(recording))


def after_lead(recording: Recording) -> np.ndarray:
    """(targets, steps) demand when a request of that step is usable; NaN after the end."""
    truth = np.full_like(recording.demand, np.nan)
    kept = max(0, recording.steps - recording.lead_steps)
    truth[:, :kept] = recording.demand[:, recording.steps - kept :]
    return truth
