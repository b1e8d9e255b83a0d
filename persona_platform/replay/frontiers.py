"""What a policy reaches when it may pick its setting after the fact: cost against the share of demand left unserved.

A frontier is the settings that no other of the same policy beats, with straight lines between them. Picking
afterwards is generous, and equally so to every policy. Arrays are (S, ...): settings first, then whatever is swept
beside them (targets, replicates of a bootstrap); unserved shares and costs have the same shape.
"""

from collections.abc import Sequence

import numpy as np

EDGE = 1e-12
"""Relative and absolute: a level missed by less is reached, the rest being rounding."""

MOST_MULTIPLIERS = 100
"""Points of a frontier over many targets; their hulls have thousands of corners together."""


def on_frontier(unserved: np.ndarray, cost: np.ndarray) -> np.ndarray:
    """(S, ...) whether no other setting has as little unserved at a lower cost, or less unserved at the same.

    Of settings that are the same in both, the first one counts.
    """
    order = np.lexsort((cost, unserved), axis=0)
    ordered = np.take_along_axis(cost, order, axis=0)
    best = np.ones(ordered.shape, dtype=bool)
    best[1:] = ordered[1:] < np.minimum.accumulate(ordered, axis=0)[:-1]
    marked = np.empty_like(best)
    np.put_along_axis(marked, order, best, axis=0)
    return marked


def along(given: np.ndarray, wanted: np.ndarray, at: np.ndarray | float) -> np.ndarray:
    """``wanted`` where ``given`` is ``at``, on the frontier of the two; lower is better in both.

    ``along(unserved, cost, 0.01)`` is the cost at 1 % unserved, ``along(cost, unserved, 500.0)`` the unserved share
    at a cost of 500. It never rises with ``at``. NaN where no setting is so low; beyond the largest ``given`` of the
    frontier it stays at the best of ``wanted``.

    Args:
        given: (S, ...) unserved shares or costs.
        wanted: (S, ...) the other of the two.
        at: (...) or one number.
    """
    lowest = given.min(axis=0, initial=np.inf)
    at = np.where(lowest <= at + EDGE * (1.0 + np.abs(at)), np.maximum(at, lowest), at)
    inside = given <= at
    left = np.where(inside, wanted, np.inf).min(axis=0, initial=np.inf)
    left_at = np.where(inside & (wanted == left), given, np.inf).min(axis=0, initial=np.inf)
    beyond = ~inside & (wanted < left)
    right_at = np.where(beyond, given, np.inf).min(axis=0, initial=np.inf)
    right = np.where(beyond & (given == right_at), wanted, np.inf).min(axis=0, initial=np.inf)
    with np.errstate(invalid="ignore"):  # infinite where there is nothing on a side; sorted out below
        line = left + (at - left_at) / (right_at - left_at) * (right - left)
    return np.where(np.isfinite(left), np.where(np.isfinite(right), line, left), np.nan)


def cheapest_within(unserved: np.ndarray, cost: np.ndarray, share: float) -> np.ndarray:
    """(...) index of the cheapest setting that leaves no more than ``share`` unserved; -1 where none does."""
    if not len(cost):
        return np.full(cost.shape[1:], -1)
    allowed = np.where(unserved <= share + EDGE, cost, np.inf)
    return np.where(np.isfinite(allowed.min(axis=0)), allowed.argmin(axis=0), -1)


def hull(unserved: np.ndarray, cost: np.ndarray) -> np.ndarray:
    """Indices of the settings on the lower left convex hull, unserved rising; arguments are (S,)."""
    front = np.flatnonzero(on_frontier(unserved, cost))
    kept: list[int] = []
    for i in front[np.argsort(unserved[front])]:
        while len(kept) > 1 and _exchange(unserved, cost, kept[-2], kept[-1]) <= _exchange(unserved, cost, kept[-1], i):
            kept.pop()
        kept.append(int(i))
    return np.array(kept, dtype=int)


def _exchange(unserved: np.ndarray, cost: np.ndarray, tight: int, loose: int) -> float:
    """What is saved for each unit more that is left unserved, going from a tight setting to a looser one."""
    return (cost[tight] - cost[loose]) / (unserved[loose] - unserved[tight])


def best_for_all(
    unserved: Sequence[np.ndarray], cost: Sequence[np.ndarray], most: int = MOST_MULTIPLIERS
) -> tuple[np.ndarray, np.ndarray]:
    """The settings that are best together: for each price of what is unserved, each target's own best.

    With every target minimizing cost + multiplier * unserved, the sums over the targets lie on the lower hull of
    what the policy can reach in all; every corner is found, up to ``most`` of them.

    Args:
        unserved: for each target (S,) what is unserved, in unit-hours.
        cost: for each target (S,) what is billed, in unit-hours; the numbers of settings may differ.
        most: number of corners; of more, evenly spaced ones.

    Returns:
        multipliers (M,), rising, and the index of each target's setting, (M, T).
    """
    hulls = [hull(*target) for target in zip(unserved, cost, strict=True)]
    edges = []
    for corners, left, paid in zip(hulls, unserved, cost, strict=True):
        edges.append(-np.diff(paid[corners]) / np.diff(left[corners]))  # falling: the dearest unit is served last
    bends = np.unique(np.concatenate(edges)) if edges else np.zeros(0)
    if len(bends) >= most:
        bends = bends[np.unique(np.linspace(0, len(bends) - 1, most - 1).round().astype(int))]
    multipliers = np.ones(1)
    if len(bends):
        multipliers = np.concatenate([[bends[0] / 2], np.sqrt(bends[:-1] * bends[1:]), [2 * bends[-1]]])
    picks = [
        corners[len(bend) - np.searchsorted(bend[::-1], multipliers)]
        for corners, bend in zip(hulls, edges, strict=True)
    ]
    return multipliers, np.stack(picks, axis=1) if picks else np.zeros((len(multipliers), 0), dtype=int)
