"""Places: where in its local week a slot of a workload lies, and which mark of the calendar it bears.

Newcomers are compared with their peers place by place. Holidays are Sundays here; everything else that a calendar
knows of a slot is one mark.
"""

from datetime import timedelta

import polars as pl

from persona_platform.personas.timeline import event_slots, timeline


def marked_line(needs: pl.DataFrame, workloads: pl.DataFrame, calendar: pl.DataFrame, slot: timedelta) -> pl.DataFrame:
    """A timeline with places and marks as :func:`with_marks` gives them."""
    line = timeline(needs, workloads, calendar, slot)
    return with_marks(line, event_slots(line, workloads, calendar), slot)


def with_marks(line: pl.DataFrame, events: pl.DataFrame, slot: timedelta) -> pl.DataFrame:
    """A timeline with ``place`` (slot of the local week), ``hour48`` and ``mark``; ``events`` as of event_slots.

    A holiday has the places of a Sunday. ``hour48`` is the local hour, 24 to 47 on days off. ``mark`` is the kind
    of an event (the first by name), else ``month edge`` on the first and last working day of a month, else empty.
    """
    per_day = timedelta(days=1) // slot
    kinds = events.group_by("workload_id", "slot").agg(event=pl.col("kind").min())
    weekday = pl.col("hour_of_week").cast(pl.Int64) // 24
    day = pl.when(pl.col("off_day") & (weekday < 5)).then(6).otherwise(weekday)
    edge = pl.when(pl.col("month_begin") | pl.col("month_end")).then(pl.lit("month edge")).otherwise(pl.lit(""))
    return (
        line.join(kinds, on=["workload_id", "slot"], how="left", maintain_order="left")
        .with_columns(
            place=day * per_day + pl.col("phase").cast(pl.Int64),
            hour48=pl.col("hour_of_week").cast(pl.Int64) % 24 + 24 * pl.col("off_day").cast(pl.Int64),
            mark=pl.coalesce("event", edge),
        )
        .drop("event")
    )
