"""What types alone cannot say of the settings: each fault with the path of its key."""

import re
from datetime import timedelta
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from persona_platform.capacity.limits import MODES, limits_faults
from persona_platform.capacity.targets import target_faults
from persona_platform.settings.tables import Settings, StorageSettings

Fault = tuple[tuple[str, ...], str]
"""The path of a key, and what is wrong with it."""

_VARIABLE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def semantic_faults(settings: Settings) -> list[Fault]:
    """What types alone cannot say: zones, need names, maximum above minimum, act without a maximum."""
    faults: list[Fault] = []
    try:
        ZoneInfo(settings.project.timezone)
    except (ZoneInfoNotFoundError, ValueError):
        faults.append((("project", "timezone"), f"{settings.project.timezone!r} is not an IANA time zone"))
    faults += _number_faults(settings)
    faults += _storage_faults(settings.storage)
    faults += [(("limits", *_named(fault)), fault) for fault in limits_faults(settings.limits)]
    for target in settings.targets:
        where = ("targets", target.name)
        faults += [((*where, *_named(fault)), fault) for fault in target_faults(target)]
        limits = target.limits
        shared = set(limits_faults(settings.limits))
        faults += [((*where, "limits", *_named(f)), f) for f in limits_faults(limits) if f not in shared]
        if limits.mode in MODES[1:] and limits.max is None:
            faults.append(
                (
                    (*where, "limits", "mode"),
                    f"mode {limits.mode} needs a max: set limits.max, or mode observe",
                )
            )
    return faults


def _number_faults(settings: Settings) -> list[Fault]:
    """Numbers of ``[planning]`` and ``[simulated]`` that cannot be meant."""
    planning, simulated = settings.planning, settings.simulated
    zero = timedelta(0)
    sound = {
        ("planning", "lookback"): (planning.lookback > zero, "must be above 0"),
        ("planning", "horizon"): (planning.horizon > zero, "must be above 0"),
        ("planning", "paths"): (planning.paths > 0, "must be 1 or more"),
        ("simulated", "lead_time_median"): (simulated.lead_time_median > zero, "must be above 0"),
        ("simulated", "lead_time_sigma"): (simulated.lead_time_sigma >= 0, "must be 0 or more"),
    }
    for name in ("failure_rate", "throttle_rate", "lost_reply_rate"):
        sound["simulated", name] = (0 <= getattr(simulated, name) <= 1, "is a rate and must lie from 0 to 1")
    return [(where, f"{where[1]} {why}") for where, (fine, why) in sound.items() if not fine]


def _storage_faults(storage: StorageSettings) -> list[Fault]:
    """``[storage]``: a variable's name where it is needed, and nowhere a URL, which is never repeated."""
    used = [name for name in ("personas", "dagster") if getattr(storage, name) == "postgres"]
    key = ("storage", "postgres_env")
    if storage.postgres_env is None:
        needs = "needs postgres_env: set it to the name of the environment variable that holds the URL"
        return [(("storage", name), f'{name} = "postgres" {needs}') for name in used]
    if not _VARIABLE.fullmatch(storage.postgres_env):
        return [(key, "must be the name of an environment variable that holds the URL, not the URL itself")]
    if not used:
        return [(key, 'names a variable that nothing uses: set personas or dagster to "postgres", or remove it')]
    return []


def _named(fault: str) -> tuple[str, ...]:
    """The key that a fault's clause names first, so that its line is found."""
    word = fault.removeprefix("the ").removeprefix("its ").split(" ")[0]
    return ("unit",) if word in ("unit", "a") else (word,)
