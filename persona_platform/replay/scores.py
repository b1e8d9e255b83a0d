"""Policies compared: every setting's scores, over each target and over all, and what was saved.

Over all targets each has its own best setting for a common price of what is unserved, whatever the policy, so that
nobody has to serve different targets with one setting. A level that no setting reaches stays null.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import numpy as np
import polars as pl

from persona_platform.frames import Schema, empty
from persona_platform.replay.engine import Recording
from persona_platform.replay.frontiers import EDGE, on_frontier
from persona_platform.replay.outcomes import AS_PLANNED, DECISIONS, PLANNED, Block, Outcome, run_policy
from persona_platform.replay.policies import Policy
from persona_platform.replay.pooled import pooled
from persona_platform.replay.terms import Terms

ALL_TARGETS = "all targets"
"""The rows over all targets; in shares every unit weighs its price."""

LEVELS = (0.001, 0.01, 0.05)
"""Unserved shares at which costs are compared."""

OURS = "ours"
RIVALS = ("reactive", "reactive_tuned", "clairvoyant")

LEAST_GAP = 0.001
"""Share of a reference's cost below which there is no gap towards the clairvoyant to speak of."""

_MEASURES = (
    *("billed_unit_hours", "unserved_share", "idle_share", "utilization", "starts_per_day", "worst_day"),
    *("under_provisioned_minutes", "tau_u", "tau_o", "theta_u", "theta_o", "instability", "waiting_unit_hours"),
)

SCORES: Schema = {
    "target": pl.String,
    "policy": pl.String,
    "setting": pl.String,
    "billed_unit_hours": pl.Float64,  # starts included, at their price in unit-hours
    "cost": pl.Float64,  # money
    **dict.fromkeys(_MEASURES[1:], pl.Float64),  # as in Measured
    "on_frontier": pl.Boolean,  # no other setting of the policy beats it
}


@dataclass(frozen=True)
class Comparison:
    """Policies over the same recorded demand.

    Attributes:
        scores: a row for each target (and all targets), policy and setting; columns of :data:`SCORES`.
        decisions: the scored steps of settings on a frontier; :data:`DECISIONS`; may be empty.
        step: of the replay.
        lead_time: from request to usable capacity that a planner has to assume.
        scored_from: start of the first scored step.
        scored_until: end of the last one.
        outcomes: by policy, the day sums behind the scores; empty where they were not kept.
        targets: in the recording's order.
        prices: of a unit-hour, by target.
        left_alone: targets that were judged unsuitable; ours is plain reactive there.
        terms: what capacity does and costs.
    """

    scores: pl.DataFrame
    decisions: pl.DataFrame
    step: timedelta
    lead_time: timedelta
    scored_from: datetime
    scored_until: datetime
    outcomes: Mapping[str, Outcome] = field(default_factory=dict)
    targets: tuple[str, ...] = ()
    prices: Mapping[str, float] = field(default_factory=dict)
    left_alone: tuple[str, ...] = ()
    terms: Terms | None = None


def compare(
    recording: Recording,
    policies: Iterable[Policy],
    prices: Mapping[str, float] | None = None,
    *,
    left_alone: Sequence[str] = (),
    keep: int = 40,
) -> Comparison:
    """Replays every policy with all its settings and scores them, decisions and all in memory.

    Args:
        recording: what happened.
        policies: what might have been done about it.
        prices: of a unit-hour by target; 1 where none is given, and 1 for all where all are free.
        left_alone: targets that were judged unsuitable.
        keep: settings a policy and target whose decisions are kept, spread along its frontier.
    """
    kept = [empty(DECISIONS)]
    outcomes = [run_policy(recording, policy, keep=keep, sink=kept.append) for policy in policies]
    return comparison_of(recording, outcomes, prices, left_alone=left_alone, decisions=pl.concat(kept))


def comparison_of(
    recording: Recording,
    outcomes: Iterable[Outcome],
    prices: Mapping[str, float] | None = None,
    *,
    left_alone: Sequence[str] = (),
    decisions: pl.DataFrame | None = None,
) -> Comparison:
    """Scores what came of several policies over one recording.

    Raises :class:`InputError` where an outcome is of other targets.
    """
    price = {target: (prices or {}).get(target, 1.0) for target in recording.targets}
    if not any(price.values()):
        price = dict.fromkeys(price, 1.0)
    held = {outcome.policy: outcome for outcome in outcomes}
    scores = [empty(SCORES)]
    for outcome in held.values():
        outcome.place(recording.targets)
        scores += [_rows(outcome.policy, block, price) for block in outcome.blocks]
        scores.append(_pooled_rows(outcome, price))
    order = {target: i for i, target in enumerate((*recording.targets, ALL_TARGETS))}
    return Comparison(
        scores=pl.concat(scores),
        decisions=empty(DECISIONS) if decisions is None else decisions,
        step=recording.step,
        lead_time=recording.lead_time,
        scored_from=recording.at(recording.scored_from),
        scored_until=recording.at(recording.steps),
        outcomes=held,
        targets=tuple(recording.targets),
        prices=price,
        left_alone=tuple(sorted(left_alone, key=lambda target: order.get(target, len(order)))),
        terms=recording.terms,
    )


def _rows(policy: str, block: Block, price: Mapping[str, float]) -> pl.DataFrame:
    """SCORES rows of a block, settings outermost."""
    settings, targets, measured = block.settings, block.targets, block.measured
    cost = measured.billed_unit_hours * np.array([price[target] for target in targets])
    return pl.DataFrame(
        {
            "target": list(targets) * len(settings),
            "policy": [policy] * len(settings) * len(targets),
            "setting": [setting for setting in settings for _ in targets],
            "cost": cost.ravel(),
            **{name: np.asarray(getattr(measured, name), dtype=float).ravel() for name in _MEASURES},
            "on_frontier": on_frontier(measured.unserved_share, measured.billed_unit_hours).ravel(),
        }
    ).select(pl.col(name).cast(kind) for name, kind in SCORES.items())


def _pooled_rows(outcome: Outcome, price: Mapping[str, float]) -> pl.DataFrame:
    """SCORES rows over all targets."""
    if not outcome.targets:
        return empty(SCORES)
    both = pooled(outcome, price, planned=outcome.policy == OURS)
    rows = {name: np.asarray(getattr(both.plain, name), dtype=float)[:, 0] for name in _MEASURES}
    for name in ("unserved_share", "idle_share", "utilization", "worst_day"):
        rows[name] = getattr(both.weighed, name)[:, 0]
    cost = both.weighed.billed_unit_hours[:, 0]
    return pl.DataFrame(
        {
            "target": [ALL_TARGETS] * len(both.names),
            "policy": [outcome.policy] * len(both.names),
            "setting": both.names,
            "cost": cost,
            **rows,
            "starts_per_day": both.starts_per_day,
            "on_frontier": on_frontier(rows["unserved_share"], cost),
        }
    ).select(pl.col(name).cast(kind) for name, kind in SCORES.items())


def frontier(scores: pl.DataFrame, policy: str, target: str = ALL_TARGETS) -> pl.DataFrame:
    """The policy's settings that are worth having, unserved share rising and cost falling."""
    return scores.filter(pl.col("policy") == policy, pl.col("target") == target, "on_frontier").sort("unserved_share")


def at_unserved(front: pl.DataFrame, share: float, column: str = "cost") -> float | None:
    """``column`` along a frontier at an unserved share; None where no setting serves so much.

    Beyond its loosest setting a policy pays what that costs.
    """
    if front.is_empty() or share < front["unserved_share"][0] - EDGE:
        return None
    return float(np.interp(share, front["unserved_share"].to_numpy(), front[column].to_numpy()))


def at_cost(front: pl.DataFrame, cost: float) -> float | None:
    """The unserved share along a frontier at a cost; None where no setting is so cheap."""
    if front.is_empty() or cost < front["cost"][-1] * (1 - EDGE) - EDGE:
        return None
    rising = front.sort("cost")
    return float(np.interp(cost, rising["cost"].to_numpy(), rising["unserved_share"].to_numpy()))


def savings(comparison: Comparison, levels: Sequence[float] = LEVELS) -> pl.DataFrame:
    """What ours cost and what the others would have, at the same unserved share; losses are negative.

    A row for each target (and all) and basis. Basis "as planned": our own setting, at the share it left
    unserved; the others read off their frontiers there. Over all targets that is the sum of the targets' own: each
    rival has the setting that suits each target best, and serves each as well as ours did. Basis "frontier":
    everyone read off a frontier, at each level.

    Returns:
        target, basis, unserved_share, cost of ``ours`` and of each of :data:`RIVALS` (money),
        ``saved_<rival>`` (share of the rival's cost), ``gap_closed`` (from tuned reactive, 0, to
        clairvoyant, 1), ``unserved_<rival>`` (their share at our cost). Null where a policy does not
        reach it or was not run.
    """
    rows = []
    scores = comparison.scores
    summed = _summed(scores)
    for target in scores["target"].unique(maintain_order=True):
        fronts = {policy: frontier(scores, policy, target) for policy in (OURS, *RIVALS)}
        planned = without_hindsight(scores).filter(pl.col("target") == target)
        for cost, share in planned.select("cost", "unserved_share").iter_rows():
            costs = summed if target == ALL_TARGETS else _costs(fronts, share)
            rows.append(_saving(target, AS_PLANNED, share, cost, costs, fronts))
        rows.extend(
            _saving(target, "frontier", level, at_unserved(fronts[OURS], level), _costs(fronts, level), fronts)
            for level in levels
        )
    return pl.DataFrame(rows, schema=savings_schema())


def without_hindsight(scores: pl.DataFrame) -> pl.DataFrame:
    """The rows of ours as planned: a setting for each target, and their sum over all."""
    return scores.filter(pl.col("policy") == OURS, pl.col("setting").is_in(PLANNED))


def savings_schema() -> Schema:
    """Columns of :func:`savings`."""
    numbers = (
        "unserved_share",
        OURS,
        *RIVALS,
        *(f"saved_{rival}" for rival in RIVALS),
        "gap_closed",
        *(f"unserved_{rival}" for rival in RIVALS),
    )
    return {"target": pl.String, "basis": pl.String, **dict.fromkeys(numbers, pl.Float64)}


def _costs(fronts: Mapping[str, pl.DataFrame], share: float) -> dict[str, float | None]:
    """What each rival pays at an unserved share."""
    return {rival: at_unserved(fronts[rival], share) for rival in RIVALS}


def _summed(scores: pl.DataFrame) -> dict[str, float | None]:
    """What each rival pays over all targets, each at the share that ours left unserved there; null if one cannot."""
    planned = without_hindsight(scores).filter(pl.col("target") != ALL_TARGETS).select("target", "unserved_share")
    totals: dict[str, float | None] = {}
    for rival in RIVALS:
        costs = [at_unserved(frontier(scores, rival, target), share) for target, share in planned.iter_rows()]
        known = [cost for cost in costs if cost is not None]
        totals[rival] = sum(known) if known and len(known) == len(costs) else None
    return totals


def _saving(
    target: str,
    basis: str,
    share: float,
    cost: float | None,
    costs: Mapping[str, float | None],
    fronts: Mapping[str, pl.DataFrame],
) -> dict[str, str | float | None]:
    tuned, bound = costs["reactive_tuned"], costs["clairvoyant"]
    gap = tuned - bound if tuned is not None and bound is not None else 0.0
    return {
        "target": target,
        "basis": basis,
        "unserved_share": share,
        OURS: cost,
        **costs,
        **{f"saved_{rival}": _saved(cost, costs[rival]) for rival in RIVALS},
        "gap_closed": (tuned - cost) / gap if cost is not None and tuned and gap > LEAST_GAP * tuned else None,
        **{f"unserved_{rival}": None if cost is None else at_cost(fronts[rival], cost) for rival in RIVALS},
    }


def _saved(cost: float | None, rival: float | None) -> float | None:
    return None if cost is None or not rival else 1 - cost / rival
