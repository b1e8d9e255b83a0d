"""The provisioning location's assets: what capacity exists, and what came of the actions.

Kept apart from :mod:`assets.capacity` because this location starts fast: nothing here imports dbt or models.
"""

import hashlib
import json
from collections.abc import Iterator, Sequence
from datetime import datetime

import dagster as dg
import polars as pl

from assets.metadata import CAPACITY_TEAM, table
from persona_platform.capacity.targets import Target
from persona_platform.errors import InputError
from persona_platform.feedback.outcomes import outcomes as judge
from persona_platform.frames import INVENTORY, OBSERVED, conform, empty
from persona_platform.now import FRESH_AT_LEAST
from resources.ledger import Ledger
from resources.named_files import file_digest, forget, read_newest, write_named
from resources.project import ProjectResource
from resources.provisioners import Provisioner, observed_now
from resources.provisioners.configured import configured_provisioner
from resources.provisioners.protocol import settle, sweep
from resources.targets import configured_targets

INVENTORY_KEY = dg.AssetKey(["capacity", "inventory"])
OUTCOMES_KEY = dg.AssetKey(["feedback", "outcomes"])
KEPT_INVENTORIES = 500
"""Taken every five minutes, and after each action: over a day."""
KEPT_PLANS = 2000
"""Made every 15 minutes: three weeks, of which calibration reads one."""


@dg.multi_asset(
    name="inventory",
    specs=[
        dg.AssetSpec(
            INVENTORY_KEY,
            group_name="capacity",
            owners=[CAPACITY_TEAM],
            kinds={"parquet"},
            description="What each target has: usable and booting units, the floor in force, demand in the newest "
            "slot read. Read from the provisioners; expired floors are released on the way.",
        ),
        dg.AssetSpec(
            OUTCOMES_KEY,
            deps=[INVENTORY_KEY],
            group_name="feedback",
            owners=[CAPACITY_TEAM],
            kinds={"parquet"},
            description="What came of every action: met, partial or unmet, how long before the need, and the peak "
            "of demand that followed.",
        ),
    ],
    pool="provisioning",
)
def inventory(context: dg.AssetExecutionContext, project: ProjectResource):  # noqa: ANN201 (Dagster reads the hint)
    """Observes every target and judges the actions so far."""
    now = project.clock(context)
    frame, judged = take_inventory(project, now)
    yield dg.MaterializeResult(asset_key=INVENTORY_KEY, metadata=inventory_metadata(project, frame))
    yield dg.MaterializeResult(
        asset_key=OUTCOMES_KEY,
        metadata={
            "dagster/row_count": judged.height,
            "newest": table(judged.sort("need_at", descending=True).drop("key"), rows=20),
        },
    )


def take_inventory(project: ProjectResource, now: datetime) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Observes, settles open actions, releases expired floors; returns INVENTORY and OUTCOMES."""
    targets = sized_targets(project)
    observed = observed_demand(project, now)
    oldest = now - max(2 * project.slot(), FRESH_AT_LEAST)
    recent = observed.filter(pl.col("slot") + project.slot() > oldest)  # an older reading is not what happens now
    ledger = Ledger(project.project.ledger)
    parts = []
    for provisioner, own in provisioners_of(project, targets):
        sweep(ledger, provisioner, now, targets=own)
        parts.append(provisioner.observe(own, observed_now(recent), now))
    frame = with_id(pl.concat(parts))
    write_named(project.project.inventory, frame["inventory_id"][0], frame)
    past = past_inventories(project)
    settle(ledger, past, observed, now)
    entries = ledger.entries()
    ledger.close()
    judged = judge(entries, past, observed, now)
    project.frames.write("feedback/outcomes", judged, f"at-{now:%Y%m%dT%H%M%S%f}")
    forget_unnamed(project, entries)
    return frame, judged


def forget_unnamed(project: ProjectResource, entries: pl.DataFrame) -> None:
    """Deletes old plans and inventories that no decision was made from."""
    bodies = [json.loads(body) for body in entries.filter(pl.col("kind") == "decision")["body"]]
    folder = project.project
    forget(folder.plans, named={b["plan_id"] for b in bodies}, keep=KEPT_PLANS)
    forget(folder.inventory, named={b["inventory_id"] for b in bodies}, keep=KEPT_INVENTORIES)


def provisioners_of(project: ProjectResource, targets: Sequence[Target]) -> Iterator[tuple[Provisioner, list[str]]]:
    """Each provisioner in use, with the names of its targets."""
    settings = project.settings()
    for name in sorted({t.provisioner for t in targets}):
        own = [t.name for t in targets if t.provisioner == name]
        yield configured_provisioner(project.project, settings, name), own


def sized_targets(project: ProjectResource) -> Sequence[Target]:
    """The targets that have a unit; :class:`InputError` before the first refit."""
    if not project.frames.has("capacity/units"):
        raise InputError("No target has a unit yet: run `persona replan` first.")
    known = set(project.frames.read("capacity/units", name="targets")["target"])
    return [t for t in configured_targets(project) if t.name in known]


def observed_demand(project: ProjectResource, now: datetime) -> pl.DataFrame:
    """OBSERVED up to ``now``, as the newest replan left it."""
    frame = project.frames.read("forecasts/demand", name="observed")
    return conform(frame.filter(pl.col("slot") < now), OBSERVED, "forecasts/demand")


def with_id(frame: pl.DataFrame) -> pl.DataFrame:
    """INVENTORY with an id that is a digest of its content."""
    rows = frame.sort("target").drop("inventory_id", strict=False)
    digest = hashlib.sha256(rows.write_csv().encode()).hexdigest()[:16]
    return conform(rows.with_columns(inventory_id=pl.lit(digest)), INVENTORY, "The inventory")


def past_inventories(project: ProjectResource) -> pl.DataFrame:
    """The newest inventories, oldest first, as one frame."""
    rows = read_newest(project.project.inventory, KEPT_INVENTORIES)
    return empty(INVENTORY) if rows is None else rows.sort("observed_at", "target")


def inventory_metadata(project: ProjectResource, frame: pl.DataFrame) -> dict[str, dg.MetadataValue]:
    """What the sensor and a reader need to know of an inventory."""
    path = project.project.inventory / f"{frame['inventory_id'][0]}.parquet"
    return {
        "inventory_id": dg.MetadataValue.text(frame["inventory_id"][0]),
        "observed_at": dg.MetadataValue.text(frame["observed_at"][0].isoformat()),
        "path": dg.MetadataValue.path(str(path)),
        "digest": dg.MetadataValue.text(file_digest(path)),
        "inventory": table(frame.drop("inventory_id")),
    }
