"""Ours against each rival, target by target: ratios of cost, how sure they are, and whether luck explains them."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from persona_platform.replay.bootstrap import (
    Resamples,
    cost_ratio,
    estimate,
    gap_closed,
    median,
    redrawn,
    total_ratio,
)
from persona_platform.replay.scores import LEAST_GAP, OURS

BOUND = "clairvoyant"

TIE = 0.01
"""Costs closer than this share are neither won nor lost: a frontier is not known finer."""

FEWEST_PAIRS = 6
"""Below this many pairs no signed rank test reaches 5 %, however they fall."""


def overall(
    costs: Mapping[str, np.ndarray],
    redone: Mapping[str, np.ndarray],
    drawn: Resamples,
    price: np.ndarray,
    levels: Sequence[float],
) -> list[dict[str, Any]]:
    """A row for each level and rival, as :func:`persona_platform.replay.summary.summary` says.

    Args:
        costs: by policy, (levels, targets, 1) unit-hours as they were.
        redone: by policy, (levels, targets, R), with each replicate's days.
        drawn: the replicates.
        price: (targets, 1) of a unit-hour.
        levels: unserved shares.
    """
    if OURS not in costs:
        return []
    rows = []
    for i, level in enumerate(levels):
        at = [
            {
                "level": level,
                "rival": rival,
                **_against(rival, i, costs),
                **_intervals(rival, i, costs, redone, drawn, price),
            }
            for rival in costs
            if rival != OURS
        ]
        for row, corrected in zip(at, holm([row["p"] for row in at]), strict=True):
            row["p_holm"] = corrected
        rows += at
    return rows


def _against(rival: str, i: int, costs: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """Counts of targets, and the test."""
    ours, theirs = costs[OURS][i, :, 0], costs[rival][i, :, 0]
    reach, reaches = ~np.isnan(ours), ~np.isnan(theirs)
    ratio = cost_ratio(ours, theirs)
    tested = rival != BOUND and not rival.startswith(f"{OURS}_")
    return {
        "targets": (reach & reaches).sum(),
        "only_ours": (reach & ~reaches).sum(),
        "only_rival": (reaches & ~reach).sum(),
        "neither": (~reach & ~reaches).sum(),
        "wins": (ratio < 1 - TIE).sum(),
        "losses": (ratio > 1 + TIE).sum(),
        "ties": (np.abs(ratio - 1) <= TIE).sum() + (reach & reaches & np.isnan(ratio)).sum(),
        "p": signed_rank(ratio) if tested else None,
    }


def _intervals(
    rival: str,
    i: int,
    costs: Mapping[str, np.ndarray],
    redone: Mapping[str, np.ndarray],
    drawn: Resamples,
    price: np.ndarray,
) -> dict[str, Any]:
    ours, theirs = costs[OURS][i], costs[rival][i]
    ours_again, theirs_again = redrawn(redone[OURS][i], drawn), redrawn(redone[rival][i], drawn)
    gaps, gaps_again = np.full_like(ours, np.nan), np.full_like(ours_again, np.nan)
    if BOUND in costs:
        gaps = gap_closed(ours, theirs, costs[BOUND][i], LEAST_GAP)
        gaps_again = gap_closed(ours_again, theirs_again, redrawn(redone[BOUND][i], drawn), LEAST_GAP)
    price_again = redrawn(np.broadcast_to(price, redone[OURS][i].shape), drawn)
    found = {
        "cost_ratio": (median(cost_ratio(ours, theirs)), median(cost_ratio(ours_again, theirs_again))),
        "gap_closed": (median(gaps), median(gaps_again)),
        "total_cost_ratio": (total_ratio(ours, theirs, price), total_ratio(ours_again, theirs_again, price_again)),
    }
    named = {}
    for name, (value, values) in found.items():
        named |= estimate(value[0], values, drawn).named(name)
    return {**named, "gap_targets": (~np.isnan(gaps)).sum()}


def signed_rank(ratio: np.ndarray) -> float | None:
    """The p of a two-sided Wilcoxon signed rank test: do the logarithms lie around zero?

    Targets where both pay the same, as those left alone against plain reactive, say nothing either way and are left
    out (Wilcoxon 1945). Ranked as by Pratt they would lower p in the normal approximation: six wins beside thirty of
    them came to 0.014, where no six wins can be below 2 / 64. None for fewer than :data:`FEWEST_PAIRS` others, 1 where
    there are none.
    """
    from scipy.stats import wilcoxon

    known = np.log(ratio[np.isfinite(ratio) & (ratio > 0)])
    logs = known[np.abs(known) > 1e-9]
    if len(known) >= FEWEST_PAIRS and not len(logs):
        return 1.0
    if len(logs) < FEWEST_PAIRS:
        return None
    _, p = np.asarray(wilcoxon(logs))
    return float(p)


def holm(ps: Sequence[float | None]) -> list[float | None]:
    """Holm's step-down correction; what was not tested stays None and counts for nothing."""
    order = sorted((p, i) for i, p in enumerate(ps) if p is not None)
    corrected: list[float | None] = [None] * len(ps)
    least = 0.0
    for rank, (p, i) in enumerate(order):
        least = max(least, min(1.0, p * (len(order) - rank)))
        corrected[i] = least
    return corrected
