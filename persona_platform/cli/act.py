"""Commands that act or explain: ``provision``, ``explain``, ``approve``, ``reject``, ``pause``, ``resume``."""

import getpass
import json
from datetime import UTC, datetime
from typing import Any

import click
import polars as pl
from rich.console import Console

from persona_platform.cli.options import at_option, err, frame_table, json_option, out, print_json
from persona_platform.cli.reading import Snapshot
from persona_platform.cli.runs import definitions, run_job
from persona_platform.errors import InputError
from persona_platform.now import resolve_now
from persona_platform.settings import Project, find_project


@click.command()
@click.option("--dry-run", is_flag=True, help="Show what would be done, and do nothing.")
@at_option
@json_option
def provision(dry_run: bool, at: datetime | None, as_json: bool) -> None:
    """Observe capacity, decide from the newest plan, and do what is due."""
    project = find_project()
    now = acting_instant(project, at)
    run_job(project, "observe_capacity", location="provisioning", at=now, console=err, title="Observe")
    rows = decided(project, now)
    if as_json:
        print_json({"actions": rows.to_dicts()})
    else:
        out.print(frame_table("Decided", action_rows(rows)) if rows.height else "Every floor stands where it should.")
    if not dry_run:
        tick(project, now, err)


def acting_instant(project: Project, at: datetime | None) -> datetime:
    """The instant to act at, by the same rule as planning."""
    from resources.project import ProjectState, state_path

    project.settings()  # its faults first
    state = ProjectState.load(state_path(project))
    if state is None:
        raise InputError("There are no samples yet: run `persona ingest PATH` first.")
    return resolve_now(at, datetime.now(UTC), state.newest, state.slot).at


def decided(project: Project, now: datetime) -> pl.DataFrame:
    """ACTIONS of ``decide()`` over the newest plan and inventory."""
    from persona_platform.automation.provisioning import INVENTORY_KEY, PLAN_KEY, decide_now, newest
    from resources.instance import dagster_instance
    from resources.ledger import Ledger
    from resources.project import ProjectResource

    with dagster_instance(project) as instance:
        plan = newest(instance, PLAN_KEY, "plan_id")
        inventory = newest(instance, INVENTORY_KEY, "inventory_id")
    if plan is None or inventory is None:
        raise InputError("There is no plan yet: run `persona replan` first.")
    ledger = Ledger(project.ledger)
    rows = decide_now(ProjectResource(home=str(project.home)), ledger, plan, inventory, now).rows
    ledger.close()
    return rows


def tick(project: Project, now: datetime, console: Console, *, quiet: bool = False) -> bool:
    """Evaluates the real sensor once and runs what it asks for; says why when it asks for nothing, unless quiet."""
    import dagster as dg

    from resources.instance import dagster_instance
    from resources.project import ProjectResource

    sensor = definitions(project, "provisioning").resolve_sensor_def("demand_exceeds_capacity")
    resource = ProjectResource(home=str(project.home), at=now.isoformat())
    with (
        dagster_instance(project) as instance,
        dg.build_sensor_context(instance=instance, resources={"project": resource}) as context,
    ):
        result = sensor.evaluate_tick(context)
    requests = result.run_requests or []
    if not requests:
        if not quiet:
            console.print(f"Nothing to provision: {result.skip_message}")
        return False
    request = requests[0]
    run_job(
        project,
        "provision_capacity",
        location="provisioning",
        at=now,
        ops=request.run_config["ops"],
        tags=request.tags,
        console=console,
        title=f"Provision at {now:%H:%M}",
    )
    return True


def action_rows(rows: pl.DataFrame) -> pl.DataFrame:
    """ACTIONS as a person reads them."""
    return rows.select(
        pl.col("key").str.slice(0, 12).alias("action"),
        "target",
        pl.col("from_floor").alias("from"),
        pl.col("to_floor").alias("to"),
        "wanted",
        "need_at",
        "expires_at",
        "bound_by",
        pl.when(pl.col("waits_for_approval")).then(pl.lit("yes")).otherwise(pl.lit("")).alias("waits"),
        "cost",
    )


@click.command()
@click.argument("action")
@json_option
def explain(action: str, as_json: bool) -> None:
    """Why an action was decided, from what, and what came of it. ACTION is the start of its key."""
    story = explained(find_project(), action)
    if as_json:
        print_json(story)
        return
    row = story["action"]
    out.print(f"[bold]{row['key']}[/bold]  target {row['target']}: floor {row['from_floor']} to {row['to_floor']}")
    out.print(
        f"Needed at {row['need_at']:%Y-%m-%d %H:%M} UTC, stands until {row['expires_at']:%H:%M}; wanted "
        f"{row['wanted']}, bound by {row['bound_by']}, costs {row['cost']:.2f}."
    )
    out.print(frame_table("Demand that was planned for, in units", pl.DataFrame(story["demand"])))
    out.print(frame_table("Expected by persona, in units", pl.DataFrame(story["personas"])))
    out.print(frame_table("The ledger's story", pl.DataFrame(story["entries"])))
    decision = story["decision"]
    out.print(
        f"Decided at {decision['now']:%Y-%m-%d %H:%M:%S} UTC from plan {decision['plan_id']}, inventory "
        f"{decision['inventory_id']}, limits {decision['limits_digest'][:12]}, ledger position "
        f"{decision['ledger_position']}."
    )


def explained(project: Project, prefix: str) -> dict[str, Any]:
    """Everything about one action: its row, the plan rows it covers, the personas behind them, its entries."""
    from resources.ledger import Ledger

    ledger = Ledger(project.ledger)
    entries = ledger.entries()
    keys = entries.filter((pl.col("kind") == "action") & pl.col("key").str.starts_with(prefix))["key"].to_list()
    if len(keys) != 1:
        newest = entries.filter(pl.col("kind") == "action")["key"].tail(5).str.slice(0, 12).to_list()
        raise InputError(
            f"{len(keys)} actions begin with {prefix!r}; the newest are {', '.join(newest) or 'none yet'}."
        )
    row = ledger.action(keys[0])
    assert row is not None
    decision = ledger.decision(row["decision_id"])
    plan_path = decision["files"]["plan"]["path"]
    covers = (pl.col("target") == row["target"]) & pl.col("slot").is_between(row["need_at"], row["expires_at"])
    demand = pl.read_parquet(plan_path, glob=False).filter(covers).drop("plan_id", "origin", "target")
    evidence = pl.read_parquet(plan_path.replace(".parquet", ".evidence.parquet"), glob=False).filter(covers)
    names = {p.persona_id: p.name for p in Snapshot.open(project).catalog.personas}
    by_persona = (
        evidence.group_by("persona_id")
        .agg(pl.col("expected").max())
        .with_columns(name=pl.col("persona_id").replace_strict(names, default="other"))
        .sort("expected", descending=True)
        .select("persona_id", "name", "expected")
    )
    own = entries.filter(pl.col("key") == keys[0]).select("seq", "at", "kind", "body")
    ledger.close()
    return {
        "action": row,
        "decision": decision,
        "demand": demand.to_dicts(),
        "personas": by_persona.to_dicts(),
        "entries": [{**e, "body": _short(e["body"])} for e in own.to_dicts()],
    }


def _short(body: str) -> str:
    said = {k: v for k, v in json.loads(body).items() if not isinstance(v, dict | list)}
    return ", ".join(f"{k} {v}" for k, v in list(said.items())[:6])


@click.command()
@click.argument("action")
def approve(action: str) -> None:
    """Approve an action that waits."""
    _answer(action, approved=True)


@click.command()
@click.argument("action")
def reject(action: str) -> None:
    """Reject an action that waits."""
    _answer(action, approved=False)


def _answer(action: str, *, approved: bool) -> None:
    from resources.ledger import Ledger

    ledger = Ledger(find_project().ledger)
    by, at = getpass.getuser(), datetime.now(UTC)
    (ledger.approve if approved else ledger.reject)(action, by=by, at=at)
    ledger.close()
    out.print(f"{'Approved' if approved else 'Rejected'} by {by}.")


@click.command()
@click.argument("target", default="*")
def pause(target: str) -> None:
    """Stop all writes to TARGET, or to every target, until resumed."""
    _switch(target, paused=True)


@click.command()
@click.argument("target", default="*")
def resume(target: str) -> None:
    """End a pause of TARGET, or the pause of everything."""
    _switch(target, paused=False)


def _switch(target: str, *, paused: bool) -> None:
    from resources.ledger import Ledger
    from resources.project import ProjectResource
    from resources.targets import configured_targets

    project = find_project()
    if target != "*":
        known = [t.name for t in configured_targets(ProjectResource(home=str(project.home)))]
        if target not in known:
            raise InputError(f"There is no target {target}: known are {', '.join(known)}.")
    ledger = Ledger(project.ledger)
    (ledger.pause if paused else ledger.resume)(target, by=getpass.getuser(), at=datetime.now(UTC))
    ledger.close()
    out.print(f"{'Paused' if paused else 'Resumed'} {'every target' if target == '*' else target}.")
