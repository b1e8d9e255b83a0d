"""A host's replica: the same bytes as the truth after a sync, whole at every moment, and nobody else's."""

import multiprocessing
import os
import random
import signal
import threading
import time

import pytest
from replica_scenes import assert_same
from store_scenes import activity, catalog, member, persona, versions_seen

from persona_platform.errors import InputError
from resources.persona_store import PersonaStore, open_store
from resources.persona_store.postgres import PostgresStore
from resources.persona_store.replica import STEPS, Replica
from resources.postgres_server import UnreachableError

SPAWN = multiprocessing.get_context("spawn")
MANY = 1000


@pytest.fixture
def truth(url):
    return PostgresStore(url)


@pytest.fixture
def replica(url, tmp_path):
    with Replica(url, tmp_path / "replica") as opened:
        yield opened


def test_a_sync_takes_over_each_version_with_its_history(truth, replica, url):
    assert replica.sync() is False
    truth.publish(1, *catalog(1))
    assert replica.sync() is True
    assert replica.sync() is False
    assert_same(replica, url)
    for version in (2, 3, 7):
        truth.publish(version, *catalog(version, personas=version))
    assert replica.sync() is True
    assert_same(replica, url)
    assert [noted.version for noted in replica.versions()] == [7, 3, 2, 1]
    assert replica.versions() == truth.versions()
    for persona_id in ("p001", "p003", "p007"):
        assert replica.history(persona_id) == truth.history(persona_id)
    with replica.snapshot() as view:
        assert versions_seen(view.as_of(2)) == {2}


@pytest.mark.parametrize("behind", [STEPS, STEPS + 1])
def test_a_replica_that_is_far_behind_takes_the_newest_at_once(truth, replica, url, behind):
    truth.publish(1, *catalog(1))
    replica.sync()
    for version in range(2, behind + 2):
        truth.publish(version, *catalog(version, personas=2))
    replica.sync()
    assert_same(replica, url)
    step_by_step = list(range(behind + 1, 0, -1))
    assert [noted.version for noted in replica.versions()] == (step_by_step if behind == STEPS else [behind + 1, 1])


def test_a_replica_older_than_what_the_truth_keeps_is_made_whole(url, replica):
    truth = PostgresStore(url, keep=2)
    truth.publish(1, [persona("gone")], [member("gone", "w1")])
    replica.sync()
    for version in (2, 3, 4):
        truth.publish(version, *catalog(version))
    replica.sync()
    assert_same(replica, url)
    assert replica.get("gone") is None


def test_a_new_replica_of_an_old_truth(url, tmp_path):
    truth = PostgresStore(url, keep=3)
    for version in range(1, 6):
        truth.publish(version, *catalog(version))
    with open_store(tmp_path / "new", url) as replica:
        replica.sync()
        assert_same(replica, url)
        assert [noted.version for noted in replica.versions()] == [5, 4, 3]
        assert replica.history("p001") == truth.history("p001")


def test_a_reader_sees_whole_versions_only_while_versions_arrive(truth, replica):
    truth.publish(1, *catalog(1))
    replica.sync()
    seen, faults = set(), []

    def read():
        try:
            while max(seen, default=0) < 6:
                with replica.snapshot() as view:
                    found = versions_seen(view)
                assert len(found) == 1
                seen.update(found)
        except BaseException as fault:  # noqa: BLE001 (handed to the test's own thread)
            faults.append(fault)

    reader = threading.Thread(target=read)
    reader.start()
    for version in range(2, 7):
        truth.publish(version, *catalog(version))
        replica.sync()
    reader.join(timeout=20)
    assert faults == []
    assert 6 in seen


def test_two_that_sync_one_replica_at_once_do_not_disturb_each_other(truth, replica, url):
    with Replica(url, replica.path) as other:
        faults = []

        def sync_often(one):
            try:
                while one.version() < 6:
                    one.sync()
            except Exception as fault:  # noqa: BLE001 (handed to the test's own thread)
                faults.append(fault)

        threads = [threading.Thread(target=sync_often, args=(one,)) for one in (replica, other)]
        for thread in threads:
            thread.start()
        for version in range(1, 7):
            truth.publish(version, *catalog(version))
            truth.update_activity([activity("w1", version)])
        for thread in threads:
            thread.join(timeout=20)
        assert faults == []
        replica.sync()
        assert_same(replica, url)


def sync_once(url, path, ready):
    """Runs in another process."""
    with Replica(url, path) as replica:
        ready.set()
        replica.sync()


def test_a_sync_that_is_killed_leaves_a_whole_version(truth, replica, url):
    truth.publish(1, *catalog(1, members=MANY))
    replica.sync()
    moments, last = random.Random(3), 1
    for version in range(2, 6):
        truth.publish(version, *catalog(version, members=MANY))
        ready = SPAWN.Event()
        child = SPAWN.Process(target=sync_once, args=(url, replica.path, ready))
        child.start()
        ready.wait(20)
        time.sleep(moments.uniform(0.02, 0.3))
        os.kill(child.pid, signal.SIGKILL)
        child.join()
        (seen,) = versions_seen(replica, members=MANY)
        assert last <= seen <= version
        last = seen
        print("SEEN", version, seen)
    replica.sync()
    assert_same(replica, url)


def test_activity_arrives_and_only_what_is_new_is_pulled(truth, replica, url):
    truth.update_activity([activity("w1"), activity("w2")])
    assert replica.sync() is True
    assert replica.sync() is False
    assert replica.activity("w1") == activity("w1")
    truth.update_activity([activity("w1", -5), activity("w2", 5)])
    assert replica.sync() is True
    assert (replica.activity("w1"), replica.activity("w2")) == (activity("w1"), activity("w2", 5))
    truth.publish(1, *catalog(1))
    replica.sync()
    assert_same(replica, url)


def test_what_is_published_through_a_replica_is_in_the_truth_and_read_locally(truth, url, tmp_path):
    with open_store(tmp_path / "one", url) as one, open_store(tmp_path / "two", url) as two:
        assert one.publish(1, *catalog(1)) is True
        assert one.publish(1, *catalog(1)) is False
        assert one.update_activity([activity("w1")]) == 1
        assert_same(one, url)
        two.sync()
        assert_same(two, url)
        assert two.publish(2, *catalog(2)) is True
        with pytest.raises(InputError, match="the store holds version 2; publish it as version 3"):
            one.publish(2, *catalog(3))
        assert versions_seen(one) == {2}  # and the one that was refused knows what is there


def test_a_host_reads_what_it_has_while_the_server_is_away(truth, replica, url, tmp_path, server):
    truth.publish(1, *catalog(1))
    replica.sync()
    with open_store(replica.path, url.replace(f"port={server.port}", "port=1")) as away:
        assert versions_seen(away) == {1}
        with pytest.raises(UnreachableError, match="PostgreSQL cannot be used"):
            away.sync()
        with pytest.raises(UnreachableError, match="PostgreSQL cannot be used"):
            away.publish(2, *catalog(2))
        assert versions_seen(away) == {1}


def test_a_replica_of_another_truth_is_refused_and_stays_as_it_is(server, truth, replica):
    truth.publish(1, *catalog(1))
    replica.sync()
    other = server.url(server.new_database())
    for publish in (False, True):
        if publish:
            PostgresStore(other).publish(1, *catalog(1))
        with open_store(replica.path, other) as mistaken:
            with pytest.raises(InputError, match=r"is a replica of another .* correct the URL"):
                mistaken.sync()
            with pytest.raises(InputError, match="is a replica of another Persona Database"):
                mistaken.publish(2, *catalog(2))
    assert PostgresStore(other).version() == 1
    assert versions_seen(replica) == {1}


def test_a_store_with_a_catalog_of_its_own_is_refused_where_the_truth_has_one(truth, url, tmp_path):
    with PersonaStore(tmp_path / "own") as own:
        own.publish(4, *catalog(4))
    truth.publish(5, *catalog(5))
    with open_store(tmp_path / "own", url) as replica:
        with pytest.raises(InputError, match=r"holds a catalog of its own \(version 4\)"):
            replica.sync()
        assert versions_seen(replica) == {4}


def test_a_store_of_one_host_becomes_a_replica_where_the_truth_is_empty(url, tmp_path):
    with PersonaStore(tmp_path / "own") as own:
        own.publish(4, *catalog(4))
    with open_store(tmp_path / "own", url) as replica:
        replica.sync()
        assert versions_seen(replica) == {4}  # until the first catalog comes from there
        replica.publish(5, *catalog(5))
        assert_same(replica, url)
        with replica.snapshot() as view:
            assert versions_seen(view.as_of(4)) == {4}


def put_back(server, url, database, scene):
    """The truth becomes what an old backup holds: the database of ``scene``, with the identity of the real one."""
    (identity,) = server.run("SELECT identity FROM persona_platform.store", database)[0]
    server.run("DROP SCHEMA persona_platform CASCADE", database)
    scene(PostgresStore(url))
    server.run(f"UPDATE persona_platform.store SET identity = '{identity}'", database)


SCENES = {
    "an earlier version": lambda store: store.publish(1, *catalog(1)),
    "nothing": lambda store: store.version(),
    "the same version with another content": lambda store: store.publish(3, *catalog(1)),
    "a later version of another past": lambda store: [store.publish(v, *catalog(v)) for v in (1, 2, 5)],
}


@pytest.mark.parametrize("scene", SCENES.values(), ids=SCENES)
def test_a_truth_that_was_put_back_is_said_and_replaces_the_replica_only_when_forced(
    server, truth, replica, database, url, scene
):
    for version in (1, 2, 3):
        truth.publish(version, *catalog(version))
    truth.update_activity([activity("w1", 9)])
    replica.sync()
    put_back(server, url, database, scene)
    with pytest.raises(InputError, match=r"it was put back to an earlier state\. If that is meant, replace it"):
        replica.sync()
    with pytest.raises(InputError, match="it was put back"):
        replica.publish(9, *catalog(9))
    assert versions_seen(replica) == {3}
    with pytest.raises(InputError, match="say so with force"):
        Replica.resync(url, replica.path)
    Replica.resync(url, replica.path, force=True)
    assert replica.sync() is False  # also one that was open finds what has taken its place
    assert replica.version() == PostgresStore(url).version()
    assert replica.activity("w1") is None
    replica.publish(9, *catalog(9))
    assert_same(replica, url)


def test_activity_that_is_observed_after_the_truth_was_put_back_arrives(server, truth, replica, database, url):
    truth.update_activity([activity("w1"), activity("w2", 1)])
    replica.sync()
    put_back(server, url, database, lambda store: store.update_activity([activity("w2")]))
    PostgresStore(url).update_activity([activity("w1", 5)])
    replica.sync()
    assert replica.activity("w1") == activity("w1", 5)


def test_a_restored_backup_of_a_replica_catches_up(truth, replica, url, tmp_path):
    truth.publish(1, *catalog(1))
    truth.update_activity([activity("w1")])
    replica.sync()
    replica.backup(tmp_path / "backup")
    truth.publish(2, *catalog(2))
    truth.update_activity([activity("w1", 5)])
    replica.sync()
    PersonaStore.restore(replica.path, tmp_path / "backup")
    with Replica(url, replica.path) as again:
        assert versions_seen(again) == {1}
        again.sync()
        assert_same(again, url)


def test_a_damaged_replica_is_made_anew(truth, url, tmp_path):
    truth.publish(1, *catalog(1))
    with Replica(url, tmp_path / "replica") as replica:
        replica.sync()
    (data,) = (tmp_path / "replica").glob("gen-*/data.mdb")
    os.truncate(data, data.stat().st_size // 2)
    with pytest.raises(InputError, match="damaged"):
        Replica(url, tmp_path / "replica")
    Replica.resync(url, tmp_path / "replica", force=True)
    with Replica(url, tmp_path / "replica") as replica:
        assert_same(replica, url)
