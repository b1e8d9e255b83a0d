"""From demand to action: targets and units, sizing, the plan, the limits, and ``decide()``.

What belongs here is pure: frames and frozen dataclasses in, frames out. Writing to a cluster or to the ledger
is ``resources``' business; judging what came of an action is :mod:`persona_platform.feedback`'s.
"""
