"""The embedded Persona Database against its targets, as ratios within one run.

`python benchmarks/store.py --keys 1000000 --json OUT` publishes that many members of about 1,150 bytes and measures
reads beside bare LMDB, a dict and SQLite, reads while another process publishes, batches, the size of the file, a
backup while another writes, and refits that change everything. It needs about 6 KB of memory and 12 KB of disk a key.
Medians and ratios are to be trusted; where the cores are shared, tails above a millisecond are the machine's.
"""

import argparse
import gc
import json
import multiprocessing
import random
import shutil
import sqlite3
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median
from typing import Any

import lmdb
import numpy as np
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from persona_platform.personas.record import MemberRecord
from resources.persona_store import ActivityNow, PersonaStore
from resources.persona_store.catalog import Changes, Publication
from resources.persona_store.lmdb_store import KEEP
from resources.persona_store.records import (
    MEMBERS,
    PERSONAS,
    TABLES,
    WORKLOADS,
    decode_member,
    encode,
    member_body,
    member_key,
    value,
    workload_key,
)

NEEDS = (
    *("cpu_cores", "mem_bytes", "gpu_count", "disk_bytes", "net_in_bytes", "net_out_bytes"),
    *("disk_read_bytes", "disk_write_bytes", "iops", "threads", "connections", "requests"),
)
PERSONA_COUNT = 300
FORK = multiprocessing.get_context("fork")  # the child has the records without making them again
Pair = tuple[str, str]


@dataclass
class Figures:
    """What was measured: name, value, unit, and the target beside it."""

    rows: list[tuple[str, float, str, float | None]] = field(default_factory=list)

    def add(self, name: str, measured: float, unit: str = "x", at_most: float | None = None) -> None:
        """Note a figure."""
        self.rows.append((name, measured, unit, at_most))


@dataclass
class Fleet:
    """The records of a run: pairs in order of their keys, their bodies, and new bodies for any share of them."""

    pairs: list[Pair]
    bodies: dict[bytes, bytes]
    rng: np.random.Generator

    def publication(self, version: int, bodies: Mapping[bytes, bytes]) -> Publication:
        """The catalog with these members; its personas are only names."""
        ids = {persona_id for persona_id, _ in self.pairs}
        tables = {
            PERSONAS: {persona_id.encode(): encode({"persona_id": persona_id}) for persona_id in ids},
            MEMBERS: bodies,
            WORKLOADS: {workload_key(workload): encode([persona_id]) for persona_id, workload in self.pairs},
        }
        return Publication(version, datetime.now(UTC), tables, version.to_bytes(16))

    def changed(self, share: float) -> dict[bytes, bytes]:
        """New occupancy for a share of the members, drawn."""
        count = round(share * len(self.pairs))
        return {
            member_key(*self.pairs[i]): member_body(_member(*self.pairs[i], self.rng))
            for i in sorted(self.rng.choice(len(self.pairs), count, replace=False).tolist())
        }


def fleet(keys: int, seed: int) -> Fleet:
    rng = np.random.default_rng(seed)
    pairs = [(f"p{i % PERSONA_COUNT:03}", f"web-{i:07}.shop.eu-west-1.prod") for i in range(keys)]
    pairs.sort()
    return Fleet(pairs, {member_key(*pair): member_body(_member(*pair, rng)) for pair in pairs}, rng)


def _member(persona_id: str, workload_id: str, rng: np.random.Generator) -> MemberRecord:
    vector = rng.bytes(4 * (168 + 5 * len(NEEDS)))
    return MemberRecord(persona_id, workload_id, 0.3, 0.9, (0, 2), NEEDS, vector[672:], vector[:672], 5400.0)


def changes(version: int, bodies: Mapping[bytes, bytes]) -> Changes:
    return Changes(version - 1, version, datetime.now(UTC), {MEMBERS: bodies}, version.to_bytes(16))


def latencies(read: Callable[..., object], asked: Iterable[tuple[Any, ...]]) -> list[int]:
    """Nanoseconds of each read."""
    clock, took = time.perf_counter_ns, []
    for words in asked:
        begun = clock()
        read(*words)
        took.append(clock() - begun)
    return took


def quantile(took: list[int], share: float) -> float:
    return sorted(took)[int(share * (len(took) - 1))]


def side_by_side(ways: Mapping[str, tuple[Callable[..., object], list[Any]]], blocks: int) -> dict[str, list[int]]:
    """Every way in turn, block by block, so that what slows the machine slows all of them."""
    took: dict[str, list[int]] = {name: [] for name in ways}
    gc.collect()
    gc.disable()
    for block in range(blocks):
        for name, (read, asked) in ways.items():
            size = len(asked) // blocks
            took[name] += latencies(read, asked[block * size : (block + 1) * size])
    gc.enable()
    return took


def measure_gets(store: PersonaStore, plain: Path, sqlite: Path, records: Fleet, figures: Figures) -> None:
    """Typed gets, one and a hundred at a time, beside bare LMDB, a dict and SQLite."""
    draw = random.Random(1)  # noqa: S311 (no secret)
    pairs = [_fresh(pair) for pair in draw.sample(records.pairs, min(200_000, len(records.pairs)))]
    hundreds = [(pairs[i : i + 100],) for i in range(0, len(pairs) - 99, 100)]
    keys = [(member_key(*pair),) for pair in pairs]
    held = {pair: value(records.bodies[member_key(*pair)], 1) for pair in records.pairs}
    select = "SELECT value FROM rec WHERE key = ?"
    with lmdb.open(str(plain), map_size=64 << 30, max_dbs=1) as env, closing(sqlite3.connect(sqlite)) as connection:
        db = env.open_db(b"rec")

        def raw(key: bytes) -> object:
            with env.begin(db=db) as txn:
                return txn.get(key)

        ways = {
            "raw": (raw, keys),
            "typed": (store.member, pairs),
            "dict": (lambda persona_id, workload_id: decode_member(held[persona_id, workload_id]), pairs),
            "sqlite": (lambda key: decode_member(connection.execute(select, (key,)).fetchone()[0]), keys),
            "typed 100": (store.member_many, hundreds),
            "dict 100": (lambda some: {pair: decode_member(held[pair]) for pair in some}, hundreds),
        }
        side_by_side(ways, 10)  # everything into memory
        took = side_by_side(ways, 20)
    typical = {name: median(found) for name, found in took.items()}
    late = {name: quantile(found, 0.99) for name, found in took.items()}
    for name in ("raw", "typed", "dict", "sqlite", "typed 100", "dict 100"):
        figures.add(f"get, {name}: median", typical[name] / 1000, "us")
        figures.add(f"get, {name}: p99", late[name] / 1000, "us")
    figures.add("typed get / raw LMDB get: median", typical["typed"] / typical["raw"], at_most=1.5)
    figures.add("typed get / raw LMDB get: p99", late["typed"] / late["raw"], at_most=2.5)
    figures.add("typed get / dict + decode: median", typical["typed"] / typical["dict"], at_most=2.5)
    figures.add("100 typed / dict + decode: median", typical["typed 100"] / typical["dict 100"], at_most=2.5)
    figures.add("typed get / SQLite + decode: median", typical["typed"] / typical["sqlite"], at_most=1 / 2.5)


def measure_reads_while_publishing(folder: Path, records: Fleet, figures: Figures) -> None:
    """A reader's latency alone and while another process publishes a version with 100,000 changed records."""
    bodies = records.bodies | records.changed(min(1.0, 100_000 / len(records.pairs)))
    publication = records.publication(2, bodies)
    begin, done = FORK.Event(), FORK.Event()

    def publish() -> None:
        with PersonaStore(folder) as store:
            begin.wait()
            store.publish_whole(publication)
            done.set()

    publisher = FORK.Process(target=publish)  # before this process opens the store
    publisher.start()
    draw = random.Random(2)  # noqa: S311 (no secret)
    with PersonaStore(folder) as store:
        asked = draw.sample(records.pairs, min(100_000, len(records.pairs)))
        latencies(store.member, asked)
        gc.collect()
        gc.disable()
        alone = [took for _ in range(3) for took in latencies(store.member, asked)]
        begin.set()
        meanwhile: list[int] = []
        while not done.is_set():
            meanwhile += latencies(store.member, draw.choices(records.pairs, k=5000))
        gc.enable()
    publisher.join()
    figures.add("reader alone: p99", quantile(alone, 0.99) / 1000, "us")
    figures.add("reader while publishing: p99", quantile(meanwhile, 0.99) / 1000, "us")
    figures.add("reader p99 while publishing / alone", quantile(meanwhile, 0.99) / quantile(alone, 0.99), at_most=1.5)
    records.bodies = bodies


def measure_batches(store: PersonaStore, plain: Path, sqlite: Path, records: Fleet, figures: Figures) -> None:
    """10,000 changed records with their history, beside plain puts of the same, and SQLite; CPU and wall."""
    cpu: dict[str, list[float]] = {"store": [], "plain": [], "sqlite": []}
    wall: dict[str, list[float]] = {"store": [], "plain": [], "sqlite": []}
    with (
        lmdb.open(str(plain), map_size=64 << 30, max_dbs=1) as env,
        closing(sqlite3.connect(sqlite, isolation_level=None)) as connection,
    ):
        db = env.open_db(b"rec")

        def put_plain(rows: Mapping[bytes, bytes]) -> None:
            with env.begin(write=True, db=db) as txn:
                for key, body in rows.items():
                    txn.put(key, body)

        def put_sqlite(rows: Mapping[bytes, bytes]) -> None:
            connection.execute("BEGIN")
            connection.executemany("INSERT OR REPLACE INTO rec VALUES (?, ?)", rows.items())
            connection.execute("COMMIT")

        for turn in range(9):
            rows = records.changed(min(1.0, 10_000 / len(records.pairs)))
            stamped = {key: value(body, 1) for key, body in rows.items()}
            ways: list[tuple[str, Callable[[Any], object], Any]] = [
                ("plain", put_plain, stamped),
                ("store", store.apply, changes(store.version() + 1, rows)),
                ("sqlite", put_sqlite, stamped),
            ]
            for name, put, given in ways[turn % 3 :] + ways[: turn % 3]:
                begun, spent = time.perf_counter(), time.process_time()
                put(given)
                cpu[name].append(time.process_time() - spent)
                wall[name].append(time.perf_counter() - begun)
    for name, found in wall.items():
        figures.add(f"batch of 10,000, {name}", 1000 * median(found), "ms")
    figures.add("batch with history / plain LMDB: CPU", median(cpu["store"]) / median(cpu["plain"]), at_most=3)
    rows = [ActivityNow(w, p, datetime.now(UTC), datetime.now(UTC)) for p, w in records.pairs[:10_000]]
    begun = time.perf_counter()
    store.update_activity(rows)
    figures.add("activity of 10,000 workloads", 1000 * (time.perf_counter() - begun), "ms")


def measure_size(folder: Path, records: Fleet, figures: Figures, tick: Callable[[], None]) -> None:
    """The file after 40 versions of 5 % changed records each, the history of the kept versions in it."""
    payload = _payload(records)
    with PersonaStore(folder) as store:
        store.publish_whole(records.publication(1, records.bodies))
        for _ in range(40):
            store.apply(changes(store.version() + 1, records.changed(0.05)))
            tick()
        found = store.stats()
    shutil.rmtree(folder)
    figures.add(f"file after 40 versions of 5 %, {KEEP} kept / payload", found.file_bytes / payload, at_most=4)
    figures.add("free in it", found.free_bytes / payload)


def measure_backup(folder: Path, records: Fleet, figures: Figures) -> None:
    """A backup while another process changes 1,000 records at a time."""
    go_on = FORK.Event()
    go_on.set()

    def write() -> None:
        with PersonaStore(folder) as store:
            while go_on.is_set():
                store.apply(changes(store.version() + 1, records.changed(1000 / len(records.pairs))))

    writer = FORK.Process(target=write)
    writer.start()
    target = folder.parent / "backup"
    with PersonaStore(folder) as store:
        before = store.version()
        begun = time.perf_counter()
        store.backup(target)
        figures.add("backup while another writes", time.perf_counter() - begun, "s")
        figures.add("versions published meanwhile", store.version() - before, "")
        go_on.clear()
        writer.join()
        size = sum(file.stat().st_size for file in target.rglob("data.mdb"))
        figures.add("size of the backup / the file", size / store.stats().file_bytes)
    shutil.rmtree(target)


def measure_refit(folder: Path, records: Fleet, figures: Figures, keys: int) -> None:
    """A version in which every record changes, in one transaction, and one in which a tenth does."""
    some = Fleet(records.pairs[:keys], {}, records.rng)
    with PersonaStore(folder) as store:
        store.publish_whole(some.publication(1, some.changed(1.0)))
        small = store.stats().file_bytes
        publication = some.publication(2, some.changed(1.0))
        begun = time.perf_counter()
        store.publish_whole(publication)
        figures.add(f"refit that changes all {keys:,}", time.perf_counter() - begun, "s")
        figures.add("its file / the one before", store.stats().file_bytes / small)
        tenth = some.publication(3, {**publication.tables[MEMBERS], **some.changed(0.1)})
        begun = time.perf_counter()
        store.publish_whole(tenth)
        figures.add("publish that changes a tenth, all compared", time.perf_counter() - begun, "s")
        with store.snapshot() as view:
            past = view.as_of(1)
            asked = some.pairs[:: max(1, keys // 1000)]
            as_of = median(latencies(past.member, asked))
        figures.add("member as of two versions before: median", as_of / 1000, "us")


def build(folder: Path, records: Fleet, figures: Figures) -> None:
    """The store, a plain environment and an SQLite file of the same records."""
    begun = time.perf_counter()
    with PersonaStore(folder / "store") as store:
        store.publish_whole(records.publication(1, records.bodies))
        figures.add("first publish", time.perf_counter() - begun, "s")
        figures.add("file / payload, fresh", store.stats().file_bytes / _payload(records), at_most=1.25)
    rows = [(key, value(body, 1)) for key, body in sorted(records.bodies.items())]
    figures.add("bytes of a record", float(np.mean([len(body) for _, body in rows])), "B")
    with (
        lmdb.open(str(folder / "plain"), map_size=64 << 30, max_dbs=1) as env,
        env.begin(write=True, db=env.open_db(b"rec")) as txn,
    ):
        for key, body in rows:
            txn.put(key, body, append=True)
    with closing(sqlite3.connect(folder / "sqlite", isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("CREATE TABLE rec (key BLOB PRIMARY KEY, value BLOB)")
        connection.execute("BEGIN")
        connection.executemany("INSERT INTO rec VALUES (?, ?)", rows)
        connection.execute("COMMIT")


def _fresh(pair: Pair) -> Pair:
    """Equal strings that nobody has hashed or compared yet, as a request brings them."""
    return pair[0].encode().decode(), pair[1].encode().decode()


def _payload(records: Fleet) -> int:
    """Bytes of the keys and values of the current catalog."""
    tables = records.publication(1, records.bodies).tables
    return sum(len(key) + len(body) + 8 for table in TABLES for key, body in tables[table].items())


def run(folder: Path, keys: int, seed: int, progress: Progress) -> Figures:
    """All parts, each with a store of ``keys`` records."""
    figures, task = Figures(), progress.add_task("records", total=50)

    def step(what: str) -> None:
        progress.update(task, description=what, advance=1)

    records = fleet(keys, seed)
    step("building")
    build(folder, records, figures)
    step("gets")
    with PersonaStore(folder / "store") as store:
        measure_gets(store, folder / "plain", folder / "sqlite", records, figures)
    step("reads while publishing")
    measure_reads_while_publishing(folder / "store", records, figures)
    step("batches")
    with PersonaStore(folder / "store") as store:
        measure_batches(store, folder / "plain", folder / "sqlite", records, figures)
    measure_size(folder / "sizes", records, figures, lambda: step("forty versions"))
    step("backup")
    measure_backup(folder / "store", records, figures)
    shutil.rmtree(folder / "store")
    for count in sorted({min(keys, 100_000), keys}):
        step(f"refit of {count:,}")
        measure_refit(folder / f"refit-{count}", records, figures, count)
    progress.update(task, description="done", completed=50)
    return figures


def main() -> None:
    words = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    words.add_argument("--keys", type=int, default=1_000_000)
    words.add_argument("--seed", type=int, default=0)
    words.add_argument("--json", type=Path)
    asked = words.parse_args()
    console, begun = Console(), time.monotonic()
    with tempfile.TemporaryDirectory(prefix="store-") as folder, Progress(console=Console(stderr=True)) as progress:
        figures = run(Path(folder), asked.keys, asked.seed, progress)
    shown = Table("figure", "measured", "target", "", title=f"{asked.keys:,} members", title_justify="left")
    for name, measured, unit, at_most in figures.rows:
        missed = at_most is not None and measured > at_most
        target = "" if at_most is None else f"at most {at_most:.3g}"
        shown.add_row(name, f"{measured:,.3g} {unit}", target, "[red]missed[/red]" if missed else "")
    console.print(shown)
    console.print(f"in {timedelta(seconds=round(time.monotonic() - begun))}")
    if asked.json is not None:
        rows = [dict(zip(("figure", "measured", "unit", "at_most"), row, strict=True)) for row in figures.rows]
        asked.json.write_text(json.dumps({"keys": asked.keys, "figures": rows}, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
