"""Following the truth: its word wakes, its silence is not trusted, and what breaks is made again."""

import pytest
from replica_scenes import assert_same, eventually, following
from store_scenes import activity, catalog, versions_seen

from persona_platform.errors import InputError
from resources.persona_store.postgres import PostgresStore
from resources.persona_store.records import encode


@pytest.fixture
def truth(url):
    return PostgresStore(url)


def listening(server, database):
    query = f"SELECT pid FROM pg_stat_activity WHERE datname = '{database}' AND query LIKE 'LISTEN persona_catalog%'"
    return [pid for (pid,) in server.run(query)]


def test_a_publication_and_an_observation_wake_a_follower(server, database, truth, url, tmp_path):
    truth.publish(1, *catalog(1))
    with following(url, tmp_path / "replica") as (replica, faults):
        eventually(lambda: replica.version() == 1)
        for version in range(2, 6):
            truth.publish(version, *catalog(version))
            eventually(lambda version=version: replica.version() == version)
        truth.update_activity([activity("w1")])
        eventually(lambda: replica.activity("w1"))
        assert_same(replica, url)
        assert len(listening(server, database)) == 1
        assert truth.stats().readers == 1
    assert faults == []
    eventually(lambda: not listening(server, database))


def test_many_publications_at_once_lose_none(truth, url, tmp_path):
    with following(url, tmp_path / "one") as (one, faults), following(url, tmp_path / "two") as (two, more):
        for version in range(1, 20):
            truth.publish(version, *catalog(version, personas=2, members=5))
            truth.update_activity([activity(f"w{version}", version)])
        for replica in (one, two):
            eventually(lambda replica=replica: replica.version() == 19 and replica.activity("w19"))
            assert_same(replica, url)
    assert faults == more == []


def test_news_without_a_word_are_found_by_looking(server, database, truth, url, tmp_path):
    truth.update_activity([activity("w1")])
    with following(url, tmp_path / "replica", poll_s=0.1) as (replica, faults):
        eventually(lambda: replica.activity("w1"))
        body = encode(activity("w1", 5)).hex()
        server.run(
            "UPDATE persona_platform.clock SET tick = tick + 1;"
            f"UPDATE persona_platform.activity SET body = '\\x{body}', tick = clock.tick FROM persona_platform.clock",
            database,
        )
        eventually(lambda: replica.activity("w1") == activity("w1", 5))
    assert faults == []


def test_a_lost_connection_is_made_again_and_nothing_is_missed(server, database, truth, url, tmp_path, caplog):
    truth.publish(1, *catalog(1))
    with following(url, tmp_path / "replica") as (replica, faults):
        eventually(lambda: replica.version() == 1 and listening(server, database))
        (pid,) = listening(server, database)
        server.run(f"SELECT pg_terminate_backend({pid})")
        truth.publish(2, *catalog(2))  # perhaps while nobody listens
        eventually(lambda: replica.version() == 2)
        eventually(lambda: listening(server, database) not in ([], [pid]))
        truth.publish(3, *catalog(3))
        eventually(lambda: replica.version() == 3)
    assert faults == []
    assert "connection to PostgreSQL was lost" in caplog.text
    assert "stays as it is" in caplog.text


def test_a_server_that_is_restarted_is_followed_on(server, truth, url, tmp_path):
    truth.publish(1, *catalog(1))
    with following(url, tmp_path / "replica") as (replica, faults):
        eventually(lambda: replica.version() == 1)
        server.stop()
        try:
            assert versions_seen(replica) == {1}
        finally:
            server.start()
        truth.publish(2, *catalog(2))
        eventually(lambda: replica.version() == 2, seconds=40)
        assert_same(replica, url)
    assert faults == []


def test_following_ends_with_a_sentence_where_the_truth_is_another_one(server, database, truth, url, tmp_path):
    truth.publish(3, *catalog(3))
    with following(url, tmp_path / "replica") as (replica, faults):
        eventually(lambda: replica.version() == 3)
        server.run("UPDATE persona_platform.store SET identity = gen_random_uuid()", database)
        truth.publish(4, *catalog(4))
        (fault,) = eventually(lambda: faults)
        assert isinstance(fault, InputError)
        assert "is a replica of another Persona Database" in str(fault)
        assert replica.version() == 3
