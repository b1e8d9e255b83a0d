"""The targets of a project: those of ``persona.toml``, else one simulated target in observe for each pool."""

from dataclasses import replace

from persona_platform.capacity.targets import Target, with_tiers
from resources.project import ProjectResource


def configured_targets(project: ProjectResource) -> list[Target]:
    """Targets with their tiers filled in from the workloads of their pools."""
    settings = project.settings()
    workloads = project.workloads()
    targets = list(settings.targets) or [
        Target(name=pool, pool=pool, limits=replace(settings.limits, mode="observe"))
        for pool in workloads["pool"].unique().sort().to_list()
    ]
    return with_tiers(targets, workloads)
