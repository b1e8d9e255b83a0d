"""The calendar on the slot grid: for each zone and slot its local hour of the week, day type and events.

Slots are instants and only their labels are local, so nothing is lost or doubled when clocks change.
"""

from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta

import polars as pl

from persona_platform.calendars.days import calendar_days
from persona_platform.calendars.zones import check_zone, utc_to_wall
from persona_platform.errors import InputError
from persona_platform.frames import CALENDAR, TS, conform, empty

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
ONE_US = timedelta(microseconds=1)
ONE_DAY = timedelta(days=1)

LABELS = [name for name in CALENDAR if name not in ("zone", "slot")]
"""The columns that a calendar adds to a frame of slots."""


def calendar(
    zones: Iterable[str],
    start: datetime,
    end: datetime,
    slot: timedelta,
    *,
    events: pl.DataFrame,
    countries: Iterable[str] = (),
) -> pl.DataFrame:
    """CALENDAR in one step: :func:`calendar_days` over the local dates that can occur, then the slots."""
    names = sorted(set(zones))
    days = calendar_days(names, start.date() - ONE_DAY, end.date() + ONE_DAY, list(countries))
    return calendar_slots(days, events, names, start, end, slot)


def calendar_slots(
    days: pl.DataFrame,
    events: pl.DataFrame,
    zones: Iterable[str],
    start: datetime,
    end: datetime,
    slot: timedelta,
) -> pl.DataFrame:
    """CALENDAR of every zone and every slot that overlaps [start, end), sorted by zone and slot.

    Slots are whole multiples of ``slot`` since 1970 in UTC; a slot has the labels of its start in local time
    (in Asia/Kolkata one of an hour starts at half past). ``events`` (EVENTS) mark each slot that they
    overlap, in every zone: they are instants. A slot without events has an empty list.

    Raises :class:`InputError` when ``days`` (CALENDAR_DAYS) lacks a local date of the range.
    """
    names = sorted(set(zones))
    for zone in names:
        check_zone(zone, "The list of zones")
    first, count = _grid(start, end, slot)
    if not names or count == 0:
        return empty(CALENDAR)
    grid = pl.select(
        pl.int_range(count).alias("i"),
        (pl.lit(first, TS) + pl.int_range(count) * pl.lit(slot, pl.Duration("us"))).alias("slot"),
    )
    marked = grid.join(_marks(events, first, count, slot), on="i", how="left", maintain_order="left").with_columns(
        pl.col("events").fill_null(pl.lit([], pl.List(pl.String)))
    )
    local = [_labelled(marked, days.filter(pl.col("zone") == zone), zone) for zone in names]
    return conform(pl.concat(local), CALENDAR, "The calendar")


def with_calendar(frame: pl.DataFrame, workloads: pl.DataFrame, calendar: pl.DataFrame) -> pl.DataFrame:
    """``frame`` (with workload_id and slot) with ``zone`` and the calendar's labels, by its workloads' zones.

    Rows and their order stay; columns of these names are replaced. Raises :class:`InputError` when a workload
    has no row in WORKLOADS, or a slot none in CALENDAR.
    """
    kept = frame.drop(["zone", *LABELS], strict=False)
    zones = workloads.select("workload_id", pl.col("timezone").alias("zone")).unique()
    joined = kept.join(zones, on="workload_id", how="left", validate="m:1", maintain_order="left").join(
        calendar.select(list(CALENDAR)),
        on=["zone", "slot"],
        how="left",
        validate="m:1",
        maintain_order="left",
    )
    lost = joined.filter(pl.col("hour_of_week").is_null()).select("workload_id", "zone", "slot").head(1)
    if lost.height:
        workload, zone, slot = lost.row(0)
        if zone is None:
            raise InputError(f"The workload '{workload}' has no timezone; add it to the workloads file.")
        raise InputError(
            f"The calendar has no slot {slot:%Y-%m-%d %H:%M} UTC for the zone {zone}; "
            "make it over the whole range of the slots, with the same slot length and every zone."
        )
    return joined


def _bounds(events: pl.DataFrame, first: datetime, slot: timedelta) -> pl.DataFrame:
    """``kind, from, to``: the slots that each event overlaps, counted from ``first``, both ends included."""
    length = slot // ONE_US
    since = (pl.col("starts_at") - pl.lit(first, TS)).dt.total_microseconds()
    until = (pl.col("ends_at") - pl.lit(first, TS)).dt.total_microseconds()
    return events.select("kind", (since // length).alias("from"), ((until - 1) // length).alias("to"))


def _grid(start: datetime, end: datetime, slot: timedelta) -> tuple[datetime, int]:
    if start.tzinfo is None or end.tzinfo is None:
        raise InputError("A calendar was asked for between times without a zone; give start and end in UTC.")
    if slot <= timedelta(0):
        raise InputError(f"A slot of {slot} has no length; give a positive one such as 15 minutes.")
    low, high = (start - EPOCH) // slot, -((EPOCH - end) // slot)
    return EPOCH + low * slot, max(high - low, 0) if end > start else 0


def _marks(events: pl.DataFrame, first: datetime, count: int, slot: timedelta) -> pl.DataFrame:
    """``i, events``: the sorted kinds of each slot that has any.

    Overlapping windows of a kind are merged before they are spread over their slots: a thousand windows that
    cover the same year cost one.
    """
    spans = (
        _bounds(events, first, slot)
        .filter(pl.col("from") < count, pl.col("to") >= 0)
        .with_columns(pl.col("from", "to").clip(0, count - 1))
        .sort("kind", "from")
    )
    reached = pl.col("to").cum_max().shift(1).over("kind", order_by="from")
    opens = (pl.col("from") > reached).fill_null(value=True)
    merged = (
        spans.with_columns(opens.cum_sum().alias("window"))
        .group_by("kind", "window")
        .agg(pl.col("from").min(), pl.col("to").max())
    )
    return (
        merged.select("kind", pl.int_ranges("from", pl.col("to") + 1).alias("i"))
        .explode("i")
        .group_by("i")
        .agg(pl.col("kind").unique().sort().alias("events"))
    )


def _labelled(marked: pl.DataFrame, days: pl.DataFrame, zone: str) -> pl.DataFrame:
    wall = utc_to_wall(marked["slot"], zone)
    hour = (wall.dt.weekday().cast(pl.UInt8) - 1) * 24 + wall.dt.hour().cast(pl.UInt8)
    typed = marked.with_columns(
        pl.lit(zone).alias("zone"), hour.alias("hour_of_week"), wall.dt.date().alias("date")
    ).join(days.drop("zone"), on="date", how="left", validate="m:1", maintain_order="left")
    lost = typed.filter(pl.col("day_type").is_null())
    if lost.height:
        raise InputError(_lacking(zone, *lost.select(a=pl.col("date").min(), b=pl.col("date").max()).row(0)))
    return typed


def _lacking(zone: str, low: date, high: date) -> str:
    return (
        f"The calendar days lack local dates of {zone} between {low} and {high}; "
        "make them from one day before the first slot to one day after the last."
    )
