"""Policies compared: frontiers, cost at equal unserved share and the other way round, what was saved.

A frontier is what a policy reaches when it may pick its setting after the fact, straight lines between
settings. That is generous, and equally so to all policies. A level that no setting reaches stays null.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
import polars as pl

from persona_platform.replay.engine import Measured, Recording, decision_rows, measure, serve
from persona_platform.replay.ours import AS_PLANNED
from persona_platform.replay.policies import Policy

ALL_TARGETS = "all targets"
"""The pooled rows: every unit weighs its price."""

LEVELS = (0.001, 0.01, 0.05)
"""Unserved shares at which costs are compared."""

OURS = "ours"
RIVALS = ("reactive", "reactive_tuned", "clairvoyant")

SCORES: Mapping[str, pl.DataType | type[pl.DataType]] = {
    "target": pl.String,
    "policy": pl.String,
    "setting": pl.String,
    "billed_unit_hours": pl.Float64,
    "cost": pl.Float64,  # money
    "unserved_share": pl.Float64,
    "idle_share": pl.Float64,
    "starts_per_day": pl.Float64,
    "worst_day": pl.Float64,
    "under_provisioned_minutes": pl.Float64,
    "on_frontier": pl.Boolean,
}
DECISIONS: Mapping[str, pl.DataType | type[pl.DataType]] = {
    "target": pl.String,
    "policy": pl.String,
    "setting": pl.String,
    "ts": pl.Datetime("us", "UTC"),
    "demand": pl.Float64,
    "capacity": pl.Float64,
    "billed": pl.Float64,
    "lead_time_s": pl.Float64,
}


@dataclass(frozen=True)
class Comparison:
    """Policies over the same recorded demand.

    Attributes:
        scores: a row for each target (and all targets), policy and setting; columns of :data:`SCORES`.
        decisions: the scored steps of the settings on a frontier, at most 40 a policy; :data:`DECISIONS`.
        step: of the replay.
        lead_time: from request to usable capacity; rounded up to whole steps.
        scored_from: start of the first scored step.
        scored_until: end of the last one.
    """

    scores: pl.DataFrame
    decisions: pl.DataFrame
    step: timedelta
    lead_time: timedelta
    scored_from: datetime
    scored_until: datetime


def compare(
    recording: Recording,
    policies: Iterable[Policy],
    prices: Mapping[str, float] | None = None,
    *,
    keep: int = 40,
) -> Comparison:
    """Replays every policy with all its settings and scores them.

    Args:
        recording: what happened.
        policies: what might have been done about it.
        prices: of a unit-hour by target; 1 where none is given, and 1 for all where all are free.
        keep: settings a policy whose decisions are kept, spread along its frontier.
    """
    price = np.array([(prices or {}).get(target, 1.0) for target in recording.targets])
    price = price if price.any() else np.ones_like(price)
    scores, decisions = [], []
    for policy in policies:
        settings = policy.settings(recording)
        served = serve(recording.demand, policy.desired(recording), step=recording.step, lead_time=recording.lead_time)
        measured = measure(served, recording)
        rows = pl.concat(
            [
                _rows(measured, recording.targets, price, policy.name, settings),
                _rows(
                    measured.pooled(price),
                    (ALL_TARGETS,),
                    np.ones(1),
                    policy.name,
                    settings,
                    unpooled=measured,
                ),
            ]
        )
        rows = _mark_frontier(rows)
        scores.append(rows)
        decisions.append(decision_rows(served, recording, policy.name, _kept(rows, settings, keep)))
    return Comparison(
        scores=pl.concat(scores) if scores else pl.DataFrame(schema=dict(SCORES)),
        decisions=pl.concat(decisions) if decisions else pl.DataFrame(schema=dict(DECISIONS)),
        step=recording.step,
        lead_time=recording.lead_time,
        scored_from=recording.at(recording.scored_from),
        scored_until=recording.at(recording.steps),
    )


def _rows(
    measured: Measured,
    targets: Sequence[str],
    price: np.ndarray,
    policy: str,
    settings: Sequence[str],
    *,
    unpooled: Measured | None = None,
) -> pl.DataFrame:
    """SCORES rows, settings outermost. Pooled sums are money; their unit-hours come from ``unpooled``."""
    hours = unpooled.billed_unit_hours.sum(-1, keepdims=True) if unpooled else measured.billed_unit_hours
    return pl.DataFrame(
        {
            "target": list(targets) * len(settings),
            "policy": [policy] * len(settings) * len(targets),
            "setting": [setting for setting in settings for _ in targets],
            "billed_unit_hours": hours.ravel(),
            "cost": (measured.billed_unit_hours * price).ravel(),
            "unserved_share": measured.unserved_share.ravel(),
            "idle_share": measured.idle_share.ravel(),
            "starts_per_day": measured.starts_per_day.ravel(),
            "worst_day": measured.worst_day.ravel(),
            "under_provisioned_minutes": measured.under_provisioned_minutes.ravel(),
            "on_frontier": [False] * len(settings) * len(targets),
        },
        schema=dict(SCORES),
    )


def _mark_frontier(rows: pl.DataFrame) -> pl.DataFrame:
    """Marks the settings that no other one of the policy beats on both cost and unserved share."""
    ordered = rows.with_row_index().sort("target", "unserved_share", "cost", "billed_unit_hours")
    cheaper = pl.col("cost") < pl.col("cost").cum_min().shift(1).over("target")
    marked = ordered.with_columns(on_frontier=cheaper.fill_null(value=True))
    return marked.sort("index").drop("index")


def _kept(rows: pl.DataFrame, settings: Sequence[str], keep: int) -> dict[int, str]:
    """Index and name of at most ``keep`` settings on the frontier of all targets, evenly along it."""
    on = rows.filter(pl.col("target") == ALL_TARGETS, "on_frontier").sort("unserved_share")["setting"].to_list()
    planned = [AS_PLANNED] if AS_PLANNED in settings and AS_PLANNED not in on else []
    room = max(1, keep - len(planned))
    if len(on) > room:
        on = [on[i] for i in np.unique(np.linspace(0, len(on) - 1, room).round().astype(int))]
    return {settings.index(name): name for name in (*planned, *on)}


def frontier(scores: pl.DataFrame, policy: str, target: str = ALL_TARGETS) -> pl.DataFrame:
    """The policy's settings that are worth having, unserved share rising and cost falling."""
    return scores.filter(pl.col("policy") == policy, pl.col("target") == target, "on_frontier").sort("unserved_share")


def at_unserved(front: pl.DataFrame, share: float, column: str = "cost") -> float | None:
    """``column`` along a frontier at an unserved share; None where no setting serves so much.

    Beyond its loosest setting a policy pays what that costs.
    """
    if front.is_empty() or share < front["unserved_share"][0] - 1e-12:
        return None
    return float(np.interp(share, front["unserved_share"].to_numpy(), front[column].to_numpy()))


def at_cost(front: pl.DataFrame, cost: float) -> float | None:
    """The unserved share along a frontier at a cost; None where no setting is so cheap."""
    if front.is_empty() or cost < front["cost"][-1] - 1e-12:
        return None
    rising = front.sort("cost")
    return float(np.interp(cost, rising["cost"].to_numpy(), rising["unserved_share"].to_numpy()))


def savings(comparison: Comparison, levels: Sequence[float] = LEVELS) -> pl.DataFrame:
    """What ours cost and what the others would have, at the same unserved share; losses are negative.

    A row for each target (and all) and basis. Basis "as planned": our own setting, at the share it left
    unserved; the others read off their frontiers there. Over all targets that is the sum of the targets' own: each
    rival has the setting that suits each target best, and serves each as well as ours did. Basis "frontier":
    everyone read off a frontier, at each level; over all targets with one setting for all.

    Returns:
        target, basis, unserved_share, cost of ``ours`` and of each of :data:`RIVALS` (money),
        ``saved_<rival>`` (share of the rival's cost), ``gap_closed`` (from tuned reactive, 0, to
        clairvoyant, 1), ``unserved_<rival>`` (their share at our cost). Null where a policy does not
        reach it or was not run.
    """
    rows = []
    summed = _summed(comparison.scores)
    for target in comparison.scores["target"].unique(maintain_order=True):
        fronts = {policy: frontier(comparison.scores, policy, target) for policy in (OURS, *RIVALS)}
        planned = comparison.scores.filter(
            pl.col("target") == target, pl.col("policy") == OURS, pl.col("setting") == AS_PLANNED
        )
        for cost, share in planned.select("cost", "unserved_share").iter_rows():
            costs = summed if target == ALL_TARGETS else _costs(fronts, share)
            rows.append(_saving(target, AS_PLANNED, share, cost, costs, fronts))
        rows.extend(
            _saving(target, "frontier", level, at_unserved(fronts[OURS], level), _costs(fronts, level), fronts)
            for level in levels
        )
    return pl.DataFrame(rows, schema=savings_schema())


def savings_schema() -> dict[str, pl.DataType | type[pl.DataType]]:
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
    planned = scores.filter(
        pl.col("policy") == OURS, pl.col("setting") == AS_PLANNED, pl.col("target") != ALL_TARGETS
    ).select("target", "unserved_share")
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
        # Below a thousandth of the tuned cost there is no gap to speak of.
        "gap_closed": (tuned - cost) / gap if cost is not None and tuned and gap > 0.001 * tuned else None,
        **{f"unserved_{rival}": None if cost is None else at_cost(fronts[rival], cost) for rival in RIVALS},
    }


def _saved(cost: float | None, rival: float | None) -> float | None:
    return None if cost is None or not rival else 1 - cost / rival
