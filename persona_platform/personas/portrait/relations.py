"""Relations: how the other needs go with the main one while a persona is played."""

import numpy as np

from persona_platform.frames import NEEDS
from persona_platform.personas.record import Relation


def relations(sums: np.ndarray, products: np.ndarray, main: str) -> list[Relation]:
    """The relation of each other need, from (needs,) sums over slots and (needs, 3) products of logs.

    The products are about each pattern's own means: a large member and a small one make no correlation.
    """
    base = sums[NEEDS.index(main)]
    found = []
    for at, need in enumerate(NEEDS):
        if need == main or sums[at] <= 0 or base <= 0:
            continue
        xx, yy, xy = products[at]
        close = xy / np.sqrt(xx * yy) if xx > 1e-9 and yy > 1e-9 else 0.0
        found.append(Relation(need, float(sums[at] / base), float(np.clip(close, -1.0, 1.0))))
    return found
