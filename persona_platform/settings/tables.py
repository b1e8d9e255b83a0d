"""The tables of ``persona.toml`` as frozen dataclasses: their keys, types and defaults."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final, Literal

from pydantic import ConfigDict

from persona_platform.capacity.limits import Limits
from persona_platform.capacity.targets import Target

_FORBID: Final = ConfigDict(extra="forbid")


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
class StorageSettings:
    """``[storage]``: what is kept in PostgreSQL, for many hosts; by default everything is in the project folder.

    ``postgres_env`` names the environment variable that holds the server's URL, so that no password stands here.
    """

    __pydantic_config__ = _FORBID

    postgres_env: str | None = None
    personas: Literal["lmdb", "postgres"] = "lmdb"
    dagster: Literal["sqlite", "postgres"] = "sqlite"


@dataclass(frozen=True)
class Settings:
    """The whole configuration of one project folder."""

    __pydantic_config__ = _FORBID

    project: ProjectSettings
    sources: SourceSettings = SourceSettings()
    calendars: CalendarSettings = CalendarSettings()
    planning: PlanningSettings = PlanningSettings()
    simulated: SimulatedClusterSettings = SimulatedClusterSettings()
    storage: StorageSettings = StorageSettings()
    budget_day: float | None = None
    limits: Limits = field(default_factory=Limits)
    targets: tuple[Target, ...] = ()
