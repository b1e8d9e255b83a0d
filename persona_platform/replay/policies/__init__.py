"""The policies that ``ours`` is compared with: what a user has today, and what nobody can beat.

A policy turns a recording into the whole units asked for at each walked step, for all its settings at once.
The size at step t may depend on readings up to step t - 1; only the clairvoyant looks further. Settings
are swept, and the best is picked after the fact, for every policy alike.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType

from persona_platform.replay.engine import ahead
from persona_platform.replay.policies.aws_predictive import AwsPredictive
from persona_platform.replay.policies.base import Policy, play, spread, thinned, whole
from persona_platform.replay.policies.clairvoyant import UNSERVED_PRICES, Clairvoyant
from persona_platform.replay.policies.headroom import Headroom
from persona_platform.replay.policies.histogram import Histogram
from persona_platform.replay.policies.last_value import LastValue
from persona_platform.replay.policies.reactive import UTILIZATIONS, Reactive, ReactiveTuned, follow
from persona_platform.replay.policies.seasonal import PreviousDay, SeasonalNaive
from persona_platform.replay.policies.static import Static

POLICIES: Mapping[str, Callable[[], Policy]] = MappingProxyType(
    {
        "static": Static,
        "reactive": Reactive,
        "reactive_tuned": ReactiveTuned,
        "last_value": LastValue,
        "histogram": Histogram,
        "aws_predictive": AwsPredictive,
        "previous_day": PreviousDay,
        "seasonal_naive": SeasonalNaive,
        "clairvoyant": Clairvoyant,
    }
)
"""By name, in the order in which they are told; ``ours`` is made elsewhere, from models and limits."""

__all__ = [
    "POLICIES",
    "UNSERVED_PRICES",
    "UTILIZATIONS",
    "AwsPredictive",
    "Clairvoyant",
    "Headroom",
    "Histogram",
    "LastValue",
    "Policy",
    "PreviousDay",
    "Reactive",
    "ReactiveTuned",
    "SeasonalNaive",
    "Static",
    "ahead",
    "follow",
    "play",
    "spread",
    "thinned",
    "whole",
]
