"""What is recorded, and what sizes become under a recording's terms, worked by hand."""

from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from persona_platform.errors import InputError
from persona_platform.frames import OBSERVED
from persona_platform.replay.engine import Recording, Terms, ahead, record, serve, sliding

STEP = timedelta(minutes=15)
START = datetime(2024, 3, 4, tzinfo=UTC)


def walk(asked, lead=STEP, **terms):
    """Sizes against no demand, from the first step on: (settings, targets, steps)."""
    asked = np.array(asked)
    asked = asked.reshape((1,) * (3 - asked.ndim) + asked.shape)
    names = tuple("abcdefgh"[: asked.shape[1]])
    return Recording(names, START, STEP, np.zeros(asked.shape[1:]), 0, Terms(lead, **terms)), asked


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
    served = serve(*walk(asked, lead))
    assert served.capacity[0, 0].tolist() == usable
    assert served.billed[0, 0].tolist() == asked


@pytest.mark.parametrize(
    ("terms", "asked", "billed"),
    [
        ({"minimum": 2, "maximum": 4}, [0, 3, 9], [2, 3, 4]),
        # Half an hour is two steps: a size falls once the two before it and itself have asked for less.
        ({"scale_in_after": 2 * STEP}, [5, 1, 1, 1, 3, 1], [5, 5, 5, 1, 3, 3]),
        # Shorter than a step: at once.
        ({"scale_in_after": timedelta(minutes=5)}, [5, 1, 1], [5, 1, 1]),
        # Started at 1 and paid for an hour, so until 5.
        ({"billing_quantum": 4 * STEP}, [0, 1, 0, 0, 0, 0, 0], [0, 1, 1, 1, 1, 0, 0]),
        # Asked for again while it is still paid for: no start, and still its own hours.
        ({"billing_quantum": 4 * STEP}, [0, 1, 0, 1, 0, 0, 0], [0, 1, 1, 1, 1, 0, 0]),
        # One of two booted units may go: the first one to end its hour, here the one held at first.
        ({"billing_quantum": 4 * STEP}, [1, 2, 1, 1, 1, 1, 1], [1, 2, 2, 2, 1, 1, 1]),
        # Still asked for when its first hour ends: a second one begins.
        ({"billing_quantum": 4 * STEP}, [0, 1, 1, 1, 1, 1, 0, 0, 0, 0], [0, 1, 1, 1, 1, 1, 1, 1, 1, 0]),
        # What is held at first starts an hour there.
        ({"billing_quantum": 4 * STEP}, [2, 0, 0, 0, 0], [2, 2, 2, 2, 0]),
        # Rounded up to whole steps.
        ({"billing_quantum": timedelta(minutes=20)}, [0, 1, 0, 0], [0, 1, 1, 0]),
        # Bounds come before the quantum.
        ({"maximum": 2, "billing_quantum": 2 * STEP}, [0, 9, 1, 1], [0, 2, 2, 1]),
    ],
)
def test_terms_by_hand(terms, asked, billed):
    assert serve(*walk(asked, timedelta(0), **terms)).billed[0, 0].tolist() == billed


def test_what_is_kept_for_its_quantum_serves():
    served = serve(*walk([0, 2, 0, 0, 0, 0], STEP, billing_quantum=4 * STEP))
    assert served.capacity[0, 0].tolist() == [0, 0, 2, 2, 2, 0]
    assert served.starts[0, 0].tolist() == [0, 2, 0, 0, 0, 0]


def test_the_older_unit_stays_while_a_younger_one_boots_out_its_quantum():
    # At step 4 the first unit's hour ends, but the one that is too many is that of step 3, paid until 7.
    served = serve(*walk([1, 1, 1, 2, 1, 1, 1, 1], 2 * STEP, billing_quantum=4 * STEP))
    assert served.billed[0, 0].tolist() == [1, 1, 1, 2, 2, 2, 2, 1]
    assert served.capacity[0, 0].tolist() == [1, 1, 1, 1, 1, 2, 2, 1]


def counted(asked, leads, quantum, longest):
    """The same from a list of units and their starts, oldest first."""
    units, usable, billed = [-longest * quantum] * int(asked[0]), [], []
    for step, want in enumerate(asked):
        excess = max(len(units) - int(want), 0)
        kept = []
        for start in reversed([s for s in units if step - s < longest]):
            if excess and (step - start) % quantum == 0:
                excess -= 1
                continue
            excess -= bool(excess)
            kept.insert(0, start)
        old = [s for s in units if step - s >= longest]
        ends = [s for s in old if (step - s) % quantum == 0]
        for start in ends[: min(excess, len(ends))]:
            old.remove(start)
        units = old + kept
        units += [step] * (int(want) - len(units))
        billed.append(len(units))
        usable.append(sum(s < 0 or s + leads[s] <= step for s in units))
    return usable, billed


SIZES = hnp.arrays(np.int64, (3, 2, 12), elements=st.integers(0, 9))


@settings(deadline=None)
@given(asked=SIZES, leads=st.lists(st.integers(0, 5), min_size=1, max_size=3), quantum=st.integers(1, 5))
def test_units_counted_one_by_one_give_the_same(asked, leads, quantum):
    terms = {"billing_quantum": quantum * STEP, "lead_times": tuple(lead * STEP for lead in leads)}
    recording, asked = walk(asked, **terms)
    served = serve(recording, asked)
    longest = int(recording.lead_draws.max())
    for setting, target in np.ndindex(3, 2):
        usable, billed = counted(asked[setting, target], recording.lead_draws[target], quantum, longest)
        assert served.capacity[setting, target].tolist() == usable
        assert served.billed[setting, target].tolist() == billed


@settings(deadline=None)
@given(asked=SIZES, lead=st.integers(0, 5))
def test_a_lead_that_is_always_drawn_is_a_fixed_lead(asked, lead):
    fixed = serve(*walk(asked, lead * STEP))
    for terms in ({"lead_times": (lead * STEP,)}, {"billing_quantum": STEP}, {"lead_times": (lead * STEP,) * 3}):
        other = serve(*walk(asked, lead * STEP, **terms))
        np.testing.assert_array_equal(other.capacity, fixed.capacity)
        np.testing.assert_array_equal(other.billed, fixed.billed)
        np.testing.assert_array_equal(other.starts, fixed.starts)


def test_a_drawn_lead_belongs_to_the_target_and_the_step_of_its_request():
    recording, asked = walk([[0, 2, 2, 2, 2, 2, 2, 2]] * 8, lead_times=(STEP, 4 * STEP))
    draws = recording.lead_draws
    assert set(np.unique(draws)) == {1, 4}
    usable = serve(recording, asked).capacity[0]
    for target, drawn in enumerate(draws[:, 1]):
        assert usable[target].tolist() == [0] * (1 + drawn) + [2] * (7 - drawn)
    part = recording.part([5, 2])
    assert part.targets == ("f", "c")
    np.testing.assert_array_equal(part.lead_draws, draws[[5, 2]])
    other, _ = walk(np.zeros((8, 8), int), lead_times=(STEP, 4 * STEP), seed=1)
    assert (other.lead_draws != draws).any()


@pytest.mark.parametrize(("minutes", "planned"), [([5], 5), (range(1, 11), 9), ([1, 2, 3], 3), ([7, 7, 1], 7)])
def test_a_planner_assumes_what_nine_in_ten_leads_stay_within(minutes, planned):
    terms = Terms(STEP, lead_times=tuple(timedelta(minutes=m) for m in minutes))
    assert terms.planned_lead_time == timedelta(minutes=planned)
    assert terms.shortest_lead_time == timedelta(minutes=min(minutes))
    assert Terms(STEP).planned_lead_time == Terms(STEP).shortest_lead_time == STEP


def test_a_backlog_drains_when_there_is_room():
    demand = np.array([[3, 0, np.nan, 1, 0, 0, 4.5]])
    recording = Recording(("a",), START, STEP, demand, 0, Terms(STEP, backlog=True))
    served = serve(recording, np.ones((1, 1, 7), int))
    assert served.waiting is not None
    # 3 come and 1 is served; then one leaves at each step, unread ones too.
    assert served.waiting[0, 0].tolist() == [2, 1, 0, 0, 0, 0, 3.5]
    assert serve(*walk([1, 2])).waiting is None


@settings(deadline=None)
@given(demand=hnp.arrays(float, (2, 9), elements=st.floats(0, 5)), asked=hnp.arrays(int, 9, elements=st.integers(0, 5)))
def test_a_backlog_is_what_adding_step_by_step_gives(demand, asked):
    recording = Recording(("a", "b"), START, STEP, demand, 0, Terms(timedelta(0), backlog=True))
    waiting = serve(recording, np.broadcast_to(asked, (1, 2, 9))).waiting
    left = np.zeros(2)
    for step in range(9):
        left = np.maximum(left + demand[:, step] - asked[step], 0)
        np.testing.assert_allclose(waiting[0, :, step], left, atol=1e-5)


@settings(deadline=None)
@given(values=hnp.arrays(int, (2, 11), elements=st.integers(0, 9)), before=st.integers(0, 14))
def test_windows_slide(values, before):
    for t in range(11):
        window = values[:, max(0, t - before) : t + 1]
        np.testing.assert_array_equal(sliding(np.minimum, values, before)[:, t], window.min(axis=1))
        np.testing.assert_array_equal(sliding(np.maximum, values, before)[:, t], window.max(axis=1))
        np.testing.assert_array_equal(ahead(values, before)[:, t], values[:, t : t + before + 1].max(axis=1))


@pytest.mark.parametrize(
    ("asked", "words"), [([[[1.5, 2.0]]], "whole units"), ([[[-1, 2]]], "whole units"), ([[[1, 2, 3]]], "do not fit")]
)
def test_sizes_that_are_no_sizes_are_refused(asked, words):
    with pytest.raises(InputError, match=words):
        serve(walk([0, 0])[0], np.array(asked))


@pytest.mark.parametrize(
    "terms",
    [
        {"lead_time": -STEP},
        {"lead_times": (STEP, -STEP)},
        {"billing_quantum": -STEP},
        {"scale_in_after": -STEP},
        {"minimum": -1},
        {"minimum": 3, "maximum": 2},
        {"start_price": -0.1},
    ],
)
def test_terms_that_cannot_be_are_refused(terms):
    with pytest.raises(InputError, match=r"negative|minimum"):
        Terms(**{"lead_time": STEP, **terms})


@pytest.mark.parametrize(("targets", "steps"), [(0, 5), (2, 0), (0, 0), (2, 1)])
@pytest.mark.parametrize(
    "terms", [{}, {"lead_times": (STEP,)}, {"billing_quantum": 4 * STEP}, {"backlog": True, "scale_in_after": STEP}]
)
def test_nothing_is_served_from_nothing(targets, steps, terms):
    recording = Recording(tuple("ab"[:targets]), START, STEP, np.ones((targets, steps)), 0, Terms(STEP, **terms))
    served = serve(recording, np.ones((3, targets, steps), int))
    assert served.capacity.shape == served.billed.shape == served.starts.shape == (3, targets, steps)
    assert (served.capacity == 1).all()


def observed(*rows):
    return pl.DataFrame(
        [{"target": t, "slot": START + i * STEP, "demand": d, "saturated": False} for t, i, d in rows],
        schema=OBSERVED,
    )


def test_a_recording_keeps_gaps_open_and_finds_its_training_part():
    frame = observed(("b", 3, 7.0), ("a", 0, 1.0), ("a", 2, None), ("b", 0, 5.0))
    recording = record(frame, step=STEP, terms=Terms(STEP), scored_from=START + 2 * STEP)
    assert recording.targets == ("a", "b")
    assert recording.scored_from == 2
    np.testing.assert_equal(recording.demand, [[1, np.nan, np.nan, np.nan], [5, np.nan, np.nan, 7]])


@pytest.mark.parametrize(
    ("scored_from", "index"), [(timedelta(days=-1), 0), (timedelta(minutes=20), 2), (timedelta(days=9), 2)]
)
def test_scoring_starts_at_the_first_whole_step_and_within_the_recording(scored_from, index):
    frame = observed(("a", 0, 1.0), ("a", 1, 1.0))
    assert record(frame, step=STEP, terms=Terms(STEP), scored_from=START + scored_from).scored_from == index


@pytest.mark.parametrize(
    ("step", "scored_from", "walked_from"), [(STEP, 100, 4), (STEP, 90, 0), (timedelta(hours=7), 9, 5)]
)
def test_a_day_is_walked_before_the_scored_part(recorded, step, scored_from, walked_from):
    recording = recorded([1.0] * 120, step=step, scored_from=scored_from)
    assert recording.walked_from == walked_from
    assert recording.walked_steps == 120 - walked_from


@pytest.mark.parametrize("rows", [[("a", 0, 1.0), ("a", 0.5, 1.0)], [("a", 0, 1.0), ("a", 0, 2.0)]])
def test_off_the_grid_or_twice_is_refused(rows):
    with pytest.raises(InputError, match="one row for each target and step"):
        record(observed(*rows), step=STEP, terms=Terms(STEP), scored_from=START)


def test_an_empty_recording_is_possible():
    recording = record(observed(), step=STEP, terms=Terms(STEP), scored_from=START, targets=["a"])
    assert recording.demand.shape == (1, 0)


def test_demand_of_another_shape_is_refused():
    with pytest.raises(InputError, match="shape"):
        Recording(("a",), START, STEP, np.zeros((2, 3)))
