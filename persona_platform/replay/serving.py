"""What a sequence of asked-for sizes becomes under a recording's terms: usable, billed, waiting."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from persona_platform.errors import InputError
from persona_platform.replay.recording import Recording, in_steps


@dataclass(frozen=True)
class Served:
    """What came of a sequence of sizes, in units; arrays are (settings, targets, walked steps).

    Attributes:
        demand: (targets, walked steps), as recorded.
        capacity: int32, usable during the whole step.
        billed: int32, usable and booting, and what is kept because it is paid for.
        waiting: float32, waiting at the end of the step; None without a backlog.
    """

    demand: np.ndarray
    capacity: np.ndarray
    billed: np.ndarray
    waiting: np.ndarray | None = None

    @property
    def starts(self) -> np.ndarray:
        """Units started at the step; what was held when the walk began was not started."""
        return started(self.billed)


def started(billed: np.ndarray) -> np.ndarray:
    """Units started at each step: no unit is ever dropped and another one started at the same step."""
    return np.maximum(np.diff(billed, axis=-1, prepend=billed[..., :1]), 0)


def sliding(extreme: Callable[..., np.ndarray], values: np.ndarray, before: int) -> np.ndarray:
    """The minimum or maximum of each step and up to ``before`` steps before it, along the last axis.

    In as many passes as the window has binary digits, without a loop over steps.
    """
    seen, width = values.copy(), 1
    before = min(before, values.shape[-1] - 1)
    while width <= before:
        shift = min(width, before + 1 - width)
        extreme(seen[..., shift:], seen[..., :-shift].copy(), out=seen[..., shift:])
        width += shift
    return seen


def ahead(values: np.ndarray, after: int) -> np.ndarray:
    """The largest of each step and up to ``after`` steps after it: what to ask for so that it is there in time."""
    return sliding(np.maximum, values[..., ::-1], after)[..., ::-1]


def serve(recording: Recording, desired: np.ndarray) -> Served:
    """Serves the walked steps with the sizes asked for.

    In this order: the bounds, the delay of scaling in, the billing quantum, the lead time. Before the walk
    the first size was held.

    Args:
        recording: what is replayed, and its terms.
        desired: (settings, targets, walked steps) whole units asked for at the start of each step.
    """
    shape = (len(recording.targets), recording.walked_steps)
    if desired.ndim != 3 or desired.shape[1:] != shape:
        raise InputError(f"Sizes of shape {desired.shape} do not fit {shape[0]} targets and {shape[1]} walked steps.")
    if not np.issubdtype(desired.dtype, np.integer) or (desired < 0).any():
        raise InputError("Sizes must be whole units, zero or more.")
    terms, step = recording.terms, recording.step
    asked = desired.astype(np.int32, copy=False)
    if terms.minimum or terms.maximum is not None:
        asked = np.clip(asked, terms.minimum, terms.maximum)
    if terms.scale_in_after >= step:
        asked = sliding(np.maximum, asked, terms.scale_in_after // step)
    quantum = in_steps(terms.billing_quantum, step)
    drawn = recording.lead_draws if terms.lead_times else None
    if asked.size and quantum > 1:
        drawn = recording.lead_draws if drawn is None else drawn
        capacity, asked = _kept_for_whole_quanta(asked, drawn, quantum)
    elif asked.size and drawn is not None:
        capacity = asked - _booting(asked, drawn)
    else:
        capacity = sliding(np.minimum, asked, recording.lead_steps)
    demand = recording.demand[:, recording.walked_from :]
    served = Served(demand, capacity, asked)
    return replace(served, waiting=_waiting(demand, capacity)) if terms.backlog else served


def _booting(asked: np.ndarray, lead: np.ndarray) -> np.ndarray:
    """Units that still boot at each step, when each step's request has its own lead: (targets, steps).

    The youngest leave first, so of the units asked for k steps ago those are left by which the smallest
    size since then exceeds the size before.
    """
    booting = np.zeros_like(asked)
    least = asked.copy()
    steps = asked.shape[-1]
    for age in range(min(int(lead.max()), steps - 1)):
        if age:
            np.minimum(least[..., age:], asked[..., :-age], out=least[..., age:])
        left = least[..., age + 1 :] - asked[..., : steps - age - 1]
        np.maximum(left, 0, out=left)
        left *= lead[:, 1 : steps - age] > age
        booting[..., age + 1 :] += left
    return booting


def _kept_for_whole_quanta(asked: np.ndarray, lead: np.ndarray, quantum: int) -> tuple[np.ndarray, np.ndarray]:
    """Usable and billed units when a unit leaves only at the end of a quantum since its own start.

    Units are told apart by the step of their start while they are younger than the longest lead; of these
    the youngest leave first. Older ones are alike but for the end of their quantum, and leave as it comes.
    Units that are no longer asked for and still paid for serve, and are taken before any is started. What
    is held when the walk begins starts a quantum there.
    """
    steps, longest = asked.shape[-1], int(lead.max())
    young = np.zeros((max(longest, 1), *asked.shape[:-1]), dtype=np.int32)  # by step of start
    old = np.zeros((quantum, *asked.shape[:-1]), dtype=np.int32)  # by phase of start
    old[0] = asked[..., 0]
    held = asked[..., 0].copy()
    usable, billed = np.empty_like(asked), np.empty_like(asked)
    for step in range(steps):
        if longest and step >= longest:
            old[(step - longest) % quantum] += young[step % longest]
            young[step % longest] = 0
        excess = np.maximum(held - asked[..., step], 0)
        for age in range(1, min(longest, step + 1)):
            group = young[(step - age) % longest]
            of_these = np.minimum(excess, group)
            excess = excess - of_these
            if age % quantum == 0:
                group -= of_these
                held -= of_these
        leaves = np.minimum(excess, old[step % quantum])
        old[step % quantum] -= leaves
        held -= leaves
        new = np.maximum(asked[..., step] - held, 0)
        held += new
        if longest:
            young[step % longest] = new
        else:
            old[step % quantum] += new
        billed[..., step] = held
        usable[..., step] = held
        for age in range(min(longest, step + 1)):
            usable[..., step] -= young[(step - age) % longest] * (lead[:, step - age] > age)
    return usable, billed


def _waiting(demand: np.ndarray, capacity: np.ndarray) -> np.ndarray:
    """max(0, waiting before + demand - capacity) at each step; nothing comes where nothing was read.

    A reflected sum: the running sum of demand - capacity above its own running minimum.
    """
    waiting = np.empty(capacity.shape, dtype=np.float32)
    arrived = np.nan_to_num(demand)
    for setting, usable in enumerate(capacity):
        total = np.cumsum(arrived - usable, axis=-1)
        waiting[setting] = total - np.minimum(np.minimum.accumulate(total, axis=-1), 0.0)
    return waiting
