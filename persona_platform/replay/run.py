"""A whole replay: plans, verdicts, every policy, scores, and the files that a user gets.

Only the order of things; what each is lives in its own module. Every step is kept in
:class:`~persona_platform.replay.parts.Parts`, so that a killed replay goes on where it stopped.
"""

import hashlib
import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final, Self

import numpy as np
import polars as pl

from persona_platform.capacity.limits import digest
from persona_platform.capacity.plan_series import PlanSeries
from persona_platform.capacity.planning import validate_direct
from persona_platform.errors import InputError
from persona_platform.frames import ACTIVATION, SUITABILITY, empty
from persona_platform.replay.activation import ORIGINS, activations_foretold
from persona_platform.replay.cases import Case
from persona_platform.replay.engine import Recording, record
from persona_platform.replay.forward import Stretch, Walking, stretches, walk_stretch
from persona_platform.replay.ours import PLANNED_BEFORE, WITHOUT_FLOORS, Bare, Ours
from persona_platform.replay.outcomes import DECISIONS, LEFT_ALONE, Outcome, run_policy
from persona_platform.replay.parts import Parts
from persona_platform.replay.policies import POLICIES, Policy, Reactive, thinned
from persona_platform.replay.replay_report import ReplayReport, write_replay_report
from persona_platform.replay.scores import Comparison, comparison_of
from persona_platform.replay.suitability import suitability
from persona_platform.replay.summary import summary
from persona_platform.replay.terms import Terms

OURS: Final = "ours"
NAMES: Final = (*(name for name in POLICIES if name != "clairvoyant"), OURS, "clairvoyant")
"""Every policy, in the order in which they are told."""

VARIANTS: Final = ("ours_above_reactive", "ours_unlimited")
"""Ours above the user's own autoscaler, and without limits: scored, and not among the decisions."""

VERDICTS: Final = "suitability"

_PARTS_OF: Final = {OURS: ("ours", "ours-left-alone")}
"""Targets acted on and targets left alone are parts of their own; every other policy is one."""

REACTIVE_ABOVE: Final = 0.7
"""Target utilization of the user's own autoscaler in the first variant."""

Progress = Callable[[str, int, int], None]
"""Called with what is done now, how much of it is done, and how much there is."""


@dataclass(frozen=True)
class ReplayOptions:
    """What is replayed beside the case.

    Attributes:
        terms: under which capacity comes.
        limits: LIMITS of every target; ours runs with them, in mode act, approvals at once, without budget.
        walking: how plans are made on the way.
        policies: names of :data:`NAMES`.
        prices: money of a unit-hour by target; 1 where none is given.
        activations: origins at which the outlook is judged; 0: not at all.
        judged: whether targets that are not suitable are left alone.
        settings: of each policy at most, spread over its sweep; None: all.
        files: whether decisions, frontier, summary and report are written; False: only the comparison is made.
        variants: whether :data:`VARIANTS` are scored beside ours.
        source: what is replayed, in a few words, for the report.
    """

    terms: Terms
    limits: pl.DataFrame
    walking: Walking = field(default_factory=Walking)
    policies: tuple[str, ...] = NAMES
    prices: Mapping[str, float] = field(default_factory=dict)
    activations: int = ORIGINS
    judged: bool = True
    settings: int | None = None
    files: bool = True
    variants: bool = True
    source: str = ""

    def __post_init__(self) -> None:
        if unknown := [name for name in self.policies if name not in NAMES]:
            raise InputError(f"There is no policy {unknown[0]}; choose among {', '.join(NAMES)}.")
        if self.settings is not None and self.settings < 1:
            raise InputError(f"A policy needs at least one setting; {self.settings} cannot be.")

    def few(self, policy: Policy) -> Policy:
        """The policy, with no more settings than asked for."""
        return policy if self.settings is None else thinned(policy, self.settings)


@dataclass(frozen=True)
class LeftAlone:
    """Plain reactive, as ours is for targets that are not suitable."""

    reactive: Reactive = field(default_factory=Reactive)
    name: str = OURS

    def settings(self, recording: Recording) -> list[str]:
        """Those of the reactive policy, and that it is one."""
        return [f"{LEFT_ALONE}{setting}" for setting in self.reactive.settings(recording)]

    def desired(self, recording: Recording) -> np.ndarray:
        """(settings, targets, walked steps) int32 units asked for."""
        return self.reactive.desired(recording)


def replay(case: Case, options: ReplayOptions, out: Path, progress: Progress) -> Comparison:
    """Replays a case and writes decisions, frontier, activation, summary and report to ``out``."""
    recording = record(
        case.observed,
        step=case.history.slot,
        scored_from=case.scored_from,
        terms=options.terms,
        targets=tuple(case.sizing.targets["target"]),
    )
    if not recording.scored.any():
        raise InputError("No demand was read after the training part, so nothing can be scored; give more history.")
    verdicts = empty(SUITABILITY)
    plans: list[PlanSeries] = []
    with Parts(out, _digest(case, options)) as parts:
        if OURS in options.policies:
            plans, verdicts = _planned(case, options, recording, parts, progress)
        alone = verdicts.filter(~pl.col("suitable"))["target"].to_list() if options.judged else []
        outcomes = _outcomes(recording, options, plans, alone, parts, progress)
        foretold = _foretold(case, options, parts, progress)
        comparison = comparison_of(recording, outcomes, options.prices, left_alone=alone)
        if options.files:
            _write(out, comparison, options, verdicts, foretold, case.notes, parts, progress)
    return comparison


def _digest(case: Case, options: ReplayOptions) -> str:
    """Of the program and of everything that the parts are made from.

    Not of which policies are run: each has its own part.
    """
    said = [
        version("persona-platform"),
        case.digest,
        options.terms,
        options.walking,
        options.activations,
        options.judged,
        options.settings,
        options.files,
    ]
    limits = digest(options.limits.drop("provisioner"))
    return hashlib.sha256("|".join([*map(str, said), limits]).encode()).hexdigest()[:32]


def _planned(
    case: Case, options: ReplayOptions, recording: Recording, parts: Parts, progress: Progress
) -> tuple[list[PlanSeries], pl.DataFrame]:
    """The plans of every step from a little before the scored part on, and the first refit's verdicts."""
    warm_up = recording.lead_steps + -(-PLANNED_BEFORE // recording.step)
    first = max(recording.scored_from - warm_up, 0)
    count, slots = recording.steps - first, recording.lead_steps + 1
    plans: list[PlanSeries] = []
    cuts = stretches(recording.at(first), count, recording.step, options.walking.refit_every)
    for number, stretch in enumerate(cuts):
        made = partial(_plan, case, options, parts, stretch, slots, judge=number == 0)
        plans.append(parts.plans(f"plans-{number:04}", made))
        progress("Learning and planning", number + 1, len(cuts))
    judged = parts.path(f"{VERDICTS}.parquet")
    return plans, pl.read_parquet(judged, glob=False) if judged.exists() else empty(SUITABILITY)


def _plan(case: Case, options: ReplayOptions, parts: Parts, stretch: Stretch, slots: int, *, judge: bool) -> PlanSeries:
    """The plans of a stretch; the first one's refit also judges which targets are suitable."""
    history, sizing, observed = case.history, case.sizing, case.observed
    walked = walk_stretch(history, sizing, observed, stretch, slots=slots, walking=options.walking)
    if judge:
        validated = walked.validated or validate_direct(
            history, sizing, observed, origin=stretch.cut, slots=slots, seed=options.walking.seed
        )
        parts.frame(
            VERDICTS,
            lambda: suitability(
                history, sizing, observed, validated, options.limits, until=stretch.cut, terms=options.terms
            ),
        )
    return walked.plans


def _outcomes(
    recording: Recording,
    options: ReplayOptions,
    plans: Sequence[PlanSeries],
    alone: Sequence[str],
    parts: Parts,
    progress: Progress,
) -> list[Outcome]:
    """What came of each policy; its decisions lie beside it."""
    done: list[Outcome] = []
    variants = VARIANTS if OURS in options.policies and options.variants else ()
    names = [*(name for name in NAMES if name in options.policies), *variants]
    for number, name in enumerate(names):
        progress(f"Replaying {name}", number, len(names))
        if name == OURS:
            done.append(_ours(recording, options, plans, alone, parts))
        elif name in VARIANTS:
            done.append(
                parts.outcome(
                    name, lambda n=name: run_policy(recording, options.few(_variant(n, plans, options.limits)))
                )
            )
        else:
            done.append(_kept(recording, options.few(POLICIES[name]()), name, parts, options))
    progress("Replaying", len(names), len(names))
    return done


def _ours(
    recording: Recording, options: ReplayOptions, plans: Sequence[PlanSeries], alone: Sequence[str], parts: Parts
) -> Outcome:
    """Ours where it is suitable, plain reactive elsewhere."""
    left = [i for i, name in enumerate(recording.targets) if name in set(alone)]
    acted = [i for i in range(len(recording.targets)) if i not in set(left)]
    blocks = []
    for name, rows, policy in (
        (_PARTS_OF[OURS][0], acted, options.few(Ours(plans, options.limits))),
        (_PARTS_OF[OURS][1], left, options.few(LeftAlone())),
    ):
        if rows:
            blocks += _kept(recording.part(rows), policy, name, parts, options).blocks
    return Outcome(OURS, tuple(blocks))


def _variant(name: str, plans: Sequence[PlanSeries], limits: pl.DataFrame) -> Policy:
    if name == "ours_unlimited":
        return Ours(plans, limits, sweep=WITHOUT_FLOORS, bare=Bare(), name=name)
    return Ours(plans, limits, sweep=WITHOUT_FLOORS, above=Reactive((REACTIVE_ABOVE,)), name=name)


def _kept(recording: Recording, policy: Policy, name: str, parts: Parts, options: ReplayOptions) -> Outcome:
    """The outcome, made once together with its decisions."""

    def made() -> Outcome:
        if not options.files:
            return run_policy(recording, policy)
        with _Writer(parts.path(f"decisions-{name}.parquet")) as writer:
            return run_policy(recording, policy, sink=writer.write)

    return parts.outcome(f"outcome-{name}", made)


class _Writer:
    """DECISIONS rows to a file, a target a row group; whole when it closes, or not there."""

    def __init__(self, path: Path) -> None:
        self.path, self.draft = path, path.with_name(f".{os.getpid()}.{path.name}")
        self._file: Any = None

    def __enter__(self) -> Self:
        import pyarrow.parquet as pq

        schema = pl.DataFrame(schema=DECISIONS).to_arrow().schema
        self._file = pq.ParquetWriter(self.draft, schema, compression="lz4")
        return self

    def write(self, rows: pl.DataFrame) -> None:
        """Appends a frame."""
        self._file.write_table(rows.to_arrow().cast(self._file.schema))

    def __exit__(self, kind: object, *_: object) -> None:
        self._file.close()
        if kind is None:
            self.draft.replace(self.path)
        else:
            self.draft.unlink(missing_ok=True)


def _foretold(case: Case, options: ReplayOptions, parts: Parts, progress: Progress) -> pl.DataFrame:
    def told(done: int, of: int) -> None:
        progress("Judging the outlook", done, of)

    last = case.observed["slot"].max()
    if not options.activations or not isinstance(last, datetime):
        return empty(ACTIVATION)
    return parts.frame(
        "activation",
        lambda: activations_foretold(
            case.history,
            since=case.scored_from,
            until=last + case.history.slot,
            seed=options.walking.seed,
            origins=options.activations,
            progress=told,
        ),
    )


def _write(
    out: Path,
    comparison: Comparison,
    options: ReplayOptions,
    verdicts: pl.DataFrame,
    foretold: pl.DataFrame,
    notes: Sequence[str],
    parts: Parts,
    progress: Progress,
) -> None:
    progress("Summing up", 0, 3)
    _whole(out / "frontier.parquet", comparison.scores.write_parquet)
    _whole(out / "activation.parquet", foretold.write_parquet)
    _whole(out / "decisions.parquet", lambda path: _gathered(parts, options.policies, path))
    progress("Summing up", 1, 3)
    found = summary(comparison, seed=options.walking.seed, suitability=verdicts)
    found = {**found, "source": options.source, "notes": list(notes), "refit_every_s": _seconds(options.walking)}
    text = json.dumps(found, indent=1, allow_nan=False)
    _whole(out / "summary.json", lambda path: path.write_text(text, encoding="utf-8"))
    progress("Summing up", 2, 3)
    write_replay_report(
        out / "report.html",
        ReplayReport(
            comparison=comparison,
            summary=found,
            decisions=pl.scan_parquet(out / "decisions.parquet", glob=False),
            suitability=verdicts,
            activation=foretold,
            source=options.source,
            notes=tuple(notes),
        ),
    )
    progress("Summing up", 3, 3)


def _seconds(walking: Walking) -> float | None:
    every: timedelta | None = walking.refit_every
    return every.total_seconds() if every else None


def _gathered(parts: Parts, policies: Sequence[str], path: Path) -> None:
    """The decisions of these policies in one file; parts of an earlier run may be of more."""
    asked = [name for name in NAMES if name in policies]
    held = [parts.path(f"decisions-{part}.parquet") for name in asked for part in _PARTS_OF.get(name, (name,))]
    frames = [pl.scan_parquet(one, glob=False) for one in held if one.exists()]
    together = pl.concat(frames) if frames else pl.LazyFrame(schema=DECISIONS)
    together.sink_parquet(path, compression="zstd", compression_level=1, maintain_order=True)


def _whole(path: Path, write: Callable[[Path], object]) -> None:
    draft = path.with_name(f".{os.getpid()}.{path.name}")
    write(draft)
    draft.replace(path)
