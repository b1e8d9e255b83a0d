"""Each policy against small cases worked by hand, no look-ahead, and the bound that nobody beats."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from persona_platform.replay.engine import Recording, measure, serve
from persona_platform.replay.ours import Ours
from persona_platform.replay.policies import Clairvoyant, Reactive, ReactiveTuned, ahead

MINUTE = timedelta(minutes=1)
STEP = 15 * MINUTE
START = datetime(2024, 3, 4, tzinfo=UTC)


def one(policy, recording, setting=0):
    return policy.desired(recording)[setting, 0].tolist()


@pytest.mark.parametrize(
    ("step", "target", "demand", "asked"),
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
def test_reactive_follows_the_rules_of_the_horizontal_pod_autoscaler(recorded, step, target, demand, asked):
    recording = recorded(demand, step=step, lead=step)
    assert one(Reactive(utilizations=(target,)), recording) == asked


def test_tuned_adds_floors_of_the_training_part_and_a_window_of_the_lead(recorded):
    recording = recorded([8, 8, 8, 8, 1, 1, 1, 1], scored_from=4)
    policy = ReactiveTuned(utilizations=(1.0,))
    asked = dict(zip(policy.settings(recording), policy.desired(recording)[:, 0].tolist(), strict=True))
    assert asked["target 100%, window 300 s, floor 1"] == one(Reactive(utilizations=(1.0,)), recording)
    assert asked["target 100%, window 300 s, floor 1"] == [1, 8, 8, 8, 8, 1, 1, 1]
    assert asked["target 100%, window 1200 s, floor 1"] == [1, 8, 8, 8, 8, 8, 1, 1]
    assert asked["target 100%, window 300 s, floor P50"] == [8] * 8


def test_tuned_without_training_has_no_floors(recorded):
    assert len(ReactiveTuned(utilizations=(0.5,)).settings(recorded([1, 2]))) == 2


def test_clairvoyant_asks_a_lead_ahead_and_no_more(recorded):
    recording = recorded([1, 1, 1, 4.2, 1, 1], lead=timedelta(minutes=30))
    policy = Clairvoyant()
    assert policy.settings(recording)[-1] == "serves everything"
    assert one(policy, recording, -1) == [1, 5, 5, 5, 1, 1]


def test_clairvoyant_leaves_a_spike_that_costs_more_than_it_serves(recorded):
    recording = recorded([1, 1, 1, 1.5, 1, 1], lead=timedelta(minutes=30))
    # The second unit bills three steps and serves half a one: worth it from six times the price.
    policy = Clairvoyant(prices=(5.9, 6.1))
    assert one(policy, recording, 0) == [1] * 6
    assert one(policy, recording, 1) == [1, 2, 2, 2, 1, 1]


def test_clairvoyant_keeps_a_unit_through_a_gap_shorter_than_the_lead(recorded):
    recording = recorded([1, 0, 1, 0, 0, 0, 0, 1], lead=timedelta(minutes=30))
    assert one(Clairvoyant(prices=(9.0,)), recording) == [1, 1, 1, 0, 0, 1, 1, 1]


DEMANDS = hnp.arrays(float, (2, 14), elements=st.floats(0, 6).map(lambda x: round(x, 2)) | st.just(np.nan))


@settings(max_examples=60, deadline=None)
@given(demand=DEMANDS, lead=st.integers(0, 4), scored_from=st.integers(0, 6), data=st.data())
def test_clairvoyant_is_never_beaten(demand, lead, scored_from, data):
    recording = Recording(("a", "b"), START, STEP, lead * STEP, demand, scored_from)
    policy = Clairvoyant()
    bound = measure(serve(demand, policy.desired(recording), step=STEP, lead_time=lead * STEP), recording)
    rival = data.draw(hnp.arrays(np.int64, (5, 2, 14), elements=st.integers(0, 7)))
    rival = np.concatenate([rival, ahead(rival, lead), Reactive().desired(recording)])
    other = measure(serve(demand, rival, step=STEP, lead_time=lead * STEP), recording)
    price = np.array(policy.prices)[:, None, None]
    least = (bound.billed[:-1] + price[:, 0] * bound.unserved[:-1])[:, None]
    assert (least <= other.billed[None] + price * other.unserved[None] + 1e-6).all()
    assert not bound.unserved[-1].any()
    perfect = other.unserved == 0
    assert (other.billed >= bound.billed[-1])[perfect].all()


@pytest.fixture
def every_policy(plan_of, limits, follow_the_plan):
    ours = Ours(plan_of(np.full((2, 40), 3.0)), limits("a", "b"), kappas=(0.9,), decide=follow_the_plan)
    return [Reactive(), ReactiveTuned(), ours]


@pytest.mark.parametrize("cut", [1, 13, 20, 33])
@pytest.mark.parametrize("garbage", [0.0, 1e6, np.nan])
def test_no_policy_looks_ahead(every_policy, recorded, cut, garbage):
    rng = np.random.default_rng(3)
    demand = rng.gamma(3.0, 2.0, (2, 40))
    changed = demand.copy()
    changed[:, cut:] = garbage
    for policy in every_policy:
        # Training ends before the cut, so that hindsight over it is not what is seen.
        kept = policy.desired(recorded(*demand, scored_from=min(cut, 12)))
        seen = policy.desired(recorded(*changed, scored_from=min(cut, 12)))
        np.testing.assert_array_equal(kept[..., : cut + 1], seen[..., : cut + 1])


def test_clairvoyant_does_look_ahead(recorded):
    assert one(Clairvoyant(), recorded([1, 1, 5]), -1)[1] != one(Clairvoyant(), recorded([1, 1, 1]), -1)[1]


@pytest.mark.parametrize("demand", [[0.0] * 6, [np.nan] * 6, [7.0] * 6, [3.0]])
def test_policies_survive_dull_demand(every_policy, recorded, demand):
    recording = recorded(demand, demand)
    for policy in [*every_policy, Clairvoyant()]:
        desired = policy.desired(recording)
        assert desired.shape == (len(policy.settings(recording)), 2, len(demand))
        assert (desired >= 0).all()
