"""What a workload wants and gets at each reading.

The need of what it plays is moved by the day, events, weather, growth and noise, and cut at its limit.
"""

from dataclasses import dataclass

import numpy as np

from persona_platform.fleet.archetypes import Play
from persona_platform.fleet.clock import Bools
from persona_platform.fleet.draws import Floats
from persona_platform.fleet.playing import Played
from persona_platform.fleet.roster import Workload
from persona_platform.fleet.stage import Stage

GIB = 2.0**30
MEGABYTE = 1e6


@dataclass(frozen=True)
class Needs:
    """Of one workload, at each reading of the clock (lead-in and tail included)."""

    wanted: Floats  # cores, before the limit
    mem_bytes: Floats
    gpus: Floats
    serving: Floats  # cores wanted for what is served, whatever else runs
    working: Floats  # cores wanted for jobs
    cpu_cores: Floats  # used: wanted, or the limit
    saturated: Bools


def needs(stage: Stage, workload: Workload, played: Played) -> Needs:
    """The needs of a workload at each reading."""
    base = _base_cores(stage, workload)
    sizes = played.sizes()
    cores = played.of([size.cores for size in sizes]) * _effort(stage, workload, played)
    active, is_job = played.owner >= 0, np.zeros(stage.clock.count, dtype=bool)
    factor, rough = np.ones(stage.clock.count), np.full(stage.clock.count, _rest_rough(workload))
    for number, play in enumerate(played.plays):
        here = active & (played.of(played.play.tolist()) == number)
        factor = np.where(here, _moved(stage, workload, play), factor)
        rough = np.where(here, play.rough, rough)
        is_job |= here & (play.curve == "flat")
    level = _grown(stage, workload) * np.where(active, cores * factor, base)
    each = stage.clock.readings
    noise = np.exp(stage.spec.noise * np.repeat(rough, each) * workload.draws.normal("rough", stage.reading_minutes))
    wanted = np.repeat(level, each) * noise
    background = np.repeat(_grown(stage, workload) * base, each) * noise
    job = np.repeat(is_job, each)
    return Needs(
        wanted=wanted,
        mem_bytes=np.repeat(_memory(stage, workload, played, factor), each),
        gpus=np.repeat(np.nan_to_num(played.of([float(size.gpus) for size in sizes])), each),
        serving=np.where(job, background, wanted),
        working=np.where(job, wanted, 0.0),
        cpu_cores=np.minimum(wanted, workload.alloc),
        saturated=wanted >= workload.alloc,
    )


def _moved(stage: Stage, workload: Workload, play: Play) -> Floats:
    """The factor on a play's size at each slot: the day, events, weather, what moves pool and persona."""
    factor = stage.curve(play.curve, workload.zone)
    for kind, ratio in play.uplifts.items():
        if kind in stage.events:
            factor = factor * np.where(stage.events[kind], ratio, 1.0)
    if play.weather:
        factor = factor * stage.pull(workload.zone)
    shared = stage.shock(f"pool/{workload.archetype.pool}") + stage.shock(f"persona/{play.persona}")
    own = 0.07 * workload.draws.smooth("days", stage.minutes, 1440)
    own = own + 0.05 * workload.draws.smooth("hours", stage.minutes, 180)
    return factor * np.exp(stage.spec.noise * play.sway * (shared + own))


def _base_cores(stage: Stage, workload: Workload) -> Floats:
    """Cores at each slot when none of its parts is active."""
    archetype = workload.archetype
    if archetype.base:
        return workload.size(archetype.base).cores * _moved(stage, workload, archetype.base)
    own = 0.1 * workload.draws.smooth("rest", stage.minutes, 240)
    shape = stage.curve(archetype.rest_curve, workload.zone)
    return archetype.rest * workload.smallest.cores * shape * np.exp(stage.spec.noise * own)


def _rest_rough(workload: Workload) -> float:
    return workload.archetype.base.rough if workload.archetype.base else 0.08


def _effort(stage: Stage, workload: Workload, played: Played) -> Floats:
    """How hard each job works: 4 % from one to the next; its last slot is only partly used."""
    effort = np.exp(0.04 * stage.spec.noise * workload.draws.normal("effort", played.address))
    at_slots = played.of(effort.tolist())
    jobs = np.array([play.curve == "flat" for play in played.plays], dtype=bool)
    if len(played.play) and jobs.any():
        uncovered = played.owner[played.last] == np.arange(len(played.last))
        ending = jobs[played.play] & ~played.cut & uncovered
        used = 1.0 - 0.35 * min(1.0, stage.spec.noise) * workload.draws.uniform("last slot", played.address)
        at_slots[played.last[ending]] *= used[ending]
    return at_slots


def _grown(stage: Stage, workload: Workload) -> Floats:
    """Growth since the start, most of it in the first two months, so that a long span stays within bounds."""
    days = np.maximum(0.0, (stage.minutes - stage.minutes[stage.clock.lead]) / 1440.0)
    return np.exp(workload.growth * (1.0 - np.exp(-days / 45.0)))


def _memory(stage: Stage, workload: Workload, played: Played, factor: Floats) -> Floats:
    """Memory at each slot: most of a size is taken at once, a sixth follows the load."""
    archetype = workload.archetype
    rest = archetype.rest_mem * workload.smallest.mem_gib
    if archetype.base:
        rest = 0.92 * workload.size(archetype.base).mem_gib
    held = played.of([max(size.mem_gib, rest) for size in played.sizes()])
    taken = rest + (held - rest) * (0.84 + 0.16 * np.clip(factor, 0, 1.2))
    sway = np.exp(0.02 * stage.spec.noise * workload.draws.smooth("memory", stage.minutes, 720))
    return GIB * np.where(played.owner >= 0, taken, rest) * sway
