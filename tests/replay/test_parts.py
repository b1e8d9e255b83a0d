"""The parts of a replay on disk: made once, whole or not at all, and no other replay's."""

from datetime import timedelta

import numpy as np
import polars as pl
import pytest
from example_case import START
from example_outcomes import Fixed, recording

from persona_platform.capacity.plan_series import PlanSeries
from persona_platform.errors import InputError
from persona_platform.replay.outcomes import run_policy
from persona_platform.replay.parts import Parts

FRAME = pl.DataFrame({"a": [1, 2]})


def counted(made: list, value):
    """A maker that tells how often it was called."""

    def make():
        made.append(value)
        return value

    return make


def plans() -> PlanSeries:
    values = np.arange(2 * 3 * 4 * 7, dtype=float).reshape(2, 3, 4, 7)
    values[1, 0] = np.nan
    numbers = np.arange(6).reshape(2, 3)
    return PlanSeries(("web", "büro <1>"), START, timedelta(minutes=15), values, numbers, numbers + 6, numbers + 12)


def test_a_frame_is_made_once(tmp_path):
    made: list = []
    for _ in range(2):
        with Parts(tmp_path / "out", "one") as parts:
            assert parts.frame("found", counted(made, FRAME)).equals(FRAME)
    assert len(made) == 1


def test_plans_come_back_as_they_were(tmp_path):
    made: list = []
    first = plans()
    for _ in range(2):
        with Parts(tmp_path, "one") as parts:
            again = parts.plans("plans-0000", counted(made, first))
        assert (again.targets, again.first, again.slot) == (first.targets, first.first, first.slot)
        for name in ("values", "history_s", "cycle_s", "data_until_us"):
            np.testing.assert_array_equal(getattr(again, name), getattr(first, name))
    assert len(made) == 1


def test_an_outcome_is_made_once(tmp_path):
    made: list = []
    outcome = run_policy(recording([2, 2, 2, 2]), Fixed("static", low=[1], high=[3]))
    for _ in range(2):
        with Parts(tmp_path, "one") as parts:
            again = parts.outcome("static", counted(made, outcome))
        assert (again.policy, again.targets, again.blocks[0].settings) == ("static", ("a",), ("low", "high"))
        np.testing.assert_array_equal(again.blocks[0].measured.billed, outcome.blocks[0].measured.billed)
    assert len(made) == 1


def test_what_failed_half_way_is_no_part(tmp_path):
    def half(path):
        path.write_text("half", encoding="utf-8")
        raise KeyboardInterrupt

    with Parts(tmp_path, "one") as parts:
        with pytest.raises(KeyboardInterrupt):
            parts.whole("whole.txt", half)
        assert not parts.path("whole.txt").exists()
        parts.whole("whole.txt", lambda path: path.write_text("whole", encoding="utf-8"))
        assert parts.path("whole.txt").read_text(encoding="utf-8") == "whole"


def test_parts_of_something_else_are_removed(tmp_path):
    made: list = []
    for digest in ("one", "other", "one"):
        with Parts(tmp_path, digest) as parts:
            parts.frame("found", counted(made, FRAME))
    assert len(made) == 3


def test_parts_of_nobody_knows_what_are_removed(tmp_path):
    with Parts(tmp_path, "one") as parts:
        parts.frame("found", lambda: FRAME)
        (parts.folder / "digest").unlink()
    with Parts(tmp_path, "one") as parts:
        assert not parts.path("found.parquet").exists()


def test_nothing_else_in_the_folder_is_touched(tmp_path):
    (tmp_path / "notes.txt").write_text("mine", encoding="utf-8")
    for digest in ("one", "other"):
        with Parts(tmp_path, digest):
            pass
    assert (tmp_path / "notes.txt").read_text(encoding="utf-8") == "mine"


@pytest.mark.parametrize("digest", ["one", "other"])
def test_a_folder_is_one_replays_at_a_time(tmp_path, digest):
    with Parts(tmp_path, "one") as parts:
        parts.frame("found", lambda: FRAME)
        with pytest.raises(InputError, match=r"Another replay is writing to .*; wait for it, or give another folder"):
            Parts(tmp_path, digest).__enter__()
        assert parts.path("found.parquet").exists()
    with Parts(tmp_path, digest):
        pass


def test_a_folder_is_free_again_after_a_failure(tmp_path):
    with pytest.raises(RuntimeError), Parts(tmp_path, "one"):
        raise RuntimeError
    with Parts(tmp_path, "one") as parts:
        assert parts.folder.is_dir()
