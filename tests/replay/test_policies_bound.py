"""The clairvoyant: right where it can be worked out, and never beaten."""

from datetime import UTC, datetime, timedelta
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from persona_platform.replay.engine import Recording, Terms, ahead, measure, serve
from persona_platform.replay.policies import POLICIES, Clairvoyant, play

STEP = timedelta(hours=6)  # the day that is walked and not scored is four of them
HOUR = timedelta(hours=1)
START = datetime(2024, 3, 4, tzinfo=UTC)
STEPS = 18


def one(policy, recording, setting=0):
    return policy.desired(recording)[setting, 0].tolist()


def test_it_asks_a_lead_ahead_and_no_more(recorded):
    recording = recorded([1, 1, 1, 4.2, 1, 1], lead=timedelta(minutes=30))
    policy = Clairvoyant()
    assert policy.settings(recording)[-1] == "serves everything"
    assert one(policy, recording, -1) == [1, 5, 5, 5, 1, 1]


def test_it_leaves_a_spike_that_costs_more_than_it_serves(recorded):
    recording = recorded([1, 1, 1, 1.5, 1, 1], lead=timedelta(minutes=30))
    # The second unit bills three steps and serves half a one: worth it from six times the price.
    policy = Clairvoyant(prices=(5.9, 6.1))
    assert one(policy, recording, 0) == [1] * 6
    assert one(policy, recording, 1) == [1, 2, 2, 2, 1, 1]


def test_it_keeps_a_unit_through_a_gap_shorter_than_the_lead(recorded):
    recording = recorded([1, 0, 1, 0, 0, 0, 0, 1], lead=timedelta(minutes=30))
    assert one(Clairvoyant(prices=(9.0,)), recording) == [1, 1, 1, 0, 0, 1, 1, 1]


@pytest.mark.parametrize(("start_price", "sizes"), [(0.5, [1, 0, 0, 0, 1]), (1.0, [1, 1, 1, 1, 1])])
@pytest.mark.parametrize("setting", [0, -1])
def test_it_keeps_a_unit_where_a_start_is_dearer(recorded, start_price, sizes, setting):
    # Three quarters of an hour of keeping it, against half an hour's or an hour's price for the start.
    recording = recorded([1, 0, 0, 0, 1], lead=timedelta(0), start_price=start_price)
    assert one(Clairvoyant(prices=(9.0,)), recording, setting) == sizes


def test_what_is_held_when_the_walk_begins_is_no_start(recorded):
    # Usable from step 2, so asked for at step 0: three steps billed, and 4 x 1 unit-hour that nobody charges.
    recording = recorded([0, 0, 1, 0, 0], lead=timedelta(minutes=30), start_price=1.0)
    assert one(Clairvoyant(prices=(2.9, 3.1)), recording, 0) == [0, 0, 0, 0, 0]
    assert one(Clairvoyant(prices=(2.9, 3.1)), recording, 1) == [1, 1, 1, 0, 0]


def test_a_start_in_the_unscored_day_is_free(recorded):
    # Asked for at step 3, which is not scored; 4 bills its booting, 5 serves: two steps, no price of a start.
    recording = recorded([0, 0, 0, 0, 0, 1, 0], step=STEP, lead=2 * STEP, scored_from=4, start_price=100.0)
    assert one(Clairvoyant(prices=(1.9, 2.1)), recording, 0) == [0] * 7
    assert one(Clairvoyant(prices=(1.9, 2.1)), recording, 1)[3:] == [1, 1, 1, 0]


def test_bounds_bind_it_too(recorded):
    recording = recorded([0, 3, 9, 0], lead=timedelta(0), minimum=1, maximum=4)
    assert one(Clairvoyant(), recording, -1) == [1, 3, 4, 1]


def test_a_rounding_error_is_no_demand(recorded):
    recording = recorded([2 + 1e-12, 3, 2 + 1e-12], lead=timedelta(0))
    assert one(Clairvoyant(), recording, -1) == [2, 3, 2]


def test_many_units_that_see_the_same_are_one(recorded):
    demand = [1e6, 2e6 + 0.5, 1e6]
    assert one(Clairvoyant(), recorded(demand, lead=timedelta(0)), -1) == [1_000_000, 2_000_001, 1_000_000]


def cost(measured, price):
    """(prices, settings, targets) in unit-hours."""
    unserved = measured.unserved.sum(-1) * (measured.step / HOUR)
    return measured.billed_unit_hours + np.reshape(price, (-1, 1, 1)) * unserved


UNITS = st.floats(0, 2).map(lambda x: round(x, 2)) | st.just(np.nan)


@settings(max_examples=40, deadline=None)
@given(
    demand=hnp.arrays(float, (1, 6), elements=UNITS),
    lead=st.integers(0, 3),
    scored_from=st.integers(0, 3),
    start_price=st.sampled_from([0.0, 0.3, 5.0]),
)
def test_it_is_the_best_of_all_that_can_be_asked_for(demand, lead, scored_from, start_price):
    recording = Recording(("a",), START, STEP, demand, scored_from, Terms(lead * STEP, start_price=start_price))
    policy = Clairvoyant(prices=(1.05, 1.7, 4.0, 30.0))
    bound = measure(play(policy, recording), recording)
    every = np.array(list(product(range(3), repeat=6)), dtype=np.int32)[:, None]
    rivals = cost(measure(serve(recording, every), recording), policy.prices).min(axis=1)
    reached = cost(bound, policy.prices)[range(4), range(4)]
    np.testing.assert_allclose(reached, rivals, atol=1e-6)


def never_beaten(bound, other, policy):
    """Neither at any price of the sweep, nor by a rival that leaves as little as serving everything does."""
    count = len(policy.prices)
    reached = cost(bound, policy.prices)[range(count), range(count)]
    assert (reached[:, None] <= cost(other, policy.prices) + 1e-6).all()
    as_good = other.unserved.sum(-1) <= bound.unserved.sum(-1)[-1] + 1e-9
    assert (other.billed_unit_hours >= bound.billed_unit_hours[-1] - 1e-6)[as_good].all()
    assert (other.unserved.sum(-1) >= bound.unserved.sum(-1)[-1] - 1e-6).all()


DEMANDS = hnp.arrays(float, (2, STEPS), elements=st.floats(0, 6).map(lambda x: round(x, 2)) | st.just(np.nan))
FIXED = st.fixed_dictionaries(
    {
        "lead_time": st.integers(0, 4).map(lambda lead: lead * STEP),
        "start_price": st.sampled_from([0.0, 2.0, 50.0]),
        "minimum": st.sampled_from([0, 0, 2]),
        "maximum": st.sampled_from([None, None, 4]),
    }
)
KEPT = st.fixed_dictionaries(
    {
        "lead_times": st.lists(st.integers(0, 4).map(lambda lead: lead * STEP), max_size=3).map(tuple),
        "billing_quantum": st.integers(0, 4).map(lambda steps: steps * STEP),
        "scale_in_after": st.integers(0, 3).map(lambda steps: steps * STEP),
        "seed": st.integers(0, 3),
    }
)


@settings(max_examples=40, deadline=None)
@given(demand=DEMANDS, terms=FIXED, scored_from=st.integers(0, 9), data=st.data())
def test_it_is_never_beaten(demand, terms, scored_from, data):
    recording = Recording(("a", "b"), START, STEP, demand, scored_from, Terms(**terms))
    policy = Clairvoyant()
    bound = measure(play(policy, recording), recording)
    shape = (5, 2, recording.walked_steps)
    random = data.draw(hnp.arrays(np.int32, shape, elements=st.integers(0, 7)))
    rivals = [random, ahead(random, recording.lead_steps)]
    rivals += [make().desired(recording) for make in POLICIES.values()]
    never_beaten(bound, measure(serve(recording, np.concatenate(rivals)), recording), policy)


@settings(max_examples=40, deadline=None)
@given(demand=DEMANDS, fixed=FIXED, kept=KEPT, data=st.data())
def test_it_stays_a_bound_under_terms_that_it_does_not_know(demand, fixed, kept, data):
    recording = Recording(("a", "b"), START, STEP, demand, 6, Terms(**fixed, **kept))
    policy = Clairvoyant()
    bound = measure(play(policy, recording), recording)
    random = data.draw(hnp.arrays(np.int32, (5, 2, recording.walked_steps), elements=st.integers(0, 7)))
    rivals = [random, ahead(random, 4)]
    rivals += [make().desired(recording) for name, make in POLICIES.items() if name != "clairvoyant"]
    never_beaten(bound, measure(serve(recording, np.concatenate(rivals)), recording), policy)


def test_a_dearer_unserved_unit_leaves_no_more_of_it():
    rng = np.random.default_rng(1)
    recording = Recording(("a",), START, STEP, rng.gamma(2.0, 3.0, (1, 60)), 20, Terms(STEP, start_price=1.0))
    bound = measure(play(Clairvoyant(), recording), recording)
    assert (np.diff(bound.unserved_share[:, 0]) <= 1e-12).all()
    assert (np.diff(bound.billed_unit_hours[:, 0]) >= -1e-9).all()
    assert bound.unserved_share[-1, 0] == 0
