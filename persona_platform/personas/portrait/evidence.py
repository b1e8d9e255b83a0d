"""Evidence: all that records are drawn from, per pattern and per episode, so that slots need not be kept.

A chunk of workloads leaves a few kilobytes for each of its patterns; chunks are joined one after the other.
Patterns and workloads are named by their row: their place in ``patterns`` and ``workloads``.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from datetime import timedelta
from typing import Any, Final

import numpy as np
import polars as pl

from persona_platform.frames import NEEDS, need_columns
from persona_platform.personas.portrait.histograms import HISTOGRAMS, capped, histogram
from persona_platform.personas.portrait.leads import LEADS, lead_sums
from persona_platform.personas.portrait.motion import profiles
from persona_platform.personas.portrait.requirement import activation_needs
from persona_platform.personas.portrait.uplift import event_states, residual_days
from persona_platform.personas.timeline import slot_end
from persona_platform.sums import average

HOURS: Final = 168
KEPT: Final = (
    "start", "hour_of_week", "length", "read", "censored", "first_of_stretch", "month_begin", "month_edge",
    "spread", "kind",
)  # fmt: skip
"""Columns of episodes that records need."""
_BY_ROW: Final = ("episodes", "histograms", "days", "event_starts", "leads")


@dataclass(frozen=True)
class Evidence:
    """Of some workloads. Arrays have one row a pattern, ``read`` one a workload; needs stand as in NEEDS."""

    slot: timedelta
    patterns: pl.DataFrame  # workload_id, pattern, workload (row), main (the need that stands for all)
    workloads: pl.DataFrame  # workload_id, first (slot), until (end of the last slot)
    episodes: pl.DataFrame  # row, KEPT, and what each need stands at
    histograms: pl.DataFrame  # HISTOGRAMS
    days: pl.DataFrame  # uplift.DAYS
    event_hours: pl.DataFrame  # workload, kind, hour_of_week, slots
    occurrences: pl.DataFrame  # workload, kind, events: how many of a kind it was read in
    event_starts: pl.DataFrame  # row, kind, hour_of_week, starts
    leads: pl.DataFrame  # leads.LEADS
    sums: np.ndarray  # (patterns, NEEDS) over the slots in which the need was read
    counts: np.ndarray  # (patterns, NEEDS) of those slots
    products: np.ndarray  # (patterns, NEEDS, 3): of logs about the pattern's means, main^2, need^2, main * need
    saturated: np.ndarray  # (patterns,) slots
    played: np.ndarray  # (patterns, 168) slots
    demand: np.ndarray  # (patterns, 168) sum of the main need
    profile: np.ndarray  # (patterns, motion.PLACES, 2): summed log of the main need within activations, slots
    read: np.ndarray  # (workloads, 168) slots

    @staticmethod
    def joined(parts: Sequence["Evidence"]) -> "Evidence":
        """The evidence of all workloads of several parts, which have none in common."""
        if len(parts) == 1:
            return parts[0]
        rows, people, moved = 0, 0, []
        for part in parts:
            by_row = {
                name: getattr(part, name).with_columns(pl.col("row") + pl.lit(rows, pl.UInt32)) for name in _BY_ROW
            }
            moved.append(
                replace(
                    part,
                    **{
                        name: getattr(part, name).with_columns(pl.col("workload") + pl.lit(people, pl.UInt32))
                        for name in ("patterns", "event_hours", "occurrences")
                    },
                    **by_row,
                )
            )
            rows, people = rows + part.patterns.height, people + part.workloads.height
        return Evidence(**{f.name: _joined([getattr(m, f.name) for m in moved]) for f in fields(Evidence)})


def _joined(parts: list) -> Any:
    if isinstance(parts[0], pl.DataFrame):
        return pl.concat(parts, how="diagonal")
    return np.concatenate(parts) if isinstance(parts[0], np.ndarray) else parts[0]


def gather_evidence(
    slots: pl.DataFrame, labelled: pl.DataFrame, events: pl.DataFrame, activity: pl.DataFrame | None, slot: timedelta
) -> Evidence:
    """The evidence of a chunk of workloads.

    ``slots`` is a cut timeline with needs; ``labelled`` its episodes in order, with ``pattern``; ``events`` the
    slots in which events last (timeline.event_slots); ``activity`` an ACTIVITY frame.
    """
    people = slots.group_by("workload_id", maintain_order=True).agg(
        first=pl.col("slot").min(), until=slot_end(slot).max()
    )
    keys = labelled.select("workload_id", "pattern").unique().sort("workload_id", "pattern")
    keys = keys.join(people.select("workload_id").with_row_index("workload"), on="workload_id", maintain_order="left")
    rows = keys.height
    numbered = labelled.join(
        keys.select("workload_id", "pattern", "workload").with_row_index("row"),
        on=["workload_id", "pattern"],
        maintain_order="left",
    )
    runs = slots["episode"].rle().struct.unnest().rename({"value": "episode"})
    placed = runs.join(numbered.select("episode", "row", "workload"), on="episode", how="left", maintain_order="left")
    lengths, row, workload = (placed[name].to_numpy().astype(np.int64) for name in ("len", "row", "workload"))
    row, workload = np.repeat(row, lengths), np.repeat(workload, lengths)
    hour = slots["hour_of_week"].to_numpy().astype(np.int64)
    sums, counts = _sums(slots, row, rows)
    main = _main_need(sums, counts)
    height = _main_values(slots, main, row)
    with np.errstate(divide="ignore", invalid="ignore"):
        log = np.log(height)
    histograms, products = _need_by_need(slots, row, workload, rows, log)
    states = event_states(slots, events, slot)
    return Evidence(
        slot=slot,
        patterns=keys.with_columns(main=pl.Series(main, dtype=pl.UInt8)),
        workloads=people,
        episodes=numbered.select("row", *KEPT, "episode")
        .join(activation_needs(slots), on="episode", how="left", maintain_order="left")
        .drop("episode"),
        histograms=histograms,
        days=residual_days(slots, row, rows, log, states, slot),
        event_hours=_event_hours(events, people),
        occurrences=_occurrences(events, people),
        event_starts=_event_starts(numbered, events),
        leads=lead_sums(slots, row, rows, log, activity, slot) if activity is not None else pl.DataFrame(schema=LEADS),
        sums=sums,
        counts=counts,
        products=products,
        saturated=np.bincount(row, slots["saturated"].to_numpy(), minlength=rows),
        played=_by_hour(row, hour, rows).astype(np.int32),
        demand=_by_hour(row, hour, rows, np.nan_to_num(height)).astype(np.float32),
        profile=profiles(lengths, row, rows, log),
        read=_by_hour(workload, hour, people.height).astype(np.int32),
    )


def _by_hour(row: np.ndarray, hour: np.ndarray, rows: int, weights: np.ndarray | None = None) -> np.ndarray:
    return np.bincount(row * HOURS + hour, weights, minlength=rows * HOURS).reshape(rows, HOURS)


def _sums(slots: pl.DataFrame, row: np.ndarray, rows: int) -> tuple[np.ndarray, np.ndarray]:
    """(patterns, NEEDS) sums of each need and how often it was read."""
    sums, counts = np.zeros((rows, len(NEEDS))), np.zeros((rows, len(NEEDS)))
    for need in need_columns(slots):
        at = NEEDS.index(need)
        value = slots[need]
        sums[:, at] = np.bincount(row, value.fill_null(0.0).to_numpy(), minlength=rows)
        counts[:, at] = np.bincount(row, value.is_not_null().to_numpy(), minlength=rows)
    return sums, counts


def _main_need(sums: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """The need that stands for all of each pattern, its place in NEEDS: gpus, cores, memory, or the first read."""
    main = np.where(counts > 0, 1, 0).argmax(axis=1) if len(counts) else np.zeros(0, dtype=int)
    for need in ("mem_bytes", "cpu_cores", "gpus"):
        main = np.where(sums[:, NEEDS.index(need)] > 0, NEEDS.index(need), main)
    return main


def _main_values(slots: pl.DataFrame, main: np.ndarray, row: np.ndarray) -> np.ndarray:
    """The main need at each slot, NaN where it was not read."""
    at = main[row]
    value = np.full(len(row), np.nan)
    for need in need_columns(slots):
        here = at == NEEDS.index(need)
        if here.any():
            value[here] = slots[need].to_numpy()[here]
    return value


def _need_by_need(
    slots: pl.DataFrame, row: np.ndarray, workload: np.ndarray, rows: int, main: np.ndarray
) -> tuple[pl.DataFrame, np.ndarray]:
    """Histograms, and (patterns, NEEDS, 3) products of logs about their means within each pattern."""
    parts, products = [pl.DataFrame(schema=HISTOGRAMS)], np.zeros((rows, len(NEEDS), 3))
    for need in need_columns(slots):
        with np.errstate(divide="ignore", invalid="ignore"):
            log = np.log(slots[need].to_numpy())
        parts.append(histogram(row, log, capped(slots, need, workload), need, rows))
        both = np.isfinite(log) & np.isfinite(main)
        at, x, y = row[both], main[both], log[both]
        n = np.maximum(np.bincount(at, minlength=rows), 1)
        x = x - (np.bincount(at, x, minlength=rows) / n)[at]
        y = y - (np.bincount(at, y, minlength=rows) / n)[at]
        products[:, NEEDS.index(need)] = np.stack(
            [np.bincount(at, v, minlength=rows) for v in (x * x, y * y, x * y)], axis=1
        )
    return pl.concat(parts), products


def _event_hours(events: pl.DataFrame, people: pl.DataFrame) -> pl.DataFrame:
    """Slots that each workload was read in while events of a kind lasted, by hour of the week."""
    return (
        events.group_by("workload_id", "kind", "hour_of_week")
        .agg(slots=pl.len())
        .join(people.select("workload_id").with_row_index("workload"), on="workload_id")
        .select("workload", "kind", pl.col("hour_of_week").cast(pl.Int16), "slots")
        .sort("workload", "kind", "hour_of_week")
    )


def _occurrences(events: pl.DataFrame, people: pl.DataFrame) -> pl.DataFrame:
    """How many events of each kind a workload was read in; what a day parts is two."""
    apart = pl.col("slot").sort().diff() > timedelta(days=1)
    return (
        events.group_by("workload_id", "kind")
        .agg(events=1 + apart.sum().cast(pl.Int64))
        .join(people.select("workload_id").with_row_index("workload"), on="workload_id")
        .select("workload", "kind", "events")
        .sort("workload", "kind")
    )


def _event_starts(numbered: pl.DataFrame, events: pl.DataFrame) -> pl.DataFrame:
    """Starts that were seen while events of a kind lasted, by pattern and hour of the week."""
    began = numbered.filter(~pl.col("first_of_stretch")).select("workload_id", "row", slot="start")
    return (
        events.join(began, on=["workload_id", "slot"])
        .group_by("row", "kind", pl.col("hour_of_week").cast(pl.Int16))
        .agg(starts=pl.len())
        .sort("row", "kind", "hour_of_week")
    )


def pattern_stands(evidence: Evidence) -> pl.DataFrame:
    """``workload_id, pattern`` with the mean of what the episodes of each pattern stand at."""
    needs = need_columns(evidence.episodes)
    means = evidence.episodes.group_by("row", maintain_order=True).agg(average(need) for need in needs)
    keys = evidence.patterns.with_row_index("row").select("row", "workload_id", "pattern")
    return keys.join(means, on="row", how="left", maintain_order="left").drop("row")
