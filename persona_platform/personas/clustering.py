"""Clustering: patterns alike across the fleet become personas, with probabilities.

A Gaussian mixture on reduced features, started from Ward's tree so that nothing hangs on luck. The number of
personas is weighed by three things together: how well bootstrap fits agree (Jaccard), the information criterion
(BIC), and how well a pattern is foretold by the others of its persona (pinball).
"""

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import polars as pl

if TYPE_CHECKING:
    from sklearn.mixture import GaussianMixture

SELECTION: Final = {
    "kind": pl.String,
    "k": pl.Int64,
    "bic": pl.Float64,
    "jaccard": pl.Float64,  # null where it was not measured
    "pinball": pl.Float64,  # of a pattern's week foretold by its peers, relative to one cluster
    "chosen": pl.Boolean,
}
SAMPLE: Final = 3_000
"""Patterns that a mixture is fitted on; Ward's tree of them takes 0.4 s and 70 MB."""
MOST: Final = {"active": 24, "steady": 6, "resting": 6}
COMPONENTS: Final = 8
"""Most principal components that are kept."""
FLOOR: Final = 0.09
"""Standard deviation below which features do not tell patterns apart, in the units of features.SCALES."""
BOOTSTRAPS: Final = 6
FAR: Final = 6.0
"""Standard deviations, in the mean over components, beyond which a pattern is of no cluster."""
NEAR: Final = 0.3
"""Numbers of personas whose criterion lies further from its best, as a share of its fall, are not weighed."""
BIC_WEIGHT: Final = 1.0
PEER_QUANTILE: Final = 0.9
MANY_PEERS: Final = 200
BATCH: Final = 50_000
THREADS: Final = 1
"""More gain 5 % and change the last digits with their number."""


@dataclass(frozen=True)
class Clustered:
    """``labels`` (-1: none) and ``probability`` by pattern, ``stability`` by cluster, and the K curve."""

    labels: np.ndarray
    probability: np.ndarray
    stability: np.ndarray
    selection: pl.DataFrame


def cluster(features: np.ndarray, kind: str, occupancy: np.ndarray, seed: int) -> Clustered:
    """Clusters of patterns of one kind; ``features`` is (patterns, columns), ``occupancy`` (patterns, 168)."""
    from threadpoolctl import threadpool_limits

    if len(features) == 0:
        return Clustered(np.zeros(0, int), np.zeros(0), np.zeros(0), pl.DataFrame(schema=SELECTION))
    with threadpool_limits(limits=THREADS):
        return _cluster(features, kind, occupancy, np.random.default_rng(seed))


def _cluster(features: np.ndarray, kind: str, occupancy: np.ndarray, rng: np.random.Generator) -> Clustered:
    chosen = np.arange(len(features))
    if len(chosen) > SAMPLE:
        chosen = np.sort(rng.choice(chosen, SAMPLE, replace=False))
    points = _reduced(features, chosen)
    sample = points[chosen]
    counts = _candidates(len(sample), MOST[kind])
    fits = dict(zip(counts, _fits(sample, counts), strict=True))
    bic = _share({k: float(fit.bic(sample)) for k, fit in fits.items()})
    pinball = {k: peer_pinball(occupancy[chosen], fit.predict(sample)) for k, fit in fits.items()}
    near = [k for k in counts if bic[k] <= NEAR]
    jaccard = _stability(sample, {k: fits[k] for k in near}, rng)
    found = {k: float(np.average(jaccard[k], weights=fits[k].weights_)) for k in near}
    merit = {k: found[k] - BIC_WEIGHT * bic[k] - pinball[k] for k in near}
    k = max(near, key=lambda k: (round(merit[k], 3), -k))
    selection = pl.DataFrame(
        {
            "kind": [kind] * len(counts),
            "k": counts,
            "bic": [float(fits[c].bic(sample)) for c in counts],
            "jaccard": [found.get(c) for c in counts],
            "pinball": [pinball[c] for c in counts],
            "chosen": [c == k for c in counts],
        },
        schema=SELECTION,
    )
    labels, probability = _memberships(fits[k], points)
    used = np.unique(labels[labels >= 0])
    dense = np.full(k + 1, -1)
    dense[used] = np.arange(len(used))
    return Clustered(dense[labels], probability, jaccard[k][used], selection)


def _share(bic: dict[int, float]) -> dict[int, float]:
    """The criterion as a share of its whole fall: 0 at its best, 1 at its worst."""
    best, worst = min(bic.values()), max(bic.values())
    return {k: (value - best) / max(worst - best, 1e-9) for k, value in bic.items()}


def peer_pinball(occupancy: np.ndarray, labels: np.ndarray) -> float:
    """How well a pattern's week is foretold by its peers, relative to all patterns as peers of each other.

    The pinball loss, at :data:`PEER_QUANTILE`, of the share of each hour of the week that a pattern is played in
    against that quantile of the others of its cluster: what a newcomer's demand is sized by. ``occupancy`` is
    (patterns, 168). A pattern without peers is foretold by all.
    """
    if len(occupancy) < 2:
        return 1.0
    return _peer_loss(occupancy, labels) / max(_peer_loss(occupancy, np.zeros(len(labels), dtype=int)), 1e-12)


def _peer_loss(occupancy: np.ndarray, labels: np.ndarray) -> float:
    everyone = np.quantile(occupancy, PEER_QUANTILE, axis=0)[None]
    total = 0.0
    for label in np.unique(labels):
        own = occupancy[labels == label]
        n = len(own)
        if n == 1:
            foretold = everyone
        elif n > MANY_PEERS:  # one more or less moves no quantile
            foretold = np.quantile(own, PEER_QUANTILE, axis=0)[None]
        else:
            # The quantile of the others: of the sorted column without its own place.
            ordered, rank = np.sort(own, axis=0), np.argsort(np.argsort(own, axis=0), axis=0)
            position = PEER_QUANTILE * (n - 2)
            low = int(position)
            high = min(low + 1, n - 2)
            below = np.take_along_axis(ordered, low + (rank <= low), axis=0)
            above = np.take_along_axis(ordered, high + (rank <= high), axis=0)
            foretold = below + (position - low) * (above - below)
        short = own - foretold
        total += float(np.maximum(PEER_QUANTILE * short, (PEER_QUANTILE - 1.0) * short).mean(axis=1).sum())
    return total / len(occupancy)


def _reduced(features: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    """All patterns on the principal axes that hold 95 % of the sample's variance."""
    centre = features[chosen].mean(axis=0)
    _, s, axes = np.linalg.svd(features[chosen] - centre, full_matrices=False)
    held = np.cumsum(s**2) / max(float((s**2).sum()), 1e-12)
    return (features - centre) @ axes[: min(COMPONENTS, int(np.searchsorted(held, 0.95)) + 1)].T


def _candidates(n: int, most: int) -> list[int]:
    """The numbers of personas to try: all up to 12, then every second; two patterns each at least."""
    largest = max(1, min(most, n // 2))
    return [k for k in range(1, largest + 1) if k <= 12 or k % 2 == 0]


def _fits(sample: np.ndarray, counts: list[int]) -> list["GaussianMixture"]:
    """A mixture for each number of clusters, each started from the same Ward's tree."""
    from scipy.cluster.hierarchy import fcluster, linkage
    from scipy.spatial.distance import pdist
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.mixture import GaussianMixture

    tree = linkage(pdist(sample), "ward") if len(sample) > 1 else np.zeros((0, 4))
    fits = []
    for k in counts:
        labels = fcluster(tree, k, "maxclust") if len(tree) else np.ones(1, dtype=int)
        groups = [sample[labels == label] for label in np.unique(labels)]
        variances = np.array([g.var(axis=0).mean() + FLOOR**2 for g in groups])
        mixture = GaussianMixture(
            n_components=len(groups),
            covariance_type="spherical",
            reg_covar=FLOOR**2,
            max_iter=50,
            weights_init=np.array([len(g) for g in groups]) / len(sample),
            means_init=np.stack([g.mean(axis=0) for g in groups]),
            precisions_init=1.0 / variances,
        )
        if len(sample) == 1:  # sklearn asks for two
            fits.append(mixture.fit(np.repeat(sample, 2, axis=0)))
            continue
        with warnings.catch_warnings():
            # 50 steps from Ward's tree settle the labels, if not always the last digit of the likelihood.
            warnings.simplefilter("ignore", ConvergenceWarning)
            fits.append(mixture.fit(sample))
    return fits


def _stability(
    sample: np.ndarray, fits: dict[int, "GaussianMixture"], rng: np.random.Generator
) -> dict[int, np.ndarray]:
    """Each cluster's mean overlap (Jaccard) with its best match in fits of resampled patterns.

    Hennig (2007): a cluster that dissolves, below about 0.6, is no finding.
    """
    own = {k: fit.predict(sample) for k, fit in fits.items()}
    overlap = {k: np.zeros(fit.n_components) for k, fit in fits.items()}
    for _ in range(BOOTSTRAPS):
        again = sample[rng.integers(0, len(sample), len(sample))]
        for (k, fit), refit in zip(fits.items(), _fits(again, list(fits)), strict=True):
            both = np.zeros((fit.n_components, refit.n_components))
            np.add.at(both, (own[k], refit.predict(sample)), 1.0)
            union = both.sum(axis=1, keepdims=True) + both.sum(axis=0, keepdims=True) - both
            overlap[k] += (both / np.maximum(union, 1.0)).max(axis=1) / BOOTSTRAPS
    return overlap


def _memberships(fit: "GaussianMixture", points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The likeliest cluster of each pattern and its probability; -1 for what lies far from every cluster."""
    labels = np.empty(len(points), dtype=np.int64)
    probability = np.empty(len(points))
    for at in range(0, len(points), BATCH):
        part = slice(at, at + BATCH)
        shares = fit.predict_proba(points[part])
        labels[part] = shares.argmax(axis=1)
        probability[part] = shares.max(axis=1)
    variances = np.asarray(fit.covariances_)
    z2 = np.square(points - np.asarray(fit.means_)[labels]) / variances[labels][:, None]
    far = z2.mean(axis=1) > FAR**2
    labels[far] = -1
    return labels, np.where(far, 1.0, probability)
