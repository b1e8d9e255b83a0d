"""The two code locations of ``workspace.yaml``: each assembles its Definitions with ``build_defs``."""

import os
from pathlib import Path

from persona_platform.errors import ConfigError
from persona_platform.settings import find_project


def home_if_any() -> Path | None:
    """The project folder of ``PERSONA_HOME`` or of where Dagster was started; None where there is none.

    A ``PERSONA_HOME`` that is wrong is an error: it was meant.
    """
    try:
        return find_project().home
    except ConfigError:
        if os.environ.get("PERSONA_HOME"):
            raise
        return None
