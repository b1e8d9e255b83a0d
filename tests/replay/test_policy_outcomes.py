"""Running a policy in parts, the decisions it hands on, and its sums on disk."""

import dataclasses

import numpy as np
import polars as pl
import pytest
from example_outcomes import HOUR, START, Fixed, recording

from persona_platform.errors import InputError
from persona_platform.replay import outcomes
from persona_platform.replay.engine import Measured
from persona_platform.replay.outcomes import (
    AS_PLANNED,
    DECISIONS,
    Block,
    Outcome,
    load_outcome,
    parts,
    run_policy,
    save_outcome,
)
from persona_platform.replay.policies import Reactive

HOURS = 48


@pytest.fixture
def demand():
    return np.random.default_rng(0).gamma(4.0, 2.0, (5, HOURS))


def assert_same(one, other):
    assert (one.policy, one.targets) == (other.policy, other.targets)
    for a, b in zip(one.blocks, other.blocks, strict=True):
        assert a.settings == b.settings
        for field in dataclasses.fields(Measured):
            left, right = getattr(a.measured, field.name), getattr(b.measured, field.name)
            assert type(left) is type(right)
            assert np.array_equal(left, right)


def test_in_parts_it_is_the_same(demand):
    whole = recording(*demand, scored_from=24)
    once = run_policy(whole, Reactive())
    pieces = list(parts(whole, Reactive(), bytes_at_once=1))
    assert [piece.targets for piece in pieces] == [("a",), ("b",), ("c",), ("d",), ("e",)]
    blocks = [block for piece in pieces for block in run_policy(piece, Reactive()).blocks]
    for field in ("unserved", "billed", "starts"):
        joined = np.concatenate([getattr(block.measured, field) for block in blocks], axis=1)
        assert np.array_equal(joined, getattr(once.blocks[0].measured, field))


def test_parts_keep_within_what_is_given(demand):
    whole = recording(*demand, scored_from=24)
    two_at_once = 2 * len(Reactive().settings(whole)) * whole.walked_steps * outcomes.STEP_BYTES
    assert [len(piece.targets) for piece in parts(whole, Reactive(), bytes_at_once=two_at_once)] == [2, 2, 1]


def test_it_says_how_far_it_is_and_answers_to_another_name(demand):
    told = []
    found = run_policy(recording(*demand), Reactive(), name="ours", progress=told.append)
    assert found.policy == "ours"
    assert told == [5]


def test_decisions_by_hand():
    """An hour of lead: the third unit is asked for at one o'clock, paid for from then and there at two."""
    kept = []
    policy = Fixed("static", grows=[[2, 3, 3]])
    run_policy(recording([2, np.nan, 4], scored_from=1, lead=HOUR), policy, sink=kept.append)
    frame = pl.concat(kept)
    assert frame.schema == pl.Schema(DECISIONS)
    assert frame.select("target", "policy", "setting", "demand", "capacity", "billed", "lead_time_s").rows() == [
        ("a", "static", "grows", None, 2.0, 3.0, 3600.0),
        ("a", "static", "grows", 4.0, 3.0, 3.0, 3600.0),
    ]
    assert frame["ts"].to_list() == [START + HOUR, START + 2 * HOUR]


def test_each_target_hands_on_its_own_frontier_and_no_more_than_asked():
    """At a the first four are worth having; at b all serve the same, and one is cheapest."""
    sizes = {f"{i} units": i for i in (4, 3, 2, 1)} | {"wasteful": 9}
    kept = []
    run_policy(recording([4, 4], [0, 0]), Fixed("static", **sizes), sink=kept.append, keep=3)
    found = pl.concat(kept).group_by("target", maintain_order=True).agg(pl.col("setting").unique(maintain_order=True))
    assert found.rows() == [("a", ["4 units", "2 units", "1 units"]), ("b", ["1 units"])]


@pytest.mark.parametrize("planned", [AS_PLANNED, "left alone, target 70%"])
def test_the_setting_without_hindsight_is_kept_wherever_it_lies(planned):
    kept = []
    run_policy(recording([4, 4]), Fixed("ours", good=4, **{planned: 9}), sink=kept.append, keep=1)
    assert set(pl.concat(kept)["setting"]) == {planned, "good"}


def test_what_is_saved_is_what_is_loaded(tmp_path, demand):
    found = run_policy(recording(*demand, start_price=0.5), Reactive())
    path = tmp_path / "parts" / "reactive.npz"
    save_outcome(path, found)
    assert_same(load_outcome(path), found)
    assert [file.name for file in path.parent.iterdir()] == ["reactive.npz"]


def test_blocks_of_other_settings_and_other_policies_replace_what_was_there(tmp_path, demand):
    first = run_policy(recording(*demand), Reactive())
    block = run_policy(recording(demand[0]), Fixed("x", one=1)).blocks[0]
    ragged = Outcome("ours", (*first.blocks, Block(("z",), block.settings, block.measured)))
    path = tmp_path / "one.npz"
    for held in (first, ragged):
        save_outcome(path, held)
    assert_same(load_outcome(path), ragged)


def test_other_targets_are_named(demand):
    found = run_policy(recording(*demand), Reactive())
    assert found.place(("e", "a", "b", "c", "d")).tolist() == [4, 0, 1, 2, 3]
    with pytest.raises(InputError, match=r"reactive was run over 5 targets, not over the 2 recorded; c, d, e differ"):
        found.place(("a", "b"))
