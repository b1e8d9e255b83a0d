"""Frames on disk: versions, the pointer, two writers."""

from pathlib import Path

import polars as pl
import pytest

from persona_platform.errors import InputError
from persona_platform.frames import OBSERVED, conform, empty
from resources.frames import KEPT_VERSIONS, FrameStore

ONE = pl.DataFrame({"a": [1]})
TWO = pl.DataFrame({"a": [2]})


def test_the_newest_is_current_and_an_old_version_can_still_be_read(tmp_path: Path) -> None:
    store = FrameStore(tmp_path)
    store.write("g/x", ONE, "run-1")
    store.write("g/x", TWO, "run-2")
    assert store.read("g/x").equals(TWO)
    assert store.read("g/x", version="run-1").equals(ONE)


def test_several_frames_under_their_names(tmp_path: Path) -> None:
    store = FrameStore(tmp_path)
    store.write("g/x", {"left": ONE, "right": TWO}, "run-1")
    assert store.read("g/x", name="right").equals(TWO)
    assert set(store.read_all("g/x")) == {"left", "right"}


def test_writing_a_version_again_replaces_it(tmp_path: Path) -> None:
    store = FrameStore(tmp_path)
    store.write("g/x", {"left": ONE, "right": ONE}, "run-1")
    store.write("g/x", TWO, "run-1")
    assert set(store.read_all("g/x")) == {"data"}


def test_what_was_never_made_says_how_to_make_it(tmp_path: Path) -> None:
    store = FrameStore(tmp_path)
    assert not store.has("g/x")
    with pytest.raises(InputError, match="persona replan"):
        store.read("g/x")
    with pytest.raises(InputError, match="persona replan"):
        store.read_all("g/x")


def test_old_versions_are_forgotten_but_never_the_current(tmp_path: Path) -> None:
    store = FrameStore(tmp_path)
    for i in range(KEPT_VERSIONS + 4):
        store.write("g/x", pl.DataFrame({"a": [i]}), f"run-{i}")
    kept = [p.name for p in (tmp_path / "g/x").iterdir() if p.is_dir()]
    assert len(kept) == KEPT_VERSIONS
    assert store.read("g/x")["a"].to_list() == [KEPT_VERSIONS + 3]


def test_a_killed_write_leaves_the_old_frames(tmp_path: Path) -> None:
    store = FrameStore(tmp_path)
    store.write("g/x", ONE, "run-1")
    partial = tmp_path / "g/x" / ".run-2.partial"
    partial.mkdir()
    (partial / "data.parquet").write_bytes(b"half")
    assert store.read("g/x").equals(ONE)
    store.write("g/x", TWO, "run-2")
    assert store.read("g/x").equals(TWO)


def test_conform_names_missing_columns_and_wrong_types() -> None:
    with pytest.raises(InputError, match="lacks the columns slot, demand, saturated"):
        conform(pl.DataFrame({"target": ["a"]}), OBSERVED, "it")
    wrong = empty(OBSERVED).with_columns(pl.lit("x").alias("demand")).select(OBSERVED.keys())
    assert conform(wrong, OBSERVED, "it").schema == empty(OBSERVED).schema
    full = pl.DataFrame({"target": ["a"], "slot": [None], "demand": ["many"], "saturated": [True]})
    with pytest.raises(InputError, match="wrong type"):
        conform(full, OBSERVED, "it")
