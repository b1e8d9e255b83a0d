"""Personas that were planted are found, with what they need and when, and stay who they are."""

from datetime import timedelta

import numpy as np
import polars as pl
import pytest
from planted_needs import DAY, SLOT, START, calendar, job, needs, workloads

from persona_platform.calendars.days import calendar_days
from persona_platform.calendars.slots import calendar_slots
from persona_platform.errors import InputError
from persona_platform.fleet import FleetSpec, generate
from persona_platform.frames import TS
from persona_platform.personas.assignment import play
from persona_platform.personas.catalog import catalog_frames, catalog_from_frames, catalog_to_succeed
from persona_platform.personas.learning import learn

SIZES = np.array([16, 16, 32, 16, 16])
"""0.8 and 0.2, in a cycle of five that no week hides."""


def planted(days=28, first=0):
    series = {}
    for i in range(6):
        series[f"night{i}"] = job(days, 2, 2, np.roll(SIZES, i), seed=first + i)
        series[f"noon{i}"] = job(days, 12, 2, np.roll(SIZES, i), seed=first + 10 + i)
        series[f"office{i}"] = job(days, 9, 9, 4, on=range(5), seed=first + 20 + i)
    return series


@pytest.fixture(scope="module")
def catalog():
    series = planted()
    tiers = ["critical" if n == "night0" or n.startswith("office") else "batch" for n in series]
    return learn(needs(series), workloads(series, tiers), calendar(28), slot=SLOT, previous=None, seed=0).catalog


def persona_of(catalog, prefix):
    rows = catalog.patterns.filter(pl.col("workload_id").str.starts_with(prefix) & (pl.col("kind") == "active"))
    assert rows["persona_id"].n_unique() == 1
    return next(p for p in catalog.personas if p.persona_id == rows["persona_id"][0])


def test_same_size_at_another_time_is_another_persona(catalog):
    assert persona_of(catalog, "night").persona_id != persona_of(catalog, "noon").persona_id
    assert sum(p.kind == "active" for p in catalog.personas) == 3
    assert sum(p.kind == "resting" for p in catalog.personas) >= 1


def test_two_sizes_are_one_persona_with_both_in_its_requirement(catalog):
    table = {s.amounts["cpu_cores"]: s.probability for s in persona_of(catalog, "night").requirement.sizes}
    assert table == {16.0: pytest.approx(0.8, abs=0.03), 32.0: pytest.approx(0.2, abs=0.03)}
    assert persona_of(catalog, "night").requirement.sizes[0].storage_class == "ssd"


@pytest.mark.parametrize(
    ("prefix", "name", "tier", "sla"),
    [
        (
            "night",
            "nights, 16 cores, 2 h",
            "batch",
            0.80,
        ),  # one critical in six is not enough to speak for all
        ("noon", "afternoons, 16 cores, 2 h", "batch", 0.80),
        ("office", "weekday working hours, 4 cores, 9 h", "critical", 0.99),
    ],
)
def test_names_and_tiers_are_the_facts(catalog, prefix, name, tier, sla):
    persona = persona_of(catalog, prefix)
    assert (persona.name, persona.priority, persona.sla) == (name, tier, sla)
    assert {m.workload_id for m in persona.members} == {f"{prefix}{i}" for i in range(6)}


def test_records_are_distributions(catalog):
    for persona in catalog.personas:
        assert sum(s.probability for s in persona.requirement.sizes) == pytest.approx(1.0)
        assert (np.diff(persona.duration.survival) <= 0).all()
        assert persona.duration.survival[0] == 1.0
        assert len(persona.recurrence.intensity) == 168
        assert min(persona.recurrence.intensity) >= 0.0
        assert 0.0 <= persona.stability <= 1.0
        assert all((np.diff(q) >= 0).all() for q in persona.requirement.quantiles.values())
        assert persona.trained_until - persona.trained_from == timedelta(days=28)
    assert len({p.name for p in catalog.personas}) == len(catalog.personas)
    office = np.array(persona_of(catalog, "office").recurrence.intensity)
    assert office.sum() == pytest.approx(5, rel=0.1)  # activations per member and week
    assert office[: 5 * 24].reshape(5, 24)[:, 8:10].sum() > 0.9 * office.sum()


def test_the_catalog_goes_to_frames_and_back_without_loss(catalog):
    frames = catalog_frames(catalog)
    back = catalog_from_frames(frames)
    assert (back.version, back.slot, back.last_id, back.personas) == (
        catalog.version, catalog.slot, catalog.last_id, catalog.personas,
    )  # fmt: skip
    for name in ("patterns", "levels", "selection"):
        assert getattr(back, name).equals(getattr(catalog, name))
    assert all(frames[n].equals(f) for n, f in catalog_frames(back).items())


def test_a_catalog_of_another_release_is_succeeded_and_gives_no_id_twice(catalog):
    frames = catalog_frames(catalog)
    assert catalog_to_succeed(frames)[1] == ""
    strange = frames["personas"].with_columns(record=pl.lit(b"\x81\xa1a\x01"))
    for older, why in (
        ({name: f for name, f in frames.items() if name != "lineage"}, "lacks lineage"),
        ({**frames, "personas": strange}, "records of another release"),
        ({**frames, "levels": frames["levels"].select("workload_id")}, "levels"),
    ):
        before, said = catalog_to_succeed(older)
        assert why in said
        series = planted()
        later = learn(needs(series), workloads(series), calendar(28), slot=SLOT, previous=before, seed=0).catalog
        assert later.version == catalog.version + 1
        assert {p.persona_id for p in later.personas}.isdisjoint(p.persona_id for p in catalog.personas)
    with pytest.raises(InputError, match="head"):
        catalog_to_succeed({name: f for name, f in frames.items() if name != "head"})


def test_ids_survive_more_data_and_are_never_given_twice(catalog):
    series = planted(35)
    people = workloads(series)
    later = learn(needs(series), people, calendar(35), slot=SLOT, previous=catalog, seed=1).catalog
    for prefix in ("night", "noon", "office"):
        old, new = persona_of(catalog, prefix), persona_of(later, prefix)
        assert (new.persona_id, new.version) == (old.persona_id, 2)
        assert new.drift < 0.5
    assert later.version == 2
    gone = {n: s for n, s in series.items() if not n.startswith("noon")}
    without = learn(needs(gone), workloads(gone), calendar(35), slot=SLOT, previous=later, seed=1).catalog
    noon = persona_of(later, "noon").persona_id
    assert noon not in {p.persona_id for p in without.personas}
    new = {f"dusk{i}": job(35, 19, 3, 8, seed=i) for i in range(6)}
    again = learn(
        needs(gone | new), workloads([*gone, *new]), calendar(35), slot=SLOT, previous=without, seed=1
    ).catalog
    assert persona_of(again, "dusk").persona_id not in {p.persona_id for p in (*catalog.personas, *later.personas)}
    assert persona_of(again, "night").persona_id == persona_of(catalog, "night").persona_id


def test_a_workload_may_play_two_personas(catalog):
    series = planted() | {f"both{i}": job(28, 2, 2, 16, seed=i) + job(28, 12, 2, 16, rest=0.0) for i in range(1)}
    series["shift"] = np.concatenate([job(14, 2, 2, 16), job(14, 12, 2, 16)])  # moved house midway
    found = learn(needs(series), workloads(series), calendar(28), slot=SLOT, previous=catalog, seed=0).catalog
    shift = found.patterns.filter((pl.col("workload_id") == "shift") & (pl.col("kind") == "active"))
    assert shift.height == 2


def test_month_end_is_a_pattern_of_its_own():
    series = job(61, 2, 1, 8)
    start = START.replace(day=1)
    for end in (30, 60):  # the 31st of March, the 30th of April
        series[end * DAY + 68 : end * DAY + 92] = 8.0
    found = learn(needs({"a": series}, start), workloads(["a"]), calendar(61, start), slot=SLOT, previous=None, seed=0)
    active = found.activations.filter(pl.col("kind") == "active")
    late = active.filter(pl.col("start").dt.hour() > 12)
    assert late.height == 2
    assert not set(late["pattern"]) & set(active.filter(pl.col("start").dt.hour() <= 12)["pattern"])


def test_a_generated_fleet_is_told_apart():
    """Adjusted Rand index over the slots active in truth: below 0.8 the clustering is not good enough."""
    from sklearn.metrics import adjusted_rand_score

    spec = FleetSpec.ending(START + timedelta(days=56), 28, seed=11, workloads=48)
    fleet = generate(spec)
    frame = (
        fleet.samples.filter(pl.col("metric").is_in(["cpu_cores", "mem_bytes", "gpus"]))
        .with_columns(slot=pl.col("ts").dt.truncate("15m").cast(TS))
        .group_by("workload_id", "slot", "metric")
        .agg(pl.col("value").mean())
        .pivot(on="metric", index=["workload_id", "slot"], values="value")
        .with_columns(saturated=pl.lit(value=False))
    )
    zones = fleet.workloads["timezone"].unique().to_list()
    days = calendar_days(
        zones, spec.start.date() - timedelta(days=2), spec.end.date() + timedelta(days=2), ["US", "DE", "IN"]
    )
    year = calendar_slots(days, fleet.events, zones, spec.start, spec.end, SLOT)
    result = learn(frame, fleet.workloads, year, slot=SLOT, previous=None, seed=0)
    played = play(frame, fleet.workloads, year, result.catalog)
    assert played.activations.equals(result.activations)
    kinds = result.catalog.patterns.select("workload_id", "pattern", found="kind")
    both = played.membership.join(kinds, on=["workload_id", "pattern"]).join(
        fleet.truth.membership.select("workload_id", "slot", "persona", "kind"), on=["workload_id", "slot"]
    )
    active = both.filter(pl.col("kind") == "active")
    assert adjusted_rand_score(active["persona"].to_numpy(), active["persona_id"].to_numpy()) >= 0.8
    hits = (active["found"] == "active").sum()
    assert 2 * hits / (active.height + (both["found"] == "active").sum()) >= 0.97
