"""The catalogs of these tests are those that the tests of PostgreSQL publish too."""

import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parent.parent / "postgres"))

from resources.persona_store import PersonaStore


@pytest.fixture
def store(tmp_path):
    with PersonaStore(tmp_path / "store") as opened:
        yield opened
