"""The summary: every number by hand, nothing dropped, and what cannot be said is null."""

import json
import math
from dataclasses import replace
from datetime import timedelta

import numpy as np
import polars as pl
import pytest
from example_outcomes import Fixed, outcome, recording, recording_of
from hypothesis import given, settings
from hypothesis import strategies as st

from persona_platform.frames import SUITABILITY
from persona_platform.replay.outcomes import AS_PLANNED, Outcome
from persona_platform.replay.paired import holm, signed_rank
from persona_platform.replay.policies import Clairvoyant, Reactive, ReactiveTuned
from persona_platform.replay.scores import compare, comparison_of
from persona_platform.replay.summary import summary

LEVEL = 0.01


def flat(*costs, unserved=0.0):
    """(1, targets, 1) sums: one setting, one day."""
    return [[[unserved] for _ in costs]], [[[cost] for cost in costs]]


def of(policy, *costs, unserved=0.0):
    left, billed = flat(*costs, unserved=unserved)
    return outcome(policy, left, billed, [[10.0]] * len(costs))


def summed(*outcomes, prices=None, **options):
    return summary(comparison_of(recording_of(outcomes[0]), outcomes, prices), levels=(LEVEL,), **options)


def row(found, rival, table="overall"):
    return next(row for row in found[table] if row["rival"] == rival)


def test_ratios_gaps_and_counts_by_hand():
    """Four targets: half as dear, the same within 1 %, a quarter dearer, and no gap to close."""
    ours = of("ours", 10.0, 9.95, 25.0, 8.0)
    tuned = of("reactive_tuned", 20.0, 10.0, 20.0, 8.0)
    bound = of("clairvoyant", 5.0, 5.0, 15.0, 8.0)
    prices = {"t000": 1.0, "t001": 2.0, "t002": 1.0, "t003": 1.0}
    found = row(summed(ours, tuned, bound, prices=prices), "reactive_tuned")
    assert found["cost_ratio"] == pytest.approx((0.995 + 1.0) / 2)
    assert (found["wins"], found["ties"], found["losses"]) == (1, 2, 1)
    assert found["gap_closed"] == pytest.approx(np.median([10 / 15, 0.05 / 5, -5 / 5]))
    assert found["gap_targets"] == 3
    assert found["total_cost_ratio"] == pytest.approx((10 + 2 * 9.95 + 25 + 8) / (20 + 2 * 10 + 20 + 8))
    assert (found["targets"], found["only_ours"], found["only_rival"], found["neither"]) == (4, 0, 0, 0)


def test_what_only_one_reaches_is_counted_and_in_no_ratio():
    """Of 10 demanded, 1 left unserved is above the level."""
    ours = outcome("ours", [[[0.0], [1.0], [1.0], [0.0]]], [[[5.0]] * 4], [[10.0]] * 4)
    rival = outcome("reactive", [[[1.0], [0.0], [1.0], [0.0]]], [[[10.0]] * 4], [[10.0]] * 4)
    found = summed(ours, rival)
    against = row(found, "reactive")
    assert (against["targets"], against["only_ours"], against["only_rival"], against["neither"]) == (1, 1, 1, 1)
    assert against["cost_ratio"] == against["total_cost_ratio"] == 0.5
    assert found["reached"] == {"ours": {"0.01": 2}, "reactive": {"0.01": 2}}
    assert [target["levels"][0]["cost"] for target in found["per_target"]] == [
        {"ours": 5.0, "reactive": None},
        {"ours": None, "reactive": 10.0},
        {"ours": None, "reactive": None},
        {"ours": 5.0, "reactive": 10.0},
    ]
    equal = row(found, "reactive", "unserved_at_equal_cost")
    assert (equal["targets"], equal["unreached"]) == (2, 2)


def test_a_level_that_nobody_reaches_is_null_everywhere():
    found = summed(of("ours", 5.0, 5.0, unserved=1.0), of("reactive", 9.0, 9.0, unserved=1.0))
    against = row(found, "reactive")
    null = ("cost_ratio", "cost_ratio_low", "cost_ratio_high", "gap_closed", "total_cost_ratio", "p", "p_holm")
    assert [against[name] for name in null] == [None] * len(null)
    assert against["neither"] == 2
    assert found["cost"]["ours"]["0.01"] is None
    assert found["worst_day"]["ours"]["0.01"] is None
    assert found["per_target"][0]["levels"][0]["setting"] is None


def test_unserved_at_equal_cost_by_hand():
    """The rival pays 15 at 1 %: between our 10 and 20 that leaves 1 % to our 2 %."""
    ours = outcome("ours", [[[0.0]], [[0.4]]], [[[20.0]], [[10.0]]], [[20.0]])
    rival = outcome("reactive", [[[0.2]]], [[[15.0]]], [[20.0]])
    found = row(summed(ours, rival), "reactive", "unserved_at_equal_cost")
    assert (found["unserved_ours"], found["unserved_rival"]) == (pytest.approx(0.01), pytest.approx(0.01))
    dear = outcome("reactive", [[[0.2]]], [[[17.5]]], [[20.0]])
    found = row(summed(ours, dear), "reactive", "unserved_at_equal_cost")
    assert (found["unserved_ours"], found["ratio"]) == (pytest.approx(0.005), pytest.approx(0.5))


def test_a_policy_beside_itself():
    costs = [10.0, 20.0, 15.0, 11.0, 12.0, 13.0, 14.0]
    found = summed(of("ours", *costs), of("reactive", *costs), of("clairvoyant", *[5.0] * 7))
    against = row(found, "reactive")
    assert against["cost_ratio"] == against["total_cost_ratio"] == 1.0
    assert against["gap_closed"] == 0.0
    assert (against["wins"], against["losses"], against["ties"]) == (0, 0, 7)
    assert against["p"] == 1.0
    assert row(found, "clairvoyant")["gap_closed"] is None
    assert row(found, "clairvoyant")["p"] is None


def demanding(seed=0, targets=4, days=3):
    rng = np.random.default_rng(seed)
    hours = np.arange(24 * days)
    return rng.gamma(6.0, 2.0, (targets, hours.size)) * (1.5 + np.sin(hours / 24 * 2 * np.pi))


def replayed(prices=None, left_alone=(), **terms):
    walked = recording(*demanding(), scored_from=24, lead=timedelta(hours=1), **terms)
    ours = Fixed("ours", **{AS_PLANNED: 30, "kappa 0.9": 24, "kappa 0.99": 40})
    return compare(walked, [Reactive(), ReactiveTuned(), ours, Clairvoyant()], prices, left_alone=left_alone)


def numbers(value):
    if isinstance(value, dict):
        return [n for one in value.values() for n in numbers(one)]
    return [n for one in value for n in numbers(one)] if isinstance(value, list) else [value]


def test_it_is_json_and_has_no_number_that_is_none():
    found = summary(replayed(lead_times=(timedelta(minutes=30), timedelta(hours=2)), start_price=0.1))
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert all(n is None or type(n) in (bool, int, float, str) for n in numbers(found))
    assert all(math.isfinite(n) for n in numbers(found) if isinstance(n, float))
    assert found["terms"]["lead_times"] == [1800.0, 7200.0]
    assert found["days"] == 2
    assert found["lead_time_s"] == 7200.0


def test_every_key_is_told_in_the_docstring():
    found = summary(replayed())
    for name in [*found, *found["overall"][0], *found["unserved_at_equal_cost"][0], *found["per_target"][0]]:
        told = name.removesuffix("_low").removesuffix("_high")
        assert f"``{told}``" in summary.__doc__ or told in ("level", "rival"), name


def test_every_target_policy_and_level_has_its_row():
    comparison = replayed()
    found = summary(comparison, levels=(0.001, 0.05))
    assert [target["target"] for target in found["per_target"]] == ["a", "b", "c", "d"]
    rivals = ("reactive", "reactive_tuned", "clairvoyant")
    assert [(r["level"], r["rival"]) for r in found["overall"]] == [(x, r) for x in (0.001, 0.05) for r in rivals]
    for against in found["overall"]:
        assert sum(against[name] for name in ("targets", "only_ours", "only_rival", "neither")) == 4
        assert sum(against[name] for name in ("wins", "losses", "ties")) == against["targets"]
    for name in ("reached", "cost", "starts_per_day", "worst_day"):
        assert list(found[name]) == ["reactive", "reactive_tuned", "ours", "clairvoyant"]
        assert all(list(rows) == ["0.001", "0.05"] for rows in found[name].values())


def test_the_clairvoyant_is_the_cheapest():
    for against in summary(replayed())["overall"]:
        if against["rival"] == "clairvoyant" and against["cost_ratio"] is not None:
            assert against["cost_ratio"] >= 1


def test_the_same_seed_gives_the_same_summary():
    comparison = replayed()
    assert summary(comparison, seed=4) == summary(comparison, seed=4)
    assert summary(comparison, seed=4) != summary(comparison, seed=5)


def test_money_is_the_prices_and_ratios_are_not():
    plain, dear = summary(replayed()), summary(replayed(dict.fromkeys("abcd", 8.0)))
    assert dear["overall"] == plain["overall"]
    assert dear["cost"]["ours"]["0.05"] == pytest.approx(8 * plain["cost"]["ours"]["0.05"])
    assert dear["as_planned"]["cost"] == pytest.approx(8 * plain["as_planned"]["cost"])


def test_as_planned_over_all_targets():
    found = summary(replayed())["as_planned"]
    assert found["targets"] == 4
    assert found["cost"] == 4 * 30 * 48
    assert found["saved_clairvoyant"] < 0
    assert found["gap_closed"] is not None


def test_verdicts_and_targets_left_alone_are_said():
    verdicts = pl.DataFrame(
        [
            {"target": "a", "suitable": True, "reason": "It repeats.", "gain": 0.2, "relative": 0.5},
            {"target": "c", "suitable": False, "reason": "Nothing repeats."},
        ],
        schema=SUITABILITY,
    )
    found = summary(replayed(left_alone=["c"]), suitability=verdicts)
    assert found["left_alone"] == ["c"]
    assert [target["left_alone"] for target in found["per_target"]] == [False, False, True, False]
    assert found["per_target"][0] | {"as_planned": 0, "levels": 0} == {
        "target": "a", "left_alone": False, "suitable": True, "reason": "It repeats.", "gain": 0.2, "relative": 0.5,
        "as_planned": 0, "levels": 0,
    }  # fmt: skip
    assert found["per_target"][1]["suitable"] is None
    assert found["per_target"][2]["reason"] == "Nothing repeats."


def test_without_ours_costs_are_told_all_the_same():
    found = summed(of("reactive", 9.0, 9.0), of("static", 8.0, 8.0))
    assert found["overall"] == found["unserved_at_equal_cost"] == []
    assert found["as_planned"]["cost"] is None
    assert found["per_target"][0]["levels"][0]["cost"] == {"reactive": 9.0, "static": 8.0}
    assert found["per_target"][0]["levels"][0]["cost_ratio"] == {"reactive": None, "static": None}


def test_targets_of_other_settings_are_read_off_their_own():
    wide = outcome("ours", [[[0.0]], [[0.0]]], [[[9.0]], [[7.0]]], [[10.0]], targets=("a",)).blocks[0]
    alone = outcome("ours", [[[0.0]]], [[[4.0]]], [[10.0]], targets=("b",)).blocks[0]
    ours = Outcome("ours", (alone, replace(wide, settings=("kappa 0.9", "kappa 0.5"))))
    rival = outcome("reactive", [[[0.0], [0.0]]], [[[10.0], [4.0]]], [[10.0], [10.0]], targets=("a", "b"))
    found = summary(comparison_of(recording_of(rival), [ours, rival], left_alone=["b"]), levels=(LEVEL,))
    assert [target["levels"][0]["setting"] for target in found["per_target"]] == ["kappa 0.5", "s0"]
    assert [target["levels"][0]["cost_ratio"]["reactive"] for target in found["per_target"]] == [0.7, 1.0]
    assert row(found, "reactive")["cost_ratio"] == pytest.approx(0.85)


def test_other_forms_of_ours_are_shown_and_not_tested():
    costs = [float(n) for n in range(10, 18)]
    found = summed(of("ours", *costs), of("reactive", *[20.0] * 8), of("ours_unlimited", *[5.0] * 8))
    assert row(found, "ours_unlimited")["cost_ratio"] > 1
    assert row(found, "ours_unlimited")["p"] is None
    assert row(found, "reactive")["p"] == row(found, "reactive")["p_holm"] == pytest.approx(2 / 2**8)


@pytest.mark.parametrize(
    ("ratio", "p"),
    [
        ([0.9] * 5, None),
        ([0.9, np.nan, 0.8, 0.7, 0.95, 0.85], None),
        ([1.0] * 9, 1.0),
        ([0.9, 0.8, 0.7, 0.95, 0.85, 0.75], 2 / 2**6),
        ([0.9, 0.8, 0.7, 1.05, 1.2, 1.4], pytest.approx(0.84375)),
    ],
)
def test_signed_rank(ratio, p):
    assert signed_rank(np.array(ratio)) == p


def test_targets_that_pay_the_same_make_it_no_surer():
    cheaper = [0.9, 0.8, 0.7, 0.95, 0.85, 0.75]
    assert signed_rank(np.array(cheaper + [1.0] * 30)) == signed_rank(np.array(cheaper))


def test_holm_by_hand():
    assert holm([0.04, None, 0.01, 0.03]) == [0.06, None, 0.03, 0.06]
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([]) == []


@settings(deadline=None)
@given(st.lists(st.one_of(st.none(), st.floats(0, 1)), max_size=8))
def test_holm_never_makes_a_p_smaller_and_keeps_their_order(ps):
    corrected = holm(ps)
    pairs = sorted((p, c) for p, c in zip(ps, corrected, strict=True) if p is not None)
    assert [c for _, c in pairs] == sorted(c for _, c in pairs)
    assert all(p <= c <= 1 for p, c in pairs)
    assert [c is None for c in corrected] == [p is None for p in ps]
