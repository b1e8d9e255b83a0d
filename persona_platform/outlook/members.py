"""How many members of a persona play it within a horizon: a Poisson-binomial count under a shared shock.

Given the day's gamma shock z, members start independently, with chances 1 - exp(-z H*); members that play it
already are not moved by it. The count's distribution is mixed over quantiles of z. For up to
:data:`EXACT` members it is exact (discrete Fourier transform of the generating function, Fernandez and
Williams 2010), above that a normal approximation.
"""

from bisect import bisect_left
from statistics import NormalDist

import numpy as np

from persona_platform.outlook.frailty import enlarged

EXACT = 256
SHOCKS = 15
LARGEST_HAZARD = 14.0


def member_counts(
    persona: np.ndarray, chance: np.ndarray, playing: np.ndarray, variance: np.ndarray, personas: int
) -> dict[str, np.ndarray]:
    """Columns probability, expected_members, members_q50, members_q95, one entry for each persona.

    Args:
        persona: Of each (workload, persona) pair.
        chance: That the workload plays it at some slot of the horizon.
        playing: Whether it plays it at the origin.
        variance: Of the shock of each persona.
        personas: How many there are.
    """
    order = np.argsort(persona, kind="stable")
    bounds = np.searchsorted(persona[order], np.arange(personas + 1))
    out = {name: np.zeros(personas) for name in ("probability", "expected_members", "members_q50", "members_q95")}
    for k in range(personas):
        who = order[bounds[k] : bounds[k + 1]]
        if not len(who):
            continue
        given = _given_shock(chance[who], playing[who], float(variance[k]))
        out["expected_members"][k] = chance[who].sum()
        out["probability"][k] = 1.0 - np.prod(1.0 - given, axis=1).mean()
        out["members_q50"][k], out["members_q95"][k] = _quantiles(given, (0.5, 0.95))
    return out


def _given_shock(chance: np.ndarray, playing: np.ndarray, variance: float) -> np.ndarray:
    """Chances (shocks, members), at equally likely shocks (Wilson and Hilferty's cube of a normal)."""
    normal = NormalDist()
    deviate = np.array([normal.inv_cdf((i + 0.5) / SHOCKS) for i in range(SHOCKS)])
    shock = np.maximum(1.0 - variance / 9.0 + deviate * np.sqrt(variance / 9.0), 0.0) ** 3
    hazard = np.minimum(-np.log1p(-np.minimum(chance, 1.0 - 1e-6)), LARGEST_HAZARD)
    moved = -np.expm1(-np.outer(shock, enlarged(hazard, 0.0, variance)))
    return np.where(playing, chance, moved)


def _quantiles(given: np.ndarray, levels: tuple[float, ...]) -> list[float]:
    members = given.shape[1]
    if members <= EXACT:
        turn = np.exp(2j * np.pi * np.arange(members + 1) / (members + 1))
        transform = np.ones((len(given), members + 1), dtype=complex)
        for chance in given.T:
            transform *= 1.0 + chance[:, None] * (turn - 1.0)
        below = np.cumsum(np.fft.fft(transform, axis=1).real.mean(axis=0) / (members + 1))
        return [float(min(np.searchsorted(below, level - 1e-9), members)) for level in levels]
    spread = np.sqrt((given * (1.0 - given)).sum(axis=1)) + 1e-9
    normals = [NormalDist(m, s) for m, s in zip(given.sum(axis=1), spread, strict=True)]

    def below_or_at(count: int) -> float:
        return sum(n.cdf(count + 0.5) for n in normals) / len(normals)

    return [float(min(bisect_left(range(members + 1), level, key=below_or_at), members)) for level in levels]
