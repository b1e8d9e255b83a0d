"""Which metric of some sample files is replayed, and how its readings become demand."""

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from fnmatch import fnmatchcase
from typing import Final

import polars as pl

from persona_platform.errors import InputError
from persona_platform.frames import NEEDS
from persona_platform.replay.numbers import count
from persona_platform.utilization.metrics import METRICS, Role

CARRIED_AS: Final = "cpu_cores"
"""The need of a metric that no model knows: its readings are amounts of something that capacity is made of."""

PREFERRED: Final = (
    *("cpu_cores", "cpu_pct", "cpu_norm", "mem_bytes", "mem_pct", "mem_norm"),
    *("gpus", "gpu_pct", "gpu_norm", "gpu_seconds", "requests", "jobs", "departures", "active_users"),
    *("net_out_bytes", "net_in_bytes", "net_out_pct", "net_in_pct", "net_out_norm", "net_in_norm"),
    *("disk_bytes", "disk_read_bytes", "disk_write_bytes", "disk_pct", "disk_read_pct", "disk_write_pct"),
    *("disk_norm", "disk_read_norm", "disk_write_norm"),
)
"""What is replayed where the user names no metric: the first of these that was read."""

_PEAKS: Final = {Role.AMOUNT_MAX: Role.AMOUNT, Role.SHARE_MAX: Role.SHARE}
_SHOWN: Final = 12


@dataclass(frozen=True)
class Measure:
    """How a reading of ``metric`` becomes an amount of ``need``.

    Attributes:
        metric: its name in the samples.
        need: one of ``frames.NEEDS``, the column that carries the demand.
        role: AMOUNT, SHARE, WORK, COUNT or GAUGE.
        factor: value * factor is the amount or share.
        limit: the metric that says what is allocated of it; None: none counts.
        known: whether the models know the metric as a need.
    """

    metric: str
    need: str
    role: Role
    factor: float = 1.0
    limit: str | None = None
    known: bool = True


def measure_of(metric: str) -> Measure:
    """How a metric is read.

    One that says a workload's peak in the interval is read like its mean; what is allocated, and what no
    model knows or sizes by, as an amount carried in :data:`CARRIED_AS`.
    """
    found = METRICS.get(metric)
    if found is None:
        return Measure(metric, CARRIED_AS, Role.AMOUNT, known=False)
    sized = found.column in NEEDS
    need = found.column if sized else CARRIED_AS
    if found.role is Role.LIMIT:
        return Measure(metric, need, Role.AMOUNT)
    role = _PEAKS.get(found.role, found.role)
    limit = f"{need}_alloc" if sized and role in (Role.AMOUNT, Role.SHARE) else None
    return Measure(metric, need, role, found.factor, limit, sized)


def included_workloads(contents: pl.DataFrame, patterns: Sequence[str]) -> list[str]:
    """The ids, sorted, that match any of the patterns; all where there are none.

    ``contents``: workload_id, metric, rows of what the files hold. Raises :class:`InputError` where nothing
    matches.
    """
    ids = contents["workload_id"].unique().sort().to_list()
    if not ids:
        raise InputError("The files hold no readings of workloads; give files with workload_id, ts, metric, value.")
    chosen = [name for name in ids if not patterns or any(fnmatchcase(name, pattern) for pattern in patterns)]
    if not chosen:
        raise InputError(
            f"No workload matches --include {' '.join(patterns)}: there {'is' if len(ids) == 1 else 'are'} "
            f"{count(len(ids), 'workload')}, for instance {listed(ids, 3)}."
        )
    return chosen


def chosen_metric(contents: pl.DataFrame, wanted: str | None) -> tuple[Measure, list[str]]:
    """The metric to replay and sentences on what was decided for the user.

    ``contents`` are those of the included workloads. Without a wish it is the first of :data:`PREFERRED`; where
    none of them was read, the unknown metric of the most workloads (flags, ``is_...``, never).

    Raises :class:`InputError` where there is no such metric, or none that says what a workload demands.
    """
    by_metric = contents.group_by("metric").agg(pl.col("workload_id").n_unique()).sort("metric")
    held = dict(by_metric.iter_rows())
    if wanted is not None:
        if wanted not in held:
            near = get_close_matches(wanted, held, n=1)
            hint = f"Did you mean {near[0]}? " if near else ""
            raise InputError(f"There is no metric '{wanted}' of these workloads. {hint}There are {_told(held)}.")
        measure = measure_of(wanted)
        return measure, _carried(measure)
    unknown = sorted((name for name in held if _may_be_demand(name)), key=lambda name: (-held[name], name))
    found = next((name for name in (*PREFERRED, *unknown) if name in held), None)
    if found is None:
        raise InputError(
            f"No metric of these workloads says what they demand; there are {_told(held)}. Name one with --metric."
        )
    measure = measure_of(found)
    others = [name for name in held if name != found]
    also = f", the first in the order of preference; also there: {listed(others)}" if others else ""
    return measure, [f"The metric is {found}{also}.", *_carried(measure)]


def _may_be_demand(name: str) -> bool:
    return name not in METRICS and not name.startswith("is_")


def _carried(measure: Measure) -> list[str]:
    if measure.known:
        return []
    taken = "per second" if measure.role is Role.COUNT else "as they are"
    return [f"{measure.metric} is not a need that the models know: its readings are taken {taken}, as {measure.need}."]


def _told(held: dict[str, int]) -> str:
    return listed([f"{name} ({count(workloads, 'workload')})" for name, workloads in held.items()])


def listed(names: Sequence[str], most: int = _SHOWN) -> str:
    """The names, the first ones where there are many."""
    shown = ", ".join(names[:most])
    return f"{shown} and {len(names) - most} more" if len(names) > most else shown
