"""Every policy at the same unserved share, and at the same cost, over all targets; from the summary."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import polars as pl

from persona_platform.replay.numbers import count, number, percent
from persona_platform.replay.outcomes import AS_PLANNED
from persona_platform.replay.page import Column, paragraph, table, text
from persona_platform.replay.scores import ALL_TARGETS, Comparison, savings
from persona_platform.replay.sections_replay_findings import saved
from persona_platform.replay.sections_replay_words import (
    ABOUT,
    ABOVE,
    BOUND,
    EVEN,
    OURS,
    PLAIN,
    TUNED,
    UNLIMITED,
    between,
    cost,
    in_order,
    signed,
    title,
    unit,
)
from persona_platform.replay.sections_replay_words import level as said

NONE = "This replay has no summary to take it from."
SAME: Final = 1e-9


def at_equal_service(summary: Mapping[str, Any], comparison: Comparison) -> str:
    """What ours costs against every policy at each level, what the policies do there, and ours as planned."""
    rows = {(row["rival"], row["level"]): row for row in summary.get("overall", ())}
    if not rows:
        return paragraph(NONE if OURS in set(comparison.scores["policy"]) else "Prediction was not replayed.", "none")
    levels = sorted({level for _, level in rows})
    rivals = in_order(rival for rival, _ in rows)
    columns = [Column("Ours costs, against"), *(Column(f"at {said(level)} unserved", whole=True) for level in levels)]
    cells = [
        [_named(rival), *(_service(rows.get((rival, level)), rival, summary["targets"]) for level in levels)]
        for rival in rivals
    ]
    intro = (
        "For each target, what ours costs more or less than the other at the same unserved share, each at its best "
        "setting for that target; shown is the median target. In brackets the range that holds it with 95 % "
        "confidence, found by drawing days and targets anew many times. Won and lost count the targets on which "
        "ours was cheaper or dearer by more than 1 %."
    )
    return paragraph(intro) + table(columns, cells) + _by_policy(summary) + _as_planned(comparison)


def _named(policy: str) -> str:
    return f"<b>{text(title(policy))}</b><br><small>{text(ABOUT.get(policy, ''))}</small>"


def _service(row: Mapping[str, Any] | None, rival: str, targets: int) -> str:
    """One cell: the median, its interval, the counts, and what was not reached, in words."""
    if row is None:
        return ""
    missed = [f"<small>{text(words)}</small>" for words in _missed(row, targets)]
    ratio = row["cost_ratio"]
    if ratio is None:
        return "<br>".join(missed)
    kind = "" if rival in (BOUND, UNLIMITED, ABOVE) or abs(ratio - 1) <= EVEN else "good" if ratio < 1 else "bad"
    words = f"<b>{text(signed(1 - ratio))}</b>"
    low, high = row["cost_ratio_low"], row["cost_ratio_high"]
    lines = [f'<span class="{kind}">{words}</span>' if kind else words]
    if low is not None and high is not None:
        lines.append(f"<small>({text(between(1 - high, 1 - low))})</small>")
    tied = f", {row['ties']:,} even" if row["ties"] else ""
    lines.append(f"<small>{row['wins']:,} won{tied}, {row['losses']:,} lost</small>")
    return "<br>".join([*lines, *missed])


def _missed(row: Mapping[str, Any], targets: int) -> list[str]:
    """Which of the two did not get there, and on how many targets."""
    parts = [
        (row["only_ours"], "only ours reached it"),
        (row["only_rival"], "only the other reached it"),
        (row["neither"], "neither reached it"),
    ]
    if targets == 1:
        return [words for many, words in parts if many]
    return [f"{words} on {many:,}" for many, words in parts if many]


def _by_policy(summary: Mapping[str, Any]) -> str:
    """What each policy does at the levels: targets reached, starts, worst day."""
    reached: Mapping[str, Mapping[str, int]] = summary.get("reached", {})
    if not reached:
        return ""
    levels = [f"{level:g}" for level in summary["levels"]]
    middle = f"{0.01:g}" if f"{0.01:g}" in levels else levels[len(levels) // 2]
    columns = [
        Column("Policy"),
        *(Column(f"Reaches {said(float(level))}", numeric=True) for level in levels),
        Column("Starts a day", numeric=True),
        Column("Worst day", numeric=True),
    ]
    cells = [
        [
            f"<b>{text(title(policy))}</b>" if policy == OURS else text(title(policy)),
            *(f"{reached[policy][level]:,} of {summary['targets']:,}" for level in levels),
            number(summary["starts_per_day"][policy][middle]),
            percent(summary["worst_day"][policy][middle]),
        ]
        for policy in in_order(reached)
    ]
    intro = (
        "On how many targets each policy has a setting that leaves no more than the share unserved; and, of its "
        f"cheapest setting within {said(float(middle))}, the units started a day and the unserved share of the worst "
        "day, for the median of the targets that it reaches."
    )
    return "<h3>Who gets there, and how</h3>" + paragraph(intro) + table(columns, cells)


def _as_planned(comparison: Comparison) -> str:
    """Ours with the setting that it would have had beforehand; the others still in hindsight."""
    found = savings(comparison, levels=()).filter(pl.col("basis") == AS_PLANNED)
    whole = found.filter(pl.col("target") == ALL_TARGETS)
    if whole.is_empty():
        return ""
    targets = found.filter(pl.col("target") != ALL_TARGETS)
    against = []
    for rival, words in ((PLAIN, "a plain"), (TUNED, "a tuned")):
        both = targets.drop_nulls([OURS, rival])
        if both.is_empty():
            continue
        less = signed(saved(float(both[OURS].sum()), float(both[rival].sum())))
        where = (
            "" if both.height == targets.height else f" on the {count(both.height, 'target')} that it serves as well"
        )
        against.append(f"{less} than {words} autoscaler{where}")
    compared = f" At each target's own unserved share that is {' and '.join(against)}." if against else ""
    return "<h3>Without hindsight</h3>" + paragraph(
        f"As planned, with no setting picked afterwards, ours left {percent(whole['unserved_share'][0])} unserved "
        f"over all targets and cost {cost(whole[OURS][0])} {unit(comparison)}.{compared} The autoscalers still have "
        "their best settings in hindsight."
    )


def at_equal_cost(summary: Mapping[str, Any]) -> str:
    """What ours leaves unserved for what each other policy costs at each level."""
    rows = {(row["rival"], row["level"]): row for row in summary.get("unserved_at_equal_cost", ())}
    if not rows:
        return paragraph(NONE, "none")
    levels = sorted({level for _, level in rows})
    columns = [
        Column("For the money of"),
        *(Column(f"that leaves {said(level)} unserved", whole=True) for level in levels),
    ]
    cells = [
        [f"<b>{text(title(rival))}</b>", *(_left(rows.get((rival, level)), summary["targets"]) for level in levels)]
        for rival in in_order(rival for rival, _ in rows)
    ]
    intro = (
        "The other way round: for what the other policy costs at that unserved share, how much would ours have left "
        "unserved? The median target again; less is better. Targets are not comparable where ours is never so "
        "cheap, or the other never serves so much."
    )
    return paragraph(intro) + table(columns, cells)


def _left(row: Mapping[str, Any] | None, targets: int) -> str:
    if row is None:
        return ""
    missed = f"<small>{row['unreached']:,} of {targets:,} not comparable</small>" if row["unreached"] else ""
    if row["unserved_ours"] is None:
        return missed if targets > 1 else "<small>not comparable</small>"
    ours, other = row["unserved_ours"], row["unserved_rival"]
    alike = abs(ours - other) <= EVEN * other
    kind = "" if row["rival"] in (BOUND, UNLIMITED, ABOVE) or alike else "good" if ours < other else "bad"
    share = f"<b{f' class={kind!r}' if kind else ''}>{text(percent(ours))}</b>"
    return f"{share} instead of {text(percent(other))}" + (f"<br>{missed}" if missed else "")


def median_against_tuned(summary: Mapping[str, Any], wished: float) -> Mapping[str, float | None] | None:
    """``median``, ``low`` and ``high`` of the cost of ours to the tuned autoscaler's at the wished share."""
    rows: Sequence[Mapping[str, Any]] = summary.get("overall", ())
    for row in rows:
        if row["rival"] == TUNED and abs(row["level"] - wished) < SAME and row["cost_ratio"] is not None:
            return {"median": row["cost_ratio"], "low": row["cost_ratio_low"], "high": row["cost_ratio_high"]}
    return None
