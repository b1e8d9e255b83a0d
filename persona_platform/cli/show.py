"""Commands that show what is predicted: ``predict``, ``plan``. They run no job and write nothing."""

from datetime import timedelta
from typing import Any

import click
import polars as pl

from persona_platform.cli.options import Duration, frame_table, json_option, out, print_json
from persona_platform.cli.persona_view import duration_text
from persona_platform.cli.reading import Snapshot
from persona_platform.errors import InputError
from persona_platform.personas.portrait.naming import amount


@click.command()
@click.option("--horizon", type=Duration(), default="1h", show_default=True, help="How far ahead.")
@json_option
def predict(horizon: timedelta, as_json: bool) -> None:
    """Who will be active, what will be needed, what there is, and what is missing."""
    snapshot = Snapshot.open()
    active = snapshot.persona_outlook(horizon)
    demand = snapshot.demand_within(horizon)
    if as_json:
        print_json(
            {
                "origin": snapshot.origin,
                "horizon_s": horizon.total_seconds(),
                "personas": active.to_dicts(),
                "targets": demand.to_dicts(),
            }
        )
        return
    out.print(f"From {snapshot.origin:%Y-%m-%d %H:%M} UTC, within {duration_text(horizon.total_seconds())}:")
    expected = [
        amount(need, float(f"{value:.3g}")) if need else "-"
        for value, need in active.select("expected", "need").iter_rows()
    ]
    shown = active.drop("need").with_columns(expected=pl.Series(expected, dtype=pl.String))
    out.print(
        frame_table("Personas (expected: probability times need, at the busiest slot)", shown, right=("expected",))
    )
    out.print(frame_table("Demand at the busiest slot, in units, beside capacity", demand))


@click.command()
@click.option("--target", default=None, help="Only this target.")
@json_option
def plan(target: str | None, as_json: bool) -> None:
    """The newest plan: for each target and slot the floor that is needed."""
    snapshot = Snapshot.open()
    rows: pl.DataFrame = snapshot.plan
    if target is not None:
        rows = rows.filter(pl.col("target") == target)
        if rows.height == 0:
            known = ", ".join(snapshot.plan["target"].unique().sort())
            raise InputError(f"The plan has no target {target}: it has {known}.")
    if as_json:
        body: dict[str, Any] = {"plan": rows.to_dicts()}
        print_json(body)
        return
    out.print(f"Plan {rows['plan_id'][0]}, made at {rows['origin'][0]:%Y-%m-%d %H:%M} UTC")
    out.print(frame_table("Units needed, by hour (UTC)", snapshot.plan_by_hour(rows)))


__all__ = ["plan", "predict"]
