"""Our own policy in replay: the live plans and the live decision, with the replay's own inventory and ledger.

Nothing is decided here. At each step this module says what a live tick would have seen (inventory, ledger's
view, plan), asks :func:`~persona_platform.capacity.settle.settle`, which is what ``decide()`` asks live, and keeps
the floors that result; the autoscaler above the floor holds the last reading.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from datetime import datetime, timedelta
from typing import Final

import numpy as np
import polars as pl

from persona_platform.capacity.facts import NO_CAP, NONE, SECOND, Facts, planned
from persona_platform.capacity.gathering import gather
from persona_platform.capacity.plan_series import NO_ROW, PlanSeries
from persona_platform.capacity.reasons import REASONS, Reason
from persona_platform.capacity.settle import performed, settle
from persona_platform.errors import InputError
from persona_platform.frames import INVENTORY, LEDGER_VIEW, LIMITS, PLAN, TS, conform, empty
from persona_platform.replay.outcomes import AS_PLANNED
from persona_platform.replay.policies import Policy, spread, whole
from persona_platform.replay.recording import Recording


@dataclass(frozen=True)
class Setting:
    """One way of running ours, all of them knobs that a user has.

    Attributes:
        kappa: quantile of demand that the floor stands at; None: each target's own.
        margin: times that quantile.
        least: quantile of the training demand below which the floor never goes (the limits' ``min``); None: theirs.
    """

    kappa: float | None = None
    margin: float = 1.0
    least: float | None = None

    @property
    def name(self) -> str:
        """As in the comparison's ``setting`` column."""
        parts = [AS_PLANNED if self.kappa is None else f"kappa {self.kappa:g}"]
        parts += [f"times {self.margin:g}"] if self.margin != 1 else []
        parts += [f"floor P{100 * self.least:g}"] if self.least is not None else []
        return ", ".join(parts)


KAPPAS: Final = (0.5, 0.65, 0.8, 0.9, 0.95, 0.975, 0.99, 0.995, 0.999, 0.9999)

SWEEP: Final = (
    Setting(),
    *(Setting(kappa) for kappa in KAPPAS),
    # Times the highest quantile: what no quantile of a short history reaches.
    *(Setting(KAPPAS[-1], margin=margin) for margin in (1.25, 1.6)),
    # A floor under the forecast, against rises that nothing foretells; the tuned reactive policy has one too.
    *(Setting(kappa, least=least) for least in (0.5, 0.75, 0.9, 0.97) for kappa in (0.5, 0.8, 0.95, 0.99, 0.999)),
)
"""What is swept; all of it is picked in hindsight, as for every policy."""

WITHOUT_FLOORS: Final = tuple(setting for setting in SWEEP if setting.least is None)

PLANNED_BEFORE: Final = timedelta(hours=2)
"""Floors take some steps and cooldowns to build; a start from nothing would be scored otherwise."""

_US: Final = timedelta(microseconds=1)
_SET: Final = ("target", "floor")


@dataclass(frozen=True)
class Bare:
    """What ``ours`` is without its limits: floors follow the plan at once, whatever their step, band or cooldown."""

    step_units: int = 1_000_000_000
    dead_band: float = 0.0
    cooldown_s: int = 0


@dataclass(frozen=True)
class Walk:
    """What a walk over the recording decided.

    Attributes:
        desired: (settings, targets, walked steps) int32 units asked for: floor and last reading.
        floor: the same shape, the floor in force.
        bound: setting, target, bound_by, steps: how often each limit kept the floor from what was wanted.
    """

    desired: np.ndarray
    floor: np.ndarray
    bound: pl.DataFrame


@dataclass(frozen=True)
class Ours:
    """max(floor, last reading after the lead), the floor from the plans and the live decision.

    The limits are the target's own with mode act, approvals at once and no budget; a target without a maximum can
    only be observed live, and replay asks what acting would have done.

    Attributes:
        plans: of one stretch after another, covering the scored steps; what comes before the first is not planned.
        limits: LIMITS rows of at least the recording's targets.
        sweep: the settings.
        bare: what the limits are replaced by, None for the targets' own.
        above: what the user's own autoscaler asks for above the floor, its first setting; None: the last reading.
        name: as in the comparison.
    """

    plans: Sequence[PlanSeries]
    limits: pl.DataFrame
    sweep: tuple[Setting, ...] = SWEEP
    bare: Bare | None = None
    above: Policy | None = None
    name: str = "ours"

    def settings(self, recording: Recording) -> list[str]:
        """A name for each setting of the sweep."""
        return [setting.name for setting in self.sweep]

    def few(self, most: int) -> "Ours":
        """The same with at most so many settings."""
        return replace(self, sweep=spread(self.sweep, most))

    def desired(self, recording: Recording) -> np.ndarray:
        """(settings, targets, walked steps) int32 units asked for."""
        return self.walk(recording).desired

    def walk(self, recording: Recording) -> Walk:
        """Walks the recording forward, one decision a step for all settings and targets."""
        settings = self.settings(recording)
        world = _World(recording, self.sweep, self._guards(recording.targets))
        shape = (len(settings), len(recording.targets), recording.walked_steps)
        desired, floors = np.zeros(shape, dtype=np.int32), np.zeros(shape, dtype=np.int32)
        bound = np.zeros((len(REASONS), world.rows), dtype=np.int64)
        held = None if self.above is None else self.above.desired(recording)[0]
        planned_steps = self._steps(recording)
        upcoming = next(planned_steps, None)
        for walked in range(recording.walked_steps):
            step = recording.walked_from + walked
            world.advance(step)
            if upcoming is not None and upcoming.step == step:
                reasons = world.decide(upcoming)
                bound[reasons, np.arange(world.rows)] += 1
                upcoming = next(planned_steps, None)
            floors[:, :, walked] = world.floor.reshape(shape[:2])
            above = whole(world.reading) if held is None else held[:, walked]
            desired[:, :, walked] = np.maximum(floors[:, :, walked], above)
        return Walk(desired, floors, _bound(bound, settings, recording.targets))

    def _guards(self, targets: Sequence[str]) -> pl.DataFrame:
        """The targets' limits, in mode act, approved at once, without budget."""
        known = conform(self.limits, LIMITS, "limits in replay")
        if missing := sorted(set(targets) - set(known["target"])):
            raise InputError(f"Replay needs limits for every target; {', '.join(missing)} has none.")
        order = pl.DataFrame({"target": targets}, schema={"target": pl.String})
        never = ("budget_day", "budget_total_day", "approval_units", "approval_cost")
        freed = {name: pl.lit(None, LIMITS[name]) for name in never}
        if self.bare is not None:
            freed |= {
                "step_units": pl.lit(self.bare.step_units),
                "dead_band": pl.lit(self.bare.dead_band),
                "cooldown_up_s": pl.lit(self.bare.cooldown_s),
                "cooldown_down_s": pl.lit(self.bare.cooldown_s),
            }
        rows = order.join(known, on="target", how="left", maintain_order="left")
        freed |= {"mode": pl.lit("act"), "act_unsuitable": pl.lit(value=True)}
        return conform(rows.with_columns(**freed), LIMITS, "limits in replay")

    def _steps(self, recording: Recording) -> "Iterator[_Step]":
        """What is planned at each step, from :data:`PLANNED_BEFORE` before the scored part on."""
        first = recording.scored_from - recording.lead_steps - -(-PLANNED_BEFORE // recording.step)
        for plans in self.plans:
            if plans.slot != recording.step:
                raise InputError(f"Plans in slots of {plans.slot} do not fit a replay in steps of {recording.step}.")
            own = plans if plans.targets == recording.targets else plans.part(recording.targets)
            needed = self._needed(own)
            begin = round((own.first - recording.start) / recording.step)
            for number in range(own.origins):
                if max(first, 0) <= begin + number < recording.steps:
                    yield _Step(begin + number, own, number, needed[:, :, number])

    def _needed(self, plans: PlanSeries) -> np.ndarray:
        """(settings, targets, origins, slots) units, NONE where the plan has no row."""
        at_kappa = {kappa: plans.needed(kappa) for kappa in {setting.kappa for setting in self.sweep}}
        needed = np.stack([at_kappa[setting.kappa] for setting in self.sweep]) if self.sweep else np.zeros((0, 0, 0, 0))
        margin = np.array([setting.margin for setting in self.sweep]).reshape(-1, 1, 1, 1)
        needed = np.where((needed == NO_ROW) | (margin == 1), needed, whole(needed * margin))
        return np.where(needed == NO_ROW, NONE, needed)


@dataclass(frozen=True)
class _Step:
    """A step and the plan in force at it."""

    step: int
    plans: PlanSeries
    number: int
    needed: np.ndarray  # (settings, targets, slots)


class _World:
    """What the replayed world looks like at a step; rows are settings times targets, settings outermost."""

    def __init__(self, recording: Recording, sweep: Sequence[Setting], guards: pl.DataFrame) -> None:
        self.recording, self.settings = recording, len(sweep)
        self.rows = self.settings * len(recording.targets)
        self.now = self.start = _microseconds(recording.start)
        self.width = recording.step // _US
        self.reading = last_read(recording.demand[:, : recording.walked_from])
        self.fresh = np.full(len(recording.targets), np.nan)  # that of the step before, NaN where unread
        self.facts = self._nothing_done_yet(guards, sweep)

    def _nothing_done_yet(self, guards: pl.DataFrame, sweep: Sequence[Setting]) -> Facts:
        """The facts before the first decision, one row a setting and target: limits, no floor, no past, no plan."""
        targets = self.recording.targets
        inventory = pl.DataFrame({"target": targets}, schema={"target": pl.String}).select(
            target="target", floor=pl.lit(0), **{name: pl.lit(None) for name in INVENTORY if name not in _SET}
        )
        start = self.recording.start
        names, of_targets = gather(
            empty(PLAN), inventory, empty(LEDGER_VIEW), guards, now=start, width=self.recording.step
        )
        place = {name: i for i, name in enumerate(names)}
        order = np.array([place[name] for name in targets], dtype=np.int64)
        tiled = {field.name: self._tiled(getattr(of_targets, field.name)[order]) for field in fields(Facts)}
        # Live, a target without a maximum is observed only; here any large number is none.
        tiled["max"] = np.minimum(tiled["max"], NO_CAP - 1)
        tiled["min"] = np.maximum(tiled["min"], _least(self.recording, sweep).ravel())
        tiled["lead"] = np.full(self.rows, self.recording.lead_steps * self.width)
        return Facts(**tiled)

    @property
    def floor(self) -> np.ndarray:
        """(rows,) the floors in force."""
        return self.facts.floor

    def advance(self, step: int) -> None:
        """Takes in the reading of the step before and drops the floors that expired."""
        if step:
            self.fresh = self.recording.demand[:, step - 1]
            self.reading = np.where(np.isnan(self.fresh), self.reading, self.fresh)
        self.now = self.start + step * self.width
        lapsed = (self.facts.floor_expires_at != NONE) & (self.facts.floor_expires_at <= self.now)
        if lapsed.any():
            self.facts = replace(
                self.facts,
                floor=np.where(lapsed, 0, self.facts.floor),
                floor_expires_at=np.where(lapsed, NONE, self.facts.floor_expires_at),
            )

    def decide(self, planned_step: _Step) -> np.ndarray:
        """Decides as a live tick would, performs what is due, and gives each row's Reason."""
        plans, number = planned_step.plans, planned_step.number
        needed = planned_step.needed.reshape(self.rows, -1)
        slots = self.now + self.width * np.arange(needed.shape[1])
        wanted = planned(needed, slots, self.facts.lead, now=self.now, width=self.width)
        here = np.full(self.rows, self.now)
        facts = replace(
            self.facts,
            observed_at=here,
            observed_demand=self._tiled(self.fresh),
            needed=wanted.needed,
            hold_needed=wanted.hold_needed,
            need_slot=wanted.need_slot,
            origin=here,
            data_until=self._tiled(plans.data_until_us[:, number]),
            history=self._tiled(plans.history_s[:, number] * SECOND),
            cycle=self._tiled(plans.cycle_s[:, number] * SECOND),
        )
        done = performed(settle(facts, self.now, self.width))
        self.facts = replace(
            self.facts,
            floor=done.floor,
            floor_expires_at=done.expires_at,
            last_raised_at=np.where(done.raised, self.now, self.facts.last_raised_at),
            last_lowered_at=np.where(done.lowered, self.now, self.facts.last_lowered_at),
        )
        return done.bound_by

    def _tiled(self, of_targets: np.ndarray) -> np.ndarray:
        return np.tile(of_targets, self.settings)


def _least(recording: Recording, sweep: Sequence[Setting]) -> np.ndarray:
    """(settings, targets) units below which a setting's floors never go: a quantile of the training demand."""
    training = recording.demand[:, : recording.scored_from]
    least = np.zeros((len(sweep), len(training)), dtype=np.int64)
    read = ~np.isnan(training).all(axis=1) if training.shape[1] else np.zeros(len(training), dtype=bool)
    for row, setting in enumerate(sweep):
        if setting.least is not None and read.any():
            least[row, read] = whole(np.nanquantile(training[read], setting.least, axis=1))
    return least


def last_read(demand: np.ndarray) -> np.ndarray:
    """(targets,) the last reading of each, 0 where there is none."""
    if not demand.shape[1]:
        return np.zeros(len(demand))
    at = np.where(np.isnan(demand), -1, np.arange(demand.shape[1])).max(axis=1)
    return np.where(at >= 0, demand[np.arange(len(demand)), at], 0.0)


def _bound(bound: np.ndarray, settings: Sequence[str], targets: Sequence[str]) -> pl.DataFrame:
    """setting, target, bound_by, steps of the reasons that kept a floor from what was wanted."""
    told = [code for code in Reason if code not in (Reason.NONE, Reason.RENEWAL)]
    counts = bound[told]
    code, row = np.nonzero(counts)
    setting, target = np.divmod(row, max(1, len(targets)))
    return pl.DataFrame(
        {
            "setting": [settings[i] for i in setting],
            "target": [targets[i] for i in target],
            "bound_by": [REASONS[told[i]] for i in code],
            "steps": counts[code, row],
        },
        schema={"setting": pl.String, "target": pl.String, "bound_by": pl.String, "steps": pl.Int64},
    )


def _microseconds(moment: datetime) -> int:
    return int(pl.Series([moment]).cast(TS).to_physical()[0])
