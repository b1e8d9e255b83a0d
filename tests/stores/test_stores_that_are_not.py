"""Foreign, damaged, newer and older data: one sentence with the fix, or a migration; nothing is destroyed."""

import logging
import os
import shutil

import lmdb
import msgspec
import pytest
from store_scenes import NOON, activity, catalog, member, persona, versions_seen

from persona_platform.errors import InputError
from resources.persona_store import PersonaStore
from resources.persona_store.records import MAX_RECORD


def foreign_environment(path):
    with lmdb.open(str(path), max_dbs=1) as env:
        env.open_db(b"somebody's")


def foreign_records(path):
    with lmdb.open(str(path)) as env, env.begin(write=True) as txn:
        for i in range(100):
            txn.put(b"%d" % i, b"value")


def foreign_folder(path):
    path.mkdir()
    (path / "thesis.txt").write_text("x")


def newer_schema(path):
    PersonaStore(path).close()
    with lmdb.open(str(path / "gen-000001"), max_dbs=9) as env, env.begin(write=True) as txn:
        txn.put(b"schema", b"persona-store 3", db=env.open_db(b"meta", txn=txn))


def first_layout_of_another_schema(path):
    first_schema(path)
    with lmdb.open(str(path), max_dbs=9) as env, env.begin(write=True) as txn:
        txn.put(b"schema", b"persona-store 0", db=env.open_db(b"meta", txn=txn))


def truncated(path):
    with PersonaStore(path) as store:
        store.publish(1, *catalog(1))
    data = path / "gen-000001" / "data.mdb"
    os.truncate(data, data.stat().st_size // 2)


def text(path):
    PersonaStore(path).close()
    (path / "gen-000001" / "data.mdb").write_text("not a database" * 1000)


def no_data(path):
    PersonaStore(path).close()
    shutil.rmtree(path / "gen-000001")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: path.write_text("x"), "is a file, not the folder"),
        (text, "holds no readable persona store"),
        (no_data, "names no data"),
        (foreign_folder, "is a folder of something else"),
        (foreign_environment, "of something else"),
        (foreign_records, "of something else"),
        (newer_schema, "schema 3, this program knows 2; use the program that wrote it"),
        (first_layout_of_another_schema, "schema 0"),
        (truncated, "damaged persona store"),
    ],
)
def test_a_foreign_or_damaged_store_is_one_sentence_with_the_fix(tmp_path, make, message):
    path = tmp_path / "store"
    make(path)
    before = {file: file.read_bytes() for file in path.rglob("data.mdb")}
    for _ in range(2):  # and it stays so: no handle is left behind
        with pytest.raises(InputError, match=message) as caught:
            PersonaStore(path)
        assert "move it away" in str(caught.value) or "use the program" in str(caught.value)
        assert "\n" not in str(caught.value)
    assert {file: file.read_bytes() for file in path.rglob("data.mdb")} == before


def test_a_record_of_another_form_is_named_as_such(tmp_path):
    path = tmp_path / "store"
    with PersonaStore(path) as store:
        store.publish(1, [persona("p001")], [member("p001", "w1")])
    with lmdb.open(str(path / "gen-000001"), max_dbs=9) as env, env.begin(write=True) as txn:
        txn.put(b"p001", msgspec.msgpack.encode({"a": 1}) + bytes(8), db=env.open_db(b"persona", txn=txn))
        txn.put(b"p001\0w1", msgspec.msgpack.encode({"a": 1}) + bytes(8), db=env.open_db(b"rec", txn=txn))
    with PersonaStore(path) as store:
        for read in (
            lambda: store.get("p001"),
            lambda: store.member("p001", "w1"),
            lambda: store.member_many([("p001", "w1")]),
            lambda: store.members("p001"),
        ):
            with pytest.raises(InputError, match="cannot be read"):
                read()


def test_ids_that_no_record_can_have_find_nothing_or_say_so(store):
    store.publish(1, [persona("p001")], [member("p001", "w1")])
    assert (store.member("p001", ""), store.activity(""), store.personas_of("")) == (None, None, [])
    assert (store.member("p001\0w1", ""), store.member("p001", "w1\0")) == (None, None)
    assert store.member("p" * 600, "w1") is None
    with pytest.raises(InputError, match="it has 1 to 200 bytes"):
        store.get("p" * 600)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"occupancy": bytes(MAX_RECORD)}, r"takes 1\d\d\d bytes beside its id; a member record has at most 1340"),
        ({"workload_id": "a\0b"}, "has a NUL in its workload id"),
        ({"persona_id": "p002"}, "belongs to no published persona"),
    ],
)
def test_a_member_that_cannot_be_stored_is_named_and_nothing_is_written(store, changed, message):
    with pytest.raises(InputError, match=message):
        store.publish(1, [persona("p001")], [msgspec.structs.replace(member("p001", "w1"), **changed)])
    assert store.version() == 0


def test_a_workload_named_by_many_labels_is_a_member_like_any_other(store):
    ids = ["w" * length for length in (1, 72, 73, 600, 3000)] + ["ü" * 72, "\U0001f600" * 72]
    rows = [member("p" * 200, workload) for workload in ids]
    store.publish(1, [persona("p" * 200)], rows)
    store.publish(2, [persona("p" * 200)], [msgspec.structs.replace(row, weight=0.75) for row in rows])
    store.update_activity([activity(workload) for workload in ids])
    for workload in ids:
        assert store.member("p" * 200, workload).weight == 0.75
        assert store.activity(workload) == activity(workload)
        with store.snapshot() as view:
            assert view.as_of(1).personas_of(workload) == [member("p" * 200, workload)]
    assert store.verify() == []


def test_a_full_store_says_so_and_keeps_its_version(tmp_path):
    with PersonaStore(tmp_path / "store", map_size=1 << 19) as store:
        store.publish(1, [persona("p001", description="v1")], [])
        with pytest.raises(InputError, match="is full; open it with a larger map_size"):
            store.publish(2, *catalog(2, personas=30, members=200))
        assert store.version() == 1
        assert store.get("p001").description == "v1"


def test_a_store_that_was_removed_and_made_again_is_another_one(tmp_path):
    path = tmp_path / "store"
    old = PersonaStore(path)
    old.publish(1, [persona("p001")], [])
    shutil.rmtree(path)
    with PersonaStore(path) as new:
        assert new.version() == 0
        assert old.version() == 1
    old.close()


def first_schema(path, version=7):
    """The store as it was before there were generations and intervals."""
    encode = msgspec.msgpack.Encoder(order="deterministic").encode
    with lmdb.open(str(path), max_dbs=9) as env, env.begin(write=True) as txn:
        names = (b"meta", b"persona", b"rec", b"byw", b"hist", b"act")
        dbs = {name: env.open_db(name, txn=txn) for name in names}
        txn.put(b"schema", b"persona-store 1", db=dbs[b"meta"])
        txn.put(b"version", version.to_bytes(8), db=dbs[b"meta"])
        txn.put(b"digest", bytes(16), db=dbs[b"meta"])
        txn.put(b"p001", version.to_bytes(8) + encode({"persona_id": "p001", "version": 1}), db=dbs[b"persona"])
        txn.put(b"p001\0" + bytes(16), encode(["p001", "w1", 0.5, [0], {"v": 1.0}]), db=dbs[b"rec"])
        txn.put(bytes(16), encode(["w1", "p001", NOON, NOON]), db=dbs[b"act"])


def test_a_store_of_the_first_schema_keeps_what_is_true_of_it(tmp_path, caplog):
    path = tmp_path / "store"
    first_schema(path)
    before = (path / "data.mdb").read_bytes()
    with caplog.at_level(logging.WARNING), PersonaStore(path) as store:
        assert store.version() == 7
        assert (list(store.scan()), store.versions(), store.history("p001")) == ([], [], [])
        now = store.activity("w1")
        assert (now.persona_id, now.since, now.observed_at) == ("p001", NOON, NOON)
        assert "version 7 and the activity of 1 workloads are kept; its 1 personas" in store.stats().note
        assert store.stats().note in caplog.text
        assert store.verify() == []
        with pytest.raises(InputError, match="version 7 cannot be published"):
            store.publish(7, *catalog(7))
        store.publish(8, *catalog(8))
        assert versions_seen(store) == {8}
        assert [noted.version for noted in store.versions()] == [8]
    assert (path / "schema-1" / "data.mdb").read_bytes() == before
    with PersonaStore(path) as store:
        assert versions_seen(store) == {8}


def test_a_migration_that_fails_leaves_the_old_store_as_it_was(tmp_path):
    path = tmp_path / "store"
    first_schema(path)
    with lmdb.open(str(path), max_dbs=9) as env, env.begin(write=True) as txn:
        txn.put(b"key", b"no activity", db=env.open_db(b"act", txn=txn))
    before = (path / "data.mdb").read_bytes()
    with pytest.raises(InputError, match="cannot be read"):
        PersonaStore(path)
    assert (path / "data.mdb").read_bytes() == before
    assert sorted(file.name for file in path.iterdir() if file.name[0] != ".") == ["data.mdb", "lock.mdb"]
