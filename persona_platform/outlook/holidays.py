"""Whether a pattern treats a public holiday like a day off or like any other day: the chance of the first.

Decided by the likelihood of the holidays seen, by persona and then by state. Before any was seen the answer
is three in four: where weekends differ from working days, holidays mostly are like weekends.
"""

import numpy as np

from persona_platform.outlook.shrinkage import expit, log_likelihood, logit

PRIOR = 0.75
PERSONA_TRUST = 0.5  # what one member shows counts half for another
LARGEST = 6.0


def like_day_off(
    risk: np.ndarray,
    state: np.ndarray,
    usual: np.ndarray,
    day_off: np.ndarray,
    happened: np.ndarray,
    *,
    persona: np.ndarray,
    personas: int,
    risks: int,
) -> np.ndarray:
    """Probabilities (risks, states), from exposures on holidays with their log odds under both readings."""
    evidence = log_likelihood(happened, day_off) - log_likelihood(happened, usual)
    states = len(persona)
    own = np.bincount(risk * states + state, evidence, minlength=risks * states).reshape(risks, states)
    pooled = np.zeros((personas, risks))
    np.add.at(pooled, persona, own.T)
    others = pooled.T[:, persona] - own
    prior = logit(np.array(PRIOR)) + np.clip(PERSONA_TRUST * others, -LARGEST, LARGEST)
    return expit(prior + np.clip(own, -LARGEST, LARGEST))
