"""What a mark on the calendar (month end, an event of a kind) adds to the log odds of a hazard.

Maximum a posteriori under a normal prior, fleet -> persona -> state: little known, little added.
"""

from dataclasses import dataclass

import numpy as np

from persona_platform.outlook.shrinkage import expit

FLEET_SPREAD = 1.0  # e**1 either way before anything is known of a kind
PERSONA_SPREAD = 1.5  # personas differ in what they react to: month end moves one of them and leaves ten alone
STATE_SPREAD = 0.7
STEPS = 15
LARGEST = 8.0


@dataclass(frozen=True)
class Marked:
    """Exposures on marked slots, one row for each mark; ``log_odds`` are those without the mark."""

    kind: np.ndarray
    risk: np.ndarray
    state: np.ndarray
    log_odds: np.ndarray
    happened: np.ndarray


def fit_offsets(rows: Marked, persona: np.ndarray, personas: int, kinds: int, risks: int) -> np.ndarray:
    """Offsets (risks, states, kinds); ``persona`` is that of each state."""
    states = len(persona)
    of_persona = persona[rows.state]

    def level(who: np.ndarray, size: int, prior: np.ndarray, spread: float) -> np.ndarray:
        cell = (rows.risk * size + who) * kinds + rows.kind
        return _offset(rows, cell, prior.reshape(-1), spread).reshape(risks, size, kinds)

    fleet = level(np.zeros_like(of_persona), 1, np.zeros((risks, 1, kinds)), FLEET_SPREAD)
    persona_level = level(of_persona, personas, np.broadcast_to(fleet, (risks, personas, kinds)), PERSONA_SPREAD)
    prior = persona_level[:, persona]
    return level(rows.state, states, prior, STATE_SPREAD)


def _offset(rows: Marked, cell: np.ndarray, prior: np.ndarray, spread: float) -> np.ndarray:
    """One Newton iteration for all cells at once; each cell is a problem in one number."""
    value = prior.astype(np.float64).copy()
    precision = 1.0 / spread**2
    for _ in range(STEPS):
        rate = expit(rows.log_odds + value[cell])
        slope = np.bincount(cell, rows.happened - rate, minlength=len(value)) - precision * (value - prior)
        curve = np.bincount(cell, rate * (1.0 - rate), minlength=len(value)) + precision
        step = np.clip(slope / curve, -1.0, 1.0)
        value = np.clip(value + step, -LARGEST, LARGEST)
        if not len(step) or np.abs(step).max() < 1e-4:
            break
    return value
