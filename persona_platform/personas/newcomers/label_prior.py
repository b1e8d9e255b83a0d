"""The prior of a newcomer over its peers, from labels alone.

Naive Bayes over kin (peers that play the same personas): how common a kin is, times how usual each label is in it,
drawn towards how usual it is in the fleet, so that a label that few bear weighs little. Within a kin, peers that
bear the label itself come first. A small part of the prior stays with all, and with nobody.
"""

from typing import Final

import numpy as np

from persona_platform.personas.newcomers.peer_tables import PeerTables

BEARERS: Final = 1.0
"""Peers that weigh as much as the fleet in how usual a label is in a kin."""
LABEL_WEIGHT: Final = 0.6
"""Labels repeat each other (a team and its pool), so that each counts for less than one independent fact."""
OTHER_LABEL: Final = 0.3
"""What a peer with another label weighs beside one with the same, within a kin."""
EVERYONE: Final = 0.02
NOBODY: Final = 0.01


def label_prior(tables: PeerTables, labels: np.ndarray) -> np.ndarray:
    """(newcomers, H) probabilities, rows summing to 1.

    Args:
        tables: the peers.
        labels: (newcomers, labels) of str, in the order of labels.LABELS.
    """
    somebody = slice(0, tables.nobody)
    weight, kin = tables.stands_for[somebody], tables.kin[somebody]
    kins = int(kin.max()) + 1
    size = np.bincount(kin, weight, minlength=kins)
    score = np.tile(np.log(weight), (len(labels), 1))
    for column in range(labels.shape[1]):
        theirs, ours = tables.labels[somebody, column], labels[:, column]
        values, code = np.unique(np.concatenate([theirs, ours]), return_inverse=True)
        code = code.reshape(-1)
        of_peer, of_newcomer = code[: len(theirs)], code[len(theirs) :]
        fleet = np.bincount(of_peer, weight, minlength=len(values)) + 0.5
        fleet /= fleet.sum()
        bearers = np.zeros((kins, len(values)))
        np.add.at(bearers, (kin, of_peer), weight)
        usual = (bearers + BEARERS * fleet) / (size[:, None] + BEARERS)
        told = np.log(usual[kin][:, of_newcomer]).T - np.log(fleet[of_newcomer])[:, None]
        score += LABEL_WEIGHT * told
        score += np.where(of_peer[None, :] == of_newcomer[:, None], 0.0, np.log(OTHER_LABEL))
    likely = np.exp(score - score.max(axis=1, keepdims=True))
    likely /= likely.sum(axis=1, keepdims=True)
    likely = (1.0 - EVERYONE) * likely + EVERYONE * weight / weight.sum()
    return np.concatenate([(1.0 - NOBODY) * likely, np.full((len(labels), 1), NOBODY)], axis=1)
