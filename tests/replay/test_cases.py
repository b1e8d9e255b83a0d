"""Sample files become a case: targets, units, demand, calendar, covariates, and what is said of them."""

from datetime import UTC, datetime, timedelta
from itertools import chain
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from persona_platform.capacity.targets import Prices
from persona_platform.errors import ConfigError, InputError
from persona_platform.frames import COVARIATES, OBSERVED, TARGETS, UNITS, WORKLOADS
from persona_platform.replay.cases import CaseOptions, read_case
from persona_platform.utilization.samples import ALWAYS

START = datetime(2025, 3, 3, tzinfo=UTC)
NOW = datetime(2025, 6, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
SAMPLE = {"workload_id": pl.String, "ts": pl.Datetime("us", "UTC"), "metric": pl.String, "value": pl.Float64}

Row = tuple[str, float, str, float | None]
"""workload, hours after START, metric, value"""


def hourly(workload: str, *values: float, metric: str = "cpu_cores", since: int = 0) -> list[Row]:
    return [(workload, since + i, metric, value) for i, value in enumerate(values)]


def written(path: Path, rows: list[Row], *, dataset: str | None = None) -> Path:
    table = [(w, START + h * HOUR, m, v) for w, h, m, v in rows]
    frame = pl.DataFrame(table, schema=SAMPLE, orient="row")
    if dataset:
        frame = frame.with_columns(dataset=pl.lit(dataset))
    frame.write_csv(path) if path.suffix == ".csv" else frame.write_parquet(path)
    return path


@pytest.fixture
def case(tmp_path: Path):
    """The case of some rows; its file is called fleet."""

    def make(*rows: list[Row], **options):
        path = written(tmp_path / "fleet.parquet", list(chain(*rows)))
        return read_case([path], CaseOptions(**options), now=NOW)

    return make


def demand(case, target: str) -> list[float | None]:
    return case.observed.filter(pl.col("target") == target).sort("slot")["demand"].to_list()


def about(case, word: str) -> list[str]:
    return [note for note in case.notes if word in note]


FOUR_DAYS = hourly("a", *[2.0] * 58, *[6.0] * 38)
"""96 slots of an hour, the first 58 of which hold the first 60 % of the time."""


def test_a_unit_is_a_twentieth_of_the_mean_demand_of_the_training_part_alone(case) -> None:
    made = case(FOUR_DAYS)
    assert made.history.slot == HOUR
    assert made.scored_from == START + 58 * HOUR
    assert made.sizing.units.rows() == [("a", "cpu_cores", pytest.approx(0.1))]
    assert demand(made, "a") == pytest.approx([20.0] * 58 + [60.0] * 38)
    assert made.sizing.targets.rows() == [("a", "a", 0.95, 1)]


def test_a_given_unit_is_every_targets(case) -> None:
    made = case(FOUR_DAYS, hourly("b", *[1.0] * 96), unit=0.5)
    assert made.sizing.units["amount"].to_list() == [0.5, 0.5]
    assert demand(made, "b") == [2.0] * 96


@pytest.mark.parametrize(("share", "trained"), [(0.6, 58), (0.5, 48), (0.07, 7), (0.75, 72)])
def test_scoring_begins_with_the_slot_after_the_training_share_of_the_span(case, share: float, trained: int) -> None:
    values = [1.0] * 100 if share == 0.07 else [1.0] * 96
    assert case(hourly("a", *values), train_share=share).scored_from == START + trained * HOUR


def test_the_frames_are_what_planning_takes(case) -> None:
    made = case(FOUR_DAYS, hourly("b", *[1.0] * 90, since=6))
    frames = ((made.sizing.targets, TARGETS), (made.sizing.units, UNITS), (made.observed, OBSERVED))
    for frame, schema in (*frames, (made.covariates, COVARIATES), (made.history.workloads, WORKLOADS)):
        assert dict(frame.schema) == schema
    again = made.sizing.observed(made.history)
    held = made.observed.join(again, on=["target", "slot"], how="semi", maintain_order="left")
    assert_frame_equal(held, again)


def test_every_target_has_every_slot_and_what_was_not_read_is_null(case) -> None:
    gap = [row for row in hourly("b", *[1.0] * 80, since=10) if row[1] not in (50, 51)]
    made = case(FOUR_DAYS, gap, unit=1.0)
    assert demand(made, "b") == [None] * 10 + [1.0] * 40 + [None] * 2 + [1.0] * 38 + [None] * 6
    assert made.observed.height == 2 * 96
    assert not made.observed["saturated"].any()
    assert about(made, "9.4 % of the targets' slots")


def test_shares_are_of_the_allocation_and_saturated_at_it(case) -> None:
    used = hourly("a", *[50.0] * 95, 99.0, metric="cpu_pct")
    made = case(used, hourly("a", *[8.0] * 96, metric="cpu_cores_alloc"), unit=1.0)
    assert demand(made, "a") == pytest.approx([4.0] * 95 + [7.92])
    assert made.observed["saturated"].to_list() == [False] * 95 + [True]
    assert not about(made, "one whole")
    assert about(case(used), "cpu_pct of 1 workload is a share of one whole: no cpu_cores_alloc says of what.")


def test_an_activity_is_replayed_per_second(case) -> None:
    made = case(hourly("web", *[7200.0] * 96, metric="requests"), unit=0.5)
    assert made.history.needs.columns == ["workload_id", "slot", "saturated", "requests"]
    assert demand(made, "web") == [4.0] * 96


def test_a_metric_that_no_model_knows_is_an_amount_and_said_so(case) -> None:
    made = case(hourly("region", *[30.0] * 96, metric="cpu_raw_sum"), metric="cpu_raw_sum", unit=10.0)
    assert made.sizing.units.rows() == [("region", "cpu_cores", 10.0)]
    assert demand(made, "region") == [3.0] * 96
    assert about(made, "cpu_raw_sum is not a need that the models know: its readings are taken as they are")


def test_the_demand_of_a_group_is_the_sum_of_what_was_read_and_unknown_under_half(case) -> None:
    rows = [hourly(name, *[1.0] * 96) for name in "abcd"]
    silent = {("a", 70), ("b", 70), ("c", 70), ("a", 71), ("b", 71)}
    made = case(*([row for row in part if row[:2] not in silent] for part in rows), unit=1.0, group_by="dataset")
    assert made.sizing.targets["target"].to_list() == ["fleet"]
    assert demand(made, "fleet") == [4.0] * 70 + [None, 2.0] + [4.0] * 24


def test_datasets_of_several_files_are_targets(tmp_path: Path) -> None:
    folder = tmp_path / "feeds"
    folder.mkdir()
    written(folder / "one.parquet", FOUR_DAYS)
    written(folder / "two.csv", hourly("b", *[1.0] * 96), dataset="named")
    made = read_case([folder], CaseOptions(group_by="dataset"), now=NOW)
    assert made.sizing.targets["target"].to_list() == ["named", "one"]
    assert dict(made.history.workloads.select("workload_id", "pool").iter_rows()) == {"a": "one", "b": "named"}


def test_pools_tiers_and_zones_come_from_the_workloads_file(case, tmp_path: Path) -> None:
    labels = tmp_path / "labels.csv"
    labels.write_text("workload_id,pool,tier,timezone\na,web,critical,Europe/Berlin\nb,web,batch,\nunseen,web,batch,\n")
    rows = [hourly(name, *[1.0] * 96) for name in "abc"]
    made = case(*rows, workloads=labels, group_by="pool", timezone="Asia/Kolkata")
    assert made.sizing.targets.select("target", "kappa").rows() == [("fleet", 0.95), ("web", 0.99)]
    zones = dict(made.history.workloads.select("workload_id", "timezone").iter_rows())
    assert zones == {"a": "Europe/Berlin", "b": "Asia/Kolkata", "c": "Asia/Kolkata"}
    assert made.history.calendar["zone"].unique().sort().to_list() == ["Asia/Kolkata", "Europe/Berlin"]
    single = case(*rows, workloads=labels)
    assert single.sizing.targets.select("target", "kappa").rows() == [("a", 0.99), ("b", 0.80), ("c", 0.95)]


def test_prices_set_the_quantile_of_every_target(case) -> None:
    made = case(FOUR_DAYS, hourly("b", *[1.0] * 96), prices=Prices(unserved=9.0, idle=1.0))
    assert made.sizing.targets["kappa"].to_list() == [0.9, 0.9]


def test_the_window_planned_for_covers_the_cooldown_at_the_slots_width(case) -> None:
    rows = [("a", i / 12, "cpu_cores", 1.0) for i in range(12 * 72)]
    assert case(rows).sizing.targets["hold_slots"].to_list() == [2]
    assert case(rows).history.slot == timedelta(minutes=5)
    assert case(rows, slot=timedelta(minutes=15)).sizing.targets["hold_slots"].to_list() == [1]


def test_what_cannot_be_learned_or_scored_is_left_out_and_named(case) -> None:
    made = case(
        FOUR_DAYS,
        hourly("idle", *[0.0] * 58, *[5.0] * 38),
        hourly("late", *[5.0] * 38, since=58),
        hourly("gone", *[5.0] * 58),
    )
    assert made.sizing.targets["target"].to_list() == ["a"]
    assert made.history.workloads["workload_id"].to_list() == ["a"]
    assert made.history.needs["workload_id"].unique().to_list() == ["a"]
    assert about(made, "Left out, without any demand in the training part: idle, late.")
    assert about(made, "Left out, without a reading after the training part: gone;")


def test_bounds_take_whole_slots(case) -> None:
    rows = [("a", i / 2, "cpu_cores", float(i)) for i in range(2 * 120)]
    berlin = datetime(2025, 3, 3, 6, 30, tzinfo=UTC).astimezone()
    made = case(rows, slot=HOUR, start=berlin, end=START + 100.5 * HOUR, unit=1.0)
    assert made.observed["slot"].min() == START + 7 * HOUR
    assert made.observed["slot"].max() == START + 99 * HOUR
    assert demand(made, "a")[0] == 14.5


def test_workloads_are_included_by_pattern(case) -> None:
    rows = [hourly(name, *[1.0] * 96) for name in ("airport_JFK", "airport_EWR", "carrier_AA")]
    made = case(*rows, include=("airport_*",))
    assert made.history.workloads["workload_id"].to_list() == ["airport_EWR", "airport_JFK"]


@pytest.mark.parametrize(
    ("metrics", "chosen"),
    [
        (("mem_bytes", "cpu_cores", "requests"), "cpu_cores"),
        (("requests", "cpu_norm", "cpu_pct"), "cpu_pct"),
        (("jobs", "gpus", "mem_norm"), "mem_norm"),
        (("active_users", "departures", "net_in_bytes"), "departures"),
        (("is_anomaly", "mem_bytes_alloc", "cpu_raw_sum"), "cpu_raw_sum"),
        (("zeta", "beta", "is_anomaly"), "beta"),
    ],
)
def test_without_a_wish_the_metric_is_the_first_in_a_fixed_order(case, metrics, chosen: str) -> None:
    made = case(*(hourly("a", *[1.0] * 96, metric=metric) for metric in metrics))
    assert made.metric == chosen
    (said,) = about(made, f"The metric is {chosen}, the first in the order of preference; also there: ")
    assert all(name in said for name in metrics)


def test_the_metric_is_chosen_among_those_of_the_included_workloads(case) -> None:
    rows = (hourly("vm", *[1.0] * 96, metric="cpu_pct"), hourly("taxi", *[9.0] * 96, metric="active_users"))
    assert case(*rows, include=("taxi",)).metric == "active_users"
    assert about(case(*rows), "1 workload of 2 had no usable reading of cpu_pct.")


def test_the_calendar_covers_the_first_day_and_two_days_beyond_the_data(case) -> None:
    made = case(hourly("a", *[1.0] * 96, since=5), timezone="Europe/Berlin", countries=("DE",))
    slots = made.history.calendar["slot"]
    assert (slots.min(), slots.max()) == (START, START + (5 + 96 + 48 - 1) * HOUR)
    noon = made.history.calendar.filter(pl.col("hour_of_week") % 24 == 12)
    assert noon["day_type"].to_list() == ["working"] * 5 + ["weekend"]
    may = case(hourly("a", *[1.0] * 96, since=24 * 57), timezone="Europe/Berlin", countries=("DE",)).history.calendar
    holiday = may.filter(pl.col("day_type") == "holiday")["slot"]
    assert (holiday.min(), holiday.max()) == (START + 1414 * HOUR, START + 1437 * HOUR)  # 1 May in summer time


def test_outside_series_are_known_a_step_later_and_calendars_always(case) -> None:
    outside = hourly("weather:x", *[5.0, -2.0, 1.0], metric="temp_c")
    outside += hourly("calendar:us", 1.0, 0.0, metric="is_holiday") + hourly("grid:de", 40.0, metric="carbon", since=3)
    made = case(FOUR_DAYS, outside, include=("a",))
    known = {(s, t): k for s, _, t, _, k in made.covariates.iter_rows()}
    assert known == {
        ("weather:x", START): START + HOUR,
        ("weather:x", START + HOUR): START + 2 * HOUR,
        ("weather:x", START + 2 * HOUR): START + 3 * HOUR,
        ("calendar:us", START): ALWAYS,
        ("calendar:us", START + HOUR): ALWAYS,
        ("grid:de", START + 3 * HOUR): START + 4 * HOUR,
    }
    assert made.history.workloads["workload_id"].to_list() == ["a"]


def test_events_of_samples_and_of_files_mark_their_slots(case, tmp_path: Path) -> None:
    campaign = tmp_path / "campaigns.csv"
    campaign.write_text("kind,name,starts_at,ends_at,zone\nsale,spring,2025-03-04T12:30,2025-03-04T14:00,UTC\n")
    kick_offs = [("event:match", 5.5, "event", 1.0), ("event:match", 30.0, "event", 0.0)]
    made = case(FOUR_DAYS, kick_offs, events=(campaign,))
    marked = made.history.calendar.filter(pl.col("events").list.len() > 0)
    assert marked.select("slot", pl.col("events").list.join("+")).rows() == [
        (START + 5 * HOUR, "match"),
        (START + 6 * HOUR, "match"),  # told once by a sample, an event lasts an hour
        (START + 36 * HOUR, "sale"),
        (START + 37 * HOUR, "sale"),
    ]
    assert made.covariates.is_empty()


def test_bad_rows_are_refused_with_a_count_and_the_first_of_two_readings_wins(case) -> None:
    bad: list[Row] = [
        ("a", 3.0, "cpu_cores", 99.0),
        ("a", 4.0, "cpu_cores", 2.0),
        ("a", 5.0, "cpu_cores", float("nan")),
        ("a", 6.0, "cpu_cores", -1.0),
        ("a", 7.0, "cpu_cores", None),
        ("a", 24.0 * 300, "cpu_cores", 1.0),
        ("a", 8.0, "mem_bytes", -1.0),  # another metric: not looked at
    ]
    made = case(FOUR_DAYS, bad, unit=1.0)
    assert demand(made, "a") == [2.0] * 58 + [6.0] * 38
    assert about(made, "Refused")[0] == (
        "Refused 6 rows: another value for a reading that was read already (1); in the future (1); negative (1); "
        "no value (1); the same reading again (1); value is not a number (1)."
    )


def test_a_negative_amount_of_an_unknown_metric_is_refused_too(case) -> None:
    made = case(hourly("a", *[1.0] * 95, -1.0, metric="load"), metric="load")
    assert about(made, "Refused 1 row: negative (1).")


def test_csv_lines_that_cannot_be_read_are_refused(tmp_path: Path) -> None:
    path = written(tmp_path / "fleet.csv", FOUR_DAYS)
    path.write_text(
        path.read_text() + "a,2025-03-09T00:00:00Z\n,2025-03-03T00:30:00Z,cpu_cores,1\na,soon,cpu_cores,1\n"
    )
    made = read_case([path], CaseOptions(), now=NOW)
    assert about(made, "Refused")[0] == (
        "Refused 3 rows: no workload_id (1); timestamp cannot be read (1); wrong number of fields (1)."
    )


def test_the_digest_names_the_content_and_not_the_file(case, tmp_path: Path) -> None:
    first = case(FOUR_DAYS)
    text = written(tmp_path / "fleet.csv", FOUR_DAYS[::-1])
    assert read_case([text], CaseOptions(), now=NOW).digest == first.digest
    assert case(FOUR_DAYS, metric="cpu_cores", slot=HOUR).digest == first.digest
    others = [
        case(FOUR_DAYS[:-1], hourly("a", 6.1, since=95)),
        case(FOUR_DAYS, unit=0.2),
        case(FOUR_DAYS, train_share=0.5, unit=0.1),
        case(FOUR_DAYS, timezone="Europe/Berlin"),
        case(FOUR_DAYS, prices=Prices(3.0, 1.0)),
        case(FOUR_DAYS, hourly("weather:x", 1.0, metric="temp_c")),
    ]
    assert len({first.digest, *(other.digest for other in others)}) == 7


def test_ids_that_are_numbers_and_times_that_are_text_are_read_as_live_ingestion_reads_them(tmp_path: Path) -> None:
    rows = [
        {"workload_id": 7, "ts": f"{START + i * HOUR:%Y-%m-%d %H:%M}", "metric": " jobs", "value": 3600}
        for i in range(96)
    ]
    pl.DataFrame(rows).write_parquet(tmp_path / "odd.parquet")
    made = read_case([tmp_path / "odd.parquet"], CaseOptions(unit=1.0), now=NOW)
    assert demand(made, "7") == [1.0] * 96


def test_progress_is_told_to_the_last_row(tmp_path: Path) -> None:
    path = written(tmp_path / "fleet.parquet", FOUR_DAYS)
    told: list[tuple[str, int, int]] = []
    read_case([path], CaseOptions(), now=NOW, progress=lambda *row: told.append(row))
    assert told[-1] == (str(path), 96, 96)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (
            {"metric": "cpu_core"},
            "no metric 'cpu_core' .* Did you mean cpu_cores\\? There are cpu_cores \\(1 workload\\)",
        ),
        ({"include": ("vm*", "x")}, "No workload matches --include vm\\* x: there is 1 workload, for instance a\\."),
        ({"start": START + HOUR, "end": START}, "is not before --to"),
        ({"start": datetime(2025, 3, 3)}, "--from 2025-03-03 00:00:00 has no zone"),  # noqa: DTZ001
        (
            {"end": START + 40 * HOUR},
            "they span 1.7 days, 40 slots of 1 h. A replay needs at least 2 days and 48 slots",
        ),
        ({"slot": timedelta(hours=3)}, "32 slots of 3 h"),
        ({"start": NOW}, "Too few readings of cpu_cores from 2025-06-01"),
        ({"unit": 0.0}, "A unit of 0.0 holds nothing"),
        ({"train_share": 1.0}, "A training share of 1.0"),
        ({"group_by": "team"}, "grouped by 'team'; choose one of workload, dataset, pool"),
        ({"timezone": "Europe/Berlim"}, "did you mean Europe/Berlin"),
        ({"workloads": Path("nowhere.csv")}, "There is no workloads file nowhere.csv"),
    ],
)
def test_what_cannot_be_replayed_is_refused_with_the_fix(case, options: dict, says: str) -> None:
    with pytest.raises(InputError, match=says):
        case(FOUR_DAYS, **options)


def test_a_slot_that_does_not_divide_the_day_is_refused(case) -> None:
    with pytest.raises(ConfigError, match="does not divide a day"):
        case(FOUR_DAYS, slot=timedelta(minutes=7))


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        (hourly("weather:x", *[1.0] * 96, metric="temp_c"), "no readings of workloads"),
        (hourly("a", *[1.0] * 96, metric="is_anomaly"), "No metric .* says what they demand; there are is_anomaly"),
        (hourly("a", *[0.0] * 96), "No target has both demand of cpu_cores before"),
        (hourly("a", 1.0), "no workload has two"),
        (hourly("a", *[float("nan")] * 96), "Too few readings of cpu_cores"),
    ],
)
def test_files_with_nothing_to_replay_are_refused(case, rows: list[Row], says: str) -> None:
    with pytest.raises(InputError, match=says):
        case(rows)
