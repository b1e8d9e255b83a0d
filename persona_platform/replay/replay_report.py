"""``report.html`` of ``persona replay``: should I turn this on, for which targets, with which setting?

One file without JavaScript and without anything to load. :class:`ReplayReport` says what goes in; every part may be
empty, and then the page says so.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl

from persona_platform import frames
from persona_platform.replay.page import Section, page, paragraph
from persona_platform.replay.scores import Comparison
from persona_platform.replay.sections_replay_activation import activations
from persona_platform.replay.sections_replay_answer import answer
from persona_platform.replay.sections_replay_findings import Fronts, findings
from persona_platform.replay.sections_replay_frontiers import frontiers
from persona_platform.replay.sections_replay_how import how
from persona_platform.replay.sections_replay_levels import at_equal_cost, at_equal_service, median_against_tuned
from persona_platform.replay.sections_replay_targets import stay_off, targets_table
from persona_platform.replay.sections_replay_weeks import weeks

WISHED = 0.01
"""Share of demand that may stay unserved, unless said otherwise."""


@dataclass(frozen=True)
class ReplayReport:
    """What the page is made of.

    Attributes:
        comparison: of :func:`persona_platform.replay.scores.comparison_of`, ``ours_above_reactive`` and
            ``ours_unlimited`` among its scores where they were replayed.
        summary: of :func:`persona_platform.replay.summary.summary`; empty: no medians and intervals.
        decisions: DECISIONS; a lazy frame is read only where it is drawn.
        suitability: SUITABILITY; empty: no verdicts.
        activation: ACTIVATION; empty: nothing to judge.
        title: of the page.
        source: what was replayed, in a few words.
        notes: sentences to be said at the top.
        wished: the share of demand that may stay unserved; settings are recommended for it.
    """

    comparison: Comparison
    summary: Mapping[str, Any] = field(default_factory=dict)
    decisions: pl.DataFrame | pl.LazyFrame | None = None
    suitability: pl.DataFrame = field(default_factory=lambda: frames.empty(frames.SUITABILITY))
    activation: pl.DataFrame = field(default_factory=lambda: frames.empty(frames.ACTIVATION))
    title: str = "Should prediction be turned on?"
    source: str = ""
    notes: Sequence[str] = ()
    wished: float = WISHED


def write_replay_report(path: Path, data: ReplayReport) -> None:
    """Writes the page, all of it or nothing: a reader never finds half of one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.write_text(replay_html(data), encoding="utf-8")
    draft.replace(path)


def replay_html(data: ReplayReport) -> str:
    """The page as a string."""
    comparison, wished = data.comparison, data.wished
    fronts = Fronts(comparison.scores)
    found = findings(fronts, data.suitability, comparison.left_alone, wished)
    decisions = comparison.decisions if data.decisions is None else data.decisions
    parts = [
        Section("targets", "Which targets, with which setting", targets_table(found, comparison, wished)),
        Section("frontiers", "Cost against service", frontiers(fronts, found, comparison)),
        Section("service", "At the same service", at_equal_service(data.summary, comparison)),
        Section("cost", "At the same cost", at_equal_cost(data.summary)),
        Section("weeks", "A week of demand and capacity", weeks(found, comparison, decisions, wished)),
        Section("off", "Where prediction does not help", stay_off(found, wished)),
        Section("activations", "What the forecast of activations is worth", activations(data.activation)),
        Section("how", "How this was replayed", how(comparison, data.summary, data.source, len(fronts.targets))),
    ]
    about = f"Replay of {data.source}: recorded demand" if data.source else "Recorded demand, replayed"
    notes = f'<div class="note">{"".join(paragraph(note) for note in data.notes)}</div>' if data.notes else ""
    return page(
        data.title,
        f"{about}, with the decisions that run live, beside the autoscaler that you have. All times are UTC.",
        answer(found, comparison, median_against_tuned(data.summary, wished), wished) + notes,
        parts,
        "Unserved is the share of demand that found no usable capacity. Capacity costs from its request on. "
        "All scores are in frontier.parquet, the sizes in decisions.parquet, the figures in summary.json.",
    )
