"""The truth on PostgreSQL: publishers that meet, publishers that are killed, tables of other versions."""

import multiprocessing
import os
import signal
import threading
import time

import psycopg2
import pytest
from store_scenes import activity, catalog, versions_seen

from persona_platform.errors import InputError
from resources.persona_store.postgres import PostgresStore
from resources.persona_store.postgres_schema import FIRST, prepare
from resources.persona_store.records import SCHEMA
from resources.postgres_server import UnreachableError, connect

SPAWN = multiprocessing.get_context("spawn")
MANY = 1500  # members a persona: a publish of all takes about a third of a second


def eventually(condition, seconds=20):
    until = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < until
        time.sleep(0.002)
    return found


def in_threads(*works):
    """What each work returned or raised."""
    outcomes = [None] * len(works)

    def run(index, work):
        try:
            outcomes[index] = work()
        except InputError as fault:
            outcomes[index] = str(fault)

    threads = [threading.Thread(target=run, args=pair) for pair in enumerate(works)]
    for thread in threads:
        thread.start()
    return threads, outcomes


def test_of_two_publishers_at_once_one_wins_the_version_and_the_other_is_told(server, database, url):
    stores = [PostgresStore(url), PostgresStore(url)]
    holder = connect(url)
    with holder.cursor() as cursor:
        cursor.execute("SELECT FROM persona_platform.store FOR UPDATE")
    threads, outcomes = in_threads(lambda: stores[0].publish(4, *catalog(4)), lambda: stores[1].publish(4, *catalog(5)))
    waiting = f"SELECT count(*) FROM pg_stat_activity WHERE datname = '{database}' AND wait_event_type = 'Lock'"
    eventually(lambda: server.run(waiting) == [(2,)])
    holder.rollback()
    holder.close()
    for thread in threads:
        thread.join(timeout=20)
    told = "The catalog version 4 cannot be published: the store holds version 4; publish it as version 5."
    assert sorted(outcomes, key=str) == [told, True]
    won = outcomes.index(True) + 4
    assert versions_seen(stores[0]) == {4, won}
    assert len(stores[0].versions()) == 1


def test_two_hosts_make_the_tables_at_once(url):
    threads, outcomes = in_threads(*[lambda: PostgresStore(url).version()] * 6)
    for thread in threads:
        thread.join(timeout=20)
    assert outcomes == [0] * 6


def publish_second_version(url):
    """Runs in another process."""
    PostgresStore(url).publish(2, *catalog(2, members=MANY))


@pytest.mark.parametrize("at", ["COPY incoming", "INTO persona_platform.superseded", "INTO persona_platform.record"])
def test_a_publisher_that_is_killed_leaves_the_version_before(server, database, url, at):
    store = PostgresStore(url)
    store.publish(1, *catalog(1, members=MANY))
    child = SPAWN.Process(target=publish_second_version, args=(url,))
    child.start()
    running = f"SELECT query FROM pg_stat_activity WHERE datname = '{database}' AND state = 'active'"
    eventually(lambda: any(at in query for (query,) in server.run(running)))
    os.kill(child.pid, signal.SIGKILL)
    child.join()
    assert versions_seen(store, members=MANY) == {1}
    assert store.publish(2, *catalog(2)) is True  # nothing of the dead one is in the way
    assert versions_seen(store) == {2}
    assert store.verify() == []


def test_a_publication_is_announced_with_its_version_and_only_when_it_is_one(url):
    store = PostgresStore(url)
    listener = connect(url)
    listener.autocommit = True
    with listener.cursor() as cursor:
        cursor.execute("LISTEN persona_catalog")
        store.publish(3, *catalog(3))
        store.publish(3, *catalog(3))
        with pytest.raises(InputError):
            store.publish(2, *catalog(2))
        cursor.execute("SELECT 1")
    assert [(note.channel, note.payload) for note in listener.notifies] == [("persona_catalog", "3")]
    listener.close()


def test_activity_that_arrives_from_many_hosts_keeps_the_newest(url):
    stores = [PostgresStore(url) for _ in range(4)]
    rows = [[activity(f"w{i % 5}", minutes=(i * 7 + host) % 60) for i in range(40)] for host in range(4)]
    threads, _ = in_threads(
        *[lambda s=s, r=r: [s.update_activity([row]) for row in r] for s, r in zip(stores, rows, strict=True)]
    )
    for thread in threads:
        thread.join(timeout=30)
    for i in range(5):
        offered = [row for of_host in rows for row in of_host if row.workload_id == f"w{i}"]
        held = stores[0].activity(f"w{i}")
        assert held.observed_at == max(row.observed_at for row in offered)


def test_a_reader_keeps_its_version_while_another_is_published(url):
    store = PostgresStore(url)
    store.publish(1, *catalog(1))
    with store.snapshot() as view:
        assert view.version() == 1
        store.publish(2, *catalog(2))
        assert versions_seen(view) == {1}
    assert versions_seen(store) == {2}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("SET schema = 99", "has schema 99 .* install the newer persona-platform"),
        (f"SET records = {SCHEMA + 1}", f"records of schema {SCHEMA + 1}.* install the newer persona-platform"),
        (f"SET records = {SCHEMA - 1}", "drop its schema persona_platform there, and the next refit publishes"),
    ],
)
def test_tables_of_another_program_version_are_one_sentence(server, database, url, change, message):
    PostgresStore(url).publish(1, *catalog(1))
    server.run(f"UPDATE persona_platform.store {change}", database)
    with pytest.raises(InputError, match=message):
        PostgresStore(url)


def test_older_tables_are_brought_up_to_date_and_keep_their_content(url):
    store = PostgresStore(url)
    store.publish(1, *catalog(1))
    connection = connect(url)
    prepare(connection, (FIRST, "ALTER TABLE persona_platform.publication ADD COLUMN note text"))
    with connection, connection.cursor() as cursor:
        cursor.execute("SELECT p.version, note, schema FROM persona_platform.publication AS p, persona_platform.store")
        assert cursor.fetchall() == [(1, None, 2)]
    with pytest.raises(psycopg2.Error):
        prepare(connection, (FIRST, "SELECT 1", "SELECT nonsense"))  # a step that fails leaves all as it was
    with connection.cursor() as cursor:
        cursor.execute("SELECT schema FROM persona_platform.store")
        assert cursor.fetchone() == (2,)
    connection.close()
    assert versions_seen(store) == {1}


def test_a_role_that_may_only_read_reads(server, database, url):
    PostgresStore(url).publish(1, *catalog(1))
    server.run("DROP ROLE IF EXISTS onlooker; CREATE ROLE onlooker LOGIN")
    server.run(
        "GRANT USAGE ON SCHEMA persona_platform TO onlooker;"
        "GRANT SELECT ON ALL TABLES IN SCHEMA persona_platform TO onlooker",
        database,
    )
    onlooker = PostgresStore(url.replace("persona@", "onlooker@"))
    assert versions_seen(onlooker) == {1}
    with pytest.raises(InputError, match=r"PostgreSQL refused \(permission denied .*\); nothing of this was written"):
        onlooker.publish(2, *catalog(2))


def test_a_connection_that_is_lost_in_the_middle_writes_nothing(server, database, url):
    store = PostgresStore(url)
    store.publish(1, *catalog(1))
    holder = connect(url)
    with holder.cursor() as cursor:
        cursor.execute("SELECT FROM persona_platform.store FOR UPDATE")
    raised = []

    def publish():
        with pytest.raises(UnreachableError, match=r"connection to PostgreSQL was lost .* try again") as caught:
            store.publish(2, *catalog(2))
        raised.append(caught.value)

    thread = threading.Thread(target=publish)
    thread.start()
    waiting = f"FROM pg_stat_activity WHERE datname = '{database}' AND wait_event_type = 'Lock'"
    eventually(lambda: server.run(f"SELECT pg_terminate_backend(pid) {waiting}"))
    thread.join(timeout=20)
    holder.close()
    assert len(raised) == 1
    assert versions_seen(store) == {1}


def test_damage_is_found(server, database, url):
    store = PostgresStore(url)
    assert store.verify() == []
    store.publish(1, *catalog(1))
    assert store.verify() == []
    server.run(
        "DELETE FROM persona_platform.record WHERE kind = 2 AND key = "
        "(SELECT key FROM persona_platform.record WHERE kind = 2 LIMIT 1)",
        database,
    )
    assert store.verify() == ["The records of catalog version 1 are not those that were published."]
