"""What is usable, billed and unserved, worked by hand."""

from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from persona_platform.errors import InputError
from persona_platform.frames import OBSERVED
from persona_platform.replay.engine import Recording, decision_rows, measure, record, serve

STEP = timedelta(minutes=15)
START = datetime(2024, 3, 4, tzinfo=UTC)


@pytest.mark.parametrize(
    ("lead", "asked", "usable"),
    [
        (timedelta(0), [1, 3, 2, 5], [1, 3, 2, 5]),
        (timedelta(minutes=15), [1, 3, 3, 5], [1, 1, 3, 3]),
        # Shorter than the step: still a whole step.
        (timedelta(minutes=5), [1, 3, 3, 5], [1, 1, 3, 3]),
        (timedelta(minutes=30), [1, 4, 4, 4, 4], [1, 1, 1, 4, 4]),
        # A lower is immediate, and takes the booting units first.
        (timedelta(minutes=30), [2, 5, 3, 3, 3], [2, 2, 2, 3, 3]),
        # Dropped for one step: gone, and booted again.
        (timedelta(minutes=15), [4, 4, 2, 4, 4], [4, 4, 2, 2, 4]),
        # Longer than the recording.
        (timedelta(hours=9), [1, 4, 4], [1, 1, 1]),
    ],
)
def test_a_raise_waits_for_its_lead_and_a_lower_does_not(lead, asked, usable):
    served = serve(np.zeros((1, len(asked))), np.array([asked]), step=STEP, lead_time=lead)
    assert served.capacity.tolist() == [usable]
    assert served.billed.tolist() == [asked]


@given(
    asked=hnp.arrays(np.int64, (3, 2, 12), elements=st.integers(0, 9)),
    lead=st.integers(0, 5),
)
def test_usable_is_what_a_list_of_units_with_their_ages_gives(asked, lead):
    served = serve(np.zeros((2, 12)), asked, step=STEP, lead_time=lead * STEP)
    for index in np.ndindex(3, 2):
        units = [-lead] * int(asked[index][0])  # when each was asked for, oldest first
        for step, want in enumerate(asked[index]):
            units = units[:want] + [step] * (int(want) - len(units))
            assert served.capacity[index][step] == sum(at + lead <= step for at in units)


def test_scores_by_hand(recorded):
    recording = recorded([2, 4, 1, 3], [0, 0, 0, 0])
    served = serve(recording.demand, np.array([[2, 3, 3, 3], [1, 1, 1, 1]]), step=STEP, lead_time=recording.lead_time)
    measured = measure(served, recording)
    assert measured.unserved.tolist() == [2, 0]  # 4 wanted, 2 usable: the third still boots
    assert measured.unserved_share.tolist() == [0.2, 0.0]
    assert measured.billed_unit_hours.tolist() == [11 / 4, 1.0]
    assert measured.under_provisioned_minutes.tolist() == [15, 0]
    assert measured.starts_per_day.tolist() == [24.0, 0.0]  # one in an hour
    assert measured.idle_share.tolist() == pytest.approx([1 - 8 / 11, 1.0])
    assert measured.worst_day.tolist() == [0.2, 0.0]


def test_unread_steps_are_not_scored(recorded):
    full, holed = recorded([2, 2, 2, 2]), recorded([2, np.nan, 2, 2])
    asked = np.array([[2, 9, 9, 9]])
    measured = measure(serve(holed.demand, asked, step=STEP, lead_time=timedelta(0)), holed)
    assert measured.demand.tolist() == [6]
    assert measured.billed.tolist() == [20]
    assert measure(serve(full.demand, asked, step=STEP, lead_time=timedelta(0)), full).billed.tolist() == [29]
    assert measured.unserved_share.tolist() == [0]


def test_training_steps_are_not_scored(recorded):
    recording = recorded([9, 9, 1, 1], scored_from=2)
    measured = measure(serve(recording.demand, np.ones((1, 4), int), step=STEP, lead_time=STEP), recording)
    assert measured.unserved.tolist() == [0]
    assert measured.billed.tolist() == [2]


def test_the_worst_day_is_a_utc_day(recorded):
    step = timedelta(hours=6)
    recording = recorded([4, 2, 2, 2, 2, 4], step=step, lead=step, start=START + timedelta(hours=18))
    measured = measure(serve(recording.demand, np.full((1, 6), 2), step=step, lead_time=step), recording)
    # Monday has one step (2 of 4 unserved), Tuesday four, Wednesday one (2 of 4).
    assert measured.worst_day.tolist() == [0.5]
    assert measured.unserved_share.tolist() == [4 / 16]


def test_pooling_weighs_units_by_their_price(recorded):
    recording = recorded([2, 2], [4, 4])
    measured = measure(serve(recording.demand, np.array([[1, 1], [4, 4]]), step=STEP, lead_time=STEP), recording)
    pooled = measured.pooled(np.array([3.0, 1.0]))
    assert pooled.unserved_share.tolist() == [6 / 20]
    assert pooled.billed.tolist() == [3 * 2 + 8]


def test_no_steps_score_nothing(recorded):
    recording = recorded([])
    measured = measure(serve(recording.demand, np.zeros((1, 0), int), step=STEP, lead_time=STEP), recording)
    assert measured.unserved_share.tolist() == [0]
    assert measured.worst_day.tolist() == [0]


@pytest.mark.parametrize("asked", [[[1.5, 2.0]], [[-1, 2]], [[1, 2, 3]]])
def test_sizes_that_are_no_sizes_are_refused(asked):
    with pytest.raises(InputError):
        serve(np.zeros((1, 2)), np.array(asked), step=STEP, lead_time=STEP)


def observed(*rows):
    return pl.DataFrame(
        [{"target": t, "slot": START + i * STEP, "demand": d, "saturated": False} for t, i, d in rows],
        schema=OBSERVED,
    )


def test_a_recording_keeps_gaps_open_and_finds_its_training_part():
    frame = observed(("b", 3, 7.0), ("a", 0, 1.0), ("a", 2, None), ("b", 0, 5.0))
    recording = record(frame, step=STEP, lead_time=STEP, scored_from=START + 2 * STEP)
    assert recording.targets == ("a", "b")
    assert recording.scored_from == 2
    np.testing.assert_equal(recording.demand, [[1, np.nan, np.nan, np.nan], [5, np.nan, np.nan, 7]])


@pytest.mark.parametrize(
    ("scored_from", "index"), [(timedelta(days=-1), 0), (timedelta(minutes=20), 2), (timedelta(days=9), 2)]
)
def test_scoring_starts_at_the_first_whole_step_and_within_the_recording(scored_from, index):
    frame = observed(("a", 0, 1.0), ("a", 1, 1.0))
    assert record(frame, step=STEP, lead_time=STEP, scored_from=START + scored_from).scored_from == index


@pytest.mark.parametrize("rows", [[("a", 0, 1.0), ("a", 0.5, 1.0)], [("a", 0, 1.0), ("a", 0, 2.0)]])
def test_off_the_grid_or_twice_is_refused(rows):
    with pytest.raises(InputError, match="one row for each target and step"):
        record(observed(*rows), step=STEP, lead_time=STEP, scored_from=START)


def test_an_empty_recording_is_possible():
    recording = record(observed(), step=STEP, lead_time=STEP, scored_from=START, targets=["a"])
    assert recording.demand.shape == (1, 0)


def test_demand_of_another_shape_is_refused():
    with pytest.raises(InputError, match="shape"):
        Recording(("a",), START, STEP, STEP, np.zeros((2, 3)))


def test_decisions_are_the_scored_steps_of_the_kept_settings(recorded):
    recording = recorded([1, np.nan, 3], scored_from=1)
    served = serve(recording.demand, np.array([[[1, 2, 3]], [[4, 4, 4]]]), step=STEP, lead_time=STEP)
    rows = decision_rows(served, recording, "reactive", {1: "loose"})
    assert rows.rows() == [
        ("a", "reactive", "loose", START + STEP, None, 4.0, 4.0, 900.0),
        ("a", "reactive", "loose", START + 2 * STEP, 3.0, 4.0, 4.0, 900.0),
    ]
