"""Backups while others write, restores over what is there, and what verify and stats say."""

import os
import re
import shutil
import threading

import lmdb
import pytest
from store_scenes import MEMBERS, activity, catalog, versions_seen

from persona_platform.errors import InputError
from resources.persona_store import PersonaStore
from resources.persona_store.records import encode, value


def test_a_backup_is_a_store_of_the_version_it_was_made_at(store, tmp_path):
    store.publish(1, *catalog(1))
    store.update_activity([activity("w1")])
    store.backup(tmp_path / "kept" / "backup")
    store.publish(2, *catalog(2))
    with PersonaStore(tmp_path / "kept" / "backup") as kept:
        assert versions_seen(kept) == {1}
        assert kept.activity("w1") == activity("w1")
        assert kept.verify() == []
    assert [file.name for file in (tmp_path / "kept").iterdir()] == ["backup"]


def test_a_backup_replaces_nothing(store, tmp_path):
    (tmp_path / "there").mkdir()
    with pytest.raises(InputError, match="there is there already"):
        store.backup(tmp_path / "there")
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="cannot be written"):
        store.backup(tmp_path / "file" / "below")


def test_backups_made_while_another_publishes_are_whole(store, tmp_path):
    store.publish(1, *catalog(1))
    stop = threading.Event()

    def publish():
        for version in range(2, 10_000):
            if stop.is_set():
                return
            store.publish(version, *catalog(version))

    writer = threading.Thread(target=publish)
    writer.start()
    try:
        for number in range(5):
            store.backup(tmp_path / f"backup-{number}")
    finally:
        stop.set()
        writer.join()
    for number in range(5):
        with PersonaStore(tmp_path / f"backup-{number}") as kept:
            assert versions_seen(kept) == {kept.version()}
            assert kept.verify() == []


def test_a_restore_takes_the_place_of_the_store_for_all_who_open_or_write(store, tmp_path):
    store.publish(1, *catalog(1))
    store.backup(tmp_path / "backup")
    store.publish(2, *catalog(2))
    with PersonaStore(store.path) as reader:
        PersonaStore.restore(store.path, tmp_path / "backup")
        assert versions_seen(reader) == {2}  # until it is opened again
        with PersonaStore(store.path) as opened_later:
            assert versions_seen(opened_later) == {1}
            assert store.publish(3, *catalog(3))  # goes on after the restored one, also from a store of before
            assert versions_seen(opened_later) == versions_seen(store) == {3}
            assert [noted.version for noted in store.versions()] == [3, 1]
    assert sorted(file.name for file in store.path.iterdir() if file.name[0] != ".") == ["CURRENT", "gen-000002"]


def test_a_restore_makes_a_store_where_none_is_or_a_broken_one(store, tmp_path):
    store.publish(1, *catalog(1))
    store.backup(tmp_path / "backup")
    PersonaStore.restore(tmp_path / "new", tmp_path / "backup")
    (tmp_path / "new" / ".new-killed").mkdir()  # what a restore that was killed leaves
    data = tmp_path / "new" / "gen-000001" / "data.mdb"
    os.truncate(data, data.stat().st_size // 2)
    with pytest.raises(InputError, match="damaged"):
        PersonaStore(tmp_path / "new")
    PersonaStore.restore(tmp_path / "new", tmp_path / "backup")
    with PersonaStore(tmp_path / "new") as restored:
        assert versions_seen(restored) == {1}
        assert restored.verify() == []
    assert not (tmp_path / "new" / ".new-killed").exists()


def damage_pages(folder):
    with (folder / "data.mdb").open("r+b") as file:
        file.seek(4096 * 9)
        file.write(b"\xff" * 4096 * 4)


def damage_record(folder):
    with lmdb.open(str(folder), max_dbs=9) as env, env.begin(write=True) as txn:
        rec = env.open_db(b"rec", txn=txn)
        key, held = next(iter(txn.cursor(rec)))
        txn.put(key, held[:-20] + b"\xff" * 12 + held[-8:], db=rec)


def drop_member(folder):
    with lmdb.open(str(folder), max_dbs=9) as env, env.begin(write=True) as txn:
        rec = env.open_db(b"rec", txn=txn)
        txn.delete(next(txn.cursor(rec).iternext(values=False)), db=rec)


def swap_index(folder):
    with lmdb.open(str(folder), max_dbs=9) as env, env.begin(write=True) as txn:
        txn.put(b"w25", value(encode(["p001", "p777"]), 1), db=env.open_db(b"byw", txn=txn))


@pytest.mark.parametrize(
    ("damage", "fault"),
    [
        (damage_pages, "page"),
        (damage_record, "is not its own|not those that were published"),
        (drop_member, r"no member of it|memberships|personas and members"),
        (swap_index, "no member of it"),
    ],
)
def test_damage_is_found_and_not_restored(store, tmp_path, damage, fault):
    store.publish(1, *catalog(1))
    store.backup(tmp_path / "backup")
    damage(tmp_path / "backup" / "gen-000001")
    with pytest.raises(InputError, match=r"The backup .* is damaged"):
        PersonaStore.restore(store.path, tmp_path / "backup")
    assert versions_seen(store) == {1}
    assert not [file for file in store.path.iterdir() if file.name.startswith(".new")]
    if damage is not damage_pages:  # a store with such pages may not even open
        with PersonaStore(tmp_path / "backup") as broken:
            faults = broken.verify()
        assert faults
        assert re.search(fault, " ".join(faults))


@pytest.mark.parametrize("what", ["nothing", "file", "folder", "itself"])
def test_what_is_no_backup_is_refused(store, tmp_path, what):
    source = {"itself": store.path}.get(what, tmp_path / what)
    if what == "file":
        source.touch()
    if what == "folder":
        source.mkdir()
        (source / "notes.txt").touch()
    store.publish(1, *catalog(1))
    with pytest.raises(InputError, match=r"no backup|not the folder|something else|the store itself"):
        PersonaStore.restore(store.path, source)
    assert store.version() == 1


def test_a_restore_over_a_folder_of_something_else_is_refused(store, tmp_path):
    store.publish(1, *catalog(1))
    store.backup(tmp_path / "backup")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("dear diary")
    with pytest.raises(InputError, match="is a folder of something else"):
        PersonaStore.restore(tmp_path / "mine", tmp_path / "backup")
    assert (tmp_path / "mine" / "notes.txt").read_text() == "dear diary"


def test_a_read_only_backup_is_restored_and_stays_untouched(store, tmp_path):
    store.publish(1, *catalog(1))
    store.backup(tmp_path / "backup")
    before = sorted(str(file) for file in (tmp_path / "backup").rglob("*"))
    PersonaStore.restore(store.path, tmp_path / "backup")
    assert sorted(str(file) for file in (tmp_path / "backup").rglob("*")) == before
    shutil.rmtree(tmp_path / "backup")
    with PersonaStore(store.path) as restored:
        assert versions_seen(restored) == {1}


def test_stats_count_what_is_there(store):
    empty = store.stats()
    assert (empty.version, empty.published_at, empty.personas, empty.note) == (0, None, 0, "")
    store.publish(1, *catalog(1))
    store.publish(2, *catalog(2))
    store.update_activity([activity("w1"), activity("w2")])
    found = store.stats()
    assert (found.version, found.schema, found.personas, found.members) == (2, 2, 5, 5 * MEMBERS)
    assert (found.versions, found.activity, found.readers) == (2, 2, 0)
    # the personas and members of version 1, and the workloads that version 2 lacks
    assert found.history == 5 + 5 * MEMBERS + MEMBERS // 2
    assert found.file_bytes > found.free_bytes > 0
    assert found.published_at == store.versions()[0].published_at
