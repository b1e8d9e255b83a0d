"""Panels that charts of personas are put together from, as altair charts: one persona and one matter each."""

from typing import TYPE_CHECKING, Final

import polars as pl

from persona_platform.personas.portrait.naming import amount
from persona_platform.personas.record import Persona, Size
from persona_platform.replay.chart_style import short
from persona_platform.replay.numbers import count, likelihood, number, unit_of

if TYPE_CHECKING:
    import altair as alt

WEEKDAYS: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
HALF: Final = 350
"""Width of a panel of which two stand side by side, px."""
SHADES: Final = 8
"""Shades of a heat map; neighbours of one shade are one rectangle, which makes the drawing a fifth as large."""
MOST_SIZES: Final = 6
MOST_POINTS: Final = 120
"""Points of a survival curve."""
DRAWN: Final = (1, 3, 4)
"""Places in REQUIREMENT_QUANTILES that are drawn as points: 0.5, 0.95, 0.99."""
RATIOS: Final = (0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)
NO_RATIO_BELOW: Final = 0.02
"""Least ratio that is drawn: a logarithm has no place for zero."""

INK, LINE, BAND, PALE = "#22303c", "#1f5fa8", "#a9c9ea", "#dce9f6"
SECOND: Final = "#c8612a"


def starts(persona: Persona) -> bool:
    """Whether it has a week to draw."""
    return len(persona.recurrence.intensity) == 168 and max(persona.recurrence.intensity) > 0


def lasts(persona: Persona) -> bool:
    """Whether it has a survival curve to draw."""
    return len(persona.duration.survival) > 1


def busiest(persona: Persona) -> str:
    """The hour of the week with most starts, and how many those are."""
    week = persona.recurrence.intensity
    top = week.index(max(week))
    return f"{WEEKDAYS[top // 24]} {top % 24:02d}:00, {number(max(week))} starts per member and hour"


def week_panel(persona: Persona, width: int = HALF, height: int = 112) -> "alt.Chart":
    """Hours of the week, the darker the more starts; rectangles over runs of hours of one shade."""
    import altair as alt

    week = persona.recurrence.intensity
    peak = max(week)
    runs: list[tuple[str, int, int, int]] = []
    for hour, rate in enumerate(week):
        day, at, shade = WEEKDAYS[hour // 24], hour % 24, round(SHADES * rate / peak)
        if runs and runs[-1][0] == day and runs[-1][3] == shade:
            runs[-1] = (day, runs[-1][1], at + 1, shade)
        else:
            runs.append((day, at, at + 1, shade))
    frame = pl.DataFrame([run for run in runs if run[3]], schema=["day", "from", "to", "shade"], orient="row")
    axis = alt.Axis(values=[0, 6, 12, 18, 24], grid=False, ticks=False, domain=False, format="02d")
    days = alt.Y(
        "day:O",
        sort=list(WEEKDAYS),
        title=None,
        scale=alt.Scale(domain=list(WEEKDAYS), paddingInner=0.1),
        axis=alt.Axis(ticks=False, domain=False),
    )
    chart = alt.Chart(frame).mark_rect().encode(
        x=alt.X("from:Q", title=None, scale=alt.Scale(domain=[0, 24], nice=False), axis=axis),
        x2="to:Q",
        y=days,
        color=alt.Color("shade:Q", legend=None, scale=alt.Scale(domain=[0, SHADES], range=["#f1f4f7", "#174f8f"])),
    )  # fmt: skip
    return chart.properties(width=width, height=height, view=alt.ViewConfig(fill="#f1f4f7"))


def size_words(size: Size) -> str:
    """A size in words with its storage class; gibibytes alone are of memory."""
    parts = [amount(need, value).replace(" of disk", " disk") for need, value in size.amounts.items() if value]
    words = ", ".join(parts) or "nothing"
    return f"{words} ({size.storage_class})" if size.storage_class else words


def sizes_panel(persona: Persona, width: int = HALF, most: int = MOST_SIZES) -> "alt.LayerChart":
    """A bar a size, its interval over it, what it is above it; the rare ones together at the end."""
    import altair as alt

    sizes = persona.requirement.sizes
    shown, left = (sizes, []) if len(sizes) <= most else (sizes[: most - 1], sizes[most - 1 :])
    rows = [(size_words(s), s.probability, s.low, s.high) for s in shown]
    if left:
        # Their intervals cannot be added, so the rest has none.
        together = sum(s.probability for s in left)
        rows.append((count(len(left), "other size"), together, together, together))
    if not sizes:
        rows.append(("no table of sizes", 0.0, 0.0, 0.0))
    frame = pl.DataFrame(
        [
            (i, short(named, width // 7), *row, likelihood(row[0]) if sizes else "")
            for i, (named, *row) in enumerate(rows)
        ],
        schema=["at", "words", "probability", "low", "high", "said"],
        orient="row",
    )
    y = alt.Y("at:O", title=None, axis=None, scale=alt.Scale(paddingInner=0.55, paddingOuter=0.5))
    scale = alt.Scale(domain=[0, 1])
    x = alt.X("probability:Q", title=None, scale=scale, axis=alt.Axis(format=".0%", values=[0, 0.5, 1]))
    base = alt.Chart(frame)
    words = base.mark_text(align="left", baseline="bottom", dy=-9, fontSize=12, color=INK)
    said = base.mark_text(align="right", baseline="bottom", dy=-9, fontSize=12, fontWeight="bold", color=INK)
    layers = [
        base.mark_bar(color=BAND).encode(x=x, y=y),
        base.mark_rule(color=LINE, strokeWidth=2).encode(x=alt.X("low:Q", scale=scale), x2="high:Q", y=y),
        words.encode(x=alt.value(0), y=y, text="words:N"),
        said.encode(x=alt.value(width), y=y, text="said:N"),
    ]
    return alt.LayerChart(layer=layers, width=width, height=alt.Step(34))


def survival_panel(persona: Persona, width: int = HALF, height: int = 112) -> "alt.LayerChart":
    """Steps that fall from 1, the band around them, and where half has ended."""
    import altair as alt

    lasting_ = persona.duration
    last = len(lasting_.survival) - 1
    every = max(1, -(-last // MOST_POINTS))
    size, unit = _time_unit(last * lasting_.slot_s)
    at = [*range(0, last, every), last]
    band = len(lasting_.low) == len(lasting_.high) == last + 1
    frame = pl.DataFrame(
        {
            "after": [i * lasting_.slot_s / size for i in at],
            "share": [lasting_.survival[i] for i in at],
            "low": [lasting_.low[i] if band else lasting_.survival[i] for i in at],
            "high": [lasting_.high[i] if band else lasting_.survival[i] for i in at],
        }
    )
    x = alt.X("after:Q", title=f"lasts longer than, {unit}", axis=alt.Axis(tickCount=6, format="~r"),
              scale=alt.Scale(nice=False))  # fmt: skip
    axis = alt.Axis(format=".0%", values=[0, 0.5, 1])
    y = alt.Y("share:Q", title=None, scale=alt.Scale(domain=[0, 1]), axis=axis)
    base = alt.Chart(frame)
    return alt.LayerChart(
        layer=[
            base.mark_area(interpolate="step-after", color=PALE).encode(
                x=x, y=alt.Y("low:Q", axis=axis, scale=alt.Scale(domain=[0, 1])), y2="high:Q"
            ),
            base.mark_line(interpolate="step-after", color=LINE, strokeWidth=2).encode(x=x, y=y),
        ],
        width=width,
        height=height,
    )


def _time_unit(seconds: float) -> tuple[float, str]:
    """The unit in which a span has a few ticks: its seconds and name."""
    for size, unit in ((86400.0, "days"), (3600.0, "hours"), (60.0, "minutes")):
        if seconds >= 2 * size:
            return size, unit
    return 1.0, "seconds"


def needs_panel(persona: Persona, width: int = HALF) -> "alt.LayerChart | None":
    """A row a need, each on its own scale from 0.

    The band reaches from the 0.1 to the 0.9 quantile; the quantiles of :data:`DRAWN` are points with their intervals,
    and stand above them as numbers. All in one chart: an axis for each need would take ten times as long.
    """
    import altair as alt

    bands, points = [], []
    for at, (need, values) in enumerate(persona.requirement.quantiles.items()):
        low, high = persona.requirement.low.get(need, values), persona.requirement.high.get(need, values)
        end = max(*high, *values) or 1.0
        size, unit = unit_of(need, max(values))
        said = " / ".join(number(values[i] / size) for i in DRAWN)
        bands.append((at, unit, said, values[0] / end, values[2] / end))
        points += [(at, values[i] / end, low[i] / end, high[i] / end) for i in DRAWN]
    if not bands:
        return None
    rows = alt.Chart(pl.DataFrame(bands, schema=["at", "unit", "said", "low", "high"], orient="row"))
    marks = alt.Chart(pl.DataFrame(points, schema=["at", "value", "low", "high"], orient="row"))
    y = alt.Y("at:O", title=None, axis=None, scale=alt.Scale(paddingInner=0.55, paddingOuter=0.5))
    scale = alt.Scale(domain=[0, 1])
    low, value = (alt.X(f"{name}:Q", title=None, scale=scale, axis=None) for name in ("low", "value"))
    words = rows.mark_text(align="left", baseline="bottom", dy=-9, fontSize=12, color=INK)
    said = rows.mark_text(align="right", baseline="bottom", dy=-9, fontSize=12, fontWeight="bold", color=INK)
    layers = [
        rows.mark_bar(color=PALE).encode(x=low, x2="high:Q", y=y),
        marks.mark_rule(color=LINE, strokeWidth=2).encode(x=low, x2="high:Q", y=y),
        marks.mark_point(color=LINE, filled=True, size=46, opacity=1).encode(x=value, y=y),
        words.encode(x=alt.value(0), y=y, text="unit:N"),
        said.encode(x=alt.value(width), y=y, text="said:N"),
    ]
    return alt.LayerChart(layer=layers, width=width, height=alt.Step(34))


def uplift_panel(persona: Persona) -> "alt.LayerChart | None":
    """What events change: starts and need as ratios to the same hours without the event."""
    import altair as alt

    rows = [
        (u.kind.replace("_", " "), what, *(max(value, NO_RATIO_BELOW) for value in (ratio, low, high)))
        for u in persona.recurrence.uplifts
        for what, ratio, low, high in (
            ("starts", u.starts, u.starts_low, u.starts_high),
            ("need", u.need, u.need_low, u.need_high),
        )
    ]
    if not rows:
        return None
    frame = pl.DataFrame(rows, schema=["kind", "what", "ratio", "low", "high"], orient="row")
    color = alt.Color("what:N", title=None, scale=alt.Scale(domain=["starts", "need"], range=[LINE, SECOND]))
    y, shift = alt.Y("kind:N", title=None, sort=None, axis=alt.Axis(ticks=False, domain=False)), alt.YOffset("what:N")
    ends = [min(0.5, *frame["low"]) * 0.9, max(2.0, *frame["high"]) * 1.1]
    scale, ticks = alt.Scale(type="log", nice=False, domain=ends), [t for t in RATIOS if ends[0] <= t <= ends[1]]
    x = alt.X("ratio:Q", title="times as much as without", scale=scale, axis=alt.Axis(format="~r", values=ticks))
    base = alt.Chart(frame)
    one = alt.Chart(pl.DataFrame({"one": [1.0]})).mark_rule(color="#b6bec6", strokeWidth=1.5).encode(x="one:Q")
    low = alt.X("low:Q", scale=scale)
    layers = [
        one,
        base.mark_rule(strokeWidth=2).encode(x=low, x2="high:Q", y=y, yOffset=shift, color=color),
        base.mark_point(filled=True, size=60, opacity=1).encode(x=x, y=y, yOffset=shift, color=color),
    ]
    return alt.LayerChart(layer=layers, width=HALF - 70, height=alt.Step(17))
