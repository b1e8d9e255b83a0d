"""Samples into the warehouse: once, the first value wins, every row accounted for."""

import json
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from persona_platform.errors import ConfigError, InputError, PersonaPlatformError
from resources.warehouse import Warehouse
from resources.warehouse_connection import opened

NOW = datetime(2025, 6, 1, tzinfo=UTC)
HOURLY = [("web", h, "cpu_cores", float(h)) for h in range(30)]


def held(warehouse: Warehouse) -> pl.DataFrame:
    with opened(warehouse.path, wait_s=5, read_only=True) as con:
        return con.sql("from raw.utilization_samples order by workload_id, metric, ts").pl()


def test_samples_are_held_as_given(warehouse: Warehouse, feed) -> None:
    seen: list[tuple[str, int, int]] = []
    path = feed("prod.parquet", HOURLY)
    report = warehouse.ingest_samples([path], now=NOW, progress=lambda *at: seen.append(at))
    assert (report.new, report.quarantined, report.days) == (30, 0, [date(2025, 3, 3), date(2025, 3, 4)])
    assert seen == [(str(path), 30, 30)]
    found = held(warehouse)
    assert found["value"].to_list() == [float(h) for h in range(30)]
    assert found["ts"].dt.hour().to_list() == [h % 24 for h in range(30)]
    state = warehouse.state()
    assert (state.samples, state.workloads, state.datasets) == (30, 1, ("prod",))
    assert state.history_since == date(2025, 3, 3)
    assert state.newest == datetime(2025, 3, 4, 6, tzinfo=UTC)
    assert state.slot == timedelta(hours=1)


def test_an_untouched_warehouse_is_empty_and_not_made_by_looking(warehouse: Warehouse) -> None:
    state = warehouse.state()
    assert (state.slot, state.newest, state.samples, state.history_since) == (None, None, 0, None)
    assert warehouse.quarantine().height == warehouse.workloads().height == 0
    assert not warehouse.path.exists()
    assert warehouse.stale_days() == []


@pytest.mark.parametrize("copied", [False, True], ids=["the same file", "its rows under another name"])
def test_a_second_ingest_changes_nothing(warehouse: Warehouse, feed, everything, copied: bool) -> None:
    rows = [*HOURLY, ("web", 1, "mem_bytes", -1.0)]
    warehouse.ingest_samples([feed("prod.csv", rows)], now=NOW)
    before, version = everything(warehouse), warehouse.digest("utilization_samples")
    again = feed("other.parquet", HOURLY) if copied else feed("prod.csv", rows)
    (report,) = warehouse.ingest_samples([again], now=NOW + timedelta(days=1)).files
    assert report.already_ingested is not copied
    assert (report.new, report.unchanged, report.days) == (0, 30 if copied else 0, ())
    assert warehouse.digest("utilization_samples") == version
    after = everything(warehouse)
    before.pop("files"), after.pop("files")
    assert after == before


def test_the_first_value_wins_unless_it_is_replaced(warehouse: Warehouse, feed) -> None:
    warehouse.ingest_samples([feed("a.csv", HOURLY)], now=NOW)
    warehouse.mark_done(warehouse.stale_days(), warehouse.stale().token)
    other = feed("b.csv", [("web", 1, "cpu_cores", 9.0), ("web", 2, "cpu_cores", 2.0), ("web", 40, "cpu_cores", 4.0)])

    (report,) = warehouse.ingest_samples([other], now=NOW).files
    assert (report.new, report.unchanged, report.replaced) == (1, 1, 0)
    assert report.quarantined == {"another value is held": 1}
    assert held(warehouse)["value"][1] == 1.0
    (row,) = warehouse.quarantine().to_dicts()
    assert (row["file"], row["row"]) == (str(other), 1)
    assert json.loads(row["content"])["held"] == "1.0"
    assert json.loads(row["content"])["value"] == "9.0"
    assert warehouse.stale_days() == [date(2025, 3, 4)]

    (report,) = warehouse.ingest_samples([other], now=NOW, replace=True).files
    assert (report.new, report.unchanged, report.replaced) == (0, 2, 1)
    assert report.days == (date(2025, 3, 3),)
    assert held(warehouse)["value"][1] == 9.0
    assert warehouse.quarantine().height == 0
    assert warehouse.state().samples == 31


@pytest.mark.parametrize(("replace", "kept"), [(False, 1.0), (True, 3.0)])
def test_a_reading_twice_in_one_file(warehouse: Warehouse, feed, replace: bool, kept: float) -> None:
    rows = [("web", 0, "cpu_cores", v) for v in (1.0, 2.0, 1.0, 3.0)]
    (report,) = warehouse.ingest_samples([feed("a.csv", rows)], now=NOW, replace=replace).files
    assert held(warehouse)["value"].to_list() == [kept]
    if not replace:
        assert (report.new, report.unchanged) == (1, 1)
        assert report.quarantined == {"another value is in the same file": 2}
        assert warehouse.quarantine()["row"].to_list() == [2, 4]


def test_one_bad_row_among_many_costs_one_row(warehouse: Warehouse, tmp_path: Path) -> None:
    rows = 300_000
    frame = pl.select(
        workload_id=pl.format("w{}", pl.int_range(rows) % 100),
        ts=1_740_960_000 + 60 * (pl.int_range(rows) // 100),
        metric=pl.lit("cpu_cores"),
        value=pl.int_range(rows).cast(pl.Float64),
    ).with_columns(value=pl.when(pl.int_range(rows) == 123_456).then(float("nan")).otherwise("value"))
    frame.write_parquet(tmp_path / "a.parquet")
    report = warehouse.ingest_samples([tmp_path / "a.parquet"], now=NOW)
    assert (report.new, report.quarantined) == (rows - 1, 1)
    assert warehouse.quarantine().select("row", "reason").rows() == [(123_457, "value is not a number")]


def test_rows_of_the_future_are_taken_when_their_time_has_come(warehouse: Warehouse, feed) -> None:
    path = feed("a.csv", HOURLY)
    (early,) = warehouse.ingest_samples([path], now=datetime(2025, 3, 3, 10, tzinfo=UTC)).files
    assert (early.new, early.quarantined) == (11, {"in the future": 19})
    (late,) = warehouse.ingest_samples([path], now=NOW).files
    assert (late.new, late.unchanged, late.quarantined) == (19, 11, {})
    assert warehouse.quarantine().height == 0
    assert warehouse.ingest_samples([path], now=NOW).files[0].already_ingested


def test_a_file_that_grew_adds_its_new_rows_and_tells_of_a_reject_once(warehouse: Warehouse, feed) -> None:
    bad = ("web", 0, "cpu_cores", -1.0)
    warehouse.ingest_samples([feed("a.csv", [bad, *HOURLY[:10]])], now=NOW)
    (report,) = warehouse.ingest_samples([feed("a.csv", [bad, *HOURLY])], now=NOW).files
    assert (report.new, report.unchanged, report.quarantined) == (20, 10, {"negative": 1})
    assert warehouse.quarantine().height == 1


@pytest.mark.parametrize("name", ["a.csv", "a.parquet"])
def test_an_empty_file_is_noted(warehouse: Warehouse, feed, name: str) -> None:
    (report,) = warehouse.ingest_samples([feed(name, [])], now=NOW).files
    assert (report.rows, report.notes) == (0, ("the file has no rows",))


def test_a_wrong_file_leaves_the_files_before_it_and_nothing_of_its_own(
    warehouse: Warehouse, feed, tmp_path: Path
) -> None:
    wrong = tmp_path / "b.csv"
    wrong.write_text("host,cpu\na,1\n")
    with pytest.raises(InputError, match=r"b\.csv lacks the columns"):
        warehouse.ingest_samples([feed("a.csv", HOURLY), wrong], now=NOW)
    assert warehouse.state().samples == 30


def test_outside_series_are_kept_apart_and_metrics_renamed(warehouse: Warehouse, feed) -> None:
    rows = [
        ("region", 0, "cpu_raw_sum", 5.0),
        ("weather:JFK", 0, "temp_c", -3.0),
        ("event:launch", 0, "event", 1.0),
        ("region", 0, "is_anomaly", 0.0),
    ]
    path = feed("a.csv", rows)
    warehouse.ingest_samples([path], now=NOW, metric_map={"cpu_raw_sum": "cpu_cores"})
    assert held(warehouse).select("workload_id", "metric").rows() == [
        ("region", "cpu_cores"),
        ("region", "is_anomaly"),
    ]
    assert warehouse.state().samples == 2
    assert warehouse.samples_by_day().rows() == [(date(2025, 3, 3), 2, 2)]
    with pytest.raises(ConfigError, match="no model uses"):
        warehouse.ingest_samples([path], now=NOW, metric_map={"cpu_raw_sum": "cpus"})


def test_a_file_that_is_no_warehouse_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "warehouse.duckdb"
    path.write_bytes(b"something else" * 1000)
    with pytest.raises(PersonaPlatformError, match="cannot be opened"):
        Warehouse(path, tmp_path).stale_days()


KEYS = st.tuples(st.sampled_from(["a", "b", "weather:x"]), st.integers(0, 60), st.sampled_from(["cpu_cores", "odd"]))
FILES = st.lists(st.lists(st.tuples(KEYS, st.sampled_from([-1.0, 0.0, 1.0, 2.0])), max_size=12), min_size=1, max_size=4)


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(files=FILES, replace=st.booleans())
def test_what_is_held_is_what_a_dictionary_would_hold(tmp_path_factory, files, replace: bool) -> None:
    folder = tmp_path_factory.mktemp("model")
    warehouse = Warehouse(folder / "w.duckdb", folder)
    model: dict[tuple, float] = {}
    for number, rows in enumerate(files):
        path = folder / f"{number}.csv"
        lines = [f"{w},{1_740_960_000 + 3600 * h},{m},{v}\n" for (w, h, m), v in rows]
        path.write_text("workload_id,ts,metric,value\n" + "".join(lines))
        (report,) = warehouse.ingest_samples([path], now=NOW, replace=replace).files
        told = report.new + report.replaced + report.unchanged + sum(report.quarantined.values())
        assert told == report.rows
        for (w, h, m), v in rows:
            if not (v < 0 and m == "cpu_cores"):
                model[w, h, m] = v if replace else model.get((w, h, m), v)
    with opened(warehouse.path, wait_s=5, read_only=True) as con:
        found = con.execute(
            "select workload_id, (epoch(ts)::bigint - 1740960000) // 3600, metric, value "
            "from raw.utilization_samples union all "
            "select series, (epoch(ts)::bigint - 1740960000) // 3600, metric, value from raw.covariates"
        ).fetchall()
        counts = con.execute("select coalesce(sum(samples + covariates), 0) from raw.days").fetchall()[0][0]
    assert sorted(found) == sorted((*key, value) for key, value in model.items())
    assert counts == len(model)
