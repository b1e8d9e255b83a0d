"""A target's guardrails, with their defaults, and the frame of them that ``decide`` reads.

What a limit *does* is in :mod:`persona_platform.capacity.decide`; here is only what it is and where its
default comes from: values that other autoscalers ship, read from their documentation (AWS, Google, Karpenter,
KEDA, Cluster Autoscaler, Mimir).
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Final

import polars as pl

from persona_platform.errors import ConfigError
from persona_platform.frames import LIMITS, conform

if TYPE_CHECKING:
    from persona_platform.capacity.targets import Target

MODES: Final = ("observe", "propose", "act")

STALE_AT_LEAST: Final = timedelta(hours=1)
"""An input this young is not stale, unless the limits say so."""


@dataclass(frozen=True)
class Limits:
    """The guardrails of one target; the defaults make it look and never touch."""

    mode: str = "observe"
    """observe (decide, record, do nothing), propose (every change waits for approval) or act."""
    min: int = 0
    max: int | None = None
    """The highest floor; without one a target can only be observed, whatever its mode."""
    step_share: float = 0.5
    """A raise at one time: this share of the floor, or ``step_units``, whichever is more (Thoras, Mimir)."""
    step_units: int = 10
    dead_band: float = 0.05
    """Changes below this share of the floor are left alone. At the HPA's tolerance, 10 %, ours closed 0.15 of the gap
    over the development traces instead of 0.25 (medians at 1 % unserved and 5 minutes; `benchmarks/policies.py` with
    and without `--dead-band 0.1`)."""
    cooldown_up: timedelta = timedelta(seconds=300)
    cooldown_down: timedelta = timedelta(seconds=600)
    budget_day: float | None = None
    approval_units: int | None = None
    approval_cost: float | None = None
    min_history: timedelta = timedelta(days=3)
    """Two days and one to judge by. Seven, as others ask for, keeps short series off that gain (crane: 0.43 of the gap
    instead of 0.53; `benchmarks/policies.py --only crane`, with and without `--min-history-days 7`); whether a short
    history is enough is what the suitability verdict measures."""
    stale_after: timedelta | None = None
    """Age beyond which an input is not acted on; None: two slots, at least an hour."""
    expiry: timedelta = timedelta(hours=1)
    """How long a floor stands after the demand that it was raised for (and its hold) has passed."""
    lead_time_prior: timedelta = timedelta(seconds=300)
    """From request to usable capacity, until 20 lead times were measured (AWS's scheduling buffer)."""
    act_unsuitable: bool = False
    """Act even where, on held-out data, acting on the forecast was not worth it (the plan's ``suitable``)."""


def limits_faults(limits: Limits) -> list[str]:
    """One clause for each value that contradicts another or cannot be meant; empty for sound limits."""
    found = []
    if limits.mode not in MODES:
        found.append(f"the mode is {limits.mode!r}; it must be one of {', '.join(MODES)}")
    if limits.min < 0:
        found.append(f"min is {limits.min}; it must be 0 or more")
    if limits.max is not None and limits.max < limits.min:
        found.append(f"max {limits.max} is below min {limits.min}")
    if not 0 <= limits.dead_band < 1:
        found.append(f"dead_band is {limits.dead_band}; it is a share of the floor, from 0 to below 1")
    if not (limits.step_share >= 0 and limits.step_units >= 0 and limits.step_share + limits.step_units > 0):
        found.append("step_share and step_units must be 0 or more, and one of them above 0")
    for name in ("budget_day", "approval_units", "approval_cost"):
        value = getattr(limits, name)
        if value is not None and not value >= 0:
            found.append(f"{name} is {value}; it must be 0 or more, or left out for none")
    for name in ("cooldown_up", "cooldown_down", "min_history", "expiry", "lead_time_prior", "stale_after"):
        value = getattr(limits, name)
        if value is not None and value < timedelta(0):
            found.append(f"{name} is {value}; a duration must not be negative")
    return found


def limits_frame(
    targets: Sequence["Target"], *, global_budget: float | None = None, slot: timedelta | None = None
) -> pl.DataFrame:
    """LIMITS, one row a target, sorted by name.

    ``global_budget`` is money a UTC day over all targets. A ``stale_after`` that was left out is two of the
    given slots, at least an hour; without a slot it stays null, and ``decide`` takes the plan's slots.

    Raises :class:`ConfigError` on limits that cannot hold and on two targets of one name.
    """
    ordered = sorted(targets, key=lambda target: target.name)
    for target in ordered:
        faults = limits_faults(target.limits)
        if faults:
            raise ConfigError(f"The limits of target {target.name} cannot hold: {'; '.join(faults)}.")
    rows = [_row(target, global_budget, slot) for target in ordered]
    names = [target.name for target in ordered]
    if len(set(names)) < len(names):
        twice = sorted({name for name in names if names.count(name) > 1})
        raise ConfigError(f"Two targets are called {', '.join(twice)}; give each target its own name.")
    return conform(pl.DataFrame(rows, schema=LIMITS), LIMITS, "The limits")


def _row(target: "Target", global_budget: float | None, slot: timedelta | None) -> dict[str, object]:
    limits = target.limits
    stale_after = limits.stale_after or (None if slot is None else max(2 * slot, STALE_AT_LEAST))
    return {
        "target": target.name,
        "provisioner": target.provisioner,
        "mode": limits.mode,
        "min": limits.min,
        "max": limits.max,
        "step_share": limits.step_share,
        "step_units": limits.step_units,
        "dead_band": limits.dead_band,
        "cooldown_up_s": _seconds(limits.cooldown_up),
        "cooldown_down_s": _seconds(limits.cooldown_down),
        "budget_day": limits.budget_day,
        "budget_total_day": global_budget,
        "approval_units": limits.approval_units,
        "approval_cost": limits.approval_cost,
        "price_per_hour": target.unit.price_per_hour if target.unit else 1.0,
        "min_history_s": _seconds(limits.min_history),
        "stale_after_s": None if stale_after is None else _seconds(stale_after),
        "expiry_s": _seconds(limits.expiry),
        "lead_time_prior_s": limits.lead_time_prior.total_seconds(),
        "act_unsuitable": limits.act_unsuitable,
    }


def _seconds(duration: timedelta) -> int:
    return int(duration.total_seconds())


def digest(frame: pl.DataFrame) -> str:
    """32 hex characters that name the frame's content: column names and values, rows in any order."""
    ordered = frame.sort(frame.columns) if frame.columns else frame
    return hashlib.sha256(ordered.write_csv().encode()).hexdigest()[:32]
