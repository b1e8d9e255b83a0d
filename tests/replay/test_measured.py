"""Scores, worked by hand."""

from datetime import UTC, date, datetime, timedelta

import numpy as np
import pytest

from persona_platform.replay.engine import measure, serve

STEP = timedelta(minutes=15)
START = datetime(2024, 3, 4, tzinfo=UTC)


def scores(recording, *asked):
    """Of one setting, a row of sizes for each target."""
    return measure(serve(recording, np.array([asked])), recording)


def test_scores_by_hand(recorded):
    # The third unit is asked for at step 1 and usable at step 2: capacity 2, 2, 3, 3.
    measured = scores(recorded([2, 4, 1, 3], start_price=0.5), [2, 3, 3, 3])
    assert measured.unserved_share.tolist() == [[2 / 10]]
    assert measured.billed_unit_hours.tolist() == [[11 / 4 + 0.5]]
    assert measured.under_provisioned_minutes.tolist() == [[15]]
    assert measured.starts_per_day.tolist() == [[24]]  # one in an hour
    assert measured.idle_share == pytest.approx(np.array([[1 - 8 / 11]]))
    assert measured.utilization.tolist() == [[8 / 10]]
    assert measured.worst_day.tolist() == [[0.2]]
    assert measured.slack.tolist() == [[[2]]]
    assert measured.tau_u.tolist() == measured.tau_o.tolist() == [[1 / 4]]
    assert measured.theta_u.tolist() == [[2 / 4 / 4]]  # short 2 of 4 in one of four steps
    assert measured.theta_o.tolist() == [[2 / 1 / 4]]  # over by 2 on 1 in one of four steps
    assert measured.instability.tolist() == [[1 / 4]]  # capacity rose at step 2, where demand fell
    assert measured.waiting_unit_hours.tolist() == [[0]]


def test_without_demand_nothing_is_short_and_all_is_idle(recorded):
    measured = scores(recorded([0, 0, 0, 0]), [1, 1, 1, 1])
    assert measured.unserved_share.tolist() == measured.theta_o.tolist() == measured.worst_day.tolist() == [[0]]
    assert measured.idle_share.tolist() == measured.tau_o.tolist() == [[1]]


def test_waiting_is_counted_in_unit_hours(recorded):
    measured = scores(recorded([3, 0, 0, 0], backlog=True), [1, 1, 1, 1])
    assert measured.waiting_unit_hours.tolist() == [[(2 + 1) / 4]]
    assert measured.unserved.tolist() == [[[2]]]  # not served in its own step, waiting or not


def test_unread_steps_are_not_scored(recorded):
    full, holed = recorded([2, 2, 2, 2], lead=timedelta(0)), recorded([2, np.nan, 2, 2], lead=timedelta(0))
    measured = scores(holed, [2, 9, 9, 8])
    assert measured.demand.tolist() == [[6]]
    assert measured.scored_steps.tolist() == [[3]]
    assert measured.billed.tolist() == [[[19]]]
    assert scores(full, [2, 9, 9, 8]).billed.tolist() == [[[28]]]
    assert measured.starts.tolist() == [[[0]]]  # started where it does not count
    assert measured.unserved_share.tolist() == [[0]]
    # Nobody saw demand move into or out of the unread step.
    assert scores(recorded([4, np.nan, 2, 2]), [1, 2, 3, 4]).instability.tolist() == [[0]]
    assert scores(recorded([4, 3, 2, 2]), [1, 2, 3, 4]).instability.tolist() == [[1 / 4]]


def test_training_steps_are_walked_and_not_scored(recorded):
    recording = recorded([9, 9, 1, 1, 2], scored_from=2, start_price=1.0)
    assert recording.walked_from == 0
    measured = scores(recording, [0, 1, 1, 1, 2])
    assert measured.unserved.tolist() == [[[1]]]  # the second unit of the last step boots
    assert measured.billed.tolist() == [[[4]]]
    assert measured.starts.tolist() == [[[1]]]
    # A day is 4 steps of 6 h: the first 2 of these 8 are not walked either.
    recording = recorded([9, 9, 5, 5, 5, 5, 2, 2], scored_from=6, step=timedelta(hours=6))
    measured = scores(recording, [1, 1, 1, 1, 1, 2])
    assert measured.demand.tolist() == [[4]]
    assert measured.billed.tolist() == [[[3]]]
    assert measured.starts.tolist() == [[[1]]]


def test_days_are_utc_days(recorded):
    step = timedelta(hours=6)
    recording = recorded([4, 2, 2, 2, 2, 4], step=step, lead=step, start=START + timedelta(hours=18))
    measured = scores(recording, [2] * 6)
    assert measured.days == (date(2024, 3, 4), date(2024, 3, 5), date(2024, 3, 6))
    assert measured.demand.tolist() == [[4, 8, 4]]
    assert measured.unserved.tolist() == [[[2, 0, 2]]]
    assert measured.worst_day.tolist() == [[0.5]]
    assert measured.unserved_share.tolist() == [[4 / 16]]


def test_days_begin_with_the_first_scored_step(recorded):
    step = timedelta(hours=12)
    measured = scores(recorded([1, 1, 1, 1, 1], step=step, scored_from=3), [1] * 4)
    assert measured.days == (date(2024, 3, 5), date(2024, 3, 6))
    assert measured.scored_steps.tolist() == [[1, 1]]


def test_settings_and_targets_are_apart(recorded):
    recording = recorded([2, 2], [4, 4])
    measured = measure(serve(recording, np.array([[[1, 1], [4, 4]], [[2, 2], [3, 3]]])), recording)
    assert measured.unserved_share.tolist() == [[0.5, 0], [0, 0.25]]
    assert measured.billed_unit_hours.tolist() == [[0.5, 2], [1, 1.5]]


@pytest.mark.parametrize(
    ("rows", "scored_from", "targets"), [([[]], 0, [0]), ([[1.0, 1.0]], 2, [0]), ([[1.0, 1.0]], 0, [])]
)
def test_nothing_to_score_scores_nothing(recorded, rows, scored_from, targets):
    recording = recorded(*rows, scored_from=scored_from).part(targets)
    asked = np.ones((1, len(targets), recording.walked_steps), int)
    measured = measure(serve(recording, asked), recording)
    assert measured.unserved_share.tolist() == [[0] * len(targets)]
    assert measured.worst_day.tolist() == measured.tau_o.tolist() == [[0] * len(targets)]
