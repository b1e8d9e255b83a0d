"""The parts of a persona's record, each from data whose answer is known."""

from datetime import timedelta

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from planted_needs import SLOT, START, calendar, job, needs, workloads

from persona_platform.personas.learning import learn
from persona_platform.personas.portrait.duration import duration, survival
from persona_platform.personas.portrait.naming import amount, how_long, unique
from persona_platform.personas.portrait.recurrence import intensity
from persona_platform.personas.portrait.requirement import GIB, activation_needs, on_ladder, size_table


@pytest.mark.parametrize(
    ("need", "value", "rounded"),
    [
        ("cpu_cores", 0.0, 0.25), ("cpu_cores", 0.3, 0.5), ("cpu_cores", 17.0, 16), ("cpu_cores", 18.0, 32),
        ("cpu_cores", 1500.0, 2048), ("mem_bytes", 60 * GIB, 64 * GIB), ("mem_bytes", 0.0, GIB / 16),
        ("gpus", 0.01, 0), ("gpus", 3.4, 4), ("gpus", 4.0, 4), ("requests", 130.0, 200), ("requests", 1.0, 1),
    ],
)  # fmt: skip
def test_ladders(need, value, rounded):
    assert on_ladder(need, np.array([value]))[0] == rounded


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.tuples(st.floats(0.01, 900), st.integers(1, 9), st.integers(0, 8)), min_size=1, max_size=60),
)
def test_a_requirement_is_a_distribution_that_holds_every_activation(rows):
    table = pl.DataFrame(
        {
            "cpu_cores": [r[0] for r in rows],
            "mem_bytes": [r[1] * GIB for r in rows],
            "gpus": [float(r[2]) for r in rows],
            "weight": [1.0] * len(rows),
            "storage_class": ["ssd"] * len(rows),
            "member": [i % 3 for i in range(len(rows))],
        }
    )
    sizes = size_table(table)
    assert sum(s.probability for s in sizes) == pytest.approx(1.0)
    assert len(sizes) <= 13
    for cores, gib, gpus in rows:
        assert any(
            s.amounts["cpu_cores"] * 1.1 >= cores - 1e-9
            and s.amounts["mem_bytes"] * 1.1 >= gib * GIB
            and s.amounts.get("gpus", 0.0) * 1.1 >= gpus
            for s in sizes
        )


def test_a_saturated_slot_never_lowers_a_need():
    slots = pl.DataFrame({"episode": [0] * 40, "cpu_cores": [16.0] * 39 + [30.0], "saturated": [False] * 39 + [True]})
    assert activation_needs(slots)["cpu_cores"][0] == 30.0
    plain = slots.with_columns(saturated=pl.lit(value=False))
    assert activation_needs(plain)["cpu_cores"][0] == 16.0


@settings(max_examples=50)
@given(st.lists(st.tuples(st.integers(1, 200), st.booleans()), max_size=80))
def test_survival_never_rises(rows):
    curve = survival(np.array([r[0] for r in rows], dtype=int), np.array([r[1] for r in rows], dtype=bool))
    assert curve[0] == 1.0
    assert (np.diff(curve) <= 0).all()
    assert (curve >= -1e-12).all()


def test_survival_counts_what_was_cut_off_as_at_least():
    lengths = np.array([2, 4, 4, 6])
    censored = np.array([False, False, True, False])
    # By hand: 3/4 after 2; of the 3 that reach 4 one ends, one is cut: 3/4 * 2/3; the last ends at 6.
    assert survival(lengths, censored) == pytest.approx([1, 1, 0.75, 0.75, 0.5, 0.5, 0.0])
    found = duration(lengths, censored, 900)
    assert (found.median_s, found.censored) == (4 * 900, 0.25)
    assert found.mean_s == pytest.approx(4.5 * 900)


def test_intensity_shrinks_little_when_there_is_much_and_much_when_there_is_little():
    rng = np.random.default_rng(0)
    truth = np.where(np.arange(168) % 24 == 2, 0.9, 0.01)
    for members, worst in ((1, 0.5), (1000, 0.05)):
        exposure = np.full(168, 4.0 * members)
        found = intensity(rng.poisson(truth * exposure).astype(float), exposure)
        assert np.abs(found - truth)[truth > 0.5].mean() < worst
        assert (found > 0).all()
    assert intensity(np.zeros(168), np.zeros(168)).sum() == 0.0
    flat = rng.poisson(0.1 * 4.0, 168).astype(float)
    assert intensity(flat, np.full(168, 4.0)).std() < (flat / 4.0).std() / 2


def test_event_uplift_is_found_with_its_uncertainty():
    campaigns = [(START + timedelta(days=d, hours=10), START + timedelta(days=d, hours=16)) for d in (3, 9, 16, 24)]
    quiet = [(START + timedelta(days=d), START + timedelta(days=d + 1)) for d in (5, 12, 19, 26)]
    series = {}
    for i in range(5):
        base = job(28, 4, 1, 8, seed=i)
        for start, _ in campaigns:
            first = int((start - START) / SLOT) + 2
            base[first : first + 4] = 8.0
        series[f"w{i}"] = base
    found = learn(
        needs(series), workloads(series), calendar(28, events={"campaign": campaigns, "quiet": quiet}),
        slot=SLOT, previous=None, seed=0,
    ).catalog  # fmt: skip
    uplifts = {(p.persona_id, u.kind): u for p in found.personas if p.kind == "active" for u in p.recurrence.uplifts}
    campaign = max((u for (_, kind), u in uplifts.items() if kind == "campaign"), key=lambda u: u.starts)
    assert campaign.starts_low > 1.5
    assert campaign.activations == 20
    assert all(u.starts_low < 1.0 < u.starts_high for (_, kind), u in uplifts.items() if kind == "quiet")


def test_an_activity_stands_for_demand_where_there_are_no_resources():
    frame = needs({"a": job(14, 9, 8, 300, rest=3)}).rename({"cpu_cores": "requests"})
    found = learn(frame, workloads(["a"]), calendar(14), slot=SLOT, previous=None, seed=0).catalog
    active = next(p for p in found.personas if p.kind == "active")
    assert active.requirement.sizes[0].amounts == {"requests": 500.0}
    assert "500 requests/s" in active.name


def test_levels_follow_the_need_that_varies():
    n = 14 * 96
    memory = np.where(job(14, 3, 3, 8) > 2, 64.0, 4.0) * GIB
    frame = needs({"a": np.full(n, 2.0), "b": np.full(n, 2.0)}, mem_bytes={"a": memory, "b": np.full(n, GIB)})
    found = learn(frame, workloads(["a", "b"]), calendar(14), slot=SLOT, previous=None, seed=0)
    assert found.catalog.levels.filter(pl.col("workload_id") == "a")["need"].item() == "mem_bytes"
    assert found.activations.filter(pl.col("kind") == "active").height == 14


def test_local_time_is_the_workloads_own():
    found = [
        learn(
            needs({"a": job(28, hour, 2, 16)}), workloads(["a"], zone=zone), calendar(28, zone=zone),
            slot=SLOT, previous=None, seed=0,
        ).catalog.personas[0].name
        for zone, hour in (("Asia/Kolkata", 20.5), ("UTC", 2.0))
    ]  # fmt: skip
    assert found == ["nights, 16 cores, 2 h"] * 2


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(900, "15 min"), (3600, "1 h"), (5400, "1.5 h"), (7300, "2 h"), (40_000, "11 h"), (260_000, "3 d")],
)
def test_durations_read_well(seconds, text):
    assert how_long(seconds) == text


def test_amounts_read_well_and_names_are_told_apart():
    assert [amount("cpu_cores", 1), amount("gpus", 4), amount("mem_bytes", 64 * GIB)] == [
        "1 core",
        "4 GPUs",
        "64 GiB",
    ]
    assert unique(["a", "a", "b"], [["x"], ["y"], ["x"]]) == ["a, x", "a, y", "b"]
    assert unique(["a", "a"], [["x"], ["x"]]) == ["a", "a (2)"]
