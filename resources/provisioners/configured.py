"""Which provisioner a target uses, as ``persona.toml`` says."""

from typing import Final

from persona_platform.errors import ConfigError
from persona_platform.settings import Project, Settings
from resources.provisioners import Provisioner

KNOWN: Final = ("simulated",)


def configured_provisioner(project: Project, settings: Settings, name: str) -> Provisioner:
    """The provisioner of that name over this project folder. Raises :class:`ConfigError` for an unknown one."""
    if name == "simulated":
        from resources.provisioners.simulated import SimulatedProvisioner, SimulatedSettings

        simulated = settings.simulated
        return SimulatedProvisioner(
            project.simulated,
            SimulatedSettings(
                lead_time_median_s=simulated.lead_time_median.total_seconds(),
                lead_time_sigma=simulated.lead_time_sigma,
                failure_rate=simulated.failure_rate,
                quota=simulated.quota,
                throttle_rate=simulated.throttle_rate,
                lost_reply_rate=simulated.lost_reply_rate,
                seed=settings.project.seed,
            ),
        )
    raise ConfigError(f"There is no provisioner {name!r}: known are {', '.join(KNOWN)}.")
