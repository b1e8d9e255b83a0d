"""What the outlook foretold beside what came."""

from dataclasses import replace
from datetime import timedelta

import numpy as np
import polars as pl
import pytest
from example_case import HOUR, START, case_of, hours, with_future

from persona_platform.frames import ACTIVATION
from persona_platform.personas.assignment import play
from persona_platform.personas.learning import learn
from persona_platform.replay.activation import ORIGINS, activations_foretold

DAYS, TRAINED = 20, 0.7
HORIZONS = (3600, 86_400)
KEYS = ["origin", "workload", "persona", "horizon_s"]


@pytest.fixture(scope="module")
def case(tmp_path_factory):
    """A job every night from 2 to 4 o'clock, and one that runs now and then."""
    at, rng = hours(DAYS), np.random.default_rng(3)
    calm = np.exp(rng.normal(0, 0.03, (2, at.size)))
    nightly = np.where((at >= 2) & (at < 4), 24.0, 1.0)
    chance = np.where(np.convolve(rng.random(at.size) < 0.03, np.ones(3))[: at.size] > 0, 12.0, 1.0)
    return case_of(
        tmp_path_factory.mktemp("case"), {"nightly": nightly * calm[0], "now and then": chance * calm[1]},
        train_share=TRAINED,
    )  # fmt: skip


def until(case):
    return case.observed["slot"].max() + case.history.slot


def foretold(case, *, origins=ORIGINS, horizons=HORIZONS, end=None, progress=None) -> pl.DataFrame:
    return activations_foretold(
        case.history, since=case.scored_from, until=end or until(case), seed=0, origins=origins, horizons=horizons,
        progress=progress,
    )  # fmt: skip


@pytest.fixture(scope="module")
def told(case):
    return foretold(case)


def test_rows_are_probabilities_of_past_origins(case, told):
    assert told.schema == pl.Schema(ACTIVATION)
    assert told["probability"].is_between(0, 1).all()
    assert not told.select(KEYS).is_duplicated().any()
    assert set(told["workload"]) == {"nightly", "now and then"}
    assert set(told["horizon_s"]) == set(HORIZONS)
    assert told["origin"].min() == case.scored_from
    assert told["origin"].max() + timedelta(days=1) <= until(case)


def test_origins_meet_different_hours_of_the_day(told):
    origins = told["origin"].unique().sort()
    assert origins.len() == ORIGINS
    apart = origins.diff().drop_nulls().unique().to_list()
    assert len(apart) == 1
    assert (apart[0] // HOUR) % 2 == 1
    assert origins.dt.hour().n_unique() >= 8


def test_a_longer_horizon_is_never_less_likely(told):
    near, far = (told.filter(pl.col("horizon_s") == seconds).drop("horizon_s", "outcome") for seconds in HORIZONS)
    both = near.join(far, on=KEYS[:3], suffix="_far")
    assert both.height == near.height
    assert (both["probability_far"] >= both["probability"] - 1e-12).all()


def test_a_nightly_job_is_foretold(told):
    """In the day ahead it is all but certain; in the hour ahead it is at 2 o'clock, and only then."""
    nightly = told.filter(pl.col("workload") == "nightly")
    day = nightly.filter(pl.col("horizon_s") == 86_400)
    assert day["outcome"].all()
    assert day["probability"].min() > 0.9
    hour = nightly.filter(pl.col("horizon_s") == 3600)
    begins = pl.col("origin").dt.hour() == 2
    assert hour.filter(begins)["outcome"].all()
    assert hour.filter(begins)["probability"].min() > 0.5
    assert not hour.filter(~begins)["outcome"].any()
    assert hour.filter(~begins)["probability"].max() < 0.1


def test_what_runs_now_and_then_is_neither_certain_nor_excluded(told):
    rare = told.filter(pl.col("workload") == "now and then", pl.col("horizon_s") == 3600)
    assert 0.005 < rare["probability"].mean() < 0.1
    day = told.filter(pl.col("workload") == "now and then", pl.col("horizon_s") == 86_400)
    assert 0.2 < day["probability"].mean() < 0.9


def test_a_persona_that_is_played_at_the_origin_is_not_asked_for(case):
    """At 3 o'clock the nightly job has run for an hour."""
    told = foretold(case, origins=1000, end=case.scored_from + timedelta(days=3))
    on = pl.col("origin").dt.hour() == 3
    assert told.filter(pl.col("workload") == "nightly", ~on).height
    assert told.filter(pl.col("workload") == "nightly", on).is_empty()


def test_outcomes_are_those_of_the_membership_with_hindsight(case, told):
    """The catalog of the training part, assigned to all readings; judged here row by row."""
    history, since = case.history, case.scored_from
    past = history.before(since)
    learned = learn(past.needs, past.workloads, past.calendar, slot=HOUR, previous=None, seed=0)
    membership = play(
        history.needs.filter(pl.col("slot") >= since - timedelta(days=1)),
        history.workloads,
        history.calendar,
        learned.catalog,
    ).membership
    for row in told.iter_rows(named=True):
        ahead = membership.filter(
            pl.col("workload_id") == row["workload"],
            pl.col("slot") >= row["origin"],
            pl.col("slot") < row["origin"] + timedelta(seconds=row["horizon_s"]),
        )
        assert row["outcome"] == (row["persona"] in ahead["persona_id"].to_list())
    assert 0 < told["outcome"].mean() < 1


def test_an_horizon_that_was_not_read_to_its_end_is_left_out(case, tmp_path):
    """Nobody read ``nightly`` from 8 to 20 o'clock on the second scored day: who asks then, asks in vain."""
    gap = case.scored_from + timedelta(days=1, hours=8)
    needs = case.history.needs.filter(
        ~((pl.col("workload_id") == "nightly") & pl.col("slot").is_between(gap, gap + 12 * HOUR, closed="left"))
    )
    silent = replace(case, history=replace(case.history, needs=needs))
    told = foretold(silent, origins=1000, end=gap + 38 * HOUR).filter(pl.col("workload") == "nightly")
    hour = told.filter(pl.col("horizon_s") == 3600)
    assert hour.filter(pl.col("origin").is_between(gap, gap + 11 * HOUR)).is_empty()
    assert hour.filter(pl.col("origin") == gap - HOUR).height == 1
    assert hour.filter(pl.col("origin") == gap + 12 * HOUR).height == 1
    # The job that ran in the read part of the day is known to have run.
    day = told.filter(pl.col("horizon_s") == 86_400, pl.col("origin").is_between(gap - 6 * HOUR, gap + 12 * HOUR))
    assert day["outcome"].all()


def test_nothing_is_known_of_what_comes(case, told):
    """From the tenth origin on anything comes; what was said until then, it included, stays."""
    origin = told["origin"].unique().sort()[9]
    other = foretold(with_future(case, origin))
    said = pl.col("origin") <= origin
    keep = [*KEYS, "probability"]
    both = told.filter(said).select(keep).join(other.filter(said).select(keep), on=KEYS, how="full", suffix="_other")
    both = both.filter(pl.col("origin").is_not_null() & pl.col("origin_other").is_not_null())
    assert both.height > 10
    assert (both["probability"] == both["probability_other"]).all()
    assert not other.filter(~said).equals(told.filter(~said))


def test_learned_only_before_the_scored_part(case, told):
    """The first origin is the end of the training part: whatever comes, it says the same."""
    first = pl.col("origin") == case.scored_from
    other = foretold(with_future(case, case.scored_from, seed=4), origins=1).filter(first)
    both = told.filter(first).join(other, on=KEYS)
    assert both.height > 0
    assert (both["probability"] == both["probability_right"]).all()


def test_where_the_longest_horizon_does_not_fit_there_is_nothing_to_tell(case):
    end = case.scored_from + timedelta(days=1)
    assert foretold(case, end=end).schema == pl.Schema(ACTIVATION)
    assert foretold(case, end=end).is_empty()
    one = foretold(case, end=end + HOUR)
    assert one["origin"].unique().to_list() == [case.scored_from]
    assert foretold(case, end=end + HOUR, horizons=(3600,)).height > one.filter(pl.col("horizon_s") == 3600).height


def test_without_a_past_there_is_nothing_to_learn(case):
    found = activations_foretold(case.history, since=START, until=until(case), seed=0, horizons=HORIZONS)
    assert found.is_empty()


def test_told_how_far_it_is(case):
    steps: list[tuple[int, int]] = []
    foretold(case, origins=3, progress=lambda done, of: steps.append((done, of)))
    assert steps == [(1, 3), (2, 3), (3, 3)]
