"""The ledger: append-only, once-only over processes, and enough to make a decision again."""

import json
import sqlite3
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
import sqlalchemy as sa
from places import NOW, action, actions

from persona_platform.capacity.decide import decide
from persona_platform.capacity.ledger_view import ENTRIES, ledger_view
from persona_platform.capacity.limits import Limits, digest, limits_frame
from persona_platform.capacity.targets import Target
from persona_platform.errors import ConfigError, InputError
from persona_platform.frames import INVENTORY, PLAN
from resources.ledger import KINDS, ONCE, Ledger


@pytest.fixture
def ledger(tmp_path):
    opened = Ledger(tmp_path / "deep" / "ledger.sqlite")
    yield opened
    opened.close()


def decision(ledger: Ledger, name: str = "d1", rows: pl.DataFrame | None = None, at: datetime = NOW) -> int:
    return ledger.record_decision(
        name,
        plan_id="p",
        inventory_id="i",
        limits_digest="l",
        ledger_position=ledger.position(),
        now=at,
        files={"plan": {"path": "plans/p.parquet", "digest": "ab"}},
        actions=rows,
    )


def test_entries_come_back_in_order_with_exact_times(ledger):
    at = datetime(2026, 3, 2, 10, 2, 3, 456789, tzinfo=UTC)
    first = ledger.append("paused", at, target="t", body={"by": "ops", "why": "Ü"})
    second = ledger.append("resumed", at + timedelta(hours=1), target="t")
    frame = ledger.entries()
    assert frame.schema == ENTRIES
    assert frame["seq"].to_list() == [first, second]
    assert frame["at"][0] == at
    assert json.loads(frame["body"][0]) == {"by": "ops", "why": "Ü"}
    assert ledger.entries(up_to=first)["kind"].to_list() == ["paused"]
    assert ledger.entries(since=first)["kind"].to_list() == ["resumed"]
    assert ledger.position() == second


def test_an_empty_ledger(ledger):
    assert ledger.position() == 0
    assert ledger.entries().is_empty()
    assert ledger.open_actions().is_empty()
    assert ledger.waiting(NOW) == []
    assert not ledger.paused("t")


@pytest.mark.parametrize("statement", ["UPDATE entries SET body = '{}'", "DELETE FROM entries"])
def test_nobody_changes_or_deletes_an_entry(tmp_path, statement):
    path = tmp_path / "ledger.sqlite"
    ledger = Ledger(path)
    ledger.append("paused", NOW, target="t")
    db = sqlite3.connect(path)
    with pytest.raises(sqlite3.IntegrityError, match="append-only"):
        db.execute(statement)
    db.close()
    assert ledger.entries()["kind"].to_list() == ["paused"]


def test_an_action_is_claimed_once(ledger):
    row = action()
    assert ledger.claim_action(row, "d1", NOW)
    assert not ledger.claim_action({**row, "cost": 99.0}, "d2", NOW + timedelta(minutes=1))
    kept = ledger.action(row["key"])
    assert kept == {**row, "decision_id": "d1"}


@pytest.mark.parametrize("kind", ONCE)
def test_kinds_that_a_key_has_once(ledger, kind):
    seq = ledger.append(kind, NOW, key="k", target="t", body={"n": 1, "waiting": []})
    assert ledger.append(kind, NOW, key="k", target="t", body={"n": 2, "waiting": []}) == seq
    assert len(ledger.entries()) == 1
    with pytest.raises(InputError, match="needs a key"):
        ledger.append(kind, NOW, target="t")


@pytest.mark.parametrize("kind", sorted(set(KINDS) - set(ONCE)))
def test_kinds_that_may_come_again(ledger, kind):
    assert ledger.append(kind, NOW, key="k", target="t") != ledger.append(kind, NOW, key="k", target="t")


def test_what_the_ledger_does_not_take(ledger):
    with pytest.raises(InputError, match="'guess'"):
        ledger.append("guess", NOW)
    with pytest.raises(InputError, match="no zone"):
        ledger.append("paused", NOW.replace(tzinfo=None))
    with pytest.raises(ValueError, match="JSON"):
        ledger.append("failed", NOW, key="k", body={"cost": float("nan")})
    assert ledger.position() == 0


def test_a_failed_transaction_leaves_nothing(ledger):
    with pytest.raises(TypeError, match="object"):
        ledger.append("failed", NOW, key="k", body={"what": object()})
    assert ledger.append("paused", NOW, target="t") == 1


CLAIM = """
import sys
from datetime import UTC, datetime
sys.path.insert(0, sys.argv[2])
from places import NOW, action
from resources.ledger import Ledger
ledger = Ledger(sys.argv[1])
won = [n for n in range(60) if ledger.claim_action(action(after=n + 1), sys.argv[3], NOW)]
for n in range(20):
    ledger.append("failed", NOW, key=f"{sys.argv[3]}{n}")
print(*won)
"""


def test_of_two_processes_one_gets_each_action_and_none_loses_an_entry(tmp_path):
    path = tmp_path / "ledger.sqlite"
    command = [sys.executable, "-c", CLAIM, str(path), str(Path(__file__).parent)]
    both = [subprocess.Popen([*command, name], stdout=subprocess.PIPE, text=True) for name in ("a", "b")]
    won = [set(process.communicate(timeout=60)[0].split()) for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert won[0] | won[1] == {str(n) for n in range(60)}
    assert not won[0] & won[1]
    ledger = Ledger(path)
    assert ledger.entries()["kind"].value_counts().sort("kind").rows() == [("action", 60), ("failed", 40)]
    assert ledger.entries()["seq"].to_list() == list(range(1, 101))


def test_open_actions_are_those_without_a_last_word(ledger):
    rows = [action(after=n) for n in (1, 2, 3, 4)]
    for row in rows:
        ledger.claim_action(row, "d", NOW)
    ledger.append("applied", NOW, key=rows[0]["key"], target="t")
    ledger.append("unknown", NOW, key=rows[1]["key"], target="t")
    ledger.append("failed", NOW, key=rows[2]["key"], target="t")
    assert ledger.open_actions()["key"].to_list() == [rows[1]["key"], rows[3]["key"]]
    assert [ledger.result(row["key"]) for row in rows] == ["applied", "unknown", "failed", None]


def test_a_pause_is_seen_by_another_connection_at_once(tmp_path):
    ledger, other = Ledger(tmp_path / "l.sqlite"), Ledger(tmp_path / "l.sqlite")
    ledger.pause(by="ops", at=NOW)
    assert other.paused("t")
    other.resume(by="ops", at=NOW)
    assert not ledger.paused("t")


def test_a_row_that_waits_is_approved_or_rejected_by_the_start_of_its_key(ledger):
    waits = [action("t", 2, 9, waits_for_approval=True), action("u", 0, 4, waits_for_approval=True)]
    decision(ledger, rows=actions(*waits, action("v")))
    assert {row["target"] for row in ledger.waiting(NOW)} == {"t", "u"}
    ledger.approve(waits[0]["key"][:8], by="ops", at=NOW)
    ledger.reject(waits[1]["key"], by="ops", at=NOW)
    assert ledger.waiting(NOW) == []
    view = ledger_view(ledger.entries(), ["t", "u"], NOW)
    assert view["approved_floor"].to_list() == [9, None]
    assert ledger_view(ledger.entries(), ["t"], waits[0]["expires_at"])["approved_floor"].to_list() == [None]
    with pytest.raises(InputError, match="waiting are: nothing"):
        ledger.approve(waits[0]["key"], by="ops", at=NOW)


def test_what_waits_expires_to_no_and_a_newer_decision_replaces_it(ledger):
    old, new = action("t", 2, 9, waits_for_approval=True), action("t", 2, 7, waits_for_approval=True)
    decision(ledger, "d1", actions(old))
    decision(ledger, "d2", actions(new))
    assert [row["key"] for row in ledger.waiting(NOW)] == [new["key"]]
    assert ledger.waiting(new["expires_at"]) == []


def test_an_unknown_decision_is_an_error_and_a_known_one_is_kept_once(ledger):
    seq = decision(ledger)
    assert decision(ledger, at=NOW + timedelta(minutes=1)) == seq
    assert ledger.decision("d1")["now"] == NOW
    assert ledger.decision("d1")["files"]["plan"]["digest"] == "ab"
    with pytest.raises(InputError, match="no decision d9"):
        ledger.decision("d9")


def test_a_decision_can_be_made_again_from_what_the_ledger_keeps(ledger):
    origin = NOW - timedelta(minutes=2)
    plan = pl.DataFrame(
        [
            {
                "plan_id": "p",
                "origin": origin,
                "target": target,
                "slot": origin + i * timedelta(minutes=15),
                **dict.fromkeys(("mean", "q50", "q90", "q95", "q99"), 9.0),
                "kappa": 0.95,
                "needed": 9,
                "history_s": 30 * 86400,
                "cycle_s": 86400,
                "data_until": origin,
                "suitable": None,
            }
            for target in "tu"
            for i in range(4)
        ],
        schema=PLAN,
    )
    inventory = pl.DataFrame(
        [("i", target, NOW, 3, 0, None, 3, 1.0) for target in "tu"], schema=INVENTORY, orient="row"
    )
    limits = limits_frame([Target(t, "p", limits=Limits(mode="act", max=50, budget_day=9.0)) for t in "tu"])
    ledger.claim_action(action("t", cost=6.0), "d0", NOW)
    ledger.append("applied", NOW, key="x", target="u", body={"from_floor": 0, "to_floor": 3})
    position = ledger.position()
    rows = decide(plan, inventory, ledger_view(ledger.entries(), ["t", "u"], NOW), limits, NOW)
    decision(ledger, "d1", rows)
    ledger.pause(by="ops", at=NOW)
    ledger.claim_action(action("u", cost=6.0), "d2", NOW)

    kept = ledger.decision("d1")
    assert kept["ledger_position"] == position
    view = ledger_view(ledger.entries(up_to=kept["ledger_position"]), ["t", "u"], kept["now"])
    again = decide(plan, inventory, view, limits, kept["now"])
    assert again.equals(rows)
    assert digest(limits) == digest(limits.clone())
    now_paused = ledger_view(ledger.entries(), ["t", "u"], NOW)
    assert not decide(plan, inventory, now_paused, limits, NOW).equals(rows)


def test_a_ledger_of_another_version_is_refused(tmp_path):
    path = tmp_path / "l.sqlite"
    Ledger(path)
    db = sqlite3.connect(path)
    db.execute("UPDATE ledger_schema SET version = 99")
    db.commit()
    db.close()
    with pytest.raises(ConfigError, match="version 99"):
        Ledger(path)


def test_memory_is_no_place_for_a_ledger():
    with pytest.raises(ConfigError, match="outlive"):
        Ledger("sqlite://")


def test_the_file_is_written_ahead_and_survives_reopening(tmp_path):
    path = tmp_path / "l.sqlite"
    Ledger(path).append("paused", NOW, target="t")
    again = Ledger(f"sqlite:///{path}")
    assert again.paused("t")
    engine = sa.create_engine(f"sqlite:///{path}", poolclass=sa.NullPool)
    with engine.connect() as connection:
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
