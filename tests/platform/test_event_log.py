"""Dagster's event log with its files kept open: Dagster's own reads what was written."""

from pathlib import Path

import dagster as dg
import pytest

from persona_platform.settings import Project
from resources.event_log import KeptEventLog
from resources.instance import dagster_instance

DAYS = dg.DailyPartitionsDefinition("2025-01-01", end_date="2025-01-05")


@dg.asset(partitions_def=DAYS)
def daily() -> None:
    """An asset of four days, made in one run."""


@dg.asset
def broken() -> None:
    """An asset whose run fails."""
    raise ValueError("on purpose")


def made(instance: dg.DagsterInstance) -> set[str]:
    return instance.get_materialized_partitions(dg.AssetKey("daily"))


def test_dagsters_own_log_reads_what_was_written(tmp_path: Path) -> None:
    project = Project(tmp_path)
    days = {"dagster/asset_partition_range_start": "2025-01-01", "dagster/asset_partition_range_end": "2025-01-04"}
    with dagster_instance(project) as instance:
        assert isinstance(instance.event_log_storage, KeptEventLog)
        run = dg.materialize([daily], instance=instance, tags=days)
        written = len(instance.all_logs(run.run_id))
        with dg.DagsterInstance.from_config(str(project.dagster)) as beside:  # while the files are open
            assert made(beside) == made(instance) == set(DAYS.get_partition_keys())
    with dg.DagsterInstance.from_config(str(project.dagster)) as after:
        assert len(after.all_logs(run.run_id)) == written
        assert made(after) == set(DAYS.get_partition_keys())


def test_a_failed_run_is_recorded_as_failed(tmp_path: Path) -> None:
    with dagster_instance(Project(tmp_path)) as instance:
        run = dg.materialize([broken], instance=instance, raise_on_error=False)
    with dg.DagsterInstance.from_config(str(Project(tmp_path).dagster)) as after:
        kept = after.get_run_by_id(run.run_id)
        assert kept is not None
        assert kept.status is dg.DagsterRunStatus.FAILURE


@pytest.mark.parametrize("given", ["storage: {sqlite: {base_dir: %s}}"])
def test_a_storage_that_dagster_yaml_names_is_left_alone(tmp_path: Path, given: str) -> None:
    project = Project(tmp_path)
    project.dagster.mkdir(parents=True)
    other = tmp_path / "elsewhere"
    (project.dagster / "dagster.yaml").write_text(given % other, encoding="utf-8")
    with dagster_instance(project) as instance:
        dg.materialize([daily], instance=instance, partition_key="2025-01-01")
        assert made(instance) == {"2025-01-01"}
    assert (other / "history").is_dir()
