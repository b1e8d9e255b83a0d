"""Dagster's storage on PostgreSQL: what dagster.yaml says, where runs go, and what is refused."""

import socket

import dagster as dg
import pytest

from persona_platform.errors import ConfigError
from persona_platform.settings import Project
from resources.instance import DAGSTER_YAML, dagster_instance, prepare_instance
from resources.lost_runs import HOST, end_lost_runs

NOTHING = '[project]\nname = "x"\n'
ON_POSTGRES = NOTHING + '[storage]\npostgres_env = "TEST_DATABASE_URL"\ndagster = "postgres"\n'


@dg.asset
def something() -> None:
    """An asset to be made."""


@pytest.fixture
def project(tmp_path, url, monkeypatch):
    monkeypatch.setenv("TEST_DATABASE_URL", url)
    (tmp_path / "persona.toml").write_text(ON_POSTGRES, encoding="utf-8")
    return Project(tmp_path)


def configure(project, text):
    project.config.write_text(text, encoding="utf-8")
    prepare_instance(project)
    return (project.dagster / "dagster.yaml").read_text(encoding="utf-8")


def test_runs_and_events_go_to_postgresql(project, server, database):
    with dagster_instance(project) as instance:
        run = dg.materialize([something], instance=instance)
    assert run.success
    assert server.run("SELECT run_id, status FROM runs", database) == [(run.run_id, "SUCCESS")]
    assert server.run("SELECT count(*) > 0 FROM event_logs", database) == [(True,)]
    with dagster_instance(project) as again:
        assert [found.run_id for found in again.get_runs()] == [run.run_id]
    assert not list(project.dagster.rglob("*.db"))


def test_the_configuration_names_the_variable_and_holds_no_password(project, server, database, monkeypatch):
    monkeypatch.setenv("TEST_DATABASE_URL", server.tcp_url(database))
    text = configure(project, ON_POSTGRES)
    assert "postgres_url: {env: TEST_DATABASE_URL}" in text
    assert "sesame" not in "".join(f.read_text() for f in project.state.rglob("*") if f.is_file())


def test_the_configuration_follows_the_settings_there_and_back(project, url, monkeypatch):
    assert configure(project, NOTHING) == DAGSTER_YAML
    assert configure(project, ON_POSTGRES) != DAGSTER_YAML
    monkeypatch.setenv("OTHER_URL", url)
    assert "env: OTHER_URL" in configure(project, ON_POSTGRES.replace("TEST_DATABASE_URL", "OTHER_URL"))
    assert configure(project, NOTHING) == DAGSTER_YAML


@pytest.mark.parametrize("edited", [DAGSTER_YAML + "# mine\n", "telemetry: {enabled: false}\n"])
def test_an_edited_configuration_is_never_overwritten(project, edited):
    project.dagster.mkdir(parents=True)
    (project.dagster / "dagster.yaml").write_text(edited, encoding="utf-8")
    assert configure(project, NOTHING) == edited
    with pytest.raises(ConfigError, match=r"dagster\.yaml was edited.* add .*env: TEST_DATABASE_URL"):
        configure(project, ON_POSTGRES)
    own = edited + "storage: {postgres: {postgres_url: {env: TEST_DATABASE_URL}}}\n"
    (project.dagster / "dagster.yaml").write_text(own, encoding="utf-8")
    assert configure(project, ON_POSTGRES) == own
    with dagster_instance(project) as instance:
        assert instance.get_runs() == []


def test_an_unset_variable_and_an_unreachable_server_are_one_sentence(project, server, monkeypatch):
    monkeypatch.setenv("TEST_DATABASE_URL", server.tcp_url("nowhere", "wrong-sesame"))
    with pytest.raises(ConfigError, match="password authentication failed") as raised:
        prepare_instance(project)
    assert "sesame" not in str(raised.value)
    monkeypatch.delenv("TEST_DATABASE_URL")
    with pytest.raises(ConfigError, match=r"TEST_DATABASE_URL, which \[storage\] names, is not set"):
        prepare_instance(project)
    assert not project.dagster.exists()


def test_a_host_ends_its_own_lost_runs_and_no_other_hosts(project):
    with dagster_instance(project) as instance:
        for run_id, tags in (("here", {HOST: socket.gethostname()}), ("there", {HOST: "elsewhere"}), ("unmarked", {})):
            instance.add_run(dg.DagsterRun("replan", run_id, status=dg.DagsterRunStatus.STARTED, tags=tags))
        assert set(end_lost_runs(instance)) == {"here", "unmarked"}
