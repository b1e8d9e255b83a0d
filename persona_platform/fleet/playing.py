"""What a workload plays at each slot: the truth that everything else of a fleet follows from."""

from dataclasses import dataclass
from datetime import datetime

import numpy as np

from persona_platform.fleet.archetypes import Play, Size
from persona_platform.fleet.clock import Bools
from persona_platform.fleet.draws import Draws, Floats, Ints
from persona_platform.fleet.roster import Part, Workload, picks
from persona_platform.fleet.stage import Stage
from persona_platform.fleet.timing import activations

RESTING = "resting"


@dataclass(frozen=True)
class Played:
    """The activations of a workload. ``owner`` is the activation of each slot, -1 where there is none."""

    owner: Ints
    plays: tuple[Play, ...]
    play: Ints  # of each activation, index into plays
    size: Ints  # of each activation, index into its play's sizes
    address: Ints  # of each activation, for further draws
    first: Ints  # of each activation, its first slot
    last: Ints  # of each activation, its last slot, within the clock
    cut: Bools  # of each activation: it goes on after the clock

    def of(self, values: list[float]) -> Floats:
        """A value of each activation, at each slot; NaN where there is none."""
        return np.array([*values, np.nan])[self.owner]

    def sizes(self) -> list[Size]:
        """The size of each activation."""
        return [self.plays[p].sizes[s] for p, s in zip(self.play.tolist(), self.size.tolist(), strict=True)]


def play_out(stage: Stage, workload: Workload) -> Played:
    """Draw the activations of a workload and lay them on the slots, a later part over an earlier one."""
    scene = stage.scene(workload.zone)
    owner = np.full(stage.clock.count, -1, dtype=np.int64)
    columns: dict[str, list[Ints]] = {name: [] for name in ("play", "size", "address", "start", "end")}
    taken = 0
    for number, part in enumerate(workload.parts):
        play = part.play
        draws = Draws(workload.draws.seed, f"{workload.draws.subject}/{play.persona}")
        assert play.timing is not None
        found = activations(play.timing, play.duration, scene, draws)
        within = _within(stage, part, found.start)
        start, end, address = found.start[within], found.end[within], found.address[within]
        if play.drawn_per == "workload":
            drawn = np.full(len(start), workload.draws.one(f"size/{play.persona}"))
        else:
            drawn = draws.uniform("size", address)
        for i, (first, until) in enumerate(zip(start.tolist(), end.tolist(), strict=True)):
            owner[first:until] = taken + i
        taken += len(start)
        for name, values in zip(
            columns, (np.full(len(start), number), picks(play, drawn), address, start, end), strict=True
        ):
            columns[name].append(values)
    joined = {name: np.concatenate([np.zeros(0, np.int64), *parts]) for name, parts in columns.items()}
    return Played(
        owner=owner,
        plays=tuple(part.play for part in workload.parts),
        play=joined["play"].astype(np.int64),
        size=joined["size"].astype(np.int64),
        address=joined["address"].astype(np.int64),
        first=joined["start"].astype(np.int64),
        last=joined["end"].astype(np.int64) - 1,
        cut=joined["end"] >= stage.clock.count,
    )


def _within(stage: Stage, part: Part, start: Ints) -> Bools:
    """Which starts fall into the days on which the workload has the part."""

    def slot(moment: datetime | None, otherwise: int) -> int:
        return otherwise if moment is None else (moment - stage.clock.start) // stage.clock.slot

    return (start >= slot(part.since, 0)) & (start < slot(part.until, stage.clock.count))
