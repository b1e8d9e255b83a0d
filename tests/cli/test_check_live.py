"""``check_live``: what it says of a ledger whose decisions are made again, and how it ends."""

import io
import json
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import polars as pl
import pytest
from command_line import START, Said
from rich.console import Console

from assets.inventory import with_id
from persona_platform.automation.provisioning import Named, provision_due
from persona_platform.cli import options
from persona_platform.cli.check_live import NONE_YET, SHOWN, check_live
from persona_platform.frames import PLAN, TARGETS, WORKLOADS
from persona_platform.settings import Project
from resources.frames import FrameStore
from resources.named_files import file_digest, write_named
from resources.project import ProjectResource
from resources.provisioners.simulated import SimulatedProvisioner

ACTING = """\
[project]
name = "x"
[limits]
mode = "act"
max = 40
[simulated]
failure_rate = 0.0
[targets.db]
[targets.web]
"""
NAMES = ("db", "web")
SLOT = timedelta(minutes=15)


@dataclass(frozen=True)
class Small:
    """A project of two targets with a unit, that plans are given to."""

    project: Project

    def provision(self, step: int) -> None:
        """One round of the real op's work, ``step`` slots after the start, from a plan that grows."""
        now, resource = START + step * SLOT, ProjectResource(home=str(self.project.home))
        cluster = SimulatedProvisioner(self.project.simulated)
        inventory = with_id(cluster.observe(NAMES, dict.fromkeys(NAMES, 3.0), now))
        plan = self.named(self.project.plans, f"p{step}", self.plan(step))
        provision_due(resource, plan, self.named(self.project.inventory, inventory["inventory_id"][0], inventory), now)

    def named(self, folder: Path, name: str, frame: pl.DataFrame) -> Named:
        path = write_named(folder, name, frame)
        return Named(name, path, file_digest(path))

    def plan(self, step: int) -> pl.DataFrame:
        origin = START + step * SLOT
        demand = 5.3 + 2 * step
        rows = [
            {
                "plan_id": f"p{step}",
                "origin": origin,
                "target": name,
                "slot": origin + i * SLOT,
                **dict.fromkeys(("mean", "q50", "q90", "q95", "q99"), demand),
                "kappa": 0.95,
                "needed": int(demand) + 1,
                "history_s": 30 * 86400,
                "cycle_s": 86400,
                "data_until": origin,
            }
            for name in NAMES
            for i in range(4)
        ]
        return pl.DataFrame(rows, schema=PLAN)

    def change_plan(self, step: int) -> None:
        path = self.project.plans / f"p{step}.parquet"
        pl.read_parquet(path).with_columns(needed=pl.col("needed") + 1).write_parquet(path)

    def forget_plan(self, step: int) -> None:
        (self.project.plans / f"p{step}.parquet").unlink()


@pytest.fixture
def small(project: Project) -> Small:
    """Nothing decided yet."""
    project.config.write_text(ACTING, encoding="utf-8")
    frames = FrameStore(project.frames)
    workloads = [{"workload_id": f"{name}-1", "pool": name, "tier": "standard"} for name in NAMES]
    frames.write("raw/workloads", pl.DataFrame(workloads, schema=WORKLOADS), "first")
    targets = [{"target": name, "pool": name, "kappa": 0.95, "hold_slots": 1} for name in NAMES]
    frames.write("capacity/units", {"targets": pl.DataFrame(targets, schema=TARGETS)}, "first")
    return Small(project)


@contextmanager
def wide() -> Iterator[io.StringIO]:
    """Standard output, of a width at which no sentence is folded."""
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(io.StringIO()) as out:
        patch.setattr(options.out, "width", 300)
        yield out


def checked(small: Small, *, as_json: bool = False, terminal: bool = False) -> Said:
    """How the check of a ledger ended and what it printed."""
    watched = io.StringIO()
    with wide() as out:
        code = check_live(small.project, Console(file=watched, force_terminal=terminal, width=200), as_json)
    return Said(code, out.getvalue(), watched.getvalue())


def test_before_the_first_decision_it_says_so_and_makes_no_ledger(small: Small) -> None:
    said = checked(small)
    assert (said.code, said.out) == (0, f"{NONE_YET}\n")
    assert not small.project.ledger.exists()
    assert json.loads(checked(small, as_json=True).out) == {
        "counts": {"same": 0, "differs": 0, "cannot": 0},
        "decisions": [],
    }


def test_all_the_same(small: Small) -> None:
    small.provision(0)
    assert checked(small).out.endswith("The decision comes out the same, bit for bit.\n")
    small.provision(1)
    small.provision(2)
    said = checked(small)
    assert said.code == 0
    assert said.out.endswith("All 3 decisions come out the same, bit for bit.\n")
    assert ["same", "3", "6"] in [[cell.strip() for cell in line.split("│")][1:4] for line in said.out.splitlines()]
    assert said.err == ""


def test_one_that_differs_is_told_with_its_reason_and_ends_with_1(small: Small) -> None:
    for step in range(3):
        small.provision(step)
    small.change_plan(1)
    said = checked(small)
    assert said.code == 1
    assert "Not the same" in said.out
    assert "p1.parquet is not the file that was decided from: its digest differs." in said.out
    assert said.out.splitlines()[-1].startswith("2 of 3 decisions come out the same, bit for bit; 1 differ")


def test_one_whose_plan_is_gone_is_told_and_is_no_fault(small: Small) -> None:
    for step in range(2):
        small.provision(step)
    small.forget_plan(0)
    said = checked(small)
    assert said.code == 0
    assert "The file of the plan is gone: " in said.out
    assert said.out.splitlines()[-1].endswith("1 cannot be made again: what they were made from is gone.")


def test_only_the_first_that_differ_are_told(small: Small) -> None:
    for step in range(SHOWN + 2):
        small.provision(step)
        small.change_plan(step)
    said = checked(small)
    assert f"The first {SHOWN} of {SHOWN + 2} not the same" in said.out
    assert [f"p{step}.parquet" in said.out for step in range(SHOWN + 2)] == [True] * SHOWN + [False] * 2


def test_json_has_every_decision(small: Small) -> None:
    for step in range(3):
        small.provision(step)
    small.change_plan(0)
    small.forget_plan(2)
    said = checked(small, as_json=True, terminal=True)
    body = json.loads(said.out)
    assert said.code == 1
    assert body["counts"] == {"same": 1, "differs": 1, "cannot": 1}
    assert [one["outcome"] for one in body["decisions"]] == ["differs", "same", "cannot"]
    assert [one["now"] for one in body["decisions"]] == [f"2026-03-02T00:{m:02}:00Z" for m in (0, 15, 30)]
    assert [one["plan_id"] for one in body["decisions"]] == ["p0", "p1", "p2"]
    assert body["decisions"][1]["actions"] == 2
    assert body["decisions"][1]["detail"] == ""


def test_a_bar_for_who_watches(small: Small) -> None:
    small.provision(0)
    assert "Making the decisions again" in checked(small, terminal=True).err
