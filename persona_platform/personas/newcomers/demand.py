"""What one newcomer will play and need: its likely peers' times and heights, moved to its own history.

The chance of a part at a coming slot is the peer's, moved by how the newcomer's own days differed at that time of
day (as far and as fast as days of that persona tell of the next, peer_days.py), and by what it plays now. The
demand is the mixture over peers and parts.
"""

from typing import Final

import numpy as np

from persona_platform.personas.newcomers.peer_days import REACHES_H, lag_slots
from persona_platform.personas.newcomers.peer_sums import BIN, GRADES
from persona_platform.personas.newcomers.peer_tables import PeerTables
from persona_platform.personas.newcomers.posterior import (
    LUMP,
    OWN_PROFILE,
    PROFILE_REACH_H,
    Moments,
    Posterior,
    chances,
    clock_weights,
    usual_heights,
)

NOW_SLOTS: Final = 4
"""What was last read counts as what is played now when it is not older than so many slots."""
MARGIN: Final = 3.0
"""Log height that the grid of heights reaches beyond the peers' levels."""


def coming_chances(tables: PeerTables, post: Posterior, at: Moments) -> np.ndarray:
    """(N, K, slots): the chance of each part at each coming slot, summing to 1 over parts."""
    chance = chances(tables, post.peer, at)
    part = tables.part[post.peer]
    here = part >= 0
    if not len(post.read.tick):
        return chance
    surprise = post.share - post.expected
    moved = chance.copy()
    reach, strength = tables.reach[part], tables.strength[part][:, :, None]
    for number in np.unique(reach[here]):
        near = clock_weights(post.read, at, REACHES_H[number], tables.per_day)
        shift = np.einsum("nkt,st->nks", surprise, near) / (strength + near.sum(axis=1))
        moved = np.where((reach == number)[:, :, None], chance + shift, moved)
    moved = _shares(moved, here)
    since = at.tick - post.read.tick[-1]
    if len(since) and since[0] <= NOW_SLOTS:
        lags = np.log(lag_slots(tables.per_day))
        kept = np.stack([np.interp(np.log(np.maximum(since, 1)), lags, one) for one in tables.persistence])
        moved = _shares(moved + surprise[:, :, -1:] * kept[part], here)
    return moved


def _shares(chance: np.ndarray, here: np.ndarray) -> np.ndarray:
    bounded = np.clip(chance, 1e-6, 1.0) * here[:, :, None]
    return bounded / bounded.sum(axis=1, keepdims=True)


def coming_heights(tables: PeerTables, post: Posterior, at: Moments) -> np.ndarray:
    """(N, K, slots): the usual log height of each part, moved to what the newcomer showed at that hour."""
    height = usual_heights(tables, post.peer, at) + post.shift[:, :, None]
    if not len(post.read.tick):
        return height
    near = clock_weights(post.read, at, PROFILE_REACH_H, tables.per_day)
    own = np.einsum("nkt,st->nks", post.share * post.away, near)
    return height + own / (np.einsum("nkt,st->nks", post.share, near) + OWN_PROFILE)


def main_need_quantiles(tables: PeerTables, post: Posterior, at: Moments, levels: np.ndarray) -> np.ndarray:
    """(slots, levels): quantiles of the main need."""
    chance, height = coming_chances(tables, post, at), coming_heights(tables, post, at)
    lowest = np.floor(min(np.log(tables.floor), height.min()) / BIN) * BIN - MARGIN / 2
    bins = int(np.ceil((height.max() + MARGIN - lowest) / BIN)) + 1
    mass = np.zeros((len(at.tick), bins))
    rows = np.arange(len(at.tick))[:, None]
    for one, part in zip(*np.nonzero(tables.part[post.peer] >= 0), strict=True):  # some dozens: the likely peers
        shape = _blurred(post.spread[one, part], float(post.variance[one, part]))
        first = (height[one, part] - lowest) / BIN - len(shape) // 2
        left = np.floor(first).astype(np.int64)
        weight = post.weight[one] * chance[one, part]
        for side, share in ((0, 1.0 - (first - left)), (1, first - left)):
            at_bin = np.clip(left[:, None] + side + np.arange(len(shape)), 0, bins - 1)
            flat = np.bincount(
                (rows * bins + at_bin).ravel(), ((weight * share)[:, None] * shape).ravel(), minlength=mass.size
            )
            mass += flat.reshape(mass.shape)
    return np.exp(lowest + BIN * _positions(mass, levels))


def _blurred(spread: np.ndarray, variance: float) -> np.ndarray:
    """A spread, blurred by how uncertain the level is."""
    reach = int(np.ceil(3.0 * np.sqrt(variance) / BIN)) + 1
    steps = np.arange(-reach, reach + 1) * BIN
    kernel = np.exp(-0.5 * steps**2 / (variance + (BIN / 2) ** 2))
    return np.convolve(spread, kernel / kernel.sum())


def _positions(mass: np.ndarray, levels: np.ndarray) -> np.ndarray:
    """(slots, levels): where, in bins from the middle of the first, the cumulative mass reaches each level."""
    below = np.cumsum(mass, axis=1)
    below /= below[:, -1:]
    out = np.empty((len(mass), len(levels)))
    for column, level in enumerate(levels):
        at = np.minimum((below < level).sum(axis=1), mass.shape[1] - 1)
        upper = np.take_along_axis(below, at[:, None], axis=1)[:, 0]
        lower = np.where(at > 0, np.take_along_axis(below, np.maximum(at - 1, 0)[:, None], axis=1)[:, 0], 0.0)
        out[:, column] = at - 0.5 + np.clip((level - lower) / np.maximum(upper - lower, 1e-12), 0.0, 1.0)
    return out


def own_sizes(tables: PeerTables, post: Posterior, seen: np.ndarray) -> np.ndarray:
    """(N, K, needs, GRADES): the peers' sizes, moved to the newcomer's level of each need.

    ``seen`` is (T, needs), what the newcomer needed in the slots read; a need that it or the peer does not have
    is left as the peer's.
    """
    sizes = tables.sizes[post.peer]
    if not len(seen):
        return sizes
    slots = post.share.sum(axis=2)
    mean = np.einsum("nkt,tm->nkm", post.share, seen) / np.maximum(slots, 1e-9)[:, :, None]
    theirs = sizes.mean(axis=3)
    both = (mean > 0) & (theirs > 0)
    away = np.where(both, np.log(np.where(both, mean, 1.0) / np.where(both, theirs, 1.0)), 0.0)
    own_level = tables.own_level[post.peer][:, None, None]
    prior = tables.width[post.peer][:, None, None] ** 2 + own_level**2
    scatter = np.where(sizes > 0, np.log(np.maximum(sizes, 1e-12)), 0.0).var(axis=3) + own_level**2
    facts = (slots / LUMP)[:, :, None]
    trust = prior / (prior + scatter / np.maximum(facts, 1e-9))
    return sizes * np.exp(trust * away)[..., None]


def size_quantiles(chance: np.ndarray, weight: np.ndarray, sizes: np.ndarray, levels: np.ndarray) -> np.ndarray:
    """(slots, levels) of a mixture of sizes: (N, K, slots) chances, (N,) weights, (N, K, GRADES) sizes."""
    atoms = sizes.reshape(-1)
    order = np.argsort(atoms, kind="stable")
    share = np.repeat((weight[:, None, None] * chance).reshape(-1, chance.shape[2]) / GRADES, GRADES, axis=0)[order]
    below = np.cumsum(share, axis=0)
    below /= np.maximum(below[-1:], 1e-12)
    at = np.stack([np.minimum((below < level).sum(axis=0), len(atoms) - 1) for level in levels], axis=1)
    return atoms[order][at]
