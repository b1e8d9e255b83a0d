"""The rules of a replay, the same for every policy: what a size asked for costs, and what it serves.

Knows nothing of policies.

- Sizes change at the start of a step only. A size asked for at step t may use readings up to step t - 1.
- A raise asked for at t is usable from t + ceil(lead time / step): a lead time shorter than the step
  counts as a whole step. That is conservative, and harder on policies which only react; a finer step
  shows how much. Leads may also be drawn, one for each target and step of request.
- A lower is immediate, units that still boot first, then the youngest; unless the recording's terms let
  sizes fall only after a while, or keep a unit until a quantum of its billing is over.
- Billing counts from the request; a start may have a price of its own.
- The day before the first scored step is walked and not scored. What is held when it begins is free.
- A step whose demand was not read (NaN) is not scored, neither its demand nor its bill.

``recording`` holds what is replayed, ``serving`` applies the rules, ``measured`` scores.
"""

from persona_platform.replay.measured import Measured, measure
from persona_platform.replay.recording import TOLERANCE, Recording, in_steps, record
from persona_platform.replay.serving import Served, ahead, serve, sliding
from persona_platform.replay.terms import Terms

__all__ = [
    "TOLERANCE",
    "Measured",
    "Recording",
    "Served",
    "Terms",
    "ahead",
    "in_steps",
    "measure",
    "record",
    "serve",
    "sliding",
]
