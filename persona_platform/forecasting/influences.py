"""Covariates (weather, carbon, price) as features that respect the instant from which a value may be used."""

from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl

from persona_platform.forecasting.panel import Ints
from persona_platform.forecasting.quantiles import Floats
from persona_platform.frames import COVARIATES, conform

_MOST: Final = 8  # covariates that become features, those with most values first


@dataclass(frozen=True)
class Influence:
    """One covariate: its values in order of time, and when each became known."""

    name: str
    ts: Ints  # epoch microseconds, ascending
    known: Ints  # epoch microseconds
    values: Floats
    by_known: Ints  # order of `known`
    newest_by_known: Ints  # the latest in time among those known so far, along `by_known`

    def at_target(self, target: Ints, origin: Ints) -> Floats:
        """The value that holds at each target, NaN where unknown at the origin or after the series' end."""
        found = np.searchsorted(self.ts, target, side="right") - 1
        spacing = int(np.median(np.diff(self.ts))) if self.ts.size > 1 else 1
        index = np.maximum(found, 0)
        usable = (found >= 0) & (self.known[index] <= origin) & (target - self.ts[index] < spacing)
        return np.where(usable, self.values[index], np.nan)

    def at_origin(self, origin: Ints) -> Floats:
        """The latest value known at each origin."""
        count = np.searchsorted(self.known[self.by_known], origin, side="right")
        index = self.newest_by_known[np.maximum(count - 1, 0)]
        return np.where(count > 0, self.values[index], np.nan)


@dataclass(frozen=True)
class Influences:
    """The covariates of a model, in a fixed order."""

    series: tuple[Influence, ...]

    @property
    def names(self) -> list[str]:
        """Names of the columns of :meth:`of`."""
        return [f"{one.name} at {when}" for one in self.series for when in ("target", "origin")]

    def of(self, target: Ints, origin: Ints) -> list[Floats]:
        """Two columns per covariate, for instants of targets and origins."""
        columns = []
        for one in self.series:
            columns += [one.at_target(target, origin), one.at_origin(origin)]
        return columns


NO_INFLUENCES: Final = Influences(())


def influences(covariates: pl.DataFrame | None) -> Influences:
    """The covariates of a COVARIATES frame; of several values for one time the first known one counts."""
    if covariates is None or covariates.is_empty():
        return NO_INFLUENCES
    rows = (
        conform(covariates, COVARIATES, "covariates")
        .filter(pl.col("value").is_finite())
        .sort("series", "metric", "ts", "known_at")
        .unique(["series", "metric", "ts"], keep="first", maintain_order=True)
    )
    largest = rows.group_by("series", "metric").len().sort("len", "series", "metric", descending=[True, False, False])
    made = []
    for series, metric, _ in largest.head(_MOST).iter_rows():
        part = rows.filter((pl.col("series") == series) & (pl.col("metric") == metric))
        known = part["known_at"].to_physical().to_numpy()
        order = np.argsort(known, kind="stable")
        made.append(
            Influence(
                name=f"{series} {metric}",
                ts=part["ts"].to_physical().to_numpy(),
                known=known,
                values=part["value"].to_numpy(),
                by_known=order,
                newest_by_known=np.maximum.accumulate(order),
            )
        )
    return Influences(tuple(made))
