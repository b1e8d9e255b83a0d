"""What the outlook has to beat: hour-of-week climatology, plain and given rest, and a shrunk Markov chain.

Each is fitted on the training slots; its one strength of shrinkage is picked on the scored rows themselves,
in the baseline's favour.
"""

from dataclasses import dataclass

import numpy as np

from persona_platform.outlook.shrinkage import shrunk

STRENGTHS = (1.0, 4.0, 16.0, 64.0)
UNREAD, RESTING, ACTIVE = -1, 0, 1


@dataclass(frozen=True)
class Panel:
    """Dense play."""

    played: np.ndarray  # int8 (workloads, slots): UNREAD, RESTING or ACTIVE
    hour: np.ndarray  # (workloads, slots): local hour of the week


def label(played: np.ndarray, lead: int, event: str) -> np.ndarray:
    """For each slot t taken as origin: 1, 0, or -1 (not known).

    ``event`` "at": active at slot t + lead - 1; "within": active at any slot from t to t + lead - 1, which is
    known to be false only where all were read.
    """
    ahead = np.full((lead, *played.shape), UNREAD, dtype=np.int8)
    for k in range(lead):
        ahead[k, :, : played.shape[1] - k] = played[:, k:]
    if event == "at":
        return ahead[-1]
    return np.where((ahead == ACTIVE).any(axis=0), 1, np.where((ahead == RESTING).all(axis=0), 0, -1))


def climatology(
    panel: Panel, train: np.ndarray, lead: int, event: str, *, given_rest: bool, strength: float
) -> np.ndarray:
    """(workloads, slots) chances for every origin: fleet <- workload <- hour of day <- hour of week.

    ``train`` marks the origins whose labels may be used.
    """
    outcome = label(panel.played, lead, event)
    kept = train[None, :] & (outcome >= 0)
    if given_rest:
        kept &= _before(panel.played) == RESTING
    count = len(panel.played)
    w, t = np.nonzero(kept)
    hour = panel.hour[w, t]
    happened = (outcome[w, t] == 1).astype(np.float64)

    def seen(cell: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
        return np.bincount(cell, happened, minlength=size), np.bincount(cell, minlength=size).astype(float)

    k = np.array(strength)
    fleet = np.full(count, happened.mean() if len(happened) else 0.0)
    rate = shrunk(*seen(w, count), fleet, k)
    rate = np.repeat(rate, 24)
    rate = shrunk(*seen(w * 24 + hour % 24, count * 24), rate, k).reshape(count, 1, 24)
    rate = np.broadcast_to(rate, (count, 7, 24)).reshape(-1)
    rate = shrunk(*seen(w * 168 + hour, count * 168), rate, k).reshape(count, 168)
    return np.take_along_axis(rate, panel.hour.astype(np.int64), axis=1)


def markov(panel: Panel, train: np.ndarray, lead: int, event: str, strength: float) -> np.ndarray:
    """(workloads, 1) chances given rest, from one-slot transition rates shrunk to the fleet's."""
    before, now = _before(panel.played), panel.played
    kept = train[None, :] & (before != UNREAD) & (now != UNREAD)

    def rate(source: int) -> np.ndarray:
        rows = kept & (before == source)
        changed = (rows & (now != source)).sum(axis=1).astype(float)
        exposed = rows.sum(axis=1).astype(float)
        fleet = np.array(changed.sum() / max(exposed.sum(), 1.0))
        return shrunk(changed, exposed, fleet, np.array(strength))

    start, end = rate(RESTING), rate(ACTIVE)
    if event == "within":
        return (1.0 - (1.0 - start) ** lead)[:, None]
    level = start / np.maximum(start + end, 1e-12)
    return (level * (1.0 - (1.0 - start - end) ** lead))[:, None]


def _before(played: np.ndarray) -> np.ndarray:
    """What was played one slot earlier."""
    return np.concatenate([np.full((len(played), 1), UNREAD, played.dtype), played[:, :-1]], axis=1)
