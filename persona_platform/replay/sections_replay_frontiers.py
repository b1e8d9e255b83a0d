"""The frontiers: all policies over all targets, and the main ones for a few telling targets."""

from collections.abc import Sequence
from typing import Final

import polars as pl

from persona_platform.replay import charts_replay
from persona_platform.replay.numbers import count
from persona_platform.replay.outcomes import AS_PLANNED
from persona_platform.replay.page import figure, paragraph
from persona_platform.replay.scores import ALL_TARGETS, Comparison
from persona_platform.replay.sections_replay_findings import Finding, Fronts
from persona_platform.replay.sections_replay_weeks import telling
from persona_platform.replay.sections_replay_words import BOUND, OURS, in_order, listed, title, unit

MOST_PANELS: Final = 6


def frontiers(fronts: Fronts, found: Sequence[Finding], comparison: Comparison) -> str:
    """The chart over all targets, its legend, what leaves it, and the small ones."""
    policies = in_order(fronts.policies)
    summed = any(fronts.rows(ALL_TARGETS, policy) is not None for policy in policies)
    whole = ALL_TARGETS if summed or not fronts.targets else fronts.targets[0]
    curves = charts_replay.relative_curves(fronts, whole, policies)
    if curves.is_empty():
        return paragraph("There is nothing to draw: no policy left less than a fifth of demand unserved.", "none")
    marks = _as_planned(fronts, whole, comparison)
    drawn = charts_replay.both_widths(
        lambda width: charts_replay.frontier(curves, name=whole, width=width, height=340, marks=marks)
    )
    beside = (
        "as a multiple of what knowing the future costs at the same unserved share"
        if BOUND in set(curves["policy"])
        else unit(comparison)
    )
    dear = charts_replay.off_the_chart(curves)
    together = "All targets together, each at its own best setting, for every policy alike. "
    together = together if len(fronts.targets) > 1 else ""
    caption = (
        f"{together}Each line is what a policy reaches as its setting is varied: across, the demand that it leaves "
        f"unserved; up, its cost, {beside}. Lower is cheaper, further left serves more."
        + (" The ring is ours as planned, without hindsight." if not marks.is_empty() else "")
        + (f" Dearer than all that is drawn: {listed([title(name) for name in dear])}." if dear else "")
    )
    return figure(charts_replay.key(in_order(curves["policy"])) + drawn, caption) + _panels(fronts, found)


def _as_planned(fronts: Fronts, target: str, comparison: Comparison) -> pl.DataFrame:
    """Where ours stands with the setting that it would have had: unserved_share, ratio, label."""
    rows = comparison.scores.filter(
        pl.col("target") == target, pl.col("policy") == OURS, pl.col("setting") == AS_PLANNED
    )
    marks = []
    for share, cost in rows.select("unserved_share", "cost").iter_rows():
        bound = fronts.cost(target, BOUND, share) if fronts.rows(target, BOUND) is not None else 1.0
        if bound and share <= charts_replay.MOST_SHARE:
            at = max(share, charts_replay.LEAST_SHARE)
            marks.append({"unserved_share": at, "ratio": cost / bound, "label": AS_PLANNED})
    return pl.DataFrame(marks, schema={"unserved_share": pl.Float64, "ratio": pl.Float64, "label": pl.String})


def _panels(fronts: Fronts, found: Sequence[Finding]) -> str:
    """A small chart a target, of the policies that the answer hangs on."""
    if len(fronts.targets) < 2:
        return ""
    shown = telling(found, MOST_PANELS)
    drawn = [
        charts_replay.frontier(
            charts_replay.relative_curves(fronts, f.target, charts_replay.MAIN),
            name=f.target,
            width=charts_replay.SMALL,
            height=170,
        )
        for f in shown
    ]
    panels = "".join(f"<div>{chart}</div>" for chart in drawn if chart)
    if not panels:
        return ""
    which = "Every target" if len(shown) == len(found) else f"{count(len(shown), 'target')} of {len(found):,}"
    mains = [name for name in charts_replay.MAIN if name in fronts.policies]
    return figure(
        f'{charts_replay.key(mains)}<div class="beside">{panels}</div>',
        f"{which}, from the largest saving to the largest loss; each on its own scale, cost again as a multiple of "
        "knowing the future. Where the line of the tuned autoscaler lies near the bottom, there is little to win.",
    )
