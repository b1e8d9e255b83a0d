"""Identity over refits: who is found again, what merged, split, came and went; and how alike two catalogs are."""

from datetime import UTC, datetime

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from planted_patterns import fleet, found

from persona_platform.personas.identity import LINEAGE, REFITS, identities, refit_row
from persona_platform.personas.lineage import adjusted_rand, agreement, churn, remembered

NOW = datetime(2026, 3, 2, tzinfo=UTC)
FOUR = ["p001"] * 12 + ["p002"] * 9 + ["p003"] * 6 + [("p001", "p004")] * 5
IDS = ["p001", "p002", "p003", "p004"]


def told(identity, event):
    return identity.lineage.filter(event=event)


def renamed(patterns, identity):
    """The found patterns with the ids that they were given."""
    names = dict(enumerate(identity.ids))
    return patterns.with_columns(persona_id=pl.col("cluster").replace_strict(names, return_dtype=pl.String))


@st.composite
def fleets(draw):
    personas = [f"p{i:03d}" for i in range(1, draw(st.integers(1, 6)) + 1)]
    one = st.sampled_from(personas)
    labels = [*personas, *draw(st.lists(st.one_of(one, st.tuples(one, one)), max_size=20))]
    return fleet(labels, seed=draw(st.integers(0, 99))), personas


@settings(max_examples=30, deadline=None)
@given(fleets(), st.randoms(use_true_random=False))
def test_the_same_patterns_are_the_same_personas_however_they_are_ordered_and_numbered(planted, random):
    patterns, ids = planted
    order = list(range(len(ids)))
    random.shuffle(order)
    clusters = dict(zip(ids, order, strict=True))
    numbers = list(range(1, 9))
    random.shuffle(numbers)
    now = found(patterns, clusters).sample(fraction=1.0, shuffle=True, seed=random.randint(0, 99))
    now = now.with_columns(pattern=pl.col("pattern").replace_strict(dict(enumerate(numbers)), return_dtype=pl.UInt16))
    identity = identities(now, patterns, dict.fromkeys(ids, 3), len(ids), version=4)
    assert identity.ids == sorted(ids, key=clusters.__getitem__)
    assert identity.versions == [4] * len(ids)
    assert identity.drifts == pytest.approx([0.0] * len(ids), abs=1e-9)
    assert identity.last_id == len(ids)
    assert set(identity.lineage["event"]) == {"kept"}
    assert identity.lineage["share"].to_list() == pytest.approx([1.0] * len(ids))
    assert agreement(patterns, renamed(now, identity)) == pytest.approx(1.0)


def test_a_first_catalog_has_new_personas_only():
    identity = identities(found(fleet(FOUR), {p: i for i, p in enumerate(IDS)}), None, {}, 0)
    assert identity.ids == IDS
    assert identity.versions == [1] * 4
    assert identity.drifts == [0.0] * 4
    assert dict(identity.lineage.schema) == LINEAGE
    assert set(identity.lineage["event"]) == {"new"}
    assert identity.lineage["share"].to_list() == [1.0] * 4


def test_two_that_become_one_are_a_merge_into_the_larger():
    old = fleet(FOUR, apart=2.0)
    identity = identities(found(old, {"p001": 0, "p002": 0, "p003": 1, "p004": 2}), old, dict.fromkeys(IDS, 1), 4)
    assert identity.ids == ["p001", "p003", "p004"]
    assert told(identity, "merged").select("persona_id", "other_id", "share").rows() == [("p001", "p002", 1.0)]
    assert set(told(identity, "kept")["persona_id"]) == {"p001", "p003", "p004"}
    assert told(identity, "gone").is_empty()
    assert identity.drifts[0] > 0.0


def test_one_that_becomes_two_is_a_split_off_the_larger():
    old = fleet(FOUR).with_columns(persona_id=pl.col("persona_id").replace("p002", "p001"))
    now = found(fleet(FOUR), {"p001": 1, "p002": 0, "p003": 2, "p004": 3})
    identity = identities(now, old, dict.fromkeys(IDS, 1), 4)
    assert identity.ids == ["p005", "p001", "p003", "p004"]
    assert told(identity, "split").select("persona_id", "other_id", "share").rows() == [("p005", "p001", 1.0)]
    assert identity.versions == [1, 2, 2, 2]
    kept = told(identity, "kept").filter(persona_id="p001")["share"].item()
    assert 0.5 < kept < 0.8  # 17 of 26 workloads


def test_two_routines_of_one_workload_are_told_apart_by_their_features():
    """The members are the same, so only features can say which is which."""
    both = [("p001", "p002")] * 10
    old, now = fleet(both), fleet([("p002", "p001")] * 10)
    assert old["features"].to_list() != now["features"].to_list()
    identity = identities(found(now, {"p001": 0, "p002": 1}), old, {}, 2)
    assert identity.ids == ["p001", "p002"]
    assert min(told(identity, "kept")["share"]) > 0.9


def test_unrelated_fleets_share_nothing():
    old = fleet(["p001"] * 5 + ["p002"] * 5, seed=1)
    strangers = fleet(["x"] * 5 + ["y"] * 5, seed=2, workloads=[f"s{i}" for i in range(10)])
    now = found(strangers, {"x": 0, "y": 1})
    identity = identities(now, old, {"p001": 7, "p002": 7}, 9)
    assert identity.ids == ["p010", "p011"]
    assert identity.versions == [1, 1]
    assert sorted(identity.lineage.select("event", "persona_id").rows()) == [
        ("gone", "p001"),
        ("gone", "p002"),
        ("new", "p010"),
        ("new", "p011"),
    ]
    assert agreement(old, renamed(now, identity)) is None


def test_kinds_never_meet():
    old = fleet(["p001"] * 5, kind="steady")
    identity = identities(found(fleet(["p001"] * 5), {"p001": 0}), old, {"p001": 1}, 1)
    assert identity.ids == ["p002"]
    assert set(identity.lineage["event"]) == {"new", "gone"}


def test_features_of_another_make_leave_the_members_to_say_who_is_who():
    old, now = fleet(FOUR, columns=5), fleet(FOUR, columns=7)
    identity = identities(found(now, {p: i for i, p in enumerate(IDS)}), old, {}, 4)
    assert identity.ids == IDS
    assert identity.drifts == [0.0] * 4


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(0, 10_000), min_size=2, max_size=6))
def test_an_id_is_never_given_twice(seeds):
    """Over refits of which each sees other workloads or other personas: what went does not come back."""
    previous, versions, last, ended, seen = None, {}, 0, set(), set()
    for version, seed in enumerate(seeds, 1):
        rng = np.random.default_rng(seed)
        count = int(rng.integers(1, 5))
        names = [f"{seed % 3}-{c}" for c in range(count)]
        labels = [names[i % count] for i in range(3 * count)]
        now = found(fleet(labels, seed=seed % 3), {name: i for i, name in enumerate(sorted(names))})
        identity = identities(now, previous, versions, last, version)
        assert len(set(identity.ids)) == len(identity.ids)
        assert not ended & set(identity.ids)
        fresh = set(identity.ids) - set(versions)
        assert not fresh & seen
        seen |= fresh
        ended |= set(versions) - set(identity.ids)
        last, versions = identity.last_id, dict(zip(identity.ids, identity.versions, strict=True))
        previous = renamed(now, identity)


@settings(max_examples=30, deadline=None)
@given(fleets(), st.integers(1, 5), st.integers(0, 99))
def test_everybody_is_accounted_for_once(planted, count, seed):
    """Old: kept, merged or gone. New: kept, split or new. Whatever the new clustering made of it."""
    old, ids = planted
    labels = np.random.default_rng(seed).integers(0, count, old.height)
    labels = np.unique(labels, return_inverse=True)[1]
    now = old.drop("persona_id").with_columns(cluster=pl.Series(labels, dtype=pl.Int64))
    identity = identities(now, old, dict.fromkeys(ids, 1), len(ids), version=2)
    lineage = identity.lineage
    news = lineage.filter(pl.col("event").is_in(["kept", "new", "split"]))["persona_id"]
    assert sorted(news) == sorted(identity.ids)
    went = {*lineage.filter(event="gone")["persona_id"], *lineage.filter(event="merged")["other_id"]}
    kept = set(lineage.filter(event="kept")["persona_id"])
    assert went | kept == set(ids)
    assert not went & kept
    assert lineage["share"].is_between(-1e-9, 1 + 1e-9).all()
    row = refit_row(lineage, renamed(now, identity), old, [0.5] * len(identity.ids), version=2, trained_until=NOW)
    counts = row.row(0, named=True)
    assert counts["personas"] == counts["kept"] + counts["new"] + counts["split"] == len(identity.ids)
    assert counts["kept"] + counts["merged"] + counts["gone"] == len(ids)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=2, max_size=60))
def test_the_rand_index_is_the_published_one(labels):
    from sklearn.metrics import adjusted_rand_score

    table = np.zeros((4, 4))
    for old, new in labels:
        table[old, new] += 1
    assert adjusted_rand(table) == pytest.approx(adjusted_rand_score(*zip(*labels, strict=True)))


def test_agreement_counts_slots_and_falls_as_workloads_change_their_persona():
    old = fleet(["p001"] * 20 + ["p002"] * 20)
    seen = []
    for moved in (0, 2, 10):
        other = old.with_row_index("row").with_columns(
            persona_id=pl.when(pl.col("row") < moved).then(pl.lit("p002")).otherwise("persona_id")
        )
        seen.append(agreement(old, other))
    assert seen[0] == pytest.approx(1.0)
    assert seen == sorted(seen, reverse=True)
    assert seen[1] == pytest.approx(0.81, abs=0.03)
    assert agreement(old.with_columns(kind=pl.lit("resting")), old.with_columns(kind=pl.lit("resting"))) is None


def test_the_first_refit_has_nothing_to_be_compared_with():
    patterns = fleet(FOUR)
    identity = identities(found(patterns, {p: i for i, p in enumerate(IDS)}), None, {}, 0)
    row = refit_row(identity.lineage, patterns, None, [0.9, 0.8, 0.7, 0.95], version=1, trained_until=NOW)
    assert dict(row.schema) == REFITS
    assert row.row(0) == (1, NOW, 4, 0, 4, 0, 0, 0, None, None, pytest.approx(0.85))
    assert churn(row, identity.lineage) == []


def refitted(kept, new=(), gone=(), merged=(), split=(), value=1.0):
    """Two refits, the second with these ids."""
    events = [("kept", i, None) for i in kept] + [("new", i, None) for i in new] + [("gone", i, None) for i in gone]
    events += [("merged", kept[0], i) for i in merged] + [("split", i, kept[0]) for i in split]
    lineage = pl.DataFrame(
        [(2, NOW, event, who, other, 1.0, 0.0) for event, who, other in events], schema=LINEAGE, orient="row"
    )
    counts = [len(kept) + len(new) + len(split), len(kept), len(new), len(gone), len(merged), len(split)]
    rows = [(1, NOW, len(kept), 0, len(kept), 0, 0, 0, None, None, 0.9), (2, NOW, *counts, value, 0.1, 0.9)]
    return pl.DataFrame(rows, schema=REFITS, orient="row"), lineage


@pytest.mark.parametrize(
    ("refits", "words"),
    [
        (refitted(["a", "b", "c"]), []),
        (refitted(["a", "b", "c"], value=None), []),
        (refitted(["a", "b", "c"], value=0.81, new=["d"]), []),
        (refitted(["a", "b", "c"], value=0.79), ["agree by 0.79", "at least 0.80"]),
        (refitted(["a", "b", "c"], new=["d"], gone=["e"]), ["40% of the personas changed", "d came; e went"]),
        (refitted(["a", "b"], merged=["m"], split=["s"]), ["50%", "s came; m went"]),
    ],
)
def test_a_catalog_that_churns_is_told_with_names(refits, words):
    said = " ".join(churn(*refits))
    assert bool(said) == bool(words)
    for word in words:
        assert word in said


def test_only_the_last_refits_are_remembered():
    refits, lineage = refitted(["a"])
    many = pl.concat([refits.with_columns(version=pl.lit(v, pl.Int64)) for v in range(1, 100)])
    kept = remembered(many)
    assert kept["version"].min() == 40
    assert kept["version"].max() == 99
    assert remembered(lineage).equals(lineage)
