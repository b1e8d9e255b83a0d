"""Options and output that several commands share."""

import json
import sys
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import click
import polars as pl
from rich.console import Console
from rich.table import Table

from persona_platform.errors import ConfigError, InputError
from persona_platform.now import parse_instant
from persona_platform.settings import parse_duration

out = Console(highlight=False)
err = Console(stderr=True, highlight=False)


class Instant(click.ParamType):
    """An ISO 8601 instant, UTC unless it has an offset."""

    name = "instant"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        """Parses, or fails with the sentence that says how to write it."""
        try:
            return value if isinstance(value, datetime) else parse_instant(value)
        except InputError as fault:
            self.fail(str(fault), param, ctx)


class Duration(click.ParamType):
    """A duration such as 15m, 1h or 7d."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> timedelta:
        """Parses, or fails with the sentence that says how to write it."""
        try:
            return value if isinstance(value, timedelta) else parse_duration(value)
        except ConfigError as fault:
            self.fail(str(fault), param, ctx)


def at_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """``--at TS``: the instant to plan at."""
    return click.option(
        "--at", type=Instant(), default=None, help="Plan as of this instant instead of now (ISO 8601, UTC)."
    )(command)


def json_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """``--json``: machine-readable output on standard output, and nothing else there."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON.")(command)


def print_json(body: Any) -> None:
    """Writes JSON with instants in ISO 8601."""
    json.dump(body, sys.stdout, default=_plain, indent=2)
    sys.stdout.write("\n")


def frame_table(title: str, frame: pl.DataFrame, *, right: tuple[str, ...] = ()) -> Table:
    """A frame as a terminal table; numbers to the right."""
    shown = Table(title=title, title_justify="left", header_style="bold", pad_edge=False)
    for name, dtype in frame.schema.items():
        shown.add_column(
            name.replace("_", " "),
            justify="right" if dtype.is_numeric() or name in right else "left",
            overflow="fold",
        )
    for row in frame.iter_rows():
        shown.add_row(*(_cell(v) for v in row))
    return shown


def _cell(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.2f}" if abs(value) < 100 else f"{value:,.0f}"
    if isinstance(value, datetime):
        return f"{value:%a %d %b %H:%M}"
    return str(value)


def _plain(value: object) -> object:
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    if isinstance(value, timedelta):
        return value.total_seconds()
    raise TypeError(f"{type(value).__name__} has no JSON form")
