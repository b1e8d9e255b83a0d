"""A week of demand against capacity, ours above the tuned autoscaler, for a few telling targets.

Decisions may be many millions of rows in a file: only the few settings that are drawn are read.
"""

from collections.abc import Sequence
from datetime import timedelta
from typing import Final

import numpy as np
import polars as pl

from persona_platform.replay import charts_replay, charts_replay_week
from persona_platform.replay.frontiers import EDGE
from persona_platform.replay.numbers import percent
from persona_platform.replay.page import figure, paragraph, text
from persona_platform.replay.scores import Comparison
from persona_platform.replay.sections_replay_findings import Finding
from persona_platform.replay.sections_replay_words import OURS, TUNED, cost, level, title

MOST_TARGETS: Final = 4
SHOWN: Final = (OURS, TUNED)
WEEK: Final = timedelta(days=7)


def telling(found: Sequence[Finding], most: int) -> list[Finding]:
    """From the best to the worst, evenly between: the largest saving, the median and the largest loss among them."""
    if len(found) <= most:
        return list(found)
    return [found[i] for i in np.unique(np.linspace(0, len(found) - 1, most).round().astype(int))]


def weeks(
    found: Sequence[Finding], comparison: Comparison, decisions: pl.DataFrame | pl.LazyFrame, wished: float
) -> str:
    """The last week of the scored part, a drawing a target."""
    predicted = [f for f in found if f.suitable is not False] or found
    drawn = _kept(telling(predicted, MOST_TARGETS), comparison, decisions)
    if drawn.is_empty():
        return paragraph("No decisions were kept to draw.", "none")
    drawings = []
    for target, rows in drawn.partition_by("target", as_dict=True, maintain_order=True).items():
        name = str(target[0])
        each = rows.select("policy", "setting", "unserved_share", "cost").unique(maintain_order=True)
        said = "".join(
            f"<li>{text(title(policy))}: {text(setting)}, {percent(share)} unserved, cost {cost(paid)}</li>"
            for policy, setting, share, paid in each.rows()
        )
        drawings.append(
            f'<h3>{text(name)}</h3><ul class="small">{said}</ul>'
            + charts_replay.both_widths(
                lambda width, rows=rows, name=name: charts_replay_week.week(rows, SHOWN, name=name, width=width)
            )
        )
    return figure(
        charts_replay.series_key() + "".join(drawings),
        "The last days of the scored part, in units. Both policies stand at the cheapest of their settings within "
        f"{level(wished)} unserved, or at the same unserved share where ours never serves so much; unserved share "
        "and cost are of the whole scored part. The targets go from the largest saving to the largest loss.",
    )


def _kept(chosen: Sequence[Finding], comparison: Comparison, decisions: pl.DataFrame | pl.LazyFrame) -> pl.DataFrame:
    """DECISIONS rows of the last week, one setting a target and policy, with its ``unserved_share`` and ``cost``."""
    lazy = decisions.lazy()
    names = [f.target for f in chosen]
    kept = (
        lazy.filter(pl.col("target").is_in(names), pl.col("policy").is_in(SHOWN))
        .select("target", "policy", "setting")
        .unique()
        .collect(engine="streaming")
    )
    fits = pl.col("unserved_share") <= pl.col("share") + EDGE
    shares = pl.DataFrame(
        [(f.target, f.share) for f in chosen], schema={"target": pl.String, "share": pl.Float64}, orient="row"
    )
    settings = (
        comparison.scores.select("target", "policy", "setting", "unserved_share", "cost")
        .join(shares, on="target")
        .join(kept, on=["target", "policy", "setting"])
        .with_columns(misses=~fits)
        .sort("misses", pl.when(fits).then("cost").otherwise("unserved_share"))
        .unique(["target", "policy"], keep="first", maintain_order=True)
        .drop("misses", "share")
    )
    if settings.is_empty():
        return settings
    one = [
        (pl.col("target") == target) & (pl.col("policy") == policy) & (pl.col("setting") == setting)
        for target, policy, setting in settings.select("target", "policy", "setting").rows()
    ]
    rows = (
        lazy.filter(pl.any_horizontal(one), pl.col("ts") >= comparison.scored_until - WEEK)
        .select("target", "policy", "setting", "ts", "demand", "capacity", "billed")
        .collect(engine="streaming")
    )
    order = pl.DataFrame({"target": names}, schema={"target": pl.String}).with_row_index("place")
    shown = pl.DataFrame({"policy": list(SHOWN)}).with_row_index("row")
    return (
        rows.join(settings, on=["target", "policy", "setting"])
        .join(order, on="target")
        .join(shown, on="policy")
        .sort("place", "row", "ts")
        .drop("place", "row")
    )
