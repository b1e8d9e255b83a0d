"""Both code locations load, with and without a project folder, and hold what the design names."""

import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest

from persona_platform.locations import planning, provisioning

KEYS = {
    "raw/utilization_samples",
    "raw/workloads",
    "raw/calendar_events",
    "raw/covariates",
    "warehouse/usage_per_slot",
    "warehouse/activity_per_slot",
    "warehouse/calendar_per_slot",
    "personas/activations",
    "personas/catalog",
    "personas/membership",
    "outlook/model",
    "outlook/outlook",
    "forecasts/combination",
    "forecasts/demand",
    "capacity/plan",
    "feedback/calibration",
}


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "persona.toml").write_text('[project]\nname = "x"\n', encoding="utf-8")
    return tmp_path


@pytest.mark.parametrize("with_project", [True, False])
def test_planning_loads_and_holds_every_asset(home: Path, with_project: bool) -> None:
    defs = planning.build_defs(home if with_project else None)
    dg.Definitions.validate_loadable(defs)
    graph = defs.resolve_asset_graph()
    keys = {k.to_user_string() for k in graph.materializable_asset_keys}
    assert keys >= KEYS
    for key in graph.materializable_asset_keys:
        node = graph.get(key)
        assert node.description, key
        assert node.owners, key
        assert node.kinds, key


@pytest.mark.parametrize("with_project", [True, False])
def test_provisioning_loads_and_holds_sensor_job_and_inventory(home: Path, with_project: bool) -> None:
    defs = provisioning.build_defs(home if with_project else None)
    dg.Definitions.validate_loadable(defs)
    assert defs.resolve_sensor_def("demand_exceeds_capacity").job_name == "provision_capacity"
    keys = {k.to_user_string() for k in defs.resolve_asset_graph().materializable_asset_keys}
    assert keys == {"capacity/inventory", "feedback/outcomes"}


def test_planning_never_reads_inventory() -> None:
    code = (
        "import sys; import persona_platform.locations.planning; print([m for m in sys.modules if 'provisioners' in m])"
    )
    assert _printed(code) == "[]"


@pytest.mark.parametrize("module", ["dagster_dbt", "dbt", "sktime", "sklearn", "pandas", "altair"])
def test_provisioning_starts_without_slow_libraries(module: str) -> None:
    code = f"import sys; import persona_platform.locations.provisioning; print({module!r} in sys.modules)"
    assert _printed(code) == "False"


def _printed(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.strip()
