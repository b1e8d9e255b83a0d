"""The truth agrees with the samples, with the catalogue that it was drawn from, and with the calendar."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import holidays
import numpy as np
import polars as pl
import pytest

from persona_platform.fleet import PERSONAS, FleetSpec, generate
from persona_platform.fleet.clock import Clock
from persona_platform.fleet.draws import Draws
from persona_platform.fleet.truth import uplifts
from persona_platform.fleet.weather import pull

START = datetime(2026, 2, 16, tzinfo=UTC)
SPEC = FleetSpec(start=START, end=START + timedelta(days=42), seed=5, workloads=72)
EXACT = {
    "noise": 0.0,
    "drift": 0.0,
    "gaps": 0.0,
    "late_share": 0.0,
    "two_persona_share": 0.0,
    "changing_share": 0.0,
}


@pytest.fixture(scope="module")
def fleet():
    return generate(SPEC)


@pytest.fixture(scope="module")
def jobs():
    """Many nightly jobs, without noise."""
    return generate(replace(SPEC, archetypes=("nightly-batch", "dawn-batch"), workloads=40, **EXACT))


def test_uplifts_are_a_frame_also_where_no_event_moves_anything():
    found = [uplifts(replace(SPEC, seed=seed, drawn=2)) for seed in range(30)]
    assert min(one.height for one in found) == 0
    assert {tuple(one.schema.items()) for one in found} == {tuple(uplifts(SPEC).schema.items())}


def local(frame, column="slot", zone="timezone"):
    """The frame with the local date and hour of each row's zone."""
    parts = [
        part.with_columns(
            pl.col(column).dt.convert_time_zone(name).dt.date().alias("date"),
            pl.col(column).dt.convert_time_zone(name).dt.weekday().alias("weekday"),
            (
                pl.col(column).dt.convert_time_zone(name).dt.hour()
                + pl.col(column).dt.convert_time_zone(name).dt.minute() / 60
            ).alias("hour"),
        )
        for (name,), part in frame.partition_by(zone, as_dict=True).items()
    ]
    return pl.concat(parts)


def test_truth_is_the_need_and_samples_are_cut_at_the_limit(fleet):
    wide = (
        fleet.samples.filter(pl.col("metric").is_in(["cpu_cores", "cpu_cores_alloc"]))
        .pivot("metric", index=["workload_id", "ts"], values="value")
        .join(
            fleet.truth.membership.rename({"cpu_cores": "wanted"}),
            left_on=["workload_id", "ts"],
            right_on=["workload_id", "slot"],
        )
    )
    cut = pl.min_horizontal("wanted", "cpu_cores_alloc")
    assert wide.select(((pl.col("cpu_cores") - cut).abs() <= 1e-3 * cut).all()).item()
    saturated = wide.filter("saturated")
    assert 0 < len(saturated) < 0.02 * len(wide)
    assert (saturated["cpu_cores"] == saturated["cpu_cores_alloc"]).all()
    assert (saturated["wanted"] >= saturated["cpu_cores_alloc"] * 0.999).all()


def test_latency_rises_near_the_limit(fleet):
    wide = fleet.samples.filter(pl.col("metric").is_in(["cpu_cores", "cpu_cores_alloc", "latency_ms"])).pivot(
        "metric", index=["workload_id", "ts"], values="value"
    ).drop_nulls()  # fmt: skip
    wide = wide.with_columns(
        (pl.col("cpu_cores") / pl.col("cpu_cores_alloc")).alias("load"),
        (pl.col("latency_ms") / pl.col("latency_ms").median().over("workload_id")).alias("relative"),
    )
    assert wide.filter(pl.col("load") >= 1)["relative"].median() > 5
    assert wide.filter(pl.col("load") < 0.4)["relative"].median() < 1.3


def test_two_sizes_at_the_same_times_are_one_persona_in_their_shares(jobs):
    nights = jobs.truth.activations.filter(pl.col("persona") == "night jobs")
    assert set(nights["size"]) == {"16 cores", "32 cores"}
    assert len(nights) > 800
    assert (nights["size"] == "32 cores").mean() == pytest.approx(0.2, abs=0.045)  # three standard errors
    hours = local(nights.join(jobs.workloads, on="workload_id"), "start").group_by("size").agg(pl.col("hour").mean())
    assert hours["hour"].to_list() == pytest.approx([1.0, 1.0], abs=0.4)


def test_the_same_sizes_at_other_times_are_another_persona(jobs):
    starts = local(jobs.truth.activations.join(jobs.workloads, on="workload_id"), "start")
    means = dict(starts.group_by("persona").agg(pl.col("hour").mean()).iter_rows())
    assert means == pytest.approx({"night jobs": 1.1, "dawn jobs": 5.1}, abs=0.3)


def test_without_noise_a_job_needs_its_size(jobs):
    found = jobs.truth.membership.filter(pl.col("kind") == "active")["cpu_cores"].unique().sort().to_list()
    assert found == pytest.approx([0.95 * 16, 0.95 * 32], rel=1e-3)


def test_durations_are_drawn_from_the_catalogue(jobs):
    nights = jobs.truth.activations.filter(pl.col("persona") == "night jobs", ~pl.col("cut"))
    hours = nights.select((pl.col("end") - pl.col("start")).dt.total_minutes() / 60).to_series()
    play = PERSONAS["night jobs"]
    assert hours.median() == pytest.approx(play.duration.hours, abs=0.13)
    assert np.log(hours.to_numpy()).std() == pytest.approx(play.duration.sigma, abs=0.04)


def test_activations_are_the_runs_of_the_membership(fleet):
    active = fleet.truth.membership.filter(pl.col("kind") == "active").group_by("workload_id", "persona").len()
    spans = fleet.truth.activations.group_by("workload_id", "persona").agg(
        ((pl.col("end") - pl.col("start")).dt.total_minutes() // 15).sum().alias("slots")
    )
    both = active.join(spans, on=["workload_id", "persona"], how="full")
    assert both.null_count().sum_horizontal().item() == 0
    assert (both["len"] == both["slots"]).all()


def test_the_requirement_tables_are_distributions(fleet):
    tables = fleet.truth.personas.group_by("persona").agg(pl.col("probability").sum())
    assert tables["probability"].to_list() == pytest.approx([1.0] * len(tables))
    assert set(fleet.truth.membership["persona"]) - {"resting"} <= set(fleet.truth.personas["persona"])
    assert len(set(fleet.truth.membership["persona"])) >= 14


def test_what_never_does_anything_else_is_steady(fleet):
    kinds = fleet.truth.membership.group_by("workload_id").agg(pl.col("kind").unique())
    steady = kinds.filter(pl.col("kind").list.contains("steady"))
    assert steady["kind"].to_list() == [["steady"]] * len(steady)
    assert set(steady["workload_id"].str.head(13)) == {"stream-ingest"}


def test_whole_gpus_only_where_there_are_gpus(fleet):
    gpus = fleet.samples.filter(pl.col("metric") == "gpus")
    assert set(gpus["value"]) == {0.0, 1.0, 2.0, 4.0, 8.0}
    pools = fleet.truth.membership.filter(pl.col("gpus").is_not_null()).join(fleet.workloads, on="workload_id")
    assert set(pools["pool"]) == {"gpu"}


def test_the_working_day_keeps_its_wall_clock_across_daylight_saving():
    spec = replace(SPEC, start=datetime(2026, 2, 23, tzinfo=UTC), end=datetime(2026, 4, 13, tzinfo=UTC),
                   archetypes=("office-web",), workloads=12, **EXACT)  # fmt: skip
    fleet = generate(spec)  # both changes of clocks lie within: 8 March in New York, 29 March in Berlin
    starts = local(fleet.truth.activations.join(fleet.workloads, on="workload_id"), "start")
    starts = starts.filter(~pl.col("cut"))
    for zone in ("America/New_York", "Europe/Berlin"):
        here = starts.filter(pl.col("timezone") == zone)
        change = date(2026, 3, 8) if zone == "America/New_York" else date(2026, 3, 29)
        wall = here.group_by(pl.col("date") > change).agg(pl.col("hour").mean())["hour"]
        utc = here.group_by(pl.col("date") > change, maintain_order=True).agg(
            (pl.col("start").dt.hour() + pl.col("start").dt.minute() / 60).mean().alias("utc")
        )["utc"]
        assert abs(wall[0] - wall[1]) < 0.15
        assert utc.max() - utc.min() == pytest.approx(1.0, abs=0.15)


def test_no_one_works_on_holidays_and_weekends(fleet):
    country = {"America/New_York": "US", "Europe/Berlin": "DE", "Asia/Kolkata": "IN"}
    office = fleet.truth.membership.filter(pl.col("persona") == "office hours").join(fleet.workloads, on="workload_id")
    worked = local(office)
    off = {zone: holidays.country_holidays(code, years=2026) for zone, code in country.items()}
    assert worked["weekday"].max() <= 5
    days = set(worked.select("timezone", "date").iter_rows())
    assert not [(zone, day) for zone, day in days if day in off[zone]]
    assert date(2026, 2, 16) in off["America/New_York"]  # within the span, on a Monday


def test_the_month_is_closed_on_its_last_and_first_working_days(fleet):
    closes = fleet.truth.activations.filter(pl.col("persona") == "month close").join(fleet.workloads, on="workload_id")
    days = set(local(closes, "start").filter(~pl.col("cut"))["date"])
    assert days == {date(2026, 2, 27), date(2026, 3, 2)}  # the span ends before the end of March


def test_requests_tell_of_the_cores_one_slot_ahead():
    fleet = generate(replace(SPEC, archetypes=("office-web",), workloads=3, gaps=0.0, late_share=0.0))
    wide = fleet.samples.filter(pl.col("workload_id") == "office-web-0001").pivot("metric", index="ts", values="value")
    cores, requests = np.log(wide["cpu_cores"].to_numpy()), np.log(wide["requests"].to_numpy())
    away = {
        lead: np.abs(np.diff(cores)[2:-2] - np.roll(np.diff(requests), lead)[2:-2]).mean() for lead in (-1, 0, 1, 2)
    }
    assert min(away, key=away.__getitem__) == 1


def test_campaigns_raise_the_demand_of_shops():
    fleet = generate(replace(SPEC, archetypes=("consumer-shop",), workloads=20, **EXACT))
    campaigns = fleet.events.filter(pl.col("kind") == "campaign")
    shops = local(fleet.truth.membership.filter(pl.col("kind") == "active").join(fleet.workloads, on="workload_id"))
    during = pl.any_horizontal(
        pl.lit(value=False),
        *(
            pl.col("slot").is_between(b, e, closed="left")
            for b, e in campaigns.select("starts_at", "ends_at").iter_rows()
        ),
    )
    payday = pl.col("slot").dt.day().is_in([25, 26])
    cores = pl.col("cpu_cores")
    ratios = (
        shops.filter(~payday)
        .group_by("workload_id", "weekday", "hour")
        .agg((cores.filter(during).mean() / cores.filter(~during).mean()).alias("ratio"))
        .drop_nulls()
    )
    assert len(ratios) > 500
    assert (ratios["ratio"].min(), ratios["ratio"].max()) == pytest.approx((1.8, 1.8), rel=1e-2)


def test_mailings_run_in_campaigns_only(fleet):
    campaigns = fleet.events.filter(pl.col("kind") == "campaign").select("starts_at", "ends_at").rows()
    starts = fleet.truth.activations.filter(pl.col("persona") == "campaign mailing")["start"].to_list()
    assert starts
    assert all(any(b <= s < e + timedelta(hours=1) for b, e in campaigns) for s in starts)


def test_a_change_of_persona_is_seen_in_the_truth():
    spec = replace(SPEC, archetypes=("nightly-batch",), workloads=10, two_persona_share=0, changing_share=1)
    fleet = generate(spec)
    runs = fleet.truth.activations.group_by("workload_id", "persona").agg(pl.col("start").min(), pl.col("end").max())
    night, dawn = (runs.filter(pl.col("persona") == name).sort("workload_id") for name in ("night jobs", "dawn jobs"))
    assert len(night) == len(dawn) == 10
    assert (night["end"] < dawn["start"]).all()


def test_weather_moves_the_demand_of_shops_in_town():
    fleet = generate(replace(SPEC, archetypes=("weather-retail",), workloads=8, **EXACT))
    new_york = local(fleet.truth.membership.join(fleet.workloads, on="workload_id")).filter(
        pl.col("timezone") == "America/New_York", pl.col("hour") == 17, pl.col("weekday") == 3
    )
    weather = fleet.samples.filter(pl.col("workload_id") == "weather:new_york").pivot(
        "metric", index="ts", values="value"
    )
    both = new_york.group_by("slot").agg(pl.col("cpu_cores").sum()).join(weather, left_on="slot", right_on="ts")
    both = both.filter(pl.col("slot").dt.day() != 25)  # payday, twice a Wednesday within the span
    assert len(both) == 4
    moved = both["cpu_cores"] / pull(both["temp_c"].to_numpy(), both["rain_mm"].to_numpy())
    assert both["cpu_cores"].max() > 1.2 * both["cpu_cores"].min()
    assert moved.to_list() == pytest.approx([moved.mean()] * 4, rel=0.01)


def test_draws_are_uniform_normal_and_of_unit_variance():
    draws, at = Draws(1, "test"), np.arange(200_000)
    uniform, normal = draws.uniform("u", at), draws.normal("n", at)
    assert np.histogram(uniform, 10, (0, 1))[0] == pytest.approx(20_000, rel=0.03)
    assert (normal.mean(), normal.std()) == pytest.approx((0, 1), abs=0.01)
    assert np.corrcoef(uniform[:-1], uniform[1:])[0, 1] == pytest.approx(0, abs=0.01)
    assert draws.smooth("s", at * 15, 60).std() == pytest.approx(1, abs=0.02)


def test_a_time_that_does_not_exist_moves_on():
    clock = Clock.of(FleetSpec(start=datetime(2026, 3, 8, tzinfo=UTC), end=datetime(2026, 3, 10, tzinfo=UTC)))
    new_york = clock.local("America/New_York")
    day = np.flatnonzero(new_york.days.ordinal == (date(2026, 3, 8) - date(1970, 1, 1)).days)
    at = clock.instants(new_york.slot_at(day, np.array([150.0])))  # 02:30 does not exist
    assert at.to_list() == [datetime(2026, 3, 8, 7, 0, tzinfo=UTC)]  # 03:00 summer time
