"""What a run plans and learns from, and what it says when there is nothing."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from assets.inputs import learning_inputs, planning_inputs
from persona_platform.errors import InputError
from persona_platform.frames import WORKLOADS, empty
from persona_platform.settings import Project
from resources.project import ProjectResource, ProjectState, state_path
from resources.warehouse import MARTS

NEWEST = datetime(2025, 3, 3, tzinfo=UTC)


def project(home: Path, *metrics: str) -> ProjectResource:
    (home / "persona.toml").write_text('[project]\nname = "x"\n', encoding="utf-8")
    Project(home).state.mkdir()
    ProjectState(timedelta(hours=1), date(2025, 2, 1), NEWEST, metrics).save(state_path(Project(home)))
    made = ProjectResource(home=str(home), at=NEWEST.isoformat())
    made.frames.write("raw/workloads", empty(WORKLOADS), "1")
    return made


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
    for asked in (planning_inputs, lambda *of: list(learning_inputs(*of).shares)):
        home = tmp_path / str(asked)
        home.mkdir()
        with pytest.raises(InputError) as fault:
            asked(project(home, *metrics), None)
        assert words in str(fault.value)
        assert str(fault.value).endswith(".")


@pytest.mark.parametrize("most", [1, 2, 500])
def test_a_refit_reads_the_fleet_in_shares_that_are_whole_and_have_no_workload_twice(tmp_path: Path, most: int) -> None:
    made = project(tmp_path, "cpu_cores")
    slots = pl.datetime_range(NEWEST - timedelta(days=2), NEWEST, "1h", closed="left", eager=True)
    ids = pl.Series(["b", "a", "c-1", "only requests", "gone"], dtype=pl.String)
    both = ids.to_frame("workload_id").join(slots.to_frame("slot"), how="cross").sort("workload_id", "slot")
    usage = both.filter(~pl.col("workload_id").str.contains("only|gone")).with_columns(
        cpu_cores=1.0 + pl.int_range(pl.len())
    )
    activity = both.filter(pl.col("workload_id").is_in(["a", "only requests"])).with_columns(requests=2.0)
    marts = Project(tmp_path).marts
    for name, frame in (("usage_per_slot", usage), ("activity_per_slot", activity)):
        schema, time = MARTS[name]
        whole = frame.select(
            pl.col(c).cast(t) if c in frame.columns else pl.lit(None, t).alias(c) for c, t in schema.items()
        )
        for (day,), part in whole.group_by(pl.col(time).dt.date()):
            path = marts / name / f"day={day}" / "part.parquet"
            path.parent.mkdir(parents=True)
            part.write_parquet(path)
    shares = list(learning_inputs(made, None, most).shares)
    read = [set(share.needs["workload_id"]) for share in shares]
    assert max(len(one) for one in read) <= most
    assert sorted(name for one in read for name in one) == ["a", "b", "c-1", "only requests"]
    together = pl.concat([share.needs for share in shares], how="diagonal").sort("workload_id", "slot")
    assert together.equals(planning_inputs(made, None).needs.select(together.columns))
    moves = pl.concat([share.activity for share in shares if share.activity is not None])
    assert moves.filter(workload_id="a")["requests"].to_list() == [2.0] * 48


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
