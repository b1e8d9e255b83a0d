"""Every bad input: one readable sentence with the fix, the right exit code, and nothing half-written."""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
from command_line import CONFIG, START, Run, readings

from persona_platform.settings import Project

NOW = (START + timedelta(days=3)).isoformat()
FUTURE = datetime(2090, 1, 1, tzinfo=UTC)


def good(folder: Path) -> Path:
    readings().write_parquet(folder / "good.parquet")
    return folder / "good.parquet"


def no_parquet(folder: Path) -> Path:
    (folder / "notes.parquet").write_text("this is no Parquet file\n" * 20, encoding="utf-8")
    return folder / "notes.parquet"


def empty_parquet(folder: Path) -> Path:
    (folder / "empty.parquet").write_bytes(b"")
    return folder / "empty.parquet"


def empty_csv(folder: Path) -> Path:
    (folder / "empty.csv").write_bytes(b"")
    return folder / "empty.csv"


def no_rows(folder: Path) -> Path:
    readings().head(0).write_parquet(folder / "norows.parquet")
    return folder / "norows.parquet"


def wrong_column(folder: Path) -> Path:
    readings().rename({"value": "val"}).write_parquet(folder / "column.parquet")
    return folder / "column.parquet"


def wrong_csv_column(folder: Path) -> Path:
    readings().rename({"ts": "when"}).write_csv(folder / "column.csv")
    return folder / "column.csv"


def wide_csv(folder: Path) -> Path:
    (folder / "wide.csv").write_text("ts,web-1,web-2\n2026-03-02T00:00Z,1,2\n", encoding="utf-8")
    return folder / "wide.csv"


def truncated(folder: Path) -> Path:
    path = folder / "cut.parquet"
    readings().write_parquet(path)
    path.write_bytes(path.read_bytes()[:-100])
    return path


def folder_without_samples(folder: Path) -> Path:
    (folder / "nothing").mkdir()
    (folder / "nothing" / "readme.txt").write_text("no samples", encoding="utf-8")
    return folder / "nothing"


def other_kind(folder: Path) -> Path:
    (folder / "samples.json").write_text("{}", encoding="utf-8")
    return folder / "samples.json"


def missing(folder: Path) -> Path:
    return folder / "nowhere.parquet"


def future_only(folder: Path) -> Path:
    readings(start=FUTURE).write_parquet(folder / "future.parquet")
    return folder / "future.parquet"


def unreadable_times(folder: Path) -> Path:
    readings().with_columns(ts=pl.lit("noon")).write_csv(folder / "noon.csv")
    return folder / "noon.csv"


BAD_FILES = [
    (no_parquet, r"notes\.parquet cannot be read as Parquet .* fetch it again"),
    (truncated, r"cut\.parquet cannot be read as Parquet .* fetch it again"),
    (empty_parquet, r"empty\.parquet: no row at all.* export the samples again"),
    (empty_csv, r"empty\.csv: no row at all.* export the samples again"),
    (no_rows, r"norows\.parquet: no row at all.* export the samples again"),
    (wrong_column, r"column\.parquet lacks the column value: it has workload_id, ts, metric, val.*Rename"),
    (wrong_csv_column, r"column\.csv lacks the column ts.*Rename"),
    (wide_csv, r"wide\.csv lacks the columns workload_id, metric, value.* turn a wide table into one row"),
    (folder_without_samples, r"nothing holds no \.parquet or \.csv file: name the files"),
    (other_kind, r"samples\.json is neither Parquet nor CSV"),
    (missing, r"nowhere\.parquet does not exist: check the path"),
    (future_only, r"future\.parquet: no row has a readable ts up to .* --at a later instant"),
    (unreadable_times, r"noon\.csv: no row has a readable ts up to .* ISO 8601"),
]
IDS = [make.__name__ for make, _ in BAD_FILES]


@pytest.mark.parametrize(("make", "says"), BAD_FILES, ids=IDS)
def test_a_bad_file_on_its_own(
    project: Project, persona: Run, tmp_path: Path, make: Callable[[Path], Path], says: str
) -> None:
    said = persona("ingest", make(tmp_path))
    assert said.code == 2
    assert re.search(says, said.sentence), said.sentence
    assert not project.warehouse.exists()


@pytest.mark.parametrize(("make", "says"), BAD_FILES[:2] + BAD_FILES[5:7] + BAD_FILES[9:11])
def test_a_bad_file_among_good_ones_takes_nothing_in(
    project: Project, persona: Run, tmp_path: Path, make: Callable[[Path], Path], says: str
) -> None:
    said = persona("ingest", good(tmp_path), make(tmp_path))
    assert said.code == 2
    assert re.search(says, said.sentence), said.sentence
    assert not project.warehouse.exists()


Samples = Callable[[], dict[str, object]]


def test_a_good_ingest_and_the_same_file_again(project: Project, persona: Run, tmp_path: Path, held: Samples) -> None:
    assert persona("ingest", good(tmp_path), "--at", NOW).code == 0
    before = held()
    again = persona("ingest", tmp_path / "good.parquet", "--at", NOW)
    assert again.code == 0
    assert "ingested before" in again.err
    assert held() == before


def test_one_bad_row_is_put_aside_and_the_rest_kept(project: Project, persona: Run, tmp_path: Path) -> None:
    frame = readings().with_columns(value=pl.when(pl.int_range(pl.len()) == 7).then(None).otherwise("value"))
    frame.write_csv(tmp_path / "one.csv")
    said = persona("ingest", tmp_path / "one.csv", "--at", NOW)
    assert said.code == 0
    assert "no value (1)" in said.err
    from resources.warehouse import Warehouse

    warehouse = Warehouse(project.warehouse, project.marts)
    assert warehouse.state().samples == frame.height - 1
    assert warehouse.quarantine().select("row", "reason").row(0) == (8, "no value")


def test_an_empty_file_among_good_ones_is_told_and_harmless(project: Project, persona: Run, tmp_path: Path) -> None:
    said = persona("ingest", good(tmp_path), empty_parquet(tmp_path), empty_csv(tmp_path), "--at", NOW)
    assert said.code == 0
    assert "144 samples of 2 workloads" in said.err


def test_a_single_reading_is_kept_and_told(project: Project, persona: Run, tmp_path: Path) -> None:
    readings().head(1).write_parquet(tmp_path / "single.parquet")
    said = persona("ingest", tmp_path / "single.parquet", "--at", NOW)
    assert said.code == 2
    assert re.search(r"No series in single\.parquet has two readings.*ingest more", said.sentence)
    assert persona("ingest", good(tmp_path), "--at", NOW).code == 0


def test_samples_before_any_are_asked_for(project: Project, persona: Run) -> None:
    for command in ("replan", "refit", "provision"):
        said = persona(command)
        assert said.code == 2
        assert "run `persona ingest PATH` first" in said.sentence
    for command in ("plan", "personas", "predict"):
        said = persona(command)
        assert said.code == 2
        assert "run `persona replan`" in said.sentence


BAD_CONFIGS = [
    (
        'timezone = "Mars"\n[limits]\nmaximum = 3\nmin = "a"\n',
        [(3, "not an IANA time zone"), (5, "did you mean max"), (6, "found 'a'")],
    ),
    ('[calendars]\nfiles = "events.csv"\n[surprise]\n', [(4, "calendars.files"), (5, "surprise")]),
    ('[targets.web]\nlimits = { mode = "act" }\n', [(4, "needs a max")]),
    (
        '[planning]\npaths = 0\nhorizon = "0h"\n[simulated]\nthrottle_rate = 2.0\n',
        [(4, "paths must be 1 or more"), (5, "horizon must be above 0"), (7, "must lie from 0 to 1")],
    ),
]


@pytest.mark.parametrize("command", [("check",), ("replan",), ("ingest", "."), ("provision",)])
@pytest.mark.parametrize(("text", "faults"), BAD_CONFIGS)
def test_a_bad_configuration_tells_every_fault_and_its_line(
    project: Project, persona: Run, command: tuple[str, ...], text: str, faults: list[tuple[int, str]]
) -> None:
    project.config.write_text('[project]\nname = "x"\n' + text, encoding="utf-8")
    said = persona(*command)
    assert said.code == 2
    lines = [line.removeprefix("Error: ") for line in said.err.splitlines()]
    for (number, words), line in zip(faults, lines, strict=False):
        assert line.startswith(f"{project.config}:{number}: "), said.err
        assert words in line


def test_toml_that_cannot_be_read_says_where(project: Project, persona: Run) -> None:
    project.config.write_text('[project]\nname = "x\n', encoding="utf-8")
    said = persona("replan")
    assert said.code == 2
    assert "is not valid TOML" in said.sentence
    assert "line 2" in said.sentence


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("replan", "--at", "yesterday"), "'yesterday' is not an instant: write ISO 8601"),
        (("predict", "--horizon", "soon"), "'soon' is not a duration: write a number and s, m, h or d"),
        (("ingest",), "Missing argument"),
        (("forecast",), "No such command 'forecast'"),
        (("explain", "abc"), "0 actions begin with 'abc'"),
        (("approve", "abc"), "0 actions that wait begin with 'abc'"),
        (("reject", "abc"), "0 actions that wait begin with 'abc'"),
    ],
)
def test_a_wrong_word(project: Project, persona: Run, words: tuple[str, ...], says: str) -> None:
    said = persona(*words)
    assert said.code == 2
    assert says in said.sentence


def test_no_project_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, persona: Run) -> None:
    monkeypatch.delenv("PERSONA_HOME", raising=False)
    monkeypatch.chdir(tmp_path)
    said = persona("replan")
    assert said.code == 2
    assert "run `persona init` here" in said.sentence
    monkeypatch.setenv("PERSONA_HOME", str(tmp_path))
    assert "has no persona.toml" in persona("plan").sentence


def test_init_keeps_a_configuration_that_is_there(project: Project, persona: Run) -> None:
    said = persona("init", project.home)
    assert said.code == 2
    assert "is there already" in said.sentence
    assert project.config.read_text(encoding="utf-8") == CONFIG


def test_what_init_writes_is_sound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, persona: Run) -> None:
    assert persona("init", tmp_path / "new").code == 0
    monkeypatch.setenv("PERSONA_HOME", str(tmp_path / "new"))
    assert persona("check").code == 0


def events(home: Path, *rows: str) -> None:
    text = "\n".join(["kind,name,starts_at,ends_at,zone", *rows]) + "\n"
    (home / "events.csv").write_text(text, encoding="utf-8")


BAD_CALENDARS = [
    ("campaign,sale,2026-03-03T10:00,2026-03-03T12:00,", r"events\.csv.*row 2.*has no zone"),
    ("campaign,sale,2026-03-03T10:00,2026-03-03T12:00,Mars/Base", r"events\.csv.*row 2.*Mars/Base"),
    ("campaign,sale,2026-03-03T12:00Z,2026-03-03T10:00Z,UTC", r"events\.csv.*row 2.*ends before it starts"),
    ("campaign,sale,tuesday,2026-03-03T10:00Z,UTC", r"events\.csv.*row 2.*tuesday"),
]


@pytest.mark.parametrize(("row", "says"), BAD_CALENDARS, ids=["naive", "unknown zone", "backwards", "no instant"])
def test_an_event_that_cannot_be(
    project: Project, persona: Run, tmp_path: Path, held: Samples, row: str, says: str
) -> None:
    project.config.write_text(CONFIG + '[calendars]\nfiles = ["events.csv"]\n', encoding="utf-8")
    events(project.home, "campaign,fine,2026-03-03T10:00,2026-03-03T12:00,UTC", row)
    said = persona("ingest", good(tmp_path), "--at", NOW)
    assert said.code == 2
    assert re.search(says, said.sentence), said.sentence
    events(project.home)
    assert persona("ingest", tmp_path / "good.parquet", "--at", NOW).code == 0
    after = held()
    assert after["file"] is not None


def test_sources_that_match_nothing_are_found_by_check(project: Project, persona: Run) -> None:
    project.config.write_text(CONFIG + '[sources]\nsamples = ["nowhere/*.parquet"]\n', encoding="utf-8")
    said = persona("check")
    assert said.code == 2
    assert "'nowhere/*.parquet' matches no file" in said.err


def test_a_workloads_file_that_is_not_there(project: Project, persona: Run, tmp_path: Path) -> None:
    project.config.write_text(CONFIG + '[sources]\nworkloads = "who.csv"\n', encoding="utf-8")
    said = persona("ingest", good(tmp_path), "--at", NOW)
    assert said.code == 2
    assert re.search(r"who\.csv", said.sentence)
