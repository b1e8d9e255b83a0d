"""Data that are sound and odd: a workload with one sample, a gap of a week, a metric nobody knows, a pool of nobody."""

import json
import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import polars as pl
import pytest
from command_line import CONFIG, START, Run, ended, readings

from persona_platform.settings import Project
from resources.frames import FrameStore

pytestmark = pytest.mark.slow

END = START + timedelta(days=14)
TARGETS = '[targets.web]\npool = "shop"\n[targets.ghost]\npool = "nobody"\n'


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """A project that was ingested and replanned once, over all of the oddities together."""
    folder = tmp_path_factory.mktemp("odd")
    (folder / "persona.toml").write_text(CONFIG + TARGETS, encoding="utf-8")
    away = pl.col("ts").is_between(START + timedelta(days=4), START + timedelta(days=11))
    parts = [
        readings(14, ("web-1",)),
        readings(14, ("web-2",)).filter(~away),
        readings(14, ("lonely",)).slice(50, 1),
        readings(14, ("web-1",), metric="frobnications"),
        readings(14, ("mystery",), metric="frobnications"),
    ]
    pl.concat(parts).with_columns(dataset=pl.lit("shop")).write_parquet(folder / "odd.parquet")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PERSONA_HOME", str(folder))
        yield Project(folder)


@pytest.fixture(scope="module")
def first(home: Project) -> str:
    """What ingest and replan said."""
    said = [ended("ingest", home.home / "odd.parquet", "--at", END.isoformat()), ended("replan")]
    assert [one.code for one in said] == [0, 0], [one.err for one in said]
    return said[1].err


def test_the_plan_is_made_and_the_target_without_workloads_told(home: Project, first: str, persona: Run) -> None:
    assert "Target ghost is not planned: no workload is in its pool 'nobody', the pools are shop." in first
    rows = json.loads(persona("plan", "--json").out)["plan"]
    assert {row["target"] for row in rows} == {"web"}
    assert len(rows) == 6
    assert all(row["needed"] >= 1 for row in rows)


def test_every_workload_is_known_and_the_unknown_metric_kept(home: Project, first: str) -> None:
    frames = FrameStore(home.frames)
    assert set(frames.read("raw/workloads")["workload_id"]) == {"web-1", "web-2", "lonely", "mystery"}
    from resources.warehouse_connection import opened

    with opened(home.warehouse, wait_s=20, read_only=True) as con:
        kept = con.execute("select count(*) from raw.utilization_samples where metric = 'frobnications'").fetchall()
    assert kept == [(2 * 14 * 24,)]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("plan", "--target", "nix"), "The plan has no target nix: it has web"),
        (("pause", "nix"), "There is no target nix: known are web, ghost"),
        (("resume", "nix"), "There is no target nix: known are web, ghost"),
        (("personas", "p999"), "There is no persona p999: known are p001"),
        (("explain", "abcdef"), "0 actions begin with 'abcdef'; the newest are none yet"),
        (
            ("replan", "--at", "2025-01-01"),
            "There is no sample before 2025-01-01 00:00 UTC: the first is of 2026-03-02",
        ),
    ],
)
def test_ids_and_instants_that_are_not_there(
    home: Project, first: str, persona: Run, words: tuple[str, ...], says: str
) -> None:
    before = FrameStore(home.frames).folder("capacity/plan")
    said = persona(*words)
    assert said.code == 2
    assert says in said.sentence
    assert FrameStore(home.frames).folder("capacity/plan") == before


def test_check_names_the_pool_of_nobody(home: Project, first: str, persona: Run) -> None:
    said = persona("check")
    assert said.code == 2
    assert "targets.ghost.pool: no workload is in pool 'nobody'; the pools are shop." in said.err


def test_a_job_that_fails_ends_with_one_sentence_and_1(home: Project, first: str, persona: Run) -> None:
    place = FrameStore(home.frames).folder("forecasts/demand")
    assert place is not None
    whole = (place / "observed.parquet").read_bytes()
    (place / "observed.parquet").write_bytes(b"damaged")
    said = persona("provision")
    (place / "observed.parquet").write_bytes(whole)
    assert said.code == 1
    assert re.match(r"Observe failed: .*; the whole trace is with run [0-9a-f-]{36} in `persona up`", said.sentence)


def test_a_refused_write_ends_with_the_refusal_and_1(home: Project, first: str, persona: Run) -> None:
    text = home.config.read_text(encoding="utf-8")
    acting = '[limits]\nmode = "act"\nmin = 1\nmax = 50\n[simulated]\nquota = 0\n'
    home.config.write_text(text.replace("[targets.web]", acting + "[targets.web]"), encoding="utf-8")
    said = persona("provision")
    home.config.write_text(text, encoding="utf-8")
    assert said.code == 1
    assert said.err.count("Error: ") == 1
    assert "its quota of 0 units" in said.err.splitlines()[-1]
    assert "Traceback" not in said.err


def test_no_metric_that_a_model_knows(tmp_path: Path, project: Project, persona: Run) -> None:
    readings(9, metric="cpu_weird").write_parquet(tmp_path / "weird.parquet")
    assert persona("ingest", tmp_path / "weird.parquet", "--at", (START + timedelta(days=9)).isoformat()).code == 0
    said = persona("replan")
    assert said.code == 2
    assert "no metric was read" in said.sentence
    assert 'cpu_weird = "cpu_cores"' in said.sentence
    assert persona("plan").code == 2


def test_a_few_hours_of_data_are_planned(tmp_path: Path, project: Project, persona: Run) -> None:
    readings(0.25).write_parquet(tmp_path / "little.parquet")
    assert persona("ingest", tmp_path / "little.parquet", "--at", (START + timedelta(days=2)).isoformat()).code == 0
    said = persona("replan")
    assert said.code == 0, said.err
    assert len(json.loads(persona("plan", "--json").out)["plan"]) == 6
