"""One policy over all targets together, each target at its own setting: day sums added up, not ratios averaged."""

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta

import numpy as np

from persona_platform.replay.engine import Measured
from persona_platform.replay.frontiers import best_for_all
from persona_platform.replay.outcomes import AS_PLANNED, PLANNED, Block, Outcome

HOUR = timedelta(hours=1)


@dataclass(frozen=True)
class Pooled:
    """All targets as one, a row for each choice of their settings; arrays are (rows,).

    Attributes:
        names: of the choices.
        plain: every target's units and steps count alike.
        weighed: every unit counts its target's price, so that its bill is money.
        starts_per_day: of all targets together.
    """

    names: tuple[str, ...]
    plain: Measured
    weighed: Measured
    starts_per_day: np.ndarray


def pooled(outcome: Outcome, price: Mapping[str, float], *, planned: bool) -> Pooled:
    """The best choices of settings for a sweep of prices of what is unserved.

    Args:
        outcome: of one policy.
        price: of a unit-hour, by target.
        planned: whether to add the choice without hindsight, :data:`AS_PLANNED`, if every target has one.
    """
    unserved, billed = [], []
    for block in outcome.blocks:
        unserved += list((block.measured.unserved.sum(axis=-1) * (block.measured.step / HOUR)).T)
        billed += list(block.measured.billed_unit_hours.T)
    multipliers, picks = best_for_all(unserved, billed)
    names = [f"unserved costs {multiplier:.6g} times" for multiplier in multipliers]
    settings = [planned_setting(block) for block in outcome.blocks for _ in block.targets]
    without_hindsight = [setting for setting in settings if setting is not None]
    if planned and len(without_hindsight) == len(settings):
        names, picks = [*names, AS_PLANNED], np.vstack([picks, np.array(without_hindsight)])
    plain, weighed, starts = [], [], np.zeros(len(names))
    first = 0
    for block in outcome.blocks:
        chosen = _chosen(block.measured, picks[:, first : first + len(block.targets)])
        weight = np.array([price[target] for target in block.targets])
        plain.append(_added(chosen, np.ones_like(weight)))
        weighed.append(_added(chosen, weight))
        starts += chosen.starts_per_day.sum(axis=-1)
        first += len(block.targets)
    return Pooled(tuple(names), _together(plain), _together(weighed), starts)


def planned_setting(block: Block) -> int | None:
    """Index of the setting without hindsight."""
    return next((i for i, setting in enumerate(block.settings) if setting in PLANNED), None)


def _chosen(measured: Measured, picks: np.ndarray) -> Measured:
    """(rows, targets, days): each target at the setting that the row picks for it."""
    targets = np.arange(picks.shape[1])
    return _each(measured, lambda values: values[picks, targets] if values.ndim == 3 else values)


def _added(measured: Measured, weight: np.ndarray) -> Measured:
    """(rows, 1, days): the targets added up."""
    return _each(measured, lambda values: (values * weight[:, None]).sum(axis=-2, keepdims=True))


def _together(parts: list[Measured]) -> Measured:
    sums = {name: sum(getattr(part, name) for part in parts) for name in _sums(parts[0])}
    return dataclasses.replace(parts[0], **sums)


def _each(measured: Measured, change: Callable[[np.ndarray], np.ndarray]) -> Measured:
    return dataclasses.replace(measured, **{name: change(getattr(measured, name)) for name in _sums(measured)})


def _sums(measured: Measured) -> list[str]:
    """Names of the fields that are sums by target and day."""
    held = {f.name: getattr(measured, f.name) for f in dataclasses.fields(measured)}
    return [name for name, value in held.items() if isinstance(value, np.ndarray) and value.ndim >= 2]
