"""A whole replay and its files: what is in them, scored again by hand, and what a killed one leaves for the next."""

import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from example_case import HOUR, case_of, daytime, limits_of

from persona_platform.errors import InputError
from persona_platform.frames import ACTIVATION
from persona_platform.replay.forward import Walking
from persona_platform.replay.outcomes import DECISIONS
from persona_platform.replay.run import NAMES, VARIANTS, ReplayOptions, replay
from persona_platform.replay.scores import ALL_TARGETS, SCORES, at_unserved, frontier
from persona_platform.replay.terms import Terms

DAYS, TRAINED = 14, 9.8 / 14
FILES = {"decisions.parquet", "frontier.parquet", "activation.parquet", "summary.json", "report.html"}
ONCE = Walking(refit_every=None)
FEW = ("reactive", "ours", "clairvoyant")


@pytest.fixture(scope="module")
def case(tmp_path_factory):
    """``office`` is worth foretelling, ``walk`` is not; an hour of it was not read."""
    walk = 20 * np.exp(0.1 * np.random.default_rng(12).normal(size=DAYS * 24).cumsum())
    walk[-30] = np.nan
    series = {"office": 3 * daytime(DAYS, noise=0.05), "walk": walk}
    return case_of(tmp_path_factory.mktemp("case"), series, train_share=TRAINED)


def asked(case, *, lead=HOUR, policies=FEW, terms=None, **changed) -> ReplayOptions:
    """Options of a quick replay."""
    return ReplayOptions(
        terms=terms or Terms(lead),
        limits=limits_of(case),
        policies=policies,
        **{"activations": 0, "walking": ONCE, "prices": {"office": 0.5, "walk": 2.0}, **changed},
    )


def quiet(*_: object) -> None:
    """Nobody watches."""


def run(case, out: Path, options: ReplayOptions) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Decisions and frontier of a replay."""
    replay(case, options, out, quiet)
    return pl.read_parquet(out / "decisions.parquet"), pl.read_parquet(out / "frontier.parquet")


def results(out: Path) -> dict[str, bytes]:
    """Of all that is data; in the report the charts have ids of their own each time."""
    return {name: (out / name).read_bytes() for name in sorted(FILES - {"report.html"})}


@pytest.fixture(scope="module")
def whole(case, tmp_path_factory):
    """All policies, with activations."""
    out = tmp_path_factory.mktemp("whole") / "of" / "it"
    walking = Walking(refit_every=timedelta(days=2))
    run(case, out, asked(case, policies=NAMES, activations=3, walking=walking, source="two made-up series"))
    return out


@pytest.fixture(scope="module")
def few(case, tmp_path_factory):
    out = tmp_path_factory.mktemp("few")
    return out, *run(case, out, asked(case))


def test_the_files_that_a_user_gets(whole):
    assert {path.name for path in whole.iterdir()} == FILES | {".parts"}
    assert not [path.name for path in (whole / ".parts").iterdir() if path.name.startswith(".")]
    columns = ["target", "policy", "setting", "ts", "demand", "capacity", "billed", "lead_time_s"]
    assert pl.read_parquet(whole / "decisions.parquet").columns == columns
    assert pl.read_parquet_schema(whole / "decisions.parquet") == DECISIONS
    assert pl.read_parquet_schema(whole / "frontier.parquet") == SCORES
    activation = pl.read_parquet(whole / "activation.parquet")
    assert activation.columns == ["origin", "workload", "persona", "horizon_s", "probability", "outcome"]
    assert activation.schema == pl.Schema(ACTIVATION)
    assert activation.height > 0


def test_policies_and_settings(whole):
    decisions = pl.read_parquet(whole / "decisions.parquet")
    names = [
        *("static", "reactive", "reactive_tuned", "last_value", "histogram", "aws_predictive", "previous_day"),
        *("seasonal_naive", "ours", "clairvoyant"),
    ]
    assert decisions["policy"].unique(maintain_order=True).to_list() == names
    scores = pl.read_parquet(whole / "frontier.parquet")
    assert set(scores["policy"]) == {*names, *VARIANTS}
    assert set(scores["target"]) == {"office", "walk", ALL_TARGETS}
    kept = decisions.select("target", "policy", "setting").unique()
    assert kept.group_by("target", "policy").len()["len"].max() <= 40
    on = scores.filter("on_frontier").select("target", "policy", "setting")
    planned = pl.col("setting").is_in(["as planned", "left alone, target 70%"])
    assert kept.filter(~planned).join(on, on=["target", "policy", "setting"], how="anti").is_empty()


def test_summary_and_report_say_what_was_replayed(whole, case):
    found = json.loads((whole / "summary.json").read_text(encoding="utf-8"))
    assert (found["source"], found["step_s"], found["lead_time_s"]) == ("two made-up series", 3600, 3600)
    assert found["refit_every_s"] == 172_800
    assert found["notes"] == list(case.notes)
    assert found["left_alone"] == ["walk"]
    assert found["policies"] == [*NAMES, *VARIANTS]
    verdicts = {row["target"]: (row["suitable"], row["left_alone"]) for row in found["per_target"]}
    assert verdicts == {"office": (True, False), "walk": (False, True)}
    page = (whole / "report.html").read_text(encoding="utf-8")
    assert "two made-up series" in page
    assert "walk" in page


def test_decisions_cover_every_scored_hour(whole, case):
    decisions = pl.read_parquet(whole / "decisions.parquet")
    spans = decisions.group_by("target", "policy", "setting").agg(
        pl.len(), first=pl.col("ts").min(), last=pl.col("ts").max(), hours=pl.col("ts").n_unique()
    )
    end = case.observed["slot"].max()
    hours = (end - case.scored_from) // HOUR + 1
    assert spans.select("len", "first", "last", "hours").unique().rows() == [(hours, case.scored_from, end, hours)]
    joined = decisions.join(case.observed, left_on=["target", "ts"], right_on=["target", "slot"], suffix="_read")
    assert joined.height == decisions.height
    assert (joined["demand"].eq_missing(joined["demand_read"])).all()
    assert decisions.filter(pl.col("target") == "walk")["demand"].null_count() > 0
    assert decisions["lead_time_s"].unique().to_list() == [3600.0]


def test_capacity_and_bill_belong_together(whole):
    """What boots is billed and not usable; the largest bill of the hour before is never exceeded at once."""
    decisions = pl.read_parquet(whole / "decisions.parquet")
    for name in ("capacity", "billed"):
        assert (decisions[name] == decisions[name].round()).all()
        assert (decisions[name] >= 0).all()
    assert (decisions["billed"] >= decisions["capacity"]).all()
    before = pl.col("billed").shift(1).over("target", "policy", "setting")
    assert decisions.filter(pl.col("capacity") > before).is_empty()


def scored_again(decisions: pl.DataFrame, prices: dict[str, float]) -> pl.DataFrame:
    """The scores of a setting from demand, capacity and bill alone; a step is an hour."""
    read = decisions.filter(pl.col("demand").is_not_null())
    short = (pl.col("demand") - pl.col("capacity")).clip(lower_bound=0)
    return read.group_by("target", "policy", "setting").agg(
        billed_unit_hours=pl.col("billed").sum(),
        cost=pl.col("billed").sum() * pl.col("target").first().replace_strict(prices, return_dtype=pl.Float64),
        unserved_share=short.sum() / pl.col("demand").sum(),
        utilization=(pl.col("demand") - short).sum() / pl.col("capacity").sum(),
        under_provisioned_minutes=60 * (short > 1e-9).sum(),
    )


def test_scores_are_those_of_the_decisions(whole):
    decisions, scores = (pl.read_parquet(whole / f"{name}.parquet") for name in ("decisions", "frontier"))
    again = scored_again(decisions, {"office": 0.5, "walk": 2.0})
    keys = ["target", "policy", "setting"]
    both = again.join(scores, on=keys, suffix="_told")
    assert both.height == again.height > 60
    for name in ("billed_unit_hours", "cost", "unserved_share", "utilization", "under_provisioned_minutes"):
        np.testing.assert_allclose(both[f"{name}_told"], both[name], rtol=1e-5, atol=1e-7, err_msg=name)


def test_nobody_beats_the_clairvoyant(whole):
    """Along its frontier, as far as that reaches."""
    scores = pl.read_parquet(whole / "frontier.parquet").filter(pl.col("target") != ALL_TARGETS)
    for target in ("office", "walk"):
        best = frontier(scores, "clairvoyant", target)
        for row in scores.filter(pl.col("target") == target).iter_rows(named=True):
            if row["unserved_share"] <= best["unserved_share"].max():
                bound = at_unserved(best, row["unserved_share"])
                assert bound is None or bound <= row["cost"] + 1e-6, row


def test_what_is_left_alone_is_reactive_under_our_name(few):
    _, decisions, scores = few
    drop = ["policy", "setting", "on_frontier"]
    ours = scores.filter(pl.col("policy") == "ours", pl.col("target") == "walk")
    reactive = scores.filter(pl.col("policy") == "reactive", pl.col("target") == "walk")
    assert ours["setting"].to_list() == [f"left alone, {name}" for name in reactive["setting"]]
    assert ours.drop(drop).equals(reactive.drop(drop))
    walk = decisions.filter(pl.col("target") == "walk").with_columns(pl.col("setting").str.strip_prefix("left alone, "))
    by = {name: part.drop("policy") for (name,), part in walk.group_by("policy", maintain_order=True)}
    shared = by["ours"].join(by["reactive"].select("setting").unique(), on="setting", how="semi")
    assert shared.height > 0
    assert shared.sort("setting", "ts").equals(
        by["reactive"].join(shared.select("setting").unique(), on="setting", how="semi").sort("setting", "ts")
    )
    office = scores.filter(pl.col("policy") == "ours", pl.col("target") == "office")["setting"]
    assert "as planned" in office.to_list()
    assert not office.str.starts_with("left alone").any()


def test_acted_on_all_the_same(case, tmp_path):
    decisions, scores = run(case, tmp_path, asked(case, judged=False))
    ours = scores.filter(pl.col("policy") == "ours", pl.col("target") == "walk")["setting"]
    assert "as planned" in ours.to_list()
    assert not decisions["setting"].str.starts_with("left alone").any()
    found = json.loads((tmp_path / "summary.json").read_text(encoding="utf-8"))
    assert found["left_alone"] == []
    assert {row["target"]: row["suitable"] for row in found["per_target"]} == {"office": True, "walk": False}


def test_some_policies_only_and_then_some_others(case, tmp_path):
    """Each run tells of its own policies, whatever is kept of the ones before."""
    decisions, scores = run(case, tmp_path, asked(case, policies=("static", "reactive")))
    assert set(decisions["policy"]) == set(scores["policy"]) == {"static", "reactive"}
    decisions, scores = run(case, tmp_path, asked(case, policies=("clairvoyant", "static")))
    assert decisions["policy"].unique(maintain_order=True).to_list() == ["static", "clairvoyant"]
    assert set(scores["policy"]) == {"static", "clairvoyant"}
    assert (tmp_path / ".parts" / "outcome-reactive.npz").exists()


def test_ours_alone_has_nobody_to_be_compared_with(case, tmp_path):
    decisions, scores = run(case, tmp_path, asked(case, policies=("ours",)))
    assert set(decisions["policy"]) == {"ours"}
    assert set(scores["policy"]) == {"ours", *VARIANTS}
    assert (tmp_path / "report.html").stat().st_size > 0


class KilledError(Exception):
    """The process is gone."""


def killed_at(what: str):
    """A watcher that kills the replay when it is told of ``what``."""

    def told(now: str, *_: int) -> None:
        if now == what:
            raise KilledError

    return told


def test_a_killed_replay_goes_on_where_it_was(case, few, tmp_path):
    with pytest.raises(KilledError):
        replay(case, asked(case), tmp_path, killed_at("Replaying clairvoyant"))
    assert not FILES & {path.name for path in tmp_path.iterdir()}
    kept = {path.name: path.stat().st_mtime_ns for path in (tmp_path / ".parts").glob("*.*")}
    assert {"outcome-reactive.npz", "outcome-ours.npz", "suitability.parquet", "plans-0000.npz"} <= set(kept)
    assert "outcome-clairvoyant.npz" not in kept
    run(case, tmp_path, asked(case))
    now = {path.name: path.stat().st_mtime_ns for path in (tmp_path / ".parts").iterdir()}
    assert {name: now[name] for name in kept} == kept
    assert results(tmp_path) == results(few[0])


def test_run_again_it_gives_the_same_bytes_from_its_parts(case, few):
    out, *_ = few
    before = results(out)
    parts = {path.name: path.stat().st_mtime_ns for path in (out / ".parts").glob("*.*")}
    run(case, out, asked(case))
    assert results(out) == before
    assert {path.name: path.stat().st_mtime_ns for path in (out / ".parts").glob("*.*")} == parts


def test_another_question_starts_afresh(case, tmp_path):
    policies = ("reactive", "clairvoyant")
    first, _ = run(case, tmp_path, asked(case, policies=policies))
    other, _ = run(case, tmp_path, asked(case, lead=3 * HOUR, policies=policies))
    assert other["lead_time_s"].unique().to_list() == [10_800.0]
    assert not other.drop("lead_time_s").equals(first.drop("lead_time_s"))
    assert run(case, tmp_path, asked(case, policies=policies))[0].equals(first)


def test_a_folder_is_one_replays_at_a_time(case, tmp_path):
    """The second one says so, in the middle of the first, which ends as if nothing had been."""
    policies, refused = ("static", "reactive"), []

    def at_once(now: str, *_: int) -> None:
        if now == "Replaying reactive":
            with pytest.raises(InputError, match="Another replay is writing to"):
                replay(case, asked(case, lead=3 * HOUR, policies=policies), tmp_path, quiet)
            refused.append(now)

    replay(case, asked(case, policies=policies), tmp_path, at_once)
    assert refused == ["Replaying reactive"]
    alone = tmp_path / "alone"
    run(case, alone, asked(case, policies=policies))
    assert results(tmp_path) == results(alone)


def test_backlog_waits_and_comes_back(case, tmp_path):
    policies = ("reactive",)
    _, lost = run(case, tmp_path / "lost", asked(case, policies=policies))
    _, kept = run(case, tmp_path / "kept", asked(case, policies=policies, terms=Terms(HOUR, backlog=True)))
    assert lost["waiting_unit_hours"].max() == 0
    assert kept.filter(pl.col("target") == "office")["waiting_unit_hours"].max() > 0
    found = json.loads((tmp_path / "kept" / "summary.json").read_text(encoding="utf-8"))
    assert found["terms"]["backlog"] is True


def test_drawn_leads_are_planned_for_at_their_upper_end(case, tmp_path):
    leads = (HOUR, 2 * HOUR, 3 * HOUR)
    terms = Terms(HOUR, lead_times=leads, seed=3)
    drawn, scores = run(case, tmp_path / "drawn", asked(case, policies=("reactive", "ours"), terms=terms))
    assert drawn["lead_time_s"].unique().to_list() == [10_800.0]
    assert set(drawn["policy"]) == {"reactive", "ours"}
    reactive = (pl.col("policy") == "reactive") & (pl.col("target") == "office")
    again, _ = run(case, tmp_path / "again", asked(case, policies=("reactive",), terms=terms))
    assert again.filter(reactive).equals(drawn.filter(reactive))
    _, slow = run(case, tmp_path / "slow", asked(case, policies=("reactive",), lead=3 * HOUR))
    _, fast = run(case, tmp_path / "fast", asked(case, policies=("reactive",), lead=HOUR))
    unserved = [one.filter(reactive)["unserved_share"].mean() for one in (fast, scores, slow)]
    assert unserved[0] < unserved[1] < unserved[2]


def test_a_started_unit_is_paid_for_whole_quanta(case, tmp_path):
    policies = ("reactive",)
    decisions, scores = run(case, tmp_path / "hour", asked(case, policies=policies))
    terms = Terms(HOUR, billing_quantum=timedelta(hours=6))
    quantum, dearer = run(case, tmp_path / "six", asked(case, policies=policies, terms=terms))
    both = dearer.join(scores, on=["target", "policy", "setting"], suffix="_hour")
    both = both.filter(pl.col("target") == "office")
    assert (both["billed_unit_hours"] > both["billed_unit_hours_hour"]).all()
    assert (both["unserved_share"] <= both["unserved_share_hour"] + 1e-9).all()
    assert quantum["billed"].sum() > decisions["billed"].sum()


def test_nothing_scored_is_refused_and_leaves_no_folder(case, tmp_path):
    unread = replace(case, observed=case.observed.filter(pl.col("slot") < case.scored_from))
    with pytest.raises(InputError, match="nothing can be scored"):
        replay(unread, asked(case), tmp_path / "out", quiet)
    assert not (tmp_path / "out").exists()


def test_unknown_policies_are_named(case):
    with pytest.raises(InputError, match=r"There is no policy keda; choose among static, .*, ours, clairvoyant\."):
        asked(case, policies=("reactive", "keda"))


def test_progress_tells_stages_from_first_to_last(case, tmp_path):
    told: list[tuple[str, int, int]] = []
    replay(case, asked(case, policies=("reactive", "ours"), activations=2), tmp_path, lambda *now: told.append(now))
    assert all(0 <= done <= of for _, done, of in told)
    stages = list(dict.fromkeys(what.split(" ours")[0].split(" reactive")[0] for what, *_ in told))
    assert stages == ["Learning and planning", "Replaying", "Judging the outlook", "Summing up"]
    assert told[-1] == ("Summing up", 3, 3)
