"""``persona.toml`` and the project folder: read once at an entry point, handed down as frozen dataclasses.

What belongs here: the shape of the configuration, its validation with the line of every fault, and the paths of
the project folder. What does not: anything that opens those paths.
"""

from persona_platform.capacity.limits import Limits
from persona_platform.capacity.targets import Prices, Target, Unit
from persona_platform.settings.loading import load_settings, parse_duration
from persona_platform.settings.project import FILE_NAME, STATE_FOLDER, Project, find_project
from persona_platform.settings.tables import (
    CalendarSettings,
    PlanningSettings,
    ProjectSettings,
    Settings,
    SimulatedClusterSettings,
    SourceSettings,
    StorageSettings,
)

__all__ = [
    "FILE_NAME",
    "STATE_FOLDER",
    "CalendarSettings",
    "Limits",
    "PlanningSettings",
    "Prices",
    "Project",
    "ProjectSettings",
    "Settings",
    "SimulatedClusterSettings",
    "SourceSettings",
    "StorageSettings",
    "Target",
    "Unit",
    "find_project",
    "load_settings",
    "parse_duration",
]
