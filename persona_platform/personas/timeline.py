"""The timeline: needs in order, slot by slot, with what the calendar says of each slot in local time.

Everything in this package starts from it, so repeated rows, values that are no numbers, gaps and missing
calendars are dealt with here and nowhere else.
"""

from datetime import timedelta
from typing import Final

import numpy as np
import polars as pl

from persona_platform.frames import CALENDAR, NEED_KEYS, TS, WORKLOADS, conform, need_columns
from persona_platform.personas.runs import begins, codes, lengths

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
    if not _in_order(base):
        base = base.unique(["workload_id", "slot"], keep="last", maintain_order=True).sort("workload_id", "slot")
    ticked = base.with_columns(tick=pl.col("slot").dt.epoch("us") // every)
    local = _local(ticked, workloads, calendar, every)
    return local.with_columns(stretch=_stretches(local), phase=_phase(every))


def _in_order(needs: pl.DataFrame) -> bool:
    """Whether needs are sorted by workload and slot, and have each once."""
    code, names = codes(needs)
    later = np.diff(needs["slot"].dt.epoch("us").to_numpy()) > 0
    return bool((later | (np.diff(code) > 0)).all()) and names.is_sorted() and names.n_unique() == len(names)


def _stretches(ticked: pl.DataFrame) -> pl.Series:
    """The number of each slot's stretch within its workload."""
    first = begins(codes(ticked)[0])
    gap = np.diff(ticked["tick"].to_numpy(), prepend=0) > BRIDGED_SLOTS + 1
    count = np.cumsum(gap & ~first)
    return pl.Series(count - np.repeat(count[first], lengths(first)), dtype=pl.Int32)


def _local(ticked: pl.DataFrame, workloads: pl.DataFrame, calendar: pl.DataFrame, every: int) -> pl.DataFrame:
    """The slots with hour of the week, day type and month edge by the workload's zone."""
    days = (
        conform(calendar, CALENDAR, "the calendar")
        .select(
            "zone",
            "slot",
            "hour_of_week",
            off_day=pl.col("day_type") != "working",
            month_begin="is_month_begin",
            month_end="is_month_end",
        )
        .unique(["zone", "slot"], keep="first", maintain_order=True)
    )
    at = _places(ticked, workloads, days, every)
    known = days.drop("zone", "slot")[at].select(pl.all())
    utc_hour = (pl.col("slot").dt.weekday().cast(pl.Int16) - 1) * 24 + pl.col("slot").dt.hour()
    return ticked.hstack(known).with_columns(
        pl.coalesce("hour_of_week", utc_hour).cast(pl.Int16),
        pl.coalesce("off_day", pl.col("slot").dt.weekday() > 5),
        pl.col("month_begin", "month_end").fill_null(value=False),
    )


def _places(line: pl.DataFrame, workloads: pl.DataFrame, days: pl.DataFrame, every: int) -> pl.Series:
    """The row of ``days`` (zone, slot, once each) for each slot of a line with ``tick``, null where there is none."""
    code, names = codes(line)
    zones = days.select("zone").unique().with_row_index("at")
    zone = (
        names.to_frame("workload_id")
        .join(_zones(workloads), on="workload_id", how="left", maintain_order="left")
        .join(zones, on="zone", how="left", maintain_order="left")["at"]
        .cast(pl.Int64)
        .fill_null(zones.height)
        .to_numpy()
    )
    on_grid = days.with_row_index("row").filter(pl.col("slot").dt.epoch("us") % every == 0)
    of = on_grid.join(zones, on="zone", maintain_order="left")
    tick = of["slot"].dt.epoch("us").to_numpy() // every
    first, span = (int(tick.min()), int(tick.max() - tick.min()) + 1) if len(tick) else (0, 1)
    table = np.full((zones.height + 1, span), -1)
    table[of["at"].to_numpy(), tick - first] = of["row"].to_numpy()
    wanted = line["tick"].to_numpy() - first
    inside = (wanted >= 0) & (wanted < span)
    found = np.where(inside, table[zone[code], np.where(inside, wanted, 0)], -1)
    return pl.Series(found).replace(-1, None)


def _zones(workloads: pl.DataFrame) -> pl.DataFrame:
    """``workload_id, zone``."""
    return conform(workloads, WORKLOADS, "workloads").select("workload_id", zone="timezone").unique("workload_id")


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
    # Hardly any slot has an event: what no zone has one at is left out before texts are joined.
    some = line.select("workload_id", "slot", "hour_of_week").filter(
        pl.col("slot").is_in(busy["slot"].unique().implode())
    )
    return (
        some.join(zones, on="workload_id", maintain_order="left")
        .join(busy, on=["zone", "slot"], maintain_order="left")
        .drop("zone")
    )


def slot_end(slot: timedelta, column: str = "slot") -> pl.Expr:
    """The end of a slot, exclusive, for a column that holds its start."""
    return (pl.col(column) + pl.duration(microseconds=microseconds(slot))).cast(TS)
