"""Provisioning as the daemon does it, on an ephemeral instance: ticks of the sensor and runs of the op."""

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl

from assets.inventory import INVENTORY_KEY, inventory_metadata, take_inventory
from persona_platform.automation.provisioning import PLAN_KEY, demand_exceeds_capacity, provision_capacity
from persona_platform.settings import Project
from resources.frames import FrameStore
from resources.ledger import Ledger
from resources.project import ProjectResource
from resources.provisioners.simulated import SimulatedProvisioner

SAMPLE = Path(__file__).parent.parent.parent / "data"
NOW = datetime(2026, 3, 13, 9, 40, tzinfo=UTC)


@dataclass(frozen=True)
class Acting:
    """A project and an instance; everything happens at NOW unless said otherwise."""

    project: Project
    instance: dg.DagsterInstance

    def resource(self, at: datetime = NOW) -> ProjectResource:
        return ProjectResource(home=str(self.project.home), at=at.isoformat())

    def configure(self, old: str, new: str) -> None:
        text = self.project.config.read_text(encoding="utf-8")
        assert old in text
        self.project.config.write_text(text.replace(old, new), encoding="utf-8")

    def plan(self) -> str:
        """Says that the newest plan was materialized, as the planning location would; its id."""
        plan_id = FrameStore(self.project.frames).read("capacity/plan", name="plan")["plan_id"][0]
        path = self.project.plans / f"{plan_id}.parquet"
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        said = {"plan_id": plan_id, "path": str(path), "digest": digest}
        self.instance.report_runless_asset_event(dg.AssetMaterialization(PLAN_KEY, metadata=said))
        return plan_id

    def observe(self, at: datetime = NOW) -> pl.DataFrame:
        """Takes the inventory and says so; INVENTORY."""
        frame, _ = take_inventory(self.resource(at), at)
        said: Any = inventory_metadata(self.resource(at), frame)
        self.instance.report_runless_asset_event(dg.AssetMaterialization(INVENTORY_KEY, metadata=said))
        return frame

    def tick(self, at: datetime = NOW) -> dg.RunRequest | dg.SkipReason:
        with dg.build_sensor_context(instance=self.instance, resources={"project": self.resource(at)}) as context:
            result = demand_exceeds_capacity(context)
        assert isinstance(result, dg.RunRequest | dg.SkipReason)
        return result

    def asked(self, at: datetime = NOW) -> dg.RunRequest:
        """The run that a tick asks for."""
        request = self.tick(at)
        assert isinstance(request, dg.RunRequest), request
        return request

    def skipped(self, at: datetime = NOW) -> str:
        """Why a tick asks for nothing."""
        reason = self.tick(at)
        assert isinstance(reason, dg.SkipReason), reason
        return str(reason.skip_message)

    def run(self, request: dg.RunRequest, at: datetime = NOW) -> dg.ExecuteInProcessResult:
        return provision_capacity.execute_in_process(
            instance=self.instance,
            resources={"project": self.resource(at)},
            run_config=request.run_config,
            tags=request.tags,
            raise_on_error=False,
        )

    def entries(self, kind: str) -> pl.DataFrame:
        ledger = Ledger(self.project.ledger)
        found = ledger.entries().filter(pl.col("kind") == kind)
        ledger.close()
        return found

    def writes(self) -> dict[str, list[int]]:
        """The floors that each target has had, in order, repetitions left out."""
        cluster = SimulatedProvisioner(self.project.simulated)
        names = FrameStore(self.project.frames).read("capacity/units", name="targets")["target"]
        floors = {name: cluster.history(name)["floor"] for name in names}
        return {name: found.filter(found != found.shift(1).fill_null(-1)).to_list() for name, found in floors.items()}
