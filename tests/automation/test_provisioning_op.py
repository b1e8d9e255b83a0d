"""``provision_capacity``: one effect however often it runs, refusals at once, passing failures tried again."""

from datetime import timedelta

import dagster as dg
import polars as pl
from acting import NOW, Acting


def prepared(acting: Acting) -> dg.RunRequest:
    acting.plan()
    acting.observe()
    return acting.asked()


def test_a_run_raises_floors_and_settles_the_sensor(acting: Acting) -> None:
    result = acting.run(prepared(acting))
    assert result.success
    assert acting.entries("action").height > 0
    assert set(acting.entries("action")["key"]) == set(acting.entries("applied")["key"])
    assert "(bound by cooldown)" in acting.skipped()  # the first step is taken, the next one waits


def test_the_same_run_twice_has_one_effect(acting: Acting) -> None:
    request = prepared(acting)
    assert acting.run(request).success
    before, writes = acting.entries("applied"), acting.writes()
    assert acting.run(request).success
    assert acting.entries("applied").equals(before)
    assert acting.entries("action").height == before.height
    assert acting.writes() == writes


def test_every_decision_names_what_it_was_made_from(acting: Acting) -> None:
    request = prepared(acting)
    acting.run(request)
    kept = acting.entries("decision")["body"].str.json_decode(
        pl.Struct({"plan_id": pl.String, "inventory_id": pl.String, "ledger_position": pl.Int64})
    )
    config = request.run_config["ops"]["provision"]["config"]
    assert kept.struct.field("plan_id").to_list() == [config["plan_id"]]
    assert kept.struct.field("inventory_id").to_list() == [config["inventory_id"]]


def test_a_refusing_quota_fails_the_run_once_and_is_told_in_the_ledger(acting: Acting) -> None:
    acting.configure("failure_rate = 0.0", "failure_rate = 0.0\nquota = 0")
    result = acting.run(prepared(acting))
    assert not result.success
    assert not [e for e in result.all_events if e.is_step_up_for_retry]
    failed = acting.entries("failed")
    assert failed.height == acting.entries("action").height > 0
    assert failed["body"].str.contains("of its quota of 0 units").all()
    fault = next(e for e in result.all_events if e.is_step_failure).step_failure_data
    assert "of its quota of 0 units" in fault.user_failure_data.description
    assert "(bound by failure)" in acting.skipped()


def test_a_throttled_write_is_tried_again_and_has_one_effect(acting: Acting) -> None:
    acting.configure("failure_rate = 0.0", "failure_rate = 0.0\nthrottle_rate = 0.3")
    result = acting.run(prepared(acting))
    assert result.success
    assert [e for e in result.all_events if e.is_step_up_for_retry]
    assert acting.entries("applied")["key"].is_unique().all()
    assert set(acting.entries("action")["key"]) == set(acting.entries("applied")["key"])
    assert all(len(floors) <= 2 for floors in acting.writes().values())


def test_a_lost_reply_is_read_back_and_has_one_effect(acting: Acting) -> None:
    acting.configure("failure_rate = 0.0", "failure_rate = 0.0\nlost_reply_rate = 1.0")
    result = acting.run(prepared(acting))
    assert result.success
    assert acting.entries("unknown").height == acting.entries("applied").height > 0
    assert all(len(floors) <= 2 for floors in acting.writes().values())


def test_what_is_written_lapses_when_nobody_renews_it(acting: Acting) -> None:
    acting.run(prepared(acting))
    later = NOW + timedelta(hours=14)
    floors = acting.observe(later)
    assert set(floors["floor"]) == {0}
    assert set(acting.entries("released")["key"]) == set(acting.entries("applied")["key"])
