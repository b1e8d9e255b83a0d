"""The Persona Database: whole versions only, history, activity, and what is refused."""

import multiprocessing
import os
import random
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import lmdb
import msgspec
import pytest

from persona_platform.errors import InputError
from persona_platform.personas.record import Duration, Member, Persona, Recurrence, Requirement, Size
from resources.persona_store import ActivityNow, MemberRecord, PersonaStore, member_records

NOON = datetime(2026, 3, 10, 12, tzinfo=UTC)
SPAWN = multiprocessing.get_context("spawn")


def persona(persona_id, version=1, description="", workloads=("w1", "w2")):
    return Persona(
        persona_id=persona_id,
        version=version,
        kind="active",
        name="weekday nights, 16 cores, 2 h",
        description=description,
        requirement=Requirement(
            [Size({"cpu_cores": 16.0}, "ssd", 1.0)], {"cpu_cores": [12.0] * 5}, {"cpu_cores": 14.5}
        ),
        duration=Duration(900, [1.0, 0.5, 0.1], 1800.0, 2000.0, 0.05),
        recurrence=Recurrence([0.01] * 168, [], [3600.0] * 5),
        priority="batch",
        sla=0.8,
        members=[Member(workload, 0.5) for workload in workloads],
        trained_from=NOON - timedelta(days=56),
        trained_until=NOON,
        stability=0.9,
        drift=0.0,
    )


def catalog(version, personas=20, members=60):
    """A version whose every record names it, so that a mixture of two versions shows."""
    ids = [f"p{i:03}" for i in range(1, personas + 1)]
    rows = [MemberRecord(p, f"w{version}-{i}", 1.0, (0,), {"v": float(version)}) for p in ids for i in range(members)]
    return [persona(p, version, f"v{version}") for p in ids], rows


def versions_seen(view, members=60):
    """The version of the store and those that its records name."""
    found = list(view.scan())
    rows = [row for record in found for row in view.members(record.persona_id)]
    assert len(rows) == len(found) * members
    named = {int(record.description[1:]) for record in found} | {int(row.mean["v"]) for row in rows}
    return {view.version()} | named


@pytest.fixture
def store(tmp_path):
    with PersonaStore(tmp_path / "store") as opened:
        yield opened


def test_a_new_store_is_empty(store):
    assert (store.version(), store.get("p001"), list(store.scan()), store.history("p001")) == (
        0,
        None,
        [],
        [],
    )
    assert (store.members("p001"), store.personas_of("w1"), store.activity("w1")) == ([], [], None)


def test_records_come_back_as_they_went_in(store):
    records = [persona(p) for p in ("p002", "p001", "q001", "other")]
    members = [
        MemberRecord("p001", "w1", 0.25, (1, 2), {"cpu_cores": 3.5}),
        MemberRecord("p002", "w1", 0.75),
        MemberRecord("p001", "x" * 600, 0.5),
        MemberRecord("p001", "{job=\"größe\"}", 0.5),
    ]  # fmt: skip
    assert store.publish(1, records, members)
    assert store.version() == 1
    assert store.get("p001") == records[1]
    assert store.get("p00") is None
    assert store.get_many(["q001", "none", "p002"]) == {"q001": records[2], "p002": records[0]}
    assert [record.persona_id for record in store.scan()] == ["other", "p001", "p002", "q001"]
    assert [record.persona_id for record in store.scan("p")] == ["p001", "p002"]
    assert [row.weight for row in store.members("p001")] == [0.5, 0.5, 0.25]
    assert store.personas_of("w1") == [members[1], members[0]]
    assert store.personas_of("x" * 600) == [members[2]]
    assert store.members("q001") == []


def test_the_members_of_a_catalog_carry_their_patterns(store):
    import polars as pl  # here, because publishers in other processes import this module

    from persona_platform.personas.catalog import Catalog

    patterns = pl.DataFrame(
        {
            "workload_id": ["w1", "w1", "w1", "w2"],
            "pattern": [2, 0, 1, 0],
            "persona_id": ["p001", "p001", "other", "p002"],
        },
        schema_overrides={"pattern": pl.UInt16},
    )
    learned = Catalog(
        version=1,
        slot=timedelta(minutes=15),
        personas=(persona("p001"), persona("p002", workloads=["w2"])),
        patterns=patterns,
        levels=pl.DataFrame(),
        selection=pl.DataFrame(),
    )
    store.publish(learned.version, learned.personas, member_records(learned))
    assert store.members("p001") == [MemberRecord("p001", "w1", 0.5, (0, 2)), MemberRecord("p001", "w2", 0.5)]
    assert store.personas_of("w2") == [MemberRecord("p001", "w2", 0.5), MemberRecord("p002", "w2", 0.5, (0,))]


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
    store.publish(
        1,
        [persona("p001"), persona("p002")],
        [MemberRecord("p001", "w1", 1.0), MemberRecord("p002", "w2", 1.0)],
    )
    store.publish(2, [persona("p001")], [MemberRecord("p001", "w2", 0.5)])
    assert store.personas_of("w1") == []
    assert [row.persona_id for row in store.personas_of("w2")] == ["p001"]
    assert store.members("p002") == []


def test_the_same_version_again_changes_nothing_and_another_or_older_one_is_refused(store):
    records, members = catalog(3, personas=2, members=2)
    assert store.publish(3, records, members) is True
    assert store.publish(3, records[::-1], members[::-1]) is False
    with pytest.raises(
        InputError, match="version 3 cannot be published: the store holds version 3; publish it as version 4"
    ):
        store.publish(3, [persona("p001")], [])
    with pytest.raises(InputError, match="version 2 cannot be published"):
        store.publish(2, records, members)
    assert versions_seen(store, members=2) == {3}
    assert len(store.history("p001")) == 1


@pytest.mark.parametrize(
    ("version", "personas", "members", "message"),
    [
        (0, ["p001"], [], "versions count from 1"),
        (1, ["p001", "p001"], [], "twice"),
        (1, ["p001"], [("p001", "w"), ("p001", "w")], "twice"),
        (1, ["p001"], [("p002", "w")], "'w' of 'p002' belongs to no published persona"),
        (1, ["p001"], [("p001", "w" * 1400)], r"takes 14\d\d bytes; a member record has at most 1340"),
        (1, [""], [], "cannot be a key"),
        (1, ["p\0"], [], "cannot be a key"),
        (1, ["p" * 201], [], "cannot be a key"),
    ],
)
def test_a_catalog_that_cannot_be_stored_is_refused_and_nothing_is_written(store, version, personas, members, message):
    with pytest.raises(InputError, match=message):
        store.publish(version, [persona(p) for p in personas], [MemberRecord(p, w, 1.0) for p, w in members])
    assert store.version() == 0
    assert list(store.scan()) == []


def test_an_open_snapshot_keeps_its_version_while_a_new_one_is_published(store):
    store.publish(1, *catalog(1))
    with store.snapshot() as view:
        assert view.version() == 1
        store.publish(2, *catalog(2))
        assert versions_seen(view) == {1}
        assert versions_seen(store) == {2}


def test_activity_keeps_the_newest_observation_and_outlives_a_publish(store):
    now = ActivityNow("w1", "p001", NOON - timedelta(hours=2), NOON)
    late = msgspec.structs.replace(now, persona_id="p002", observed_at=NOON - timedelta(minutes=15))
    next_up = msgspec.structs.replace(now, persona_id="p003", observed_at=NOON + timedelta(minutes=15))
    assert store.update_activity([late, now, ActivityNow("w2", "other", NOON, NOON)]) == 2
    assert store.update_activity([late, now]) == 0
    assert store.activity("w1") == now
    store.publish(1, [persona("p001")], [])
    assert store.update_activity([next_up]) == 1
    assert store.activity("w1") == next_up
    assert store.update_activity([]) == 0
    with pytest.raises(InputError, match="'w1' has a time without a zone"):
        store.update_activity([msgspec.structs.replace(now, since=NOON.replace(tzinfo=None))])


def test_stores_of_one_path_share_a_handle_until_the_last_is_closed(tmp_path):
    first, second = PersonaStore(tmp_path / "store"), PersonaStore(tmp_path / "." / "store")
    first.publish(1, [persona("p001")], [])
    first.close()
    first.close()
    assert second.version() == 1
    second.close()
    with pytest.raises(InputError, match="is closed"):
        second.version()
    with PersonaStore(tmp_path / "store") as again:
        assert again.get("p001") == persona("p001")


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


def publish_forever(path, acknowledged, start):
    """Runs in another process: publish version after version and note each that was acknowledged."""
    with PersonaStore(path) as store, Path(acknowledged).open("ab", buffering=0) as notes:
        for version in range(start, start + 10_000):
            store.publish(version, *catalog(version))
            notes.write(version.to_bytes(8))


@dataclass
class Publisher:
    path: str
    notes: str

    def start(self, version):
        self.process = SPAWN.Process(target=publish_forever, args=(self.path, self.notes, version), daemon=True)
        self.process.start()

    def acknowledged(self):
        notes = Path(self.notes)
        return int.from_bytes(notes.read_bytes()[-8:]) if notes.exists() else 0

    def wait_for(self, version):
        until = time.monotonic() + 30
        while self.acknowledged() < version:
            assert time.monotonic() < until, "the publisher made no progress"
            assert self.process.is_alive()
            time.sleep(0.002)

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
                found = versions_seen(view)
            assert len(found) == 1
            seen |= found
    assert len(seen) >= 6


def test_a_publisher_killed_at_any_moment_leaves_a_whole_acknowledged_version(publisher):
    moments = random.Random(7)
    last = 0
    for _ in range(10):
        publisher.start(last + 1)
        publisher.wait_for(last + 1)
        time.sleep(moments.uniform(0, 0.05))
        publisher.kill()
        with PersonaStore(publisher.path) as store:
            found = versions_seen(store)
            assert len(found) == 1
            assert publisher.acknowledged() <= max(found) <= publisher.acknowledged() + 1
            last = max(found)
            assert [version for version, _ in store.history("p001")] == list(range(last, 0, -1))


FORK = """
import os, sys
from persona_platform.errors import InputError
from resources.persona_store import PersonaStore
store = PersonaStore(sys.argv[1])
child = os.fork()
if child == 0:
    refused = 0
    for use in (store.version, lambda: PersonaStore(sys.argv[1])):
        try:
            use()
        except InputError as fault:
            refused += "start the process with spawn" in str(fault)
    store.close()
    os._exit(refused)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 2
assert store.version() == 0
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_handle_is_not_used_in_a_forked_child(tmp_path):
    done = subprocess.run([sys.executable, "-c", FORK, tmp_path / "store"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def foreign_environment(path):
    with lmdb.open(str(path), max_dbs=1) as env:
        env.open_db(b"somebody's")


def foreign_records(path):
    with lmdb.open(str(path)) as env, env.begin(write=True) as txn:
        for i in range(100):
            txn.put(b"%d" % i, b"value")


def other_schema(path):
    PersonaStore(path).close()
    with lmdb.open(str(path), max_dbs=9) as env, env.begin(write=True) as txn:
        txn.put(b"schema", b"persona-store 0", db=env.open_db(b"meta", txn=txn))


def truncated(path):
    with PersonaStore(path) as store:
        store.publish(1, *catalog(1))
    os.truncate(path / "data.mdb", (path / "data.mdb").stat().st_size // 2)


def text(path):
    path.mkdir()
    (path / "data.mdb").write_text("not a database" * 1000)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: path.write_text("x"), "is a file, not the folder"),
        (text, "holds no readable persona store"),
        (foreign_environment, "of something else"),
        (foreign_records, "of something else"),
        (other_schema, "schema 'persona-store 0', not 'persona-store 1'"),
        (truncated, "damaged persona store"),
    ],
)
def test_a_foreign_or_damaged_store_is_one_sentence_with_the_fix(tmp_path, make, message):
    path = tmp_path / "store"
    make(path)
    with pytest.raises(InputError, match=message) as caught:
        PersonaStore(path)
    assert "move it away" in str(caught.value)
    assert "\n" not in str(caught.value)
    with pytest.raises(InputError, match=message):  # and it stays so: no handle is left behind
        PersonaStore(path)


def test_a_record_of_another_form_is_named_as_such(tmp_path):
    path = tmp_path / "store"
    with PersonaStore(path) as store:
        store.publish(1, [persona("p001")], [])
    with lmdb.open(str(path), max_dbs=9) as env, env.begin(write=True) as txn:
        txn.put(b"p001", bytes(8) + msgspec.msgpack.encode({"persona_id": 1}), db=env.open_db(b"persona", txn=txn))
    with PersonaStore(path) as store, pytest.raises(InputError, match="cannot be read"):
        store.get("p001")


def test_a_store_that_was_removed_and_made_again_is_another_one(tmp_path):
    path = tmp_path / "store"
    old = PersonaStore(path)
    old.publish(1, [persona("p001")], [])
    for file in path.iterdir():
        file.unlink()
    with PersonaStore(path) as new:
        assert new.version() == 0
    old.close()


def test_a_full_store_says_so_and_keeps_its_version(tmp_path):
    with PersonaStore(tmp_path / "store", map_size=1 << 19) as store:
        store.publish(1, [persona("p001", description="v1")], [])
        with pytest.raises(InputError, match="is full; open it with a larger map_size"):
            store.publish(2, *catalog(2, personas=30, members=200))
        assert store.version() == 1
        assert store.get("p001").description == "v1"
