"""The truth of a fleet as frames: who plays what, when, at which size, and what personas were drawn from."""

import numpy as np
import polars as pl

from persona_platform.fleet.archetypes import Play
from persona_platform.fleet.demand import GIB, Needs
from persona_platform.fleet.playing import RESTING, Played
from persona_platform.fleet.roster import Workload, plays
from persona_platform.fleet.spec import FleetSpec
from persona_platform.fleet.stage import Stage
from persona_platform.fleet.telemetry import DIGITS
from persona_platform.fleet.timing import AtEvents
from persona_platform.frames import TS, Schema

MEMBERSHIP: Schema = {
    "workload_id": pl.String,
    "slot": TS,
    "persona": pl.String,
    "kind": pl.String,
    "cpu_cores": pl.Float64,
    "mem_bytes": pl.Float64,
    "gpus": pl.Float64,  # null where the workload has none
    "saturated": pl.Boolean,
}
ACTIVATIONS: Schema = {
    "workload_id": pl.String,
    "persona": pl.String,
    "start": TS,
    "end": TS,
    "cut": pl.Boolean,  # by the start or the end of the fleet, or by another activation
    "size": pl.String,
    "cpu_cores": pl.Float64,
    "mem_bytes": pl.Float64,
    "gpus": pl.Float64,
}


def membership(stage: Stage, workload: Workload, played: Played, wanted: Needs) -> pl.DataFrame:
    """The persona and the need of a workload at each slot of the fleet."""
    clock = stage.clock
    slots = np.arange(clock.lead, clock.end)
    base = workload.archetype.base
    otherwise = base.persona if base else RESTING
    # A workload that never does anything else is steady at its base; otherwise its base is its lowest level.
    at_base = "steady" if base and not workload.parts else "resting"
    label = np.append(played.play, len(played.plays))[played.owner[slots]]
    labels = pl.Series([*(play.persona for play in played.plays), otherwise])
    kinds = pl.Series([*("active" for _ in played.plays), at_base])
    has_gpus = bool(wanted.gpus.any()) or workload.archetype.pool == "gpu"

    def per_slot(values: np.ndarray) -> np.ndarray:
        return values.reshape(-1, clock.readings)[slots].mean(axis=1)

    return pl.DataFrame(
        {
            "workload_id": pl.repeat(workload.workload_id, len(slots), eager=True),
            "slot": clock.instants(slots),
            "persona": labels.gather(label),
            "kind": kinds.gather(label),
            "cpu_cores": pl.Series(per_slot(wanted.wanted)).round_sig_figs(DIGITS),
            "mem_bytes": pl.Series(per_slot(wanted.mem_bytes)).round_sig_figs(DIGITS),
            "gpus": per_slot(wanted.gpus) if has_gpus else None,
            "saturated": per_slot(wanted.saturated.astype(float)) > 0,
        },
        schema=MEMBERSHIP,
    )


def activations(stage: Stage, workload: Workload, played: Played) -> pl.DataFrame:
    """The activations of a workload as they lie on the slots: what another covered is not there."""
    clock = stage.clock
    owner = played.owner[clock.lead : clock.end]
    edges = np.flatnonzero(np.diff(owner, prepend=-2, append=-2))
    first, until = edges[:-1], edges[1:]
    which = owner[first]
    first, until, which = (values[which >= 0] for values in (first, until, which))
    sizes = played.sizes()
    pieces = np.bincount(which, minlength=len(sizes)) if len(which) else np.zeros(len(sizes), dtype=np.int64)
    cut = (pieces[which] > 1) | (until - first < (played.last - played.first + 1)[which]) | played.cut[which]
    rows = [sizes[i] for i in which.tolist()]
    return pl.DataFrame(
        {
            "workload_id": [workload.workload_id] * len(rows),
            "persona": [played.plays[p].persona for p in played.play[which].tolist()],
            "start": clock.instants(first + clock.lead),
            "end": clock.instants(until + clock.lead),
            "cut": cut,
            "size": [size.name for size in rows],
            "cpu_cores": [float(size.cores) for size in rows],
            "mem_bytes": [GIB * size.mem_gib for size in rows],
            "gpus": [float(size.gpus) for size in rows],
        },
        schema=ACTIVATIONS,
    )


def personas(spec: FleetSpec) -> pl.DataFrame:
    """The requirement table and the duration of every persona: one row for each of its sizes."""
    rows = [
        {
            "persona": play.persona,
            "kind": "active" if play.timing else "resting or steady",
            "size": size.name,
            "probability": size.probability,
            "cpu_cores": float(size.cores),
            "mem_bytes": GIB * size.mem_gib,
            "gpus": float(size.gpus),
            "drawn_per": play.drawn_per,
            "duration_median_s": play.duration.hours * 3600 if play.timing else None,
            "duration_sigma": play.duration.sigma if play.timing else None,
        }
        for play in plays(spec).values()
        for size in play.sizes
    ]
    return pl.DataFrame(rows)


def uplifts(spec: FleetSpec) -> pl.DataFrame:
    """What events do to personas: the ratio of the need while one lasts, and whom events alone activate."""

    def of(play: Play) -> list[dict[str, object]]:
        rows = [
            {"persona": play.persona, "event": kind, "ratio": ratio, "only": False}
            for kind, ratio in play.uplifts.items()
        ]
        if isinstance(play.timing, AtEvents):
            rows.append({"persona": play.persona, "event": play.timing.kind, "ratio": 1.0, "only": True})
        return rows

    rows = [row for play in plays(spec).values() for row in of(play)]
    return pl.DataFrame(
        rows, schema={"persona": pl.String, "event": pl.String, "ratio": pl.Float64, "only": pl.Boolean}
    )
