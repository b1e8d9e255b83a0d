"""Live decisions on a small fleet, its clock running, made again from what the ledger kept: equal, bit for bit."""

import hashlib
import json
import math
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl
import pytest
from acting import NOW, Acting

from persona_platform.automation.provisioning import PLAN_KEY
from persona_platform.automation.remade import REMADE, Kept, decisions_in, first_difference, opened, remake_all
from persona_platform.capacity.limits import digest
from persona_platform.capacity.plan import make_plan
from persona_platform.frames import ACTIONS
from persona_platform.now import floor_slot
from persona_platform.settings import STATE_FOLDER, Project
from resources.frames import FrameStore
from resources.ledger import Ledger
from resources.named_files import file_digest, forget, write_named

TICK, SLOT = timedelta(minutes=10), timedelta(hours=1)
PAUSED, APPROVED, RESUMED, REPLANNED, END = (NOW + n * TICK for n in (2, 3, 4, 6, 10))


@dataclass(frozen=True)
class Lived:
    """What a life of the platform left: a project, and what was remarked on the way."""

    project: Project
    plans: dict[str, str]
    """The digest of every plan file when it was decided from."""
    rows: pl.DataFrame
    """REMADE right after."""


@pytest.fixture(scope="module")
def lived(planned: Project, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lived]:
    """An hour and a half of ticks and runs, with a pause, an approval, a budget that ends, and a second plan."""
    home = tmp_path_factory.mktemp("lived") / "home"
    shutil.copytree(planned.home, home, ignore=shutil.ignore_patterns("dagster", "warehouse.duckdb"))
    with dg.DagsterInstance.ephemeral() as instance:
        acting = Acting(Project(home), instance)
        acting.configure("max = 200", "max = 200\nbudget_day_total = 330.0")
        acting.configure("[targets.data]\n", "[targets.data.limits]\ndead_band = 0.25\n")
        acting.configure("[targets.gpu]\n", '[targets.gpu.limits]\nmode = "propose"\n')
        acting.plan()
        plans = {}
        at = NOW
        while at < END:
            if at == REPLANNED:
                plan_again(acting, at)
            acting.observe(at)
            command(acting.project, at)
            asked = acting.tick(at)
            if isinstance(asked, dg.RunRequest):
                assert acting.run(asked, at).success
                plan = asked.run_config["ops"]["provision"]["config"]
                plans[plan["plan_path"]] = plan["plan_digest"]
            at += TICK
        yield Lived(acting.project, plans, remade(acting.project))


def command(project: Project, at: datetime) -> None:
    """What an operator does at some instants: pauses and resumes a target, approves what waits."""
    ledger = Ledger(project.ledger)
    if at == PAUSED:
        ledger.pause("web", by="ops", at=at)
    if at == RESUMED:
        ledger.resume("web", by="ops", at=at)
    if at == APPROVED:
        for row in ledger.waiting(at):
            ledger.approve(row["key"], by="ops", at=at)
    ledger.close()


def plan_again(acting: Acting, at: datetime) -> None:
    """The next plan as its asset makes it, of what the forecast already said of the slots to come."""
    frames, origin = FrameStore(acting.project.frames), floor_slot(at, SLOT)
    demand = frames.read_all("forecasts/demand")
    made = make_plan(
        demand["demand"].filter(pl.col("slot") >= origin),
        demand["expected"].filter(pl.col("slot") >= origin),
        demand["observed"],
        frames.read("capacity/units", name="targets"),
        origin=origin,
        slot=SLOT,
    )
    path = write_named(acting.project.plans, made.plan_id, made.plan)
    said = {"plan_id": made.plan_id, "path": str(path), "digest": file_digest(path)}
    acting.instance.report_runless_asset_event(dg.AssetMaterialization(PLAN_KEY, metadata=said))


@pytest.fixture
def copied(lived: Lived, tmp_path: Path) -> Project:
    """The project moved elsewhere, to be tampered with."""
    names = ("plans", "inventory", "decisions", "ledger.sqlite")
    for place in (lived.project.state / name for name in names):
        (shutil.copytree if place.is_dir() else shutil.copy)(place, tmp_path / STATE_FOLDER / place.name)
    return Project(tmp_path)


def entries_of(project: Project) -> pl.DataFrame:
    ledger = Ledger(project.ledger)
    entries = ledger.entries()
    ledger.close()
    return entries


def remade(project: Project, only: str | None = None) -> pl.DataFrame:
    return pl.DataFrame(list(remake_all(project, entries_of(project), only)), schema=REMADE)


def kept(project: Project, which: int = -1) -> tuple[str, Kept]:
    key, body = decisions_in(entries_of(project)).row(which)
    return key, opened(project, key, json.loads(body))


def test_every_decision_of_a_life_comes_out_the_same(lived: Lived) -> None:
    rows = lived.rows
    assert rows.height >= 7
    assert rows.filter(pl.col("outcome") != "same")["detail"].to_list() == []
    assert rows["now"].is_sorted()
    assert rows["now"][0] == NOW
    actions = pl.concat(kept(lived.project, i)[1].actions for i in range(rows.height))
    assert rows["actions"].sum() == actions.height
    assert actions.filter(pl.col("to_floor") > pl.col("from_floor"), ~pl.col("waits_for_approval")).height >= 10
    assert actions.filter(pl.col("to_floor") < pl.col("from_floor")).height >= 1
    assert {"renewal", "step", "budget", "approval", "pause", "none"} <= set(actions["bound_by"])
    assert entries_of(lived.project).filter(pl.col("kind").is_in(["approved", "paused", "resumed"])).height >= 3


def test_it_comes_out_the_same_in_another_process_with_other_threads(lived: Lived) -> None:
    words = (
        "import io, sys; from pathlib import Path; from rich.console import Console;"
        "from persona_platform.cli.check_live import check_live; from persona_platform.settings import Project;"
        "sys.exit(check_live(Project(Path(sys.argv[1])), Console(file=io.StringIO()), as_json=True))"
    )
    threads = "1" if (os.cpu_count() or 1) > 1 else "2"
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", words, str(lived.project.home)],
        env={**os.environ, "POLARS_MAX_THREADS": threads},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["counts"] == {"same": lived.rows.height, "differs": 0, "cannot": 0}


def test_the_plans_that_were_decided_from_survive_later_plans_and_forgetting(copied: Project, lived: Lived) -> None:
    assert len(lived.plans) == lived.rows["plan_id"].n_unique() == 2
    assert {path: file_digest(Path(path)) for path in lived.plans} == lived.plans
    unnamed = write_named(copied.plans, "unnamed", pl.DataFrame({"a": [1]}))
    forget(copied.plans, named=set(lived.rows["plan_id"]), keep=0)
    assert not unnamed.exists()
    assert remade(copied).equals(lived.rows)


def test_one_decision_alone(lived: Lived) -> None:
    assert remade(lived.project, only=lived.rows["decision_id"][3]).equals(lived.rows[3:4])


def test_a_decision_of_a_version_that_knew_fewer_columns_and_kept_no_view(lived: Lived) -> None:
    _, one = kept(lived.project)
    older = replace(
        one,
        plan=one.plan.drop("suitable", strict=False),
        limits=one.limits.drop("act_unsuitable", strict=False),
        view=None,
    )
    assert older.difference(entries_of(lived.project)) is None


def last(project: Project) -> dict[str, Any]:
    """The body of the newest decision's entry."""
    return json.loads(decisions_in(entries_of(project))["body"][-1])


def rewrite(path: Path, **columns: pl.Expr) -> None:
    pl.read_parquet(path).with_columns(**columns).write_parquet(path)


def edit(project: Project, statement: str, *values: object) -> None:
    """One statement on the ledger's file, by somebody who removes its triggers first."""
    db = sqlite3.connect(project.ledger)
    for verb in ("update", "delete"):
        db.execute(f"DROP TRIGGER IF EXISTS entries_no_{verb}")
    db.execute(statement, values)
    db.commit()
    db.close()


def tamper_plan(project: Project) -> None:
    rewrite(project.plans / f"{last(project)['plan_id']}.parquet", needed=pl.col("needed") + 1)


def tamper_inventory(project: Project) -> None:
    rewrite(project.inventory / f"{last(project)['inventory_id']}.parquet", floor=pl.col("floor") + 1)


def tamper_limits(project: Project) -> None:
    rewrite(project.decisions / kept(project)[0] / "limits.parquet", max=pl.lit(201, pl.Int64))


def tamper_actions(project: Project) -> None:
    rewrite(project.decisions / kept(project)[0] / "actions.parquet", cost=pl.col("cost") + 1e-9)


def garble_actions(project: Project) -> None:
    (project.decisions / kept(project)[0] / "actions.parquet").write_bytes(b"no Parquet")


def change_position(project: Project) -> None:
    body = last(project)
    text = json.dumps({**body, "ledger_position": body["ledger_position"] - 1})
    edit(project, "UPDATE entries SET body = ? WHERE kind = 'decision' AND key = ?", text, kept(project)[0])


def remove_decision(project: Project) -> None:
    edit(project, "DELETE FROM entries WHERE kind = 'decision' AND key = ?", kept(project)[0])


def remove_pause(project: Project) -> None:
    edit(project, "DELETE FROM entries WHERE kind = 'paused'")


def change_cost(project: Project) -> None:
    """The cost of the first action, by less than any decision notices."""
    seq, body = entries_of(project).filter(pl.col("kind") == "action").select("seq", "body").row(0)
    text = json.dumps({**json.loads(body), "cost": math.nextafter(json.loads(body)["cost"], math.inf)})
    edit(project, "UPDATE entries SET body = ? WHERE seq = ?", text, seq)


def forge_actions(project: Project) -> None:
    """The kept rows, and their digest in the ledger with them."""
    key, one = kept(project)
    path = project.decisions / key / "actions.parquet"
    least = pl.col("cost").map_elements(lambda cost: math.nextafter(cost, math.inf), pl.Float64)
    rewrite(path, cost=least)
    body = last(project)
    body["files"]["actions"]["digest"] = digest(pl.read_parquet(path))
    assert not pl.read_parquet(path).equals(one.actions)
    edit(project, "UPDATE entries SET body = ? WHERE kind = 'decision' AND key = ?", json.dumps(body), key)


Tamper = Callable[[Project], None]


@pytest.mark.parametrize(
    ("tamper", "says"),
    [
        (tamper_plan, r"plans/\w+\.parquet is not the file that was decided from: its digest differs\."),
        (tamper_inventory, r"inventory/\w+\.parquet is not the file that was decided from: its digest differs\."),
        (tamper_limits, r"limits\.parquet was changed since: its digest differs\."),
        (tamper_actions, r"actions\.parquet was changed since: its digest differs\."),
        (garble_actions, r"actions\.parquet was changed since: it cannot be read as Parquet\."),
        (change_position, r"The ledger's entry was changed: its id is not that of what it says it was made from\."),
        (remove_decision, r"Action \w{12} on \w+ names this decision and the ledger has lost it\."),
        (remove_pause, r"The ledger tells another past than it did: paused of target web was True and is False\."),
        (
            change_cost,
            r"The ledger tells another past than it did: cost_today(_total)? of target \w+ was [\d.]+ and is [\d.]+\.",
        ),
        (forge_actions, r"^Cost of target \w+ was [\d.e-]+ and is [\d.]+\.$"),
    ],
)
def test_what_was_changed_since_is_found(lived: Lived, copied: Project, tamper: Tamper, says: str) -> None:
    tamper(copied)
    rows = remade(copied)
    assert rows.height == lived.rows.height
    found = rows.filter(pl.col("outcome") == "differs")
    assert found.height >= 1
    assert found["detail"].str.contains(says).all(), found["detail"].to_list()
    assert set(rows["outcome"]) <= {"same", "differs"}


@pytest.mark.parametrize("name", ["plan", "inventory", "limits", "view", "actions"])
def test_a_file_that_is_gone_leaves_a_decision_that_cannot_be_made_again(
    lived: Lived, copied: Project, name: str
) -> None:
    key, body = decisions_in(entries_of(copied)).row(0)
    file = Path(json.loads(body)["files"][name]["path"]).relative_to(lived.project.state)
    (copied.state / file).unlink()
    row = remade(copied, only=key).row(0, named=True)
    assert row["outcome"] == "cannot"
    assert row["detail"].startswith(f"The file of the {name} is gone: ")
    assert row["actions"] is None
    assert remade(copied, only=lived.rows["decision_id"][-1])["outcome"].to_list() == ["same"]


def test_a_run_that_was_killed_before_it_recorded_its_decision(copied: Project) -> None:
    (copied.decisions / hashlib.sha256(b"killed").hexdigest()[:16]).mkdir()
    row = remade(copied).row(-1, named=True)
    assert (row["outcome"], row["now"], row["plan_id"]) == ("cannot", None, None)
    assert row["detail"].startswith("Its files are kept and the ledger has no such decision")


ROWS = pl.DataFrame(
    [
        {"target": "a", "to_floor": 1, "cost": 0.0, "bound_by": "none"},
        {"target": "b", "to_floor": 2, "cost": 0.3, "bound_by": None},
    ],
    schema={name: ACTIONS[name] for name in ("target", "to_floor", "cost", "bound_by")},
)


@pytest.mark.parametrize(
    ("other", "says"),
    [
        (ROWS, None),
        (ROWS.with_columns(cost=pl.Series([0.0, 0.1 + 0.2])), "cost of target b was 0.3 and is 0.30000000000000004"),
        (ROWS.with_columns(cost=-pl.col("cost")), "cost of target a was 0.0 and is -0.0"),
        (ROWS.with_columns(cost=pl.lit(None, pl.Float64)), "cost of target a was 0.0 and is null"),
        (ROWS.with_columns(bound_by=pl.lit("none")), "bound_by of target b was null and is 'none'"),
        (ROWS.head(1), "target b had 1 row and has 0 rows"),
        (pl.concat([ROWS.head(1), ROWS]), "target a had 1 row and has 2 rows"),
        (ROWS.with_columns(pl.col("to_floor").cast(pl.Int32)), "column to_floor was Int64 and is Int32"),
        (ROWS.drop("cost"), "column cost was Float64 and is missing"),
        (ROWS.reverse(), "the rows are in another order"),
    ],
)
def test_the_first_difference_of_two_frames(other: pl.DataFrame, says: str | None) -> None:
    assert first_difference(ROWS, other) == says
