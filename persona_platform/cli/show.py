"""Commands that show what is known: ``personas``, ``predict``, ``plan``. They run no job and write nothing."""

from datetime import timedelta
from typing import Any

import click
import msgspec
import polars as pl

from persona_platform.cli.options import Duration, frame_table, json_option, out, print_json
from persona_platform.cli.reading import Snapshot
from persona_platform.errors import InputError
from persona_platform.personas.naming import amount
from persona_platform.personas.record import Persona


@click.command()
@click.argument("persona_id", required=False)
@json_option
def personas(persona_id: str | None, as_json: bool) -> None:
    """The learned personas, or one of them: needs as probabilities, duration, recurrence, members."""
    snapshot = Snapshot.open()
    records = list(snapshot.catalog.personas)
    if persona_id is not None:
        records = [p for p in records if p.persona_id == persona_id]
        if not records:
            known = ", ".join(p.persona_id for p in snapshot.catalog.personas)
            raise InputError(f"There is no persona {persona_id}: known are {known}.")
    if as_json:
        print_json({"personas": [msgspec.to_builtins(p) for p in records]})
    elif persona_id is not None:
        _show_persona(records[0])
    else:
        out.print(frame_table("Personas", persona_rows(records)))


def persona_rows(records: list[Persona]) -> pl.DataFrame:
    """One row a persona, as a person reads it."""
    return pl.DataFrame(
        [
            {
                "id": p.persona_id,
                "name": p.name,
                "needs": "; ".join(f"{size_text(s.amounts)} {s.probability:.2f}" for s in p.requirement.sizes[:3]),
                "lasts": duration_text(p.duration.median_s),
                "every": duration_text(p.recurrence.inter_arrival_s[1]) if p.recurrence.inter_arrival_s else "-",
                "priority": p.priority,
                "members": len(p.members),
            }
            for p in records
        ],
        schema_overrides={"members": pl.Int64},
    )


def size_text(amounts: dict[str, float]) -> str:
    """``16 cores, 32 GiB``: amounts in the units people use."""
    return ", ".join(amount(need, value) for need, value in amounts.items() if value) or "nothing"


def duration_text(seconds: float) -> str:
    """A duration in the largest unit that keeps it at one or more."""
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds:.0f} s"


def _show_persona(p: Persona) -> None:
    out.print(f"[bold]{p.persona_id}  {p.name}[/bold]  (version {p.version}, {p.kind})")
    out.print(p.description)
    out.print(
        f"Priority {p.priority}, sized at its {p.sla:.2f} quantile; stability {p.stability:.2f}, drift {p.drift:.2f}."
    )
    sizes = [
        {
            "size": size_text(s.amounts),
            "storage": s.storage_class or "-",
            "probability": s.probability,
            "": "█" * round(30 * s.probability),
        }
        for s in p.requirement.sizes
    ]
    out.print(frame_table("Needs", pl.DataFrame(sizes)))
    survival = p.duration.survival
    steps = sorted({min(round(i * (len(survival) - 1) / 9), len(survival) - 1) for i in range(10)})
    lasting = [
        {
            "longer than": duration_text(i * p.duration.slot_s),
            "probability": survival[i],
            "": "█" * round(30 * survival[i]),
        }
        for i in steps
    ]
    out.print(frame_table(f"Duration (median {duration_text(p.duration.median_s)})", pl.DataFrame(lasting)))
    out.print("Recurrence: starts per member and hour, local time")
    top = max(p.recurrence.intensity) or 1.0
    for day, name in enumerate(("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")):
        week = p.recurrence.intensity[24 * day : 24 * day + 24]
        out.print(f"  {name} " + "".join(" ▁▂▃▄▅▆▇█"[round(8 * v / top)] for v in week))
    out.print(f"      {'0':<6}{'6':<6}{'12':<6}{'18':<6}")
    for uplift in p.recurrence.uplifts:
        out.print(f"  {uplift.kind}: starts {uplift.ratio:.2f} times as often ({uplift.low:.2f} to {uplift.high:.2f})")
    members = ", ".join(f"{m.workload_id} {m.weight:.2f}" for m in sorted(p.members, key=lambda m: -m.weight)[:12])
    out.print(f"Members ({len(p.members)}): {members}")


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


__all__ = ["duration_text", "persona_rows", "personas", "plan", "predict", "size_text"]
