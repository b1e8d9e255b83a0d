from datetime import timedelta

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from planted_needs import DAY, SLOT, START, calendar, job, needs, workloads

from persona_platform.frames import ACTIVATION_KEYS
from persona_platform.personas.assignment import play
from persona_platform.personas.learning import learn


def learned(frame, days=28, **options):
    people = workloads(frame["workload_id"].unique(maintain_order=True))
    return learn(frame, people, calendar(days), slot=SLOT, previous=None, seed=0, **options), people


def cover(activations: pl.DataFrame, frame: pl.DataFrame) -> pl.DataFrame:
    """How many activations hold each slot read."""
    return (
        frame.select("workload_id", "slot")
        .unique()
        .join(activations, on="workload_id")
        .filter((pl.col("slot") >= pl.col("start")) & (pl.col("slot") < pl.col("end")))
        .group_by("workload_id", "slot")
        .len()
    )


@st.composite
def messy_needs(draw):
    """Up to three short workloads with jumps, zeros, NaN, holes and repeated rows in no order."""
    parts = {}
    for i in range(draw(st.integers(1, 3))):
        rng = np.random.default_rng(draw(st.integers(0, 10_000)))
        n = draw(st.integers(1, 300))
        series = rng.choice([0.0, 0.1, 4.0, 16.0], n, p=[0.2, 0.5, 0.2, 0.1]).repeat(draw(st.integers(1, 4)))[:n]
        series[rng.random(n) < draw(st.sampled_from([0.0, 0.2, 0.7]))] = np.nan  # no row
        parts[f"w{i}"] = series
    frame = needs(parts)
    if frame.height:
        odd = frame.with_columns(pl.lit(draw(st.sampled_from([float("nan"), -1.0, float("inf")]))).alias("cpu_cores"))
        frame = pl.concat([odd.head(2), frame, frame.head(3)]).sample(fraction=1.0, shuffle=True, seed=1)
    return frame


@settings(max_examples=12, deadline=None)
@given(messy_needs())
def test_every_slot_read_is_in_exactly_one_activation(frame):
    if frame.is_empty():
        return
    result, people = learned(frame, 4)
    played = play(frame, people, calendar(4), result.catalog)
    for activations in (result.activations, played.activations):
        counts = cover(activations, frame)
        assert counts.height == frame.select("workload_id", "slot").n_unique()
        assert (counts["len"] == 1).all()
        assert {c: activations.schema[c] for c in ACTIVATION_KEYS} == ACTIVATION_KEYS
    assert played.activations.equals(result.activations)
    assert played.membership.height == counts.height
    assert played.membership["probability"].is_between(0.0, 1.0).all()


@pytest.mark.parametrize(
    ("series", "kinds"),
    [
        (np.array([3.0]), {"steady"}),
        (np.full(20 * DAY, 2.0), {"steady"}),
        (np.zeros(20 * DAY), {"steady"}),
        (np.exp(np.random.default_rng(0).normal(0, 0.3, 20 * DAY)), {"steady"}),  # noise of one level
        (
            np.exp(np.random.default_rng(0).normal(0, 0.05, 28 * DAY) + np.linspace(0, 0.7, 28 * DAY)),
            {"steady"},
        ),
        (1.5 + np.sin(np.arange(20 * DAY) * 2 * np.pi / DAY), {"resting", "active"}),
        (job(20, 2, 2, 16), {"resting", "active"}),
        (job(20, 2, 2, 16, noise=0.25), {"resting", "active"}),
        (job(20, 2, 2, 16, rest=0.0), {"resting", "active"}),
    ],
    ids=[
        "one sample",
        "constant",
        "zeros",
        "noise",
        "drift",
        "sine",
        "nightly",
        "noisy nightly",
        "from zero",
    ],
)
def test_kinds(series, kinds):
    result, _ = learned(needs({"a": series}))
    assert set(result.catalog.patterns["kind"]) == kinds
    assert len(result.catalog.personas) == len(kinds)


def test_nothing_read():
    frame = needs({"a": np.ones(2)}).clear()
    result = learn(frame, workloads([]), calendar(1), slot=SLOT, previous=None, seed=0)
    assert result.catalog.personas == ()
    assert result.activations.is_empty()
    assert play(needs({"a": np.ones(2)}), workloads(["a"]), calendar(1), result.catalog).membership.height == 2


def test_a_nightly_job_is_cut_where_it_runs():
    result, _ = learned(needs({"a": job(28, 2, 2, 16)}))
    active = result.activations.filter(pl.col("kind") == "active")
    assert active.height == 28
    assert ((active["end"] - active["start"]) == timedelta(hours=2)).all()
    assert active["cpu_cores"].is_between(14, 18).all()


def test_a_step_inside_a_job_does_not_end_it():
    series = job(28, 2, 2, 16)
    series[np.flatnonzero(series > 8)[::2]] *= 2
    result, _ = learned(needs({"a": series}))
    assert result.activations.filter(pl.col("kind") == "active").height == 28


def test_a_lone_peak_goes_and_a_quarter_hourly_cron_stays():
    lone = job(28, 2, 2, 16)
    lone[5 * DAY + 60] = 16.0
    cron = np.full(28 * DAY, 0.2)
    cron[::16] = 12.0  # every four hours
    rare = job(28, 2, 2, 16)
    rare[60::DAY] = 16.0  # 15:00, one slot, each day
    result, _ = learned(needs({"cron": cron, "lone": lone, "rare": rare}))
    count = dict(result.activations.filter(pl.col("kind") == "active").group_by("workload_id").len().iter_rows())
    assert count == {"lone": 28, "cron": 28 * 6, "rare": 56}


def test_a_long_gap_cuts_and_censors_and_a_short_one_does_not():
    series = np.concatenate([job(14, 8, 10, 4), job(14, 8, 10, 4)])
    middle = 3 * DAY + 50
    series[middle : middle + 2] = np.nan
    series[10 * DAY + 50 : 17 * DAY + 50] = np.nan  # a week, from one working day into another
    result, _ = learned(needs({"a": series}))
    active = result.activations.filter(pl.col("kind") == "active")
    assert active.filter(pl.col("start").dt.date() == (START + timedelta(days=3)).date()).height == 1
    cut = active.filter("censored")
    assert cut["start"].dt.date().to_list() == [(START + timedelta(days=d)).date() for d in (10, 17)]


def test_play_freezes_levels_and_judges_the_newest_by_its_start():
    series = job(35, 2, 2, 16) + job(35, 13, 6, 4, rest=0.0)
    people, days = workloads(["a"]), calendar(40)
    catalog = learn(needs({"a": series[: 28 * DAY]}), people, days, slot=SLOT, previous=None, seed=0).catalog
    afternoon = (
        play(needs({"a": series[: 28 * DAY]}), people, days, catalog)
        .activations.filter((pl.col("kind") == "active") & (pl.col("start").dt.hour() > 11))["pattern"]
        .mode()[0]
    )
    until = 30 * DAY + 13 * 4 + 6  # an hour or so into the afternoon's work
    frame = needs({"a": series[28 * DAY : until], "new": series[28 * DAY : until]}, START + timedelta(days=28))
    played = play(frame, workloads(["a", "new"]), days, catalog)
    newest = played.activations.filter(pl.col("workload_id") == "a").row(-1, named=True)
    assert newest["kind"] == "active"
    assert newest["censored"]
    assert newest["pattern"] == afternoon
    stranger = played.membership.filter(pl.col("workload_id") == "new")
    assert set(stranger["persona_id"]) <= set(catalog.patterns["persona_id"])  # it is taken to be like its only peer
    assert stranger.height == until - 28 * DAY
