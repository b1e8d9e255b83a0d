"""How all charts look: colors, axes, legend, and the way from a chart to an SVG that can stand in a page."""

import hashlib
import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any
from xml.sax.saxutils import quoteattr

if TYPE_CHECKING:
    import altair as alt

WIDTH = 770
"""Of a panel without its axis, px; the page is 860 px wide."""

HEIGHT = 150

# Labels are measured without a browser, so these are fonts of one width: Arial and its metric twins.
FONT = "Arial, Helvetica, 'Liberation Sans', sans-serif"

COLORS = {
    "ours": "#1f5fa8",
    "reactive": "#c8612a",
    "reactive_tuned": "#8b57a8",
    "clairvoyant": "#6b7480",
    # Series; told apart by lightness too, for readers who do not see the hues.
    "observed": "#22303c",
    "forecast, as likely above as below": "#1f5fa8",
    "8 times in 10 within": "#a9c9ea",
    "1 time in 10 up to here": "#dce9f6",
    "needed": "#c4daf0",
    "expected": "#22303c",
    "usable now": "#c8612a",
    "demand": "#c9ced4",
    "usable capacity": "#1f5fa8",
    "paid for, booting": "#dce9f6",
    "demand without capacity": "#d43d2a",
    "requested": "#8b57a8",
    "ready": "#2b8a57",
    "needed from here": "#c8612a",
}

_CONFIG = {
    "font": FONT,
    "background": "white",
    "aria": False,  # the drawing has one label; one on each of its marks would be three quarters of the bytes
    "view": {"stroke": None},
    "title": {"fontSize": 14, "fontWeight": 600, "anchor": "start", "offset": 8, "subtitleFontSize": 12,
              "subtitleColor": "#55606b", "color": "#22303c"},
    "axis": {"labelFontSize": 12, "titleFontSize": 12, "titleFontWeight": 400, "labelColor": "#44505b",
             "titleColor": "#44505b", "gridColor": "#e8ebee", "domainColor": "#b6bec6",
             "tickColor": "#b6bec6"},
    "legend": {"orient": "top", "labelFontSize": 12, "titleFontSize": 12, "symbolType": "square",
               "symbolSize": 120, "labelLimit": 260, "columns": 5,
               "columnPadding": 22, "offset": 6, "symbolOpacity": 1},
    "header": {"labelFontSize": 13, "labelFontWeight": 600, "labelAnchor": "start"},
}  # fmt: skip


def time_axis(field: str) -> "alt.X":
    """A UTC time axis: the hour, and the date where a day starts."""
    import altair as alt

    # Six hours apart is about 90 px over two days: room for "Wed 13 Mar".
    label = "utcFormat(datum.value, utchours(datum.value) == 0 ? '%a %-d %b' : '%H:%M')"
    return alt.X(
        f"{field}:T",
        title=None,
        scale=alt.Scale(type="utc"),
        axis=alt.Axis(labelExpr=label, tickCount=10, labelOverlap=True),
    )


def units_axis(field: str, top: float | None = None) -> "alt.Y":
    """Units from zero, up to ``top`` where panels are to be compared."""
    import altair as alt

    scale = alt.Scale(zero=True, nice=True) if top is None else alt.Scale(domain=[0, max(top, 1)], nice=True)
    return alt.Y(f"{field}:Q", title="units", scale=scale, axis=alt.Axis(tickCount=4, format="~s"), stack=None)


def drawing(legend: Sequence[str]) -> "Callable[..., alt.Chart]":
    """``draw(mark, series, **encoding)``: a layer in its series' color, all of ``legend`` in the legend."""
    import altair as alt

    color = alt.Color(
        "series:N",
        title=None,
        scale=alt.Scale(domain=list(legend), range=[COLORS[name] for name in legend]),
    )

    def draw(mark: alt.Chart, series: str, **encoding: Any) -> alt.Chart:  # altair's channels
        return mark.transform_calculate(series=f"'{series}'").encode(color=color, **encoding)

    return draw


def panel(layers: "Sequence[alt.Chart]", title: str, height: int = HEIGHT) -> "alt.LayerChart":
    """Layers over each other under a title."""
    import altair as alt

    return alt.LayerChart(layer=list(layers), title=short(title), width=WIDTH, height=height)


def stacked(panels: "Sequence[alt.LayerChart]", label: str) -> str:
    """Panels below each other under one legend, as SVG; an empty string without panels."""
    import altair as alt

    return svg(alt.vconcat(*panels, spacing=22).resolve_scale(color="shared"), label) if panels else ""


def short(words: str, most: int = 46) -> str:
    """A title that stays on its panel."""
    return words if len(words) <= most else words[: most - 1].rstrip() + "…"


def svg(chart: "alt.TopLevelMixin", label: str) -> str:
    """The chart as one ``<svg>`` element that can stand beside others in a page.

    Ids are made unique by content: several inline drawings share one document, and each would otherwise be
    clipped by the first one's ``clip0``. ``label`` is what a screen reader says.
    """
    import altair as alt
    import vl_convert

    with alt.data_transformers.enable("default", max_rows=None):
        spec = chart.to_dict()
    spec["config"] = _CONFIG
    drawing = vl_convert.vegalite_to_svg(spec)
    tag = "c" + hashlib.sha256(drawing.encode()).hexdigest()[:8]
    drawing = re.sub(r'\bid="([^"]+)"', rf'id="{tag}\1"', drawing)
    drawing = re.sub(r"url\(#([^)]+)\)", rf"url(#{tag}\1)", drawing)
    drawing = re.sub(r'(href=")#([^"]+)"', rf'\1#{tag}\2"', drawing)
    return _lean(drawing).replace("<svg ", f'<svg role="img" aria-label={quoteattr(label)} ', 1)


def _lean(drawing: str) -> str:
    """The same picture in half the bytes: the font said once, and no shapes of no size, roles or descriptions."""
    drawing = re.sub(r' role="graphics-[^"]*"| aria-roledescription="[^"]*"| pointer-events="none"', "", drawing)
    drawing = re.sub(r'<path class="(?:back|fore)ground"[^>]* d="(?:M0,0h0v0h0Z)?"[^>]*/>', "", drawing)
    font = f' font-family="{FONT}"'
    return drawing.replace(font, "").replace("<svg ", f"<svg{font} ", 1)
