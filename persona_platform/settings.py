"""``persona.toml`` and the project folder: read once at an entry point, handed down as frozen dataclasses.

What belongs here: the shape of the configuration, its validation with the line of every fault, and the paths of
the project folder. What does not: anything that opens those paths.
"""

import os
import re
import tomllib
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass, field, fields
from datetime import timedelta
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final, Literal, get_type_hints
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import ConfigDict, TypeAdapter, ValidationError

from persona_platform.capacity.limits import MODES, Limits, limits_faults
from persona_platform.capacity.targets import Prices, Target, Unit, target_faults
from persona_platform.errors import ConfigError

FILE_NAME: Final = "persona.toml"
STATE_FOLDER: Final = ".persona"
_FORBID: Final = ConfigDict(extra="forbid")
_DURATION: Final = re.compile(r"^\s*(\d+(?:\.\d+)?)\s*(s|m|h|d)\s*$")
_SECONDS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400}


@dataclass(frozen=True)
class ProjectSettings:
    """``[project]``: the name, the default zone, the seed, and which environment's schedules run."""

    __pydantic_config__ = _FORBID

    name: str
    timezone: str = "UTC"
    slot: timedelta | None = None
    seed: int = 0
    environment: Literal["local", "demonstration"] = "local"


@dataclass(frozen=True)
class SourceSettings:
    """``[sources]``: what the ingest schedule reads; paths and patterns are relative to the project folder."""

    __pydantic_config__ = _FORBID

    samples: tuple[str, ...] = ()
    workloads: str | None = None
    metrics: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class CalendarSettings:
    """``[calendars]``: event files (CSV, iCal) and the countries whose public holidays count."""

    __pydantic_config__ = _FORBID

    files: tuple[str, ...] = ()
    holidays: tuple[str, ...] = ()


@dataclass(frozen=True)
class PlanningSettings:
    """``[planning]``: how far back and ahead a replan looks, and how many paths it simulates."""

    __pydantic_config__ = _FORBID

    lookback: timedelta = timedelta(days=56)
    horizon: timedelta = timedelta(hours=48)
    paths: int = 200


@dataclass(frozen=True)
class SimulatedClusterSettings:
    """``[simulated]``: the behaviour of the simulated cluster."""

    __pydantic_config__ = _FORBID

    lead_time_median: timedelta = timedelta(seconds=180)
    lead_time_sigma: float = 0.35
    failure_rate: float = 0.02
    quota: int | None = None
    throttle_rate: float = 0.0
    lost_reply_rate: float = 0.0


@dataclass(frozen=True)
class Settings:
    """The whole configuration of one project folder."""

    __pydantic_config__ = _FORBID

    project: ProjectSettings
    sources: SourceSettings = SourceSettings()
    calendars: CalendarSettings = CalendarSettings()
    planning: PlanningSettings = PlanningSettings()
    simulated: SimulatedClusterSettings = SimulatedClusterSettings()
    budget_day: float | None = None
    limits: Limits = field(default_factory=Limits)
    targets: tuple[Target, ...] = ()


@dataclass(frozen=True)
class Project:
    """A project folder: where each thing lives."""

    home: Path

    @property
    def config(self) -> Path:
        """``persona.toml``."""
        return self.home / FILE_NAME

    @property
    def state(self) -> Path:
        """Everything that is not the user's own."""
        return self.home / STATE_FOLDER

    @property
    def warehouse(self) -> Path:
        """The DuckDB file: raw rows."""
        return self.state / "warehouse.duckdb"

    @property
    def marts(self) -> Path:
        """One folder a mart, one a day in it."""
        return self.state / "frames" / "warehouse"

    @property
    def frames(self) -> Path:
        """What each asset made."""
        return self.state / "frames"

    @property
    def plans(self) -> Path:
        """Immutable plans and their evidence."""
        return self.state / "plans"

    @property
    def inventory(self) -> Path:
        """Immutable inventories."""
        return self.state / "inventory"

    @property
    def decisions(self) -> Path:
        """What each decision was made from."""
        return self.state / "decisions"

    @property
    def store(self) -> Path:
        """The Persona Database."""
        return self.state / "store"

    @property
    def ledger(self) -> Path:
        """The ledger, where no database URL is given."""
        return self.state / "ledger.sqlite"

    @property
    def simulated(self) -> Path:
        """The simulated cluster."""
        return self.state / "simulated.sqlite"

    @property
    def dagster(self) -> Path:
        """The Dagster instance."""
        return self.state / "dagster"

    def settings(self) -> Settings:
        """The parsed configuration. Raises :class:`ConfigError` with every fault and its line."""
        return load_settings(self.config)


def find_project(start: Path | None = None) -> Project:
    """The project folder: ``PERSONA_HOME``, else the nearest folder upward that holds ``persona.toml``."""
    given = os.environ.get("PERSONA_HOME")
    if given and start is None:
        home = Path(given).resolve()
        if not (home / FILE_NAME).is_file():
            raise ConfigError(
                f"PERSONA_HOME is {home}, which has no {FILE_NAME}: point it at a project folder or run "
                f"`persona init {home}`."
            )
        return Project(home)
    here = (start or Path.cwd()).resolve()
    for folder in (here, *here.parents):
        if (folder / FILE_NAME).is_file():
            return Project(folder)
    raise ConfigError(f"No {FILE_NAME} in {here} or above it: run `persona init` here, or set PERSONA_HOME.")


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
    faults: list[tuple[tuple[str, ...], str]] = []
    prepared = _prepare(raw, faults)
    settings: Settings | None = None
    try:
        settings = TypeAdapter(Settings).validate_python(prepared)
        faults += _semantic_faults(settings)
    except ValidationError as fault:
        faults += [(tuple(map(str, e["loc"])), _sentence(e["msg"], e["input"])) for e in fault.errors()]
        faults += _faults_beside(prepared, [e["loc"] for e in fault.errors()])
    if faults or settings is None:
        named = {(_toml_path(raw, loc), why) for loc, why in faults}
        lines = sorted((_line_of(text, loc), ".".join(loc), why) for loc, why in named)
        raise ConfigError("\n".join(f"{path}:{line}: {where}: {why}" for line, where, why in lines))
    return settings


def _prepare(raw: dict[str, Any], faults: list[tuple[tuple[str, ...], str]]) -> dict[str, Any]:
    """Durations parsed, shared limits merged under each target's own, targets as a list with their names."""
    prepared = dict(raw)
    hints = get_type_hints(Settings)
    for section in ("project", "planning", "simulated", "limits"):
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


def _target(
    name: str, body: dict[str, Any], shared: dict[str, Any], faults: list[tuple[tuple[str, ...], str]]
) -> dict[str, Any]:
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


def _durations(
    body: dict[str, Any], cls: type, where: tuple[str, ...], faults: list[tuple[tuple[str, ...], str]]
) -> dict[str, Any]:
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


def _refuse_unknown(
    body: dict[str, Any], cls: type, where: tuple[str, ...], faults: list[tuple[tuple[str, ...], str]]
) -> None:
    known = [f.name for f in fields(cls)] + (["budget_day_total"] if where == ("limits",) else [])
    for name in body:
        if name not in known:
            near = get_close_matches(name, known, n=1)
            hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(known)}"
            faults.append(((*where, name), f"unknown key; {hint}"))


def _sentence(message: str, found: object) -> str:
    shown = repr(found) if isinstance(found, (str, int, float, bool)) else type(found).__name__
    return f"{message[0].lower()}{message[1:]} (found {shown})"


def _semantic_faults(settings: Settings) -> list[tuple[tuple[str, ...], str]]:
    """What types alone cannot say: zones, need names, maximum above minimum, act without a maximum."""
    faults: list[tuple[tuple[str, ...], str]] = []
    try:
        ZoneInfo(settings.project.timezone)
    except (ZoneInfoNotFoundError, ValueError):
        faults.append((("project", "timezone"), f"{settings.project.timezone!r} is not an IANA time zone"))
    faults += _number_faults(settings)
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


def _number_faults(settings: Settings) -> list[tuple[tuple[str, ...], str]]:
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


def _faults_beside(prepared: dict[str, Any], wrong: list[tuple[int | str, ...]]) -> list[tuple[tuple[str, ...], str]]:
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
        found = _semantic_faults(TypeAdapter(Settings).validate_python(rest))
    except ValidationError:
        return []
    return [(where, why) for where, why in found if where[:-1] not in tables]


def _named(fault: str) -> tuple[str, ...]:
    """The key that a fault's clause names first, so that its line is found."""
    word = fault.removeprefix("the ").removeprefix("its ").split(" ")[0]
    return ("unit",) if word in ("unit", "a") else (word,)


def _toml_path(raw: dict[str, Any], loc: tuple[str, ...]) -> tuple[str, ...]:
    """The key path in the file: targets are validated as a list, so their index becomes their name again."""
    if len(loc) > 1 and loc[0] == "targets" and loc[1].isdigit():
        return ("targets", list(raw["targets"])[int(loc[1])], *loc[2:])
    if loc == ("budget_day",):
        return ("limits", "budget_day_total")
    return loc


def _line_of(text: str, path: tuple[str, ...]) -> int:
    """The line (from 1) on which the longest known prefix of a key path stands."""
    table: tuple[str, ...] = ()
    best_line, best_length = 1, 0
    for number, line in enumerate(text.splitlines(), start=1):
        header = re.match(r"\s*\[+\s*([^\]]+?)\s*\]+", line)
        key = re.match(r"\s*([\w.\"'-]+)\s*=", line)
        if header:
            table = _split_key(header[1])
            candidate = table
        elif key:
            candidate = (*table, *_split_key(key[1]))
        else:
            continue
        shared = min(len(candidate), len(path))
        if shared > best_length and candidate[:shared] == path[:shared]:
            best_line, best_length = number, shared
    return best_line


def _split_key(dotted: str) -> tuple[str, ...]:
    return tuple(part.strip().strip("\"'") for part in dotted.split("."))


__all__ = [
    "FILE_NAME",
    "CalendarSettings",
    "Limits",
    "PlanningSettings",
    "Prices",
    "Project",
    "ProjectSettings",
    "Settings",
    "SimulatedClusterSettings",
    "SourceSettings",
    "Target",
    "Unit",
    "find_project",
    "load_settings",
    "parse_duration",
]
