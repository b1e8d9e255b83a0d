"""Names: a persona's facts in a few plain words, "weekday nights, 16 cores, 2 h"."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from persona_platform.personas.record import Duration, Recurrence, Requirement

WEEKDAYS: Final = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
PARTS: Final = ((5, "nights"), (12, "mornings"), (17, "afternoons"), (22, "evenings"), (24, "nights"))
MOSTLY: Final = 0.8
ALWAYS: Final = 0.85
CLEARLY: Final = 1.05
"""An event's effect on the need is told when its interval lies beyond this."""
SHAPES: Final = {"ramp": "rising or falling throughout", "wave": "in waves", "spike": "with a short peak"}
RHYTHMS: Final = {3_600.0: "hourly", 86_400.0: "daily", 7 * 86_400.0: "weekly", 30.44 * 86_400: "monthly"}


@dataclass(frozen=True)
class Facts:
    """What a name is made from. ``starts`` counts starts by local hour of the week (168)."""

    kind: str
    starts: np.ndarray
    duty: float  # share of its members' read slots in which it is played
    month_begin_share: float
    month_edge_share: float
    requirement: Requirement
    duration: Duration
    recurrence: Recurrence
    shape: str = "flat"


def name(facts: Facts) -> str:
    """When, how much, how long."""
    parts = [when(facts), how_much(facts.requirement)]
    if facts.kind == "active":
        parts.append(how_long(facts.duration.median_s))
    return ", ".join(part for part in parts if part)


def describe(facts: Facts, members: int) -> str:
    """One line: when it starts, what it needs with which probability, how long it lasts, who plays it."""
    sizes = facts.requirement.sizes[:3]
    needs = " or ".join(
        f"{' and '.join(amount(need, value) for need, value in s.amounts.items())} ({s.probability:.0%})"
        for s in sizes
        if s.amounts
    )
    storage = facts.requirement.sizes[0].storage_class if sizes else ""
    lasts = f", lasts {how_long(facts.duration.median_s)} in the median" if facts.kind == "active" else ""
    kept = f" on {storage} storage" if storage else ""
    who = f"{members} workload{'' if members == 1 else 's'}"
    more = "".join(f", {part}" for part in (_rhythm(facts), SHAPES.get(facts.shape, ""), _moved(facts)) if part)
    return f"{_capital(when(facts))}: needs {needs or 'nothing'}{kept}{lasts}{more}; played by {who}."


def _rhythm(facts: Facts) -> str:
    """The rhythm that was found, where the times do not say it."""
    period, kept = facts.recurrence.period_s, facts.recurrence.regularity
    if facts.kind != "active" or not period:
        return ""
    told = RHYTHMS.get(period, f"every {how_long(period)}")
    return f"{told} ({kept:.0%} on time)"


def _moved(facts: Facts) -> str:
    """The event that plainly moves the need most."""
    sure = [u for u in facts.recurrence.uplifts if u.events and (u.need_low > CLEARLY or u.need_high < 1 / CLEARLY)]
    if not sure:
        return ""
    most = max(sure, key=lambda u: abs(np.log(u.need)))
    return f"{most.need:.2g} times as much during {most.kind.replace('_', ' ')}"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def when(facts: Facts) -> str:
    """The times of the week, month or event at which activations start."""
    if facts.kind != "active":
        return facts.kind
    total = facts.starts.sum()
    if facts.duty >= ALWAYS or facts.duration.median_s >= 7 * 86_400:
        return "nearly always"
    if total == 0:
        return "once"
    if facts.month_edge_share >= 0.5:
        begin = facts.month_begin_share / facts.month_edge_share
        return "month begin" if begin > MOSTLY else "month end" if begin < 1 - MOSTLY else "month begin and end"
    uplifts = [u for u in facts.recurrence.uplifts if u.activations >= 0.6 * total and u.starts_low > 2.0]
    if uplifts:
        return f"during {max(uplifts, key=lambda u: u.activations).kind.replace('_', ' ')}"
    return _every(facts.recurrence.inter_arrival_s) or _days_and_hours(facts)


def _every(gaps: list[float]) -> str:
    """A rhythm of less than a day, when the times between starts are nearly all the same."""
    if not gaps or gaps[1] > 20 * 3600 or gaps[2] - gaps[0] > 0.3 * gaps[1]:
        return ""
    return "hourly" if abs(gaps[1] - 3600) < 300 else f"every {how_long(gaps[1])}"


def _days_and_hours(facts: Facts) -> str:
    days, hours = _days(facts.starts), _hours(facts)
    return f"{days.strip()}s {hours}" if days and hours == "at any hour" else f"{days}{hours}"


def _days(starts: np.ndarray) -> str:
    share = starts.reshape(7, 24).sum(axis=1) / starts.sum()
    if share.max() >= MOSTLY:
        return f"{WEEKDAYS[int(share.argmax())]} "
    if share[5:].sum() >= MOSTLY:
        return "weekend "
    return "weekday " if share[:5].sum() >= 0.93 else ""


def _hours(facts: Facts) -> str:
    """The part of the day, from where starts gather; working hours when they last through the day."""
    share = facts.starts.reshape(7, 24).sum(axis=0) / facts.starts.sum()
    angle = (np.arange(24) + 0.5) * (np.pi / 12.0)
    x, y = share @ np.cos(angle), share @ np.sin(angle)
    if np.hypot(x, y) < 0.35:
        return "at any hour"
    hours = facts.duration.median_s / 3600
    start = float(np.arctan2(y, x) * 12.0 / np.pi % 24.0)
    if 5.5 <= start <= 10.5 and 5.0 <= hours <= 14.0:
        return "working hours" if hours < 10.5 else "days"
    if 4.5 <= start <= 11.5 and 14.0 < hours <= 20.0:
        return "days and evenings"
    middle = (start + min(hours, 24.0) / 2) % 24.0
    return next(part for until, part in PARTS if middle < until)


def how_much(requirement: Requirement) -> str:
    """The main need of the likeliest size: gpus, cores, or else the first there is."""
    if not requirement.sizes or not requirement.sizes[0].amounts:
        return ""
    amounts = requirement.sizes[0].amounts
    main = main_need(amounts)
    return amount(main, amounts[main])


def main_need(amounts: Mapping[str, float]) -> str:
    """The need that stands for all of some amounts (not empty): gpus, cores, memory, or else the first."""
    return next((n for n in ("gpus", "cpu_cores", "mem_bytes") if amounts.get(n, 0.0) > 0), next(iter(amounts)))


def amount(need: str, value: float) -> str:
    """An amount with its unit; a rate under one in ten seconds by the hour."""
    if need.endswith("_bytes"):
        if 0 < value <= 1:  # a share of one whole: what is allocated was not told
            return f"{value:.2g} of its {'disk' if need == 'disk_bytes' else 'memory'}"
        for unit, scale in (("TiB", 2**40), ("GiB", 2**30), ("MiB", 2**20)):
            if value >= scale:
                return f"{value / scale:.4g} {unit}{' of disk' if need == 'disk_bytes' else ''}"
        return f"{value:.0f} B"
    units = {"cpu_cores": ("core", "cores"), "gpus": ("GPU", "GPUs"), "active_users": ("user", "users")}
    if need in units:
        return f"{value:g} {units[need][value != 1]}"
    things = need.replace("_", " ")
    if value == 0:
        return f"no {things}"
    return f"{value:g} {things}/s" if value >= 0.1 else f"{value * 3600:.3g} {things}/h"


def how_long(seconds: float) -> str:
    """A duration to two figures: 45 min, 2 h, 3 d."""
    if seconds < 3_600:
        return f"{seconds / 60:.0f} min"
    if seconds < 2 * 86_400:
        hours = seconds / 3600
        return f"{hours:.0f} h" if hours >= 10 or abs(hours - round(hours)) < 0.2 else f"{hours:.1f} h"
    return f"{seconds / 86_400:.0f} d"


def details(facts: Facts) -> list[str]:
    """Facts that tell personas of one name apart, the plainest first."""
    share = facts.starts.reshape(7, 24).sum(axis=0)
    sizes = facts.requirement.sizes
    memory = sizes[0].amounts.get("mem_bytes", 0.0) if sizes else 0.0
    beside = amount("mem_bytes", memory) if memory else ""
    if facts.kind == "active":
        gaps = facts.recurrence.inter_arrival_s
        return [
            f"from {int(share.argmax()):02d}:00",
            beside,
            f"every {how_long(gaps[1])}" if gaps else "rare",
        ]
    main = next(iter(facts.requirement.mean.items()), None)
    return [beside, f"mean {main[1]:.3g}" if main else ""]


def unique(names: list[str], details: list[list[str]]) -> list[str]:
    """Names made distinct: by the first detail that tells their holders apart, else by a number."""
    names = list(names)
    for position in range(max((len(d) for d in details), default=0)):
        twice = {n for n, count in Counter(names).items() if count > 1}
        for shared in twice:
            holders = [i for i, n in enumerate(names) if n == shared]
            told = [details[i][position] if position < len(details[i]) else "" for i in holders]
            if len(set(told)) > 1:
                for i, detail in zip(holders, told, strict=True):
                    names[i] = f"{shared}, {detail}" if detail else shared
    seen: Counter[str] = Counter()
    for i, text in enumerate(names):
        seen[text] += 1
        if seen[text] > 1:
            names[i] = f"{text} ({seen[text]})"
    return names
