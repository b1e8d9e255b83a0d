"""What writes capacity: one protocol, and one module for each kind of place that it is written to.

A provisioner writes *floors*, never final sizes: the native autoscaler stays in charge above them. It decides
nothing. The order of ledger and write is :mod:`resources.provisioners.protocol`'s.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol, runtime_checkable

import polars as pl


@dataclass(frozen=True)
class Receipt:
    """What a write came to."""

    accepted_floor: int
    """The floor that now stands; below the one that was asked for where a quota cut it."""
    prior_floor: int
    """The floor that stood before."""
    detail: str = ""


@runtime_checkable
class Provisioner(Protocol):
    """Reads and writes the floors of targets. Every method may be called again with the same arguments.

    All may raise :class:`TemporaryProvisioningError` (try again), :class:`PermanentProvisioningError` (do
    not) and :class:`UnknownProvisioningError` (the reply was lost: the write may have happened).
    """

    def observe(self, targets: Sequence[str], observed: Mapping[str, float], now: datetime) -> pl.DataFrame:
        """INVENTORY, one row a target.

        ``observed`` is the demand of each target in units in the newest slot read, where it was read; it is
        passed through, and only a simulated place does more with it.
        """
        ...

    def ensure(self, target: str, floor: int, key: str, now: datetime) -> Receipt:
        """Make ``floor`` the target's floor; once for each key, however often it is called."""
        ...

    def release(self, target: str, key: str, now: datetime) -> Receipt:
        """Give back the floor that ``key`` wrote: restore what stood before our first write.

        Does nothing when the floor that stands is no longer the one that ``key`` wrote.
        """
        ...


def observed_now(observed: pl.DataFrame) -> dict[str, float]:
    """Of OBSERVED, the demand of each target in the newest slot that was read."""
    read = observed.filter(pl.col("demand").is_finite()).sort("slot").unique("target", keep="last")
    return dict(read.select("target", "demand").sort("target").iter_rows())
