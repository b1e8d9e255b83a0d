"""The page of ``persona replay``: a plain answer, losses as losses, whole whatever is missing."""

import dataclasses
import re
from datetime import timedelta
from xml.etree import ElementTree as ET

import polars as pl
import pytest
from example_replay import LEFT, TARGETS, replay_report

from persona_platform.frames import ACTIVATION, SUITABILITY, empty
from persona_platform.replay import charts_replay
from persona_platform.replay.charts_replay import compact, relative_curves
from persona_platform.replay.outcomes import DECISIONS
from persona_platform.replay.replay_report import ReplayReport, replay_html, write_replay_report
from persona_platform.replay.scores import ALL_TARGETS, SCORES, savings
from persona_platform.replay.sections_replay_activation import bins, skill
from persona_platform.replay.sections_replay_findings import Fronts, Totals, findings
from persona_platform.replay.sections_replay_weeks import telling, weeks
from persona_platform.replay.sections_replay_words import between, cost, level, listed, signed
from persona_platform.replay.terms import Terms

SECTIONS = [
    "Which targets, with which setting",
    "Cost against service",
    "At the same service",
    "At the same cost",
    "A week of demand and capacity",
    "Where prediction does not help",
    "What the forecast of activations is worth",
    "How this was replayed",
]


@pytest.fixture(scope="module")
def data():
    return replay_report()


@pytest.fixture(scope="module")
def html(data):
    return replay_html(data)


@pytest.fixture(scope="module")
def found(data):
    return found_of(data.comparison.scores, data.suitability, LEFT)


def found_of(scores, suitability=None, left=(), wished=0.01):
    return findings(Fronts(scores), empty(SUITABILITY) if suitability is None else suitability, left, wished)


def words(html):
    plain = html.replace("&#160;", " ").replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
    return re.sub(r"\s+", " ", re.sub(r"</?[a-z][^<>]*>", " ", plain))


def without_charts(data, **changed):
    """The same report with nothing to draw: rendering is what takes the time."""
    return dataclasses.replace(data, decisions=pl.DataFrame(schema=DECISIONS), activation=empty(ACTIVATION), **changed)


def with_scores(data, scores, **changed):
    comparison = dataclasses.replace(data.comparison, scores=scores, decisions=pl.DataFrame(schema=DECISIONS))
    return without_charts(data, **{"summary": {}, **changed, "comparison": comparison})


def made_up(rows):
    """SCORES of (target, policy, unserved share, cost) that all lie on their frontiers."""
    rest = {name: 0.0 for name, kind in SCORES.items() if kind == pl.Float64}
    return pl.DataFrame(
        [
            {
                **rest,
                "target": t,
                "policy": p,
                "setting": f"{p} {i}",
                "unserved_share": u,
                "cost": c,
                "on_frontier": True,
            }
            for i, (t, p, u, c) in enumerate(rows)
        ],
        schema=dict(SCORES),
    )


def test_it_has_its_sections_in_order(html):
    page = words(html)
    places = [page.rindex(title) for title in SECTIONS]
    assert places == sorted(places)
    assert page.index("Yes, for 3 of 6 targets") < page.index(SECTIONS[0])


def test_the_answer_counts_every_target_as_judged_beforehand(html, found):
    page = words(html)
    totals = Totals.of(found)
    assert f"{cost(totals.ours)} in your money over 11 days" in page
    assert f"{signed(totals.saved('reactive_tuned'))} than reactive autoscalers tuned in hindsight" in page
    assert re.search(r"3 targets to turn on 3 to leave to your autoscaler", page)
    assert "It lost on flash sales, where it had looked worth it" in page
    assert totals.targets == len(TARGETS)  # those that are left alone, and the one that lost, too


def test_the_table_says_what_was_measured(html, found, data):
    page = words(html)
    rows = data.comparison.scores.filter(pl.col("target") == "web shop", pl.col("policy") == "ours")
    within = rows.filter(pl.col("unserved_share") <= 0.01).sort("cost").row(0, named=True)
    finding = next(f for f in found if f.target == "web shop")
    assert finding.best["setting"] == within["setting"]
    assert within["setting"] in page
    assert f"web shop Turn on {cost(finding.money)} less {signed(finding.saved('reactive_tuned'))}" in page
    costs = [cost(finding.costs[name]) for name in ("ours", "reactive_tuned", "reactive", "clairvoyant")]
    assert " ".join(costs) in page


def test_it_is_sorted_by_money_and_the_losing_row_is_marked(html, found):
    amounts = [f.money for f in found]
    assert amounts == sorted(amounts, reverse=True)
    assert found[-1].target == "flash sales"
    row = html[html.index("flash sales<br>") :]
    assert row.index('class="bad"') < row.index("</tr>")
    assert "more" in words(row[: row.index("</tr>")])
    assert "The scored part disagrees." in row
    assert html.count("The scored part disagrees.") == 1


def test_the_verdict_is_kept_even_where_the_scored_part_would_have_it_otherwise():
    """A target left alone on which prediction would have saved is not turned on, but said."""
    rows = [("a", "ours", 0.01, 100), ("a", "reactive_tuned", 0.01, 90), ("a", "reactive", 0.01, 100)]
    scores = made_up([*rows, ("a", "ours_unlimited", 0.01, 60), ("a", "clairvoyant", 0.01, 50)])
    (finding,) = found_of(scores, left=("a",))
    assert not finding.turn_on
    assert finding.disagrees
    assert "33 % less than the tuned autoscaler" in finding.scored


def test_the_same_scores_without_a_verdict_say_that_it_is_hindsight(data):
    comparison = dataclasses.replace(data.comparison, left_alone=())
    page = words(replay_html(without_charts(data, suitability=empty(SUITABILITY), comparison=comparison)))
    assert "No verdict from the training part was given, so the advice is hindsight" in page


@pytest.mark.parametrize(
    ("ours", "tuned", "plain", "outcome", "said"),
    [
        ((0.01, 90), (0.01, 100), (0.01, 120), "gained", "10 % less than the tuned autoscaler, 25 % less"),
        ((0.01, 110), (0.01, 100), (0.01, 120), "lost", "10 % more than the tuned autoscaler, 8.3 % less"),
        ((0.01, 100.5), (0.01, 100), (0.01, 120), "gained", "the same as the autoscaler tuned in hindsight, 16 % less"),
        ((0.01, 100), (0.01, 100), (0.01, 100.5), "even", "there is nothing to gain"),
        ((0.01, 100), (0.04, 80), (0.04, 80), "gained", "No setting of the tuned autoscaler served as much"),
        ((0.03, 50), (0.01, 100), (0.01, 120), "lost", "kept within 1 % unserved, the least was 3.0 %"),
    ],
)  # fmt: skip
def test_what_the_scored_part_says(ours, tuned, plain, outcome, said):
    policies = {"ours": ours, "reactive_tuned": tuned, "reactive": plain, "clairvoyant": (0.001, 40)}
    (finding,) = found_of(made_up([("a", name, *at) for name, at in policies.items()]))
    assert finding.outcome == outcome
    assert said in finding.scored
    assert finding.turn_on == (outcome == "gained")


def test_where_nobody_serves_as_much_as_wished_a_hair_more_at_any_cost_does_not_win():
    """Compared at the least that both reach, with the setting that is cheapest there."""
    scores = made_up(
        [
            ("a", "ours", 0.11, 900),
            ("a", "ours", 0.12, 120),
            ("a", "reactive_tuned", 0.12, 100),
            ("a", "clairvoyant", 0.001, 40),
        ]
    )
    (finding,) = found_of(scores)
    assert finding.share == 0.12
    assert finding.best["cost"] == 120
    assert finding.outcome == "lost"
    assert "Neither ours nor an autoscaler keeps within 1 % unserved. At 12 % it cost 20 % more" in finding.scored


def test_yes_for_some_is_no_yes_where_it_costs_more_over_all(data):
    rivals = [("reactive_tuned", 100), ("reactive", 100), ("clairvoyant", 40)]
    scores = made_up(
        [(t, name, 0.01, c) for t, ours in (("a", 90), ("b", 200)) for name, c in (("ours", ours), *rivals)]
    )
    page = words(replay_html(with_scores(data, scores, suitability=empty(SUITABILITY))))
    assert "Only for 1 of 2 targets (a): over all, as judged beforehand, it would have cost more." in page
    assert "45 % more cost than a tuned autoscaler at equal service: 90.00 in your money" in page


def test_costs_are_compared_at_the_wished_share_and_not_at_what_ours_happens_to_leave():
    """Ours at a tenth of the share must not be held against what the rival pays for a tenth of it."""
    scores = made_up(
        [
            ("a", "ours", 0.001, 100),
            ("a", "reactive_tuned", 0.001, 200),
            ("a", "reactive_tuned", 0.01, 90),
            ("a", "clairvoyant", 0.001, 80),
        ]
    )
    (finding,) = found_of(scores)
    assert finding.costs["reactive_tuned"] == 90
    assert finding.loses


def test_no_is_an_answer(data):
    dearer = pl.when(pl.col("policy") == "ours").then(pl.col("cost") * 9).otherwise("cost")
    page = words(replay_html(with_scores(data, data.comparison.scores.with_columns(cost=dearer))))
    assert "No, leave all 6 targets to your autoscaler: 2 judged unsuitable" in page
    assert "more cost than a tuned autoscaler at equal service" in page
    assert "none of the gap closed" in page
    assert "0 targets to turn on 6 to leave to your autoscaler" in page
    assert "It looked worth it, and lost" in page


def test_one_target_alone(data):
    one = data.comparison.scores.filter(pl.col("target") == "web shop")
    page = words(replay_html(with_scores(data, one)))
    assert re.search(r"Yes, turn it on for web shop, with the setting “[^”]+”\.", page)
    assert "1 target to turn on 0 to leave" in page


def test_without_ours_it_says_so(data):
    rest = data.comparison.scores.filter(pl.col("policy") != "ours")
    page = words(replay_html(with_scores(data, rest)))
    assert "Prediction was not among the policies replayed" in page


def test_nothing_at_all_gives_a_page(data):
    page = replay_html(with_scores(data, data.comparison.scores.clear(), suitability=empty(SUITABILITY)))
    assert page.endswith("</html>\n")
    assert "Nothing was replayed, so there is no answer." in page
    assert "No predicted activations were kept" in page
    assert "No decisions were kept to draw" in page
    assert "<svg" not in page


@pytest.mark.parametrize("missing", ["reactive_tuned", "reactive", "clairvoyant"])
def test_a_rival_may_be_missing(data, missing):
    rest = data.comparison.scores.filter(pl.col("policy") != missing)
    assert replay_html(with_scores(data, rest)).endswith("</html>\n")


def test_ours_alone_is_compared_with_nothing(data):
    alone = data.comparison.scores.filter(pl.col("policy") == "ours", pl.col("target") == "web shop")
    page = words(replay_html(with_scores(data, alone, suitability=empty(SUITABILITY))))
    assert "No reactive autoscaler was replayed beside it." in page
    assert "No, leave web shop to your autoscaler" in page


def test_no_level_reached_is_said(data):
    short = data.comparison.scores.with_columns(unserved_share=pl.col("unserved_share") * 0.3 + 0.4)
    page = words(replay_html(with_scores(data, short)))
    assert "no policy left less than a fifth of demand unserved" in page
    assert "% unserved" in page


def test_the_levels_are_the_summary_s(html, data):
    page = words(html)
    row = next(r for r in data.summary["overall"] if r["rival"] == "reactive_tuned" and r["level"] == 0.01)
    assert f"{signed(1 - row['cost_ratio'])} ({between(1 - row['cost_ratio_high'], 1 - row['cost_ratio_low'])})" in page
    assert f"{row['wins']} won" in page
    assert "only the other reached it on" in page
    assert "at 0.1 % unserved at 1 % unserved at 5 % unserved" in page
    assert "not comparable" in page


def test_as_planned_is_told_without_hindsight(html, data):
    planned = savings(data.comparison, levels=()).filter(pl.col("target") == ALL_TARGETS).row(0, named=True)
    page = words(html)
    assert f"and cost {cost(planned['ours'])} in your money." in page
    assert "that it serves as well" in page


def test_a_replay_without_prices_counts_unit_hours(data):
    comparison = dataclasses.replace(data.comparison, prices=dict.fromkeys(TARGETS, 1.0))
    page = words(replay_html(without_charts(data, comparison=comparison)))
    assert "in your money" not in page
    assert re.search(r"would have cost [\d,]+ unit-hours over", page)


def test_terms_are_told(data):
    terms = Terms(
        lead_time=timedelta(hours=1),
        lead_times=(timedelta(minutes=40), timedelta(minutes=90)),
        billing_quantum=timedelta(hours=1),
        start_price=0.25,
        minimum=2,
        backlog=True,
    )
    summary = {**data.summary, "refit_every_s": 86400.0}
    comparison = dataclasses.replace(data.comparison, terms=terms)
    page = words(replay_html(without_charts(data, comparison=comparison, summary=summary)))
    assert "drawn for each request from 2 recorded ones, 40 min to 1.5 h" in page
    assert "in whole periods of 1 h; each start costs 0.25 unit-hours more" in page
    assert "at least 2 units" in page
    assert "what people would have sent after waiting is unknown" in page
    assert "refitted every day, on what was known by then" in page


def test_names_are_escaped(html):
    assert "office &lt;mail&gt; &amp; chat" in html
    assert "<mail>" not in html


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


def test_drawings_are_whole_and_their_labels_large_enough(html):
    drawings = re.findall(r"<svg role=.*?</svg>", html, flags=re.DOTALL)
    assert len(drawings) == 2 + 6 + 2 * 4 + 3  # frontiers, small ones, weeks in two widths, horizons
    for drawing in drawings:
        root = ET.fromstring(drawing)
        assert root.get("aria-label")
        assert min(float(size) for size in re.findall(r'font-size="([\d.]+)px"', drawing)) >= 12


def test_a_lazy_frame_of_decisions_draws_the_same_week(data, found, tmp_path):
    path = tmp_path / "decisions.parquet"
    data.comparison.decisions.write_parquet(path)
    few = [f for f in found if f.target in {"web shop", "flash sales"}]
    held = (data.comparison.decisions, pl.scan_parquet(path))
    drawn = [weeks(few, data.comparison, decisions, 0.01) for decisions in held]
    assert drawn[0] == drawn[1]
    assert drawn[0].count("<svg role") == 2 * 2  # targets, widths


def test_many_targets_are_cut_and_counted_with_the_losers_left_in(data):
    one = data.comparison.scores.filter(pl.col("target") == "flash sales", pl.col("policy") != "ours_unlimited")
    many = pl.concat(
        [
            one.with_columns(
                target=pl.lit(f"pool {i:03d}"),
                cost=pl.when(pl.col("policy") == "ours").then(pl.col("cost") * (0.5 + i / 120)).otherwise("cost"),
            )
            for i in range(120)
        ]
    )
    html = replay_html(with_scores(data, many, suitability=empty(SUITABILITY)))
    page = words(html)
    assert "And 80 targets in between: every target and setting is in frontier.parquet." in page
    assert "pool 000 " in page
    assert "pool 119 " in page
    assert "pool 050 Turn" not in page
    assert len(html) < 3_000_000


def test_what_is_drawn_goes_from_the_best_to_the_worst(found):
    assert [f.target for f in telling(found, 3)] == [found[0].target, found[2].target, found[-1].target]
    assert telling(found, 6) == list(found)


def test_curves_are_costs_over_the_bound_at_the_same_share(data):
    fronts = Fronts(data.comparison.scores)
    curves = relative_curves(fronts, "web shop", ("reactive_tuned", "clairvoyant"))
    bound = curves.filter(pl.col("policy") == "clairvoyant")
    assert bound["ratio"].to_list() == pytest.approx([1.0] * bound.height)
    near = curves.filter(pl.col("policy") == "reactive_tuned", (pl.col("unserved_share") - 0.02).abs() < 0.01)
    for share, ratio in near.select("unserved_share", "ratio").iter_rows():
        paid, least = (fronts.cost("web shop", name, share) for name in ("reactive_tuned", "clairvoyant"))
        assert paid
        assert least
        assert ratio == pytest.approx(paid / least)
    assert (curves["ratio"] >= 1 - 1e-9).all()  # nobody beats knowing the future


def test_dear_policies_leave_the_chart_by_name(data):
    scores = made_up(
        [
            ("a", "ours", 0.01, 100),
            ("a", "reactive_tuned", 0.01, 110),
            ("a", "static", 0.01, 900),
            ("a", "clairvoyant", 0.01, 80),
        ]
    )
    curves = relative_curves(Fronts(scores), "a", ("ours", "reactive_tuned", "static", "clairvoyant"))
    assert charts_replay.off_the_chart(curves) == ["static"]
    assert "Dearer than all that is drawn: A fixed size." in words(replay_html(with_scores(data, scores)))


def test_paths_are_shortened_and_keep_their_corners():
    d = "M0.04,10L1.1234,10L1.1234,10L2.5,10L2.5,3.33333L4,3.33333Z"
    assert compact(f'<path d="{d}"/>') == '<path d="M0,10L2.5,10L2.5,3.3L4,3.3Z"/>'


def activations_of(said, happened):
    rows = {"probability": said, "outcome": happened}
    frame = pl.DataFrame(rows).with_columns(persona=pl.lit("p"), horizon_s=900, workload=pl.lit("w"), origin=None)
    return frame.select(pl.col(name).cast(kind) for name, kind in ACTIVATION.items())


def test_bins_have_equal_mass_and_never_part_what_is_equal():
    spread = bins(activations_of([i / 300 for i in range(300)], [i % 2 == 0 for i in range(300)]))
    assert spread["rows"].to_list() == [20] * 15
    assert spread["predicted"].is_sorted()
    tied = bins(activations_of([0.0] * 200 + [i / 100 for i in range(100)], [False] * 300))
    assert tied["rows"][0] >= 200
    assert tied["rows"].sum() == 300
    assert (tied["low"] == 0).all()
    assert tied["high"].is_between(0, 1).all()


def test_skill_is_against_the_share_that_turned_out():
    happened = [True, False, False, False] * 25
    assert skill(activations_of([float(h) for h in happened], happened))["skill"] == pytest.approx(1)
    assert skill(activations_of([0.25] * 100, happened))["skill"] == pytest.approx(0)
    assert skill(activations_of([0.9] * 100, happened))["skill"] < 0
    sure = skill(activations_of([0.1] * 4, [False] * 4))
    assert sure["skill"] is None
    assert sure["off"] == pytest.approx(0.1)


def test_it_is_written_whole_and_over_the_old_one(tmp_path, data):
    path = tmp_path / "out" / "report.html"
    for title in ("first", "second"):
        write_replay_report(path, with_scores(data, data.comparison.scores.clear(), title=title))
    assert "<title>second</title>" in path.read_text(encoding="utf-8")
    assert [file.name for file in path.parent.iterdir()] == ["report.html"]


def test_defaults_are_enough(data):
    page = replay_html(ReplayReport(dataclasses.replace(data.comparison, scores=data.comparison.scores.clear())))
    assert "Should prediction be turned on?" in page


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (signed(0.091), "9.1 % less"),
        (signed(-0.2), "20 % more"),
        (signed(0.0001), "the same"),
        (signed(None), "not reached"),
        (between(0.04, 0.13), "4.0 to 13 % less"),
        (between(-0.13, -0.04), "4.0 to 13 % more"),
        (between(-0.02, 0.09), "2.0 % more to 9.0 % less"),
        (level(0.001), "0.1 %"),
        (level(0.05), "5 %"),
        (cost(12.345), "12.35"),
        (cost(812.4), "812"),
        (cost(None), "not reached"),
        (listed(["a"]), "a"),
        (listed(["a", "b", "c"]), "a, b and c"),
        (listed([str(i) for i in range(9)], 6), "0, 1, 2, 3, 4, 5 and 3 more"),
    ],
)
def test_shares_and_costs_in_words(said, expected):
    assert said == expected
