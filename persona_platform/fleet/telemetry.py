"""What a collector would have recorded of a workload: resources and activities, with gaps and late rows."""

from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl

from persona_platform.fleet.clock import Bools
from persona_platform.fleet.demand import GIB, MEGABYTE, Needs
from persona_platform.fleet.draws import Draws, Floats
from persona_platform.fleet.roster import Workload
from persona_platform.fleet.stage import Stage
from persona_platform.frames import SAMPLES, TS

DIGITS: Final = 4
"""Significant digits of every reading: half of what full precision takes on disk is noise."""

DATASET: Final = "fleet"
_TRAFFIC: Final = ("disk_read", "disk_write", "net_in", "net_out")


@dataclass(frozen=True)
class Recorded:
    """Of one workload, at each reading between the fleet's start and end."""

    metrics: dict[str, Floats]
    kept: Bools
    late: Bools


def record(stage: Stage, workload: Workload, needs: Needs) -> Recorded:
    """The readings of a workload."""
    clock, draws = stage.clock, workload.draws
    shown = slice(clock.lead * clock.readings, clock.end * clock.readings)
    metrics = {
        "cpu_cores": needs.cpu_cores,
        "cpu_cores_alloc": np.full(len(needs.cpu_cores), workload.alloc),
        "mem_bytes": needs.mem_bytes,
        **_traffic(stage, workload, needs),
        **_signals(stage, workload, needs),
    }
    if needs.gpus.any() or workload.archetype.pool == "gpu":
        metrics["gpus"] = needs.gpus
    if workload.archetype.stored_gib:
        metrics["disk_bytes"] = _stored(stage, workload)
    minutes = stage.reading_minutes[shown]
    return Recorded(
        {name: values[shown] for name, values in metrics.items()},
        ~_missing(stage, draws)[shown],
        draws.uniform("late", minutes // 60) < stage.spec.late_share,  # an hour at a time: a buffer that was stuck
    )


def _traffic(stage: Stage, workload: Workload, needs: Needs) -> dict[str, Floats]:
    """Disk and network per second, by the cores in use for jobs and for what is served."""
    archetype = workload.archetype
    served = archetype.base or archetype.play
    plays = [part.play for part in workload.parts]
    job = next((play.traffic for play in reversed(plays) if play.curve == "flat"), None)
    served_traffic = next((play.traffic for play in plays if play.curve != "flat"), served.traffic if served else None)
    assert served_traffic is not None
    busy_jobs = np.minimum(needs.working, workload.alloc)
    busy_serving = np.maximum(needs.cpu_cores - busy_jobs, 0.0)
    found = {}
    for name in _TRAFFIC:
        rate = getattr(served_traffic, name) * busy_serving
        if job is not None:
            rate = rate + getattr(job, name) * busy_jobs
        rough = np.exp(0.15 * stage.spec.noise * workload.draws.normal(name, stage.reading_minutes))
        found[f"{name}_bytes"] = MEGABYTE * rate * rough
    return found


def _signals(stage: Stage, workload: Workload, needs: Needs) -> dict[str, Floats]:
    """The activities of a workload. Requests, users and jobs come one slot before the cores they take."""
    signals, ahead = workload.archetype.signals, stage.clock.readings
    seconds = stage.spec.step.total_seconds()
    found = {}

    def rough(name: str, share: float) -> Floats:
        return np.exp(share * stage.spec.noise * workload.draws.normal(name, stage.reading_minutes))

    if "requests" in signals:  # 40 a second for each core
        found["requests"] = np.rint(40.0 * seconds * _ahead(needs.serving, ahead) * rough("requests", 0.03))
    if "active_users" in signals:  # smoother than requests: people stay a while
        users = 0.5 * (_ahead(needs.serving, ahead) + needs.serving)
        found["active_users"] = np.rint(60.0 * users * rough("active_users", 0.02))
    if "jobs" in signals:  # 6 an hour for each core, whole ones
        jobs = 6.0 * seconds / 3600.0 * _ahead(needs.working, ahead)
        found["jobs"] = np.floor(jobs + workload.draws.uniform("jobs", stage.reading_minutes))
    if "latency_ms" in signals:  # like a queue: half again at 60 % of the limit, tenfold at the limit
        load = np.minimum(needs.wanted / workload.alloc, 0.94)
        usual = 20.0 + 60.0 * workload.draws.one("usual latency")
        found["latency_ms"] = usual * (1.0 + 0.6 * load**2 / (1.0 - load)) * rough("latency_ms", 0.06)
    return found


def _ahead(values: Floats, readings: int) -> Floats:
    return np.concatenate([values[readings:], values[len(values) - readings :]])


def _stored(stage: Stage, workload: Workload) -> Floats:
    """What is stored: a fifth more within months, and half a percent more until the nightly compaction."""
    minutes = stage.reading_minutes
    days = np.maximum(0.0, (minutes - stage.minutes[stage.clock.lead]) / 1440.0)
    scale = 0.5 + workload.draws.one("stored")
    since_compaction = (minutes % 1440) / 1440.0
    return GIB * workload.archetype.stored_gib * scale * (1.2 - 0.2 * np.exp(-days / 60.0) + 0.005 * since_compaction)


def _missing(stage: Stage, draws: Draws) -> Bools:
    """Half of what is missing are single readings, half are outages of one to nine hours."""
    share = stage.spec.gaps
    minutes = stage.reading_minutes
    missing = draws.uniform("missing", minutes) < share / 2
    days = np.arange(minutes[0] // 1440, minutes[-1] // 1440 + 1, dtype=np.int64)
    hours = 1.0 + 8.0 * draws.uniform("outage length", days)  # five in the mean
    begin = days * 1440 + np.floor(draws.uniform("outage start", days) * 1440)
    for day in np.flatnonzero(draws.uniform("outage", days) < share / 2 * 24 / 5).tolist():
        missing |= (minutes >= begin[day]) & (minutes < begin[day] + 60 * hours[day])
    return missing


def samples(stage: Stage, recorded: list[tuple[str, Recorded]]) -> tuple[pl.DataFrame, pl.DataFrame]:
    """SAMPLES frames of what arrived in time and of what arrived late, by workload, metric and time."""
    clock = stage.clock
    shown = slice(clock.lead * clock.readings, clock.end * clock.readings)
    instants = stage.reading_minutes[shown] * 60_000_000
    in_time, late = [], []
    for workload_id, reading in recorded:
        for kept, group in ((~reading.late, in_time), (reading.late, late)):
            rows = np.flatnonzero(reading.kept & kept)
            group.extend((workload_id, name, instants[rows], values[rows]) for name, values in reading.metrics.items())
    return _long(in_time), _long(late)


def _long(blocks: list[tuple[str, str, np.ndarray, Floats]]) -> pl.DataFrame:
    """One frame of many blocks, each of one workload and metric."""
    if not blocks:
        return pl.DataFrame(schema=SAMPLES)
    block = np.repeat(np.arange(len(blocks), dtype=np.uint32), [len(instants) for *_, instants, _ in blocks])
    return pl.DataFrame(
        {
            "workload_id": pl.Series([workload_id for workload_id, *_ in blocks]).gather(block),
            "ts": pl.Series(np.concatenate([instants for *_, instants, _ in blocks])).cast(TS),
            "metric": pl.Series([name for _, name, *_ in blocks]).gather(block),
            "value": pl.Series(np.concatenate([values for *_, values in blocks])).round_sig_figs(DIGITS),
        }
    ).select("workload_id", "ts", "metric", "value", pl.lit(DATASET).alias("dataset"))
