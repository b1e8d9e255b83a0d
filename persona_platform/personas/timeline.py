"""The timeline: needs in order, slot by slot, with what the calendar says of each slot in local time.

Everything in this package starts from it, so repeated rows, values that are no numbers, gaps and missing
calendars are dealt with here and nowhere else.
"""

from datetime import timedelta
from typing import Final

import polars as pl

from persona_platform.frames import CALENDAR, NEED_KEYS, TS, WORKLOADS, conform, need_columns

BRIDGED_SLOTS: Final = 2
"""This many missing slots in a row are looked through; a longer gap ends the stretch, and cuts what runs."""


def microseconds(span: timedelta) -> int:
    """A time span as whole microseconds, the unit of :data:`~persona_platform.frames.TS`."""
    return span // timedelta(microseconds=1)


def timeline(needs: pl.DataFrame, workloads: pl.DataFrame, calendar: pl.DataFrame, slot: timedelta) -> pl.DataFrame:
    """Needs sorted by workload and slot, once each, with these columns beside the needs.

    ``tick`` (slots since 1970), ``stretch`` (0, 1, ... within the workload; a new one after a gap of more
    than :data:`BRIDGED_SLOTS`), ``phase`` (slot of the local day), ``hour_of_week``, ``off_day`` (weekend or
    holiday), ``month_begin``, ``month_end``. A slot that the calendar lacks is read in UTC.
    """
    every = microseconds(slot)
    columns = need_columns(needs)
    base = conform(needs, {**NEED_KEYS, **dict.fromkeys(columns, pl.Float64)}, "needs").with_columns(
        pl.col("slot").dt.truncate(f"{every}us"),
        pl.col("saturated").fill_null(value=False),
        *(pl.when(pl.col(c).is_finite()).then(pl.col(c).clip(0.0)).alias(c) for c in columns),
    )
    base = base.unique(["workload_id", "slot"], keep="last", maintain_order=True).sort("workload_id", "slot")
    ticked = base.with_columns(tick=pl.col("slot").dt.epoch("us") // every)
    step = pl.col("tick").diff().over("workload_id")
    local = _local(ticked, workloads, calendar)
    return local.with_columns(
        stretch=(step > BRIDGED_SLOTS + 1).fill_null(value=False).cast(pl.Int32).cum_sum().over("workload_id"),
        phase=_phase(every),
    )


def _local(ticked: pl.DataFrame, workloads: pl.DataFrame, calendar: pl.DataFrame) -> pl.DataFrame:
    """The slots with hour of the week, day type and month edge by the workload's zone."""
    zones = conform(workloads, WORKLOADS, "workloads").select("workload_id", zone="timezone").unique("workload_id")
    days = conform(calendar, CALENDAR, "the calendar").select(
        "zone",
        "slot",
        "hour_of_week",
        off_day=pl.col("day_type") != "working",
        month_begin="is_month_begin",
        month_end="is_month_end",
    )
    joined = ticked.join(zones, on="workload_id", how="left", maintain_order="left").join(
        days.unique(["zone", "slot"]), on=["zone", "slot"], how="left", maintain_order="left"
    )
    utc_hour = (pl.col("slot").dt.weekday().cast(pl.Int16) - 1) * 24 + pl.col("slot").dt.hour()
    return joined.drop("zone").with_columns(
        pl.coalesce("hour_of_week", utc_hour).cast(pl.Int16),
        pl.coalesce("off_day", pl.col("slot").dt.weekday() > 5),
        pl.col("month_begin", "month_end").fill_null(value=False),
    )


def _phase(every: int) -> pl.Expr:
    """The slot of the local day: the local hour, and how far into it the slot starts."""
    hour = 3_600_000_000
    into_hour = pl.col("slot").dt.epoch("us") % hour
    return ((pl.col("hour_of_week").cast(pl.Int64) % 24 * hour + into_hour) // every).cast(pl.Int32)


def event_slots(line: pl.DataFrame, workloads: pl.DataFrame, calendar: pl.DataFrame) -> pl.DataFrame:
    """``workload_id, slot, hour_of_week, kind``: the slots of a timeline in which events of a kind last."""
    zones = workloads.select("workload_id", zone="timezone").unique("workload_id")
    busy = (
        conform(calendar, CALENDAR, "the calendar")
        .filter(pl.col("events").list.len() > 0)
        .select("zone", "slot", kind="events")
        .explode("kind")
        .unique()
    )
    read = line.select("workload_id", "slot", "hour_of_week").join(zones, on="workload_id")
    return read.join(busy, on=["zone", "slot"]).drop("zone")


def slot_end(slot: timedelta, column: str = "slot") -> pl.Expr:
    """The end of a slot, exclusive, for a column that holds its start."""
    return (pl.col(column) + pl.duration(microseconds=microseconds(slot))).cast(TS)
