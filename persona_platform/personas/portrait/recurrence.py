"""Recurrence: when activations start, by hour of the week and by event, and at which rhythm."""

from typing import Final

import numpy as np
import polars as pl

from persona_platform.personas.portrait.rhythm import Begun, rhythm
from persona_platform.personas.portrait.uplift import NeedUplift
from persona_platform.personas.record import REQUIREMENT_QUANTILES, EventUplift, Recurrence

HOURS: Final = 168
EVENT_PRIOR: Final = 4.0
"""Activations' worth of belief that an event of a kind changes what it changes for other personas."""
STRANGERS: Final = 3.0
"""Personas' worth of belief that events of a kind change nothing."""
LEAST_PRIOR: Final = 2.0
"""Member-hours that the prior of an hour of the week weighs at least: two weeks of one member."""
INTERVAL: Final = (0.025, 0.975)


def intensity(starts: np.ndarray, exposure: np.ndarray) -> np.ndarray:
    """Starts per member and hour for each hour of the week (168), shrunk to the day's mean.

    ``starts`` counts, ``exposure`` is member-hours read. Rates are gamma between hours and counts Poisson
    within them; the prior's weight is from the variance that Poisson counts leave unexplained, by moments.
    """
    shape, weight = _posterior(starts, exposure)
    return shape / np.maximum(weight, 1e-12)


def intensity_interval(starts: np.ndarray, exposure: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The 95 % interval of each hour's rate in :func:`intensity`."""
    from scipy.special import gammaincinv

    shape, weight = _posterior(starts, exposure)
    none = shape <= 0
    low, high = (np.where(none, 0.0, gammaincinv(np.maximum(shape, 1e-9), p)) for p in INTERVAL)
    # Nothing was ever seen to start: at most what would still have been missed with 2.5 %.
    high = np.where(none, -np.log(INTERVAL[0]), high)
    weight = np.maximum(weight, 1e-12)
    return low / weight, np.where(exposure.sum() > 0, high / weight, 0.0)


def _posterior(starts: np.ndarray, exposure: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Shape and inverse scale of each hour's gamma posterior."""
    total = exposure.sum()
    if total <= 0:
        return np.zeros(HOURS), np.zeros(HOURS)
    flat = np.full(7, starts.sum() / total)
    shape, weight = _shrunk(starts.reshape(7, 24).sum(axis=1), exposure.reshape(7, 24).sum(axis=1), flat)
    return _shrunk(starts, exposure, np.repeat(shape / weight, 24))


def _shrunk(counts: np.ndarray, exposure: np.ndarray, prior: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Gamma-Poisson posteriors of rates with prior means ``prior``: shapes and inverse scales."""
    seen = exposure > 0
    rate = np.divide(counts, exposure, out=prior.astype(float).copy(), where=seen)
    noise = np.divide(prior, exposure, out=np.zeros(len(prior)), where=seen)
    between = max(float((np.square(rate - prior) - noise)[seen].mean()) if seen.any() else 0.0, 0.0)
    mean = float(prior.mean())
    weight = max(mean / between if between > 0 else np.inf, LEAST_PRIOR)
    if np.isinf(weight):  # counts as Poisson alone makes them: all hours speak for each
        weight = max(float(exposure.sum()), LEAST_PRIOR)
        return weight * prior.astype(float), np.full(len(prior), weight)
    return counts + weight * prior, exposure + weight


def recurrence(starts: pl.DataFrame, exposure: np.ndarray, uplifts: list[EventUplift], slot_s: int) -> Recurrence:
    """The recurrence of one persona.

    ``starts`` has ``workload, start, hour_of_week, month_edge`` of its activations whose start was seen;
    ``exposure`` is member-hours read by hour of the week.
    """
    ordered = starts.sort("workload", "start")
    counts = np.bincount(ordered["hour_of_week"].to_numpy(), minlength=HOURS).astype(float)
    gaps = ordered.select(pl.col("start").diff().over("workload").dt.total_seconds())["start"].drop_nulls()
    low, high = intensity_interval(counts, exposure)
    period, regularity = rhythm(
        Begun(
            ordered["workload"].to_numpy().astype(np.int64),
            ordered["start"].dt.epoch("s").to_numpy(),
            ordered["hour_of_week"].to_numpy().astype(np.int64),
            ordered["month_edge"].to_numpy(),
        ),
        slot_s,
    )
    return Recurrence(
        intensity=intensity(counts, exposure).tolist(),
        low=low.tolist(),
        high=high.tolist(),
        uplifts=uplifts,
        inter_arrival_s=[float(gaps.quantile(q, "linear") or 0.0) for q in REQUIREMENT_QUANTILES] if len(gaps) else [],
        period_s=float(period),
        regularity=float(regularity),
    )


def event_uplifts(
    kinds: list[str], started: np.ndarray, expected: np.ndarray, events: np.ndarray, needs: list[list[NeedUplift]]
) -> list[list[EventUplift]]:
    """The uplifts of each persona, by kind of event.

    ``started`` and ``expected`` are (personas, kinds): starts during events, and those that the same hours of
    the week would have seen without; ``events`` counts the events that members were read in. What other personas
    saw of the kind is the belief that a persona begins with, and nothing is what all begin with.
    """
    from scipy.special import gammaincinv

    ratio = np.log((started + EVENT_PRIOR) / (expected + EVENT_PRIOR))
    seen = (expected + started) > 0
    others = np.where(seen, ratio, 0.0).sum(axis=0, keepdims=True) - np.where(seen, ratio, 0.0)
    count = seen.sum(axis=0, keepdims=True) - seen
    belief = np.exp(others / (count + STRANGERS))
    shape, weight = started + EVENT_PRIOR * belief, expected + EVENT_PRIOR
    low, high = (gammaincinv(shape, p) / weight for p in INTERVAL)
    return [
        [
            EventUplift(
                kind=kind,
                starts=float(shape[p, k] / weight[p, k]),
                starts_low=float(low[p, k]),
                starts_high=float(high[p, k]),
                need=needs[p][k].ratio,
                need_low=needs[p][k].low,
                need_high=needs[p][k].high,
                events=int(events[p, k]),
                activations=int(started[p, k]),
            )
            for k, kind in enumerate(kinds)
        ]
        for p in range(len(started))
    ]


def expected_starts(counts: np.ndarray, started: np.ndarray, exposure: np.ndarray, inside: np.ndarray) -> float:
    """Starts that the hours ``inside`` (168, member-hours of events) would have seen as ordinary hours."""
    return float(intensity(counts - started, np.maximum(exposure - inside, 0.0)) @ inside)
