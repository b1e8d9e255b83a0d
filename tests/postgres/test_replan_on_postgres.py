"""A whole replan with Dagster's storage and the personas on PostgreSQL, by the commands a user gives."""

from datetime import UTC, datetime, timedelta

import dagster as dg
import pytest
from postgres_process import PASSWORD
from replica_scenes import assert_same

from persona_platform.cli.app import main
from persona_platform.fleet import FleetSpec, write
from persona_platform.locations import planning
from persona_platform.settings import Project
from resources.frames import FrameStore
from resources.instance import dagster_instance
from resources.persona_store import PersonaStore
from resources.persona_store.postgres import PostgresStore
from resources.persona_store.replica import Replica
from resources.project import ProjectResource

pytestmark = pytest.mark.slow

NOW = datetime(2026, 3, 12, tzinfo=UTC)
CONFIG = """
[project]
name = "many-hosts"
[sources]
workloads = "fleet/workloads.csv"
[planning]
horizon = "6h"
paths = 16
[storage]
postgres_env = "TEST_DATABASE_URL"
personas = "postgres"
dagster = "postgres"
"""


@pytest.fixture(scope="module")
def database(server):
    return server.new_database()


@pytest.fixture(scope="module")
def url(server, database):
    return server.tcp_url(database)


@pytest.fixture(scope="module")
def project(url, tmp_path_factory):
    """A small fleet, ingested and planned once."""
    home = tmp_path_factory.mktemp("many-hosts")
    (home / "persona.toml").write_text(CONFIG, encoding="utf-8")
    write(
        FleetSpec(seed=2, workloads=8, start=NOW - timedelta(days=12), end=NOW, step=timedelta(hours=1)), home / "fleet"
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TEST_DATABASE_URL", url)
        patch.setenv("PERSONA_HOME", str(home))
        main(["ingest", str(home / "fleet" / "samples")])  # a failed command ends with SystemExit
        main(["replan", "--at", NOW.isoformat()])
        yield Project(home)


def test_runs_and_materializations_are_in_postgresql_and_not_in_the_folder(project, server, database):
    runs = server.run("SELECT pipeline_name, status FROM runs", database)
    assert set(runs) == {("ingest", "SUCCESS"), ("refit", "SUCCESS")}  # the first replan learns
    made = "SELECT DISTINCT asset_key FROM event_logs WHERE dagster_event_type = 'ASSET_MATERIALIZATION'"
    assert {'["personas", "catalog"]', '["capacity", "plan"]'} <= {key for (key,) in server.run(made, database)}
    assert not list(project.dagster.rglob("*.db"))


def test_the_truth_and_this_hosts_replica_hold_the_catalog_that_was_learned(project, url):
    learned = FrameStore(project.frames).read("personas/catalog", name="personas")
    truth = PostgresStore(url)
    assert truth.version() == 1
    assert {record.persona_id for record in truth.scan()} == set(learned["persona_id"])
    with PersonaStore(project.store) as local:  # as a reader in any other process opens it, without the server
        assert [record.persona_id for record in local.scan()] == [record.persona_id for record in truth.scan()]
        for record in local.scan():
            assert local.members(record.persona_id) == truth.members(record.persona_id)
        assert any(local.members(record.persona_id) for record in local.scan())


def test_activity_goes_to_every_host(project, url, tmp_path):
    defs = planning.build_defs(project.home)
    given = {"project": ProjectResource(home=str(project.home))}
    with (
        dagster_instance(project) as instance,
        dg.build_sensor_context(instance, definitions=defs, resources=given) as context,
    ):
        data = defs.resolve_sensor_def("activity_monitor").evaluate_tick(context)
    assert "is in the Persona Database" in data.skip_message
    with Replica(url, tmp_path / "another-host") as other:
        other.sync()
        assert_same(other, url)
        played = FrameStore(project.frames).read("personas/activations")["workload_id"].unique()
        assert all(other.activity(workload) is not None for workload in played)


def test_the_password_is_in_no_file(project):
    holding = [f for f in project.home.rglob("*") if f.is_file() and PASSWORD.encode() in f.read_bytes()]
    assert holding == []
