"""The raw assets and the activity sensor over the committed sample, and what they say of themselves."""

from datetime import date, timedelta
from pathlib import Path

import dagster as dg
import polars as pl
import pytest
from acting import NOW, SAMPLE
from dagster._core.definitions.data_version import DATA_VERSION_TAG

from assets.raw import raw_assets
from persona_platform.locations import planning
from persona_platform.settings import Project
from resources.frames import FramesIOManager, FrameStore
from resources.instance import dagster_instance
from resources.persona_store import PersonaStore
from resources.project import ProjectResource, ProjectState, state_path
from resources.warehouse import Warehouse

FIRST = date(2026, 3, 1)


@pytest.fixture
def home(tmp_path: Path) -> Project:
    (tmp_path / "persona.toml").write_text(
        f'[project]\nname = "x"\n[sources]\nworkloads = "{SAMPLE / "workloads.csv"}"\n'
        f'[calendars]\nfiles = ["{SAMPLE / "events.csv"}", "{SAMPLE / "calendar.ics"}"]\nholidays = ["DE"]\n',
        encoding="utf-8",
    )
    return Project(tmp_path)


def materialized(home: Project, instance: dg.DagsterInstance, *files: Path) -> dg.ExecuteInProcessResult:
    days = {"dagster/asset_partition_range_start": "2026-03-01", "dagster/asset_partition_range_end": "2026-03-13"}
    return dg.materialize(
        raw_assets(FIRST),
        instance=instance,
        tags=days,
        resources={
            "project": ProjectResource(home=str(home.home), at=NOW.isoformat()),
            "io_manager": FramesIOManager(FrameStore(home.frames)),
        },
        run_config={"ops": {"samples": {"config": {"files": [str(f) for f in files]}}}},
    )


def newest(instance: dg.DagsterInstance, *key: str) -> dg.AssetMaterialization:
    event = instance.get_latest_materialization_event(dg.AssetKey(list(key)))
    assert event is not None
    assert event.asset_materialization is not None
    return event.asset_materialization


def test_the_sample_with_late_and_faulty_rows(home: Project) -> None:
    files = [SAMPLE / "samples", SAMPLE / "samples_late.parquet", SAMPLE / "samples_with_faults.csv"]
    with dg.DagsterInstance.ephemeral() as instance:
        assert materialized(home, instance, *files).success
        samples = newest(instance, "raw", "utilization_samples")
        warehouse = Warehouse(home.warehouse, home.marts)
        held = warehouse.state()
        assert samples.metadata["dagster/row_count"].value == held.samples > 0
        assert samples.metadata["in quarantine"].value == held.quarantined > 0
        assert (warehouse.quarantine()["reason"] != "").all()
        state = ProjectState.load(state_path(home))
        assert state is not None
        assert (state.slot, state.history_since) == (timedelta(minutes=15), FIRST)
        frames = FrameStore(home.frames)
        named = pl.read_csv(SAMPLE / "workloads.csv")
        assert set(frames.read("raw/workloads")["workload_id"]) == set(named["workload_id"])
        assert set(frames.read("raw/workloads")["pool"]) == set(named["pool"])
        kinds = set(frames.read("raw/calendar_events", name="events")["kind"])
        assert {"maintenance", "payday"} <= kinds

        assert materialized(home, instance, *files).success
        again = newest(instance, "raw", "utilization_samples")
        assert (again.tags or {})[DATA_VERSION_TAG] == (samples.tags or {})[DATA_VERSION_TAG]
        assert Warehouse(home.warehouse, home.marts).state() == held


def test_the_activity_monitor_writes_what_is_played_to_the_persona_database(planned: Project) -> None:
    defs = planning.build_defs(planned.home)
    sensor = defs.resolve_sensor_def("activity_monitor")
    given = {"project": ProjectResource(home=str(planned.home))}
    with (
        dagster_instance(planned) as instance,
        dg.build_sensor_context(instance, definitions=defs, resources=given) as context,
    ):
        data = sensor.evaluate_tick(context)
    assert data.cursor
    assert not data.run_requests
    assert data.skip_message == "The activity of 12 workloads is in the Persona Database."
    frames = FrameStore(planned.frames)
    played = frames.read("personas/activations").filter(pl.col("end") == pl.col("end").max().over("workload_id"))
    with PersonaStore(planned.store) as store:
        for workload_id, since, until in played.select("workload_id", "start", "end").iter_rows():
            now = store.activity(workload_id)
            assert now is not None
            assert (now.since, now.observed_at) == (since, until)
            assert now.persona_id == "other" or store.get(now.persona_id) is not None
