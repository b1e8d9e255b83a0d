"""What came of one policy: run in parts that fit in memory, its decisions handed on, its day sums kept on disk.

Nothing is compared here; ``scores`` and ``summary`` do that with outcomes of several policies.
"""

import dataclasses
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from persona_platform.errors import InputError
from persona_platform.frames import TS, Schema
from persona_platform.replay.engine import Measured, Recording, Served, measure
from persona_platform.replay.frontiers import on_frontier
from persona_platform.replay.policies import Policy, play

AS_PLANNED = "as planned"
"""The setting of ours that changes nothing: each target at its own kappa."""

LEFT_ALONE = "left alone, "
"""Begins the settings of ours for targets that are not suitable; the plain reactive one's name follows."""

PLANNED = (AS_PLANNED, f"{LEFT_ALONE}target 70%")
"""The setting without hindsight, of a target acted on and of one left to a reactive autoscaler."""

DECISIONS: Schema = {
    "target": pl.String,
    "policy": pl.String,
    "setting": pl.String,
    "ts": TS,
    "demand": pl.Float64,  # units; null where it was not read
    "capacity": pl.Float64,  # units usable during the whole step
    "billed": pl.Float64,  # units usable or booting
    "lead_time_s": pl.Float64,
}

PART_BYTES = 700_000_000
"""That a part may take; with what a policy needs for itself it stays under 1 GiB."""

STEP_BYTES = 24
"""For each setting and step of a target: sizes asked for, usable and billed (16 to 18 were measured)."""

Sink = Callable[[pl.DataFrame], None]
"""Takes DECISIONS rows, one target's at a time."""


@dataclass(frozen=True)
class Block:
    """Targets that were swept over the same settings.

    ``measured`` has (settings, targets, days) sums.
    """

    targets: tuple[str, ...]
    settings: tuple[str, ...]
    measured: Measured


@dataclass(frozen=True)
class Outcome:
    """One policy over all targets; each target is in one block."""

    policy: str
    blocks: tuple[Block, ...]

    @property
    def targets(self) -> tuple[str, ...]:
        """In the order of the blocks."""
        return tuple(target for block in self.blocks for target in block.targets)

    def place(self, targets: Sequence[str]) -> np.ndarray:
        """Where each of ``targets`` stands in the order of the blocks.

        Raises :class:`InputError` unless they are the same targets.
        """
        at = {target: i for i, target in enumerate(self.targets)}
        if set(at) != set(targets) or len(at) != len(self.targets):
            raise InputError(
                f"Policy {self.policy} was run over {len(self.targets)} targets, not over the {len(targets)} "
                f"recorded; {', '.join(sorted(set(at) ^ set(targets))[:5])} differ. Run it over the same recording."
            )
        return np.array([at[target] for target in targets], dtype=int)


def run_policy(
    recording: Recording,
    policy: Policy,
    *,
    name: str | None = None,
    keep: int = 40,
    sink: Sink | None = None,
    progress: Callable[[int], None] | None = None,
) -> Outcome:
    """Replays a policy with all its settings.

    Prices have no part in it: a target's price scales its costs alike at every setting.

    Args:
        recording: what happened.
        policy: what might have been done about it.
        name: instead of the policy's own.
        keep: settings a target whose decisions go to ``sink``, spread along the target's frontier.
        sink: takes the decisions.
        progress: told the number of targets done after each part.
    """
    name = name or policy.name
    blocks: list[Block] = []
    done = 0
    for part in parts(recording, policy):
        settings = tuple(policy.settings(part))
        served = play(policy, part)
        measured = measure(served, part)
        blocks.append(Block(part.targets, settings, measured))
        if sink is not None:
            for frame in decision_rows(served, part, name, settings, kept_settings(blocks[-1], keep)):
                sink(frame)
        del served
        done += len(part.targets)
        if progress is not None:
            progress(done)
    return Outcome(name, tuple(blocks))


def parts(recording: Recording, policy: Policy, bytes_at_once: int = PART_BYTES) -> Iterator[Recording]:
    """The recording, as many targets at a time as can be served within ``bytes_at_once``; one at least."""
    each = len(policy.settings(recording)) * recording.walked_steps * STEP_BYTES
    size = max(1, bytes_at_once // max(1, each))
    if size >= len(recording.targets):
        yield recording
        return
    for first in range(0, len(recording.targets), size):
        yield recording.part(range(first, min(first + size, len(recording.targets))))


def kept_settings(block: Block, keep: int) -> list[list[int]]:
    """For each target the settings on its frontier, tightest first, at most ``keep`` evenly along it.

    The setting without hindsight is always among them.
    """
    unserved, cost = block.measured.unserved_share, block.measured.billed_unit_hours
    marked = on_frontier(unserved, cost)
    planned = [i for i, setting in enumerate(block.settings) if setting in PLANNED]
    kept = []
    for target in range(len(block.targets)):
        on = np.flatnonzero(marked[:, target])
        on = on[np.argsort(unserved[on, target])]
        on = on[~np.isin(on, planned)]
        room = max(1, keep - len(planned))
        if len(on) > room:
            on = on[np.unique(np.linspace(0, len(on) - 1, room).round().astype(int))]
        kept.append([*planned, *on.tolist()])
    return kept


def decision_rows(
    served: Served, recording: Recording, policy: str, settings: Sequence[str], kept: Sequence[Sequence[int]]
) -> Iterator[pl.DataFrame]:
    """The scored steps as DECISIONS rows, a frame a target, settings outermost.

    Args:
        served: of one policy, (settings, targets, walked steps).
        recording: what was replayed.
        policy: its name.
        settings: names.
        kept: for each target the indices of the settings to write.
    """
    walked = slice(recording.scored_from - recording.walked_from, None)
    count = recording.steps - recording.scored_from
    first = recording.at(recording.scored_from)
    ts = pl.Series([first + i * recording.step for i in range(count)], dtype=TS)
    for i, (target, chosen) in enumerate(zip(recording.targets, kept, strict=True)):
        rows = len(chosen) * count
        names = pl.Series([settings[s] for s in chosen], dtype=pl.String)
        demand = recording.demand[i, recording.scored_from :].astype(float)
        yield pl.DataFrame(
            {
                "target": pl.repeat(target, rows, dtype=pl.String, eager=True),
                "policy": pl.repeat(policy, rows, dtype=pl.String, eager=True),
                "setting": names.gather(np.repeat(np.arange(len(chosen)), count)),
                "ts": ts.gather(np.tile(np.arange(count), len(chosen))),
                "demand": np.tile(demand, len(chosen)),
                "capacity": served.capacity[list(chosen), i, walked].astype(float).ravel(),
                "billed": served.billed[list(chosen), i, walked].astype(float).ravel(),
                "lead_time_s": np.full(rows, recording.lead_time.total_seconds()),
            },
            schema=DECISIONS,
        ).with_columns(pl.col("demand").fill_nan(None))


def save_outcome(path: Path, outcome: Outcome) -> None:
    """Writes an outcome as ``.npz``, all of it or nothing, so that a killed replay finds whole ones."""
    held: dict[str, np.ndarray] = {"policy": np.array(outcome.policy), "blocks": np.array(len(outcome.blocks))}
    for i, block in enumerate(outcome.blocks):
        held[f"{i}.targets"] = np.array(block.targets, dtype=np.str_)
        held[f"{i}.settings"] = np.array(block.settings, dtype=np.str_)
        for field in dataclasses.fields(Measured):
            held[f"{i}.{field.name}"] = _packed(getattr(block.measured, field.name))
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    with draft.open("wb") as file:
        np.savez_compressed(file, allow_pickle=False, **held)
    draft.replace(path)


def load_outcome(path: Path) -> Outcome:
    """What :func:`save_outcome` wrote."""
    with np.load(path, allow_pickle=False) as held:
        blocks = [
            Block(
                tuple(held[f"{i}.targets"].tolist()),
                tuple(held[f"{i}.settings"].tolist()),
                Measured(**{f.name: _unpacked(held[f"{i}.{f.name}"]) for f in dataclasses.fields(Measured)}),
            )
            for i in range(int(held["blocks"]))
        ]
        return Outcome(str(held["policy"]), tuple(blocks))


def _packed(value: np.ndarray | timedelta | float | tuple[date, ...]) -> np.ndarray:
    if isinstance(value, timedelta):
        return np.array(value, dtype="timedelta64[us]")
    if isinstance(value, tuple):
        return np.array(value, dtype="datetime64[D]")
    return np.asarray(value)


def _unpacked(value: np.ndarray) -> Any:
    if value.dtype.kind in "mM":
        held = value.tolist()
        return tuple(held) if isinstance(held, list) else held
    return value if value.ndim else value.item()
