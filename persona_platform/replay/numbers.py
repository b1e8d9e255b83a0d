"""Numbers, amounts, times and names of limits as a person reads them. Only wording, nothing computed."""

import math
from datetime import datetime

GIB = 2.0**30
MIB = 2.0**20
DASH = "\u2013"

_RATES = ("requests", "jobs", "departures")
_UNITS = {
    "cpu_cores": (1.0, "core", "s"),
    "gpus": (1.0, "GPU", "s"),
    "mem_bytes": (GIB, "GiB memory", ""),
    "disk_bytes": (GIB, "GiB disk", ""),
    "disk_read_bytes": (MIB, "MiB/s read", ""),
    "disk_write_bytes": (MIB, "MiB/s written", ""),
    "net_in_bytes": (MIB, "MiB/s received", ""),
    "net_out_bytes": (MIB, "MiB/s sent", ""),
}

BOUND = {
    "none": "",
    "pause": "paused",
    "mode": "the target is only observed",
    "stale": "the input was too old",
    "history": "too little history yet",
    "unsuitable": "acting on the forecast was not worth it on held-out days",
    "max": "held at the target's maximum",
    "failure": "waiting after a failed write",
    "dead_band": "too small a change",
    "cooldown": "waiting for the cooldown",
    "step": "held at the largest step",
    "budget": "held by the budget",
    "approval": "the rest waits for approval",
    "not_ours": "not our floor",
    "renewal": "the same floor, for longer",
}
"""What each ``bound_by`` of an action means."""

POLICY = {
    "ours": "Persona Platform",
    "reactive": "Reactive autoscaler",
    "reactive_tuned": "Reactive, tuned in hindsight",
    "clairvoyant": "Knowing the future",
}


def number(value: float | None) -> str:
    """Three digits that matter, thousands set apart; a dash where there is nothing."""
    if value is None or not math.isfinite(value):
        return DASH
    size = abs(value)
    if size >= 100 or value == round(value):
        return f"{value:,.0f}"
    return f"{value:.3g}" if size >= 0.1 else f"{value:.2g}"


def money(value: float | None) -> str:
    """Two decimals below a thousand, none above."""
    if value is None or not math.isfinite(value):
        return DASH
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:,.2f}"


def percent(share: float | None) -> str:
    """A share in percent: finer where it is small, since 0.1 % and 1 % unserved are worlds apart."""
    if share is None or not math.isfinite(share):
        return DASH
    value = 100 * share
    size = abs(value)
    if size == 0 or size >= 9.95:
        return f"{value:.0f} %"
    return f"{value:.1f} %" if size >= 0.995 else f"{value:.2f} %" if size >= 0.01 else "< 0.01 %"


def likelihood(probability: float | None) -> str:
    """A probability in whole percent, never a false certainty."""
    if probability is None or not math.isfinite(probability):
        return DASH
    if 0 < probability < 0.01:
        return "< 1 %"
    if 0.99 < probability < 1:
        return "> 99 %"
    return f"{100 * probability:.0f} %"


def lasting(seconds: float | None) -> str:
    """A duration in its natural unit."""
    if seconds is None or not math.isfinite(seconds):
        return DASH
    for size, unit in ((86400, "day"), (3600, "h"), (60, "min")):
        if abs(seconds) >= size:
            units = round(seconds / size, 1)
            return f"{number(units)} {unit}{'s' if unit == 'day' and abs(units) != 1 else ''}"
    return f"{seconds:.0f} s"


def moment(at: datetime | None) -> str:
    """Weekday, day and time; the page says once that times are UTC."""
    return DASH if at is None else f"{at:%a} {at.day} {at:%b %H:%M}"


def amount(need: str, value: float) -> str:
    """An amount of a need with its unit."""
    if need in _RATES:
        # Below one in 100 seconds an hourly rate reads better.
        return f"{number(value)} {need}/s" if value >= 0.01 else f"{number(3600 * value)} {need}/h"
    scale, unit, plural = _UNITS.get(need, (1.0, need.replace("_", " "), ""))
    return f"{number(value / scale)} {unit}{plural if value != scale else ''}"


def unit_of(need: str, top: float) -> tuple[float, str]:
    """The unit that amounts of a need up to ``top`` are drawn in: its size, and what it is called."""
    name = need.replace("_", " ")
    if need.endswith("_bytes") and top > 1:  # up to 1 it is a share of an allocation that was not told
        rate = "" if need in ("mem_bytes", "disk_bytes") else "/s"
        words = {"mem_bytes": "memory", "disk_bytes": "disk"}.get(need, name.removesuffix(" bytes"))
        size, unit = next((s, u) for s, u in ((2.0**40, "TiB"), (GIB, "GiB"), (MIB, "MiB"), (1.0, "B")) if top >= s)
        return size, f"{words}, {unit}{rate}"
    if need in _RATES:
        return (1.0, f"{name} per second") if top >= 0.01 else (1 / 3600, f"{name} per hour")
    return 1.0, {"cpu_cores": "cores", "gpus": "GPUs", "mem_bytes": "memory, share"}.get(need, name)


def count(how_many: int, one: str, more: str | None = None) -> str:
    """A number with its noun."""
    return f"{how_many:,} {one if how_many == 1 else more or one + 's'}"
