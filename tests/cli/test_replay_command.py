"""``persona replay`` as a user types it: files, the own warehouse, and every mistake in one sentence."""

import json
import re
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from command_line import CONFIG, START, Run, Said, ended, readings

from persona_platform.cli.check_live import NONE_YET
from persona_platform.settings import Project

FILES = {"decisions.parquet", "frontier.parquet", "activation.parquet", "summary.json", "report.html"}
QUICK = ("--refit", "none", "--activations", "0")
FEW = (*QUICK, "--policies", "reactive,reactive_tuned,ours,clairvoyant")


def office(days: float = 12, ids: tuple[str, ...] = ("web-1",), metric: str = "cpu_cores") -> pl.DataFrame:
    """Work from 8 to 18 o'clock, hourly."""
    base = readings(days, ids, metric=metric)
    rng = np.random.default_rng(0)
    busy = pl.col("ts").dt.hour().is_between(8, 17)
    return base.with_columns(
        value=pl.when(busy).then(30.0).otherwise(6.0) * pl.Series(rng.uniform(0.9, 1.1, len(base)))
    )


@pytest.fixture
def away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is in no project."""
    monkeypatch.delenv("PERSONA_HOME", raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def summary(out: Path) -> dict:
    assert {path.name for path in out.iterdir()} >= FILES
    return json.loads((out / "summary.json").read_text(encoding="utf-8"))


def test_one_series_from_a_csv_file(away: Path, persona: Run) -> None:
    office().write_csv(away / "web.csv")
    said = persona("replay", "--data", "web.csv", "--out", "out", *FEW)
    assert said.code == 0
    found = summary(away / "out")
    assert (found["targets"], found["step_s"], found["lead_time_s"]) == (1, 3600, 300)
    assert found["source"] == "web.csv: cpu_cores"
    assert "Cost of ours in % of each, 1 % of demand unserved" in said.out
    assert "Reactive autoscaler" in said.out
    assert said.out.endswith("The whole answer is in out/report.html.\n")
    assert "A slot is 1 h, the readings are 1 h apart." in said.err
    again = persona("replay", "--data", "web.csv", "--out", "out", *FEW)
    assert again.out == said.out


def test_two_files_and_two_forms(away: Path, persona: Run) -> None:
    office(ids=("web-1",)).write_csv(away / "web.csv")
    office(ids=("db-1", "db-2")).write_parquet(away / "db.parquet")
    said = persona(
        "replay", "--data", "web.csv", "--data", "db.parquet", "--out", "out", *QUICK, "--policies", "static"
    )
    assert said.code == 0
    assert summary(away / "out")["targets"] == 3
    assert set(pl.read_parquet(away / "out" / "decisions.parquet")["policy"]) == {"static"}
    # As a shell expands `--data *.parquet`.
    said = persona("replay", "--data", "web.csv", "db.parquet", "--out", "o2", *QUICK, "--policies", "static")
    assert summary(away / "o2")["targets"] == 3
    said = persona(
        "replay", "--data", "web.csv", "db.parquet", "--include", "db-*", "--group-by", "dataset", "--out", "o3",
        *QUICK, "--policies", "static",
    )  # fmt: skip
    assert said.code == 0
    assert summary(away / "o3")["targets"] == 1


def test_an_activity(away: Path, persona: Run) -> None:
    office(metric="requests").write_parquet(away / "requests.parquet")
    said = persona(
        "replay", "--data", "requests.parquet", "--out", "out", *FEW, "--lead-time", "15m", "--unit", "0.001"
    )
    assert said.code == 0
    assert "requests" in said.err
    found = summary(away / "out")
    assert (found["source"], found["lead_time_s"]) == ("requests.parquet: requests", 900)


def test_json_is_the_summary_and_nothing_else(away: Path, persona: Run) -> None:
    office().write_parquet(away / "web.parquet")
    said = persona(
        "replay", "--data", "web.parquet", "--out", "out", "--json", *FEW, "--prices", "19:1",
        "--lead-time", "5m", "--lead-time", "2h", "--billing", "1h", "--start-price", "0.1", "--min", "1",
        "--max", "90", "--scale-in-after", "1h", "--backlog", "--act-on-all", "--seed", "7",
    )  # fmt: skip
    assert said.code == 0
    found = json.loads(said.out)
    assert found == summary(away / "out")
    assert {"overall", "per_target", "as_planned", "unserved_at_equal_cost", "levels", "notes"} <= set(found)
    assert found["terms"] == {
        "lead_time": 300, "lead_times": [300, 7200], "billing_quantum": 3600, "start_price": 0.1,
        "scale_in_after": 3600, "minimum": 1, "maximum": 90, "backlog": True, "seed": 7,
    }  # fmt: skip
    assert found["lead_time_s"] == 7200
    decisions = pl.read_parquet(away / "out" / "decisions.parquet")
    assert decisions["billed"].min() >= 1
    assert decisions["billed"].max() <= 90


def test_where_no_level_is_reached_by_both_that_is_said(away: Path, persona: Run) -> None:
    """One unit at most, for a demand of thirty."""
    office().write_parquet(away / "web.parquet")
    said = persona("replay", "--data", "web.parquet", "--out", "out", *FEW, "--max", "1", "--unit", "1")
    assert said.code == 0
    assert "never both serve all but 5 % of demand" in said.out
    assert "┃" not in said.out


def test_bounds_of_time(away: Path, persona: Run) -> None:
    office().write_parquet(away / "web.parquet")
    begin, end = START + timedelta(days=2), START + timedelta(days=9)
    said = persona(
        "replay", "--data", "web.parquet", "--out", "out", *QUICK, "--policies", "static",
        "--from", begin.isoformat(), "--to", end.isoformat(),
    )  # fmt: skip
    assert said.code == 0
    found = summary(away / "out")
    assert found["scored_until"] == end.isoformat()
    assert "Learned from 2026-03-04 00:00" in said.err


REPLAY = ("replay", "--data", "web.parquet", "--out", "out")
BAD: list[tuple[tuple[str, ...], str]] = [
    (("replay", "--data", "web.parquet"), r"Say where the results go: --out DIR\."),
    (("replay", "web.parquet", "--out", "out"), r"give files with --data web\.parquet\."),
    ((*REPLAY, "--prices", "19"), r"'19' is not UNDER:OVER, .* as 19:1\."),
    ((*REPLAY, "--prices", "a:b"), r"'a:b' is not UNDER:OVER"),
    ((*REPLAY, "--prices", "0:1"), r"Both prices must be above 0"),
    ((*REPLAY, "--prices", "nan:1"), r"prices"),
    ((*REPLAY, "--prices", "inf:1"), r"prices"),
    ((*REPLAY, "--unit", "much"), r"'much' is neither auto nor an amount"),
    ((*REPLAY, "--unit", "0"), r"above 0"),
    ((*REPLAY, "--unit", "-3"), r"above 0"),
    ((*REPLAY, "--unit", "nan"), r"nan"),
    ((*REPLAY, "--unit", "inf"), r"inf"),
    ((*REPLAY, "--policies", "keda"), r"There is no policy keda; choose among static, .*, clairvoyant\."),
    ((*REPLAY, "--policies", ","), r"--policies names none; choose among static"),
    ((*REPLAY, "--metric", "love"), r"love"),
    ((*REPLAY, "--include", "db-*"), r"db-\*"),
    ((*REPLAY, "--from", "yesterday"), r"yesterday"),
    ((*REPLAY, "--to", "2026-13-01"), r"2026-13-01"),
    ((*REPLAY, "--from", "2026-03-09", "--to", "2026-03-05"), r"--from 2026-03-09 .* must come before --to 2026-03-05"),
    ((*REPLAY, "--from", "2026-03-09", "--to", "2026-03-10"), r"at least 2 days"),
    ((*REPLAY, "--lead-time", "soon"), r"'soon' is not a duration: .* for instance 15m\."),
    ((*REPLAY, "--slot", "7m"), r"7"),
    ((*REPLAY, "--refit", "daily"), r"daily"),
    ((*REPLAY, "--refit", "0d"), r"0d"),
    ((*REPLAY, "--min", "5", "--max", "3"), r"minimum"),
    ((*REPLAY, "--timezone", "Mars/Olympus"), r"Mars/Olympus"),
    ((*REPLAY, "--events", "nowhere.csv"), r"nowhere\.csv"),
    ((*REPLAY, "--workloads", "nowhere.csv"), r"nowhere\.csv"),
    ((*REPLAY, "--group-by", "team"), r"team"),
    ((*REPLAY, "--train-share", "1"), r"1"),
    (("replay", "--data", "nowhere.parquet", "--out", "out"), r"nowhere\.parquet"),
]  # fmt: skip


@pytest.mark.parametrize(("words", "sentence"), BAD, ids=[" ".join(words[-2:]) for words, _ in BAD])
def test_a_mistake_is_one_sentence(away: Path, persona: Run, words: tuple[str, ...], sentence: str) -> None:
    office().write_parquet(away / "web.parquet")
    said = persona(*words)
    assert said.code == 2
    assert re.search(sentence, said.sentence), said.sentence
    assert said.out == ""
    assert not (away / "out").exists()


def empty(folder: Path) -> None:
    (folder / "bad.csv").write_bytes(b"")


def without_rows(folder: Path) -> None:
    office().head(0).write_csv(folder / "bad.csv")


def other_columns(folder: Path) -> None:
    office().rename({"value": "val"}).write_csv(folder / "bad.csv")


def garbled_times(folder: Path) -> None:
    office().with_columns(ts=pl.lit("then")).write_csv(folder / "bad.csv")


def a_day(folder: Path) -> None:
    office(1).write_csv(folder / "bad.csv")


def nothing_in_it(folder: Path) -> None:
    office().with_columns(value=pl.lit(0.0)).write_csv(folder / "bad.csv")


@pytest.mark.parametrize("write", [empty, without_rows, other_columns, garbled_times, a_day, nothing_in_it])
def test_a_file_that_cannot_be_replayed_is_one_sentence(
    away: Path, persona: Run, write: Callable[[Path], None]
) -> None:
    write(away)
    said = persona("replay", "--data", "bad.csv", "--out", "out", *FEW)
    assert said.code == 2
    assert said.sentence
    assert not (away / "out").exists()


def test_outside_of_a_project_it_says_where_data_may_come_from(away: Path, persona: Run) -> None:
    said = persona("replay", "--out", "out")
    assert said.code == 2
    assert "persona.toml" in said.sentence


def test_check_live_before_the_first_decision(project: Project, persona: Run) -> None:
    said = persona("replay", "--check-live")
    assert (said.code, said.out.replace("\n", " ").strip()) == (0, NONE_YET)


def test_before_anything_was_ingested(project: Project, persona: Run) -> None:
    said = persona("replay", "--out", str(project.home / "out"))
    assert said.code == 2
    assert said.sentence.startswith("Nothing was ingested here yet: persona ingest PATH first")


@pytest.fixture(scope="module")
def ingested(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with nine days of two pools in its warehouse, and a plan."""
    home = tmp_path_factory.mktemp("own") / "home"
    home.mkdir()
    (home / "persona.toml").write_text(
        CONFIG + "[targets.web]\nunit = { amounts = { cpu_cores = 4 } }\n[targets.db]\n", "utf-8"
    )
    feed = pl.concat([office(9, (f"{pool}-1",)).with_columns(dataset=pl.lit(pool)) for pool in ("web", "db")])
    feed.write_parquet(home / "feed.parquet")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PERSONA_HOME", str(home))
        at = ("--at", (START + timedelta(days=9)).isoformat())
        assert ended("ingest", home / "feed.parquet", *at).code == 0
        early = ended("replay", "--out", home / "early")
        assert early.sentence.startswith("What was ingested is not in slots yet: persona replan first")
        assert ended("replan", *at).code == 0
    return home


@pytest.fixture
def own(ingested: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PERSONA_HOME", str(ingested))
    return ingested


def replayed(own: Path, out: Path, *words: str) -> tuple[Said, dict]:
    said = ended("replay", "--out", out, *QUICK, *words)
    assert said.code == 0, said.err
    return said, summary(out)


@pytest.mark.slow
def test_the_own_warehouse(own: Path, tmp_path: Path) -> None:
    said, found = replayed(own, tmp_path / "out", "--routes", "direct", "--policies", "reactive,ours")
    assert (found["source"], found["targets"], found["step_s"]) == ("x", 2, 3600)
    assert "A slot is 60 minutes, as the warehouse keeps them." in said.err
    assert {row["target"] for row in found["per_target"]} == {"web", "db"}
    assert all(row["reason"] for row in found["per_target"])
    _, one = replayed(own, tmp_path / "one", "--include", "db", "--policies", "reactive")
    assert [row["target"] for row in one["per_target"]] == ["db"]


@pytest.mark.slow
def test_the_whole_live_forecast_over_the_own_warehouse(own: Path, tmp_path: Path) -> None:
    words = ("--plan-every", "12", "--policies", "reactive,ours", "--train-share", "0.8")
    _, found = replayed(own, tmp_path, *words)
    assert all(row["suitable"] is not None for row in found["per_target"])
    ours = pl.read_parquet(tmp_path / "frontier.parquet").filter(pl.col("policy") == "ours", pl.col("target") == "web")
    assert ours["unserved_share"].min() < 0.05


@pytest.mark.slow
def test_another_share_to_train_on_is_another_replay(own: Path, tmp_path: Path) -> None:
    """Units are configured: nothing but the share tells the two apart."""
    words = ("--include", "web", "--policies", "static")
    _, first = replayed(own, tmp_path, *words)
    decisions = pl.read_parquet(tmp_path / "decisions.parquet")
    _, other = replayed(own, tmp_path, *words, "--train-share", "0.8")
    assert other["scored_from"] > first["scored_from"]
    later = pl.read_parquet(tmp_path / "decisions.parquet")
    assert later["ts"].min().isoformat() == other["scored_from"]
    assert later.height < decisions.height


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--prices", "19:1"), r"--prices is for files given with --data; a project says it in .*persona\.toml\."),
        (("--slot", "1h"), r"--slot is for files"),
        (("--metric", "cpu_cores"), r"--metric is for files"),
        (("--unit", "4"), r"--unit is for files"),
        (("--group-by", "pool"), r"--group-by is for files"),
        (("--include", "nothing-*"), r"No target is left to replay\."),
        (("--from", "2027-01-01"), r"widen --from and --to\."),
    ],
)
def test_what_a_project_says_itself(own: Path, tmp_path: Path, words: tuple[str, ...], sentence: str) -> None:
    said = ended("replay", "--out", tmp_path / "out", *words)
    assert said.code == 2
    assert re.search(sentence, said.sentence), said.sentence
