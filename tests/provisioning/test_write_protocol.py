"""The write protocol: ledger first, one effect whatever happens, and what follows when time has passed."""

import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import polars as pl
import pytest
from places import NOW, action, actions

from persona_platform.capacity.ledger_view import ledger_view
from persona_platform.errors import TemporaryProvisioningError
from resources.ledger import Ledger
from resources.provisioners.protocol import Performed, perform, resume, settle, sweep
from resources.provisioners.simulated import SimulatedProvisioner, SimulatedSettings

SURE = SimulatedSettings(failure_rate=0.0, lead_time_sigma=0.0)


@pytest.fixture
def ledger(tmp_path):
    opened = Ledger(tmp_path / "ledger.sqlite")
    yield opened
    opened.close()


@pytest.fixture
def cluster(tmp_path):
    return SimulatedProvisioner(tmp_path / "simulated.sqlite", SURE)


def floor(cluster, at=NOW) -> int:
    return cluster.observe(["t"], {}, at)["floor"].item()


def kinds(ledger, key: str | None = None) -> list[str]:
    return ledger.entries(key=key)["kind"].to_list()


def results(done: list[Performed]) -> list[str]:
    return [one.result for one in done]


def test_an_action_is_claimed_written_read_back_and_recorded(ledger, cluster):
    done = perform(actions(action()), ledger, cluster, NOW, decision_id="d1")
    assert results(done) == ["applied"]
    assert kinds(ledger) == ["action", "applied"]
    assert floor(cluster) == 5
    body = ledger.entries()["body"].str.json_decode(pl.Struct({"prior_floor": pl.Int64, "usable": pl.Int64}))[1]
    assert body == {"prior_floor": 0, "usable": 0}
    assert str(done[0]).startswith("t ")


def test_again_is_nothing(ledger, cluster):
    perform(actions(action()), ledger, cluster, NOW)
    cluster.ensure("t", 9, "another", NOW)
    assert results(perform(actions(action()), ledger, cluster, NOW)) == ["already"]
    assert floor(cluster) == 9
    assert kinds(ledger) == ["action", "applied"]


def test_nothing_due_is_nothing_done(ledger, cluster):
    assert perform(actions(), ledger, cluster, NOW) == []
    assert ledger.position() == 0


@pytest.mark.parametrize("target", ["t", "*"])
def test_a_paused_target_is_not_even_claimed(ledger, cluster, target):
    ledger.pause(target, by="ops", at=NOW)
    assert results(perform(actions(action()), ledger, cluster, NOW)) == ["paused"]
    assert kinds(ledger) == ["paused"]
    ledger.resume(target, by="ops", at=NOW)
    assert results(perform(actions(action()), ledger, cluster, NOW)) == ["applied"]


class PausedWhileReading(SimulatedProvisioner):
    """Somebody pauses the target while its live floor is read."""

    ledger: Ledger

    def observe(self, targets, observed, now):
        self.ledger.pause("t", by="ops", at=now)
        return super().observe(targets, observed, now)


def test_a_pause_between_claim_and_write_stops_the_write(ledger, tmp_path):
    cluster = PausedWhileReading(tmp_path / "s.sqlite", SURE)
    cluster.ledger = ledger
    assert results(perform(actions(action()), ledger, cluster, NOW)) == ["paused"]
    ledger.resume("t", by="ops", at=NOW)
    plain = SimulatedProvisioner(tmp_path / "s.sqlite", SURE)
    assert floor(plain) == 0
    assert results(perform(actions(action()), ledger, plain, NOW)) == ["applied"]


@pytest.mark.parametrize(
    ("live", "before", "after", "result", "stands"),
    [
        (9, 0, 5, "failed", 9),
        (3, 0, 5, "applied", 5),
        (9, 8, 2, "failed", 9),
        (8, 8, 2, "applied", 2),
        (9, 9, 9, "applied", 9),
    ],
)
def test_the_live_floor_has_the_last_word(ledger, cluster, live, before, after, result, stands):
    cluster.ensure("t", live, "before", NOW)
    assert results(perform(actions(action(before=before, after=after)), ledger, cluster, NOW)) == [result]
    assert floor(cluster) == stands


def test_a_refusal_is_recorded_and_the_other_rows_go_on(ledger, tmp_path):
    cluster = SimulatedProvisioner(tmp_path / "s.sqlite", SimulatedSettings(quota=3))
    cluster.ensure("t", 3, "before", NOW)
    done = perform(actions(action("t", 3, 9), action("u", 0, 9)), ledger, cluster, NOW)
    assert results(done) == ["failed", "applied"]
    assert "quota" in done[0].detail
    assert "cut from 9 to 3" in done[1].detail
    view = ledger_view(ledger.entries(), ["t", "u"], NOW)
    assert view["last_failed_at"].to_list() == [NOW, None]
    assert view["cost_today"].to_list() == [0.0, 1.0]


def test_a_failed_action_may_be_tried_again(ledger, tmp_path):
    cluster = SimulatedProvisioner(tmp_path / "s.sqlite", SimulatedSettings(quota=0))
    assert results(perform(actions(action()), ledger, cluster, NOW)) == ["failed"]
    cluster = SimulatedProvisioner(tmp_path / "s.sqlite", SURE)
    assert results(perform(actions(action()), ledger, cluster, NOW)) == ["applied"]
    assert kinds(ledger) == ["action", "failed", "applied"]


def test_throttling_is_raised_after_the_other_rows_and_tried_again_with_the_same_keys(ledger, tmp_path):
    cluster = SimulatedProvisioner(tmp_path / "s.sqlite", SimulatedSettings(throttle_rate=0.8, seed=1))
    rows = actions(*(action(f"t{n}") for n in range(6)))
    with pytest.raises(TemporaryProvisioningError, match="to try again"):
        perform(rows, ledger, cluster, NOW)
    tries = 1
    while True:
        tries += 1
        try:
            perform(rows, ledger, cluster, NOW)
            break
        except TemporaryProvisioningError:
            assert tries < 100
    assert tries > 1
    assert kinds(ledger).count("action") == kinds(ledger).count("applied") == 6


def test_a_lost_reply_is_read_back(ledger, tmp_path):
    cluster = SimulatedProvisioner(tmp_path / "s.sqlite", SimulatedSettings(lost_reply_rate=1.0))
    assert results(perform(actions(action()), ledger, cluster, NOW)) == ["applied"]
    assert kinds(ledger) == ["action", "unknown", "applied"]


def test_at_a_restart_what_was_begun_is_finished_unless_it_has_expired(ledger, cluster):
    begun, expired, written = action("t"), action("u", stands=20), action("v", stands=20)
    for row in (begun, expired, written):
        ledger.claim_action(row, "d", NOW)
    cluster.ensure("v", 5, written["key"], NOW)
    done = resume(ledger, cluster, NOW + timedelta(minutes=30))
    assert {one.target: one.result for one in done} == {"t": "applied", "u": "failed", "v": "applied"}
    assert ledger.open_actions().is_empty()
    assert resume(ledger, cluster, NOW + timedelta(minutes=30)) == []


def test_other_provisioners_targets_are_left_to_them(ledger, cluster):
    ledger.claim_action(action("t", stands=1), "d", NOW)
    perform(actions(action("u", stands=1)), ledger, cluster, NOW)
    assert resume(ledger, cluster, NOW, targets=["u"]) == []
    assert sweep(ledger, cluster, NOW + timedelta(hours=1), targets=["t"]) == []


def test_an_expired_floor_is_released_once_without_any_plan(ledger, cluster):
    perform(actions(action(stands=75)), ledger, cluster, NOW)
    assert sweep(ledger, cluster, NOW + timedelta(minutes=74)) == []
    late = NOW + timedelta(minutes=75)
    assert results(sweep(ledger, cluster, late)) == ["released"]
    assert floor(cluster, late) == 0
    assert kinds(ledger) == ["action", "applied", "expired", "released"]
    assert sweep(ledger, cluster, late) == []
    assert ledger_view(ledger.entries(), ["t"], late)["floor_expires_at"].to_list() == [None]


def test_a_renewed_floor_lives_on(ledger, cluster):
    perform(actions(action(stands=75)), ledger, cluster, NOW)
    half = NOW + timedelta(minutes=40)
    renewal = action(before=5, after=5, at=half, bound_by="renewal")
    assert results(perform(actions(renewal), ledger, cluster, half)) == ["applied"]
    assert sweep(ledger, cluster, NOW + timedelta(minutes=80)) == []
    assert floor(cluster) == 5
    assert results(sweep(ledger, cluster, half + timedelta(minutes=75))) == ["released"]
    assert floor(cluster, half + timedelta(minutes=75)) == 0


def test_a_raise_is_judged_by_usable_capacity_and_gives_a_lead_time(ledger, cluster):
    perform(actions(action(need=5)), ledger, cluster, NOW)
    early = cluster.observe(["t"], {}, NOW + timedelta(seconds=60))
    assert settle(ledger, early, None, NOW + timedelta(seconds=60)) == []
    ready = cluster.observe(["t"], {}, NOW + timedelta(seconds=200))
    assert len(settle(ledger, ready, None, NOW + timedelta(seconds=200))) == 1
    assert settle(ledger, ready, None, NOW + timedelta(seconds=260)) == []
    assert kinds(ledger) == ["action", "applied", "met", "lead_time"]
    entry = (
        ledger.entries()
        .filter(pl.col("kind") == "lead_time")["body"]
        .str.json_decode(pl.Struct({"lead_time_s": pl.Float64}))
    )
    assert entry[0]["lead_time_s"] == pytest.approx(200)


def test_capacity_that_was_there_before_says_nothing_about_lead_times(ledger, cluster):
    cluster.observe(["t"], {"t": 8.0}, NOW - timedelta(minutes=10))
    cluster.observe(["t"], {"t": 8.0}, NOW - timedelta(minutes=5))
    perform(actions(action(after=5)), ledger, cluster, NOW)
    settle(ledger, cluster.observe(["t"], {}, NOW + timedelta(seconds=1)), None, NOW + timedelta(seconds=1))
    assert kinds(ledger) == ["action", "applied", "met"]


STEPS = (
    "before claim",
    "after claim",
    "before observe 1",
    "after observe 1",
    "before ensure",
    "after ensure",
    "before observe 2",
    "after observe 2",
    "before applied",
    "after applied",
)

KILLED = """
import os, signal, sys
sys.path.insert(0, sys.argv[1])
from places import NOW, action, actions
from resources.ledger import Ledger
from resources.provisioners.protocol import perform
from resources.provisioners.simulated import SimulatedProvisioner

folder, last = sys.argv[2:]
seen = {"observe": 0}

def reach(step):
    if step == last:
        os.kill(os.getpid(), signal.SIGKILL)

class MortalLedger(Ledger):
    def claim_action(self, *given):
        reach("before claim")
        claimed = super().claim_action(*given)
        reach("after claim")
        return claimed
    def append(self, kind, *given, **named):
        reach(f"before {kind}")
        seq = super().append(kind, *given, **named)
        reach(f"after {kind}")
        return seq

class MortalCluster(SimulatedProvisioner):
    def observe(self, *given):
        seen["observe"] += 1
        reach(f"before observe {seen['observe']}")
        frame = super().observe(*given)
        reach(f"after observe {seen['observe']}")
        return frame
    def ensure(self, *given):
        reach("before ensure")
        receipt = super().ensure(*given)
        reach("after ensure")
        return receipt

perform(actions(action()), MortalLedger(f"{folder}/l.sqlite"), MortalCluster(f"{folder}/s.sqlite"), NOW)
print("lived")
"""


def test_killed_at_any_step_and_run_again_there_is_one_effect(tmp_path):
    processes = {}
    for step in STEPS:
        folder = tmp_path / step.replace(" ", "-")
        folder.mkdir()
        command = [sys.executable, "-c", KILLED, str(Path(__file__).parent), str(folder), step]
        processes[step] = (folder, subprocess.Popen(command, stdout=subprocess.PIPE, text=True))
    for step, (folder, process) in processes.items():
        said = process.communicate(timeout=120)[0]
        assert (process.returncode, said) == (-9, ""), step
        ledger, cluster = Ledger(folder / "l.sqlite"), SimulatedProvisioner(folder / "s.sqlite")
        later = NOW + timedelta(seconds=30)
        written = kinds(ledger)
        assert len(written) == ("claim" not in step or "after" in step) + (step == "after applied")
        perform(actions(action()), ledger, cluster, later)
        perform(actions(action()), ledger, cluster, later)
        assert kinds(ledger) == ["action", "applied"], step
        frame = cluster.observe(["t"], {}, later)
        assert (frame["floor"].item(), frame["usable"].item() + frame["booting"].item()) == (5, 5), step
        assert ledger_view(ledger.entries(), ["t"], later)["cost_today"].item() == 1.0
        ledger.close()
