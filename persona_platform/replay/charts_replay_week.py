"""A few days of demand against capacity, as steps; a panel a policy."""

from collections.abc import Sequence
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Final

import polars as pl

from persona_platform.replay.chart_style import COLORS, WIDTH, svg
from persona_platform.replay.charts import CAPACITY, DEMAND, PAID, UNSERVED
from persona_platform.replay.charts_replay import compact
from persona_platform.replay.sections_replay_words import title

if TYPE_CHECKING:
    import altair as alt

MOST_POINTS: Final = 672
"""Steps across a chart of a week: about one a pixel."""


def week(decisions: pl.DataFrame, policies: Sequence[str], *, name: str, width: int, height: int = 96) -> str:
    """Demand and capacity of one target over some days, a panel for each policy on the same scale.

    Where there are more steps than pixels, of those that share a pixel the one is drawn that was shortest of
    capacity: no shortage is hidden, and nothing is drawn that was not.

    Args:
        decisions: ``ts``, ``demand``, ``capacity``, ``billed`` and ``policy`` of one target, one setting a policy.
        policies: the panels, top down.
        name: the target's.
        width: of a panel, px.
        height: of a panel, px.
    """
    import altair as alt

    if decisions.is_empty():
        return ""
    top = decisions.select(pl.max_horizontal(pl.col("demand", "billed").max())).item() or 0.0
    span = decisions.select(pl.col("ts").max() - pl.col("ts").min()).item()
    x, y = _days_axis(span, width), partial(_units, top)
    panels = []
    for policy in policies:
        one = _thinned(decisions.filter(pl.col("policy") == policy).sort("ts"), MOST_POINTS * width // WIDTH)
        if one.is_empty():
            continue
        base = alt.Chart(one.with_columns(short=pl.max_horizontal("demand", "capacity")))
        layers = [
            base.mark_area(interpolate="step-after", color=COLORS[series]).encode(x=x, y=y(upper), **lower)
            for series, upper, lower in (
                (PAID, "billed", {"y2": "capacity"}),
                (DEMAND, "demand", {}),
                (UNSERVED, "short", {"y2": "capacity"}),
            )
        ]
        line = base.mark_line(interpolate="step-after", strokeWidth=1.6, color=COLORS[CAPACITY])
        layers.append(line.encode(x=x, y=y("capacity")))
        panels.append(alt.LayerChart(layer=layers, title=title(policy), width=width, height=height))
    return compact(svg(alt.vconcat(*panels, spacing=14), f"Demand and capacity of {name}")) if panels else ""


def _units(top: float, field: str) -> "alt.Y":
    import altair as alt

    scale = alt.Scale(domain=[0, max(top, 1)], nice=True)
    return alt.Y(f"{field}:Q", title="units", scale=scale, axis=alt.Axis(tickCount=4, format=",~r"), stack=None)


def _thinned(rows: pl.DataFrame, most: int) -> pl.DataFrame:
    """At most about ``most`` steps, of each few adjoining ones the one with the least capacity over demand."""
    rows = rows.select("ts", "demand", "capacity", "billed")
    few = -(-rows.height // max(1, most))
    if few <= 1:
        return rows
    spare = pl.col("capacity") - pl.col("demand").fill_null(0.0)
    chosen = rows.with_columns(bin=pl.int_range(pl.len()) // few, first=pl.col("ts"), spare=spare)
    kept = chosen.sort("bin", "spare").unique("bin", keep="first", maintain_order=True)
    firsts = chosen.group_by("bin").agg(pl.col("first").min())
    return (
        kept.drop("first", "ts")
        .join(firsts, on="bin")
        .sort("bin")
        .select(pl.col("first").alias("ts"), "demand", "capacity", "billed")
    )


def _days_axis(span: timedelta, width: int) -> "alt.X":
    """UTC days, each named once where there is room."""
    import altair as alt

    days = span / timedelta(days=1)
    if days < 1.5:
        label, count = "%H:%M", 8 if width >= WIDTH else 4
    else:
        label, count = ("%a %-d %b", 8) if width >= WIDTH else ("%a", 8)
    ticks = {"interval": "day", "step": max(1, round(days / count))} if days >= 1.5 else count
    return alt.X(
        "ts:T",
        title=None,
        scale=alt.Scale(type="utc"),
        axis=alt.Axis(labelExpr=f"utcFormat(datum.value, '{label}')", tickCount=ticks, labelOverlap=True),
    )
