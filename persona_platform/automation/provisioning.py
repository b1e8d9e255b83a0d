"""The provisioning location's sensor and jobs: from a plan and an inventory to floors that stand.

The sensor opens the two files that the newest events name, asks ``decide()``, and requests one run with all that
is due. The op decides again from the same files and the ledger as it stands then, records what it decided from,
and performs: a decision that has gone stale between tick and run is never carried out.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import dagster as dg
import polars as pl

from assets.inventory import (
    INVENTORY_KEY,
    inventory_metadata,
    provisioners_of,
    sized_targets,
    take_inventory,
)
from persona_platform.automation.jobs import LANE
from persona_platform.capacity.decide import decide, due
from persona_platform.capacity.ledger_view import ledger_view
from persona_platform.capacity.limits import digest, limits_frame
from persona_platform.errors import InputError, PermanentProvisioningError, TemporaryProvisioningError
from persona_platform.frames import LIMITS, PLAN, Schema
from persona_platform.now import FRESH_AT_LEAST, parse_instant
from resources.ledger import Ledger
from resources.project import ProjectResource
from resources.provisioners.protocol import Performed, perform, resume

PLAN_KEY: Final = dg.AssetKey(["capacity", "plan"])
PAIR_TAG: Final = "persona_platform/decided_from"
GAINED: Final = ("suitable", "act_unsuitable")
"""Columns of PLAN and LIMITS that files of older versions lack."""

MAX_ATTEMPTS: Final = 3
OPEN_STATUSES: Final = (
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
)


@dataclass(frozen=True)
class Named:
    """A plan or an inventory as its materialization named it."""

    id: str
    path: Path
    digest: str

    def read(self) -> pl.DataFrame:
        """The frame; :class:`InputError` when the file is gone or is not the one that was named."""
        try:
            content = self.path.read_bytes()
        except FileNotFoundError:
            raise InputError(f"{self.path} is gone: materialize capacity/plan and capacity/inventory again.") from None
        if hashlib.sha256(content).hexdigest() != self.digest:
            raise InputError(f"{self.path} is not the file that was decided from: its digest differs.")
        return pl.read_parquet(self.path, glob=False)


@dataclass(frozen=True)
class Decision:
    """What was decided, and what it was decided from beside the plan and the inventory."""

    rows: pl.DataFrame
    limits: pl.DataFrame
    view: pl.DataFrame
    """LEDGER_VIEW: the fold of the entries up to ``position``."""
    position: int
    now: datetime

    @property
    def due(self) -> pl.DataFrame:
        """The rows to perform now."""
        return due(self.rows)


def decide_now(project: ProjectResource, ledger: Ledger, plan: Named, inventory: Named, now: datetime) -> Decision:
    """``decide()`` over the two files and the ledger as it stands."""
    settings = project.settings()
    targets = sized_targets(project)
    limits = limits_frame(targets, global_budget=settings.budget_day)
    if abs(datetime.now(UTC) - now) > FRESH_AT_LEAST:  # another time is acted in on the simulated cluster only
        real = pl.col("provisioner") != "simulated"
        limits = limits.with_columns(mode=pl.when(real).then(pl.lit("observe")).otherwise("mode"))
    position = ledger.position()
    return decide_from(plan.read(), inventory.read(), ledger.entries(up_to=position), limits, position, now)


def decide_from(
    plan: pl.DataFrame,
    inventory: pl.DataFrame,
    entries: pl.DataFrame,
    limits: pl.DataFrame,
    position: int,
    now: datetime,
) -> Decision:
    """A decision from frames alone: the one way that every decision is made, the first time and again.

    Args:
        plan: PLAN as its file holds it.
        inventory: INVENTORY as its file holds it.
        entries: the ledger's entries; those after ``position`` are left out.
        limits: LIMITS as they were, or are kept.
        position: the ledger's newest seq that counts.
        now: the instant of the decision, aware.
    """
    view = ledger_view(entries.filter(pl.col("seq") <= position), limits["target"].to_list(), now)
    rows = decide(with_later_columns(plan, PLAN), inventory, view, with_later_columns(limits, LIMITS), now)
    return Decision(rows, limits, view, position, now)


def with_later_columns(frame: pl.DataFrame, schema: Schema) -> pl.DataFrame:
    """A kept frame with the columns that its contract has gained since it was written: null, as nobody knew."""
    gained = [name for name in GAINED if name in schema and name not in frame.columns]
    return frame.with_columns(pl.lit(None, schema[name]).alias(name) for name in gained)


def newest(instance: dg.DagsterInstance, key: dg.AssetKey, id_name: str) -> Named | None:
    """The plan or inventory of the newest materialization, or None."""
    event = instance.get_latest_materialization_event(key)
    if event is None or event.asset_materialization is None:
        return None
    said = {name: value.value for name, value in event.asset_materialization.metadata.items()}
    return Named(str(said[id_name]), Path(str(said["path"])), str(said["digest"]))


class ProvisionConfig(dg.Config):
    """The plan and the inventory to decide from, as their events named them."""

    plan_id: str
    plan_path: str
    plan_digest: str
    inventory_id: str
    inventory_path: str
    inventory_digest: str


@dg.op(
    pool="provisioning",
    retry_policy=dg.RetryPolicy(max_retries=3, delay=2, backoff=dg.Backoff.EXPONENTIAL, jitter=dg.Jitter.PLUS_MINUS),
    description="Decides again from the same plan and inventory, writes what is due, and takes the inventory anew.",
)
def provision(context: dg.OpExecutionContext, config: ProvisionConfig, project: ProjectResource) -> None:
    """Temporary failures are tried again with the same action keys; refusals fail the run at once."""
    now = project.clock(context)
    plan = Named(config.plan_id, Path(config.plan_path), config.plan_digest)
    inventory = Named(config.inventory_id, Path(config.inventory_path), config.inventory_digest)
    try:
        performed = provision_due(project, plan, inventory, now)
    except PermanentProvisioningError as refused:
        raise dg.Failure(description=str(refused), allow_retries=False) from refused
    except TemporaryProvisioningError as passing:
        raise dg.RetryRequested(max_retries=3, seconds_to_wait=2) from passing
    for one in performed:
        context.log.info(str(one))
    frame, _ = take_inventory(project, now)
    context.log_event(dg.AssetMaterialization(asset_key=INVENTORY_KEY, metadata=inventory_metadata(project, frame)))  # pyright: ignore[reportArgumentType]
    refused = [str(one) for one in performed if one.result == "failed"]
    if refused:  # told in the ledger, and the others were performed
        raise dg.Failure(description="; ".join(refused), allow_retries=False)


def provision_due(project: ProjectResource, plan: Named, inventory: Named, now: datetime) -> Sequence[Performed]:
    """Decides, records the decision in the ledger, performs what is due; what each action came to."""
    ledger = Ledger(project.project.ledger)
    targets = sized_targets(project)
    provisioners = list(provisioners_of(project, targets))
    for provisioner, own in provisioners:
        resume(ledger, provisioner, now, targets=own)  # what a killed run began
    decision = decide_now(project, ledger, plan, inventory, now)
    decision_id = record(project, ledger, decision, plan, inventory)
    done: list[Performed] = []
    for provisioner, own in provisioners:
        rows = decision.due.filter(pl.col("target").is_in(own))
        done += perform(rows, ledger, provisioner, now, decision_id=decision_id)
    ledger.close()
    return done


def record(project: ProjectResource, ledger: Ledger, decision: Decision, plan: Named, inventory: Named) -> str:
    """Keeps everything that makes the decision repeatable, and returns its id.

    The ledger's view could be folded again; it is kept to tell whether a later difference is the past's or
    ``decide``'s.
    """
    limits_digest = digest(decision.limits)
    decision_id = decision_key(plan.id, inventory.id, limits_digest, decision.position, decision.now)
    folder = project.project.decisions / decision_id
    folder.mkdir(parents=True, exist_ok=True)
    files: dict[str, Mapping[str, str]] = {
        "plan": {"path": str(plan.path), "digest": plan.digest},
        "inventory": {"path": str(inventory.path), "digest": inventory.digest},
    }
    for name, frame in (("limits", decision.limits), ("view", decision.view), ("actions", decision.rows)):
        path = folder / f"{name}.parquet"
        frame.write_parquet(path)
        files[name] = {"path": str(path), "digest": digest(frame)}
    ledger.record_decision(
        decision_id,
        plan_id=plan.id,
        inventory_id=inventory.id,
        limits_digest=limits_digest,
        ledger_position=decision.position,
        now=decision.now,
        files=files,
        actions=decision.rows,
    )
    return decision_id


def decision_key(plan_id: str, inventory_id: str, limits_digest: str, position: int, now: datetime) -> str:
    """16 hex characters that name a decision by what it was made from."""
    named = f"{plan_id}:{inventory_id}:{limits_digest}:{position}:{now.astimezone(UTC).isoformat()}"
    return hashlib.sha256(named.encode()).hexdigest()[:16]


@dg.job(
    executor_def=dg.in_process_executor,
    tags={LANE: "provisioning"},
    description="Raises and releases floors: started by the sensor whenever something is due.",
)
def provision_capacity() -> None:
    """One op: the decision and its execution belong together."""
    provision()


@dg.sensor(
    job=provision_capacity,
    minimum_interval_seconds=5,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Asks for a provisioning run whenever what the newest plan needs exceeds the capacity in the "
    "newest inventory, or a floor may be lowered. Level-triggered: it compares states, not events.",
)
def demand_exceeds_capacity(
    context: dg.SensorEvaluationContext, project: ProjectResource
) -> dg.RunRequest | dg.SkipReason:
    """At most one run a tick, with all due actions; none while the last one for the same pair still runs."""
    plan = newest(context.instance, PLAN_KEY, "plan_id")
    inventory = newest(context.instance, INVENTORY_KEY, "inventory_id")
    if plan is None or inventory is None:
        missing = "plan" if plan is None else "inventory"
        return dg.SkipReason(f"There is no {missing} yet.")
    ledger = Ledger(project.project.ledger)
    decision = decide_now(project, ledger, plan, inventory, sensor_clock(project))
    ledger.close()
    if decision.due.height == 0:
        return dg.SkipReason(why_nothing(decision.rows))
    pair = f"{plan.id}:{inventory.id}"
    before = context.instance.get_run_records(dg.RunsFilter(tags={PAIR_TAG: pair}))
    if any(r.dagster_run.status in OPEN_STATUSES for r in before):
        return dg.SkipReason("A run for this plan and inventory is under way.")
    if len(before) >= MAX_ATTEMPTS:
        return dg.SkipReason(
            f"{len(before)} runs for this plan and inventory did not settle it: waiting for a new plan."
        )
    return run_request(plan, inventory, attempt=len(before) + 1)


def run_request(plan: Named, inventory: Named, attempt: int) -> dg.RunRequest:
    """The run for one pair; a key is remembered for ever, so it carries the attempt."""
    config = {
        "plan_id": plan.id,
        "plan_path": str(plan.path),
        "plan_digest": plan.digest,
        "inventory_id": inventory.id,
        "inventory_path": str(inventory.path),
        "inventory_digest": inventory.digest,
    }
    return dg.RunRequest(
        run_key=f"{plan.id}:{inventory.id}:{attempt}",
        run_config={"ops": {"provision": {"config": config}}},
        tags={PAIR_TAG: f"{plan.id}:{inventory.id}", "persona_platform/plan": plan.id},
    )


def sensor_clock(project: ProjectResource) -> datetime:
    """The instant of a tick: the project's fixed one, else the clock."""
    return parse_instant(project.at) if project.at else datetime.now(UTC)


def why_nothing(rows: pl.DataFrame) -> str:
    """One sentence on why nothing is due, with what each bound target would have wanted."""
    bound = rows.filter((pl.col("wanted") > pl.col("from_floor")) & (pl.col("bound_by") != "none"))
    if bound.height == 0:
        return "Every floor stands where the plan needs it."
    said = [
        f"{r['target']} would go {r['from_floor']} to {r['wanted']} (bound by {r['bound_by']})"
        for r in bound.head(5).iter_rows(named=True)
    ]
    return "; ".join(said) + ("" if bound.height <= 5 else f"; {bound.height - 5} more")


def observe_capacity_job() -> Any:
    """The job that observes: inventory and outcomes."""
    return dg.define_asset_job(
        "observe_capacity",
        selection=dg.AssetSelection.assets(INVENTORY_KEY, ["feedback", "outcomes"]),
        executor_def=dg.in_process_executor,
        tags={LANE: "provisioning"},
        description="Observes every target, settles open actions, releases expired floors.",
    )


OBSERVE_EVERY: Final = timedelta(minutes=5)


def observe_schedule(job: Any) -> dg.ScheduleDefinition:
    """Every five minutes: a floor lives for an hour past its need, so an observation may be late but not long."""
    return dg.ScheduleDefinition(
        name="observe_capacity_schedule",
        job=job,
        cron_schedule=f"*/{int(OBSERVE_EVERY.total_seconds() // 60)} * * * *",
        default_status=dg.DefaultScheduleStatus.RUNNING,
    )
