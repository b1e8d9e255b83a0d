"""Our own policy in replay: the live plan and ``decide``, with the replay's own inventory and ledger.

Nothing is decided here. At each step this module says what a live tick would have seen (inventory, ledger
view, plan), calls ``decide`` and keeps the floor that results; the autoscaler above the floor holds the
last reading.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from statistics import NormalDist

import numpy as np
import polars as pl

from persona_platform.capacity.decide import decide, due
from persona_platform.capacity.sizing import whole_units
from persona_platform.errors import InputError
from persona_platform.frames import ACTIONS, INVENTORY, LEDGER_VIEW, LIMITS, PLAN, TS, conform, empty
from persona_platform.replay.engine import Recording
from persona_platform.replay.policies import whole

PlanAt = Callable[[datetime], pl.DataFrame]
"""The PLAN frame that was in force at an instant, made from nothing that was not known then."""

Decide = Callable[[pl.DataFrame, pl.DataFrame, pl.DataFrame, pl.DataFrame, datetime], pl.DataFrame]
"""``capacity.decide.decide``: (plan, inventory, ledger_view, limits, now) to ACTIONS."""

AS_PLANNED = "as planned"
"""The setting that changes nothing: each target at its own kappa."""

KAPPAS = (0.5, 0.65, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.999, 0.9999)

WARM_UP = timedelta(hours=2)
"""Floors take some steps and cooldowns to build; a start from nothing would be scored otherwise."""

NO_MAXIMUM = 1_000_000_000
"""Units. A target without a maximum can only be observed live; replay asks what acting would have done."""

_PLAN_QUANTILES = {"q50": 0.5, "q90": 0.9, "q95": 0.95, "q99": 0.99}


@dataclass(frozen=True)
class Walk:
    """What a walk over the recording decided.

    Attributes:
        desired: (settings, targets, steps) whole units asked for: floor and last reading.
        floor: (settings, targets, steps) the floor in force.
        actions: the ACTIONS performed and the columns ``setting`` and ``decided_at``, in order of time.
        bound: setting, target, bound_by, steps: how often each limit kept the floor from what was wanted.
    """

    desired: np.ndarray
    floor: np.ndarray
    actions: pl.DataFrame
    bound: pl.DataFrame


@dataclass(frozen=True)
class Ours:
    """max(floor, last reading after the lead), the floor from plan and ``decide``.

    The limits are the target's own with mode act, approvals at once and no budget. ``kappas`` sweeps the
    quantile of demand that the floor stands at, on top of the plan as it is.

    Attributes:
        plan_at: gives the plan in force at a step's start.
        limits: LIMITS rows of at least the recording's targets.
        kappas: quantiles to sweep besides :data:`AS_PLANNED`.
        decide: the live function.
    """

    plan_at: PlanAt
    limits: pl.DataFrame
    kappas: tuple[float, ...] = KAPPAS
    decide: Decide = decide
    name: str = field(default="ours")

    def settings(self, recording: Recording) -> list[str]:  # noqa: ARG002
        """A name for each setting of the sweep."""
        return [AS_PLANNED, *(f"kappa {kappa:g}" for kappa in self.kappas)]

    def desired(self, recording: Recording) -> np.ndarray:
        """(settings, targets, steps) whole units asked for."""
        return self.walk(recording).desired

    def walk(self, recording: Recording) -> Walk:
        """Walks the recording forward, one ``decide`` a step for all settings and targets.

        Before the scored part nothing is planned but for :data:`WARM_UP`, in which the floors are built.
        """
        rows = [(s, t) for s in self.settings(recording) for t in recording.targets]
        state = _State(recording, len(rows) // max(1, len(recording.targets)))
        names = pl.DataFrame(rows, schema={"setting": pl.String, "target": pl.String}, orient="row")
        names = names.with_columns(row=pl.concat_str("setting", "target", separator="|"))
        limits = _replay_limits(self.limits, names)
        taken: list[pl.DataFrame] = []
        first = recording.scored_from - recording.lead_steps - WARM_UP // recording.step
        for step in range(recording.steps):
            now = recording.at(step)
            state.advance(step)
            if step < first:
                state.act(step, empty(ACTIONS), names["row"], now)
                continue
            plan = self._plans(self.plan_at(now), names)
            actions = self.decide(
                plan, state.inventory(names["row"], now), state.ledger_view(names["row"]), limits, now
            )
            performed = due(actions).filter(pl.col("act_at") <= now)
            state.act(step, performed, names["row"], now)
            taken.append(actions.with_columns(decided_at=pl.lit(now, dtype=TS)))
        rows = _actions(taken, names)
        bound = rows.filter(~pl.col("bound_by").is_in(["none", "renewal"]))
        return Walk(
            state.desired,
            state.floors,
            due(rows),
            bound.group_by("setting", "target", "bound_by").agg(steps=pl.col("decided_at").n_unique()),
        )

    def _plans(self, plan: pl.DataFrame, names: pl.DataFrame) -> pl.DataFrame:
        """The plan once for each setting, its ``needed`` moved to the setting's kappa."""
        known = pl.col("target").is_in(names["target"].unique().to_list())
        plan = conform(plan, PLAN, "the plan in replay").filter(known)
        swept = [plan.with_columns(target=pl.lit(f"{AS_PLANNED}|") + pl.col("target"))]
        for kappa in self.kappas:
            at_kappa = pl.max_horizontal(_quantile(kappa), pl.col("mean"))
            swept.append(
                plan.with_columns(
                    target=pl.lit(f"kappa {kappa:g}|") + pl.col("target"),
                    kappa=pl.lit(kappa),
                    needed=whole_units(at_kappa),
                )
            )
        return pl.concat(swept)


def _quantile(kappa: float) -> pl.Expr:
    """The kappa quantile from the plan's four, straight between them on the scale of the normal's quantiles.

    Beyond q99 the line from q95 to q99 goes on; below q50 that from q50 to q90.
    """
    z = [NormalDist().inv_cdf(level) for level in _PLAN_QUANTILES.values()]
    at = NormalDist().inv_cdf(kappa)
    upper = min(max(int(np.searchsorted(z, at)), 1), len(z) - 1)
    share = (at - z[upper - 1]) / (z[upper] - z[upper - 1])
    low, high = list(_PLAN_QUANTILES)[upper - 1 : upper + 1]
    return pl.col(low) + share * (pl.col(high) - pl.col(low))


def _replay_limits(limits: pl.DataFrame, names: pl.DataFrame) -> pl.DataFrame:
    """The targets' limits, one row a setting and target, in mode act, approved at once, without budget."""
    known = conform(limits, LIMITS, "limits in replay")
    missing = set(names["target"]) - set(known["target"])
    if missing:
        raise InputError(f"Replay needs limits for every target; {', '.join(sorted(missing))} has none.")
    rows = names.join(known, on="target", how="left", maintain_order="left")
    return rows.select(
        target="row",
        provisioner="provisioner",
        mode=pl.lit("act"),
        min="min",
        max=pl.col("max").fill_null(NO_MAXIMUM),
        **{
            name: pl.lit(None, dtype=LIMITS[name])
            for name in ("budget_day", "budget_total_day", "approval_units", "approval_cost")
        },
        **{
            name: pl.col(name)
            for name in LIMITS
            if name not in {"target", "provisioner", "mode", "min", "max", "budget_day", "budget_total_day"}
            and not name.startswith("approval_")
        },
    ).select(list(LIMITS))


class _State:
    """What the replayed world looks like at a step: sizes asked for so far, floors, and when they changed."""

    def __init__(self, recording: Recording, settings: int) -> None:
        shape = (settings, len(recording.targets), recording.steps)
        self.recording = recording
        self.desired = np.zeros(shape, dtype=np.int64)
        self.floors = np.zeros(shape, dtype=np.int64)
        self.reading = np.zeros(shape[1])  # the last one that was read
        self.fresh = np.full(shape[1], np.nan)  # that of the step before, NaN where unread
        rows = settings * shape[1]
        self.usable = np.zeros(rows, dtype=np.int64)
        self.total = np.zeros(rows, dtype=np.int64)
        self.floor = np.zeros(rows, dtype=np.int64)
        self.total_raised: list[datetime | None] = [None] * rows
        self.raised: list[datetime | None] = [None] * rows
        self.lowered: list[datetime | None] = [None] * rows
        self.expires: list[datetime | None] = [None] * rows
        self.cost_today = np.zeros(rows)

    def advance(self, step: int) -> None:
        """Takes in the reading of the step before, readies what has booted, drops floors that expired."""
        now = self.recording.at(step)
        if step:
            self.fresh = self.recording.demand[:, step - 1]
            self.reading = np.where(np.isnan(self.fresh), self.reading, self.fresh)
            first = max(0, step - self.recording.lead_steps)
            asked = self.desired[..., first:step] if first < step else self.desired[..., step - 1 : step]
            self.usable = asked.min(axis=-1).ravel()
        for row, expires in enumerate(self.expires):
            if expires is not None and expires <= now:
                self.floor[row], self.expires[row] = 0, None
        if now.date() != (now - self.recording.step).date():
            self.cost_today[:] = 0.0

    def inventory(self, rows: pl.Series, now: datetime) -> pl.DataFrame:
        """INVENTORY as a live observation at ``now`` would give it."""
        booting = self.total - self.usable
        lead = self.recording.lead_steps * self.recording.step
        ready = [at + lead if at and b else None for at, b in zip(self.total_raised, booting, strict=True)]
        observed = np.tile(self.fresh, len(rows) // max(1, len(self.fresh)))
        return pl.DataFrame(
            {
                "inventory_id": pl.repeat("replay", len(rows), dtype=pl.String, eager=True),
                "target": rows,
                "observed_at": pl.repeat(now, len(rows), dtype=TS, eager=True),
                "usable": self.usable,
                "booting": booting,
                "ready_at": pl.Series(ready, dtype=TS),
                "floor": self.floor,
                "observed_demand": pl.Series(observed, dtype=pl.Float64).fill_nan(None),
            },
            schema=INVENTORY,
        )

    def ledger_view(self, rows: pl.Series) -> pl.DataFrame:
        """LEDGER_VIEW of a ledger that had learned the replayed lead time, in whole steps."""
        count, count_of_targets = len(rows), self.desired.shape[1]
        lead = (self.recording.lead_steps * self.recording.step).total_seconds()
        return pl.DataFrame(
            {
                "target": rows,
                "paused": pl.repeat(value=False, n=count, dtype=pl.Boolean, eager=True),
                "last_raised_at": pl.Series(self.raised, dtype=TS),
                "last_lowered_at": pl.Series(self.lowered, dtype=TS),
                "last_failed_at": pl.Series([None] * count, dtype=TS),
                "cost_today": self.cost_today,
                "cost_today_total": self.cost_today.reshape(self.desired.shape[:2]).sum(1).repeat(count_of_targets),
                "lead_time_s": np.full(count, lead),
                "approved_floor": pl.Series([None] * count, dtype=pl.Int64),
                "floor_expires_at": pl.Series(self.expires, dtype=TS),
            },
            schema=LEDGER_VIEW,
        )

    def act(self, step: int, due: pl.DataFrame, rows: pl.Series, now: datetime) -> None:
        """Writes the floors of the due actions and asks for the larger of floor and last reading."""
        at = {name: i for i, name in enumerate(rows)} if not due.is_empty() else {}
        for action in due.iter_rows(named=True):
            row = at[action["target"]]
            if action["to_floor"] > self.floor[row]:
                self.raised[row] = now
            elif action["to_floor"] < self.floor[row]:
                self.lowered[row] = now
            self.floor[row], self.expires[row] = action["to_floor"], action["expires_at"]
            self.cost_today[row] += action["cost"] or 0.0
        reading = np.tile(whole(self.reading), len(rows) // max(1, len(self.reading)))
        total = np.maximum(self.floor, reading)
        for row in np.flatnonzero(total > self.total):
            self.total_raised[row] = now
        self.total = total
        self.desired[..., step] = total.reshape(self.desired.shape[:2])
        self.floors[..., step] = self.floor.reshape(self.desired.shape[:2])


def _actions(taken: list[pl.DataFrame], names: pl.DataFrame) -> pl.DataFrame:
    """What decide returned, its rows named by setting and target again."""
    if not taken:
        return empty({**ACTIONS, "setting": pl.String, "decided_at": TS})
    frame = pl.concat(taken, how="vertical_relaxed").rename({"target": "row"}).join(names, on="row", how="left")
    return frame.select(*ACTIONS, "setting", "decided_at")


@dataclass(frozen=True)
class Walked:
    """A walk that was already made, as a policy: whoever needs its actions too need not walk twice."""

    ours: Ours
    walk: Walk
    name: str = "ours"

    def settings(self, recording: Recording) -> list[str]:
        """A name for each setting of the sweep."""
        return self.ours.settings(recording)

    def desired(self, recording: Recording) -> np.ndarray:  # noqa: ARG002
        """(settings, targets, steps) whole units asked for."""
        return self.walk.desired
