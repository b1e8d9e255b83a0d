"""Reading ``persona.toml``: TOML to frozen dataclasses, with every fault and its line in one error."""

import re
import tomllib
from copy import deepcopy
from dataclasses import fields
from datetime import timedelta
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final, get_type_hints

from pydantic import TypeAdapter, ValidationError

from persona_platform.capacity.limits import Limits
from persona_platform.capacity.targets import Prices, Unit
from persona_platform.errors import ConfigError
from persona_platform.settings.faults import Fault, semantic_faults
from persona_platform.settings.lines import line_of, toml_path
from persona_platform.settings.tables import Settings

_DURATION: Final = re.compile(r"^\s*(\d+(?:\.\d+)?)\s*(s|m|h|d)\s*$")
_SECONDS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def parse_duration(text: str) -> timedelta:
    """``"90s"``, ``"15m"``, ``"1.5h"``, ``"7d"`` as a timedelta; :class:`ConfigError` for anything else."""
    found = _DURATION.match(text)
    if not found:
        raise ConfigError(f"{text!r} is not a duration: write a number and s, m, h or d, for instance 15m.")
    return timedelta(seconds=float(found[1]) * _SECONDS[found[2]])


def load_settings(path: Path) -> Settings:
    """Reads and validates ``persona.toml``; :class:`ConfigError` lists every fault as ``file:line: sentence``."""
    try:
        text = path.read_text(encoding="utf-8")
        raw = tomllib.loads(text)
    except FileNotFoundError:
        raise ConfigError(f"{path} does not exist: run `persona init {path.parent}`.") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as fault:
        raise ConfigError(f"{path} is not valid TOML: {fault}.") from fault
    faults: list[Fault] = []
    prepared = _prepare(raw, faults)
    settings: Settings | None = None
    try:
        settings = TypeAdapter(Settings).validate_python(prepared)
        faults += semantic_faults(settings)
    except ValidationError as fault:
        faults += [(tuple(map(str, e["loc"])), _sentence(e["msg"], e["input"])) for e in fault.errors()]
        faults += _faults_beside(prepared, [e["loc"] for e in fault.errors()])
    if faults or settings is None:
        named = {(toml_path(raw, loc), why) for loc, why in faults}
        lines = sorted((line_of(text, loc), ".".join(loc), why) for loc, why in named)
        raise ConfigError("\n".join(f"{path}:{line}: {where}: {why}" for line, where, why in lines))
    return settings


def _prepare(raw: dict[str, Any], faults: list[Fault]) -> dict[str, Any]:
    """Durations parsed, shared limits merged under each target's own, targets as a list with their names."""
    prepared = dict(raw)
    hints = get_type_hints(Settings)
    for section in ("project", "planning", "simulated", "storage", "limits"):
        if isinstance(raw.get(section), dict):
            prepared[section] = _durations(raw[section], hints[section], (section,), faults)
    shared = prepared.get("limits") if isinstance(prepared.get("limits"), dict) else {}
    if "budget_day_total" in (shared or {}):
        shared = dict(shared or {})
        prepared["budget_day"] = shared.pop("budget_day_total")
        prepared["limits"] = shared
    targets = raw.get("targets")
    if isinstance(targets, dict):
        prepared["targets"] = [
            _target(name, body, shared or {}, faults) for name, body in targets.items() if isinstance(body, dict)
        ]
        faults += [
            (("targets", name), "expected a table such as [targets.web]")
            for name, body in targets.items()
            if not isinstance(body, dict)
        ]
    return prepared


def _target(name: str, body: dict[str, Any], shared: dict[str, Any], faults: list[Fault]) -> dict[str, Any]:
    own = body.get("limits", {})
    limits = _durations(own, Limits, ("targets", name, "limits"), faults) if isinstance(own, dict) else own
    unit = body.get("unit", "auto")
    for part, cls in (("unit", Unit), ("prices", Prices)):
        if isinstance(body.get(part), dict):
            _refuse_unknown(body[part], cls, ("targets", name, part), faults)
    return {
        "pool": name,
        **body,
        "name": name,
        "unit": None if unit == "auto" else unit,
        "limits": {**shared, **limits} if isinstance(limits, dict) else limits,
    }


def _durations(body: dict[str, Any], cls: type, where: tuple[str, ...], faults: list[Fault]) -> dict[str, Any]:
    hints = get_type_hints(cls)
    _refuse_unknown(body, cls, where, faults)
    names = {f.name for f in fields(cls) if "timedelta" in str(hints[f.name])}
    out = {name: value for name, value in body.items() if name in {f.name for f in fields(cls)}}
    if where == ("limits",) and "budget_day_total" in body:
        out["budget_day_total"] = body["budget_day_total"]
    for name in names & body.keys():
        try:
            out[name] = parse_duration(str(body[name]))
        except ConfigError as fault:
            faults.append(((*where, name), str(fault)))
            del out[name]
    return out


def _refuse_unknown(body: dict[str, Any], cls: type, where: tuple[str, ...], faults: list[Fault]) -> None:
    known = [f.name for f in fields(cls)] + (["budget_day_total"] if where == ("limits",) else [])
    for name in body:
        if name not in known:
            near = get_close_matches(name, known, n=1)
            hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(known)}"
            faults.append(((*where, name), f"unknown key; {hint}"))


def _sentence(message: str, found: object) -> str:
    if isinstance(found, str) and "://" in found:  # a URL may hold a password
        found = "a URL"
    shown = repr(found) if isinstance(found, (str, int, float, bool)) else type(found).__name__
    return f"{message[0].lower()}{message[1:]} (found {shown})"


def _faults_beside(prepared: dict[str, Any], wrong: list[tuple[int | str, ...]]) -> list[Fault]:
    """What is wrong beside values of the wrong type: these are left out, and the tables they stand in not judged."""
    rest: Any = deepcopy(prepared)
    tables = set()
    for *path, last in wrong:
        holder, table = rest, []
        for key in path:
            holder = holder[key]
            table.append(str(holder["name"] if isinstance(key, int) and isinstance(holder, dict) else key))
        tables.add(tuple(table))
        if isinstance(holder, dict):
            holder.pop(last, None)
    try:
        found = semantic_faults(TypeAdapter(Settings).validate_python(rest))
    except ValidationError:
        return []
    return [(where, why) for where, why in found if where[:-1] not in tables]
