"""Recurrence: when activations start, by hour of the week and by event."""

from typing import Final

import numpy as np
import polars as pl

from persona_platform.personas.record import REQUIREMENT_QUANTILES, EventUplift, Recurrence

HOURS: Final = 168
EVENT_PRIOR: Final = 4.0
"""Activations' worth of belief that an event changes nothing."""
LEAST_PRIOR: Final = 2.0
"""Member-hours that the prior of an hour of the week weighs at least: two weeks of one member."""


def intensity(starts: np.ndarray, exposure: np.ndarray) -> np.ndarray:
    """Starts per member and hour for each hour of the week (168), shrunk to the day's mean.

    ``starts`` counts, ``exposure`` is member-hours read. Rates are gamma between hours and counts Poisson
    within them; the prior's weight is from the variance that Poisson counts leave unexplained, by moments.
    """
    total = exposure.sum()
    if total <= 0:
        return np.zeros(HOURS)
    flat = starts.sum() / total
    days = _shrunk(starts.reshape(7, 24).sum(axis=1), exposure.reshape(7, 24).sum(axis=1), np.full(7, flat))
    return _shrunk(starts, exposure, np.repeat(days, 24))


def _shrunk(counts: np.ndarray, exposure: np.ndarray, prior: np.ndarray) -> np.ndarray:
    """Gamma-Poisson posterior means of rates with prior means ``prior``."""
    seen = exposure > 0
    rate = np.divide(counts, exposure, out=prior.astype(float).copy(), where=seen)
    noise = np.divide(prior, exposure, out=np.zeros(len(prior)), where=seen)
    between = max(float((np.square(rate - prior) - noise)[seen].mean()) if seen.any() else 0.0, 0.0)
    mean = float(prior.mean())
    weight = max(mean / between if between > 0 else np.inf, LEAST_PRIOR)
    if np.isinf(weight):
        return prior.astype(float)
    return (counts + weight * prior) / (exposure + weight)


def recurrence(starts: pl.DataFrame, exposure: np.ndarray, event_hours: pl.DataFrame, slot_hours: float) -> Recurrence:
    """The recurrence of one persona.

    ``starts`` has ``workload_id, start, hour_of_week`` of its activations whose start was seen;
    ``exposure`` is member-hours read by hour of the week; ``event_hours`` has ``kind, hour_of_week, slots,
    starts``: its members' slots read while events of a kind lasted, and the activations that started in them.
    """
    counts = np.bincount(starts["hour_of_week"].to_numpy(), minlength=HOURS).astype(float)
    rates = intensity(counts, exposure)
    gaps = (
        starts.sort("workload_id", "start")
        .select(pl.col("start").diff().over("workload_id").dt.total_seconds())["start"]
        .drop_nulls()
    )
    quantiles = [float(gaps.quantile(q, "linear") or 0.0) for q in REQUIREMENT_QUANTILES] if len(gaps) else []
    uplifts = [
        _uplift(str(kind), part, counts, exposure, slot_hours)
        for (kind,), part in event_hours.sort("kind").group_by("kind", maintain_order=True)
    ]
    even = [float(r) for r in rates]
    return Recurrence(even, even, even, uplifts, quantiles, 0.0, 0.0)


def _uplift(
    kind: str, during: pl.DataFrame, counts: np.ndarray, exposure: np.ndarray, slot_hours: float
) -> EventUplift:
    """Starts during a kind of event over those expected from the same hours without it, shrunk to 1."""
    from scipy.special import gammaincinv

    hours = during["hour_of_week"].to_numpy()
    inside = np.bincount(hours, during["slots"].to_numpy(), minlength=HOURS) * slot_hours
    started = np.bincount(hours, during["starts"].to_numpy(), minlength=HOURS)
    expected = float(intensity(counts - started, np.maximum(exposure - inside, 0.0)) @ inside)
    shape, scale = float(started.sum()) + EVENT_PRIOR, 1.0 / (expected + EVENT_PRIOR)
    low, high = gammaincinv(shape, [0.025, 0.975]) * scale
    return EventUplift(kind, shape * scale, float(low), float(high), 1.0, 1.0, 1.0, 0, int(started.sum()))
