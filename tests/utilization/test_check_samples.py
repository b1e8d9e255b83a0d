"""Each row of samples is kept, a covariate, an event, or in quarantine with its reason."""

import json
from datetime import UTC, datetime, timedelta

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from persona_platform.frames import COVARIATES, QUARANTINE, SAMPLES
from persona_platform.utilization.samples import ALWAYS, CLOCK_TOLERANCE, check_samples

NOW = datetime(2026, 1, 1, tzinfo=UTC)
GOOD = {"workload_id": "web", "ts": "2025-12-01T00:00:00Z", "metric": "cpu_cores", "value": "1.5"}


def check(*rows: dict[str, object], **options: object):
    return check_samples(pl.DataFrame(rows), file="feed.csv", first_row=1, now=NOW, **options)


@pytest.mark.parametrize(
    ("column", "found", "reason"),
    [
        ("workload_id", "", "no workload_id"),
        ("workload_id", None, "no workload_id"),
        ("workload_id", "we\ufffdb", "workload_id is not UTF-8"),
        ("metric", " ", "no metric"),
        ("ts", None, "no timestamp"),
        ("ts", "yesterday", "timestamp cannot be read"),
        ("ts", "1969-12-31T23:59:59Z", "timestamp before 1970"),
        ("ts", "2026-01-01T00:15:01Z", "in the future"),
        ("value", None, "no value"),
        ("value", "", "no value"),
        ("value", "1,5", "value is not a number"),
        ("value", "NaN", "value is not a number"),
        ("value", "inf", "value is not finite"),
        ("value", "-inf", "value is not finite"),
        ("value", "-0.1", "negative"),
    ],
)
def test_a_broken_row_is_quarantined_as_it_was_read(column: str, found: object, reason: str) -> None:
    broken = GOOD | {column: found}
    checked = check(GOOD, broken, GOOD | {"workload_id": "db"})
    assert checked.samples["row"].to_list() == [1, 3]
    (row,) = checked.quarantine.to_dicts()
    assert (row["file"], row["row"], row["reason"]) == ("feed.csv", 2, reason)
    assert json.loads(row["content"]) == broken


@pytest.mark.parametrize(
    "row",
    [
        GOOD | {"ts": "2026-01-01T00:15:00Z"},
        GOOD | {"value": "0"},
        GOOD | {"metric": "cpu_pct", "value": "104.2"},
        GOOD | {"metric": "temp_c", "value": "-4"},
        GOOD | {"metric": "is_anomaly", "value": "1"},
    ],
    ids=["within the clock's tolerance", "zero", "over 100 percent", "cold", "a metric no model uses"],
)
def test_an_unusual_row_is_kept(row: dict[str, object]) -> None:
    assert check(row).samples.height == 1


def test_tolerance_is_the_shortest_slot() -> None:
    assert timedelta(minutes=15) == CLOCK_TOLERANCE


def test_outside_series_are_covariates_and_events_with_the_instant_they_are_known_from() -> None:
    later = {"ts": "2027-01-01T00:00:00Z", "metric": "m"}
    checked = check(
        GOOD | {"workload_id": "weather:JFK", "metric": "temp_c", "value": "-3"},
        GOOD | {"workload_id": "grid:carbon"},
        GOOD | {"workload_id": "calendar:us"} | later,
        GOOD | {"workload_id": "event:launch"} | later,
        GOOD | {"workload_id": "weather:JFK"} | later,
        GOOD | {"workload_id": "eu:web"},
    )
    assert checked.covariates.select("series", "known_at").rows() == [
        ("weather:JFK", None),
        ("grid:carbon", None),
        ("calendar:us", ALWAYS),
    ]
    assert checked.event_rows.select("series", "known_at").rows() == [("event:launch", ALWAYS)]
    assert checked.quarantine["reason"].to_list() == ["in the future"]
    assert checked.samples["workload_id"].to_list() == ["eu:web"]


def test_dataset_is_the_rows_own_or_the_files() -> None:
    rows = [GOOD | {"dataset": "prod"}, GOOD | {"dataset": None}, GOOD | {"dataset": " "}]
    assert check(*rows, dataset="feed").samples["dataset"].to_list() == ["prod", "feed", "feed"]
    assert check(GOOD, dataset="feed").samples["dataset"].to_list() == ["feed"]


def test_renamed_metrics_are_checked_by_their_new_name() -> None:
    row = GOOD | {"metric": "cpu_raw_sum", "value": "-1"}
    assert check(row).samples["metric"].to_list() == ["cpu_raw_sum"]
    assert check(row, metric_map={"cpu_raw_sum": "cpu_cores"}).quarantine["reason"].to_list() == ["negative"]


def test_ids_are_stripped_and_typed_columns_are_taken_as_they_are() -> None:
    raw = pl.DataFrame({"workload_id": [7], "ts": [1764547200], "metric": ["cpu_cores "], "value": [2]})
    (row,) = check_samples(raw, file="f", first_row=5, now=NOW).samples.to_dicts()
    assert row == {
        "row": 5,
        "workload_id": "7",
        "ts": datetime(2025, 12, 1, tzinfo=UTC),
        "metric": "cpu_cores",
        "value": 2.0,
        "dataset": "default",
    }


def test_an_empty_batch_has_four_empty_frames() -> None:
    raw = pl.DataFrame(schema=dict.fromkeys(GOOD, pl.String))
    checked = check_samples(raw, file="f", first_row=1, now=NOW)
    assert dict(checked.samples.schema) == {"row": pl.Int64, **SAMPLES}
    assert dict(checked.covariates.schema) == {"row": pl.Int64, **COVARIATES}
    assert dict(checked.quarantine.schema) == QUARANTINE
    assert checked.samples.height + checked.covariates.height + checked.quarantine.height == 0


ANY = st.fixed_dictionaries(
    {
        "workload_id": st.sampled_from([None, "", "web", "weather:x", "event:y", "calendar:", "grid:z", " a "]),
        "ts": st.sampled_from([None, "2025-01-01", "1735689600", "x", "2999-01-01", "1960-01-01"]),
        "metric": st.sampled_from([None, "", "cpu_cores", "cpu_pct", "odd"]),
        "value": st.sampled_from([None, "", "1", "-1", "nan", "inf", "x", "1e300"]),
    }
)


@settings(deadline=None)
@given(st.lists(ANY, max_size=30), st.integers(1, 10**9))
def test_every_row_is_in_exactly_one_frame(rows: list[dict[str, str]], first: int) -> None:
    raw = pl.DataFrame(rows, schema=dict.fromkeys(GOOD, pl.String))
    checked = check_samples(raw, file="f", first_row=first, now=NOW)
    frames = (checked.samples, checked.covariates, checked.event_rows, checked.quarantine)
    numbers = sorted(n for frame in frames for n in frame["row"].to_list())
    assert numbers == list(range(first, first + len(rows)))
    assert checked.samples["value"].is_finite().all()
