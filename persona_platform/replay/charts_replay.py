"""Charts of the replay's report: the legend, frontiers against the bound, and what all its charts share.

Each returns ``<svg>`` strings, or an empty string where there is nothing to draw. Wide charts are drawn twice, once
for a narrow screen, where a scaled-down one could not be read.
"""

import re
from collections.abc import Callable, Sequence
from typing import Final

import numpy as np
import polars as pl

from persona_platform.replay.chart_style import COLORS, WIDTH, short, svg
from persona_platform.replay.charts import CAPACITY, DEMAND, PAID, UNSERVED
from persona_platform.replay.frontiers import along
from persona_platform.replay.page import text
from persona_platform.replay.scores import ALL_TARGETS
from persona_platform.replay.sections_replay_findings import Fronts
from persona_platform.replay.sections_replay_words import ABOVE, BOUND, OURS, PLAIN, TUNED, UNLIMITED, in_order, title

NARROW: Final = 290
"""Width of a panel on a telephone, px, its axis left out."""

SMALL: Final = 340
"""Width of a panel of which two stand side by side, px."""

MAIN: Final = (OURS, TUNED, PLAIN, BOUND)
"""The policies that the answer hangs on: drawn thicker, and alone where there is little room."""

LINE_WIDTHS: Final = {OURS: 2.6, TUNED: 3.6, PLAIN: 1.6, BOUND: 2.0}
"""Where plain and tuned are the same, the plain one's thin line lies on the tuned one's thick one."""

POLICY_COLORS: Final = {
    **{name: COLORS[name] for name in MAIN},
    "last_value": "#2b8a57",
    "seasonal_naive": "#1b9aaa",
    "aws_predictive": "#d99a1c",
    "previous_day": "#7f5539",
    "histogram": "#c2478f",
    "static": "#9aa53a",
    ABOVE: "#5b93d6",
    UNLIMITED: "#8fb8e8",
}
UNKNOWN_COLOR: Final = "#b6bec6"
OTHER_WIDTH: Final = 1.5
DASHED: Final = (ABOVE, UNLIMITED)

LEAST_SHARE, MOST_SHARE = 1e-4, 0.2
"""Unserved shares drawn; what is below stands at the left edge, since a logarithm has no place for zero."""

SHARE_TICKS: Final = (1e-4, 1e-3, 1e-2, 1e-1)
FINER_TICKS: Final = (1e-3, 2e-3, 5e-3, 1e-2, 2e-2, 5e-2, 1e-1, 2e-1)
"""Where less than two decades are drawn."""

RATIO_TICKS: Final = (1, 1.05, 1.1, 1.2, 1.3, 1.5, 1.75, 2, 2.5, 3, 4, 5, 7, 10, 15, 20, 50, 100)
DEAREST: Final = 1.12
"""The chart ends this much above the dearest of the main policies; what is dearer leaves it at the top."""


def key(policies: Sequence[str]) -> str:
    """The legend as a list that wraps with the page."""
    return _list([(_line(policy), title(policy)) for policy in policies])


def series_key() -> str:
    """The same for what is drawn of a week."""
    square = '<rect x="5" width="12" height="10" fill="{}"/>'
    line = f'<path d="M0 5H22" stroke="{COLORS[CAPACITY]}" stroke-width="2"/>'
    shapes = {name: square.format(COLORS[name]) for name in (DEMAND, PAID, UNSERVED)}
    return _list([(shapes[DEMAND], DEMAND), (line, CAPACITY), *((shapes[name], name) for name in (PAID, UNSERVED))])


def _list(entries: Sequence[tuple[str, str]]) -> str:
    swatch = '<svg width="22" height="10" aria-hidden="true">{}</svg>'
    return '<ul class="key">' + "".join(f"<li>{swatch.format(s)}{text(words)}</li>" for s, words in entries) + "</ul>"


def _line(policy: str) -> str:
    color, dash = POLICY_COLORS.get(policy, UNKNOWN_COLOR), ' stroke-dasharray="5 3"' if policy in DASHED else ""
    width = LINE_WIDTHS.get(policy, OTHER_WIDTH)
    return f'<path d="M0 5H22" stroke="{color}" stroke-width="{width}"{dash}/>'


def both_widths(draw: Callable[[int], str]) -> str:
    """A chart for wide and for narrow screens; ``draw`` takes the panel's width."""
    wide, narrow = draw(WIDTH), draw(NARROW)
    return f'<div class="on-wide">{wide}</div><div class="on-narrow">{narrow}</div>' if wide else ""


def relative_curves(fronts: Fronts, target: str, policies: Sequence[str]) -> pl.DataFrame:
    """Frontiers as curves: policy, unserved_share within what is drawn, and cost over that of the bound there.

    Where the clairvoyant was not run, ``ratio`` is the cost itself. Between settings a frontier is a straight line in
    cost, which a logarithmic axis bends, so it is read off at many shares.
    """
    bound = fronts.rows(target, BOUND)
    curves = []
    for policy in policies:
        rows = fronts.rows(target, policy)
        if rows is None:
            continue
        share, cost = rows["unserved_share"].to_numpy(), rows["cost"].to_numpy()
        first, last = np.clip([share[0], share[-1]], LEAST_SHARE, MOST_SHARE)
        if share[0] > MOST_SHARE:
            continue
        inside = share[(share > first) & (share < last)]
        grid = np.unique(np.concatenate([np.geomspace(first, last, 60), inside, [first, last]]))
        ratio = along(share[:, None], np.broadcast_to(cost[:, None], (len(share), len(grid))), grid)
        if bound is not None:
            least = bound["cost"].to_numpy()[:, None]
            ratio = ratio / along(
                bound["unserved_share"].to_numpy()[:, None], np.broadcast_to(least, (len(least), len(grid))), grid
            )
        curves.append(pl.DataFrame({"policy": [policy] * len(grid), "unserved_share": grid, "ratio": ratio}))
    empty = pl.DataFrame(schema={"policy": pl.String, "unserved_share": pl.Float64, "ratio": pl.Float64})
    return pl.concat([empty, *curves]).filter(pl.col("ratio").is_finite(), pl.col("ratio") > 0)


def off_the_chart(curves: pl.DataFrame) -> list[str]:
    """Policies dearer than all that is drawn, at every unserved share."""
    least = curves.group_by("policy").agg(pl.col("ratio").min())
    return in_order(least.filter(pl.col("ratio") > _top(curves))["policy"])


def _top(curves: pl.DataFrame) -> float:
    main = curves.filter(pl.col("policy").is_in([name for name in MAIN if name != BOUND]))
    return max(DEAREST * float((main if main.height else curves)["ratio"].to_numpy().max()), DEAREST)


def frontier(curves: pl.DataFrame, *, name: str, width: int, height: int, marks: pl.DataFrame | None = None) -> str:
    """Cost over the bound's against the share left unserved.

    Args:
        curves: of :func:`relative_curves`.
        name: what is drawn, for the screen reader, and above a small panel.
        width: of the panel, px.
        height: of the panel, px.
        marks: settings to ring: unserved_share, ratio, label.
    """
    import altair as alt

    if curves.is_empty():
        return ""
    drawn = in_order(curves["policy"])
    above = [policy for policy in (BOUND, TUNED, PLAIN, OURS) if policy in drawn]
    shown = [*(policy for policy in reversed(drawn) if policy not in MAIN), *above]
    relative = BOUND in drawn
    top, bottom = _top(curves), 1.0 if relative else float(curves["ratio"].to_numpy().min()) / DEAREST
    left = _left(curves)
    ticks = [tick for tick in (SHARE_TICKS if left < MOST_SHARE / 100 else FINER_TICKS) if tick >= left]
    x = alt.X(
        "unserved_share:Q",
        title="share of demand left unserved (logarithmic)" if width >= WIDTH else "demand left unserved",
        scale=alt.Scale(type="log", domain=[left, MOST_SHARE], nice=False),
        axis=alt.Axis(
            values=ticks,
            labelExpr=f"(datum.value <= {LEAST_SHARE} ? '≤ ' : '') + format(100 * datum.value, '~g') + ' %'",
        ),
    )
    y = alt.Y(
        "ratio:Q",
        title="cost, times that of knowing the future" if relative and height > 200 else None if relative else "cost",
        scale=alt.Scale(type="log", domain=[bottom, top], nice=False),
        axis=alt.Axis(values=_ticks(top), format="~g") if relative else alt.Axis(tickCount=4, format="~s"),
    )
    layers = []
    for policy in shown:
        color = POLICY_COLORS.get(policy, UNKNOWN_COLOR)
        base = alt.Chart(curves.filter(pl.col("policy") == policy).select("unserved_share", "ratio"))
        line = base.mark_line(
            clip=True,
            color=color,
            strokeWidth=LINE_WIDTHS.get(policy, OTHER_WIDTH),
            strokeDash=[5, 3] if policy in DASHED else [1, 0],
        )
        # A policy with one setting, or with all at the left edge, has no line.
        dot = base.mark_point(filled=True, size=40, opacity=1, clip=True, color=color)
        alone = base.data["unserved_share"].n_unique() == 1
        layers.append((dot if alone else line).encode(x=x, y=y))
    if marks is not None and not marks.is_empty():
        ring = alt.Chart(marks).encode(x=x, y=y)
        words = {"dx": 11, "dy": -11, "align": "left", "fontSize": 12, "fontWeight": "bold", "clip": True}
        layers += [
            ring.mark_text(**words, stroke="white", strokeWidth=5, strokeJoin="round").encode(text="label:N"),
            ring.mark_point(size=130, strokeWidth=2.5, fill="white", opacity=1, color=COLORS[OURS], clip=True),
            ring.mark_text(**words, color=COLORS[OURS]).encode(text="label:N"),
        ]
    heading = "" if name == ALL_TARGETS else short(name, width // 9)
    chart = alt.LayerChart(layer=layers, title=heading, width=width, height=height)
    return compact(svg(chart, f"Cost against unserved demand by policy, {name}"))


def _left(curves: pl.DataFrame) -> float:
    """The power of ten below the least share that anyone but the clairvoyant reaches."""
    real = curves.filter(pl.col("policy") != BOUND)
    least = (real if real.height else curves)["unserved_share"].to_numpy().min()
    return float(np.clip(10.0 ** np.floor(np.log10(least) + 1e-9), LEAST_SHARE, MOST_SHARE / 20))


def _ticks(top: float) -> list[float]:
    inside = [tick for tick in RATIO_TICKS if tick <= top]
    spread = [inside[0]]
    for tick in inside[1:]:
        if np.log(tick / spread[-1]) >= np.log(top) / 7:
            spread.append(tick)
    return spread


def compact(drawn: str) -> str:
    """Paths to a tenth of a pixel, level stretches by their ends: a fraction of the size, the same to the eye."""

    def rounded(number: re.Match[str]) -> str:
        return f"{float(number[0]):.1f}".removesuffix(".0")

    def shorter(path: re.Match[str]) -> str:
        tenths = re.sub(r"-?[0-9]+[.][0-9]+(?:e-?[0-9]+)?", rounded, path[1])
        return f' d="{re.sub("[-0-9.,]+(?:L[-0-9.,]+)+", _corners, tenths)}"'

    return re.sub(r' d="([^"]*)"', shorter, drawn)


def _corners(line: re.Match[str]) -> str:
    """A polyline without the points inside its level and its upright stretches."""
    kept: list[list[str]] = []
    for point in (pair.split(",") for pair in line[0].split("L")):
        if len(kept) > 1 and any(kept[-2][i] == kept[-1][i] == point[i] for i in (0, 1)):
            kept[-1] = point
        elif not kept or kept[-1] != point:
            kept.append(point)
    return "L".join(",".join(point) for point in kept)
