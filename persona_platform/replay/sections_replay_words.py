"""What the replay's report calls the policies, and how it says more and less. Only wording, nothing computed."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from persona_platform.replay.numbers import POLICY, money, number, percent
from persona_platform.replay.scores import Comparison

TUNED, PLAIN, BOUND, OURS = "reactive_tuned", "reactive", "clairvoyant", "ours"
UNLIMITED, ABOVE = "ours_unlimited", "ours_above_reactive"

EVEN: Final = 0.01
"""Costs closer than this share are called the same: a frontier is not known finer."""

TITLES: Final[Mapping[str, str]] = {
    OURS: POLICY[OURS],
    TUNED: POLICY[TUNED],
    PLAIN: POLICY[PLAIN],
    "last_value": "Last reading and a margin",
    "seasonal_naive": "Same time last cycle and a margin",
    "aws_predictive": "Predictive as on AWS",
    "previous_day": "Same as yesterday",
    "histogram": "Histogram, as the VPA",
    "static": "A fixed size",
    ABOVE: "Ours above your autoscaler",
    UNLIMITED: "Ours without limits",
    BOUND: POLICY[BOUND],
}
"""In the order in which they are listed."""

ABOUT: Final[Mapping[str, str]] = {
    OURS: "our forecast, acting as it would live, within your limits",
    TUNED: "Kubernetes' autoscaler with the target, window and minimum that turned out best",
    PLAIN: "Kubernetes' autoscaler with its defaults, its target varied",
    "last_value": "our margin for error on the newest reading, without any forecast",
    "seasonal_naive": "our margin for error on what was read a day or a week before",
    "aws_predictive": "hourly forecast from 14 days, never below what a reactive rule asks for",
    "previous_day": "what was needed at this time yesterday, scaled",
    "histogram": "a high percentile of past use, old use counting less",
    "static": "the peak or a high percentile of the training part, never changed",
    ABOVE: "our floor under the autoscaler that you run today",
    UNLIMITED: "our forecast with no limits on steps, cooldowns or suitability",
    BOUND: "least cost possible with this lead time; nobody can reach it",
}


def title(policy: str) -> str:
    """The policy's name as shown; its own where it is not one of ours to name."""
    return TITLES.get(policy, policy.replace("_", " "))


def in_order(policies: Iterable[str]) -> list[str]:
    """As the report lists them, those it does not know last."""
    order = {name: place for place, name in enumerate(TITLES)}
    return sorted(set(policies), key=lambda name: (order.get(name, len(order)), name))


def signed(share: float | None, missing: str = "not reached") -> str:
    """A saved share as "9 % less" or, where it is a loss, "9 % more"."""
    if share is None:
        return missing
    if abs(share) < 0.0005:
        return "the same"
    return f"{percent(abs(share))} {'less' if share > 0 else 'more'}"


def listed(names: Sequence[str], most: int = 6) -> str:
    """``a, b and c``; beyond ``most`` the rest is counted."""
    if len(names) > most + 1:
        return f"{', '.join(names[:most])} and {len(names) - most:,} more"
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}" if names else ""


def level(share: float) -> str:
    """An unserved share that was chosen, not measured: no more digits than it has."""
    return f"{100 * share:g} %"


def cost(value: float | None, missing: str = "not reached") -> str:
    """Money, its small change left out where there is much of it."""
    if value is None:
        return missing
    return money(value) if abs(value) < 100 else number(value)


def unit(comparison: Comparison) -> str:
    """What costs are in: unit-hours where no unit has a price of its own."""
    return "in your money" if any(price != 1.0 for price in comparison.prices.values()) else "unit-hours"


def between(low: float, high: float) -> str:
    """A range of saved shares, the smaller saving first: "4 to 13 % less", "2 % more to 9 % less"."""
    if low * high > 0:
        near, far = sorted((abs(low), abs(high)))
        return f"{percent(near).removesuffix(' %')} to {percent(far)} {'less' if low > 0 else 'more'}"
    return f"{signed(low)} to {signed(high)}"
