"""Generated fleets with known truth: the demonstration, and the test bed for learning personas.

Read in the order of the data: ``spec`` (what is asked for), ``archetypes`` (what workloads are like),
``roster`` (who they are), ``playing`` (what they play when), ``demand`` (what they need), ``telemetry`` (what
is recorded), ``truth``, ``writing``.
"""

from persona_platform.fleet.archetypes import ARCHETYPES, PERSONAS
from persona_platform.fleet.generating import fleet_chunks, generate
from persona_platform.fleet.spec import Fleet, FleetSpec, Truth
from persona_platform.fleet.writing import held_rows, write

__all__ = [
    "ARCHETYPES",
    "PERSONAS",
    "Fleet",
    "FleetSpec",
    "Truth",
    "fleet_chunks",
    "generate",
    "held_rows",
    "write",
]
