"""Late rows, gaps and bad rows are there as asked for; files are whole and split at a moment."""

import itertools
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import icalendar
import polars as pl
import pytest
import recurring_ical_events
from polars.testing import assert_frame_equal

from persona_platform.fleet import FleetSpec, generate, held_rows, write
from persona_platform.fleet.faults import FAULTS

END = datetime(2026, 3, 16, tzinfo=UTC)
SPEC = FleetSpec.ending(END, 4, seed=9, workloads=24)
STEP = timedelta(minutes=15)
KEY = ["workload_id", "metric", "ts"]
DATA = Path(__file__).parents[2] / "data"


@pytest.fixture(scope="module")
def fleet():
    return generate(SPEC)


@pytest.fixture(scope="module")
def written(fleet, tmp_path_factory):
    out = tmp_path_factory.mktemp("fleet")
    write(fleet, out, until=END - timedelta(days=1))
    return out


@pytest.mark.parametrize("share", [0.0, 0.02, 0.3])
def test_the_share_of_readings_asked_for_is_missing(share):
    spec = FleetSpec.ending(END, 28, workloads=40)
    found = generate(replace(spec, gaps=share, late_share=0.0, archetypes=("cron-fanout",)))
    readings = found.samples.filter(pl.col("metric") == "cpu_cores").height
    assert 1 - readings / (28 * 96 * 40) == pytest.approx(share, abs=0.15 * share)


def test_outages_last_for_hours():
    spec = replace(FleetSpec.ending(END, 28, workloads=40), gaps=0.05, late_share=0.0)
    cores = generate(spec).samples.filter(pl.col("metric") == "cpu_cores")
    longest = cores.group_by("workload_id").agg(pl.col("ts").sort().diff().max())["ts"].max()
    assert timedelta(hours=4) < longest < timedelta(hours=24)


@pytest.mark.parametrize("share", [0.0, 0.1])
def test_the_share_of_readings_asked_for_is_late(share):
    found = generate(replace(SPEC, late_share=share))
    assert found.late.height / (found.late.height + found.samples.height) == pytest.approx(share, abs=0.02)


def test_late_rows_change_nothing_but_the_time_of_their_arrival():
    early, late = generate(replace(SPEC, late_share=0)), generate(replace(SPEC, late_share=0.2))
    assert_frame_equal(pl.concat([late.samples, late.late]).sort(KEY), early.samples.sort(KEY))


def test_every_fault_is_there_and_breaks_the_contract(fleet):
    bad = fleet.bad.filter(pl.col("fault").is_not_null())
    assert bad.height == SPEC.bad_rows
    assert set(bad["fault"]) == set(FAULTS)
    values = bad.with_columns(
        pl.col("value").cast(pl.Float64, strict=False),
        pl.col("ts").str.to_datetime("%Y-%m-%dT%H:%M:%SZ", time_unit="us", time_zone="UTC", strict=False),
    )
    held = fleet.samples.rename({"value": "held"})
    again = values.join(held, on=KEY, how="left")
    value, ts = pl.col("value"), pl.col("ts")
    broken = (
        value.is_null() | ~value.is_finite() | (value < 0) | ts.is_null() | (ts > END)
        | (pl.col("workload_id") == "") | (value != pl.col("held"))
    )  # fmt: skip
    assert again.select(broken.fill_null(value=True).all()).item()


def test_the_good_rows_among_them_repeat_samples(fleet):
    good = fleet.bad.filter(pl.col("fault").is_null()).with_columns(
        pl.col("value").cast(pl.Float64), pl.col("ts").str.to_datetime(time_zone="UTC")
    )
    held = good.join(fleet.samples, on=[*KEY, "value"], how="inner")
    assert held.height == good.height == SPEC.bad_rows


def test_readings_not_yet_over_are_held_back(fleet, written):
    until = END - timedelta(days=1)
    weather = pl.col("workload_id").str.starts_with("weather:")
    over_at = pl.col("ts") + pl.when(weather).then(timedelta(hours=1)).otherwise(STEP)
    samples = pl.read_parquet(written / "samples" / "*.parquet")
    late = pl.read_parquet(written / "samples_late.parquet")
    held = pl.read_parquet(written / "held" / "*.parquet")
    assert samples.select((over_at <= until).all()).item()
    assert late.select((over_at <= until).all()).item()
    assert held.select((over_at > until).all()).item()
    everything = pl.concat([fleet.samples, fleet.late]).sort(KEY)
    assert_frame_equal(pl.concat([samples, late, held]).sort(KEY), everything)


def test_held_rows_are_released_once_each(written):
    hours = [END - timedelta(hours=hour) for hour in range(24, -1, -1)]
    moments = [held_rows(written, since, until) for since, until in itertools.pairwise(hours)]
    assert all(len(moment) for moment in moments)
    assert_frame_equal(pl.concat(moments).sort(KEY), pl.read_parquet(written / "held" / "*.parquet").sort(KEY))


def test_a_spec_and_its_fleet_write_the_same_bytes(written, tmp_path):
    write(SPEC, tmp_path, until=END - timedelta(days=1))
    names = sorted(path.relative_to(tmp_path) for path in tmp_path.rglob("*") if path.is_file())
    assert names == sorted(path.relative_to(written) for path in written.rglob("*") if path.is_file())
    assert [name for name in names if (tmp_path / name).read_bytes() != (written / name).read_bytes()] == []
    assert not [name for name in names if name.suffix == ".scratch"]


def test_writing_again_leaves_nothing_of_what_was(written, tmp_path):
    write(SPEC, tmp_path, until=END - timedelta(days=1))
    (tmp_path / "samples" / "part-00007.parquet").write_bytes(b"of a larger fleet")
    write(SPEC, tmp_path)
    assert [path.name for path in (tmp_path / "samples").iterdir()] == ["part-00000.parquet"]
    assert list((tmp_path / "held").iterdir()) == []


def test_calendar_and_csv_hold_all_events_between_them(fleet, written):
    text = (written / "calendar.ics").read_bytes()
    assert text.decode() == fleet.ical
    first, last = SPEC.start, END + timedelta(days=42)
    occurrences = recurring_ical_events.of(icalendar.Calendar.from_ical(text)).between(first, last)
    recurring = {
        (
            entry["categories"].to_ical().decode(),
            *(entry[name].dt.astimezone(UTC) for name in ("dtstart", "dtend")),
        )
        for entry in occurrences
    }
    csv = pl.read_csv(written / "events.csv", try_parse_dates=True)
    single = {(kind, start, end) for kind, _, start, end, _ in csv.iter_rows()}
    within = fleet.events.filter(pl.col("ends_at") > first, pl.col("starts_at") < last)
    expected = set(within.select("kind", "starts_at", "ends_at").iter_rows())
    assert recurring | {row for row in single if row[2] > first} == expected
    assert {kind for kind, *_ in recurring} == {"maintenance", "payday"}
    assert "RRULE" in fleet.ical
    assert "TZID=Europe/Berlin" in fleet.ical


def test_the_spec_stands_beside_the_truth(written):
    assert json.loads((written / "truth" / "spec.json").read_text())["seed"] == SPEC.seed


def test_the_committed_sample_is_what_the_generator_makes(tmp_path):
    write(FleetSpec.ending(END, 15, seed=7, workloads=12), tmp_path)
    made = sorted(path.relative_to(tmp_path) for path in tmp_path.rglob("*") if path.is_file())
    kept = sorted(path.relative_to(DATA) for path in DATA.rglob("*") if path.is_file())
    assert kept == sorted([*made, Path("README.md")])
    for name in made:
        if name.suffix == ".parquet":
            assert_frame_equal(pl.read_parquet(DATA / name), pl.read_parquet(tmp_path / name), rel_tol=2e-4)
        else:
            assert (DATA / name).read_bytes() == (tmp_path / name).read_bytes(), name


def test_the_committed_sample_is_small():
    assert sum(path.stat().st_size for path in DATA.rglob("*") if path.is_file()) < 1_000_000
