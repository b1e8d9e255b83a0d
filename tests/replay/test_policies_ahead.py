"""No policy looks ahead, but for the one that is there to do so."""

from datetime import timedelta
from itertools import product

import numpy as np
import pytest

from persona_platform.replay.policies import POLICIES, Clairvoyant

HOUR = timedelta(hours=1)
STEPS = 24 * 17

HONEST = [name for name in POLICIES if name != "clairvoyant"]


# Training ends at the first cut: hindsight over it is not what is looked for here.
CUTS = (24 * 8, 24 * 9 - 1, 24 * 15 + 13)


@pytest.mark.parametrize("name", HONEST)
@pytest.mark.parametrize("lead", [1, 3])
def test_what_comes_changes_nothing_before(recorded, name, lead):
    rng = np.random.default_rng(3)
    demand = rng.gamma(3.0, 2.0, (2, STEPS)) * (1 + np.sin(np.arange(STEPS) / 24 * 2 * np.pi))
    demand[rng.random(demand.shape) < 0.05] = np.nan
    policy, how = POLICIES[name](), {"scored_from": CUTS[0], "step": HOUR, "lead": lead * HOUR}
    recording = recorded(*demand, **how)
    kept = policy.desired(recording)
    for cut, garbage in product(CUTS, (0.0, 1e6, np.nan)):
        demand_after = np.where(np.arange(STEPS) >= cut, garbage, demand)
        seen = policy.desired(recorded(*demand_after, **how))
        until = cut + 1 - recording.walked_from
        np.testing.assert_array_equal(kept[..., :until], seen[..., :until])


@pytest.mark.parametrize("name", HONEST)
def test_what_was_read_does_change_what_follows(recorded, name):
    rng = np.random.default_rng(3)
    demand = rng.gamma(3.0, 2.0, (1, STEPS))
    changed = demand.copy()
    changed[:, 24 * 6 : 24 * 10] *= 5
    how = {"scored_from": 24 * 8, "step": HOUR, "lead": HOUR}
    policy = POLICIES[name]()
    assert (policy.desired(recorded(*demand, **how)) != policy.desired(recorded(*changed, **how))).any()


def test_the_clairvoyant_does_look_ahead(recorded):
    asked = [Clairvoyant().desired(recorded([1, 1, last]))[-1, 0].tolist() for last in (1, 5)]
    assert asked == [[1, 1, 1], [1, 5, 5]]
