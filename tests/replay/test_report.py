"""The page: whole with nothing, whole with everything, nothing to load, and the numbers it was given."""

import dataclasses
import re
from datetime import timedelta
from xml.etree import ElementTree as ET

import polars as pl
import pytest
from example_report import ORIGIN, SLOT, report_data

from persona_platform.frames import OUTCOMES, PLAN, empty
from persona_platform.replay import charts
from persona_platform.replay.charts_personas import persona_heatmaps
from persona_platform.replay.numbers import amount, lasting, likelihood, moment, money, number, percent
from persona_platform.replay.outcomes import AS_PLANNED
from persona_platform.replay.page import table
from persona_platform.replay.report import ReportData, report_html, write_report
from persona_platform.replay.scores import ALL_TARGETS, Comparison, savings
from persona_platform.replay.sections_saved import one_setting_each


@pytest.fixture(scope="module")
def data():
    return report_data()


@pytest.fixture(scope="module")
def html(data):
    return report_html(data)


def words(html):
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", html.replace("&#160;", " ")))


SECTIONS = ["What was learned", "What is likely next", "The plan", "What was provisioned", "What it saved"]


def test_nothing_gives_a_page_that_says_so():
    page = words(report_html(ReportData()))
    for title in SECTIONS:
        assert page.count(title) == 2  # in the contents and above its section
    assert "No personas have been learned yet" in page
    assert "There is no plan yet" in page
    assert "Nothing was changed" in page
    assert "No replay has been run" in page
    assert "<svg" not in report_html(ReportData())


def test_each_part_alone_is_enough(data):
    """Whatever else is missing: one field at a time beside an otherwise empty page."""
    for field in dataclasses.fields(ReportData):
        page = report_html(ReportData(**{field.name: getattr(data, field.name)}))
        assert page.endswith("</html>\n")


@pytest.mark.parametrize(
    "missing", [("evidence", "units", "limits", "outcomes"), ("observed", "inventories"), ("plan", "actions")]
)
def test_what_explains_a_part_may_be_missing(data, missing):
    void = {name: getattr(ReportData(), name) for name in (*missing, "combination", "demand")}
    page = dataclasses.replace(data, personas=(), comparison=None, **void)
    assert report_html(page).endswith("</html>\n")


def test_the_page_loads_nothing_and_runs_nothing(html):
    assert "<script" not in html
    assert "javascript:" not in html
    assert not re.search(r"(src|href)=[\"'](?!#)", html)
    assert "@import" not in html
    assert "url(" not in html.replace("url(#", "")


def test_no_two_drawings_share_an_id(html):
    ids = re.findall(r'\bid="([^"]+)"', html)
    assert len(ids) == len(set(ids))
    assert set(re.findall(r"url\(#([^)]+)\)", html)) <= set(ids)


def test_names_from_the_users_files_are_escaped(html):
    assert "Sundays &lt;full backup&gt;" in html
    assert "<full backup>" not in html


def test_it_contains_the_numbers_that_it_was_given(data, html):
    page = words(html)
    assert "16 cores, 32 GiB memory  80 %" in page.replace("&ensp;", " ")
    assert "1 other size, together 4 %" in page
    assert "6.2 times as often at month end" in page
    assert "times as often at campaign" not in page  # its interval says that nothing is known
    assert "58.2" in page  # expected members
    assert "> 99 %" in page.replace("&gt;", ">")
    top = data.plan.filter(target="storefront").sort("needed")["needed"][-1]
    assert re.search(rf"storefront 240 requests/s 0.192 \d+ {top} ", page)
    raised = data.actions.filter(pl.col("to_floor") > pl.col("from_floor")).row(0, named=True)
    assert f"{raised['from_floor']} → {raised['to_floor']}" in page
    assert f"{raised['wanted']:,} needed at {moment(raised['need_at'])}" in page
    assert "8 min ahead" in page
    assert "4 min late" in page
    row = savings(data.comparison).filter(target=ALL_TARGETS, basis=AS_PLANNED).row(0, named=True)
    assert f"{percent(row['unserved_share'])} of demand was left unserved at a cost of {money(row['ours'])}" in page
    assert f"{percent(row['saved_reactive_tuned'])} less" in page


def test_each_target_is_drawn_at_settings_that_serve_it_as_well_as_ours_or_come_closest(data):
    chosen = one_setting_each(data.comparison).select("target", "policy", "setting").unique()
    assert chosen.height == 2 * 4
    scores = data.comparison.scores.join(chosen, on=["target", "policy", "setting"])
    for target, rows in scores.group_by("target"):
        planned = rows.filter(policy="ours", setting=AS_PLANNED)["unserved_share"].item()
        for row in rows.iter_rows(named=True):
            others = data.comparison.scores.filter(target=target[0], policy=row["policy"])
            fits = others.filter(pl.col("unserved_share") <= planned)
            wanted = fits["cost"].min() if fits.height else others["unserved_share"].min()
            assert row["policy"] == "ours" or row["cost" if fits.height else "unserved_share"] == wanted


def test_a_loss_is_called_a_loss(data):
    scores = data.comparison.scores.with_columns(
        cost=pl.when(pl.col("policy") == "ours").then(pl.col("cost") * 9).otherwise("cost")
    )
    page = words(report_html(ReportData(comparison=dataclasses.replace(data.comparison, scores=scores))))
    assert re.search(r"That is \d+ % more than", page)
    assert "closes none of the gap" in page
    assert "Prediction did not pay on analytics, storefront" in page


def test_a_given_reason_stands_instead_of_ours(data):
    actions = data.actions.with_columns(reason=pl.lit("an operator asked <b>"))
    page = report_html(ReportData(actions=actions))
    assert "an operator asked &lt;b&gt;" in page
    assert "needed at" not in words(page)


def test_it_is_written_whole_and_over_the_old_one(tmp_path, data):
    path = tmp_path / "out" / "report.html"
    for title in ("first", "second"):
        write_report(path, ReportData(title=title))
    assert "<title>second</title>" in path.read_text(encoding="utf-8")
    assert [file.name for file in path.parent.iterdir()] == ["report.html"]


def drawings(data):
    comparison = data.comparison
    return {
        "heat": persona_heatmaps(data.personas),
        "fan": charts.demand_fan(data.observed, data.demand),
        "plan": charts.plan_chart(data.plan, data.inventories),
        "weights": charts.weights_chart(data.combination, SLOT),
        "frontier": charts.frontier_chart(comparison.scores),
        "capacity": charts.capacity_chart(data.observed, data.inventories, data.outcomes),
        "policies": charts.policies_chart(comparison.decisions.filter(setting=AS_PLANNED), "storefront"),
    }


def test_charts_are_whole_xml_with_labels_large_enough_to_read(data):
    for name, drawing in drawings(data).items():
        root = ET.fromstring(drawing)
        assert root.tag == "{http://www.w3.org/2000/svg}svg", name
        assert root.get("aria-label"), name
        sizes = [float(size) for size in re.findall(r'font-size="([\d.]+)px"', drawing)]
        assert sizes, name
        assert min(sizes) >= 12, name
        assert float(root.get("width")) <= 860, name


def test_charts_of_nothing_are_nothing(data):
    void = ReportData()
    assert persona_heatmaps([]) == ""
    assert persona_heatmaps([p for p in data.personas if p.kind == "resting"]) == ""
    assert charts.demand_fan(data.observed, void.demand) == ""
    assert charts.plan_chart(empty(PLAN), data.inventories) == ""
    assert charts.weights_chart(void.combination, SLOT) == ""
    assert charts.frontier_chart(data.comparison.scores.clear()) == ""
    assert charts.capacity_chart(data.observed, void.inventories, empty(OUTCOMES)) == ""
    assert charts.policies_chart(data.comparison.decisions.clear(), "storefront") == ""


def test_the_fan_opens_at_the_last_observation(data):
    """Without it the drawing has one point less, and a gap between what was and what comes."""
    target = ["storefront"]
    ahead = data.demand.filter(pl.col("slot") >= ORIGIN + timedelta(hours=23))
    alone = charts.demand_fan(data.observed.clear(), ahead, targets=target)
    joined = charts.demand_fan(data.observed, ahead, targets=target)
    points = [re.findall(r'<path[^>]*stroke="#1f5fa8"[^>]*>', drawing)[0].count("L") for drawing in (alone, joined)]
    assert points[1] == points[0] + 1


def test_a_comparison_of_nothing_is_no_reason_to_stop(data):
    void = dataclasses.replace(
        data.comparison, scores=data.comparison.scores.clear(), decisions=data.comparison.decisions.clear()
    )
    assert isinstance(void, Comparison)
    assert "No replay has been run" in report_html(ReportData(comparison=void))


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (amount("cpu_cores", 1.0), "1 core"),
        (amount("cpu_cores", 2.5), "2.5 cores"),
        (amount("mem_bytes", 3 * 2.0**30), "3 GiB memory"),
        (amount("net_in_bytes", 1.5 * 2**20), "1.5 MiB/s received"),
        (amount("jobs", 0.002), "7.2 jobs/h"),
        (amount("active_users", 1200.0), "1,200 active users"),
        (percent(0.0), "0 %"),
        (percent(0.00004), "< 0.01 %"),
        (percent(0.0012), "0.12 %"),
        (percent(0.034), "3.4 %"),
        (percent(-0.5), "-50 %"),
        (percent(None), "\u2013"),
        (likelihood(0.003), "< 1 %"),
        (likelihood(0.999), "> 99 %"),
        (likelihood(1.0), "100 %"),
        (lasting(5400), "1.5 h"),
        (lasting(604800), "7 days"),
        (lasting(86400), "1 day"),
        (lasting(40), "40 s"),
        (number(1234.5), "1,234"),
        (number(float("nan")), "\u2013"),
        (money(12.345), "12.35"),
        (moment(ORIGIN), "Thu 14 Mar 07:30"),
    ],
)
def test_numbers_are_said_as_people_say_them(said, words):
    assert said == words


def test_cells_and_columns_must_agree():
    with pytest.raises(ValueError, match="zip"):
        table([], [["a"]])
