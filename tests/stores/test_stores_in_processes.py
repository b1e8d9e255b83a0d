"""Readers and writers in threads and processes: whole versions only, whatever is killed when."""

import multiprocessing
import os
import random
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import pytest
from store_processes import publish_forever
from store_scenes import catalog, persona, versions_seen

from persona_platform.errors import InputError
from resources.persona_store import PersonaStore

KILLS = 200
FORKED = multiprocessing.get_context("forkserver")  # of a process that has imported what a publisher needs
FORKED.set_forkserver_preload(["store_processes"])


def test_an_open_snapshot_keeps_its_version_while_a_new_one_is_published(store):
    store.publish(1, *catalog(1))
    with store.snapshot() as view:
        assert view.version() == 1
        store.publish(2, *catalog(2))
        assert versions_seen(view) == {1}
        assert store.stats().readers == 1
        assert versions_seen(store) == {2}
    assert store.stats().readers == 0


def test_stores_of_one_path_share_a_handle_until_the_last_is_closed(tmp_path):
    first, second = PersonaStore(tmp_path / "store"), PersonaStore(tmp_path / "." / "store")
    first.publish(1, [persona("p001")], [])
    first.close()
    first.close()
    assert second.version() == 1
    second.close()
    for read in (second.version, lambda: second.member("p001", "w1")):
        with pytest.raises(InputError, match="is closed"):
            read()
    with PersonaStore(tmp_path / "store") as again:
        assert again.get("p001") == persona("p001")


def test_two_stores_live_in_one_process(tmp_path):
    with PersonaStore(tmp_path / "a") as one, PersonaStore(tmp_path / "b") as other:
        one.publish(1, *catalog(1))
        other.publish(2, *catalog(2))
        assert (versions_seen(one), versions_seen(other)) == ({1}, {2})


def test_threads_read_one_store_while_another_publishes(store):
    store.publish(1, *catalog(1))
    seen, faults = set(), []

    def read():
        try:
            while max(seen, default=0) < 8:
                with store.snapshot() as view:
                    found = versions_seen(view)
                assert len(found) == 1
                seen.update(found)
        except BaseException as fault:  # noqa: BLE001 - handed to the test's own thread
            faults.append(fault)

    readers = [threading.Thread(target=read) for _ in range(3)]
    for reader in readers:
        reader.start()
    for version in range(2, 9):
        store.publish(version, *catalog(version))
    for reader in readers:
        reader.join(timeout=20)
    assert faults == []
    assert 8 in seen


@dataclass
class Publisher:
    path: str
    notes: str

    def start(self, version):
        self.process = FORKED.Process(target=publish_forever, args=(self.path, self.notes, version), daemon=True)
        self.process.start()

    def acknowledged(self):
        notes = Path(self.notes)
        return int.from_bytes(notes.read_bytes()[-8:]) if notes.exists() else 0

    def wait_for(self, version):
        until = time.monotonic() + 30
        while self.acknowledged() < version:
            assert time.monotonic() < until, "the publisher made no progress"
            assert self.process.is_alive()
            time.sleep(0.001)

    def kill(self):
        os.kill(self.process.pid, signal.SIGKILL)
        self.process.join()


@pytest.fixture
def publisher(tmp_path):
    running = Publisher(str(tmp_path / "store"), str(tmp_path / "acknowledged"))
    yield running
    if running.process.is_alive():
        running.kill()


def test_a_reader_in_another_process_sees_whole_versions_only(publisher):
    publisher.start(1)
    publisher.wait_for(1)
    with PersonaStore(publisher.path) as store:
        seen = set()
        until = time.monotonic() + 20
        while len(seen) < 6 and time.monotonic() < until:
            with store.snapshot() as view:
                found = versions_seen(view, members=10)
            assert len(found) == 1
            seen |= found
    assert len(seen) >= 6


@pytest.mark.slow
def test_a_publisher_killed_at_any_moment_leaves_a_whole_acknowledged_version(publisher):
    moments = random.Random(7)
    last = 0
    for _ in range(KILLS):
        publisher.start(last + 1)
        publisher.wait_for(last + moments.randint(0, 1))
        time.sleep(moments.uniform(0, 0.03))
        publisher.kill()
        with PersonaStore(publisher.path) as store:
            found = versions_seen(store, members=10)
            assert len(found) == 1
            assert publisher.acknowledged() <= max(found) <= publisher.acknowledged() + 1
            assert store.verify() == []
            last = max(found)
    assert last > KILLS / 2


FORK = """
import os, sys
from persona_platform.errors import InputError
from resources.persona_store import PersonaStore
store = PersonaStore(sys.argv[1])
child = os.fork()
if child == 0:
    refused = 0
    for use in (store.version, lambda: store.member("p", "w"), lambda: store.publish(1, [], []), store.stats,
                lambda: PersonaStore(sys.argv[1])):
        try:
            use()
        except InputError as fault:
            refused += "start the process with spawn" in str(fault)
    store.close()
    os._exit(refused)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 5
assert store.version() == 0
"""


def test_a_handle_is_not_used_in_a_forked_child(tmp_path):
    done = subprocess.run([sys.executable, "-c", FORK, tmp_path / "store"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_reading_imports_neither_arrays_nor_frames_nor_a_database_driver():
    code = "import sys, resources.persona_store; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    heavy = {"numpy", "polars", "pyarrow", "sqlalchemy", "psycopg2", "dagster", "sklearn", "sktime", "pandas"}
    assert not heavy & set(done.stdout.split())
