"""``demand_exceeds_capacity``: when it asks for a run, when not, and what it says then."""

from datetime import timedelta

import dagster as dg
import pytest
from acting import NOW, Acting

from persona_platform.automation.provisioning import MAX_ATTEMPTS, PAIR_TAG, provision_capacity


def past_run(acting: Acting, request: dg.RunRequest, status: dg.DagsterRunStatus) -> None:
    """A run of the request that is at, or ended with, a status."""
    acting.instance.create_run_for_job(
        provision_capacity, run_config=request.run_config, tags=request.tags, status=status
    )


def test_nothing_is_asked_before_there_is_a_plan_and_an_inventory(acting: Acting) -> None:
    assert acting.skipped() == "There is no plan yet."
    acting.plan()
    assert acting.skipped() == "There is no inventory yet."


def test_one_run_with_everything_that_is_due(acting: Acting) -> None:
    plan_id = acting.plan()
    inventory_id = acting.observe()["inventory_id"][0]
    request = acting.asked()
    assert request.run_key == f"{plan_id}:{inventory_id}:1"
    assert request.tags[PAIR_TAG] == f"{plan_id}:{inventory_id}"
    assert acting.asked().run_key == request.run_key


def test_a_run_under_way_is_waited_for(acting: Acting) -> None:
    acting.plan()
    acting.observe()
    past_run(acting, acting.asked(), dg.DagsterRunStatus.STARTED)
    assert acting.skipped() == "A run for this plan and inventory is under way."


def test_a_failed_run_is_followed_by_the_next_attempt_until_there_were_enough(acting: Acting) -> None:
    acting.plan()
    acting.observe()
    for attempt in range(1, MAX_ATTEMPTS + 1):
        request = acting.asked()
        assert str(request.run_key).endswith(f":{attempt}")
        past_run(acting, request, dg.DagsterRunStatus.FAILURE)
    assert (
        acting.skipped()
        == f"{MAX_ATTEMPTS} runs for this plan and inventory did not settle it: waiting for a new plan."
    )
    acting.observe(NOW + timedelta(minutes=5))
    assert str(acting.asked(NOW + timedelta(minutes=5)).run_key).endswith(":1")


@pytest.mark.parametrize(
    ("old", "new", "bound"),
    [('mode = "act"', 'mode = "observe"', "mode"), ("max = 200", "max = 200\nmin_history = '99d'", "history")],
)
def test_what_binds_is_told(acting: Acting, old: str, new: str, bound: str) -> None:
    acting.configure(old, new)
    acting.plan()
    acting.observe()
    assert f"(bound by {bound})" in acting.skipped()


def test_an_old_plan_raises_nothing(acting: Acting) -> None:
    acting.plan()
    late = NOW + timedelta(hours=9)
    acting.observe(late)
    assert "(bound by stale)" in acting.skipped(late)


def test_a_file_that_was_changed_makes_the_tick_red(acting: Acting) -> None:
    plan_id = acting.plan()
    acting.observe()
    (acting.project.plans / f"{plan_id}.parquet").write_bytes(b"other")
    with pytest.raises(Exception, match="its digest differs"):
        acting.tick()
