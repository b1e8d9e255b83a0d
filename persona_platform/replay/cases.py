"""From sample files to a case: what planning learns from and what replay scores, without a project folder.

What live ingestion, the warehouse's models and the first refit make of the same files, for one metric. The stages are
``cases_options`` (what is asked), ``cases_metrics`` (which metric), ``cases_readings`` (files to readings),
``cases_needs`` (readings to slots), ``cases_targets`` (slots to targets) and ``cases_outside`` (covariates, events).
"""

import hashlib
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from pathlib import Path
from typing import Final

import polars as pl
import polars.selectors as cs

from persona_platform.calendars.slots import calendar
from persona_platform.capacity.limits import digest
from persona_platform.capacity.planning import History, Sizing
from persona_platform.errors import InputError
from persona_platform.replay.cases_metrics import Measure, chosen_metric, included_workloads
from persona_platform.replay.cases_needs import needs_of, own_slot, series_steps
from persona_platform.replay.cases_options import CaseOptions, checked
from persona_platform.replay.cases_outside import covariates_of, events_of
from persona_platform.replay.cases_readings import Progress, Readings, contents, of_workloads, read_readings
from persona_platform.replay.cases_targets import labelled_workloads, sized_targets
from persona_platform.replay.numbers import count, lasting
from persona_platform.utilization.metrics import Role
from persona_platform.utilization.readers import sample_files

__all__ = ["Case", "CaseOptions", "read_case"]

AHEAD: Final = timedelta(days=2)
"""How far beyond the data the calendar reaches: a horizon of a day, and the windows that begin in it."""

SHORTEST: Final = timedelta(days=2)
FEWEST_SLOTS: Final = 48
TIME: Final = "%Y-%m-%d %H:%M"


@dataclass(frozen=True)
class Case:
    """Everything that a replay starts from.

    Attributes:
        history: needs (one need column), workloads (their pool is the target's), calendar from the first day to
            two days beyond the data, slot.
        sizing: TARGETS and UNITS; a target has the name of its pool.
        observed: OBSERVED of every target on every slot of the data, in units; null where too little was read.
        covariates: COVARIATES, each value with the instant from which it may be used.
        scored_from: start of the first slot after the training part.
        notes: sentences on what was decided for the user and what was refused.
        digest: 32 hex characters, equal for equal content of all the above.
        metric: the metric that was read.
    """

    history: History
    sizing: Sizing
    observed: pl.DataFrame
    covariates: pl.DataFrame
    scored_from: datetime
    notes: tuple[str, ...]
    digest: str
    metric: str


def read_case(paths: Iterable[Path], options: CaseOptions, *, now: datetime, progress: Progress | None = None) -> Case:
    """The case that files (Parquet, CSV, folders of them) and options make; readings after ``now`` are refused.

    Raises :class:`InputError` where files, metric, workloads or times do not fit together, or where less than two days
    or 48 slots were read; :class:`ConfigError` for a slot that does not divide a day.
    """
    asked = checked(options)
    files = sample_files(paths)
    held = contents(files)
    workloads = of_workloads(held)
    wanted = included_workloads(workloads, asked.include)
    measure, notes = chosen_metric(workloads.filter(pl.col("workload_id").is_in(wanted)), asked.metric)
    readings = read_readings(files, held, measure, wanted, start=asked.start, end=asked.end, now=now, progress=progress)
    steps = series_steps(readings.values)
    slot = asked.slot or own_slot(steps)
    if slot is None:
        raise InputError(_too_short(measure, asked, "no workload has two"))
    needs = _whole_slots(needs_of(readings.values, readings.limits, steps, measure, slot), asked, slot)
    first, until = _span(needs, measure, asked, slot)
    # In floats 0.07 of 100 slots are 7.000000000000001: that must not cost a slot.
    scored_from = first + math.ceil((until - first) / slot * asked.train_share - 1e-9) * slot
    workloads = labelled_workloads(needs, readings.datasets, asked)
    sized = sized_targets(needs, workloads, measure, asked, scored_from=scored_from, slot=slot)
    workloads = workloads.filter(pl.col("pool").is_in(sized.sizing.targets["pool"].to_list()))
    midnight, end = datetime.combine(first.date(), time(), first.tzinfo), until + AHEAD
    history = History(
        needs=needs.join(workloads.select("workload_id"), on="workload_id", how="semi", maintain_order="left"),
        workloads=workloads,
        calendar=calendar(
            workloads["timezone"],
            midnight,
            end,
            slot,
            events=events_of(asked.events, readings.events, midnight, end, slot),
            countries=asked.countries,
        ),
        slot=slot,
    )
    covariates = covariates_of(readings.covariates, midnight, end)
    notes += [
        _about_slots(steps, slot),
        *_about_readings(readings, steps, measure, len(wanted)),
        *sized.notes,
        f"Learned from {first:{TIME}} to {scored_from:{TIME}} UTC, scored until {until:{TIME}}.",
    ]
    frames = (history.needs, workloads, history.calendar, sized.sizing.targets, sized.sizing.units, covariates)
    return Case(
        history=history,
        sizing=sized.sizing,
        observed=sized.observed,
        covariates=covariates,
        scored_from=scored_from,
        notes=tuple(notes),
        digest=_digest(frames, f"{measure.metric}|{slot}|{scored_from.isoformat()}"),
        metric=measure.metric,
    )


def _whole_slots(needs: pl.DataFrame, asked: CaseOptions, slot: timedelta) -> pl.DataFrame:
    """Without the slots that a bound cuts, of which only a part was read."""
    if asked.start is not None:
        needs = needs.filter(pl.col("slot") >= asked.start)
    return needs if asked.end is None else needs.filter(pl.col("slot") + slot <= asked.end)


def _span(needs: pl.DataFrame, measure: Measure, asked: CaseOptions, slot: timedelta) -> tuple[datetime, datetime]:
    """Start of the first slot read and end of the last; refused where they are too near to replay anything."""
    first, last = needs["slot"].min(), needs["slot"].max()
    if not isinstance(first, datetime) or not isinstance(last, datetime):
        raise InputError(_too_short(measure, asked, "there are none"))
    span = last + slot - first
    if span < SHORTEST or span < FEWEST_SLOTS * slot:
        said = f"they span {lasting(span.total_seconds())}, {count(span // slot, 'slot')} of {_told(slot)}"
        raise InputError(_too_short(measure, asked, said))
    return first, last + slot


def _too_short(measure: Measure, asked: CaseOptions, said: str) -> str:
    bounds = [f" from {asked.start}"] * (asked.start is not None) + [f" to {asked.end}"] * (asked.end is not None)
    return (
        f"Too few readings of {measure.metric}{''.join(bounds)}: {said}. A replay needs at least {SHORTEST.days} days "
        f"and {FEWEST_SLOTS} slots; give more history{' or wider bounds' if bounds else ''}."
    )


def _told(length: timedelta) -> str:
    return lasting(length.total_seconds())


def _about_slots(steps: pl.DataFrame, slot: timedelta) -> str:
    median = steps["step"].median()
    if not isinstance(median, float):
        return f"A slot is {_told(slot)}."
    step = timedelta(microseconds=median)
    spread = "; each stands for every slot of its interval" if step >= 1.5 * slot else ""
    return f"A slot is {_told(slot)}, the readings are {_told(step)} apart{spread}."


def _about_readings(readings: Readings, steps: pl.DataFrame, measure: Measure, wanted: int) -> list[str]:
    notes = []
    if silent := wanted - steps.height:
        notes.append(f"{count(silent, 'workload')} of {wanted:,} had no usable reading of {measure.metric}.")
    if measure.role is Role.SHARE:
        whole = steps.join(readings.limits.filter(pl.col("value") > 0), on="workload_id", how="anti").height
        if whole:
            said = f"no {measure.limit} says of what"
            notes.append(f"{measure.metric} of {count(whole, 'workload')} is a share of one whole: {said}.")
    refused = {reason: rows for reason, rows in sorted(readings.refused.items()) if rows}
    if refused:
        said = "; ".join(f"{reason} ({rows:,})" for reason, rows in refused.items())
        notes.append(f"Refused {count(sum(refused.values()), 'row')}: {said}.")
    return notes


def _digest(frames: Sequence[pl.DataFrame], more: str) -> str:
    plain = [frame.with_columns(cs.by_dtype(pl.List(pl.String)).list.join(",")) for frame in frames]
    return hashlib.sha256("|".join([more, *map(digest, plain)]).encode()).hexdigest()[:32]
