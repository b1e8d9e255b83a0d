"""Targets, units, prices and limits: the frames made of them, and what they refuse."""

from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest

from persona_platform.capacity.limits import Limits, digest, limits_frame
from persona_platform.capacity.targets import Prices, Target, Unit, freeze_units, targets_frame, with_tiers
from persona_platform.errors import ConfigError
from persona_platform.frames import LIMITS, TARGETS, UNITS, WORKLOADS

SLOT = timedelta(minutes=15)
START = datetime(2026, 3, 2, tzinfo=UTC)


def workloads(*rows: tuple[str, str, str]) -> pl.DataFrame:
    full = [{"workload_id": w, "pool": p, "tier": t, "timezone": "UTC"} for w, p, t in rows]
    return pl.DataFrame(full, schema=WORKLOADS)


def needs(values: dict[str, list[dict[str, float | None]]]) -> pl.DataFrame:
    """Needs of each workload by slot; None instead of a dict: not read in that slot."""
    rows = [
        {"workload_id": w, "slot": START + i * SLOT, "saturated": False, **need}
        for w, by_slot in values.items()
        for i, need in enumerate(by_slot)
        if need is not None
    ]
    return pl.DataFrame(rows, infer_schema_length=None).with_columns(pl.col("slot").dt.cast_time_unit("us"))


@pytest.mark.parametrize(
    ("target", "kappa"),
    [
        (Target("t", "p"), 0.95),
        (Target("t", "p", tier="critical"), 0.99),
        (Target("t", "p", tier="batch"), 0.80),
        (Target("t", "p", tier="batch", prices=Prices(9.0, 1.0)), 0.9),
    ],
)
def test_kappa_is_of_the_prices_else_of_the_tier(target, kappa):
    frame = targets_frame([target], SLOT)
    assert frame.schema == TARGETS
    assert frame["kappa"].item() == pytest.approx(kappa)


@pytest.mark.parametrize(
    ("slot_s", "cooldown_s", "slots"),
    [(900, 600, 1), (900, 901, 2), (300, 600, 2), (300, 0, 1), (3600, 7200, 2)],
)
def test_the_hold_is_the_longer_of_slot_and_cooldown_in_whole_slots(slot_s, cooldown_s, slots):
    limits = Limits(cooldown_down=timedelta(seconds=cooldown_s))
    assert targets_frame([Target("t", "p", limits=limits)], timedelta(seconds=slot_s))["hold_slots"].item() == slots


def test_an_automatic_unit_is_a_twentieth_of_the_mean_of_each_sized_resource_that_the_pool_has():
    frame = needs(
        {
            "a": [{"cpu_cores": 30.0, "mem_bytes": 8e9, "gpus": 0.0}] * 2,
            "b": [{"cpu_cores": 10.0, "mem_bytes": None, "gpus": 0.0}] * 2,
        }
    )
    units, reasons = freeze_units(
        [Target("t", "p")], frame, workloads(("a", "p", "standard"), ("b", "p", "standard")), SLOT
    )
    assert units.schema == UNITS
    assert units.rows() == [("t", "cpu_cores", 2.0), ("t", "mem_bytes", 4e8)]
    assert reasons == []


def test_an_activity_serves_where_no_sized_resource_is_the_first_one_only():
    frame = needs({"a": [{"net_in_bytes": 5.0, "requests": 40.0, "active_users": 9.0}]})
    units, _ = freeze_units([Target("t", "p")], frame, workloads(("a", "p", "standard")), SLOT)
    assert units.rows() == [("t", "requests", 2.0)]


def test_a_configured_unit_stays_and_one_with_only_a_price_is_automatic():
    frame = needs({"a": [{"cpu_cores": 20.0}]})
    targets = [Target("t", "p", unit=Unit({"gpus": 8.0})), Target("u", "p", unit=Unit({}, 2.5))]
    units, _ = freeze_units(targets, frame, workloads(("a", "p", "standard")), SLOT)
    assert units.rows() == [("t", "gpus", 8.0), ("u", "cpu_cores", 1.0)]
    assert limits_frame(targets)["price_per_hour"].to_list() == [1.0, 2.5]


def test_slots_in_which_little_was_read_do_not_make_the_unit_smaller():
    read = [{"cpu_cores": 10.0}] * 8
    frame = needs({"a": [*read, {"cpu_cores": 10.0}], "b": [*read, None], "c": [*read, None]})
    units, _ = freeze_units([Target("t", "p")], frame, workloads(*((w, "p", "standard") for w in "abc")), SLOT)
    assert units["amount"].item() == pytest.approx(30 / 20)


@pytest.mark.parametrize(
    ("pool", "frame", "says"),
    [
        (
            "elsewhere",
            needs({"a": [{"cpu_cores": 1.0}]}),
            "no workload belongs to its pool elsewhere; the pools are p",
        ),
        ("p", needs({"a": [{"cpu_cores": 0.0}]}), "no demand above 0"),
        ("p", needs({"a": [{"cpu_cores": 1.0}]}).clear(), "no demand above 0"),
    ],
)
def test_a_target_without_demand_gets_no_unit_and_a_reason(pool, frame, says):
    units, reasons = freeze_units([Target("t", pool)], frame, workloads(("a", "p", "standard")), SLOT)
    assert units.is_empty()
    assert len(reasons) == 1
    assert says in reasons[0]


def test_a_pool_has_the_most_demanding_tier_that_a_notable_share_has():
    fleet = workloads(
        *((f"a{i}", "a", "critical" if i == 0 else "batch") for i in range(10)),
        *((f"b{i}", "b", "critical" if i == 0 else "batch") for i in range(11)),
    )
    targets = [Target("a", "a"), Target("b", "b"), Target("c", "c"), Target("d", "a", tier="standard")]
    assert [t.tier for t in with_tiers(targets, fleet)] == ["critical", "batch", "standard", "standard"]


def test_the_limits_frame_has_the_defaults_and_is_named_by_its_content():
    frame = limits_frame([Target("b", "p"), Target("a", "p")], global_budget=50.0)
    assert frame.schema == LIMITS
    assert frame["target"].to_list() == ["a", "b"]
    row = frame.row(0, named=True)
    expected = {"mode": "observe", "max": None, "step_share": 0.5, "step_units": 10, "cooldown_up_s": 300}
    assert {name: row[name] for name in expected} == expected
    assert row["min_history_s"] == 3 * 86400
    assert row["stale_after_s"] is None
    assert row["budget_total_day"] == 50.0
    assert digest(frame) == digest(frame.reverse())
    assert digest(frame) != digest(frame.with_columns(min=pl.lit(1, pl.Int64)))


@pytest.mark.parametrize(("slot_s", "stale_s"), [(900, 3600), (3600, 7200)])
def test_an_input_is_stale_after_two_slots_and_at_least_an_hour(slot_s, stale_s):
    assert limits_frame([Target("t", "p")], slot=timedelta(seconds=slot_s))["stale_after_s"].item() == stale_s


@pytest.mark.parametrize(
    ("limits", "says"),
    [
        (Limits(mode="auto"), "observe, propose, act"),
        (Limits(min=5, max=4), "max 4 is below min 5"),
        (Limits(min=-1), "min is -1"),
        (Limits(dead_band=1.0), "dead_band"),
        (Limits(step_share=0.0, step_units=0), "step_share"),
        (Limits(step_share=float("nan")), "step_share"),
        (Limits(budget_day=-1.0), "budget_day"),
        (Limits(approval_cost=float("nan")), "approval_cost"),
        (Limits(expiry=timedelta(seconds=-1)), "expiry"),
    ],
)
def test_limits_that_cannot_hold_are_refused(limits, says):
    with pytest.raises(ConfigError, match=says):
        limits_frame([Target("t", "p", limits=limits)])


@pytest.mark.parametrize(
    ("target", "says"),
    [
        (Target("*", "p"), "means all"),
        (Target("t", "p", tier="gold"), "critical, standard, batch"),
        (Target("t", "p", unit=Unit({"cores": 1.0})), "'cores'"),
        (Target("t", "p", unit=Unit({"gpus": 0.0})), "above 0"),
        (Target("t", "p", prices=Prices(0.0, 1.0)), "above 0"),
    ],
)
def test_targets_that_cannot_be_are_refused(target, says):
    with pytest.raises(ConfigError, match=says):
        targets_frame([target], SLOT)


def test_two_targets_of_one_name_are_refused():
    with pytest.raises(ConfigError, match="Two targets are called t"):
        limits_frame([Target("t", "p"), Target("t", "q")])


def test_an_automatic_unit_is_the_same_to_the_last_digit_however_often_it_is_made():
    rng = np.random.default_rng(0)
    read = needs({f"w{w}": [{"cpu_cores": v} for v in rng.random(24) * 10.0**w] for w in range(9)})
    labels = workloads(*((f"w{w}", "p", "standard") for w in range(9)))
    many = pl.concat([read.with_columns(slot=pl.col("slot") + i * 24 * SLOT) for i in range(200)])
    first, _ = freeze_units([Target("t", "p")], many, labels, SLOT)
    for _ in range(10):
        assert freeze_units([Target("t", "p")], many, labels, SLOT)[0].equals(first)
