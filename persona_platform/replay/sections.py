"""The report's first three sections, as HTML: what was learned, is likely next, is planned.

Each takes frames, and all of them may be empty.
"""

from collections.abc import Mapping, Sequence
from datetime import timedelta

import polars as pl

from persona_platform.frames import OTHER
from persona_platform.personas.record import Persona, Requirement
from persona_platform.replay import charts
from persona_platform.replay.charts_personas import persona_heatmaps
from persona_platform.replay.numbers import (
    DASH,
    amount,
    count,
    lasting,
    likelihood,
    moment,
    number,
    percent,
)
from persona_platform.replay.page import Column, figure, paragraph, table, text, two_lines

MOST_ROWS = 30
"""Rows of a table; the rest is counted below it."""

MOST_SIZES = 3

Names = Mapping[str, str]


def learned(personas: Sequence[Persona]) -> str:
    """The personas with what they need, how long, how often, and their weeks."""
    if not personas:
        return paragraph("No personas have been learned yet. They are, at the first refit.", "none")
    order = {"active": 0, "steady": 1, "resting": 2}
    ranked = sorted(personas, key=lambda p: (order.get(p.kind, 3), -len(p.members), p.persona_id))
    columns = [
        Column("Persona"),
        Column("Members", numeric=True),
        Column("Needs, with probabilities"),
        Column("Lasts", numeric=True),
        Column("Comes back"),
        Column("Tier"),
        Column("Stability", numeric=True),
    ]
    rows = [
        [
            two_lines(persona.name, f"{persona.persona_id}, {persona.kind}"),
            f"{len(persona.members):,}",
            _needs(persona.requirement),
            lasting(persona.duration.median_s) if persona.kind == "active" else DASH,
            _comes_back(persona),
            text(persona.priority),
            percent(persona.stability),
        ]
        for persona in ranked[:MOST_ROWS]
    ]
    return (
        paragraph(
            "A persona is a way of using resources that workloads share: what they need while they play "
            "it, for how long, and when it comes back. Stability is how alike it is found again in "
            "resampled data."
        )
        + table(columns, rows)
        + _rest(len(ranked), "persona")
        + figure(
            persona_heatmaps(ranked),
            "The darker an hour of the week, the more often the persona starts in it, in the workloads' "
            "local time. Each panel is shaded up to its own largest value, which stands above it.",
        )
    )


def _needs(requirement: Requirement) -> str:
    """The sizes with their probabilities; the mean where there is no table of sizes."""
    storage = {size.storage_class for size in requirement.sizes} - {""}
    lines = []
    for size in requirement.sizes[:MOST_SIZES]:
        sizes = ", ".join(amount(need, value) for need, value in size.amounts.items()) or "nothing"
        kind = f" ({size.storage_class})" if len(storage) > 1 and size.storage_class else ""
        lines.append(f"{text(sizes + kind)}&ensp;<b>{likelihood(size.probability)}</b>")
    left = requirement.sizes[MOST_SIZES:]
    if left:
        share = likelihood(sum(size.probability for size in left))
        lines.append(f"<small>{count(len(left), 'other size')}, together {share}</small>")
    if len(storage) == 1:
        lines.append(f"<small>storage class {text(*storage)}</small>")
    if not requirement.sizes:
        means = ", ".join(amount(need, value) for need, value in requirement.mean.items())
        lines.append(text(f"{means} on average") if means else DASH)
    return "<br>".join(lines)


def _comes_back(persona: Persona) -> str:
    between = persona.recurrence.inter_arrival_s
    if persona.kind != "active":
        return DASH
    often = f"every {lasting(between[1]).removeprefix('1 ')}" if len(between) > 1 else "seen once"
    sure = [u for u in persona.recurrence.uplifts if not u.starts_low <= 1.0 <= u.starts_high]
    uplifts = [f"{number(u.starts)} times as often at {u.kind.replace('_', ' ')}" for u in sure[:2]]
    return two_lines(often, "; ".join(uplifts)) if uplifts else text(often)


def _rest(rows: int, noun: str) -> str:
    return paragraph(f"And {count(rows - MOST_ROWS, f'more {noun}')}.", "none") if rows > MOST_ROWS else ""


def likely_next(
    persona_outlook: pl.DataFrame,
    activation_outlook: pl.DataFrame,
    observed: pl.DataFrame,
    demand: pl.DataFrame,
    names: Names,
) -> str:
    """Probabilities of activation, and the demand that follows from them."""
    fan = charts.demand_fan(observed, demand)
    parts = [
        _persona_outlook(persona_outlook, names),
        _activations(activation_outlook, names),
        "<h3>Expected demand</h3>" + _first(demand, "target") if fan else "",
        figure(
            fan,
            "Observed demand and, after it, where demand is expected: the dark line is as likely to be "
            "exceeded as not; demand stays within the band 8 times in 10, and 1 time in 10 it rises above "
            "it. A point stands for the largest demand of the window that begins there.",
        ),
    ]
    return "".join(parts) or paragraph("Nothing has been predicted yet.", "none")


def _first(frame: pl.DataFrame, column: str) -> str:
    """Says when a chart shows only some of the targets."""
    total = frame[column].n_unique()
    if total <= charts.MOST_TARGETS:
        return ""
    return paragraph(f"The {charts.MOST_TARGETS} largest of {total} targets.", "lead")


def _persona_outlook(outlook: pl.DataFrame, names: Names) -> str:
    rows = outlook.filter(pl.col("persona_id") != OTHER)
    if rows.is_empty():
        return ""
    horizons = rows["horizon_s"].unique().sort().to_list()
    wide = rows.pivot("horizon_s", index="persona_id", values="probability").join(
        rows.filter(pl.col("horizon_s") == horizons[-1]).select("persona_id", "expected_members", "members_q95"),
        on="persona_id",
    )
    wide = wide.sort(*(str(h) for h in horizons), "persona_id", descending=[*[True] * len(horizons), False])
    columns = [
        Column("Persona"),
        *(Column(f"Played within {lasting(h)}", numeric=True) for h in horizons),
        Column(f"Members within {lasting(horizons[-1])}, expected", numeric=True),
        Column("At most (19 in 20)", numeric=True),
    ]
    cells = [
        [
            text(names.get(row["persona_id"], row["persona_id"])),
            *(likelihood(row[str(h)]) for h in horizons),
            number(row["expected_members"]),
            number(row["members_q95"]),
        ]
        for row in wide.head(MOST_ROWS).iter_rows(named=True)
    ]
    intro = "How likely it is that at least one workload plays the persona, and how many do."
    return "<h3>Personas</h3>" + paragraph(intro) + table(columns, cells) + _rest(wide.height, "persona")


def _activations(outlook: pl.DataFrame, names: Names, limit: int = 12) -> str:
    """The workloads most likely to start something that they are not playing now."""
    if outlook.is_empty():
        return ""
    horizons = outlook["horizon_s"].unique().sort().to_list()
    wide = outlook.pivot("horizon_s", index=["workload_id", "persona_id"], values="probability")
    order = [str(h) for h in reversed(horizons) if h <= 3600] or [str(horizons[0])]
    wide = wide.sort(*order, "workload_id", descending=[*[True] * len(order), False], nulls_last=True)
    columns = [
        Column("Workload"),
        Column("Would start"),
        *(Column(f"Within {lasting(h)}", numeric=True) for h in horizons),
    ]
    cells = [
        [
            text(row["workload_id"]),
            text(names.get(row["persona_id"], row["persona_id"])),
            *(likelihood(row[str(h)]) for h in horizons),
        ]
        for row in wide.head(limit).iter_rows(named=True)
    ]
    shown = f"The {limit} likeliest of {count(wide.height, 'possible activation')}." if wide.height > limit else ""
    return "<h3>Activations</h3>" + (paragraph(shown) if shown else "") + table(columns, cells)


def routes(combination: pl.DataFrame, slot: timedelta) -> str:
    """How the forecasting routes are weighed."""
    return figure(
        charts.weights_chart(combination, slot),
        "How much each way of forecasting counts, by how far ahead it looks: the mixture of personas, the "
        "direct model of past demand, and the same time yesterday or last week. Weights come from past "
        "forecasts.",
    )


def planned(
    *,
    plan: pl.DataFrame,
    evidence: pl.DataFrame,
    inventories: pl.DataFrame,
    units: pl.DataFrame,
    limits: pl.DataFrame,
    names: Names,
) -> str:
    """Needed against usable units, what a unit is, and where the largest need comes from."""
    if plan.is_empty():
        return paragraph("There is no plan yet.", "none")
    newest = inventories.sort("observed_at").unique("target", keep="last")
    peak = plan.sort("needed", "slot", descending=[True, False]).unique("target", keep="first", maintain_order=True)
    rows = (
        peak.join(newest.select("target", "usable"), on="target", how="left")
        .join(limits.select("target", "mode", "price_per_hour"), on="target", how="left")
        .sort("target")
    )
    columns = [
        Column("Target"),
        Column("One unit"),
        Column("Price per hour", numeric=True),
        Column("Usable now", numeric=True),
        Column("Most needed", numeric=True),
        Column("At", whole=True),
        Column("Mostly for"),
        Column("Mode"),
    ]
    cells = [
        [
            text(row["target"]),
            _unit(units, row["target"]),
            number(row["price_per_hour"]),
            number(row["usable"]),
            f"{row['needed']:,}",
            moment(row["slot"]),
            text(mostly(evidence.filter(pl.col("plan_id") == row["plan_id"]), row["target"], row["slot"], names)),
            text(row["mode"] or DASH),
        ]
        for row in rows.head(MOST_ROWS).iter_rows(named=True)
    ]
    chart = figure(
        charts.plan_chart(plan, inventories),
        "The light area is the number of units that must be usable at each moment; the dark line is the "
        "demand expected on average; the dashed line is what is usable now. What lies above the dashed "
        "line has to be provisioned ahead.",
    )
    return table(columns, cells) + _rest(rows.height, "target") + _first(plan, "target") + chart


def _unit(units: pl.DataFrame, target: str) -> str:
    parts = [
        text(amount(need, value))
        for need, value in units.filter(pl.col("target") == target).select("need", "amount").iter_rows()
    ]
    return "<br>".join(parts) or DASH


def mostly(evidence: pl.DataFrame, target: str, slot: object, names: Names) -> str:
    """The two personas that explain most of a target's expected demand at a slot."""
    rows = evidence.filter(pl.col("target") == target, pl.col("slot") == slot, pl.col("expected") > 0)
    total = rows["expected"].sum()
    top = rows.sort("expected", descending=True).head(2)
    parts = [
        f"{names.get(persona, 'other use' if persona == OTHER else persona)} ({percent(expected / total)})"
        for persona, expected in top.select("persona_id", "expected").iter_rows()
    ]
    return ", ".join(parts) or DASH
