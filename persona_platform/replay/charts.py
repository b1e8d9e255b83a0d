"""Charts as SVG strings, for ``report.html`` and for Dagster's metadata: no browser and no JavaScript.

Each function takes frames of ``persona_platform.frames`` (or of ``replay.scores``) and returns one ``<svg>``,
or an empty string where there is nothing to draw. Times are UTC. How they look stands in ``chart_style``.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import partial

import polars as pl

from persona_platform.frames import TS
from persona_platform.replay.chart_style import (
    COLORS,
    WIDTH,
    drawing,
    panel,
    stacked,
    svg,
    time_axis,
    units_axis,
)
from persona_platform.replay.numbers import POLICY, number
from persona_platform.replay.outcomes import AS_PLANNED
from persona_platform.replay.scores import ALL_TARGETS

MOST_TARGETS = 6
"""Targets drawn in one chart, those with the most demand first."""

OBSERVED, MEDIAN = "observed", "forecast, as likely above as below"
EIGHT_IN_TEN, RARELY = "8 times in 10 within", "1 time in 10 up to here"
NEEDED, EXPECTED, USABLE = "needed", "expected", "usable now"
DEMAND, CAPACITY, PAID, UNSERVED = "demand", "usable capacity", "paid for, booting", "demand without capacity"
REQUESTED, READY, WANTED = "requested", "ready", "needed from here"


def largest_targets(frame: pl.DataFrame, column: str, limit: int = MOST_TARGETS) -> list[str]:
    """The targets with the largest mean of a column, in that order."""
    means = frame.group_by("target").agg(pl.col(column).mean()).sort(column, "target", descending=[True, False])
    return means["target"].head(limit).to_list()


def demand_fan(
    observed: pl.DataFrame,
    demand: pl.DataFrame,
    *,
    targets: Sequence[str] | None = None,
    history: timedelta = timedelta(days=2),
) -> str:
    """Observed demand and the combined forecast after it, a panel a target.

    The last observation is the forecast's first point, so that no gap opens between them.
    """
    import altair as alt

    combined = demand.filter(pl.col("route") == "combined")
    draw = drawing((OBSERVED, MEDIAN, EIGHT_IN_TEN, RARELY))
    if combined.is_empty():
        return ""
    panels = []
    for target in targets or largest_targets(combined, "mean"):
        ahead = combined.filter(pl.col("target") == target).sort("slot")
        if ahead.is_empty():
            continue
        origin: datetime = ahead["origin"][0]
        past = observed.filter(
            pl.col("target") == target,
            pl.col("slot").is_between(origin - history, origin, closed="left"),
        ).sort("slot")
        columns = ["slot", "q10", "q50", "q90", "q99"]
        last = past.drop_nulls("demand").tail(1)
        joint = last.select("slot", *(pl.col("demand").alias(name) for name in columns[1:]))
        fan = pl.concat([joint, ahead.select(columns)])
        x = time_axis("slot")
        base = alt.Chart(fan)
        layers = [
            draw(base.mark_area(), RARELY, x=x, y=units_axis("q90"), y2="q99"),
            draw(base.mark_area(), EIGHT_IN_TEN, x=x, y=units_axis("q10"), y2="q90"),
            draw(base.mark_line(strokeWidth=2), MEDIAN, x=x, y=units_axis("q50")),
        ]
        if not past.is_empty():
            line = alt.Chart(past.select("slot", "demand")).mark_line(strokeWidth=1.8)
            layers.append(draw(line, OBSERVED, x=x, y=units_axis("demand")))
        panels.append(panel(layers, target))
    return stacked(panels, "Observed demand and its forecast")


def plan_chart(plan: pl.DataFrame, inventory: pl.DataFrame, *, targets: Sequence[str] | None = None) -> str:
    """Units needed at each slot, what is expected, and what is usable now, a panel a target."""
    import altair as alt

    if plan.is_empty():
        return ""
    panels = []
    newest = inventory.sort("observed_at").unique("target", keep="last", maintain_order=True)
    draw = drawing((NEEDED, EXPECTED, USABLE))
    for target in targets or largest_targets(plan, "needed"):
        rows = plan.filter(pl.col("target") == target).sort("slot")
        base, x = alt.Chart(rows.select("slot", "needed", "mean")), time_axis("slot")
        layers = [
            draw(base.mark_area(interpolate="step-after"), NEEDED, x=x, y=units_axis("needed")),
            draw(base.mark_line(strokeWidth=1.8), EXPECTED, x=x, y=units_axis("mean")),
        ]
        now = newest.filter(pl.col("target") == target)
        if not now.is_empty():
            rule = alt.Chart(now.select("usable")).mark_rule(strokeWidth=2, strokeDash=[6, 4])
            layers.append(draw(rule, USABLE, y=units_axis("usable")))
        panels.append(panel(layers, target))
    return stacked(panels, "Units needed by the plan")


BEYOND_H = 10_000
"""The last band of leads has no end: combination gives it a bound that no horizon reaches."""


def weights_chart(combination: pl.DataFrame, slot: timedelta, limit: int = MOST_TARGETS) -> str:
    """How much each forecasting route counts, by how far ahead it looks, a panel a target."""
    import altair as alt

    if combination.is_empty():
        return ""
    names = combination["target"].unique().sort().head(limit).to_list()
    hours = slot / timedelta(hours=1)
    frame = (
        combination.filter(pl.col("target").is_in(names))
        .sort("lead_slots")
        .select(
            "target",
            "weight",
            route=pl.col("route").str.replace_all("_", " "),
            ahead=pl.col("lead_slots") * hours,
        )
    )
    labels = {hour: f"{number(hour)} h" if hour < BEYOND_H else "beyond" for hour in frame["ahead"].unique().sort()}
    frame = frame.with_columns(band=pl.col("ahead").replace_strict(labels, return_dtype=pl.String))
    chart = (
        alt.Chart(frame)
        .mark_bar(stroke="white", strokeWidth=1)
        .encode(
            x=alt.X("sum(weight):Q", title=None, axis=alt.Axis(format=".0%", values=[0, 0.5, 1])),
            y=alt.Y("band:N", sort=list(labels.values()), title="up to … ahead", axis=alt.Axis(ticks=False)),
            color=alt.Color(
                "route:N",
                title=None,
                scale=alt.Scale(
                    domain=["mixture", "direct", "seasonal naive", "persistence"],
                    range=["#1f5fa8", "#e08a2e", "#9aa3ad", "#5c6670"],
                ),
            ),
            facet=alt.Facet("target:N", columns=3, title=None),
        )
        .properties(width=200, height=26 * len(labels))
    )
    return svg(chart, "Weight of each forecasting route by lead")


def frontier_chart(scores: pl.DataFrame, target: str = ALL_TARGETS, most_unserved: float = 0.1) -> str:
    """Cost against unserved share: each policy's worthwhile settings, and ours as planned."""
    import altair as alt

    rows = scores.filter(pl.col("target") == target)
    front = rows.filter(pl.col("on_frontier"), pl.col("unserved_share") <= most_unserved)
    planned = rows.filter(pl.col("policy") == "ours", pl.col("setting") == AS_PLANNED)
    if front.is_empty():
        return ""
    names = [name for name in POLICY if name in set(front["policy"]) | set(planned["policy"])]
    named = [pl.col("policy").replace(POLICY), pl.col("unserved_share"), pl.col("cost")]
    color = alt.Color(
        "policy:N",
        title=None,
        sort=[POLICY[name] for name in names],
        scale=alt.Scale(domain=[POLICY[n] for n in names], range=[COLORS[n] for n in names]),
    )
    # A logarithm has no place for zero, and zero unserved is where it gets interesting.
    x = alt.X(
        "unserved_share:Q",
        title="share of demand left unserved",
        scale=alt.Scale(type="symlog", constant=0.001),
        axis=alt.Axis(values=[0, 0.001, 0.003, 0.01, 0.03, 0.1], labelExpr="format(100 * datum.value, '~g') + ' %'"),
    )
    y = alt.Y("cost:Q", title="cost", scale=alt.Scale(zero=False, nice=True), axis=alt.Axis(format=",~r"))
    lines = alt.Chart(front.select(named)).mark_line(strokeWidth=2, point=alt.OverlayMarkDef(size=26, filled=True))
    layers = [lines.encode(x=x, y=y, color=color)]
    if not planned.is_empty() and planned["unserved_share"][0] <= 2 * most_unserved:
        dot = alt.Chart(planned.select(named))
        layers += [
            dot.mark_point(size=170, strokeWidth=2.5, fill="white", opacity=1).encode(x=x, y=y, color=color),
            dot.mark_text(align="left", dx=13, dy=-10, fontSize=12, fontWeight="bold", color=COLORS["ours"]).encode(
                x=x, y=y, text=alt.value("as planned")
            ),
        ]
    return svg(alt.layer(*layers).properties(width=WIDTH, height=300), "Cost against unserved demand by policy")


def capacity_chart(
    observed: pl.DataFrame,
    inventories: pl.DataFrame,
    outcomes: pl.DataFrame,
    *,
    targets: Sequence[str] | None = None,
) -> str:
    """Demand, usable capacity, and when each raise was requested, ready and needed, a panel a target.

    Args:
        observed: OBSERVED.
        inventories: INVENTORY rows over time.
        outcomes: OUTCOMES; raises are marked at the height of their floor.
        targets: the ones to draw; the largest unless given.
    """
    import altair as alt

    x, draw = time_axis("at"), drawing((DEMAND, CAPACITY, REQUESTED, READY, WANTED))
    panels = []
    for target in targets or largest_targets(inventories, "usable"):
        mine = pl.col("target") == target
        usable = inventories.filter(mine).sort("observed_at").select(at="observed_at", units="usable")
        if usable.is_empty():
            continue
        span = pl.col("slot").is_between(usable["at"][0], usable["at"][-1])
        demand = observed.filter(mine, span).sort("slot").select(at="slot", units="demand")
        raises = outcomes.filter(mine, pl.col("to_floor") > pl.col("from_floor"))
        grey = alt.Chart(demand).mark_area(interpolate="step-after")
        line = alt.Chart(usable).mark_line(interpolate="step-after", strokeWidth=2)
        layers = [
            draw(grey, DEMAND, x=x, y=units_axis("units")),
            draw(line, CAPACITY, x=x, y=units_axis("units")),
        ]
        for name, column, shape in (
            (REQUESTED, "requested_at", "circle"),
            (READY, "ready_at", "triangle-up"),
            (WANTED, "need_at", "diamond"),
        ):
            marks = raises.select(at=pl.col(column).cast(TS), units="to_floor").drop_nulls()
            if not marks.is_empty():
                points = alt.Chart(marks).mark_point(size=45, filled=True, opacity=1, shape=shape)
                layers.append(draw(points, name, x=x, y=units_axis("units")))
        panels.append(panel(layers, target))
    return stacked(panels, "Capacity and demand, with what was provisioned")


def policies_chart(decisions: pl.DataFrame, target: str, until: timedelta = timedelta(days=2)) -> str:
    """Demand and capacity of one target under each policy, the same days below each other.

    Args:
        decisions: as in a Comparison, one setting a policy.
        target: the one to draw.
        until: how much of the scored time is drawn, from its start.
    """
    import altair as alt

    rows = decisions.filter(pl.col("target") == target).sort("ts")
    if rows.is_empty():
        return ""
    rows = rows.filter(pl.col("ts") < rows["ts"][0] + until)
    top = max([0.0, *rows["demand"].drop_nulls(), *rows["billed"]])
    draw = drawing((DEMAND, CAPACITY, PAID, UNSERVED))
    x, y = time_axis("ts"), partial(units_axis, top=top)
    panels = []
    for policy in (name for name in POLICY if name in set(rows["policy"])):
        one = rows.filter(pl.col("policy") == policy).select(
            "ts", "demand", "capacity", "billed", short=pl.max_horizontal("demand", "capacity")
        )
        base = alt.Chart(one)
        area, line = (
            base.mark_area(interpolate="step-after"),
            base.mark_line(interpolate="step-after", strokeWidth=2),
        )
        layers = [
            draw(area, PAID, x=x, y=y("billed"), y2="capacity"),
            draw(area, DEMAND, x=x, y=y("demand")),
            draw(area, UNSERVED, x=x, y=y("short"), y2="capacity"),
            draw(line, CAPACITY, x=x, y=y("capacity")),
        ]
        panels.append(panel(layers, POLICY[policy], height=110))
    return stacked(panels, f"Policies for {target}")
