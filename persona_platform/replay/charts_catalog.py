"""Charts of the catalog as a whole: how the number of personas was chosen, and how it held over refits.

Each returns one ``<svg>``, or an empty string where there is nothing to draw.
"""

from typing import TYPE_CHECKING, Final

import polars as pl

from persona_platform.personas.lineage import LEAST_AGREEMENT
from persona_platform.replay.chart_style import WIDTH, svg

if TYPE_CHECKING:
    import altair as alt

CRITERIA: Final = {
    "bic": "information criterion (BIC), lower is better",
    "jaccard": "found again in resampled data (Jaccard)",
    "pinball": "forecast error (pinball), lower is better",
}
"""Columns of a selection that are drawn where they are there."""
EVENTS: Final = {"kept": "#a9c9ea", "split": "#5b93d6", "new": "#2b8a57", "merged": "#e0a12e", "gone": "#c8612a"}
LINES: Final = {"agreement": "#1f5fa8", "stability": "#8b57a8"}


def selection_chart(selection: pl.DataFrame, kind: str = "active") -> str:
    """What was weighed when the number of personas of a kind was chosen, a panel a criterion; the chosen one marked."""
    import altair as alt

    rows = selection.filter(kind=kind).sort("k")
    drawn = [name for name in CRITERIA if name in rows.columns and rows[name].drop_nulls().len() > 1]
    if not drawn:
        return ""
    width = (WIDTH - 64 * (len(drawn) - 1)) // len(drawn) if len(drawn) > 1 else WIDTH // 2
    panels = [_criterion(rows, name, width) for name in drawn]
    return svg(alt.hconcat(*panels, spacing=22), f"How the number of {kind} personas was chosen")


def _criterion(rows: pl.DataFrame, name: str, width: int) -> "alt.LayerChart":
    import altair as alt

    frame = rows.select("k", "chosen", value=name).drop_nulls("value")
    every = max(1, -(-frame.height // 8))
    ticks = sorted({*frame["k"].gather_every(every), *frame.filter("chosen")["k"]})
    axis = alt.Axis(values=ticks, grid=False, format="d")
    x = alt.X("k:Q", title="personas", scale=alt.Scale(nice=False, padding=10), axis=axis)
    numbers = alt.Axis(tickCount=4, format=",.0f" if name == "bic" else ".3~f")
    y = alt.Y("value:Q", title=None, scale=alt.Scale(zero=False), axis=numbers)
    base, chosen = alt.Chart(frame), alt.Chart(frame.filter("chosen"))
    layers = [
        base.mark_line(color="#8fa3b5", strokeWidth=1.8).encode(x=x, y=y),
        base.mark_point(color="#8fa3b5", filled=True, size=26, opacity=1).encode(x=x, y=y),
        chosen.mark_rule(color="#1f5fa8", strokeDash=[4, 4]).encode(x=x),
        chosen.mark_point(color="#1f5fa8", filled=True, size=90, opacity=1).encode(x=x, y=y),
    ]
    title = alt.Title(CRITERIA[name], fontSize=12, fontWeight="normal")
    return alt.LayerChart(layer=layers, width=width, height=130, title=title)


def refits_chart(refits: pl.DataFrame) -> str:
    """Agreement with the catalog before and stability, and what became of the personas, over refits."""
    import altair as alt

    rows = refits.sort("version")
    if rows.height < 2:
        return ""
    every = max(1, rows.height // 12)
    axis = alt.Axis(labelAngle=0, ticks=False, values=rows["version"].gather_every(every).to_list())
    return svg(
        alt.vconcat(_lines(rows, axis), _counts(rows, axis), spacing=16).resolve_scale(color="independent"),
        "Agreement and stability over refits, and what became of the personas",
    )


def _lines(rows: pl.DataFrame, axis: "alt.Axis") -> "alt.LayerChart":
    import altair as alt

    frame = rows.unpivot(on=list(LINES), index="version", variable_name="what").drop_nulls("value")
    color = alt.Color("what:N", title=None, scale=alt.Scale(domain=list(LINES), range=list(LINES.values())))
    x = alt.X("version:O", title=None, axis=axis, scale=alt.Scale(domain=rows["version"].to_list()))
    # Below 0 is worse than chance: drawn at 0.
    frame = frame.with_columns(pl.col("value").clip(0.0, 1.0))
    numbers = alt.Axis(values=[0, 0.5, LEAST_AGREEMENT, 1], format=".1f")
    y = alt.Y("value:Q", title=None, scale=alt.Scale(domain=[0, 1]), axis=numbers)
    base = alt.Chart(frame)
    least = alt.Chart(pl.DataFrame({"least": [LEAST_AGREEMENT]}))
    layers = [
        least.mark_rule(color="#b6bec6", strokeDash=[5, 4]).encode(y="least:Q"),
        base.mark_line(strokeWidth=2).encode(x=x, y=y, color=color),
        base.mark_point(filled=True, size=30, opacity=1).encode(x=x, y=y, color=color),
    ]
    return alt.LayerChart(layer=layers, width=WIDTH, height=130)


def _counts(rows: pl.DataFrame, axis: "alt.Axis") -> "alt.Chart":
    import altair as alt

    order = {name: i for i, name in enumerate(EVENTS)}
    frame = (
        rows.select("version", *EVENTS)
        .unpivot(index="version", variable_name="what", value_name="personas")
        .filter(pl.col("personas") > 0)
    )
    frame = frame.with_columns(order=pl.col("what").replace_strict(order, return_dtype=pl.Int64))
    return (
        alt.Chart(frame)
        .mark_bar()
        .encode(
            x=alt.X("version:O", title="version of the catalog", axis=axis),
            y=alt.Y("personas:Q", title="personas", axis=alt.Axis(tickCount=4, tickMinStep=1, format="d")),
            color=alt.Color("what:N", title=None, scale=alt.Scale(domain=list(EVENTS), range=list(EVENTS.values()))),
            order="order:Q",
        )
        .properties(width=WIDTH, height=110)
    )
