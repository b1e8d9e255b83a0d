"""The catalog's page: whole with nothing, whole with everything, nothing to load, and the numbers it was given."""

import dataclasses
import re
from datetime import timedelta
from xml.etree import ElementTree as ET

import msgspec
import polars as pl
import pytest
from example_catalog import lineage, personas, refits, selection

from assets.personas import catalog_metadata
from persona_platform.frames import empty
from persona_platform.personas.catalog import PATTERNS, Catalog
from persona_platform.personas.levels import LEVELS
from persona_platform.personas.lineage import REFITS
from persona_platform.personas.record import Lead, Recurrence
from persona_platform.replay import charts_catalog, charts_personas
from persona_platform.replay.persona_page import CatalogPage, catalog_html, write_catalog_page
from persona_platform.replay.persona_words import lead_words, rhythm, what_happened


@pytest.fixture(scope="module")
def data():
    return CatalogPage(10, personas(), selection(), lineage(), refits())


@pytest.fixture(scope="module")
def html(data):
    return catalog_html(data)


def words(html):
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", html.replace("&#160;", " ").replace("&ensp;", " ")))


def test_nothing_gives_a_page_that_says_so():
    page = catalog_html(CatalogPage())
    assert "No personas have been learned yet" in page
    assert "This is the first catalog" in page
    assert "<svg" not in page
    assert page.endswith("</html>\n")


def test_each_part_alone_is_enough(data):
    for field in dataclasses.fields(CatalogPage):
        page = catalog_html(CatalogPage(**{field.name: getattr(data, field.name)}))
        assert page.endswith("</html>\n")


def test_the_page_loads_nothing_and_runs_nothing(html):
    assert "<script" not in html
    assert not re.search(r"(src|href)=[\"'](?!#)", html)
    assert "url(" not in html.replace("url(#", "")


def test_ids_are_unique_and_every_link_has_its_place(html):
    ids = re.findall(r'\bid="([^"]+)"', html)
    assert len(ids) == len(set(ids))
    assert set(re.findall(r'href="#([^"]+)"', html)) <= set(ids)


def test_names_are_escaped(html):
    assert "Sundays &lt;full backup&gt;" in html
    assert "<full backup>" not in html


@pytest.mark.parametrize(
    "said",
    [
        "5 personas over 284 workloads",
        "0.95 agreement with the catalog before",
        "learned from 2026-01-05 to 2026-03-02",
        "16 cores, 32 GiB, 100 GiB disk (gp3) 80 %",  # the overview
        "Mon 02:00, 0.43 starts per member and hour",
        "2 h in the median, 2.1 h on average; 4.0 % were cut off",
        "3.0 % of the slots stood at their limit",
        "daily rhythm, kept by 93 % of its starts",
        "Queue depth moves before the need by 30 min, correlation 0.83.",
        "Latency ms follows the need by 15 min",
        "1.9 GiB memory for each core, correlation 0.94.",
        "do not meet those of p002 working hours, 4 cores, 9 h: sharing capacity saves 38 % of the two.",
        "Found again in 9 refits; drift 0.50 at most, 0.30 in the median.",
        "p090 went into p001, with 84 % of its time.",
        "p003 came out of p001, with 90 % of its time.",
        "p001-worker-00 40 %",
        "and 12 more members",
        "The newest refit kept every persona.",
    ],
)
def test_it_says(html, said):
    assert said in words(html)


def test_a_refit_that_churned_is_warned_of_with_names(data):
    """The sixth refit: agreement 0.72, one split, one merged, one gone."""
    until = pl.col("version") <= 6
    early = CatalogPage(6, data.personas, data.selection, data.lineage.filter(until), data.refits.filter(until))
    page = words(catalog_html(early))
    assert "agree by 0.72" in page
    assert "p003 came; p090, p091 went" in page
    assert "p091 is gone: 30 % of its time is no persona's now." in page.replace("&#x27;", "'")


def test_it_is_written_whole_and_over_the_old_one(tmp_path):
    path = tmp_path / "out" / "catalog.html"
    for version in (1, 2):
        write_catalog_page(path, CatalogPage(version, personas()[-1:]))
    assert "Version 2," in path.read_text(encoding="utf-8")
    assert [file.name for file in path.parent.iterdir()] == ["catalog.html"]


ONE = (
    charts_personas.week_chart,
    charts_personas.sizes_chart,
    charts_personas.survival_chart,
    charts_personas.quantiles_chart,
    charts_personas.uplift_chart,
)


def test_charts_are_whole_xml_with_labels_large_enough_to_read(data):
    drawn = [(f.__name__, f(p)) for p in data.personas for f in ONE]
    drawn += [(f.__name__, f(data.personas)) for f in (charts_personas.persona_heatmaps,
                                                       charts_personas.persona_multiples)]  # fmt: skip
    drawn += [("selection", charts_catalog.selection_chart(data.selection))]
    drawn += [("refits", charts_catalog.refits_chart(data.refits))]
    drawn = [(name, drawing) for name, drawing in drawn if drawing]
    assert len({name for name, _ in drawn}) == 9
    for name, drawing in drawn:
        root = ET.fromstring(drawing)
        assert root.tag == "{http://www.w3.org/2000/svg}svg", name
        assert root.get("aria-label"), name
        assert root.get("font-family"), name
        sizes = [float(size) for size in re.findall(r'font-size="([\d.]+)px"', drawing)]
        assert sizes, name
        assert min(sizes) >= 12, name
        assert float(root.get("width")) <= 860, name


def test_charts_of_nothing_are_nothing(data):
    """A resting persona starts never; nothing was chosen; one refit has nothing beside it."""
    resting = data.personas[-1]
    assert charts_personas.week_chart(resting) == ""
    assert charts_personas.sizes_chart(resting) == ""
    assert charts_personas.uplift_chart(resting) == ""
    bare = msgspec.structs.replace(resting.requirement, quantiles={})
    assert charts_personas.quantiles_chart(msgspec.structs.replace(resting, requirement=bare)) == ""
    short = msgspec.structs.replace(resting.duration, survival=[1.0], low=[1.0], high=[1.0])
    assert charts_personas.survival_chart(msgspec.structs.replace(resting, duration=short)) == ""
    assert charts_personas.persona_multiples([]) == ""
    assert charts_catalog.selection_chart(data.selection, "steady") == ""
    assert charts_catalog.selection_chart(data.selection.clear()) == ""
    assert charts_catalog.refits_chart(data.refits.head(1)) == ""
    assert charts_catalog.refits_chart(empty(REFITS)) == ""


def test_the_number_chosen_is_marked_once_a_criterion(data):
    """The dashed line, on each of the three panels; a criterion that was not measured has none."""
    drawn = charts_catalog.selection_chart(data.selection)
    assert drawn.count("stroke-dasharray") == 3
    assert charts_catalog.selection_chart(data.selection.drop("pinball")).count("stroke-dasharray") == 2


def test_hours_that_start_alike_are_one_rectangle(data):
    """Two hours on five nights: five marks in Wednesday's blue, not ten, and none for the hours without starts."""
    assert charts_personas.week_chart(data.personas[0]).count('fill="rgb(23, 79, 143)"') == 5


def test_what_dagster_shows_stays_small(data):
    """Forty personas: the event log keeps every refit's metadata."""
    many = tuple(msgspec.structs.replace(p, persona_id=f"{p.persona_id}-{i}") for i in range(8) for p in data.personas)
    catalog = Catalog(10, timedelta(minutes=15), many, empty(PATTERNS), empty(LEVELS), data.selection, 90,
                      data.lineage, data.refits)  # fmt: skip
    shown = catalog_metadata(catalog)
    assert sum(len(value.md_str or "") for value in shown.values()) < 300_000
    assert {"needs, durations and starts", "stability over refits"} <= set(shown)


@pytest.mark.parametrize(
    ("period_s", "said"),
    [(0.0, "\u2013"), (3600.0, "hourly"), (86400.0, "daily"), (4 * 3600.0, "every 4 h"), (604800.0, "weekly"),
     (30 * 86400.0, "monthly"), (2 * 86400.0, "every 2 days")],
)  # fmt: skip
def test_rhythms_have_names(data, period_s, said):
    recurrence = Recurrence([], [], [], [], [], period_s, 0.9)
    assert rhythm(msgspec.structs.replace(data.personas[0], recurrence=recurrence)) == said


def test_leads_and_events_of_a_lineage_are_sentences():
    assert lead_words(Lead("requests", 0, 0.5), 900) == "Requests moves with the need, correlation 0.50."
    row = {"persona_id": "p002", "other_id": "p001", "share": 0.5}
    for event in ("kept", "new", "split", "merged", "gone"):
        said = what_happened({**row, "event": event})
        assert said.endswith(".")
        assert "50 %" in said
