"""The dbt command line as a Dagster resource: this environment's own executable."""

import sys
from functools import cached_property
from importlib.metadata import version as installed_version
from pathlib import Path

from dagster_dbt import DbtCliResource
from packaging.version import Version


class InstalledDbt(DbtCliResource):
    """dbt of the environment that this process runs in."""

    @cached_property
    def _cli_version(self) -> Version:
        """The package's version. The base class asks ``dbt --version``, a process of 4 s CPU before every build."""
        return Version(installed_version("dbt-core"))


def installed_dbt(project: Path) -> InstalledDbt:
    """Dbt over a dbt project that holds its own profiles."""
    return InstalledDbt(
        project_dir=str(project),
        profiles_dir=str(project),
        dbt_executable=str(Path(sys.executable).with_name("dbt")),
    )
