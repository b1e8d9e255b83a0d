"""What a generated fleet promises: the same for the same spec, whatever is generated beside or after it."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from persona_platform.errors import InputError
from persona_platform.fleet import ARCHETYPES, FleetSpec, fleet_chunks, generate
from persona_platform.fleet.archetypes import DECK
from persona_platform.fleet.roster import workload
from persona_platform.frames import EVENTS, SAMPLES, WORKLOADS

END = datetime(2026, 3, 16, tzinfo=UTC)
SPEC = FleetSpec.ending(END, 6, seed=3, workloads=20)
METRICS = {
    "cpu_cores", "cpu_cores_alloc", "mem_bytes", "disk_bytes", "disk_read_bytes", "disk_write_bytes",
    "net_in_bytes", "net_out_bytes", "gpus", "requests", "active_users", "jobs", "latency_ms",
    "temp_c", "rain_mm",
}  # fmt: skip


@pytest.fixture(scope="module")
def fleet():
    return generate(SPEC)


def same(left, right):
    assert_frame_equal(left.samples, right.samples)
    assert_frame_equal(left.late, right.late)
    assert_frame_equal(left.bad, right.bad)
    assert_frame_equal(left.workloads, right.workloads)
    assert_frame_equal(left.truth.membership, right.truth.membership)
    assert_frame_equal(left.truth.activations, right.truth.activations)
    assert left.ical == right.ical


def test_frames_keep_their_contracts(fleet):
    assert dict(fleet.samples.schema) == SAMPLES
    assert dict(fleet.late.schema) == SAMPLES
    assert dict(fleet.workloads.schema) == WORKLOADS
    assert dict(fleet.events.schema) == EVENTS
    assert set(fleet.samples["metric"].unique()) == METRICS
    assert fleet.samples["value"].is_finite().all()
    assert fleet.samples.filter(pl.col("metric") != "temp_c")["value"].min() >= 0
    assert set(fleet.truth.membership["kind"].unique()) <= {"resting", "steady", "active"}


def test_a_key_occurs_once_in_time_or_late(fleet):
    keys = pl.concat([fleet.samples, fleet.late]).select("workload_id", "metric", "ts")
    assert keys.is_duplicated().sum() == 0


def test_every_workload_and_slot_has_one_persona(fleet):
    slots = fleet.truth.membership.group_by("workload_id").agg(pl.len(), pl.col("slot").n_unique().alias("slots"))
    assert slots["len"].to_list() == slots["slots"].to_list() == [6 * 96] * 20


def test_the_same_spec_gives_the_same_fleet(fleet):
    same(fleet, generate(SPEC))


def test_another_seed_gives_another_fleet(fleet):
    other = generate(replace(SPEC, seed=4))
    cores = [f.samples.filter(pl.col("metric") == "cpu_cores")["value"].mean() for f in (fleet, other)]
    assert cores[0] != cores[1]


@pytest.mark.parametrize("chunk", [13, 20, 50])
def test_chunks_are_parts_of_the_whole(fleet, chunk):
    parts = list(fleet_chunks(SPEC, chunk))
    assert len(parts) == -(-20 // chunk)
    order = ["workload_id", "metric", "ts"]
    assert_frame_equal(pl.concat([p.samples for p in parts]).sort(order), fleet.samples.sort(order))
    assert_frame_equal(pl.concat([p.truth.membership for p in parts]), fleet.truth.membership)
    assert_frame_equal(pl.concat([p.bad for p in parts]), fleet.bad)


@settings(max_examples=5, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(workloads=st.integers(1, 30), days=st.integers(1, 8))
def test_neither_more_workloads_nor_a_later_end_change_a_row(fleet, workloads, days):
    other = generate(replace(SPEC, workloads=workloads, end=SPEC.start + timedelta(days=days)))
    end = min(SPEC.end, other.spec.end)
    for name in ("samples", "late"):
        mine, theirs = getattr(fleet, name), getattr(other, name)
        ids = set(mine["workload_id"]) & set(theirs["workload_id"])
        shared = pl.col("workload_id").is_in(list(ids)) & (pl.col("ts") < end)
        assert ids or name == "late"
        assert_frame_equal(mine.filter(shared), theirs.filter(shared))
    ids = set(fleet.workloads["workload_id"]) & set(other.workloads["workload_id"])
    shared = pl.col("workload_id").is_in(list(ids)) & (pl.col("slot") < end)
    assert_frame_equal(fleet.truth.membership.filter(shared), other.truth.membership.filter(shared))


def test_events_are_known_beyond_the_end_and_do_not_move_with_it(fleet):
    later = generate(replace(SPEC, workloads=0, end=END + timedelta(days=30)))
    assert fleet.events["starts_at"].max() > END + timedelta(days=21)
    assert later.events.filter(pl.col("starts_at") < END + timedelta(days=42)).equals(fleet.events)


def test_every_archetype_is_among_the_first_workloads():
    assert len(ARCHETYPES) >= 12
    assert set(DECK[: len(ARCHETYPES)]) == set(ARCHETYPES)


def test_only_the_archetypes_asked_for():
    fleet = generate(replace(SPEC, archetypes=("gpu-training", "database"), workloads=5))
    assert set(fleet.workloads["pool"]) == {"gpu", "data"}


def test_shares_of_two_personas_and_of_changes():
    spec = replace(SPEC, workloads=300, end=SPEC.start + timedelta(days=1))
    members = [workload(spec, index) for index in range(300)]
    changing = [any(part.since for part in member.parts) for member in members]
    second = [any(p.play is not m.archetype.play and not p.since for p in m.parts) for m in members]
    assert sum(changing) == pytest.approx(0.08 * 300, abs=4)
    assert sum(second) == pytest.approx(0.3 * 300, abs=12)  # the steady and a few of the changing cannot


def test_an_empty_fleet_has_weather_and_no_workloads():
    fleet = generate(replace(SPEC, workloads=0))
    assert fleet.workloads.is_empty()
    assert fleet.truth.membership.is_empty()
    assert set(fleet.samples["metric"].unique()) == {"temp_c", "rain_mm"}


@pytest.mark.parametrize(("step", "slot", "rows"), [(5, None, 288), (15, None, 96), (60, None, 24), (5, 60, 288)])
def test_readings_and_slots_may_differ(step, slot, rows):
    times = {"step": timedelta(minutes=step), "slot": slot and timedelta(minutes=slot)}
    spec = FleetSpec(END - timedelta(days=1), END, workloads=16, gaps=0, late_share=0, **times)
    fleet = generate(spec)
    readings = fleet.samples.filter(pl.col("metric") == "cpu_cores").group_by("workload_id").len()
    assert readings["len"].unique().to_list() == [rows]
    slots = fleet.truth.membership.group_by("workload_id").len()
    assert slots["len"].unique().to_list() == [86400 // int(spec.truth_slot.total_seconds())]


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"end": SPEC.start}, "not after its start"),
        ({"start": datetime(2026, 3, 1)}, "zone UTC"),  # noqa: DTZ001
        ({"start": SPEC.start + timedelta(minutes=7)}, "not the start of a"),
        ({"step": timedelta(minutes=7)}, "do not fit"),
        ({"workloads": -1}, "negative"),
        ({"gaps": 1.5}, "between 0 and 1"),
        ({"archetypes": ("web",)}, "names no archetype; there are office-web"),
    ],
)
def test_what_cannot_be_generated_is_refused(changed, says):
    with pytest.raises(InputError, match=says):
        generate(replace(SPEC, **changed))
