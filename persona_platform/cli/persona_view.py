"""One persona in the terminal: needs, duration, recurrence and lineage as tables and small charts.

Everything fits 80 columns; nothing here is wider, so that a wide terminal shows the same.
"""

from collections.abc import Mapping
from typing import Final

import polars as pl
from rich.columns import Columns
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from persona_platform.personas.portrait.naming import amount
from persona_platform.personas.record import REQUIREMENT_QUANTILES, Duration, Persona, Recurrence, Requirement
from persona_platform.replay.numbers import lasting, number, percent, unit_of
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

BAR: Final = 24
ROWS: Final = 8
WIDE: Final = 60
"""Columns of a survival chart."""
SHADES: Final = " ░▒▓█"
MOST_MEMBERS: Final = 12
MOST_LINEAGE: Final = 8
DAYS: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")


def persona_view(persona: Persona, names: Mapping[str, str], lineage: pl.DataFrame) -> RenderableType:
    """The whole of one persona, to be printed. ``names`` are of all personas, ``lineage`` is the catalog's."""
    parts: list[RenderableType] = [_head(persona)]
    for title, body in (
        ("Needs", _sizes(persona.requirement)),
        ("Needs over slots, with 95 % intervals", _quantiles(persona.requirement)),
        (_duration_title(persona), survival_chart(persona.duration)),
        ("Recurrence, by local hour of the week", _recurrence(persona)),
        ("Events: times as much as in the same hours without them", _uplifts(persona.recurrence)),
        ("What goes with it", _goes_with(persona, names)),
        ("Lineage", _lineage(persona, lineage)),
        (f"Members ({len(persona.members):,}), with the share of their time", _members(persona)),
    ):
        if body is not None:
            parts += [Text(f"\n{title}", style="bold"), body]
    return Group(*parts)


def size_text(amounts: Mapping[str, float]) -> str:
    """``16 cores, 32 GiB``: amounts in the units people use."""
    return ", ".join(amount(need, value) for need, value in amounts.items() if value) or "nothing"


def duration_text(seconds: float) -> str:
    """A duration in the largest unit that keeps it at one or more."""
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds:.0f} s"


def _head(p: Persona) -> Text:
    moved = f", drift {p.drift:.2f}" if p.version > 1 else ""
    return Text.assemble(
        (f"{p.persona_id}  {p.name}", "bold"),
        f"\n{p.description}\n",
        f"{p.kind.capitalize()}; version {p.version}, learned from {day(p.trained_from)} to {day(p.trained_until)}.\n",
        f"Priority {p.priority}, sized at its {p.sla:.2f} quantile; stability {p.stability:.2f}{moved}.\n",
        f"Shape {p.shape}; within an activation its need varies by a factor of {2.718281828**p.variability:.2f}.",
    )


def _table(*columns: str, right: tuple[str, ...] = ()) -> Table:
    shown = Table(box=None, header_style="dim", pad_edge=False, padding=(0, 2, 0, 0))
    for name in columns:
        shown.add_column(name, justify="right" if name in right else "left", no_wrap=name in right)
    return shown


def bar(share: float, low: float, high: float, width: int = BAR) -> str:
    """A share as a bar: sure up to ``low``, the rest of it up to ``share``, and what it may be up to ``high``."""
    ends = [round(width * min(1.0, max(0.0, value))) for value in (min(low, share), share, max(high, share))]
    return "█" * ends[0] + "▓" * (ends[1] - ends[0]) + "░" * (ends[2] - ends[1])


def _sizes(requirement: Requirement) -> RenderableType | None:
    if not requirement.sizes:
        return None
    shown = _table("size", "probability", "interval", "", right=("probability", "interval"))
    for s in requirement.sizes:
        size = size_text(s.amounts) + (f" on {s.storage_class}" if s.storage_class else "")
        shown.add_row(size, f"{s.probability:.2f}", f"{s.low:.2f}-{s.high:.2f}", bar(s.probability, s.low, s.high))
    return shown


def _quantiles(requirement: Requirement) -> RenderableType | None:
    """A need a row: the quantiles, each with its interval below it."""
    if not requirement.quantiles:
        return None
    titles = [f"{q:.0%}" for q in REQUIREMENT_QUANTILES]
    shown = _table("need", *titles, "mean", "peak", right=(*titles, "mean", "peak"))
    for need, values in requirement.quantiles.items():
        size, unit = unit_of(need, max(values, default=0.0))
        low, high = requirement.low.get(need, values), requirement.high.get(need, values)
        cells = [
            f"{number(v / size)}\n{number(a / size)}-{number(b / size)}"
            for v, a, b in zip(values, low, high, strict=True)
        ]
        mean, peak = requirement.mean.get(need), requirement.peak_to_mean.get(need)
        shown.add_row(
            unit.replace(", ", "\n"),
            *cells,
            "-" if mean is None else number(mean / size),
            "-" if peak is None else f"{number(peak)} x",
        )
    if not requirement.saturated:
        return shown
    held = f"{percent(requirement.saturated)} of the slots stood at their limit and count as at least that much."
    return Group(shown, Text(held, style="dim"))


def _duration_title(persona: Persona) -> str:
    d = persona.duration
    cut = f"; {percent(d.censored)} were cut off" if d.censored else ""
    return f"Duration: median {duration_text(d.median_s)}, mean {duration_text(d.mean_s)}{cut}"


def survival_chart(duration: Duration) -> Text | None:
    """The probability of lasting longer than a time: sure (█), likely (▓), possible (░)."""
    last = len(duration.survival) - 1
    if last < 1:
        return None
    width = min(WIDE, 4 * last)
    at = [round(column * last / (width - 1)) for column in range(width)]
    bands = [(duration.low[i], duration.survival[i], duration.high[i]) for i in at]
    lines = []
    for row in range(ROWS):
        middle = 1 - (row + 0.5) / ROWS
        cells = ("█" if low >= middle else "▓" if likely >= middle else "░" if high >= middle else " "
                 for low, likely, high in bands)  # fmt: skip
        label = {0: "1.0", ROWS // 2: "0.5"}.get(row, "")
        lines.append(f"{label:>4} │{''.join(cells)}".rstrip())
    marks = [" "] * width
    lines.append(f"{'0':>4} └{'─' * width}")
    for part in range(5):
        words = lasting(part * last / 4 * duration.slot_s) if part else "0"
        start = min(round(part * (width - 1) / 4), width - len(words))
        marks[start : start + len(words)] = words
    lines.append(f"{'':6}{''.join(marks)}")
    return Text("\n".join(lines))


def _recurrence(persona: Persona) -> RenderableType | None:
    """The week, the rhythm, and the time between two starts."""
    week, between = week_map(persona.recurrence), persona.recurrence.inter_arrival_s
    if week is None:
        return None
    kept = f"{rhythm(persona)}, kept by {percent(persona.recurrence.regularity)} of the starts"
    lines = [kept if persona.recurrence.period_s else "no fixed rhythm"]
    if between:
        short, middle, long = (lasting(seconds) for seconds in between[:3])
        lines.append(f"{middle} between two in the median, {short} to {long} in 8 of 10")
    return Group(week, *(Text(f"    {line}") for line in lines))


def week_map(recurrence: Recurrence) -> Text | None:
    """Starts by local hour of the week, two characters an hour, the darker the more."""
    week = recurrence.intensity
    top = max(week, default=0.0)
    if len(week) != 168 or top <= 0:
        return None
    lines = ["    " + "".join(f"{hour:<12}" for hour in (0, 6, 12, 18)).rstrip()]
    for number_, name in enumerate(DAYS):
        hours = week[24 * number_ : 24 * number_ + 24]
        lines.append(f"{name} " + "".join(2 * SHADES[_shade(rate / top)] for rate in hours) + "│")
    most = week.index(top)
    span = f" ({number(recurrence.low[most])} to {number(recurrence.high[most])})" if len(recurrence.low) == 168 else ""
    lines.append(f"    most: {DAYS[most // 24]} {most % 24:02d}:00, {number(top)} starts per member and hour{span}")
    return Text("\n".join(lines))


def _shade(share: float) -> int:
    """A shade for a share of the largest: none below a twentieth."""
    return 0 if share < 0.05 else min(len(SHADES) - 1, 1 + int(share * (len(SHADES) - 1)))


def _uplifts(recurrence: Recurrence) -> RenderableType | None:
    if not recurrence.uplifts:
        return None
    shown = _table("event", "starts", "interval", "need", "interval ", "events", "activations",
                   right=("starts", "interval", "need", "interval ", "events", "activations"))  # fmt: skip
    for u in recurrence.uplifts:
        shown.add_row(
            u.kind.replace("_", " "),
            number(u.starts),
            f"{number(u.starts_low)}-{number(u.starts_high)}",
            number(u.need),
            f"{number(u.need_low)}-{number(u.need_high)}",
            str(u.events),
            str(u.activations),
        )
    return shown


def _lines(lines: list[str]) -> RenderableType | None:
    """Sentences below each other, each wrapped under its own beginning."""
    if not lines:
        return None
    shown = Table(box=None, show_header=False, pad_edge=False, padding=(0, 1, 0, 0))
    shown.add_column(width=1)
    shown.add_column(overflow="fold")
    for line in lines:
        shown.add_row("-", Text(line))
    return shown


def _goes_with(p: Persona, names: Mapping[str, str]) -> RenderableType | None:
    return _lines(
        [
            *(lead_words(lead, p.duration.slot_s) for lead in p.leads),
            *(relation_words(relation, p.main_need) for relation in p.relations),
            *(complement_words(complement, names) for complement in p.complements),
        ]
    )


def _lineage(persona: Persona, lineage: pl.DataFrame) -> RenderableType | None:
    rows = own_lineage(lineage, persona.persona_id)
    changes = rows.filter(pl.col("event") != "kept").sort("version", descending=True).head(MOST_LINEAGE)
    said = since_words(persona, rows)
    return _lines(
        [
            *([said] if said else []),
            *(
                f"Catalog {row['version']}, {day(row['trained_until'])}: {what_happened(row)}"
                for row in changes.iter_rows(named=True)
            ),
        ]
    )


def _members(persona: Persona) -> RenderableType | None:
    top = sorted(persona.members, key=lambda m: (-m.weight, m.workload_id))
    if not top:
        return None
    items = [f"{m.workload_id} {m.weight:.2f}" for m in top[:MOST_MEMBERS]]
    left = len(top) - MOST_MEMBERS
    return Columns([*items, *([f"and {left:,} more"] if left > 0 else [])], padding=(0, 3, 0, 0))
