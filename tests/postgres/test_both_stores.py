"""The Persona Database's behaviour, the same on LMDB, on PostgreSQL, and on PostgreSQL through a host's replica."""

from datetime import timedelta

import msgspec
import pytest
from store_scenes import MEMBERS, NOON, activity, catalog, member, persona, versions_seen

from persona_platform.errors import InputError
from resources.persona_store import open_store
from resources.persona_store.postgres import PostgresStore

LONG = "x" * 600
LABELS = '{job="größe", pod="a/b"}'


@pytest.fixture(params=["lmdb", "postgres", "replica"])
def store(request, tmp_path):
    if request.param == "lmdb":
        opened = open_store(tmp_path / "store")
    else:
        url = request.getfixturevalue("url")
        opened = PostgresStore(url) if request.param == "postgres" else open_store(tmp_path / "store", url)
    with opened:
        yield opened


def test_a_new_store_is_empty(store):
    assert (store.version(), list(store.versions()), store.get("p001"), list(store.scan())) == (0, [], None, [])
    assert (store.history("p001"), store.members("p001"), store.personas_of("w1")) == ([], [], [])
    assert (store.member("p001", "w1"), store.activity("w1")) == (None, None)


def test_records_come_back_as_they_went_in(store):
    records = [persona(p) for p in ("p002", "p001", "q001", "other")]
    given = [("p001", "w1", 0.25), ("p002", "w1", 0.75), ("p001", LONG, 0.5), ("p001", LABELS, 0.5)]
    members = [member(*row) for row in given]
    assert store.publish(1, records, members)
    assert store.version() == 1
    assert store.get("p001") == records[1]
    assert store.get("p00") is None
    assert store.get_many(["q001", "none", "p002"]) == {"q001": records[2], "p002": records[0]}
    assert [record.persona_id for record in store.scan()] == ["other", "p001", "p002", "q001"]
    assert [record.persona_id for record in store.scan("p")] == ["p001", "p002"]
    assert list(store.scan("zz")) == []
    assert [store.member(m.persona_id, m.workload_id) for m in members] == members
    assert store.member("q001", "w1") is None
    assert {m.workload_id for m in store.members("p001")} == {"w1", LONG, LABELS}
    assert [m.weight for m in store.members("p001")] == [0.5, 0.5, 0.25]
    assert store.personas_of("w1") == [members[1], members[0]]
    assert store.personas_of(LONG) == [members[2]]
    assert store.members("q001") == []


def test_history_keeps_each_content_with_the_version_that_brought_it(store):
    first, second = persona("p001"), persona("p001", 2, "changed")
    other = persona("p0010")  # an id that begins like the other
    store.publish(1, [first, other], [])
    store.publish(2, [second, other], [])
    store.publish(3, [second], [])
    store.publish(9, [first], [])
    assert store.history("p001") == [(9, first), (2, second), (1, first)]
    assert store.get("p0010") is None
    assert store.history("p0010") == [(1, other)]


def test_a_version_replaces_all_members_of_the_one_before(store):
    store.publish(1, [persona("p001"), persona("p002")], [member("p001", "w1"), member("p002", "w2")])
    store.publish(2, [persona("p001")], [member("p001", "w2")])
    assert store.personas_of("w1") == []
    assert [row.persona_id for row in store.personas_of("w2")] == ["p001"]
    assert (store.members("p002"), store.member("p001", "w1")) == ([], None)


def test_what_each_version_was_can_be_listed(store):
    store.publish(2, *catalog(2))
    store.publish(5, [persona("p001")], [member("p001", "w1")])
    assert {(i.version, i.personas, i.members) for i in store.versions()} == {(2, 5, 5 * MEMBERS), (5, 1, 1)}
    assert {i.version: i.changed for i in store.versions()}[2] == 5 + 5 * MEMBERS
    assert all(i.published_at.tzinfo is not None for i in store.versions())
    assert len({i.digest for i in store.versions()}) == 2


def test_the_same_version_again_changes_nothing_and_another_or_older_one_is_refused(store):
    records, members = catalog(3)
    assert store.publish(3, records, members) is True
    assert store.publish(3, records[::-1], members[::-1]) is False
    with pytest.raises(InputError, match="the store holds version 3; publish it as version 4"):
        store.publish(3, [persona("p001")], [])
    with pytest.raises(InputError, match="version 2 cannot be published"):
        store.publish(2, records, members)
    assert versions_seen(store) == {3}
    assert len(store.history("p001")) == 1


@pytest.mark.parametrize(
    ("version", "personas", "members", "message"),
    [
        (0, ["p001"], [], "versions count from 1"),
        (1, ["p001", "p001"], [], "twice"),
        (1, ["p001"], [("p001", "w"), ("p001", "w")], "twice"),
        (1, ["p001"], [("p002", "w")], "'w' of 'p002' belongs to no published persona"),
        (1, [""], [], "cannot be a key"),
        (1, ["p\0"], [], "cannot be a key"),
    ],
)
def test_a_catalog_that_cannot_be_stored_is_refused_and_nothing_is_written(store, version, personas, members, message):
    with pytest.raises(InputError, match=message):
        store.publish(version, [persona(p) for p in personas], [member(p, w) for p, w in members])
    assert store.version() == 0
    assert list(store.scan()) == []


def test_activity_keeps_the_newest_observation_and_outlives_a_publish(store):
    now, late, later = activity("w1", 0), activity("w1", -15, "p002"), activity("w1", 15, "p003")
    assert store.update_activity([late, now, activity(LONG)]) == 2
    assert store.update_activity([late, now]) == 0
    assert store.activity("w1") == now
    assert store.activity(LONG) == activity(LONG)
    store.publish(1, [persona("p001")], [])
    assert store.update_activity([later]) == 1
    assert store.activity("w1") == later
    assert store.update_activity([]) == 0
    with pytest.raises(InputError, match="'w1' has a time without a zone"):
        store.update_activity([msgspec.structs.replace(now, since=(NOON - timedelta(hours=2)).replace(tzinfo=None))])


def test_a_snapshot_keeps_its_version_while_another_is_published(store):
    store.publish(1, *catalog(1))
    with store.snapshot() as view:
        assert view.version() == 1
        store.publish(2, *catalog(2))
        assert versions_seen(view) == {1}
    assert versions_seen(store) == {2}


def test_each_version_that_is_kept_can_be_read_and_older_ones_are_forgotten(store):
    for version in (1, 2, 4, 7):
        store.publish(version, *catalog(version))
    with store.snapshot() as view:
        assert [versions_seen(view.as_of(version)) for version in (1, 2, 4, 7)] == [{1}, {2}, {4}, {7}]
        assert view.as_of(2).personas_of("w25") == [row for row in catalog(2)[1] if row.workload_id == "w25"]
        assert view.as_of(1).member("p001", "w0") is None
        assert view.as_of(2).member("p001", "w0") is not None
        assert [version for version, _ in view.as_of(4).history("p001")] == [4, 2, 1]
        with pytest.raises(InputError, match="version 3 cannot be read; kept are 7, 4, 2, 1"):
            view.as_of(3)
    assert store.prune(2) > 0
    assert store.get("p001", 4).description == "v4"
    assert [noted.version for noted in store.versions()] == [7, 4]
    with pytest.raises(InputError, match="version 2 cannot be read; kept are 7, 4"):
        store.get("p001", 2)
    assert [version for version, _ in store.history("p001")] == [7, 4]
    assert store.prune(2) == 0
    assert not store.verify()


def test_members_can_be_asked_for_together(store):
    store.publish(1, *catalog(1))
    asked = [("p001", "w20"), ("p003", "w25"), ("p001", "nobody")]
    assert store.member_many(asked) == {pair: store.member(*pair) for pair in asked[:2]}


def test_the_store_in_figures(store):
    store.publish(1, *catalog(1))
    store.publish(2, *catalog(2))
    store.update_activity([activity("w1"), activity("w2")])
    figures = store.stats()
    assert (figures.version, figures.versions, figures.personas, figures.members) == (2, 2, 5, 5 * MEMBERS)
    assert figures.activity == 2
    assert figures.history >= 5 + 5 * MEMBERS
    assert figures.file_bytes > 0
    assert figures.published_at is not None


def test_a_sound_store_verifies(store):
    assert not store.verify()
    store.publish(1, *catalog(1))
    store.publish(2, *catalog(2))
    assert not store.verify()
