"""``summary.json``: what a replay found, in a few dozen numbers, with how sure they are."""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import numpy as np
import polars as pl

from persona_platform.replay.bootstrap import cost_ratio, gap_closed, level_costs, median, resamples
from persona_platform.replay.frontiers import along, cheapest_within
from persona_platform.replay.outcomes import Outcome
from persona_platform.replay.paired import BOUND, overall
from persona_platform.replay.scores import (
    ALL_TARGETS,
    LEAST_GAP,
    LEVELS,
    OURS,
    RIVALS,
    Comparison,
    savings,
    without_hindsight,
)
from persona_platform.replay.terms import Terms


def summary(
    comparison: Comparison,
    *,
    levels: Sequence[float] = LEVELS,
    replicates: int = 200,
    seed: int = 0,
    suitability: pl.DataFrame | None = None,
) -> dict[str, Any]:
    """The comparison's findings, ready for JSON; null is what was not reached, not run or cannot be said.

    Rivals are all policies but ours. Costs at a level are read off each target's own frontier, for every policy alike;
    so "over targets" is over targets that each policy serves as well as its best setting for that target can. A target
    left alone counts, as plain reactive.

    Args:
        comparison: with its outcomes.
        levels: unserved shares at which costs are compared.
        replicates: of the bootstrap over days and targets.
        seed: of the bootstrap.
        suitability: SUITABILITY, joined to the targets.

    Returns:
        A dictionary with these keys:

        - ``step_s``, ``lead_time_s`` (seconds), ``scored_from``, ``scored_until`` (ISO), ``days`` (UTC days that are
          scored, in part or whole), ``targets`` (how many), ``left_alone`` (their names), ``policies``, ``levels``,
          ``terms`` (spans in seconds), ``replicates``, ``seed``.
        - ``overall``: a row for each level and rival. ``targets``: at which both reach the level, and
          ``only_ours``, ``only_rival``, ``neither`` for the rest. ``cost_ratio``: median over targets of the cost of
          ours to the rival's, below 1 is cheaper. ``gap_closed``: median of how much of the way from the rival's cost
          (0) to the clairvoyant's (1) ours goes, over ``gap_targets`` at which the way is above 0.1 % of the cost.
          ``total_cost_ratio``: all money of ours to all of the rival's. Each of the three with ``_low`` and ``_high``,
          the 95 % interval of a paired bootstrap over days and targets. ``wins``, ``losses``, ``ties``: targets at
          which ours is cheaper or dearer by more than 1 %. ``p``: two-sided Wilcoxon signed rank of the log ratios;
          ``p_holm``: corrected over the rivals of the level. Both null for the clairvoyant, which nobody beats, for
          other forms of ours, and below six targets that differ.
        - ``unserved_at_equal_cost``: a row for each level and rival: median over ``targets`` of the unserved share of
          ours when it costs what the rival costs at the level (``unserved_ours``), of the rival's there
          (``unserved_rival``; less than the level where its loosest setting leaves less), and of their ``ratio``.
          ``unreached``: targets at which ours is never so cheap, or the rival never so good.
        - ``reached``, ``cost``, ``starts_per_day``, ``worst_day``: by policy, then level: targets that reach it; and,
          over those, the sum of money, the median of units started a day and of the worst day's unserved share, each
          at the target's cheapest setting within the level.
        - ``as_planned``: ours without hindsight, over all targets: ``targets`` that have such a setting, cost,
          shares, ``saved_<rival>`` and ``gap_closed`` as in :func:`savings`; null where a target has none.
        - ``per_target``: a row for each target: ``target``, ``left_alone``, ``suitable``, ``reason``, ``gain``,
          ``relative`` (null without a verdict), ``as_planned`` (unserved share, cost and savings), and ``levels``: a
          row each with ``setting`` (the cheapest of ours within the level), ``cost`` by policy, ``cost_ratio`` by
          rival and ``gap_closed`` by reference (plain and tuned reactive).
    """
    targets, held = comparison.targets, comparison.outcomes
    days = _days(held)
    drawn = resamples(days, len(targets), replicates, seed)
    costs = {name: level_costs(outcome, targets, levels, np.ones((1, days))) for name, outcome in held.items()}
    redone = {name: level_costs(outcome, targets, levels, drawn.days) for name, outcome in held.items()}
    price = np.array([comparison.prices[target] for target in targets])[:, None]
    fronts = {name: _Front.of(outcome, targets) for name, outcome in held.items()}
    within = {name: _at_levels(front, levels, price[:, 0]) for name, front in fronts.items()}
    found = {
        "step_s": comparison.step.total_seconds(),
        "lead_time_s": comparison.lead_time.total_seconds(),
        "scored_from": comparison.scored_from.isoformat(),
        "scored_until": comparison.scored_until.isoformat(),
        "days": days,
        "targets": len(targets),
        "left_alone": list(comparison.left_alone),
        "policies": list(held),
        "levels": list(levels),
        "terms": _terms(comparison.terms),
        "replicates": replicates,
        "seed": seed,
        "overall": overall(costs, redone, drawn, price, levels),
        "unserved_at_equal_cost": _equal_cost(fronts, costs, levels),
        **{
            name: {policy: rows[name] for policy, rows in within.items()}
            for name in ("reached", "cost", "starts_per_day", "worst_day")
        },
        "as_planned": _as_planned(comparison),
        "per_target": _per_target(comparison, fronts, costs, levels, suitability),
    }
    return _plain(found)


def _days(outcomes: Mapping[str, Outcome]) -> int:
    return next((len(block.measured.days) for outcome in outcomes.values() for block in outcome.blocks), 0)


def _terms(terms: Terms | None) -> dict[str, Any]:
    if terms is None:
        return {}
    return {f.name: _seconds(getattr(terms, f.name)) for f in dataclasses.fields(terms)}


def _seconds(value: Any) -> Any:
    if isinstance(value, timedelta):
        return value.total_seconds()
    return [_seconds(one) for one in value] if isinstance(value, tuple) else value


@dataclass(frozen=True)
class _Front:
    """A policy's settings as columns a target, in one order of targets; fewer settings end in infinities."""

    settings: tuple[tuple[str, ...], ...]
    unserved: np.ndarray
    billed: np.ndarray
    starts: np.ndarray
    worst: np.ndarray

    @classmethod
    def of(cls, outcome: Outcome, targets: Sequence[str]) -> "_Front":
        most = max((len(block.settings) for block in outcome.blocks), default=0)
        place = outcome.place(targets)

        def columns(name: str) -> np.ndarray:
            parts = [np.zeros((most, 0))]
            for block in outcome.blocks:
                values = getattr(block.measured, name)
                parts.append(np.pad(values, ((0, most - len(values)), (0, 0)), constant_values=np.inf))
            return np.concatenate(parts, axis=1)[:, place]

        names = [block.settings for block in outcome.blocks for _ in block.targets]
        return cls(
            tuple(names[i] for i in place),
            columns("unserved_share"),
            columns("billed_unit_hours"),
            columns("starts_per_day"),
            columns("worst_day"),
        )


def _equal_cost(
    fronts: Mapping[str, _Front], costs: Mapping[str, np.ndarray], levels: Sequence[float]
) -> list[dict[str, Any]]:
    if OURS not in fronts:
        return []
    rows = []
    for i, level in enumerate(levels):
        for rival in (name for name in fronts if name != OURS):
            spent = costs[rival][i, :, 0]
            ours, theirs = (along(fronts[name].billed, fronts[name].unserved, spent) for name in (OURS, rival))
            both = ~np.isnan(ours) & ~np.isnan(theirs)
            rows.append(
                {
                    "level": level,
                    "rival": rival,
                    "targets": both.sum(),
                    "unreached": (~both).sum(),
                    "unserved_ours": median(ours[both]),
                    "unserved_rival": median(theirs[both]),
                    "ratio": median(cost_ratio(ours, theirs)),
                }
            )
    return rows


def _at_levels(front: _Front, levels: Sequence[float], price: np.ndarray) -> dict[str, dict[str, Any]]:
    """At each level: how many targets reach it, and what their cheapest settings within it come to."""
    rows: dict[str, dict[str, Any]] = {name: {} for name in ("reached", "cost", "starts_per_day", "worst_day")}
    for level in levels:
        chosen = cheapest_within(front.unserved, front.billed, level)
        reach = np.flatnonzero(chosen >= 0)
        at = chosen[reach], reach
        rows["reached"][f"{level:g}"] = len(reach)
        rows["cost"][f"{level:g}"] = (front.billed[at] * price[reach]).sum() if len(reach) else None
        rows["starts_per_day"][f"{level:g}"] = median(front.starts[at])
        rows["worst_day"][f"{level:g}"] = median(front.worst[at])
    return rows


def _as_planned(comparison: Comparison) -> dict[str, Any]:
    """Ours without hindsight over all targets."""
    planned = without_hindsight(comparison.scores)
    both = planned.filter(pl.col("target") == ALL_TARGETS)
    found = _planned_savings(comparison).get(ALL_TARGETS, {})
    measures = ("billed_unit_hours", "idle_share", "starts_per_day", "worst_day", "under_provisioned_minutes")
    return {
        "targets": planned.height - both.height,
        **{name: found.get(name) for name in ("cost", "unserved_share", *_SAVED)},
        **{name: both[name][0] if both.height else None for name in measures},
    }


_SAVED = (*(f"saved_{rival}" for rival in RIVALS), "gap_closed")


def _planned_savings(comparison: Comparison) -> dict[str, dict[str, Any]]:
    """By target."""
    rows = savings(comparison, levels=()).rename({OURS: "cost"})
    return {row["target"]: row for row in rows.iter_rows(named=True)}


def _per_target(
    comparison: Comparison,
    fronts: Mapping[str, _Front],
    costs: Mapping[str, np.ndarray],
    levels: Sequence[float],
    suitability: pl.DataFrame | None,
) -> list[dict[str, Any]]:
    verdicts = {row["target"]: row for row in suitability.iter_rows(named=True)} if suitability is not None else {}
    planned = _planned_savings(comparison)
    rows = []
    for t, target in enumerate(comparison.targets):
        verdict, plan = verdicts.get(target, {}), planned.get(target, {})
        rows.append(
            {
                "target": target,
                "left_alone": target in comparison.left_alone,
                **{name: verdict.get(name) for name in ("suitable", "reason", "gain", "relative")},
                "as_planned": {name: plan.get(name) for name in ("cost", "unserved_share", *_SAVED)},
                "levels": [
                    {
                        "level": level,
                        "setting": _setting(fronts, t, level),
                        **_target_costs({name: of[i, t] for name, of in costs.items()}, comparison.prices[target]),
                    }
                    for i, level in enumerate(levels)
                ],
            }
        )
    return rows


def _setting(fronts: Mapping[str, _Front], target: int, level: float) -> str | None:
    """The cheapest of ours within the level."""
    if OURS not in fronts:
        return None
    front = fronts[OURS]
    chosen = int(cheapest_within(front.unserved[:, target], front.billed[:, target], level))
    return front.settings[target][chosen] if chosen >= 0 else None


def _target_costs(hours: Mapping[str, np.ndarray], price: float) -> dict[str, Any]:
    """One target at one level; ``hours`` are (1,) unit-hours by policy."""
    unknown = np.full(1, np.nan)
    ours, bound = hours.get(OURS, unknown), hours.get(BOUND, unknown)
    return {
        "cost": {name: paid[0] * price for name, paid in hours.items()},
        "cost_ratio": {name: cost_ratio(ours, paid)[0] for name, paid in hours.items() if name != OURS},
        "gap_closed": {
            name: gap_closed(ours, hours.get(name, unknown), bound, LEAST_GAP)[0]
            for name in ("reactive", "reactive_tuned")
        },
    }


def _plain(value: Any) -> Any:
    """With Python's own types, and null for what is not a number."""
    if isinstance(value, Mapping):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    if isinstance(value, np.ndarray | np.generic):
        return _plain(value.item())
    return None if isinstance(value, float) and not math.isfinite(value) else value
