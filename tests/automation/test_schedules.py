"""Which schedules there are in which environment, and that each fires at the start of a slot."""

from datetime import UTC, date, datetime, timedelta
from itertools import takewhile
from pathlib import Path

import dagster as dg
import pytest
from dagster._utils.schedules import cron_string_iterator, is_valid_cron_schedule

from persona_platform.automation.schedules import SCHEDULES, every_slot
from persona_platform.locations import planning, provisioning

MIDNIGHT = datetime(2026, 3, 2, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
SLOTS = [timedelta(minutes=m) for m in (15, 20, 30, 45, 60, 90, 120, 180, 360, 480, 720, 1440)]
ODD = (timedelta(minutes=45), timedelta(minutes=90))


def fires(cron: str | list[str], days: float = 3) -> list[datetime]:
    found = []
    for one in [cron] if isinstance(cron, str) else cron:
        ticks = cron_string_iterator(MIDNIGHT.timestamp(), one, "UTC")
        found += takewhile(lambda at: at < MIDNIGHT + timedelta(days=days), ticks)
    return sorted(found)


@pytest.mark.parametrize("slot", SLOTS, ids=str)
@pytest.mark.parametrize("offset", [0, 1])
def test_one_tick_a_slot_at_its_start(slot: timedelta, offset: int) -> None:
    cron = every_slot(slot, offset_minutes=offset)
    assert all(is_valid_cron_schedule(one) for one in cron)
    assert len(cron) == 1 or slot in ODD
    starts = [MIDNIGHT + i * slot for i in range(int(timedelta(days=3) / slot))]
    assert fires(cron) == [at + offset * MINUTE for at in starts]


@pytest.mark.parametrize("environment", SCHEDULES)
def test_an_environment_has_the_schedules_it_names_and_no_other(tmp_path: Path, environment: str) -> None:
    (tmp_path / "persona.toml").write_text(f'[project]\nname = "x"\nenvironment = "{environment}"\n', encoding="utf-8")
    found = {s.name for s in planning.build_defs(tmp_path).schedules or []}
    assert found == {f"{name}_schedule" for name in SCHEDULES[environment]}
    assert ("release_schedule" in found) == (environment == "demonstration")
    observing = [s for s in provisioning.build_defs(tmp_path).schedules or [] if isinstance(s, dg.ScheduleDefinition)]
    assert [s.name for s in observing] == ["observe_capacity_schedule"]
    assert fires(str(observing[0].cron_schedule), 1 / 24)[:3] == [MIDNIGHT + i * 5 * MINUTE for i in range(3)]


def test_without_a_project_nothing_is_scheduled() -> None:
    assert not planning.build_defs(None).schedules
    assert not provisioning.build_defs(None).schedules


def test_a_tick_asks_for_the_run_of_its_day(tmp_path: Path) -> None:
    (tmp_path / "persona.toml").write_text('[project]\nname = "x"\n', encoding="utf-8")
    defs = planning.build_defs(tmp_path, history_since=date(2026, 3, 1))
    replan = defs.resolve_schedule_def("replan_schedule")
    noon = datetime(2026, 3, 2, 12, 1, tzinfo=UTC)
    repository = defs.get_repository_def()
    with (
        dg.DagsterInstance.ephemeral() as instance,
        dg.build_schedule_context(instance, scheduled_execution_time=noon, repository_def=repository) as context,
    ):
        data = replan.evaluate_tick(context)
    assert data.run_requests is not None
    assert [r.partition_key for r in data.run_requests] == ["2026-03-02"]
