"""Random numbers by address: a draw is a hash of what it is for and of the moment it is for.

No draw depends on what else was drawn, so a workload's values do not change with the size of the fleet, with
the chunk it is generated in, or with the end of the span.
"""

from dataclasses import dataclass
from hashlib import blake2b
from typing import Final

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

_STRIDE: Final = np.uint64(0x9E3779B97F4A7C15)
_MIX_1: Final = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2: Final = np.uint64(0x94D049BB133111EB)


def _mixed(x: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """The finalizer of SplitMix64 (Steele, Lea and Flood, OOPSLA 2014); integer overflow is intended."""
    x = (x ^ (x >> np.uint64(30))) * _MIX_1
    x = (x ^ (x >> np.uint64(27))) * _MIX_2
    return x ^ (x >> np.uint64(31))


@dataclass(frozen=True)
class Draws:
    """The draws of one subject, for instance ``Draws(7, "workload/12")``."""

    seed: int
    subject: str

    def uniform(self, purpose: str, at: npt.ArrayLike) -> Floats:
        """One number in (0, 1) for each integer of ``at``."""
        name = f"{self.seed}/{self.subject}/{purpose}".encode()
        key = np.frombuffer(blake2b(name, digest_size=8).digest(), dtype=np.uint64)
        moments = np.atleast_1d(np.asarray(at, dtype=np.int64)).astype(np.uint64)
        bits = _mixed(_mixed(moments * _STRIDE + key) ^ key)
        return ((bits >> np.uint64(11)).astype(np.float64) + 0.5) * 2.0**-53

    def normal(self, purpose: str, at: npt.ArrayLike) -> Floats:
        """One standard normal number for each integer of ``at`` (Box and Muller, 1958)."""
        radius = np.sqrt(-2.0 * np.log(self.uniform(f"{purpose}/radius", at)))
        return radius * np.cos(2.0 * np.pi * self.uniform(f"{purpose}/angle", at))

    def smooth(self, purpose: str, minutes: Ints, period: int) -> Floats:
        """A wandering number of variance one for each minute: a knot every ``period`` minutes, eased."""
        knots = np.arange(minutes[0] // period, minutes[-1] // period + 2, dtype=np.int64)
        heights = self.normal(purpose, knots)
        left = minutes // period - knots[0]
        ease = 0.5 - 0.5 * np.cos(np.pi * (minutes % period) / period)
        # Between two knots the variance falls to a half; dividing by its root keeps it at one.
        return (heights[left] * (1 - ease) + heights[left + 1] * ease) / np.sqrt((1 - ease) ** 2 + ease**2)

    def one(self, purpose: str) -> float:
        """A single number in (0, 1)."""
        return float(self.uniform(purpose, np.zeros(1, dtype=np.int64))[0])

    def one_normal(self, purpose: str) -> float:
        """A single standard normal number."""
        return float(self.normal(purpose, np.zeros(1, dtype=np.int64))[0])
