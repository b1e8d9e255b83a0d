"""The posterior of one newcomer: which peers it is like, at what level, and what it played so far.

Each peer says how likely every slot read so far is: the chance of each part at that place of the week, times how
well the height fits the part's, if the newcomer lies by a common factor above or below the peer. Slots resemble
those before them, so that each counts only in part, unless something changed in it. What the newcomer showed then
moves levels (a normal prior around each peer, a normal likelihood) and spreads away from the peers', the more the
longer it was read.
"""

from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np

from persona_platform.personas.newcomers.peer_days import OTHER_DAY, around, bell
from persona_platform.personas.newcomers.peer_sums import BIN, SPREAD_BINS
from persona_platform.personas.newcomers.peer_tables import PeerTables

SHIFTS: Final = np.linspace(-2.5, 2.5, 11)
"""Common factors that are tried, in deviations."""
SLOT_WEIGHT: Final = 0.12
"""Of a slot that is like the one before it; the median activation of an hour and a half is then one fact."""
CHANGE_WEIGHT: Final = 0.5
CHANGED: Final = 0.4
"""Log height by which a slot differs from the one before when something changed."""
ANY_PART: Final = 0.02
"""Chance, at any time, of any part of the peer: its places of the week are not to the minute the newcomer's."""
OUTLYING: Final = 1e-4
"""Density of a slot that no part explains."""
LUMP: Final = 12.0
"""Slots of a part that are one fact about its level."""
OWN_PROFILE: Final = 8.0
"""Slots around an hour, by the bell, that weigh as much as the peer's profile of the day."""
PROFILE_REACH_H: Final = 1.0
LEAST_WEIGHT: Final = 0.002
"""Peers that are less likely are let go."""
MOST_SLOTS: Final = 350
"""Slots read that peers are judged by; of more, evenly spaced ones."""
SHORTLIST: Final = 96
"""Of more peers, those that fit best at FEW_SLOTS are judged by all."""
FEW_SLOTS: Final = 48


class Moments(NamedTuple):
    """Slots of one newcomer, in order, as the calendar has them, and the log height of its main need."""

    tick: np.ndarray  # slots since 1970
    place: np.ndarray  # of the week
    hour: np.ndarray  # of the day, 24 to 47 on days off
    mark: np.ndarray  # index into PeerTables.marks
    height: np.ndarray  # NaN where it was not read

    def take(self, which: np.ndarray) -> "Moments":
        """Some of the slots."""
        return Moments(*(values[which] for values in self))


@dataclass(frozen=True)
class Posterior:
    """N peers that are likely, K parts, T slots that were read."""

    peer: np.ndarray  # (N,) row of the tables
    weight: np.ndarray  # (N,) sums to 1
    read: Moments  # (T,)
    share: np.ndarray  # (N, K, T) probability of each part, given the peer
    expected: np.ndarray  # (N, K, T) the same before the height was seen
    shift: np.ndarray  # (N, K) log of newcomer over peer
    variance: np.ndarray  # (N, K) of the shift
    spread: np.ndarray  # (N, K, SPREAD_BINS)
    away: np.ndarray  # (N, K, T) distance of the height from what is then usual


def chances(tables: PeerTables, peer: np.ndarray, at: Moments) -> np.ndarray:
    """(N, K, slots): the chance of each part of the peers."""
    part = tables.part[peer]
    rate = tables.rate[peer][:, :, at.place] * tables.mark_odds[part][:, :, at.mark]
    rate *= (part >= 0)[:, :, None]
    return rate / np.maximum(rate.sum(axis=1, keepdims=True), 1e-12)


def usual_heights(tables: PeerTables, peer: np.ndarray, at: Moments) -> np.ndarray:
    """(N, K, slots): the log height of each part of the peers."""
    profile = tables.profile[peer][:, :, at.hour] + tables.mark_height[tables.part[peer]][:, :, at.mark]
    return tables.level[peer][:, :, None] + profile


def posterior(tables: PeerTables, prior: np.ndarray, history: Moments) -> Posterior:
    """What the history of a newcomer makes of its prior (H,) over peers."""
    if not len(history.tick):
        return _unread(tables, prior, history)
    listed = np.arange(len(prior))
    if len(prior) > SHORTLIST:
        rough = _scores(tables, prior, listed, history, FEW_SLOTS, SHIFTS[::2]).max(axis=1)
        listed = np.union1d(np.argpartition(-rough, SHORTLIST)[:SHORTLIST], tables.nobody)
    score = _scores(tables, prior, listed, history, MOST_SLOTS, SHIFTS)
    joint = np.exp(score - score.max())
    joint /= joint.sum()
    likely = np.flatnonzero(joint.sum(axis=1) >= LEAST_WEIGHT)
    peer, joint = listed[likely], joint[likely] / joint[likely].sum()
    weight = joint.sum(axis=1)
    given = joint / weight[:, None]
    mean = given @ SHIFTS
    width = tables.width[peer]
    common = mean * width
    common_variance = (given @ SHIFTS**2 - mean**2) * width**2
    return _moved(tables, peer, weight, history, common, common_variance)


def _unread(tables: PeerTables, prior: np.ndarray, read: Moments) -> Posterior:
    peer = np.flatnonzero(prior >= LEAST_WEIGHT * prior.max())
    weight = prior[peer] / prior[peer].sum()
    shape = tables.part[peer].shape
    nothing = np.zeros((*shape, 0))
    variance = np.broadcast_to((tables.width[peer] ** 2 + tables.own_level[peer] ** 2)[:, None], shape)
    return Posterior(peer, weight, read, nothing, nothing, np.zeros(shape), variance, tables.spread[peer], nothing)


def _expected(tables: PeerTables, peer: np.ndarray, read: Moments) -> np.ndarray:
    here = (tables.part[peer] >= 0).astype(float)
    any_part = here / here.sum(axis=1, keepdims=True)
    return (1.0 - ANY_PART) * chances(tables, peer, read) + ANY_PART * any_part[:, :, None]


def _deviation(tables: PeerTables, peer: np.ndarray) -> np.ndarray:
    return np.sqrt(tables.deviation[peer] ** 2 + tables.own_level[peer][:, None] ** 2)[:, :, None]


def _scores(
    tables: PeerTables, prior: np.ndarray, peer: np.ndarray, history: Moments, most: int, shifts: np.ndarray
) -> np.ndarray:
    """(N, shifts): log of prior and likelihood of each peer and common factor, by ``most`` slots read."""
    read = np.flatnonzero(np.isfinite(history.height))
    step = max(1, -(-len(read) // most))
    fit = _log_fit(tables, peer, history.take(read[::step]), step, shifts)
    return np.log(np.maximum(prior[peer], 1e-300))[:, None] + fit - 0.5 * shifts**2


def _log_fit(tables: PeerTables, peer: np.ndarray, read: Moments, step: int, shifts: np.ndarray) -> np.ndarray:
    """(N, shifts): weighed log likelihood of what was read under each peer and common factor."""
    changed = np.abs(np.diff(read.height, prepend=read.height[:1])) > CHANGED
    weight = SLOT_WEIGHT * step + CHANGE_WEIGHT * changed
    deviation = _deviation(tables, peer)
    # Short floats: this is most of the work, for all peers at all slots.
    chance = (_expected(tables, peer, read) / deviation).astype(np.float32)
    z = ((read.height - usual_heights(tables, peer, read)) / deviation).astype(np.float32)
    by = (tables.width[peer][:, None, None] / deviation).astype(np.float32)
    fits = [
        np.log((chance * np.exp(-0.5 * (z - s * by) ** 2)).sum(axis=1) + OUTLYING) @ weight for s in shifts.tolist()
    ]
    return np.stack(fits, axis=1)


def _moved(
    tables: PeerTables,
    peer: np.ndarray,
    weight: np.ndarray,
    read: Moments,
    common: np.ndarray,
    common_variance: np.ndarray,
) -> Posterior:
    """Parts played, and levels and spreads after what was read."""
    expected = _expected(tables, peer, read)
    deviation = _deviation(tables, peer)
    seen = np.isfinite(read.height)
    away = np.where(seen, read.height - usual_heights(tables, peer, read), 0.0)
    fit = np.exp(-0.5 * ((away - common[:, None, None]) / deviation) ** 2) / deviation
    share = expected * np.where(seen, fit, 1.0) + 1e-12
    share *= (tables.part[peer] >= 0)[:, :, None]
    share /= share.sum(axis=1, keepdims=True)
    slots = (share * seen).sum(axis=2)
    mean = (share * away).sum(axis=2) / np.maximum(slots, 1e-9)
    facts = slots / LUMP
    prior = (common_variance + tables.own_level[peer] ** 2)[:, None]
    within = _within(tables, peer, share * seen, away - mean[:, :, None])
    trust = prior / (prior + within / np.maximum(facts, 1e-9))
    shift = common[:, None] + trust * (mean - common[:, None])
    left = np.where(seen, away - shift[:, :, None], 0.0)
    return Posterior(
        peer, weight, read, share, expected, shift, prior * (1.0 - trust),
        _spread(tables.spread[peer], tables.own_spread[peer], share * seen, left), left,
    )  # fmt: skip


def _within(tables: PeerTables, peer: np.ndarray, slots: np.ndarray, away: np.ndarray) -> np.ndarray:
    """(N, K): variance of a part's heights around its level, the peer's drawn towards the newcomer's own."""
    weight = tables.own_spread[peer][:, None]
    return (weight * tables.deviation[peer] ** 2 + (slots * away**2).sum(axis=2)) / (weight + slots.sum(axis=2))


def _spread(before: np.ndarray, weight: np.ndarray, slots: np.ndarray, left: np.ndarray) -> np.ndarray:
    """Spreads of the peers with the newcomer's own distances counted in."""
    at = np.clip(np.rint(left / BIN).astype(np.int64) + SPREAD_BINS // 2, 0, SPREAD_BINS - 1)
    rows = at.shape[0] * at.shape[1]
    flat = np.arange(rows)[:, None] * SPREAD_BINS + at.reshape(rows, -1)
    own = np.bincount(flat.ravel(), slots.ravel(), minlength=rows * SPREAD_BINS).reshape(before.shape)
    prior = weight[:, None, None]
    return (prior * before + own) / (prior + own.sum(axis=2, keepdims=True))


def clock_weights(read: Moments, at: Moments, reach_h: float, per_day: int) -> np.ndarray:
    """(slots at, slots read): what each slot read says about each coming one, by the clock and the kind of day."""
    near = bell(around(at.place % per_day, read.place % per_day, per_day), reach_h, per_day)
    alike = (at.hour[:, None] >= 24) == (read.hour[None, :] >= 24)
    return near * np.where(alike, 1.0, OTHER_DAY)
