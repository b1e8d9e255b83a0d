"""What the demonstration tells at its end: learned, likely next, plan, provisioned and why, saved; and the page."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import polars as pl
from rich.console import Console

from persona_platform.cli.act import action_rows
from persona_platform.cli.comparison import kept_comparison
from persona_platform.cli.options import frame_table
from persona_platform.cli.personas import personas_table
from persona_platform.cli.reading import Snapshot
from persona_platform.frames import ACTIONS, EVIDENCE, TS, empty
from persona_platform.settings import Project


@dataclass(frozen=True)
class Deeds:
    """What was done and what came of it."""

    actions: pl.DataFrame
    """ACTIONS with ``decided_at`` and ``plan_id``."""
    outcomes: pl.DataFrame
    inventories: pl.DataFrame
    evidence: pl.DataFrame


def deeds(project: Project) -> Deeds:
    """Read from the ledger, the kept inventories and the plans that the actions name."""
    from assets.inventory import past_inventories
    from resources.ledger import Ledger
    from resources.project import ProjectResource

    resource = ProjectResource(home=str(project.home))
    ledger = Ledger(project.ledger)
    claimed = ledger.entries().filter(pl.col("kind") == "action").select("key", "at").rows()
    rows = [
        {**row, "decided_at": at, "plan_id": ledger.decision(row["decision_id"])["plan_id"]}
        for key, at in claimed
        if (row := ledger.action(key)) is not None
    ]
    ledger.close()
    columns = {**ACTIONS, "decided_at": TS, "plan_id": pl.String}
    actions = pl.DataFrame([{name: row[name] for name in columns} for row in rows], schema=columns)
    evidence = [
        pl.read_parquet(path, glob=False)
        for plan_id in actions["plan_id"].unique().sort()
        if (path := project.plans / f"{plan_id}.evidence.parquet").is_file()
    ]
    return Deeds(
        actions,
        resource.frames.read("feedback/outcomes"),
        past_inventories(resource),
        pl.concat(evidence) if evidence else empty(EVIDENCE),
    )


def tell(project: Project, first: datetime, out: Console) -> None:
    """Prints the story and writes ``report.html`` into the project folder."""
    snapshot = Snapshot.open(project)
    done = deeds(project)
    out.rule("What was learned")
    out.print(personas_table(list(snapshot.catalog.personas)))
    out.rule("What is likely next")
    likely = snapshot.persona_outlook(timedelta(hours=1)).head(15)
    out.print(frame_table(f"Within an hour of {snapshot.origin:%H:%M} UTC", likely))
    out.rule("The plan")
    out.print(
        frame_table("Demand within an hour, in units, beside capacity", snapshot.demand_within(timedelta(hours=1)))
    )
    out.rule("What was provisioned, and why")
    shown = action_rows(done.actions.filter(pl.col("decided_at") <= first).select(ACTIONS.keys()))
    out.print(frame_table(f"Decided at {first:%H:%M} UTC", shown))
    out.print(frame_table("What came of it", outcome_rows(done.outcomes)))
    if done.actions.height:
        out.print(f"Why: persona explain {done.actions['key'][0][:12]}  (in {project.home})")
    comparison = kept_comparison(project)
    if comparison is not None:
        out.rule("What it saved over the last two days")
        out.print(frame_table("At the same unserved share", savings_rows(comparison)))
    path = report(project, snapshot, done)
    out.print(f"\nThe report is {path}; `make up` shows the lineage and runs in the Dagster UI.")


def outcome_rows(outcomes: pl.DataFrame) -> pl.DataFrame:
    """OUTCOMES as a person reads them."""
    return outcomes.sort("need_at", "target").select(
        pl.col("key").str.slice(0, 12).alias("action"),
        "target",
        pl.col("from_floor").alias("from"),
        pl.col("to_floor").alias("to"),
        "need_at",
        "ready_at",
        "outcome",
        (pl.col("ahead_s") / 60).alias("minutes_ahead"),
        "peak_demand",
    )


def savings_rows(comparison) -> pl.DataFrame:  # noqa: ANN001 (replay.scores is imported late)
    """Ours as planned beside the three references, for all targets together and each."""
    from persona_platform.replay.outcomes import AS_PLANNED
    from persona_platform.replay.scores import savings

    rows = savings(comparison, levels=()).filter(pl.col("basis") == AS_PLANNED)
    return rows.select(
        "target",
        (100 * pl.col("unserved_share")).alias("unserved_%"),
        pl.col("ours").alias("cost_ours"),
        pl.col("reactive"),
        pl.col("reactive_tuned"),
        pl.col("clairvoyant"),
        (100 * pl.col("saved_reactive")).alias("saved_%"),
        (100 * pl.col("saved_reactive_tuned")).alias("saved_tuned_%"),
        pl.col("gap_closed"),
    )


def report(project: Project, snapshot: Snapshot, done: Deeds) -> Path:
    """Writes ``report.html``."""
    from persona_platform.capacity.limits import limits_frame
    from persona_platform.replay.report import ReportData, write_report
    from resources.project import ProjectResource
    from resources.targets import configured_targets

    frames = snapshot.frames
    outlook = frames.read_all("outlook/outlook")
    demand = frames.read_all("forecasts/demand")
    evidence = pl.concat([frames.read("capacity/plan", name="evidence"), done.evidence], how="vertical").unique()
    path = project.home / "report.html"
    write_report(
        path,
        ReportData(
            title=f"Persona Platform: {project.settings().project.name}",
            origin=snapshot.origin,
            slot=snapshot.slot,
            personas=snapshot.catalog.personas,
            persona_outlook=outlook["personas"],
            activation_outlook=outlook["activations"],
            observed=demand["observed"].filter(pl.col("slot") >= snapshot.origin - timedelta(days=7)),
            demand=demand["demand"],
            combination=frames.read("forecasts/combination", name="weights"),
            plan=snapshot.plan,
            evidence=evidence,
            units=frames.read("capacity/units", name="units"),
            limits=limits_frame(configured_targets(ProjectResource(home=str(project.home)))),
            inventories=done.inventories,
            actions=done.actions,
            outcomes=done.outcomes,
            comparison=kept_comparison(project),
        ),
    )
    return path
