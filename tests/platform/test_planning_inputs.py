"""What a replan says when there is nothing to learn from."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from assets.inputs import planning_inputs
from persona_platform.errors import InputError
from persona_platform.settings import Project
from resources.project import ProjectResource, ProjectState, state_path

NEWEST = datetime(2025, 3, 3, tzinfo=UTC)


def project(home: Path, *metrics: str) -> ProjectResource:
    (home / "persona.toml").write_text('[project]\nname = "x"\n', encoding="utf-8")
    Project(home).state.mkdir()
    ProjectState(timedelta(hours=1), date(2025, 2, 1), NEWEST, metrics).save(state_path(Project(home)))
    return ProjectResource(home=str(home), at=NEWEST.isoformat())


@pytest.mark.parametrize(
    ("metrics", "words"),
    [
        (("cpu_raw_sum", "mem_bytes_alloc"), "(there is cpu_raw_sum, mem_bytes_alloc)"),
        (("cpu_raw_sum", "mem_bytes_alloc"), 'metrics = { cpu_raw_sum = "cpu_cores" }'),
        (("mem_bytes_alloc",), 'metrics = { my_cpu = "cpu_cores" }'),
        (("cpu_cores", "cpu_raw_sum"), "nothing was read: give another --at"),
    ],
)
def test_the_metrics_that_are_there_are_named_with_the_fix(
    tmp_path: Path, metrics: tuple[str, ...], words: str
) -> None:
    with pytest.raises(InputError) as fault:
        planning_inputs(project(tmp_path, *metrics), None)
    assert words in str(fault.value)
    assert str(fault.value).endswith(".")


def test_the_state_is_kept_whole_and_an_older_one_is_read(tmp_path: Path) -> None:
    made = project(tmp_path, "cpu_cores")
    path = state_path(Project(tmp_path))
    assert made.state() == ProjectState(timedelta(hours=1), date(2025, 2, 1), NEWEST, ("cpu_cores",))
    path.write_text(
        path.read_text(encoding="utf-8").replace('"metrics": ["cpu_cores"]', '"other": 1'), encoding="utf-8"
    )
    state = ProjectState.load(path)
    assert state is not None
    assert state.metrics == ()
