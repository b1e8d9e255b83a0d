"""The demonstration at small size, as a user runs it: every stage is really there, and each one's work can be seen."""

import json
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from persona_platform.capacity.decide import decide
from persona_platform.capacity.ledger_view import ledger_view
from persona_platform.capacity.limits import digest
from persona_platform.frames import ACTIONS, EVIDENCE, PLAN, conform
from persona_platform.settings import Project
from resources.frames import FrameStore
from resources.ledger import Ledger

pytestmark = pytest.mark.slow

NOW = datetime(2026, 3, 12, 10, 20, tzinfo=UTC)


def persona(home: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Runs the command line as a user would, in a process of its own."""
    return subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "persona_platform", *words],
        cwd=home.parent if not home.exists() else home,
        env={**os.environ, "PERSONA_HOME": str(home)},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A demonstration that was run once."""
    home = tmp_path_factory.mktemp("demo") / "fleet"
    words = ("--workloads", "16", "--days", "16", "--seed", "3", "--now", NOW.isoformat())
    done = persona(home, "demo", "--out", str(home), *words)
    assert done.returncode == 0, done.stderr[-3000:] + done.stdout[-2000:]
    (home / "printed.txt").write_text(done.stdout, encoding="utf-8")
    return Project(home)


@pytest.fixture(scope="module")
def frames(project: Project) -> FrameStore:
    return FrameStore(project.frames)


def shown(project: Project, *words: str) -> Any:
    done = persona(project.home, *words, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize(
    "heading",
    [
        "What was learned",
        "What is likely next",
        "The plan",
        "What was provisioned, and why",
        "What it saved",
    ],
)
def test_the_story_is_told_whole(project: Project, heading: str) -> None:
    assert heading in (project.home / "printed.txt").read_text(encoding="utf-8")


def test_personas_hold_needs_as_probabilities(project: Project) -> None:
    personas = shown(project, "personas")["personas"]
    assert len(personas) >= 5
    for one in personas:
        assert sum(size["probability"] for size in one["requirement"]["sizes"]) == pytest.approx(1.0)
        assert one["duration"]["survival"][0] == pytest.approx(1.0)
        assert len(one["recurrence"]["intensity"]) == 168
    assert shown(project, "personas", personas[0]["persona_id"])["personas"] == [personas[0]]


def test_predict_says_who_is_active_what_is_needed_and_what_is_missing(project: Project) -> None:
    said = shown(project, "predict", "--horizon", "1h")
    assert all(0 <= p["probability"] <= 1 for p in said["personas"])
    assert {"expected", "q50", "q99", "needed", "usable", "shortfall"} <= set(said["targets"][0])
    wider = shown(project, "predict", "--horizon", "6h")
    before = {p["persona_id"]: p["probability"] for p in said["personas"]}
    for p in wider["personas"]:
        assert p["probability"] >= before[p["persona_id"]] - 1e-9


def test_the_outlook_is_a_distribution(frames: FrameStore) -> None:
    slots = frames.read("outlook/outlook", name="slots")
    sums = slots.group_by("workload_id", "slot").agg(pl.col("probability").sum())
    assert sums["probability"].min() == pytest.approx(1.0, abs=1e-6)
    assert sums["probability"].max() == pytest.approx(1.0, abs=1e-6)


def test_the_plan_covers_two_days_of_every_target_with_its_evidence(frames: FrameStore) -> None:
    plan = conform(frames.read("capacity/plan", name="plan"), PLAN, "plan")
    evidence = conform(frames.read("capacity/plan", name="evidence"), EVIDENCE, "evidence")
    counts = plan.group_by("target").len()
    assert counts["len"].unique().to_list() == [192]
    assert plan["origin"][0] == datetime(2026, 3, 12, 10, 15, tzinfo=UTC)
    assert (plan["needed"] >= plan["mean"].floor()).all()
    assert set(evidence["target"]) == set(plan["target"])


def test_capacity_was_raised_and_every_action_has_an_outcome(project: Project, frames: FrameStore) -> None:
    ledger = Ledger(project.ledger)
    entries = ledger.entries()
    ledger.close()
    actions = entries.filter(pl.col("kind") == "action")
    assert actions.height > 0
    assert set(actions["key"]) == set(entries.filter(pl.col("kind") == "applied")["key"])
    outcomes = frames.read("feedback/outcomes")
    assert set(outcomes["key"]) == set(actions["key"])
    judged = outcomes.filter(pl.col("requested_at") == datetime(2026, 3, 12, 9, 15, tzinfo=UTC))
    assert judged.height > 0
    assert set(judged["outcome"]) <= {"met", "partial", "unmet", "released"}


def test_every_decision_can_be_made_again_from_what_the_ledger_kept(project: Project) -> None:
    ledger = Ledger(project.ledger)
    entries = ledger.entries()
    decisions = [ledger.decision(key) for key in entries.filter(pl.col("kind") == "decision")["key"]]
    assert decisions
    for one in decisions:
        files = {name: pl.read_parquet(file["path"], glob=False) for name, file in one["files"].items()}
        assert digest(files["limits"]) == one["limits_digest"]
        past = ledger.entries(up_to=one["ledger_position"])
        view = ledger_view(past, files["limits"]["target"].to_list(), one["now"])
        again = decide(files["plan"], files["inventory"], view, files["limits"], one["now"])
        assert again.equals(conform(files["actions"], ACTIONS, "actions"))
    ledger.close()


def test_explain_leads_from_an_action_to_its_personas(project: Project) -> None:
    ledger = Ledger(project.ledger)
    key = ledger.entries().filter(pl.col("kind") == "action")["key"][0]
    ledger.close()
    story = shown(project, "explain", key[:10])
    assert story["action"]["key"] == key
    assert story["decision"]["plan_id"]
    assert story["demand"]
    assert story["personas"]
    assert "applied" in [e["kind"] for e in story["entries"]]


def test_a_second_provisioning_changes_nothing(project: Project) -> None:
    ledger = Ledger(project.ledger)
    before = ledger.entries().filter(pl.col("kind") == "action").height
    done = persona(project.home, "provision", "--at", (NOW - timedelta(minutes=5)).isoformat())
    assert done.returncode == 0, done.stderr
    after = ledger.entries().filter(pl.col("kind") == "action").height
    ledger.close()
    assert after == before
    assert "Nothing to provision" in done.stderr


def test_a_pause_stops_the_next_action_and_resume_lifts_it(project: Project) -> None:
    later = (NOW + timedelta(hours=6)).isoformat()
    assert persona(project.home, "pause").returncode == 0
    held = shown(project, "provision", "--dry-run", "--at", later)["actions"]
    assert {a["bound_by"] for a in held} <= {"pause"}
    assert persona(project.home, "resume").returncode == 0


def test_the_report_is_one_page_with_charts(project: Project) -> None:
    page = (project.home / "report.html").read_text(encoding="utf-8")
    assert page.count("<svg") >= 5
    assert "<script" not in page
    assert "What it saved" in page


def test_the_comparison_has_all_three_references(frames: FrameStore) -> None:
    scores = frames.read("replay/comparison", name="scores")
    assert {"ours", "reactive", "reactive_tuned", "clairvoyant"} <= set(scores["policy"])


def test_bad_and_late_rows_of_the_fleet_are_kept_apart(project: Project) -> None:
    from resources.warehouse import Warehouse

    state = Warehouse(project.warehouse, project.marts).state()
    assert state.quarantined > 0
    assert Warehouse(project.warehouse, project.marts).quarantine(1)["reason"][0]


def test_the_units_stay_frozen_over_a_refit(project: Project, frames: FrameStore) -> None:
    before = frames.read("capacity/units", name="units")
    done = persona(project.home, "refit", "--at", NOW.isoformat())
    assert done.returncode == 0, done.stderr
    assert frames.read("capacity/units", name="units").equals(before)


def test_two_replans_at_once_both_end_and_leave_one_whole_plan(project: Project, frames: FrameStore) -> None:
    words = [sys.executable, "-W", "ignore", "-m", "persona_platform", "replan", "--at", NOW.isoformat()]
    env = {**os.environ, "PERSONA_HOME": str(project.home)}
    both = [subprocess.Popen(words, env=env, cwd=project.home, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    ends = [p.communicate(timeout=600)[1] for p in both]
    assert [p.returncode for p in both] == [0, 0], ends
    plan = frames.read("capacity/plan", name="plan")
    assert plan["plan_id"].n_unique() == 1
    assert plan.equals(pl.read_parquet(project.plans / f"{plan['plan_id'][0]}.parquet", glob=False))
