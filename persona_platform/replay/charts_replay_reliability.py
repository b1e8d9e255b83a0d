"""Predicted probabilities against what happened."""

import polars as pl

from persona_platform.replay.chart_style import COLORS, svg
from persona_platform.replay.charts_replay import compact
from persona_platform.replay.sections_replay_words import OURS


def reliability(bins: pl.DataFrame, *, name: str, width: int = 205) -> str:
    """How often it happened against how likely it was said to be; on the diagonal the two agree.

    Args:
        bins: ``predicted``, ``observed``, and its ``low`` and ``high`` that counting alone explains.
        name: above the panel.
        width: and height of the panel, px.
    """
    import altair as alt

    if bins.is_empty():
        return ""
    top = max(0.01, *bins["predicted"], *bins["high"])
    top = next(tick for tick in (0.01, 0.05, 0.1, 0.25, 0.5, 1.0) if tick >= min(top, 1.0))
    ticks = [tick for tick in (0, 0.001, 0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 1.0) if tick <= top]
    ticks = [tick for tick in ticks if tick == 0 or tick >= top / 100]

    # A square root keeps the diagonal straight and gives the rare events, which are most, some room.
    scale = alt.Scale(type="sqrt", domain=[0, top], nice=False, clamp=True)
    axis = alt.Axis(values=ticks, labelExpr="format(100 * datum.value, '~g') + ' %'", labelOverlap=True)
    x = alt.X("predicted:Q", title="said to be", scale=scale, axis=axis)
    y = alt.Y("observed:Q", title="happened", scale=scale, axis=axis)
    low = alt.Y("low:Q", title="happened", scale=scale, axis=axis)
    line = alt.Chart(pl.DataFrame({"predicted": [0.0, top], "observed": [0.0, top]})).mark_line(
        color="#b6bec6", strokeDash=[4, 4], strokeWidth=1.4
    )
    base = alt.Chart(bins)
    layers = [
        line.encode(x=x, y=y),
        base.mark_rule(color=COLORS[OURS], opacity=0.5, strokeWidth=1.5).encode(x=x, y=low, y2="high"),
        base.mark_point(filled=True, size=42, opacity=1, color=COLORS[OURS]).encode(x=x, y=y),
    ]
    chart = alt.LayerChart(layer=layers, title=name, width=width, height=width)
    return compact(svg(chart, f"Reliability of the predicted activations, {name}"))
