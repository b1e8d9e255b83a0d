"""One persona as HTML: its facts, its charts, what goes with it, its lineage, its members."""

from collections.abc import Mapping
from typing import Final

import polars as pl

from persona_platform.personas.record import Persona
from persona_platform.replay.charts_personas import (
    quantiles_chart,
    sizes_chart,
    survival_chart,
    uplift_chart,
    week_chart,
)
from persona_platform.replay.charts_personas_panels import busiest
from persona_platform.replay.numbers import count, lasting, percent
from persona_platform.replay.page import Column, facts, figure, paragraph, table, text
from persona_platform.replay.persona_words import (
    complement_words,
    day,
    lead_words,
    own_lineage,
    relation_words,
    rhythm,
    since_words,
    what_happened,
)

MOST_MEMBERS: Final = 12

Names = Mapping[str, str]


def one_persona(persona: Persona, names: Names, lineage: pl.DataFrame) -> str:
    """The whole of one persona, with its heading."""
    week = week_chart(persona)
    left = (
        figure(week, f"When it starts. Most: {busiest(persona)}." if week else "")
        + figure(sizes_chart(persona), "What an activation needs, as sizes that can be provisioned.")
        + figure(uplift_chart(persona), "What events change, with intervals; at 1 nothing.")
    )
    right = figure(survival_chart(persona), _lasting_caption(persona)) + figure(
        quantiles_chart(persona), _needs_caption(persona)
    )
    heading = f"<h3>{text(persona.persona_id)}&ensp;{text(persona.name)}</h3>"
    body = (
        paragraph(persona.description, "lead")
        + facts(_figures(persona))
        + f'<div class="beside"><div>{left}</div><div>{right}</div></div>'
        + _goes_with(persona, names)
        + _lineage(persona, lineage)
        + _members(persona)
    )
    return f'<section class="one" id="{text(persona.persona_id)}">{heading}{body}</section>'


def _figures(persona: Persona) -> list[tuple[str, str]]:
    active, moved = persona.kind == "active", persona.version > 1
    kept = f"rhythm, kept by {percent(persona.recurrence.regularity)} of its starts"
    return [
        (f"{len(persona.members):,}", "member" if len(persona.members) == 1 else "members"),
        (persona.priority, f"tier, sized at the {persona.sla:.2f} quantile"),
        *([(lasting(persona.duration.median_s), "in the median")] if active else []),
        *([(rhythm(persona), kept)] if active and persona.recurrence.period_s else []),
        (percent(persona.stability), f"stability{f'; drift {persona.drift:.2f}' if moved else ''}"),
    ]


def _needs_caption(persona: Persona) -> str:
    held = persona.requirement.saturated
    limit = f" {percent(held)} of the slots stood at their limit." if held else ""
    return (
        "What a slot needs, each need on its own scale from 0: what half of the slots stay within, 95 and 99 in 100, "
        f"with intervals; 8 in 10 lie in the band.{limit}"
    )


def _lasting_caption(persona: Persona) -> str:
    duration = persona.duration
    unseen = f"; {percent(duration.censored)} were cut off" if duration.censored else ""
    return (
        f"How long it lasts: {lasting(duration.median_s)} in the median, {lasting(duration.mean_s)} on average{unseen}."
    )


def _goes_with(persona: Persona, names: Names) -> str:
    """Leads, relations and complements, as far as there are any."""
    lines = [
        *(lead_words(lead, persona.duration.slot_s) for lead in persona.leads),
        *(relation_words(relation, persona.main_need) for relation in persona.relations),
        *(complement_words(complement, names) for complement in persona.complements),
    ]
    items = "".join(f"<li>{text(line)}</li>" for line in lines)
    return f"<h4>What goes with it</h4><ul>{items}</ul>" if items else ""


def _lineage(persona: Persona, lineage: pl.DataFrame) -> str:
    rows = own_lineage(lineage, persona.persona_id)
    if rows.is_empty():
        return ""
    changes = rows.filter(pl.col("event") != "kept").sort("version", descending=True)
    columns = [Column("Catalog", whole=True), Column("Learned until", whole=True), Column("What happened")]
    cells = [
        [f"version {row['version']}", day(row["trained_until"]), text(what_happened(row))]
        for row in changes.iter_rows(named=True)
    ]
    return "<h4>Lineage</h4>" + paragraph(since_words(persona, rows)) + (table(columns, cells) if cells else "")


def _members(persona: Persona) -> str:
    top = sorted(persona.members, key=lambda m: (-m.weight, m.workload_id))
    if not top:
        return ""
    items = [f"<li>{text(m.workload_id)}&ensp;<b>{text(percent(m.weight))}</b></li>" for m in top[:MOST_MEMBERS]]
    left = len(top) - MOST_MEMBERS
    rest = f"<li>and {count(left, 'more member')}</li>" if left > 0 else ""
    return (
        "<h4>Members</h4>"
        + paragraph("With the share of its own time in which each plays it.", "small")
        + f'<ul class="key">{"".join(items)}{rest}</ul>'
    )
