"""Group ``warehouse``: the dbt models, staging and marts, run for the days that changed.

What belongs here: handing dbt its days and its keys. What a mart holds is written in ``dbt/``.
"""

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import dagster as dg
from dagster_dbt import DagsterDbtTranslator, DbtCliResource, dbt_assets

from assets.metadata import DATA_TEAM
from assets.raw import project_warehouse
from resources.project import ProjectResource

DBT_PROJECT: Final = Path(__file__).parent.parent / "dbt"
MANIFEST: Final = DBT_PROJECT / "target" / "manifest.json"

USAGE = dg.AssetKey(["warehouse", "usage_per_slot"])
ACTIVITY = dg.AssetKey(["warehouse", "activity_per_slot"])
CALENDAR = dg.AssetKey(["warehouse", "calendar_per_slot"])
MARTS: Final = [USAGE, ACTIVITY, CALENDAR]


class WarehouseKeys(DagsterDbtTranslator):
    """dbt's names as ours: a source is ``raw/<table>``, a model ``warehouse/<model>``."""

    def get_asset_key(self, dbt_resource_props: Mapping[str, Any]) -> dg.AssetKey:
        """The two-part key of a source or model."""
        group = "raw" if dbt_resource_props["resource_type"] == "source" else "warehouse"
        return dg.AssetKey([group, dbt_resource_props["name"]])

    def get_group_name(self, dbt_resource_props: Mapping[str, Any]) -> str:
        """One group for all models."""
        return "warehouse" if dbt_resource_props["resource_type"] != "source" else "raw"

    def get_owners(self, dbt_resource_props: Mapping[str, Any]) -> list[str]:  # noqa: ARG002 (dagster-dbt's signature)
        """The data team."""
        return [DATA_TEAM]


def warehouse_assets(manifest: Path = MANIFEST) -> dg.AssetsDefinition:
    """The dbt models as assets and their tests as asset checks, from a manifest built by ``make install``."""

    @dbt_assets(manifest=manifest, dagster_dbt_translator=WarehouseKeys(), name="marts", pool="warehouse")
    def marts(context: dg.AssetExecutionContext, dbt: DbtCliResource, project: ProjectResource) -> Iterator[Any]:
        folder = project.project
        warehouse = project_warehouse(project)
        stale = warehouse.stale()
        context.log.info(f"{len(stale.days)} days have changed since the marts were last built")
        # dbt reads both through env_var; one dbt invocation at a time a process (the warehouse pool)
        os.environ["PERSONA_WAREHOUSE"] = str(folder.warehouse)
        os.environ["PERSONA_MARTS"] = str(folder.marts)
        target = folder.state / "dbt" / context.run.run_id
        chosen = {"days": [d.isoformat() for d in stale.days]}
        yield from dbt.cli(["build", "--vars", json.dumps(chosen)], context=context, target_path=target).stream()
        warehouse.mark_done(stale.days, stale.token)

    return marts
