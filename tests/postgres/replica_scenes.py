"""What the tests of replicas share: comparing one with its truth, waiting, and a thread that follows."""

import threading
import time
from contextlib import contextmanager

from resources.persona_store.postgres import PostgresStore
from resources.persona_store.postgres_changes import activity_after, whole
from resources.persona_store.records import STAMP, TABLES
from resources.persona_store.replica import Replica


def eventually(condition, seconds=20):
    """Waits until the condition holds; its value."""
    until = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < until
        time.sleep(0.005)
    return found


def bodies(replica):
    """Key to body in each table of a replica, and its digest."""
    with replica.snapshot() as view:
        tables = {name: {key: held[:-STAMP] for key, held in view._range(name, b"")} for name in TABLES}
        return tables, view.versions()[0].digest


def assert_same(replica, url):
    """The replica holds what the truth holds, to the last byte, and is sound."""
    with PostgresStore(url).reading() as cursor:
        publication = whole(cursor, replica.version())
        assert bodies(replica) == (publication.tables, publication.digest)
        for row in activity_after(cursor, 0):
            assert replica.activity(row.workload_id) == row
    assert replica.version() == PostgresStore(url).version()
    assert replica.verify() == []


@contextmanager
def following(url, path, poll_s=600.0):
    """A replica that a thread keeps up to date; only a word from the server can wake it, unless told."""
    with Replica(url, path) as replica:
        stop, faults = threading.Event(), []

        def follow():
            try:
                replica.follow(stop, poll_s=poll_s)
            except Exception as fault:  # noqa: BLE001 (handed to the test's own thread)
                faults.append(fault)

        thread = threading.Thread(target=follow)
        thread.start()
        try:
            yield replica, faults
        finally:
            stop.set()
            thread.join(timeout=20)
            assert not thread.is_alive()
