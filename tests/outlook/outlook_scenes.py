"""Planted fleets and calendars with known truth, small enough to read."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from functools import cache

import numpy as np
import polars as pl

from persona_platform.frames import ACTIVATION_KEYS, CALENDAR, TS, WORKLOADS
from persona_platform.outlook.model import OutlookModel, fit_outlook
from persona_platform.outlook.predict import OutlookFrames, predict_outlook
from persona_platform.outlook.state import current_state

SLOT = timedelta(minutes=15)
MONDAY = datetime(2026, 3, 2, tzinfo=UTC)


def calendar_of(
    start: datetime,
    end: datetime,
    slot: timedelta = SLOT,
    zones: Iterable[str] = ("UTC",),
    holidays: Iterable[date] = (),
    events: Iterable[tuple[str, datetime, datetime]] = (),
) -> pl.DataFrame:
    """A CALENDAR frame, local times by polars."""
    times = pl.datetime_range(start, end, slot, closed="left", time_zone="UTC", time_unit="us", eager=True)
    frames = []
    for zone in zones:
        local = pl.col("slot").dt.convert_time_zone(zone)
        frame = pl.DataFrame({"slot": times}).with_columns(
            zone=pl.lit(zone),
            hour_of_week=(local.dt.weekday().cast(pl.Int64) - 1) * 24 + local.dt.hour(),
            day=local.dt.date(),
            weekday=local.dt.weekday(),
        )
        frame = frame.with_columns(
            day_type=pl.when(pl.col("day").is_in(list(holidays)))
            .then(pl.lit("holiday"))
            .when(pl.col("weekday") > 5)
            .then(pl.lit("weekend"))
            .otherwise(pl.lit("working"))
        )
        working = pl.col("day").filter(pl.col("day_type") == "working")
        month = pl.col("day").dt.truncate("1mo")
        kinds = [pl.when((pl.col("slot") >= a) & (pl.col("slot") < b)).then(pl.lit(k)) for k, a, b in events] or [
            pl.lit(None, pl.String)
        ]
        frames.append(
            frame.with_columns(
                is_month_begin=(pl.col("day") == working.min().over(month)).fill_null(False),
                is_month_end=(pl.col("day") == working.max().over(month)).fill_null(False),
                events=pl.concat_list(kinds).list.drop_nulls().list.unique().list.sort(),
            )
        )
    return pl.concat(frames).select(pl.col(n).cast(t) for n, t in CALENDAR.items())


def workloads_of(ids: Iterable[str], zone: str = "UTC") -> pl.DataFrame:
    ids = list(ids)
    row = {"pool": "p", "team": "t", "tier": "standard", "az": "a", "timezone": zone, "storage_class": "ssd"}
    return pl.DataFrame({"workload_id": ids, **{k: [v] * len(ids) for k, v in row.items()}}, schema=WORKLOADS)


def activations_of(played: dict[str, np.ndarray], start: datetime, slot: timedelta = SLOT) -> pl.DataFrame:
    """Activations of dense pattern numbers, one array for each workload; -1 is unread."""
    frames = []
    for workload, numbers in played.items():
        frame = pl.DataFrame({"pattern": np.asarray(numbers, dtype=np.int64)}).with_row_index("t")
        frame = frame.with_columns(run=pl.col("pattern").rle_id())
        runs = frame.group_by("run", maintain_order=True).agg(
            pl.col("pattern").first(), first=pl.col("t").first(), count=pl.len()
        )
        runs = runs.with_columns(
            censored=(pl.col("pattern").shift(1, fill_value=-1) < 0) | (pl.col("pattern").shift(-1, fill_value=-1) < 0)
        ).filter(pl.col("pattern") >= 0)
        frames.append(
            runs.select(
                workload_id=pl.lit(workload),
                pattern="pattern",
                kind=pl.when(pl.col("pattern") == 0).then(pl.lit("resting")).otherwise(pl.lit("active")),
                start=pl.lit(start, TS) + pl.col("first") * slot,
                end=pl.lit(start, TS) + (pl.col("first") + pl.col("count")) * slot,
                censored="censored",
            )
        )
    if not frames:
        return pl.DataFrame(schema=ACTIVATION_KEYS)
    return pl.concat(frames).select(pl.col(n).cast(t) for n, t in ACTIVATION_KEYS.items())


PATTERNS = {
    "workload_id": pl.String,
    "pattern": pl.UInt16,
    "kind": pl.String,
    "persona_id": pl.String,
    "probability": pl.Float64,
}


def patterns_of(personas: dict[str, list[str]]) -> pl.DataFrame:
    """Pattern 0 rests, the others are active; the list names the persona of each."""
    rows = [(w, i, "resting" if i == 0 else "active", p, 1.0) for w, ps in personas.items() for i, p in enumerate(ps)]
    return pl.DataFrame(rows, schema=PATTERNS, orient="row")


@dataclass
class Scene:
    """All inputs of a fit, and the moment at which the data end."""

    activations: pl.DataFrame
    patterns: pl.DataFrame
    workloads: pl.DataFrame
    calendar: pl.DataFrame
    until: datetime
    slot: timedelta = SLOT
    truth: dict[str, np.ndarray] = field(default_factory=dict)

    @property
    def inputs(self) -> tuple[pl.DataFrame, ...]:
        return self.activations, self.patterns, self.workloads, self.calendar


def scene_of(
    played: dict[str, np.ndarray],
    personas: dict[str, list[str]],
    *,
    start: datetime = MONDAY,
    slot: timedelta = SLOT,
    zone: str = "UTC",
    horizon: timedelta = timedelta(days=8),
    **calendar: object,
) -> Scene:
    until = start + slot * max((len(v) for v in played.values()), default=0)
    return Scene(
        activations_of(played, start, slot),
        patterns_of(personas),
        workloads_of(sorted({*played, *personas}), zone),
        calendar_of(start, until + horizon, slot, (zone,), **calendar),
        until,
        slot,
        played,
    )


def daily(days: int, at: int, length: int, per_day: int = 96, only: Callable[[int], bool] = lambda d: True):
    """Pattern 1 for ``length`` slots from slot ``at`` of each day that ``only`` accepts."""
    played = np.zeros(days * per_day, dtype=np.int64)
    for day in range(days):
        if only(day):
            played[day * per_day + at : day * per_day + at + length] = 1
    return played


def planted_fleet(workloads: int, days: int, seed: int, per_day: int = 96) -> Scene:
    """Six kinds of workloads: nightly, business hours, every six hours, weekly, at random, two patterns."""
    rng = np.random.default_rng(seed)
    hour = per_day // 24
    played, personas = {}, {}
    for i in range(workloads):
        name, kind = f"w{i:03d}", i % 6
        slots = np.zeros(days * per_day, dtype=np.int64)
        if kind == 0:
            for d in range(days):
                if rng.random() < 0.97:
                    at = d * per_day + 2 * hour + rng.integers(0, 2)
                    slots[at : at + 6 + rng.integers(0, 4)] = 1
        elif kind == 1:
            for d in range(days):
                if d % 7 < 5 and rng.random() < 0.97:
                    at = d * per_day + 8 * hour + rng.integers(-hour // 2, hour // 2 + 1)
                    slots[at : d * per_day + 18 * hour + rng.integers(-hour // 2, hour // 2 + 1)] = 1
        elif kind == 2:
            period = 6 * hour + 1  # drifts through the day: only the age tells
            for at in range(rng.integers(0, period), len(slots), period):
                slots[at : at + 2] = 1
        elif kind == 3:
            for d in range(rng.integers(0, 7), days, 7):
                slots[d * per_day + 20 * hour : d * per_day + 23 * hour] = 1
        elif kind == 4:
            at = 0
            while at < len(slots):
                at += 1 + int(rng.exponential(per_day / 3))
                length = 1 + int(rng.exponential(2 * hour))
                slots[at : at + length] = 1
                at += length
        else:
            for d in range(days):
                slots[d * per_day + 4 * hour : d * per_day + 5 * hour] = 1
                if rng.random() < 0.5:
                    at = d * per_day + 12 * hour + rng.integers(0, 4 * hour)
                    slots[at : at + 3 * hour] = 2
        played[name] = slots
        personas[name] = ["p000", f"p{kind + 1:03d}"] + (["p010"] if kind == 5 else [])
    return scene_of(played, personas, slot=timedelta(days=1) / per_day)


@cache
def fitted_fleet() -> tuple[Scene, OutlookModel]:
    """Thirty workloads over three weeks, and their model."""
    scene = planted_fleet(30, 21, seed=1)
    return scene, fit(scene)


def fit(scene: Scene) -> OutlookModel:
    return fit_outlook(*scene.inputs, slot=scene.slot, until=scene.until, seed=0)


def outlook(scene: Scene, model: OutlookModel, slots: int, origin: datetime | None = None) -> OutlookFrames:
    """The prediction at the origin, from what was played before it."""
    origin = scene.until if origin is None else origin
    state = current_state(scene.activations, scene.patterns, origin, scene.slot)
    return predict_outlook(model, state, scene.workloads, scene.calendar, origin, slots)


def chance(frames: OutlookFrames, workload: str, persona: str) -> np.ndarray:
    """P(workload plays persona) by slot."""
    rows = frames.slots.filter((pl.col("workload_id") == workload) & (pl.col("persona_id") == persona))
    return rows.sort("slot")["probability"].to_numpy()


def sums(frames: OutlookFrames) -> np.ndarray:
    return frames.slots.group_by("workload_id", "slot").agg(pl.col("probability").sum())["probability"].to_numpy()
