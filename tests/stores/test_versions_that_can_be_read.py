"""As-of reads, history and pruning of the embedded store, against a plain record of what was published."""

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from store_scenes import catalog, member, persona, versions_seen

from persona_platform.errors import InputError
from resources.persona_store import PersonaStore
from resources.persona_store.catalog import Changes, Publication
from resources.persona_store.records import TABLES

PERSONAS = ("p1", "p1x", "other")
WORKLOADS = ("w", "wx", "x" * 600)


def state(view):
    """All that a view says of the catalog, by every way of asking."""
    personas = list(view.scan())
    members = [row for record in personas for row in view.members(record.persona_id)]
    assert personas == [found for p in sorted(PERSONAS) if (found := view.get(p)) is not None]
    pairs = [(p, w) for p in PERSONAS for w in WORKLOADS]
    assert view.member_many(pairs) == {(row.persona_id, row.workload_id): row for row in members}
    for workload in WORKLOADS:
        assert view.personas_of(workload) == [
            row for row in sorted(members, key=lambda m: (-m.weight, m.persona_id)) if row.workload_id == workload
        ]
    return personas, members


@st.composite
def catalogs(draw):
    """A catalog whose records are one of two forms each, so that records stay, change, go and come back."""
    ids = draw(st.lists(st.sampled_from(PERSONAS), unique=True))
    personas = [persona(p, 1, draw(st.sampled_from(["a", "b"]))) for p in sorted(ids)]
    rows = [
        member(p, w, draw(st.sampled_from([0.25, 0.5])))
        for p in sorted(ids)
        for w in draw(st.lists(st.sampled_from(WORKLOADS), unique=True))
    ]
    return personas, sorted(rows, key=lambda m: (m.persona_id, -m.weight, m.workload_id))


@settings(max_examples=40, deadline=None)
@given(published=st.lists(st.tuples(st.integers(1, 3), catalogs()), min_size=1, max_size=7), keep=st.integers(1, 8))
def test_every_kept_version_reads_as_it_was_published(tmp_path_factory, published, keep):
    with PersonaStore(tmp_path_factory.mktemp("store") / "store") as store:
        version, expected = 0, {}
        for step, (personas, members) in published:
            version += step
            store.publish(version, personas, members)
            expected[version] = (personas, members)
        for kept in (sorted(expected), sorted(expected)[-keep:]):
            assert [noted.version for noted in store.versions()] == kept[::-1]
            with store.snapshot() as view:
                assert state(view) == expected[version]
                assert {v: state(view.as_of(v)) for v in kept} == {v: expected[v] for v in kept}
            assert store.verify() == []
            store.prune(keep=keep)
        store.prune(keep=1)
        assert store.stats().history == 0


def test_a_version_that_is_not_there_is_named_with_those_that_are(store):
    for version in (2, 4, 7):
        store.publish(version, *catalog(version))
    store.prune(keep=2)
    assert store.get("p001", version=4).description == "v4"
    for version in (0, 2, 5, 8):
        with (
            store.snapshot() as view,
            pytest.raises(InputError, match=f"version {version} cannot be read; kept are 7, 4"),
        ):
            view.as_of(version)
    with pytest.raises(InputError, match="0 versions cannot be kept"):
        store.prune(keep=0)


def test_a_store_keeps_as_many_versions_as_it_is_told(tmp_path):
    with PersonaStore(tmp_path / "store", keep=3) as store:
        for version in range(1, 7):
            store.publish(version, *catalog(version))
        assert [noted.version for noted in store.versions()] == [6, 5, 4]
        assert [version for version, _ in store.history("p001")] == [6, 5, 4]
        with store.snapshot() as view:
            assert versions_seen(view.as_of(4)) == {4}


def test_a_view_of_an_earlier_version_has_the_history_until_then(store):
    for version in (1, 2, 3):
        store.publish(version, [persona("p001", version)], [])
    with store.snapshot() as view:
        assert [version for version, _ in view.as_of(2).history("p001")] == [2, 1]


def test_what_does_not_change_is_not_written_again(store):
    personas, members = catalog(1)
    store.publish(1, personas, members)
    changed = msgspec.structs.replace(members[7], weight=0.9)
    store.publish(2, personas, [*members[:7], changed, *members[8:]])
    assert store.versions()[0].changed == 1
    assert store.stats().history == 1
    assert store.member(changed.persona_id, changed.workload_id) == changed


def test_changes_are_taken_over_from_the_version_that_they_begin_at(store):
    first, second = (Publication.of(version, *catalog(version)) for version in (1, 2))
    store.publish_whole(first)
    changed = {
        table: {key: second.tables[table].get(key) for key in first.tables[table].keys() | second.tables[table].keys()}
        for table in TABLES
    }
    changes = Changes(1, 2, second.published_at, changed, second.digest)
    assert store.apply(changes)
    assert not store.apply(changes)
    assert versions_seen(store) == {2}
    assert store.verify() == []
    with pytest.raises(InputError, match="from version 3 to 4 do not follow version 2"):
        store.apply(Changes(3, 4, second.published_at, changed, second.digest))


def test_the_fields_of_the_stored_records_are_those_of_the_schema():
    """A new field is a new schema: the stamp of a member stands where its next field would."""
    from resources.persona_store.records import SCHEMA, ActivityNow, MemberRecord

    assert (SCHEMA, MemberRecord.__struct_fields__, ActivityNow.__struct_fields__) == (
        2,
        (
            "persona_id",
            "workload_id",
            "weight",
            "probability",
            "patterns",
            "needs",
            "quantiles",
            "occupancy",
            "median_s",
        ),
        ("workload_id", "persona_id", "since", "observed_at"),
    )
