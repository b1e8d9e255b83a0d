"""``report.html``: what was learned, what comes next, what is planned, what was done about it, what it saved.

One file without JavaScript and without anything to load. :class:`ReportData` says what may go in; every part
is optional, and a part without data says so.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

import polars as pl

from persona_platform import frames
from persona_platform.personas.record import Persona
from persona_platform.replay import sections, sections_done, sections_saved
from persona_platform.replay.numbers import count, moment, percent
from persona_platform.replay.outcomes import AS_PLANNED
from persona_platform.replay.page import Section, facts, page, paragraph
from persona_platform.replay.scores import ALL_TARGETS, Comparison, savings


@dataclass(frozen=True)
class ReportData:
    """What a report is made of; frames as in ``persona_platform.frames``.

    Attributes:
        title: of the page.
        origin: the moment planned from: start of the first slot not yet read.
        slot: width of a slot.
        personas: the catalog's records.
        persona_outlook: PERSONA_OUTLOOK; the horizons present are shown.
        activation_outlook: ACTIVATION_OUTLOOK.
        observed: OBSERVED, at least the last two days and the time of the inventories.
        demand: DEMAND; the route ``combined`` is drawn.
        combination: COMBINATION.
        plan: PLAN.
        evidence: EVIDENCE, of the plan shown and, where actions are to be explained, of theirs.
        units: UNITS.
        limits: LIMITS; modes and prices.
        inventories: INVENTORY over time; the newest is what is usable now.
        actions: ACTIONS; optional columns ``decided_at`` (TS), ``plan_id`` and ``reason`` (String, shown
            instead of what is made up from the evidence).
        outcomes: OUTCOMES.
        comparison: from :func:`persona_platform.replay.scores.compare`.
        notes: sentences to be said at the top, for instance that now is the end of the data.
    """

    title: str = "Persona Platform report"
    origin: datetime | None = None
    slot: timedelta = timedelta(minutes=15)
    personas: Sequence[Persona] = ()
    persona_outlook: pl.DataFrame = field(default_factory=lambda: frames.empty(frames.PERSONA_OUTLOOK))
    activation_outlook: pl.DataFrame = field(default_factory=lambda: frames.empty(frames.ACTIVATION_OUTLOOK))
    observed: pl.DataFrame = field(default_factory=lambda: frames.empty(frames.OBSERVED))
    demand: pl.DataFrame = field(default_factory=lambda: frames.empty(frames.DEMAND))
    combination: pl.DataFrame = field(default_factory=lambda: frames.empty(frames.COMBINATION))
    plan: pl.DataFrame = field(default_factory=lambda: frames.empty(frames.PLAN))
    evidence: pl.DataFrame = field(default_factory=lambda: frames.empty(frames.EVIDENCE))
    units: pl.DataFrame = field(default_factory=lambda: frames.empty(frames.UNITS))
    limits: pl.DataFrame = field(default_factory=lambda: frames.empty(frames.LIMITS))
    inventories: pl.DataFrame = field(default_factory=lambda: frames.empty(frames.INVENTORY))
    actions: pl.DataFrame = field(default_factory=lambda: frames.empty(frames.ACTIONS))
    outcomes: pl.DataFrame = field(default_factory=lambda: frames.empty(frames.OUTCOMES))
    comparison: Comparison | None = None
    notes: Sequence[str] = ()


def write_report(path: Path, data: ReportData) -> None:
    """Writes the page, all of it or nothing: a reader never finds half of one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.write_text(report_html(data), encoding="utf-8")
    draft.replace(path)


def report_html(data: ReportData) -> str:
    """The page as a string."""
    names = {persona.persona_id: persona.name for persona in data.personas}
    parts = [
        Section("learned", "What was learned", sections.learned(data.personas)),
        Section(
            "next",
            "What is likely next",
            sections.likely_next(data.persona_outlook, data.activation_outlook, data.observed, data.demand, names)
            + sections.routes(data.combination, data.slot),
        ),
        Section(
            "plan",
            "The plan",
            sections.planned(
                plan=data.plan,
                evidence=data.evidence,
                inventories=data.inventories,
                units=data.units,
                limits=data.limits,
                names=names,
            ),
        ),
        Section(
            "provisioned",
            "What was provisioned, and why",
            sections_done.provisioned(
                actions=data.actions,
                outcomes=data.outcomes,
                evidence=data.evidence,
                observed=data.observed,
                inventories=data.inventories,
                names=names,
            ),
        ),
        Section("saved", "What it saved", sections_saved.saved(data.comparison)),
    ]
    when = f"Planned from {moment(data.origin)}, {data.origin:%Y}. " if data.origin else ""
    notes = "".join(paragraph(note, "note") for note in data.notes)
    return page(
        data.title,
        f"{when}All times are UTC. Demand and capacity are in units; the plan says what a unit is.",
        notes + facts(_facts(data)),
        parts,
        "Unserved is the share of demand that found no usable capacity. Capacity costs from its request on.",
    )


def _facts(data: ReportData) -> list[tuple[str, str]]:
    """The page in four numbers."""
    pairs = []
    if data.personas:
        members = {member.workload_id for persona in data.personas for member in persona.members}
        pairs.append((str(len(data.personas)), f"personas over {count(len(members), 'workload')}"))
    if not data.plan.is_empty():
        targets = data.plan["target"].n_unique()
        pairs.append((str(targets), f"{'target' if targets == 1 else 'targets'} planned for"))
    if not data.outcomes.is_empty():
        judged = data.outcomes.filter(pl.col("outcome").is_in(["met", "partial", "unmet"]))
        met = judged.filter(pl.col("outcome") == "met")
        pairs.append((f"{met.height} of {judged.height}", "raises ready before they were needed"))
    if data.comparison is not None:
        pairs += _saved_fact(data.comparison)
    return pairs


def _saved_fact(comparison: Comparison) -> list[tuple[str, str]]:
    rows = savings(comparison, levels=()).filter(pl.col("target") == ALL_TARGETS, pl.col("basis") == AS_PLANNED)
    for rival, tuned in (("reactive", ""), ("reactive_tuned", "tuned ")):
        for share in rows[f"saved_{rival}"].drop_nulls():
            cheaper = "less" if share >= 0 else "more"
            return [(percent(abs(share)), f"{cheaper} cost than a {tuned}reactive autoscaler that serves as much")]
    return []
