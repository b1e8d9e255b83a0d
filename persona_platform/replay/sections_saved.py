"""The report's last section, as HTML: what it saved, as measured, the losses as plainly as the gains."""

import polars as pl

from persona_platform.replay import charts
from persona_platform.replay.frontiers import EDGE
from persona_platform.replay.numbers import POLICY, count, lasting, money, number, percent
from persona_platform.replay.outcomes import AS_PLANNED, PLANNED
from persona_platform.replay.page import Column, figure, paragraph, table, text
from persona_platform.replay.scores import ALL_TARGETS, OURS, RIVALS, Comparison, savings, without_hindsight

ABOUT = {
    "reactive": "Kubernetes' horizontal autoscaler with its defaults",
    "reactive_tuned": "the same with the best window and floor found afterwards",
    "clairvoyant": "an optimum that no real policy reaches",
}

MOST_TARGETS = 20

UNSERVED_UNLESS_PLANNED = 0.01
"""At which policies are drawn where ours was not run."""


def saved(comparison: Comparison | None) -> str:
    """Savings in a sentence, a table, the frontier, and two days of two targets."""
    if comparison is None or comparison.scores.is_empty():
        return paragraph(
            "No replay has been run. It shows what this would have cost, and what would have waited.", "none"
        )
    found = savings(comparison)
    planned = found.filter(pl.col("basis") == AS_PLANNED)
    whole = planned.filter(pl.col("target") == ALL_TARGETS)
    parts = [paragraph(_span(comparison))]
    if not whole.is_empty():
        parts += [paragraph(_verdict(whole.row(0, named=True))), _against(comparison, whole)]
    parts += [
        _levels(found),
        figure(
            charts.frontier_chart(comparison.scores),
            "Each line is what a policy reaches as its settings are varied, each target having its best one: further "
            "down is cheaper, further left leaves less unserved. The ring is our plan as it is, without hindsight.",
        ),
        _per_target(planned.filter(pl.col("target") != ALL_TARGETS)),
        _days(comparison),
    ]
    return "".join(parts)


def _span(comparison: Comparison) -> str:
    span = lasting((comparison.scored_until - comparison.scored_from).total_seconds())
    targets = comparison.scores.filter(pl.col("target") != ALL_TARGETS)["target"].n_unique()
    rounded = -(-comparison.lead_time // comparison.step) * comparison.step
    lead = lasting(comparison.lead_time.total_seconds())
    if rounded != comparison.lead_time:
        lead += f", counted as {lasting(rounded.total_seconds())}, whole steps being all a replay can see"
    return (
        f"Replayed over {span} of recorded demand and {count(targets, 'target')}, "
        f"in steps of {lasting(comparison.step.total_seconds())}, with the decisions that run live. Lead "
        f"time {lead}. Costs are in the money of your prices, 1 for a unit-hour where none is given."
    )


def _verdict(row: dict[str, float | None]) -> str:
    """One honest sentence over all targets."""
    unserved, cost = percent(row["unserved_share"]), money(row["ours"])
    start = f"As planned, {unserved} of demand was left unserved at a cost of {cost}."
    gap = "" if row["gap_closed"] is None else _gap(row["gap_closed"])
    return " ".join(part for part in (start, _than(row), gap) if part)


def _than(row: dict[str, float | None]) -> str:
    shares = {
        "a plain reactive autoscaler": row["saved_reactive"],
        "one tuned in hindsight": row["saved_reactive_tuned"],
    }
    reached = [f"{_signed(share)} than {name}" for name, share in shares.items() if share is not None]
    missed = [name for name, share in shares.items() if share is None]
    parts = [f"That is {' and '.join(reached)} would have cost to serve as much." if reached else ""]
    parts += [f"No setting of {' or of '.join(missed)} served as much." if missed else ""]
    return " ".join(part for part in parts if part)


def _gap(gap: float) -> str:
    if gap < 0:
        return "It closes none of the gap between the tuned autoscaler and knowing the future."
    return f"It closes {_gap_closed(gap)} of the gap between the tuned autoscaler and knowing the future."


def _gap_closed(gap: float | None) -> str:
    """In whole percent: a hundredth of the gap is below what a frontier's straight lines can tell."""
    return percent(None if gap is None else round(gap, 2) + 0.0)


def _against(comparison: Comparison, whole: pl.DataFrame) -> str:
    """Ours as planned, and every other policy at the same unserved share and at the same cost."""
    row = whole.row(0, named=True)
    ours = comparison.scores.filter(
        pl.col("target") == ALL_TARGETS, pl.col("policy") == "ours", pl.col("setting") == AS_PLANNED
    ).row(0, named=True)
    columns = [
        Column("Policy"),
        Column("Cost at the same unserved share", numeric=True),
        Column("We cost", numeric=True),
        Column("Unserved at the same cost", numeric=True),
    ]
    cells = [[f"<b>{POLICY['ours']}</b>, as planned", money(row["ours"]), "", percent(ours["unserved_share"])]]
    for rival in RIVALS:
        if comparison.scores.filter(pl.col("policy") == rival).is_empty():
            continue
        share = row[f"saved_{rival}"]
        cells.append(
            [
                f"{text(POLICY[rival])}<br><small>{text(ABOUT[rival])}</small>",
                money(row[rival]) if row[rival] is not None else "not reached",
                "" if share is None else _signed(share),
                percent(row[f"unserved_{rival}"]) if row[f"unserved_{rival}"] is not None else "not so cheap",
            ]
        )
    facts = (
        f"Of the capacity paid for, {percent(ours['idle_share'])} stood idle or was still booting. "
        f"{number(ours['starts_per_day'])} units were started a day. Capacity was short for "
        f"{lasting(60 * ours['under_provisioned_minutes'])} summed over the targets; on the worst day "
        f"{percent(ours['worst_day'])} of demand was left unserved."
    )
    return table(columns, cells) + paragraph(facts)


def _levels(found: pl.DataFrame) -> str:
    rows = found.filter(pl.col("target") == ALL_TARGETS, pl.col("basis") == "frontier")
    if rows.is_empty():
        return ""
    present = ["ours", *(rival for rival in RIVALS if rows[rival].null_count() < rows.height)]
    columns = [
        Column("Unserved", numeric=True),
        *(Column(POLICY[name], numeric=True) for name in present),
        Column("Gap closed", numeric=True),
    ]
    cells = [
        [
            percent(row["unserved_share"]),
            *(money(row[name]) if row[name] is not None else "not reached" for name in present),
            _gap_closed(row["gap_closed"]),
        ]
        for row in rows.iter_rows(named=True)
    ]
    intro = paragraph(
        "Cost at equal unserved share, every policy at its best setting in hindsight. Gap closed counts "
        "from the tuned reactive autoscaler (0 %) to knowing the future (100 %)."
    )
    return "<h3>At the same level of service</h3>" + intro + table(columns, cells)


def _per_target(planned: pl.DataFrame) -> str:
    """Where it helps and where it does not, the worst last."""
    if planned.is_empty():
        return ""
    columns = [
        Column("Target"),
        Column("Unserved", numeric=True),
        Column("Cost", numeric=True),
        Column("Against reactive", numeric=True),
        Column("Against tuned", numeric=True),
        Column("Gap closed", numeric=True),
    ]
    ranked = planned.sort("saved_reactive_tuned", "target", descending=[True, False], nulls_last=True)
    cells = [
        [
            text(row["target"]),
            percent(row["unserved_share"]),
            money(row["ours"]),
            _signed(row["saved_reactive"]),
            _signed(row["saved_reactive_tuned"]),
            _gap_closed(row["gap_closed"]),
        ]
        for row in ranked.head(MOST_TARGETS).iter_rows(named=True)
    ]
    losing = planned.filter(pl.col("saved_reactive_tuned") < 0)["target"].sort().to_list()
    said = (
        f"Prediction did not pay on {', '.join(losing[:8])}{' and others' if len(losing) > 8 else ''}: "
        "a tuned reactive autoscaler was cheaper there."
        if losing
        else ""
    )
    return (
        "<h3>By target</h3>"
        + paragraph("Each target as planned, against the others at the same unserved share.")
        + table(columns, cells)
        + (paragraph(said, "note") if said else "")
    )


def _signed(share: float | None) -> str:
    if share is None:
        return "not reached"
    return f"{percent(abs(share))} {'less' if share >= 0 else 'more'}"


def _days(comparison: Comparison) -> str:
    chosen = one_setting_each(comparison)
    if chosen.is_empty():
        return ""
    targets = charts.largest_targets(comparison.decisions, "demand", 2)
    drawings = "".join(f"<h3>{text(target)}</h3>" + charts.policies_chart(chosen, target) for target in targets)
    return figure(
        drawings,
        "The same days under each policy. Grey is demand, the line is usable capacity, light blue is paid "
        "for and still booting, red is demand that found no capacity. Each other policy stands at its "
        "cheapest setting that served at least as much as ours, or at the one that came closest.",
    )


def one_setting_each(comparison: Comparison) -> pl.DataFrame:
    """Decisions of ours as planned, and of each other policy at a setting that serves the target as well."""
    kept = comparison.decisions.select("target", "policy", "setting").unique()
    scores = comparison.scores.join(kept, on=["target", "policy", "setting"])
    planned = without_hindsight(scores)
    level = planned.select("target", level="unserved_share")
    ours = (pl.col("policy") != OURS) | pl.col("setting").is_in(PLANNED) | ~pl.col("target").is_in(planned["target"])
    fits = pl.col("unserved_share") <= pl.col("level").fill_null(UNSERVED_UNLESS_PLANNED) + EDGE
    best = (
        scores.filter(ours)
        .join(level, on="target", how="left")
        .with_columns(misses=~fits)
        .sort("misses", pl.when(fits).then("cost").otherwise("unserved_share"), "setting")
        .unique(["target", "policy"], keep="first", maintain_order=True)
    )
    return comparison.decisions.join(best, on=["target", "policy", "setting"], how="semi")
