"""Whether acting on the forecast is worth it for a target, from its training data alone.

A small replay over what the last refit held out: ours, with the target's limits, against plain reactive, both
over their settings. A target that gains nothing there is better left to its autoscaler.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

import numpy as np
import polars as pl

from persona_platform.capacity.planning import History, Sizing, Validated
from persona_platform.frames import SUITABILITY, conform, empty
from persona_platform.replay.engine import Recording, record
from persona_platform.replay.forward import validated_plans
from persona_platform.replay.frontiers import along
from persona_platform.replay.numbers import lasting, percent
from persona_platform.replay.ours import Ours, Setting
from persona_platform.replay.outcomes import run_policy
from persona_platform.replay.policies import Reactive
from persona_platform.replay.terms import Terms

LEAST_GAIN: Final = 0.01
"""Cheaper by less is within the noise of a week, and not worth another thing that can fail at night."""

SAME: Final = 0.0005
"""Costs closer than this share are told as the same."""

JUDGED: Final = tuple(Setting(kappa) for kappa in (0.8, 0.9, 0.95, 0.98, 0.99, 0.999))
"""Settings of ours that are compared: at the unserved share of each, and the mean of the ratios counts. One level
alone is decided by a few minutes of a few days."""


def suitability(
    history: History,
    sizing: Sizing,
    observed: pl.DataFrame,
    validated: Validated,
    limits: pl.DataFrame,
    *,
    until: datetime,
    terms: Terms,
) -> pl.DataFrame:
    """SUITABILITY of every target of the sizing.

    Args:
        history: zones and calendar; its needs are not looked at.
        sizing: targets and units.
        observed: OBSERVED demand; what is not before ``until`` is left out.
        validated: what the refit at ``until`` held out.
        limits: LIMITS of every target.
        until: end of the training data.
        terms: under which capacity comes; the verdict holds for their lead time.
    """
    names = tuple(sizing.targets["target"])
    past = observed.filter(pl.col("slot") < until)
    spans = _spans(past, names, limits, history.slot)
    gains = _gains(history, past, validated, limits, names, terms)
    relative = _relative(validated.backtest)
    rows = []
    for name in names:
        history_s, cycle_s, least_s = spans[name]
        gain = gains.get(name)
        suitable, reason = _verdict(history_s, least_s, gain, terms.planned_lead_time)
        rows.append(
            {
                "target": name,
                "suitable": suitable,
                "reason": reason,
                "history_s": history_s,
                "cycle_s": cycle_s,
                "relative": relative.get(name),
                "gain": gain,
                "lead_time_s": terms.planned_lead_time.total_seconds(),
            }
        )
    return conform(pl.DataFrame(rows, schema=SUITABILITY), SUITABILITY, "suitability") if rows else empty(SUITABILITY)


def _spans(
    past: pl.DataFrame, names: Sequence[str], limits: pl.DataFrame, slot: timedelta
) -> dict[str, tuple[int, int, int]]:
    """Each target's history, cycle and least history, in seconds, by the rules of plan and decision."""
    least = dict(limits.select("target", "min_history_s").iter_rows())
    read = (
        past.filter(pl.col("demand").is_finite()).group_by("target").agg(a=pl.col("slot").min(), b=pl.col("slot").max())
    )
    found = {name: (begin, end) for name, begin, end in read.iter_rows()}
    spans = {}
    for name in names:
        begin, end = found.get(name, (None, None))
        span = int((end - begin + slot).total_seconds()) if begin is not None else 0
        cycle = 604_800 if span >= 2 * 604_800 else 86_400
        spans[name] = (span, cycle, max(int(least.get(name) or 0), 2 * cycle))
    return spans


def _gains(
    history: History,
    past: pl.DataFrame,
    validated: Validated,
    limits: pl.DataFrame,
    names: Sequence[str],
    terms: Terms,
) -> dict[str, float]:
    """Share by which ours was cheaper than plain reactive over the held-out slots, at the same unserved shares."""
    plans = validated_plans(history, validated, past)
    if plans is None:
        return {}
    recording = record(past, step=history.slot, scored_from=plans.first, terms=terms, targets=names)
    # What the forecast learned from is no test of the guard for short histories: that one is judged above.
    free = limits.with_columns(min_history_s=pl.lit(0, pl.Int64))
    unserved, cost = _front(recording, Ours([plans], free, sweep=JUDGED))
    rival_unserved, rival_cost = _front(recording, Reactive())
    # Where reactive never serves so well, its best is still cheaper than serving as well would be.
    reached = np.maximum(unserved, rival_unserved.min(axis=0))
    rival = np.stack([along(rival_unserved, rival_cost, level) for level in reached])
    told = (rival > 0) & (cost > 0)
    ratios = np.log(np.divide(cost, rival, out=np.ones_like(cost), where=told))
    return {name: 1 - float(np.exp(ratios[:, i].mean())) for i, name in enumerate(names) if told[:, i].all()}


def _front(recording: Recording, policy: Ours | Reactive) -> tuple[np.ndarray, np.ndarray]:
    blocks = run_policy(recording, policy).blocks
    unserved = np.concatenate([block.measured.unserved_share for block in blocks], axis=1)
    return unserved, np.concatenate([block.measured.billed_unit_hours for block in blocks], axis=1)


def _relative(backtest: pl.DataFrame) -> dict[str, float]:
    """Pinball of the direct route at the operating quantile, relative to the better baseline's."""
    short = pl.col("actual") - pl.col("q_kappa")
    loss = pl.max_horizontal(pl.col("kappa") * short, (pl.col("kappa") - 1) * short)
    means = backtest.group_by("target", "route").agg(loss.mean().alias("loss"))
    found = {}
    for (name,), part in means.group_by("target"):
        of = dict(part.select("route", "loss").iter_rows())
        bar = min((of[route] for route in ("seasonal_naive", "persistence") if route in of), default=0.0)
        if "direct" in of and bar > 0:
            found[str(name)] = of["direct"] / bar
    return found


def _verdict(history_s: int, least_s: int, gain: float | None, lead: timedelta) -> tuple[bool, str]:
    if history_s < least_s:
        return False, f"{lasting(history_s)} of history; {lasting(least_s)} are needed."
    if gain is None:
        return False, "Too little was held out, or nothing was demanded there, so that nothing could be judged."
    against = f"plain reactive on held-out days, lead time {lasting(lead.total_seconds())}"
    if gain >= LEAST_GAIN:
        return True, f"{percent(gain)} cheaper than {against}."
    if abs(gain) < SAME:
        return False, f"Costs the same as {against}."
    if gain > 0:
        return False, f"{percent(gain)} cheaper than {against}; worth it from {percent(LEAST_GAIN)}."
    return False, f"{percent(-gain)} dearer than {against}."
