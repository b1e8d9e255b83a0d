"""The real command line, in this process, on small project folders."""

from collections.abc import Callable
from pathlib import Path

import pytest
from command_line import CONFIG, Run, ended

from persona_platform.settings import Project
from resources.warehouse import Warehouse


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A project folder with nothing in it but persona.toml; commands run over it."""
    home = tmp_path / "home"
    home.mkdir()
    (home / "persona.toml").write_text(CONFIG, encoding="utf-8")
    monkeypatch.setenv("PERSONA_HOME", str(home))
    monkeypatch.chdir(home)
    return Project(home)


@pytest.fixture
def persona() -> Run:
    """Runs one command of the command line."""
    return ended


@pytest.fixture
def held(project: Project) -> Callable[[], dict[str, object]]:
    """What the warehouse and the state file hold, to compare before and after."""

    def look() -> dict[str, object]:
        warehouse = Warehouse(project.warehouse, project.marts, wait_s=20)
        state = project.state / "state.json"
        return {
            "state": warehouse.state(),
            "samples": warehouse.digest("utilization_samples"),
            "file": state.read_text(encoding="utf-8") if state.is_file() else None,
            "stale": warehouse.stale_days() if project.warehouse.exists() else [],
        }

    return look
