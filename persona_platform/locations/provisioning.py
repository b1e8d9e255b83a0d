"""The provisioning location: inventory, the sensor, the op. Small, so that a run starts fast."""

from pathlib import Path

import dagster as dg

from assets.inventory import inventory
from persona_platform.automation.provisioning import (
    demand_exceeds_capacity,
    observe_capacity_job,
    observe_schedule,
    provision_capacity,
)
from persona_platform.locations import home_if_any
from resources.project import ProjectResource


def build_defs(home: Path | None, *, at: str = "") -> dg.Definitions:
    """The location over one project folder; ``at`` fixes the instant that its sensor and runs act at."""
    observe = observe_capacity_job()
    return dg.Definitions(
        assets=[inventory],
        jobs=[provision_capacity, observe],
        schedules=[observe_schedule(observe)] if home else [],
        sensors=[demand_exceeds_capacity],
        resources={"project": ProjectResource(home=str(home) if home else "", at=at)},
    )


@dg.definitions
def defs() -> dg.Definitions:
    """What Dagster loads: the project of ``PERSONA_HOME`` or of the folder it was started in."""
    return build_defs(home_if_any())
