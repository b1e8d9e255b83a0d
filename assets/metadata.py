"""How assets show what they made: small tables and plots as Dagster metadata, and the teams that own them."""

import base64
from typing import Final

import dagster as dg
import polars as pl

DATA_TEAM: Final = "team:data"
CAPACITY_TEAM: Final = "team:capacity"


def table(frame: pl.DataFrame, rows: int = 50) -> dg.MarkdownMetadataValue:
    """The first rows of a frame as a Markdown table, floats with three significant digits."""
    if frame.height == 0:
        return dg.MetadataValue.md("*empty*")
    shown = frame.head(rows)
    lines = [
        "| " + " | ".join(shown.columns) + " |",
        "|" + "---|" * len(shown.columns),
        *("| " + " | ".join(_cell(v) for v in row) + " |" for row in shown.iter_rows()),
    ]
    if frame.height > rows:
        lines.append(f"\n*{frame.height - rows} more rows*")
    return dg.MetadataValue.md("\n".join(lines))


def picture(svg: str, alt: str) -> dg.MarkdownMetadataValue:
    """An SVG chart as an inline picture; raw SVG is stripped by the UI, a data URI is not."""
    encoded = base64.b64encode(svg.encode()).decode()
    return dg.MetadataValue.md(f"![{alt}](data:image/svg+xml;base64,{encoded})")


def _cell(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.3g}"
    return str(value).replace("|", "\\|").replace("\n", " ")
