"""The simulated cluster: lead times, failures, quota, its own autoscaler, restarts and several processes."""

import subprocess
import sys
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from places import NOW

from persona_platform.errors import (
    ConfigError,
    PermanentProvisioningError,
    TemporaryProvisioningError,
    UnknownProvisioningError,
)
from persona_platform.frames import INVENTORY, OBSERVED
from resources.provisioners import Provisioner, Receipt, observed_now
from resources.provisioners.simulated import SimulatedProvisioner, SimulatedSettings

SURE = SimulatedSettings(failure_rate=0.0, lead_time_sigma=0.0)
"""Every node comes after exactly 180 s."""


@pytest.fixture
def place(tmp_path):
    def make(**changes: object) -> SimulatedProvisioner:
        return SimulatedProvisioner(tmp_path / "simulated.sqlite", replace(SURE, **changes))

    return make


def later(seconds: float):
    return NOW + timedelta(seconds=seconds)


def found(place, seconds: float, observed: float | None = None, target: str = "t") -> dict:
    demand = {} if observed is None else {target: observed}
    return place.observe([target], demand, later(seconds)).row(0, named=True)


def sizes(place, seconds: float, observed: float | None = None) -> tuple[int, int, int]:
    row = found(place, seconds, observed)
    return row["usable"], row["booting"], row["floor"]


def test_it_is_a_provisioner(place):
    assert isinstance(place(), Provisioner)


def test_a_floor_is_usable_after_the_lead_time(place):
    cluster = place()
    assert cluster.ensure("t", 5, "k", NOW) == Receipt(5, 0)
    row = found(cluster, 0)
    assert (row["usable"], row["booting"], row["floor"]) == (0, 5, 5)
    assert row["ready_at"] == later(180)
    assert sizes(cluster, 179.9) == (0, 5, 5)
    assert sizes(cluster, 180) == (5, 0, 5)
    assert found(cluster, 180)["ready_at"] is None


def test_the_inventory_keeps_its_contract_and_is_named_by_its_content(place):
    cluster = place()
    frame = cluster.observe(["u", "t", "t"], {"t": 3.5, "u": float("nan")}, NOW)
    assert frame.schema == INVENTORY
    assert frame.select("target", "observed_demand").rows() == [("t", 3.5), ("u", None)]
    assert frame["inventory_id"].n_unique() == 1
    assert cluster.observe(["t", "u"], {"t": 3.6}, NOW)["inventory_id"][0] != frame["inventory_id"][0]
    assert cluster.observe([], {}, NOW).is_empty()


def test_a_key_has_one_effect_also_after_another_floor_was_written(place):
    cluster = place()
    first = cluster.ensure("t", 5, "k", NOW)
    cluster.ensure("t", 8, "l", later(10))
    assert cluster.ensure("t", 5, "k", later(20)) == first
    assert sizes(cluster, 20) == (0, 8, 8)


def test_lowering_keeps_nodes_for_ten_minutes_and_never_below_what_is_observed(place):
    cluster = place()
    cluster.ensure("t", 10, "k", NOW)
    assert sizes(cluster, 200, 2.4) == (10, 0, 10)
    assert cluster.ensure("t", 0, "l", later(200)) == Receipt(0, 10)
    assert sizes(cluster, 799, 2.4) == (10, 0, 0)
    assert sizes(cluster, 800, 2.4) == (3, 0, 0)  # 2.4 / 0.8


def test_the_native_autoscaler_follows_demand_above_the_floor(place):
    cluster = place()
    cluster.ensure("t", 2, "k", NOW)
    assert sizes(cluster, 200, 8.0) == (2, 8, 2)
    assert sizes(cluster, 380, 8.0) == (10, 0, 2)
    assert sizes(cluster, 400, 1.0) == (10, 0, 2)
    assert sizes(cluster, 500, 8.0) == (10, 0, 2)  # wanted again: the ten minutes begin anew
    assert sizes(cluster, 1050, 1.0) == (10, 0, 2)
    assert sizes(cluster, 1650, 1.0) == (2, 0, 2)


def test_release_restores_what_was_there_only_for_the_key_that_wrote_it(place):
    cluster = place()
    cluster.ensure("t", 5, "k", NOW)
    cluster.ensure("t", 8, "l", NOW)
    assert cluster.release("t", "k", NOW).accepted_floor == 8
    released = cluster.release("t", "l", NOW)
    assert (released.accepted_floor, released.prior_floor) == (0, 8)
    cluster.ensure("t", 3, "m", NOW)
    assert cluster.release("t", "l", NOW) == released
    assert sizes(cluster, 0)[2] == 3


def test_a_quota_cuts_a_raise_and_refuses_one_that_adds_nothing(place):
    cluster = place(quota=6)
    receipt = cluster.ensure("t", 9, "k", NOW)
    assert receipt.accepted_floor == 6
    assert "quota of 6" in receipt.detail
    with pytest.raises(PermanentProvisioningError, match="quota of 6"):
        cluster.ensure("t", 9, "l", NOW)
    assert sizes(cluster, 200, 50.0) == (6, 0, 6)
    assert cluster.ensure("t", 2, "m", NOW).accepted_floor == 2


def test_a_negative_floor_is_refused(place):
    with pytest.raises(PermanentProvisioningError, match="0 or more"):
        place().ensure("t", -1, "k", NOW)


def test_a_throttled_write_has_no_effect_and_goes_through_at_last(place):
    cluster = place(throttle_rate=0.7, seed=2)
    refused = 0
    for _ in range(50):
        try:
            cluster.ensure("t", 5, "k", NOW)
            break
        except TemporaryProvisioningError:
            refused += 1
            assert sizes(cluster, 0)[2] == 0
    assert refused > 0
    assert sizes(cluster, 0) == (0, 5, 5)


def test_a_lost_reply_is_a_write_that_happened(place):
    cluster = place(lost_reply_rate=1.0)
    with pytest.raises(UnknownProvisioningError):
        cluster.ensure("t", 5, "k", NOW)
    assert sizes(cluster, 0) == (0, 5, 5)
    assert cluster.ensure("t", 5, "k", NOW) == Receipt(5, 0)


def test_a_clock_that_steps_back_does_not_undo_anything(place):
    cluster = place()
    cluster.ensure("t", 5, "k", NOW)
    assert sizes(cluster, 200) == (5, 0, 5)
    assert sizes(cluster, 0) == (5, 0, 5)


def test_a_restart_finds_everything_as_it_was(place):
    place().ensure("t", 5, "k", NOW)
    assert sizes(place(), 200) == (5, 0, 5)
    assert place().history("t")["usable"].to_list() == [0, 5]


def test_lead_times_are_lognormal_and_the_same_for_the_same_seed(tmp_path):
    settings = SimulatedSettings(failure_rate=0.0, seed=7)

    def ready(name: str, settings: SimulatedSettings) -> np.ndarray:
        cluster = SimulatedProvisioner(tmp_path / name, settings)
        cluster.ensure("t", 1000, "k", NOW)
        for seconds in range(30, 800, 15):
            cluster.observe(["t"], {}, later(seconds))
        return cluster.history("t")["usable"].to_numpy()

    usable = ready("a", settings)
    seconds = np.array([0, *range(30, 800, 15)])
    median, slow = (seconds[np.searchsorted(usable, share * 1000)] for share in (0.5, 0.9))
    assert abs(median - 180) <= 15 + 10  # the grid, and sampling error
    assert abs(slow - 282) <= 15 + 20
    assert (usable == ready("b", settings)).all()
    assert (usable != ready("c", replace(settings, seed=8))).any()


def test_nodes_that_never_come_are_replaced_after_fifteen_minutes(place):
    cluster = place(failure_rate=0.3)
    cluster.ensure("t", 100, "k", NOW)
    usable, booting, _ = sizes(cluster, 899)
    assert usable + booting == 100
    assert 15 <= booting <= 45
    sizes(cluster, 900)
    again, _, _ = sizes(cluster, 1080)
    assert again > usable
    for seconds in range(1100, 8000, 300):
        last = sizes(cluster, seconds)
    assert last[:2] == (100, 0)


def test_history_is_what_a_chart_needs(place):
    cluster = place()
    cluster.ensure("t", 2, "k", NOW)
    found(cluster, 60, 1.0)
    frame = cluster.history("t")
    assert frame.columns == ["at", "usable", "booting", "floor", "observed"]
    assert frame.rows() == [(NOW, 0, 2, 2, None), (later(60), 0, 2, 2, 1.0)]
    assert cluster.history("nobody").is_empty()


ENSURE = """
import sys
from datetime import timedelta
sys.path.insert(0, sys.argv[2])
from places import NOW
from resources.provisioners.simulated import SimulatedProvisioner
cluster = SimulatedProvisioner(sys.argv[1])
for n in range(40):
    cluster.ensure("t", n + 1, f"k{n}", NOW + timedelta(seconds=n))
    cluster.observe(["t"], {}, NOW + timedelta(seconds=n))
"""


def test_two_processes_write_the_same_keys_once(tmp_path):
    path = tmp_path / "simulated.sqlite"
    command = [sys.executable, "-c", ENSURE, str(path), str(Path(__file__).parent)]
    both = [subprocess.Popen(command) for _ in range(2)]
    assert [process.wait(timeout=60) for process in both] == [0, 0]
    row = SimulatedProvisioner(path).observe(["t"], {}, later(40)).row(0, named=True)
    assert (row["floor"], row["usable"] + row["booting"]) == (40, 40)


def test_settings_that_make_no_cluster_are_refused():
    with pytest.raises(ConfigError, match="native_target"):
        SimulatedSettings(native_target=0.0)


def test_the_demand_of_now_is_that_of_the_newest_slot_read():
    rows = [
        ("t", later(0), 1.0),
        ("t", later(900), 2.0),
        ("t", later(1800), None),
        ("u", later(0), float("nan")),
    ]
    frame = pl.DataFrame([(*row, False) for row in rows], schema=OBSERVED, orient="row")
    assert observed_now(frame) == {"t": 2.0}
    assert observed_now(frame.clear()) == {}
