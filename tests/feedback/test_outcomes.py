"""What came of every action: judged from ledger entries, inventories and observed demand."""

import json
from datetime import UTC, datetime, timedelta

import polars as pl
import pytest

from persona_platform.capacity.ledger_view import ENTRIES
from persona_platform.feedback.outcomes import outcomes
from persona_platform.frames import INVENTORY, OBSERVED, OUTCOMES

NEED = datetime(2026, 3, 2, 10, 15, tzinfo=UTC)
ASKED = NEED - timedelta(minutes=6)
EXPIRES = NEED + timedelta(hours=1)
SLOT = timedelta(minutes=15)


def minutes(after_need: float) -> datetime:
    return NEED + timedelta(minutes=after_need)


def entries(*rows: tuple) -> pl.DataFrame:
    """(at, kind, body) of the action k on target t."""
    full = [
        {"seq": i + 1, "at": at, "kind": kind, "key": "k", "target": "t", "body": json.dumps(body)}
        for i, (at, kind, body) in enumerate(rows)
    ]
    return pl.DataFrame(full, schema=ENTRIES)


def asked(before: int = 2, after: int = 9, at: datetime = ASKED) -> tuple:
    floors = {"from_floor": before, "to_floor": after}
    return (at, "action", {**floors, "need_at": NEED.isoformat(), "expires_at": EXPIRES.isoformat()})


def applied(usable: int = 2, at: datetime = ASKED) -> tuple:
    return (at, "applied", {"usable": usable, "from_floor": 2, "to_floor": 9})


def seen(*rows: tuple[float, int], ready: dict[float, float] | None = None) -> pl.DataFrame:
    """(minutes after the need, usable units); ``ready`` says when all that boots then will be usable."""
    full = [
        {
            "inventory_id": "i",
            "target": "t",
            "observed_at": minutes(at),
            "usable": n,
            "booting": 0,
            "ready_at": minutes(ready[at]) if ready and at in ready else None,
            "floor": 9,
        }
        for at, n in rows
    ]
    return pl.DataFrame(full, schema=INVENTORY)


def demand(*rows: tuple[float, float | None]) -> pl.DataFrame:
    full = [{"target": "t", "slot": minutes(at), "demand": value, "saturated": False} for at, value in rows]
    return pl.DataFrame(full, schema=OBSERVED)


def judged(rows: list[tuple], inventories: pl.DataFrame, now: datetime, observed: pl.DataFrame | None = None) -> dict:
    frame = outcomes(entries(*rows), inventories, demand() if observed is None else observed, now)
    assert frame.schema == OUTCOMES
    return frame.row(0, named=True)


@pytest.mark.parametrize(
    ("inventories", "now", "outcome", "ahead_s"),
    [
        (seen((-3, 9)), -1, "met", 180.0),
        (seen((0, 9)), 5, "met", 0.0),
        (seen((-3, 5)), -1, "open", None),
        (seen((-3, 5)), 0, "open", None),
        (seen((-3, 5)), 1, "partial", None),
        (seen((-3, 5), (2, 9)), 5, "partial", -120.0),
        (seen((-3, 2)), 1, "unmet", None),
        (seen(), 1, "unmet", None),
        (seen((2, 9)), 1, "unmet", None),  # not seen yet at now
        (seen((-10, 9), (-3, 2)), 1, "unmet", None),  # before it was asked for
    ],
)
def test_a_raise_is_judged_by_usable_units_at_its_need(inventories, now, outcome, ahead_s):
    row = judged([asked(), applied()], inventories, minutes(now))
    assert (row["outcome"], row["ahead_s"]) == (outcome, ahead_s)
    assert row["requested_at"] == ASKED


@pytest.mark.parametrize(("ready", "outcome"), [(8.0, "met"), (8.5, "partial")])
def test_a_raise_asked_for_too_late_has_five_minutes_and_is_still_behind(ready, outcome):
    late = minutes(3)
    row = judged([asked(at=late), applied(at=late)], seen((ready, 9)), minutes(20))
    assert row["outcome"] == outcome
    assert row["ahead_s"] == -60 * ready


@pytest.mark.parametrize(
    ("rows", "now", "outcome"),
    [
        ([asked()], -1, "open"),
        ([asked()], 1, "unmet"),
        ([asked(), (ASKED, "unknown", {})], -1, "open"),
        ([asked(), (ASKED, "failed", {})], -1, "open"),
        ([asked(), (ASKED, "failed", {})], 1, "unmet"),
        ([asked(9, 2), applied()], -1, "released"),
        ([asked(9, 2)], 5, "open"),
        ([asked(9, 2), (ASKED, "failed", {})], 5, "unmet"),
        ([asked(), applied(), (minutes(-2), "released", {})], 5, "released"),
    ],
)
def test_what_was_not_written_or_was_given_back(rows, now, outcome):
    assert judged(rows, seen(), minutes(now))["outcome"] == outcome


def test_units_that_were_there_before_are_not_part_of_what_was_added():
    assert judged([asked(), applied(usable=6)], seen((-1, 6)), minutes(1))["outcome"] == "unmet"
    assert judged([asked(), applied(usable=6)], seen((-1, 7)), minutes(1))["outcome"] == "partial"


def test_the_peak_is_of_the_slots_in_which_the_action_stood():
    observed = demand(
        (-30, 99.0), (-15, 50.0), (0, 4.0), (15, 7.5), (30, None), (45, float("nan")), (60, 88.0), (75, 99.0)
    )
    assert judged([asked(), applied()], seen(), minutes(90), observed)["peak_demand"] == 7.5
    assert judged([asked(), applied()], seen(), minutes(10), observed)["peak_demand"] == 4.0
    assert judged([asked(), applied()], seen(), minutes(10))["peak_demand"] is None


@pytest.mark.parametrize(("said", "ahead_s"), [(-2.5, 150.0), (-9.0, -300.0), (7.0, -300.0)])
def test_the_moment_that_the_earlier_inventory_gave_counts_where_it_lies_between_the_two(said, ahead_s):
    inventories = seen((-6, 2), (5, 9), ready={-6: said})
    assert judged([asked(), applied()], inventories, minutes(10))["ahead_s"] == ahead_s


def test_an_empty_ledger_has_no_outcomes():
    frame = outcomes(entries(), seen(), demand(), NEED)
    assert frame.is_empty()
    assert frame.schema == OUTCOMES


def test_more_inventories_in_any_order_do_not_change_the_verdict():
    some = seen((-3, 5), (-2, 9), (-1, 9))
    mixed = pl.concat([some.reverse(), some, some.with_columns(target=pl.lit("u"), usable=pl.lit(99, pl.Int64))])
    assert judged([asked(), applied()], mixed, minutes(5))["ready_at"] == minutes(-2)
