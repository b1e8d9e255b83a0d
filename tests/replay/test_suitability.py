"""Whether acting is worth it, by training data alone: what is, what is not, and the sentence that says why."""

import numpy as np
import polars as pl
import pytest
from example_case import HOUR, case_of, daytime, limits_of, with_future

from persona_platform.capacity.planning import validate_direct
from persona_platform.frames import SUITABILITY
from persona_platform.replay.numbers import percent
from persona_platform.replay.suitability import LEAST_GAIN, suitability
from persona_platform.replay.terms import Terms

DAYS, TRAINED = 20, 0.7  # fourteen days are learned from
DAY, WEEK = 86_400, 604_800
STEPS = DAYS * 24


def fleet() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(5)
    unread = np.full(12 * 24, np.nan)
    return {
        "office": 3 * daytime(DAYS, noise=0.05),
        **{f"walk {i}": 20 * np.exp(0.1 * rng.normal(size=STEPS).cumsum()) for i in range(10)},
        "bursts": np.where(rng.random(STEPS) < 0.03, 30.0, 3.0),
        "constant": np.full(STEPS, 7.3),
        "hiss": 20 + rng.normal(0, 0.5, STEPS),
        "noise": rng.uniform(5, 15, STEPS),
        "new": np.concatenate([unread, daytime(DAYS - 12)]),
        "ended": np.concatenate([daytime(10), np.zeros(STEPS - 240)]),
    }


@pytest.fixture(scope="module")
def case(tmp_path_factory):
    return case_of(tmp_path_factory.mktemp("case"), fleet(), train_share=TRAINED)


def judged(case, *, lead=HOUR, min_history_s=7 * DAY) -> pl.DataFrame:
    until, slots = case.scored_from, 1 + -(-lead // HOUR)
    held_out = validate_direct(case.history, case.sizing, case.observed, origin=until, slots=slots, seed=0)
    return suitability(
        case.history,
        case.sizing,
        case.observed,
        held_out,
        limits_of(case, min_history_s=min_history_s),
        until=until,
        terms=Terms(lead),
    )


@pytest.fixture(scope="module")
def verdicts(case):
    return judged(case)


def of(verdicts: pl.DataFrame, target: str) -> dict:
    return verdicts.row(by_predicate=pl.col("target") == target, named=True)


def test_a_verdict_for_every_target_in_their_order(case, verdicts):
    assert verdicts.schema == pl.Schema(SUITABILITY)
    assert verdicts["target"].to_list() == case.sizing.targets["target"].to_list()
    assert verdicts["lead_time_s"].unique().to_list() == [3600.0]


def test_work_that_begins_at_eight_is_worth_foretelling(verdicts):
    office = of(verdicts, "office")
    assert office["suitable"]
    assert office["gain"] > 0.2
    assert (office["history_s"], office["cycle_s"]) == (14 * DAY, WEEK)
    assert office["reason"] == (
        f"{100 * office['gain']:.0f} % cheaper than plain reactive on held-out days, lead time 1 h."
    )


def test_what_nothing_foretells_gains_next_to_nothing(verdicts):
    """Random walks: all that is left to gain is a dead band of half the HPA's tolerance, 5 % of the floor."""
    walks = verdicts.filter(pl.col("target").str.starts_with("walk"))
    assert walks.height == 10
    assert walks["gain"].median() < 0.02
    assert walks["gain"].max() < 0.1  # a week of one is sometimes kind by chance
    assert 0.0 < of(verdicts, "hiss")["gain"] < 0.05


def test_what_is_dearer_says_by_how_much(verdicts):
    found = of(verdicts, "bursts")
    assert not found["suitable"]
    assert found["gain"] < 0
    assert found["reason"] == (f"{percent(-found['gain'])} dearer than plain reactive on held-out days, lead time 1 h.")


def test_what_is_cheaper_by_too_little_says_from_when_on_it_counts(verdicts):
    """Whatever the target: gain, verdict and sentence belong together."""
    for row in verdicts.filter(pl.col("gain").is_not_null(), pl.col("target") != "new").iter_rows(named=True):
        assert row["suitable"] == (row["gain"] >= LEAST_GAIN)
        assert ("worth it from 1.0 %" in row["reason"]) == (0.0005 < row["gain"] < LEAST_GAIN), row


def test_a_constant_is_left_alone(verdicts):
    """Both hold eight units all the time."""
    constant = of(verdicts, "constant")
    assert (constant["suitable"], constant["gain"]) == (False, 0.0)
    assert constant["reason"] == "Costs the same as plain reactive on held-out days, lead time 1 h."


def test_a_steady_floor_under_wild_noise_is_cheaper_than_chasing_it(verdicts):
    """The verdict is on acting, not on the forecast: no hour foretells the next, their quantiles do."""
    noise = of(verdicts, "noise")
    assert noise["suitable"]
    assert 0.03 < noise["gain"] < 0.4


def test_too_little_history_says_how_much_there_is(verdicts):
    new = of(verdicts, "new")
    assert (new["suitable"], new["history_s"], new["cycle_s"]) == (False, 2 * DAY, DAY)
    assert new["reason"] == "2 days of history; 7 days are needed."


def test_where_nothing_was_demanded_nothing_is_judged(verdicts):
    ended = of(verdicts, "ended")
    assert (ended["suitable"], ended["gain"]) == (False, None)
    assert ended["reason"] == "Too little was held out, or nothing was demanded there, so that nothing could be judged."


def test_least_history_is_the_targets_own_and_never_under_two_cycles(case):
    """Fourteen days of history are two weeks; a limit of fifteen days is too long for all."""
    assert not judged(case, min_history_s=15 * DAY)["suitable"].any()
    less = judged(case, min_history_s=0)
    assert of(less, "office")["suitable"]
    assert of(less, "new")["reason"].startswith(f"{100 * of(less, 'new')['gain']:.1f} % cheaper")


def test_a_longer_lead_is_judged_by_itself(case, verdicts):
    longer = judged(case, lead=3 * HOUR)
    assert longer["lead_time_s"].unique().to_list() == [10_800.0]
    assert of(longer, "office")["suitable"]
    assert of(longer, "office")["gain"] != of(verdicts, "office")["gain"]
    assert "lead time 3 h" in of(longer, "office")["reason"]


def test_nothing_of_the_scored_part_is_looked_at(case, verdicts):
    assert judged(with_future(case, case.scored_from)).equals(verdicts)


def test_a_history_of_hours_holds_nothing_out(tmp_path):
    short = case_of(tmp_path, {"web": daytime(2)}, train_share=0.6)
    found = judged(short)
    assert found.select("suitable", "gain", "relative").rows() == [(False, None, None)]
    assert found["reason"].to_list() == ["1.2 days of history; 7 days are needed."]
    free = judged(short, min_history_s=0)
    assert free["reason"].to_list() == ["1.2 days of history; 2 days are needed."]
