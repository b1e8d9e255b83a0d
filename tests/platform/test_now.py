"""The rule of now."""

from datetime import UTC, datetime, timedelta

import pytest

from persona_platform.errors import InputError
from persona_platform.now import floor_slot, parse_instant, resolve_now

SLOT = timedelta(minutes=15)
CLOCK = datetime(2026, 3, 1, 12, 7, tzinfo=UTC)


def test_fresh_data_plan_from_the_clock() -> None:
    moment = resolve_now(None, CLOCK, CLOCK - timedelta(minutes=59), SLOT)
    assert (moment.at, moment.source) == (CLOCK, "clock")
    assert moment.origin == datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(("age", "slot"), [(timedelta(hours=1), SLOT), (timedelta(hours=4), timedelta(hours=2))])
def test_old_data_plan_from_their_end_and_say_so(age: timedelta, slot: timedelta) -> None:
    moment = resolve_now(None, CLOCK, CLOCK - age, slot)
    assert (moment.at, moment.source) == (CLOCK - age, "data")
    assert "simulated cluster only" in moment.sentence


def test_a_long_slot_makes_older_data_fresh() -> None:
    assert resolve_now(None, CLOCK, CLOCK - timedelta(hours=3), timedelta(hours=2)).source == "clock"


def test_a_given_instant_wins_and_no_sample_is_an_error() -> None:
    given = datetime(2020, 1, 1, tzinfo=UTC)
    assert resolve_now(given, CLOCK, CLOCK, SLOT).at == given
    with pytest.raises(InputError, match="persona ingest"):
        resolve_now(given, CLOCK, None, SLOT)


@pytest.mark.parametrize(
    ("text", "hour"),
    [("2026-03-01T12:00", 12), ("2026-03-01T12:00+02:00", 10), ("2026-03-01T12:00Z", 12), ("2026-03-01", 0)],
)
def test_instants_are_utc(text: str, hour: int) -> None:
    assert parse_instant(text) == datetime(2026, 3, 1, hour, tzinfo=UTC)


def test_what_is_not_an_instant() -> None:
    with pytest.raises(InputError, match="ISO 8601"):
        parse_instant("yesterday")


def test_slots_are_aligned_to_midnight() -> None:
    assert floor_slot(CLOCK, timedelta(hours=1)).minute == 0
    assert floor_slot(datetime(2026, 3, 1, tzinfo=UTC), SLOT) == datetime(2026, 3, 1, tzinfo=UTC)
