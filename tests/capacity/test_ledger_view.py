"""The fold over the ledger's entries: what decide() is told of the past."""

import json
from datetime import UTC, datetime, timedelta

import polars as pl
import pytest

from persona_platform.capacity.ledger_view import ENTRIES, ledger_view
from persona_platform.frames import LEDGER_VIEW

NOW = datetime(2026, 3, 2, 10, tzinfo=UTC)
LATER = (NOW + timedelta(hours=1)).isoformat()


def entries(*rows: tuple) -> pl.DataFrame:
    """(minutes ago, kind, key, target, body) in the order of seq."""
    full = [
        {
            "seq": i + 1,
            "at": NOW - timedelta(minutes=ago),
            "kind": kind,
            "key": key,
            "target": target,
            "body": json.dumps(body),
        }
        for i, (ago, kind, key, target, body) in enumerate(rows)
    ]
    return pl.DataFrame(full, schema=ENTRIES)


def view_of(*rows: tuple, target: str = "t", now: datetime = NOW) -> dict:
    frame = ledger_view(entries(*rows), ["t", "u"], now)
    assert frame.schema == LEDGER_VIEW
    assert frame["target"].to_list() == ["t", "u"]
    return frame.filter(pl.col("target") == target).row(0, named=True)


def applied(ago: int, before: int, after: int, key: str = "k") -> tuple:
    return (ago, "applied", key, "t", {"from_floor": before, "to_floor": after, "expires_at": LATER})


def test_a_target_without_a_past():
    assert view_of() == {
        "target": "t",
        "paused": False,
        **dict.fromkeys(("last_raised_at", "last_lowered_at", "last_failed_at", "lead_time_s", "approved_floor")),
        "floor_expires_at": None,
        "cost_today": 0.0,
        "cost_today_total": 0.0,
    }


def test_raises_lowerings_failures_and_the_floor_in_force():
    row = view_of(applied(30, 2, 9), applied(20, 9, 4, "l"), applied(10, 4, 4, "r"), (5, "failed", "f", "t", {}))
    assert row["last_raised_at"] == NOW - timedelta(minutes=30)
    assert row["last_lowered_at"] == NOW - timedelta(minutes=20)
    assert row["last_failed_at"] == NOW - timedelta(minutes=5)
    assert row["floor_expires_at"] == NOW + timedelta(hours=1)


def test_a_released_floor_is_not_ours_and_was_lowered():
    row = view_of(applied(30, 2, 9), (1, "released", "k", "t", {"prior_floor": 9, "accepted_floor": 0}))
    assert row["floor_expires_at"] is None
    assert row["last_lowered_at"] == NOW - timedelta(minutes=1)


@pytest.mark.parametrize(
    ("switches", "t", "u"),
    [
        ([("paused", "t")], True, False),
        ([("paused", "*")], True, True),
        ([("paused", "t"), ("resumed", "t")], False, False),
        ([("paused", "t"), ("resumed", "*")], True, False),
        ([("paused", "*"), ("resumed", "t")], True, True),
        ([("resumed", "t"), ("paused", "t")], True, False),
    ],
)
def test_a_pause_holds_until_the_same_word_ends_it(switches, t, u):
    rows = [(9, kind, None, target, {"by": "ops"}) for kind, target in switches]
    assert view_of(*rows)["paused"] is t
    assert view_of(*rows, target="u")["paused"] is u


def test_money_is_of_the_utc_day_and_not_of_what_failed():
    row = view_of(
        (11 * 60, "action", "y", "t", {"cost": 100.0}),
        (9 * 60, "action", "a", "t", {"cost": 1.5}),
        (8 * 60, "action", "b", "u", {"cost": 2.0}),
        (7 * 60, "action", "c", "t", {"cost": 4.0}),
        (7 * 60, "failed", "c", "t", {}),
        (6 * 60, "action", "d", "t", {"cost": 8.0}),
        (6 * 60, "failed", "d", "t", {}),
        (5 * 60, "applied", "d", "t", {"from_floor": 0, "to_floor": 1}),
    )
    assert row["cost_today"] == pytest.approx(9.5)
    assert row["cost_today_total"] == pytest.approx(11.5)


@pytest.mark.parametrize(("samples", "expected"), [(19, None), (20, 180.0)])
def test_lead_times_count_from_twenty_on(samples, expected):
    rows = [(99 - i, "lead_time", f"k{i}", "t", {"lead_time_s": 10.0 * i}) for i in range(samples)]
    seconds = view_of(*rows)["lead_time_s"]
    assert seconds == (None if expected is None else pytest.approx(171.0))


def approval(ago: int, key: str, before: int, after: int, until: str = LATER) -> tuple:
    return (ago, "approved", key, "t", {"from_floor": before, "to_floor": after, "expires_at": until})


@pytest.mark.parametrize(
    ("rows", "floor"),
    [
        ([approval(9, "a", 2, 8), approval(8, "b", 2, 5)], 8),
        ([approval(9, "a", 2, 8, (NOW - timedelta(minutes=1)).isoformat()), approval(8, "b", 2, 5)], 5),
        ([approval(9, "a", 2, 8), (8, "rejected", "a", "t", {})], None),
        ([approval(9, "a", 2, 8), approval(8, "b", 8, 3)], 3),
        ([approval(9, "a", 2, 8), approval(8, "b", 8, 3), approval(7, "c", 3, 6)], 6),
    ],
)
def test_the_highest_standing_approval_since_one_to_lower(rows, floor):
    assert view_of(*rows)["approved_floor"] == floor
