"""Which instant a command plans from: the rule of "now", as a pure function."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, Literal

from persona_platform.errors import InputError

FRESH_AT_LEAST: Final = timedelta(hours=1)


@dataclass(frozen=True)
class Moment:
    """The instant a plan is made at, and where it comes from."""

    at: datetime
    source: Literal["given", "clock", "data"]
    origin: datetime
    """Start of the first slot not yet over: the first slot that is predicted."""

    @property
    def sentence(self) -> str:
        """How the instant is said aloud."""
        why = {
            "given": "as asked",
            "clock": "the clock",
            "data": "the end of the data, which is old; such a plan is acted on in the simulated cluster only",
        }[self.source]
        return f"Planning at {self.at:%Y-%m-%d %H:%M} UTC ({why})."


def resolve_now(given: datetime | None, clock: datetime, newest: datetime | None, slot: timedelta) -> Moment:
    """The instant to plan at.

    Args:
        given: what ``--at`` said, if anything.
        clock: the real time, UTC.
        newest: end of the newest sample's interval; None when there are no samples.
        slot: the planning interval.

    Returns:
        ``given``; else the clock while the newest sample is under two slots (at least an hour) old; else the
        end of the data.

    Raises:
        InputError: there are no samples yet.
    """
    if newest is None:
        raise InputError("There are no samples yet: run `persona ingest PATH` first.")
    if given is not None:
        return Moment(given, "given", floor_slot(given, slot))
    if clock - newest < max(2 * slot, FRESH_AT_LEAST):
        return Moment(clock, "clock", floor_slot(clock, slot))
    return Moment(newest, "data", floor_slot(newest, slot))


def floor_slot(at: datetime, slot: timedelta) -> datetime:
    """The start of the slot that holds an instant; slots are counted from 1970-01-01 00:00 UTC."""
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    return at - (at - epoch) % slot


def parse_instant(text: str) -> datetime:
    """An ISO 8601 instant as UTC; without an offset it is read as UTC. :class:`InputError` otherwise."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise InputError(
            f"{text!r} is not an instant: write ISO 8601, for instance 2026-03-01T12:00 or 2026-03-01T12:00+01:00."
        ) from None
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
