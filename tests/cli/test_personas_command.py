"""``persona personas``: what a person reads at 80 and 120 columns, what a program reads, and what is written."""

import io
import json
import re

import msgspec
import polars as pl
import pytest
from persona_records import NAMES, learned, lineage, nightly, resting
from polars.testing import assert_frame_equal
from rich.console import Console

from persona_platform.cli.persona_view import bar, persona_view, survival_chart, week_map
from persona_platform.cli.personas import personas_table
from persona_platform.personas.record import Duration, Persona


def printed(renderable, width):
    out = io.StringIO()
    Console(file=out, width=width, color_system=None).print(renderable)
    return out.getvalue()


def words(text):
    return re.sub(r"[\s\u2500]+", " ", text)


@pytest.fixture
def played(project):
    return learned(project)


@pytest.mark.parametrize("width", [80, 120])
def test_the_table_names_every_persona_with_its_facts(width):
    shown = printed(personas_table([nightly(), resting()]), width)
    assert max(map(len, shown.splitlines())) <= width
    assert "…" not in shown
    text = words(shown)
    for said in ("id persona, and what it needs lasts rhythm priority members stable drift", "p001 weekday nights,",
                 "0.20 32 cores, 64 GiB,", "daily critical 14 0.91 0.14", "- - standard 0 1.00 new"):  # fmt: skip
        assert said in text


@pytest.mark.parametrize("width", [80, 120])
def test_one_persona_is_told_in_full(width):
    shown = printed(persona_view(nightly(), NAMES, lineage()), width)
    assert max(map(len, shown.splitlines())) <= width
    assert "…" not in shown
    text = words(shown)
    for said in (
        "p001 weekday nights, 16 cores, 2 h",
        "version 3, learned from 2026-02-02 to 2026-03-02",
        "Priority critical, sized at its 0.99 quantile; stability 0.91, drift 0.14.",
        "0.80 0.70-0.88",
        "13.6-16.6",  # of the median number of cores
        "2.0 % of the slots stood at their limit",
        "Duration: median 2 h, mean 2.03 h; 4.0 % were cut off",
        "most: Mon 02:00, 0.4 starts per member and hour (0.4 to 0.4)",
        "daily, kept by 93 % of the starts",
        "1 day between two in the median",
        "end of quarter reporting 6.2 3.1-12.4 1.8 1.4-2.3 4 44",
        "Queue depth moves before the need by 30 min, correlation 0.83.",
        "4 GiB memory for each core, correlation 0.94.",
        "peaks do not meet those of p002 resting, 0.5 cores",
        "Found again in 2 refits; drift 0.30 at most",
        "p009 went into p001, with 80 % of its time.",
        "warehouse-batch-europe-00 0.30",
        "and 2 more",
    ):
        assert said in text, said


def test_a_persona_with_next_to_nothing_is_told_without_empty_parts():
    shown = printed(persona_view(resting(), NAMES, lineage().clear()), 80)
    for part in ("Needs", "Recurrence", "Events", "What goes with it", "Members (0)\n"):
        assert f"\n{part}\n" not in shown
    assert "p002  resting, 0.5 cores" in shown


@pytest.mark.parametrize(
    ("share", "low", "high", "drawn"),
    [(0.5, 0.25, 0.75, "█▓░"), (1.0, 1.0, 1.0, "████"), (0.0, 0.0, 0.0, ""), (0.5, 0.9, 0.1, "██")],
)
def test_a_bar_shows_what_is_sure_likely_and_possible(share, low, high, drawn):
    assert bar(share, low, high, width=4) == drawn


def test_a_survival_chart_falls_and_ends_where_the_data_do():
    lines = survival_chart(Duration(900, [1.0, 0.5, 0.0], [1.0, 0.4, 0.0], [1.0, 0.6, 0.1], 900.0, 900.0, 0.0)).plain
    rows = [len(line.split("│")[1]) for line in lines.splitlines() if "│" in line]
    assert rows == sorted(rows)
    assert "30 min" in lines
    assert survival_chart(Duration(900, [1.0], [1.0], [1.0], 0.0, 0.0, 0.0)) is None


def test_the_week_has_seven_days_of_twenty_four_hours():
    lines = week_map(nightly().recurrence).plain.splitlines()
    assert [line[:3] for line in lines[1:8]] == ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"]
    assert {len(line) for line in lines[1:8]} == {4 + 48 + 1}
    assert lines[1][8:10] == "██"
    assert lines[6].strip() == "Sat" + " " * 49 + "│"


def test_a_program_reads_records(persona, played):
    said = persona("personas", "--json")
    records = [msgspec.convert(p, Persona) for p in json.loads(said.out)["personas"]]
    assert [p.persona_id for p in records] == ["p001", "p002"]
    assert records[0].requirement == nightly().requirement
    one = json.loads(persona("personas", "p002", "--json").out)["personas"]
    assert [p["persona_id"] for p in one] == ["p002"]


@pytest.mark.parametrize("name", ["who.parquet", "who.csv"])
def test_membership_is_written_for_every_slot_read(persona, played, tmp_path, name):
    said = persona("personas", "--membership", tmp_path / name)
    assert said.code == 0
    assert "184 rows, 2026-03-01 00:00 to 2026-03-01 23:45 UTC" in words(said.out)
    read = pl.read_parquet(tmp_path / name) if name.endswith("parquet") else pl.read_csv(
        tmp_path / name, schema_overrides={"ts": pl.Datetime("us", "UTC")}
    )  # fmt: skip
    assert_frame_equal(read, played.select("workload_id", pl.col("slot").alias("ts"), "persona_id", "probability"))
    assert [p.name for p in tmp_path.iterdir() if p.is_file()] == [name]


def test_a_file_that_is_there_stays_unless_forced(persona, played, tmp_path):
    out = tmp_path / "who.parquet"
    out.write_text("mine", encoding="utf-8")
    refused = persona("personas", "--membership", out)
    assert refused.code == 2
    assert "--force" in refused.sentence
    assert out.read_text(encoding="utf-8") == "mine"
    assert persona("personas", "--membership", out, "--force").code == 0
    assert pl.read_parquet(out).height == played.height


def test_both_files_or_none(persona, played, tmp_path):
    page = tmp_path / "page.html"
    page.write_text("mine", encoding="utf-8")
    assert persona("personas", "--membership", tmp_path / "who.csv", "--page", page).code == 2
    assert not (tmp_path / "who.csv").exists()


def test_the_page_is_written(persona, played, tmp_path):
    said = json.loads(persona("personas", "--page", tmp_path / "page.html", "--json").out)
    assert said == {"page": str(tmp_path / "page.html")}
    assert "weekday nights, 16 cores, 2 h" in (tmp_path / "page.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("command", "fault"),
    [
        (["p404"], "There is no persona p404: known are p001, p002."),
        (["--membership", "nowhere/who.csv"], "There is no folder nowhere to write who.csv into: make it first."),
        (["p001", "--membership", "who.csv"], "--membership and --page are of all personas: leave out the id."),
    ],
)
def test_what_cannot_be_done_is_one_sentence(persona, played, command, fault):
    said = persona("personas", *command)
    assert said.code == 2
    assert said.sentence == fault


@pytest.mark.parametrize("command", [[], ["p001"], ["--membership", "who.csv"], ["--page", "page.html"]])
def test_before_the_first_refit_it_says_what_to_run(persona, project, command):
    said = persona("personas", *command)
    assert said.code == 2
    assert "has not been made yet: run `persona replan`." in said.sentence
    assert not list(project.home.glob("*.csv"))
