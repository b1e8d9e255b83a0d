"""The bound: what is reached by knowing all demand, under the same lead time, bounds and price of a start."""

from dataclasses import dataclass, replace
from datetime import timedelta

import numpy as np

from persona_platform.replay.engine import TOLERANCE, Recording, ahead
from persona_platform.replay.policies.base import kindest, spread

UNSERVED_PRICES = (
    *(1.05, 1.1, 1.2, 1.35, 1.5, 1.75, 2, 2.5, 3, 4, 5, 6, 8, 10, 13, 17, 22, 30, 40, 55, 75, 100),
    *(125, 150, 200, 250, 350, 500, 700, 1000, 1750, 3000, 5500, 10000),
)
"""Price of an unserved unit-step over a billed one, from almost nothing worth serving to almost all."""

# So dear that not even a rounding error above a whole unit's worth of demand is left, at any price of a start.
EVERYTHING = 1e15

# Gain of a unit that is on in a step that does not count: just enough below nothing to leave it off.
UNSCORED = -1e-9

# States of (prices, units) walked at once: small enough for a processor's cache, and the tables of two bits
# a state and step stay around 100 MB for 3,500 steps.
_TOGETHER = 16_000


@dataclass(frozen=True)
class Clairvoyant:
    """Knows all demand and pays the same lead time: the least cost at each unserved share.

    Each setting weighs an unserved unit-step against a billed one and solves it exactly, so it lies on the
    lower convex hull of what any policy can reach (a Lagrangian bound; papers: Lin et al. 2011 for the cost
    of starting, here the lead time billed and the start's own price). The last setting serves everything
    for the least.

    A billing quantum, a delay of scaling in and all but the shortest lead time are ignored: with them it
    is still below what any policy can reach, and need not be reachable. ``bound`` says so to whoever
    serves its sizes.
    """

    prices: tuple[float, ...] = UNSERVED_PRICES
    name: str = "clairvoyant"
    bound: bool = True

    def few(self, most: int) -> "Clairvoyant":
        """The same with at most so many settings; the one that serves everything stays."""
        return replace(self, prices=spread(self.prices, most - 1) if most > 1 else ())

    def settings(self, recording: Recording) -> list[str]:
        """A name for each setting of the sweep."""
        return [*(f"unserved costs {price:g} times" for price in self.prices), "serves everything"]

    def desired(self, recording: Recording) -> np.ndarray:
        """(settings, targets, walked steps) whole units asked for."""
        recording = kindest(recording)
        return ahead(_cheapest(recording, (*self.prices, EVERYTHING)), recording.lead_steps)


@dataclass(frozen=True)
class _Layers:
    """Units of a target that see the same demand: the j-th serves clip(demand - j, 0, 1) whatever the others do."""

    target: np.ndarray
    first: np.ndarray  # the lowest unit of the layer
    count: np.ndarray  # how many there are

    def __getitem__(self, part: slice) -> "_Layers":
        return _Layers(self.target[part], self.first[part], self.count[part])


def _layers(demand: np.ndarray, minimum: int, maximum: int | None) -> _Layers:
    """All units worth a thought: not those below the minimum, which are on, and none above the maximum.

    Units between whose numbers no reading lies are one layer.
    """
    target, first, count = [], [], []
    for row, readings in enumerate(demand):
        top = int(np.ceil(max(readings.max(initial=0.0) - TOLERANCE, 0.0)))
        top = top if maximum is None else min(top, maximum)
        below = np.floor(readings).astype(int)
        edges = np.unique(np.clip(np.concatenate([below, below + 1, [minimum, top]]), minimum, max(top, minimum)))
        target.append(np.full(len(edges) - 1, row))
        first.append(edges[:-1])
        count.append(np.diff(edges))
    return _Layers(*(np.concatenate([np.zeros(0, dtype=int), *parts]) for parts in (target, first, count)))


def _cheapest(recording: Recording, prices: tuple[float, ...]) -> np.ndarray:
    """(prices, targets, walked steps) units to have usable so that the bill + price * unserved is least.

    A unit has two states. With x the gain of being on over being off, switching on costs ``start`` and
    switching off nothing, so the next x is clip(x, -start, 0) and the step's own gain: one pass forward,
    and one back for the choices.
    """
    counts = recording.scored[:, recording.walked_from :].T
    demand = np.where(counts, recording.demand[:, recording.walked_from :].T, 0.0)
    start = _start_cost(
        counts, recording.lead_steps, recording.terms.start_price * (timedelta(hours=1) / recording.step)
    )
    layers = _layers(demand.T, recording.terms.minimum, recording.terms.maximum)
    usable = np.full((len(demand), len(prices), demand.shape[1]), recording.terms.minimum, dtype=np.int32)
    width = max(1, _TOGETHER // len(prices))
    for begin in range(0, len(layers.target), width):
        part = layers[begin : begin + width]
        targets, firsts = np.unique(part.target, return_index=True)
        on = _walk(demand, counts, start, part, np.array(prices))
        for step, state in enumerate(on):
            units = np.multiply(state, part.count, dtype=np.int32)
            usable[step][:, targets] += np.add.reduceat(units, firsts, axis=1)
    return np.ascontiguousarray(np.moveaxis(usable, 0, -1))


def _walk(demand: np.ndarray, counts: np.ndarray, start: np.ndarray, layers: _Layers, prices: np.ndarray) -> np.ndarray:
    """(steps, prices, layers) whether a unit of the layer is usable; arguments are (steps, targets)."""
    shape = (len(prices), len(layers.target))
    gained = np.zeros(shape)  # by being on over being off; what is on at first is free
    better_on, worth_keeping = np.empty((2, len(demand), *shape), dtype=bool)
    price = prices[:, None]
    for step in range(len(demand)):
        cost = -start[step, layers.target]
        # Of the step before: that on is the better state, and that on is not worse by more than a start.
        np.greater_equal(gained, 0.0, out=better_on[step])
        np.greater_equal(gained, cost, out=worth_keeping[step])
        np.maximum(gained, cost, out=gained)
        np.minimum(gained, 0.0, out=gained)
        scored = counts[step, layers.target]
        share = np.clip(demand[step, layers.target] - layers.first, 0.0, 1.0)
        share[share <= TOLERANCE] = 0.0
        gained += price * share
        gained += np.where(scored, -1.0, UNSCORED)
    state = gained >= 0.0
    for step in range(len(demand) - 1, -1, -1):
        # On came from off where starting paid; off came from on where on was better.
        before = better_on[step] | (state & worth_keeping[step])
        better_on[step] = state
        state = before
    return better_on


def _start_cost(counts: np.ndarray, lead_steps: int, price: float) -> np.ndarray:
    """(steps, targets) unit-steps that it costs to be usable from a step on, and not before.

    The scored steps of the lead time before it, and the price of the start where the step of its request is
    scored. What is asked for at the first walked step was held before it, and is no start.
    """
    steps = len(counts)
    before = np.concatenate([np.zeros((1, counts.shape[1]), dtype=int), np.cumsum(counts, axis=0)])
    asked = np.arange(steps) - lead_steps
    billed = before[:steps] - before[np.maximum(asked, 0)]
    charged = np.where((asked > 0)[:, None], counts[np.maximum(asked, 0)], 0)
    return billed + price * charged
