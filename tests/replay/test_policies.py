"""Each policy against small cases worked by hand."""

from datetime import timedelta
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from persona_platform.replay.policies import (
    POLICIES,
    AwsPredictive,
    Headroom,
    Histogram,
    LastValue,
    PreviousDay,
    Reactive,
    ReactiveTuned,
    SeasonalNaive,
    Static,
)
from persona_platform.replay.policies.base import last_known, sorted_quantiles, training_quantiles, whole

MINUTE = timedelta(minutes=1)
STEP = 15 * MINUTE
HOUR = timedelta(hours=1)
SIX_HOURS = 6 * HOUR  # four steps a day


def asked(policy, recording):
    """Setting to the sizes for the first target."""
    sizes = policy.desired(recording)
    assert sizes.dtype == np.int32
    return dict(zip(policy.settings(recording), sizes[:, 0].tolist(), strict=True))


def one(policy, recording, setting=0):
    return policy.desired(recording)[setting, 0].tolist()


def test_policies_have_the_names_that_they_are_listed_under():
    assert list(POLICIES) == [
        *("static", "reactive", "reactive_tuned", "last_value", "histogram", "aws_predictive"),
        *("previous_day", "seasonal_naive", "clairvoyant"),
    ]
    assert [make().name for make in POLICIES.values()] == list(POLICIES)


def test_units_are_whole_and_rounding_errors_are_none():
    assert whole(np.array([-1.0, 0.0, 0.3, 2.0, 2.0 + 1e-12, 2.1, 1e300])).tolist() == [0, 0, 1, 2, 2, 3, 2**30]


def test_readings_are_held_over_gaps():
    known = last_known(np.array([[np.nan, 3, np.nan, 5, 6], [1, 2, np.nan, np.nan, np.nan]]))
    assert known.tolist() == [[0, 0, 3, 3, 5], [0, 1, 2, 2, 2]]


@settings(deadline=None)
@given(
    values=hnp.arrays(float, (2, 9), elements=st.floats(0, 9) | st.just(np.nan)),
    levels=hnp.arrays(float, 3, elements=st.floats(0, 1)),
)
def test_quantiles_leave_unread_steps_out(values, levels):
    values[:, 0] = 4.0
    expected = np.nanquantile(values, levels, axis=1)
    np.testing.assert_allclose(sorted_quantiles(np.sort(values, axis=1), levels), expected, atol=1e-9)


# Static: of the training part only.


def test_static_is_a_quantile_or_a_multiple_of_the_training_peak(recorded):
    policy = Static(quantiles=(0.5, 1.0), peak_factors=(1.25, 1.5))
    sizes = asked(policy, recorded([1, 2, np.nan, 3, 4, 9, 9], scored_from=5))
    # Half of 1, 2, 3, 4 are within 2.5; the peak of 4 times 1.25 and 1.5.
    assert sizes == {"P50": [3] * 7, "P100": [4] * 7, "peak x 1.25": [5] * 7, "peak x 1.5": [6] * 7}


def test_static_knows_nothing_without_training(recorded):
    assert (Static().desired(recorded([7, 7])) == 1).all()
    assert np.isnan(training_quantiles(recorded([np.nan, np.nan, 2], scored_from=2), (0.5,))).all()


# Reactive: Kubernetes' rules.


@pytest.mark.parametrize(
    ("step", "target", "demand", "sizes"),
    [
        # Starts at one; 2 / 0.5 = 4; 2.1 is within 10 % of 4 x 0.5; 4 / 0.5 = 8.
        (15 * MINUTE, 0.5, [2, 2, 2.1, 4, 4], [1, 4, 4, 4, 8]),
        # Just outside the tolerance: 2.3 / (4 x 0.5) = 1.15.
        (15 * MINUTE, 0.5, [2, 2.3, 2.3], [1, 4, 5]),
        # Down at once: the window of 300 s is shorter than the step.
        (15 * MINUTE, 0.5, [4, 1, 1], [1, 8, 2]),
        # Never to zero, and an unread step changes nothing.
        (15 * MINUTE, 0.5, [4, np.nan, 0, 0], [1, 8, 8, 1]),
        # Down only when five minutes have recommended it: readings of the last six steps.
        (MINUTE, 0.5, [4, 1, 1, 1, 1, 1, 1, 1], [1, 8, 8, 8, 8, 8, 8, 2]),
        # Within 15 s the larger of doubling and four more: 1, 5, 10, 20, then 40 of 50 wanted.
        (timedelta(seconds=15), 1.0, [50, 50, 50, 50, 50, 50], [1, 5, 10, 20, 40, 50]),
    ],
)
def test_reactive_follows_the_rules_of_the_horizontal_pod_autoscaler(recorded, step, target, demand, sizes):
    assert one(Reactive(utilizations=(target,)), recorded(demand, step=step, lead=step)) == sizes


def test_reactive_begins_its_walk_with_the_reading_before_it(recorded):
    # Walked from step 4, a day of four steps before the scored part.
    recording = recorded([8, 8, 8, 8, 2, 2, 2, 2, 2, 2], scored_from=8, step=SIX_HOURS)
    assert one(Reactive(utilizations=(1.0,)), recording) == [8, 2, 2, 2, 2, 2]


def test_tuned_adds_floors_of_the_training_part_and_a_window_of_the_lead(recorded):
    recording = recorded([8, 8, 8, 8, 1, 1, 1, 1], scored_from=4)
    sizes = asked(ReactiveTuned(utilizations=(1.0,)), recording)
    assert sizes["target 100%, window 300 s, floor 1"] == one(Reactive(utilizations=(1.0,)), recording)
    assert sizes["target 100%, window 300 s, floor 1"] == [1, 8, 8, 8, 8, 1, 1, 1]
    assert sizes["target 100%, window 1200 s, floor 1"] == [1, 8, 8, 8, 8, 8, 1, 1]
    assert sizes["target 100%, window 300 s, floor P50"] == [8] * 8


def test_tuned_holds_the_plain_sweep_among_its_own(recorded):
    rng = np.random.default_rng(5)
    recording = recorded(*rng.gamma(3.0, 3.0, (3, 60)), scored_from=20, step=5 * MINUTE, lead=STEP)
    tuned, plain = ReactiveTuned(), Reactive()
    sizes = dict(zip(tuned.settings(recording), tuned.desired(recording), strict=True))
    assert len(sizes) == 2 * 8 * 12
    for setting, size in zip(plain.settings(recording), plain.desired(recording), strict=True):
        np.testing.assert_array_equal(sizes[f"{setting}, window 300 s, floor 1"], size)


def test_tuned_without_training_has_no_floors_and_without_lead_no_other_window(recorded):
    assert len(ReactiveTuned(utilizations=(0.5,)).settings(recorded([1, 2]))) == 2
    assert len(ReactiveTuned(utilizations=(0.5,)).settings(recorded([1, 2], lead=timedelta(0)))) == 1


# Last value: the reading before, and what it fell short by when the lead was over.

MEDIAN = Headroom(levels=(0.5,), maximum_factors=(1.0, 1.5))


def test_last_value_adds_the_errors_of_the_lead(recorded):
    # One more each hour, read at t - 1 and needed at t + 1: two short each time. The first hour knew nothing (0)
    # and was one short. An error is known two hours after it was made: of the first at step 2.
    sizes = asked(LastValue(MEDIAN), recorded(range(8), step=HOUR, lead=HOUR))
    assert sizes["added error P50"] == [0, 0, 1 + 1, 2 + 2, 3 + 2, 4 + 2, 5 + 2, 6 + 2]  # of 1; 1, 2; 1, 2, 2; ...
    assert sizes["added largest error x 1"] == [0, 0, 2, 4, 5, 6, 7, 8]
    assert sizes["added largest error x 1.5"] == [0, 0, 3, 5, 6, 7, 8, 9]


def test_last_value_scales_by_the_errors_of_the_lead(recorded):
    demand = 10 * 1.1 ** np.arange(30)  # 1.21 times what was read before, always
    sizes = asked(LastValue(MEDIAN), recorded(demand, step=HOUR, lead=HOUR))
    right = whole(demand[7:30]).tolist()
    assert sizes["scaled error P50"][6:29] == sizes["scaled largest error x 1"][6:29] == right
    # Half as much again of 0.21.
    assert sizes["scaled largest error x 1.5"][6:29] == whole(1.315 * demand[5:28]).tolist()
    assert all(low < high for low, high in zip(sizes["added error P50"][6:29], right, strict=True))


def test_nothing_scales_to_nothing(recorded):
    sizes = asked(LastValue(MEDIAN), recorded([0, 4, 0, 4, 0, 4], step=HOUR, lead=timedelta(0)))
    # From 4 to 0 each time: gone; from 0 no factor leads anywhere.
    assert sizes["scaled error P50"][3:] == [0, 0, 0]
    assert sizes["added largest error x 1"][3:] == [4, 8, 4]


def test_errors_age_out_of_the_window(recorded):
    # A jump of 9 in the first week; errors of the newest 14 days, known two steps later.
    demand = [1.0, 10.0] + [10.0] * 15 * 24
    sizes = asked(LastValue(MEDIAN), recorded(demand, step=HOUR, lead=HOUR))["added largest error x 1"]
    # The two errors of the jump are those made at steps 0 (10 - 0) and 1 (10 - 1).
    assert sizes[4] == 10 + 10
    assert sizes[14 * 24 + 1] == 10 + 10
    assert sizes[14 * 24 + 2] == 10 + 9
    assert sizes[14 * 24 + 3] == 10


def test_unread_steps_teach_nothing(recorded):
    sizes = asked(LastValue(MEDIAN), recorded([5.0, np.nan, np.nan, np.nan, np.nan], step=HOUR, lead=HOUR))
    assert sizes["added largest error x 1"] == [0, 5, 5, 5, 5]


# Histogram: buckets 5 % apart, half-life a day.


def test_histogram_stands_at_the_end_of_its_bucket(recorded):
    # The 80th bucket from 0.01 on ends at 0.2 x (1.05 ^ 81 - 1) = 10.2; with the usual margin 11.7.
    sizes = asked(Histogram(percentiles=(0.5,), margins=(1.0, 1.15)), recorded([10.0] * 4, step=HOUR))
    assert sizes == {"P50 x 1": [0, 11, 11, 11], "P50 x 1.15": [0, 12, 12, 12]}


def test_histogram_forgets_by_half_each_day(recorded):
    # A day at 10, then 1 (ends at 1.02). Of all weight, 1 has 1 - x and 10 has (1 - 1/2) x with x = 2 ^ (-h / 24): the
    # median moves once x is below 2 / 3, after 14.04 hours: at the 15th reading, seen at step 24 + 15.
    sizes = asked(Histogram(percentiles=(0.5, 1.0), margins=(1.0,)), recorded([10.0] * 24 + [1.0] * 20, step=HOUR))
    assert sizes["P50 x 1"] == [0] + [11] * 38 + [2] * 5
    assert sizes["P100 x 1"] == [0] + [11] * 43  # up at once, and remembered


def test_histogram_knows_the_training_part_when_its_walk_begins(recorded):
    demand = [10.0] * 24 + [1.0] * 20
    late = recorded(demand, step=HOUR, scored_from=30)
    policy = Histogram(percentiles=(0.5, 1.0), margins=(1.0,))
    assert late.walked_from == 6
    np.testing.assert_array_equal(policy.desired(late), policy.desired(recorded(demand, step=HOUR))[..., 6:])


# AWS-like: hourly forecasts as a moving floor.


def test_predictive_launches_an_hour_ahead_and_tracks_the_rest(recorded):
    day = [2.0] * 9 + [10.0] + [2.0] * 14
    recording = recorded(day + day, step=HOUR, lead=HOUR)
    sizes = one(AwsPredictive(utilizations=(0.5,)), recording)
    # Nothing is known at first, and nothing is predicted on the first day: 1, then 2 / 0.5; 10 / 0.5 an hour late.
    assert sizes[:24] == [1] + [4] * 9 + [20] + [4] * 13
    # On the second day 20 are launched for 9 o'clock at 8, and tracked for one more hour.
    assert sizes[24:] == [4] * 8 + [20, 20, 20] + [4] * 13


def test_predictive_weighs_the_weekday_and_the_newest(recorded):
    # At midnight 4, only a week before the origin 8. Same hour of the week: 8. Same hour of the day, weights
    # 2 ^ (-days / 7): (4 x (0.906 + 0.820 + 0.743 + 0.673 + 0.610 + 0.552) + 8 x 0.5) / 4.803 = 4.416. Mean 6.208.
    demand = np.full(8 * 24, 4.0)
    demand[0] = 8.0
    sizes = one(AwsPredictive(utilizations=(1.0,)), recorded(demand, step=HOUR, lead=HOUR, scored_from=7 * 24))
    # Launched at 23, and gone at 1, where 4 are predicted and 4 were read.
    assert sizes[24 - 1 : 24 + 2] == [7, 7, 4]


def test_previous_day_takes_the_most_until_the_lead(recorded):
    demand = [1, 2, 3, 4, 5, 6, 7, 8, 0, 0, 0, 0]
    sizes = asked(PreviousDay(factors=(1.0, 1.5)), recorded(demand, step=SIX_HOURS, lead=SIX_HOURS, scored_from=8))
    # Walked from the second day: 2 is the most of steps 0 and 1; the last value stands for no slot here.
    assert sizes["yesterday x 1"] == [2, 3, 4, 5, 6, 7, 8, 8]
    assert sizes["yesterday x 1.5"] == [3, 5, 6, 8, 9, 11, 12, 12]


def test_an_unread_slot_is_that_of_the_day_before_then_the_last_reading(recorded):
    demand = [1, 2, np.nan, 4, 5, np.nan, np.nan, 8, 0, 0, 0, 0]
    sizes = one(PreviousDay(factors=(1.0,)), recorded(demand, step=SIX_HOURS, lead=timedelta(0)))
    # The first day knows only the last reading. Slot 2 was never read: the newest reading, 2 being unread too.
    assert sizes[:4] == [0, 1, 2, 2]
    assert sizes[4:8] == [1, 2, 5, 4]
    assert sizes[8:] == [5, 2, 0, 8]


def test_a_lead_of_more_than_a_day_looks_at_the_newest_day_that_was_over(recorded):
    demand = [1, 1, 1, 9, 1, 1, 1, 5, 1, 1, 1, 3]
    sizes = one(PreviousDay(factors=(1.0,)), recorded(demand, step=SIX_HOURS, lead=5 * SIX_HOURS, scored_from=12))
    # From step 8 the steps to 13 are covered by 4 to 7, and the last two by those again: the most is 5.
    assert sizes == [5, 5, 5, 5]


def test_seasonal_naive_needs_no_headroom_where_days_repeat(recorded):
    day = [1.0, 5.0, 2.0, 3.0]
    recording = recorded(day * 6, step=SIX_HOURS, lead=SIX_HOURS, scored_from=16)
    policy = SeasonalNaive(cycles=("day",), headroom=Headroom(levels=(0.5,), maximum_factors=()))
    # The larger of each step and the next.
    assert one(policy, recording) == [5, 5, 3, 3] * 3


def test_seasonal_naive_learns_by_how_much_days_grow(recorded):
    demand = np.concatenate([np.array([1.0, 5.0, 2.0, 3.0]) + day for day in range(8)])
    recording = recorded(demand, step=SIX_HOURS, lead=SIX_HOURS, scored_from=24)
    policy = SeasonalNaive(headroom=Headroom(levels=(0.5,), maximum_factors=()))
    sizes = asked(policy, recording)
    # One more than the day before. The week before is known on the last day only.
    assert sizes["day ago, added error P50"][8:] == [12, 12, 10, 10]
    assert [setting.split(",")[0] for setting in sizes] == ["day ago"] * 2 + ["week ago"] * 2


DULL = ([[0.0] * 40], [[np.nan] * 40], [[7.0] * 40, [0.5] * 40], [[3.0]], [[]])
STEPS = ((HOUR, 5 * MINUTE), (HOUR, HOUR), (5 * MINUTE, STEP), (7 * MINUTE, HOUR), (30 * HOUR, HOUR))


@pytest.mark.parametrize("name", POLICIES)
@pytest.mark.parametrize("scored_from", [0, 1, 30])
def test_policies_survive_dull_demand(recorded, name, scored_from):
    for rows, (step, lead) in product(DULL, STEPS):
        recording = recorded(*rows, step=step, lead=lead, scored_from=min(scored_from, len(rows[0])))
        for part in (recording, recording.part([])):
            policy = POLICIES[name]()
            desired = policy.desired(part)
            assert desired.shape == (len(policy.settings(part)), len(part.targets), part.walked_steps)
            assert desired.dtype == np.int32
            assert (desired >= 0).all()


@pytest.mark.parametrize("name", POLICIES)
def test_targets_do_not_touch_each_other(recorded, name):
    rng = np.random.default_rng(9)
    recording = recorded(*rng.gamma(3.0, 2.0, (3, 120)), step=HOUR, scored_from=60)
    policy = POLICIES[name]()
    whole_fleet = policy.desired(recording)
    for target in range(3):
        np.testing.assert_array_equal(policy.desired(recording.part([target]))[:, 0], whole_fleet[:, target])


@pytest.mark.parametrize(
    ("policy", "scored_from"),
    [
        (Static(), 60),
        (PreviousDay(), 60),
        (Histogram(margins=(1.15,)), 60),
        (Histogram(percentiles=(0.9,)), 60),
        (LastValue(), 60),
        (SeasonalNaive(cycles=("day",)), 60),
    ],
)
def test_a_higher_setting_never_asks_for_less(recorded, policy, scored_from):
    rng = np.random.default_rng(2)
    demand = rng.gamma(3.0, 2.0, (3, 120))
    demand[rng.random(demand.shape) < 0.1] = np.nan
    recording = recorded(*demand, step=HOUR, scored_from=scored_from)
    sizes = policy.desired(recording)
    sweeps = 2 if "scaled" in policy.settings(recording)[-1] else 1
    assert (np.diff(sizes.reshape(sweeps, -1, *sizes.shape[1:]), axis=1) >= 0).all()
