"""``catalog.html``: every persona in full, how their number was chosen, and how they held over refits.

One file without JavaScript and without anything to load. What each persona shows stands in ``sections_personas``.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl

from persona_platform.frames import empty
from persona_platform.personas.catalog import Catalog
from persona_platform.personas.clustering import SELECTION
from persona_platform.personas.lineage import LINEAGE, REFITS, churn
from persona_platform.personas.record import Persona
from persona_platform.replay.charts_catalog import refits_chart, selection_chart
from persona_platform.replay.charts_personas import ranked
from persona_platform.replay.numbers import DASH, count, lasting, percent
from persona_platform.replay.page import Column, Section, facts, figure, page, paragraph, table, text, two_lines
from persona_platform.replay.persona_words import day, likeliest, what_happened
from persona_platform.replay.sections_personas import one_persona


@dataclass(frozen=True)
class CatalogPage:
    """What the page is made of: the catalog's records and frames, each of which may be empty."""

    version: int = 0
    personas: Sequence[Persona] = ()
    selection: pl.DataFrame = field(default_factory=lambda: empty(SELECTION))
    lineage: pl.DataFrame = field(default_factory=lambda: empty(LINEAGE))
    refits: pl.DataFrame = field(default_factory=lambda: empty(REFITS))

    @classmethod
    def of(cls, catalog: Catalog) -> "CatalogPage":
        """The page of a catalog."""
        return cls(catalog.version, catalog.personas, catalog.selection, catalog.lineage, catalog.refits)


def write_catalog_page(path: Path, data: CatalogPage) -> None:
    """Writes the page, all of it or nothing: a reader never finds half of one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.write_text(catalog_html(data), encoding="utf-8")
    draft.replace(path)


def catalog_html(data: CatalogPage) -> str:
    """The page as a string."""
    order = ranked(data.personas)
    names = {p.persona_id: p.name for p in order}
    parts = [
        Section("all", "All personas", _overview(order)),
        Section("number", "How many there are", _selection(data.selection)),
        Section("refits", "Over refits", _refits(data)),
        Section("each", "Each persona", "".join(one_persona(p, names, data.lineage) for p in order)),
    ]
    trained = ""
    if order:
        since, until = min(p.trained_from for p in order), max(p.trained_until for p in order)
        trained = f"Version {data.version}, learned from {day(since)} to {day(until)}. "
    return page(
        "Catalog of personas",
        f"{trained}Hours of the week are in the workloads' local time.",
        facts(_facts(data)),
        parts,
        "Intervals hold the truth 95 times in 100. A slot that stood at its limit counts as at least that much.",
    )


def _facts(data: CatalogPage) -> list[tuple[str, str]]:
    """The catalog in a few numbers."""
    if not data.personas:
        return []
    members = {member.workload_id for persona in data.personas for member in persona.members}
    pairs = [(str(len(data.personas)), f"personas over {count(len(members), 'workload')}")]
    newest = data.refits.sort("version").tail(1)
    for row in newest.iter_rows(named=True):
        if row["agreement"] is not None:
            pairs.append((f"{row['agreement']:.2f}", "agreement with the catalog before, 1 is the same"))
        if row["stability"] is not None:
            pairs.append((percent(row["stability"]), "median stability in resampled data"))
    return pairs


def _overview(order: Sequence[Persona]) -> str:
    if not order:
        return paragraph("No personas have been learned yet. They are, at the first refit.", "none")
    columns = [
        Column("Persona"),
        Column("Likeliest size"),
        Column("Lasts", numeric=True),
        Column("Tier"),
        Column("Members", numeric=True),
        Column("Stability", numeric=True),
        Column("Drift", numeric=True),
    ]
    rows = [
        [
            f'<a href="#{p.persona_id}">{text(p.name)}</a><br><small>{p.persona_id}, {text(p.kind)}</small>',
            two_lines(*likeliest(p)),
            lasting(p.duration.median_s) if p.kind == "active" else DASH,
            text(p.priority),
            f"{len(p.members):,}",
            percent(p.stability),
            f"{p.drift:.2f}" if p.version > 1 else DASH,
        ]
        for p in order
    ]
    return paragraph(
        "A persona is a way of using resources that workloads share. Stability is how alike it is found again in "
        "resampled data; drift is how far it moved since the refit before, in its own standard deviations."
    ) + table(columns, rows)


def _selection(selection: pl.DataFrame) -> str:
    charts = [
        figure(
            selection_chart(selection, kind),
            f"What was weighed to choose the number of {kind} personas; the chosen one is marked.",
        )
        for kind in ("active", "steady", "resting")
    ]
    return "".join(charts) or paragraph("There was nothing to choose between.", "none")


def _refits(data: CatalogPage) -> str:
    chart = figure(
        refits_chart(data.refits),
        "Above: how far each catalog agrees with the one before over the active time of the workloads in both "
        "(adjusted Rand index; a check warns below the dashed line), and the median stability of its personas. "
        "Below: what became of the personas.",
    )
    if not chart:
        return paragraph("This is the first catalog: there is nothing to compare it with yet.", "none")
    warnings = "".join(paragraph(sentence, "note") for sentence in churn(data.refits, data.lineage))
    newest = data.lineage.filter(pl.col("version") == data.version, pl.col("event") != "kept")
    lines = [what_happened(row) for row in newest.iter_rows(named=True)]
    told = "".join(f"<li>{text(line)}</li>" for line in lines)
    changes = f"<ul>{told}</ul>" if told else paragraph("The newest refit kept every persona.")
    return chart + warnings + "<h3>The newest refit</h3>" + changes
