"""The plans of one origin after another, as arrays: what PLAN would hold, for replay to decide from.

The same numbers as :func:`persona_platform.capacity.plan.make_plan` makes, without a frame for each origin.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
import polars as pl

from persona_platform.capacity.plan import DAY, QUANTILES, WEEK
from persona_platform.capacity.sizing import TOLERANCE
from persona_platform.errors import InputError
from persona_platform.forecasting.demand import VALUES
from persona_platform.forecasting.quantiles import Floats, normal_scores
from persona_platform.frames import OBSERVED, QUANTILE_COLUMNS, TS, conform

NO_ROW = -1
"""``needed`` where a plan has no row: nothing could be forecast."""

_US = timedelta(microseconds=1)


@dataclass(frozen=True)
class PlanSeries:
    """Plans of the origins ``first``, ``first + slot``, ...; a plan's slots begin with its origin's.

    Attributes:
        targets: (T) names.
        first: the first origin.
        slot: width of a slot, and distance of two origins.
        values: (T, origins, slots, VALUES): combined demand in units; NaN where there is no row.
        history_s: (T, origins) span of what was read, seconds.
        cycle_s: (T, origins) longest period relied on, seconds.
        data_until_us: (T, origins) end of the newest slot read, microseconds since 1970.
    """

    targets: tuple[str, ...]
    first: datetime
    slot: timedelta
    values: Floats
    history_s: np.ndarray
    cycle_s: np.ndarray
    data_until_us: np.ndarray

    @property
    def origins(self) -> int:
        """How many plans there are."""
        return self.values.shape[1]

    def needed(self, kappa: float | None = None) -> np.ndarray:
        """(T, origins, slots) int64 whole units, :data:`NO_ROW` where there is none.

        Each target at its own kappa, or all at the one given, which is interpolated between the plan's quantiles.
        """
        at_kappa = self.values[..., VALUES.index("q_kappa")] if kappa is None else self._quantile(kappa)
        needed = np.maximum(_whole_units(at_kappa), _whole_units(self.values[..., VALUES.index("mean")]))
        return np.where(np.isnan(needed), NO_ROW, needed).astype(np.int64)

    def _quantile(self, kappa: float) -> Floats:
        """Straight between the plan's quantiles on the scale of the normal's; the last slopes go on."""
        have, at = normal_scores([QUANTILE_COLUMNS[name] for name in QUANTILES]), float(normal_scores(kappa))
        upper = min(max(int(np.searchsorted(have, at)), 1), len(QUANTILES) - 1)
        low, high = (self.values[..., VALUES.index(name)] for name in QUANTILES[upper - 1 : upper + 1])
        return np.maximum(low + (at - have[upper - 1]) / (have[upper] - have[upper - 1]) * (high - low), 0.0)

    def part(self, targets: Sequence[str]) -> "PlanSeries":
        """The plans of some of the targets, in the order given."""
        rows = [self.targets.index(name) for name in targets]
        return PlanSeries(
            tuple(targets),
            self.first,
            self.slot,
            self.values[rows],
            self.history_s[rows],
            self.cycle_s[rows],
            self.data_until_us[rows],
        )


def plan_series(
    values: Floats, targets: Sequence[str], observed: pl.DataFrame, *, first: datetime, slot: timedelta
) -> PlanSeries:
    """Plans from combined demand (T, origins, slots, VALUES), with what was read up to each origin.

    Raises :class:`InputError` where a forecast is infinite.
    """
    if np.isinf(values).any():
        raise InputError("The combined demand is infinite somewhere; a plan needs finite numbers.")
    shape = values.shape[:2]
    slot_us = slot // _US
    origins = _microseconds(first) + slot_us * np.arange(shape[1])
    begins, until = np.zeros(shape, dtype=np.int64), np.zeros(shape, dtype=np.int64)
    read = conform(observed, OBSERVED, "The observed demand").filter(pl.col("demand").is_finite())
    at = dict(read.group_by("target").agg(pl.col("slot").sort().to_physical()).iter_rows())
    for row, name in enumerate(targets):
        slots = np.asarray(at.get(name, []), dtype=np.int64)
        known = np.searchsorted(slots, origins)
        seen = known > 0
        begins[row, seen] = slots[0] if slots.size else 0
        until[row, seen] = slots[known[seen] - 1] + slot_us
    span = np.where(until > 0, until - begins, 0)
    cycle = np.where(span >= 2 * WEEK // _US, WEEK // timedelta(seconds=1), DAY // timedelta(seconds=1))
    return PlanSeries(tuple(targets), first, slot, values, span // 1_000_000, cycle, until)


def _microseconds(moment: datetime) -> int:
    return int(pl.Series([moment]).cast(TS).to_physical()[0])


def _whole_units(demand: Floats) -> Floats:
    """As :func:`persona_platform.capacity.sizing.whole_units`, NaN kept."""
    return np.maximum(np.ceil(demand - TOLERANCE * np.maximum(np.abs(demand), 1.0)), 0.0)
