"""What each metric becomes, as data: the one table that the checks and the SQL models both read.

A metric that is not here (``is_anomaly``, ``load1_norm``, anything unknown) is kept in raw and used by no
model.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from enum import StrEnum
from typing import Final

import polars as pl

from persona_platform.errors import ConfigError
from persona_platform.frames import GAUGE_ACTIVITIES, RATE_ACTIVITIES, RESOURCES


class Role(StrEnum):
    """How a reading counts towards the column that it becomes."""

    AMOUNT = "amount"  # the resource itself: mean over the slot
    AMOUNT_MAX = "amount_max"  # the highest amount within the reading's interval
    SHARE = "share"  # of what is allocated; of one whole where nothing is
    SHARE_MAX = "share_max"
    LIMIT = "limit"  # what is allocated
    WORK = "work"  # resource-seconds in the interval; divided by it
    COUNT = "count"  # things in the interval; per second
    GAUGE = "gauge"  # a level at a moment


@dataclass(frozen=True)
class Metric:
    """``value * factor`` of the metric is an amount (or, for shares, a fraction) of ``column``."""

    role: Role
    column: str
    factor: float = 1.0


_SHARE_STEMS: Final = {
    "cpu": "cpu_cores",
    "mem": "mem_bytes",
    "disk": "disk_bytes",
    "disk_read": "disk_read_bytes",
    "disk_write": "disk_write_bytes",
    "net_in": "net_in_bytes",
    "net_out": "net_out_bytes",
    "gpu": "gpus",
}


def _metrics() -> dict[str, Metric]:
    known: dict[str, Metric] = {}
    for resource in RESOURCES:
        known[resource] = Metric(Role.AMOUNT, resource)
        known[f"{resource}_max"] = Metric(Role.AMOUNT_MAX, resource)
        known[f"{resource}_alloc"] = Metric(Role.LIMIT, resource)
    for stem, resource in _SHARE_STEMS.items():
        for suffix, factor in (("pct", 0.01), ("norm", 1.0)):
            known[f"{stem}_{suffix}"] = Metric(Role.SHARE, resource, factor)
            known[f"{stem}_{suffix}_max"] = Metric(Role.SHARE_MAX, resource, factor)
    known["gpu_seconds"] = Metric(Role.WORK, "gpus")
    known |= {name: Metric(Role.COUNT, name) for name in RATE_ACTIVITIES}
    known |= {name: Metric(Role.GAUGE, name) for name in GAUGE_ACTIVITIES}
    return known


METRICS: Final[Mapping[str, Metric]] = _metrics()
"""Every metric that a model uses, by its name in the samples. None of them can be negative."""


def metrics_frame() -> pl.DataFrame:
    """:data:`METRICS` as ``metric, role, need, factor``, sorted by metric."""
    rows = [(name, metric.role.value, metric.column, metric.factor) for name, metric in METRICS.items()]
    schema = {"metric": pl.String, "role": pl.String, "need": pl.String, "factor": pl.Float64}
    return pl.DataFrame(rows, schema=schema, orient="row").sort("metric")


def check_metric_map(renamed: Mapping[str, str]) -> None:
    """Raise :class:`ConfigError` when ``renamed`` (found name to ours) leads to an unknown metric."""
    for found, wanted in renamed.items():
        if wanted in METRICS:
            continue
        near = get_close_matches(wanted, METRICS, n=1)
        hint = f"did you mean '{near[0]}'?" if near else f"known are {', '.join(METRICS)}."
        raise ConfigError(f"The metric '{found}' is renamed to '{wanted}', which no model uses; {hint}")
