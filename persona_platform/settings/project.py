"""The project folder: where each thing lives in it, and finding it. Nothing here opens what those paths name."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from persona_platform.errors import ConfigError
from persona_platform.settings.loading import load_settings
from persona_platform.settings.tables import Settings

FILE_NAME: Final = "persona.toml"
STATE_FOLDER: Final = ".persona"


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
    def catalog_page(self) -> Path:
        """The newest catalog of personas as a page."""
        return self.state / "catalog.html"

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
