"""Does learning scale? From raw Parquet files to a published catalog, beside one DuckDB query over the same files.

`python benchmarks/persona_scale.py --workloads 1000 10000 --data FOLDER --json OUT` generates a fleet (8 weeks of
15-minute slots; cores with what is allocated, memory, gpus, requests and jobs) into FOLDER, once: a folder of more
workloads serves fewer. For each number of workloads it then measures, each in a process of its own,

- the query: mean and max by workload, metric and slot over the raw files, in DuckDB;
- learning: usage and activity per slot by chunks of workloads with the marts' own SQL (dbt/models/marts), needs,
  levels, patterns, evidence, leads, one clustering, records, and the catalog published to a Persona Database.

The ratio of the two is what is to be looked at: wall times on shared cores are noisy. Not covered is the warehouse's
ingest (checks, upsert), which happens once a file and has tests of its own.
"""

import argparse
import json
import multiprocessing
import os
import resource
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import jinja2
import polars as pl
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from persona_platform.calendars.days import calendar_days
from persona_platform.calendars.slots import calendar_slots
from persona_platform.fleet import FleetSpec, fleet_chunks
from persona_platform.frames import ACTIVITIES, RESOURCES
from persona_platform.personas.learning import learn
from persona_platform.personas.share import Share
from persona_platform.utilization.metrics import metrics_frame
from persona_platform.utilization.needs import needs_per_slot
from resources.persona_store import PersonaStore

END = datetime(2026, 11, 2, tzinfo=UTC)
SPAN = timedelta(weeks=8)
SLOT = timedelta(minutes=15)
METRICS = ("cpu_cores", "mem_bytes", "cpu_cores_alloc", "gpus", "requests", "jobs")
IN_A_FILE = 100
SPAWN = multiprocessing.get_context("spawn")
MODELS = Path(__file__).parent.parent / "dbt"
MEMORY = "8GiB"
THREADS = len(os.sched_getaffinity(0))


@dataclass
class Stages:
    """Wall and CPU seconds by stage of one process, its peak memory, and what came out."""

    wall: dict[str, float] = field(default_factory=dict)
    cpu: dict[str, float] = field(default_factory=dict)
    rss_gib: float = 0.0
    facts: dict[str, float] = field(default_factory=dict)
    _at: tuple[float, float] = (0.0, 0.0)

    def begin(self) -> "Stages":
        """The clocks start."""
        self._at = time.perf_counter(), time.process_time()
        return self

    def done(self, stage: str) -> None:
        """What passed since the last stage was this one's."""
        now = time.perf_counter(), time.process_time()
        for total, passed in zip(
            (self.wall, self.cpu), (b - a for a, b in zip(self._at, now, strict=True)), strict=True
        ):
            total[stage] = total.get(stage, 0.0) + passed
        self._at = now
        self.rss_gib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


# --- the data ---------------------------------------------------------------------------------------------------


def raw_files(data: Path, workloads: int) -> list[Path]:
    """The raw files of the first workloads, one for each hundred, generated where they lack."""
    wanted = [data / "raw" / f"part-{i:05d}.parquet" for i in range(-(-workloads // IN_A_FILE))]
    if all(path.exists() for path in wanted) and (data / "events.parquet").exists():
        return wanted
    (data / "raw").mkdir(parents=True, exist_ok=True)
    (data / "labels").mkdir(parents=True, exist_ok=True)
    spec = FleetSpec(END - SPAN, END, seed=7, workloads=len(wanted) * IN_A_FILE)
    with Progress() as progress:
        for path, made in zip(
            progress.track(wanted, description=f"generating {workloads} workloads"),
            fleet_chunks(spec, IN_A_FILE),
            strict=True,
        ):
            samples = pl.concat([made.samples, made.late]).filter(pl.col("metric").is_in(METRICS))
            _parquet(samples.sort("workload_id", "metric", "ts"), path)
            _parquet(made.workloads, data / "labels" / path.name)
            _parquet(made.events, data / "events.parquet")
    return wanted


def _parquet(frame: pl.DataFrame, path: Path) -> None:
    scratch = path.with_suffix(".scratch")
    frame.write_parquet(scratch, compression="zstd", compression_level=3)
    scratch.replace(path)


def labels_of(files: list[Path]) -> pl.DataFrame:
    """WORKLOADS of the workloads in the raw files."""
    return pl.concat([pl.read_parquet(path.parent.parent / "labels" / path.name) for path in files])


def calendar_of(data: Path, workloads: pl.DataFrame) -> pl.DataFrame:
    """CALENDAR of the workloads' zones."""
    zones, margin = workloads["timezone"].unique().to_list(), timedelta(days=2)
    days = calendar_days(zones, (END - SPAN - margin).date(), (END + margin).date(), ["US", "DE", "IN"])
    return calendar_slots(days, pl.read_parquet(data / "events.parquet"), zones, END - SPAN, END, SLOT)


# --- the query --------------------------------------------------------------------------------------------------


def query(files: list[Path], scratch: Path) -> Stages:
    """Mean and max by workload, metric and slot; summed up, so that nothing of it can be left out."""
    with duckdb.connect() as con:
        con.execute(f"set memory_limit = '{MEMORY}'; set threads = {THREADS}; set temp_directory = '{scratch}'")
        stages = Stages().begin()
        groups, *_ = con.execute(
            "select count(*), sum(mean), sum(highest) from (select workload_id, metric, "
            "time_bucket(interval 15 minutes, ts) as slot, avg(value) as mean, max(value) as highest "
            "from read_parquet(?) group by all)",
            [[str(path) for path in files]],
        ).fetchall()[0]
        stages.done("query")
    stages.facts = {"groups": groups}
    return stages


# --- marts ------------------------------------------------------------------------------------------------------


def mart_sql(name: str) -> str:
    """The SQL of a mart as dbt would run it: its own file and macros, with tables named like the models."""
    macros = (MODELS / "macros" / "slots.sql").read_text()
    model = (MODELS / "models" / "marts" / f"{name}.sql").read_text()
    lists = "{% set resources = all_resources %}{% set activities = all_activities %}"
    return jinja2.Template(macros + lists + model).render(
        ref=lambda table: table,
        config=lambda **_: "",
        all_resources=lambda: RESOURCES,
        all_activities=lambda: ACTIVITIES,
    )


class Marts:
    """DuckDB with what the marts' SQL reads; raw files come and go."""

    def __init__(self, scratch: Path) -> None:
        self.con = duckdb.connect()
        first, last = (END - SPAN).date(), END.date()
        self.con.execute(
            f"set memory_limit = '2GiB'; set threads = {THREADS}; "
            f"set temp_directory = '{scratch}'; set TimeZone = 'UTC'"
        )
        self.con.register("metrics", metrics_frame())
        self.con.execute("create table stg_metrics as from metrics")
        self.con.execute(f"create table stg_state as select {int(SLOT.total_seconds())}::bigint as slot_s")
        self.con.execute(
            f"set variable built_days = (select range(date '{first}', date '{last}', interval 1 day)::date[])"
        )
        self.con.execute(f"set variable built_from = timestamptz '{first} 00:00:00+00'")
        self.con.execute(f"set variable built_until = timestamptz '{last} 00:00:00+00'")
        self.sql = {name: mart_sql(name) for name in ("usage_per_slot", "activity_per_slot")}

    def of(self, files: list[Path]) -> tuple[pl.DataFrame, pl.DataFrame]:
        """Usage and activity per slot of the workloads of some raw files."""
        paths = ", ".join(f"'{path}'" for path in files)
        self.con.execute(
            f"create or replace temp table stg_utilization_samples as "
            f"select workload_id, ts, metric, value from read_parquet([{paths}])"
        )
        self.con.execute(
            "create or replace temp table series as select workload_id, metric, median(step) as step_s, "
            "median(value) as typical from (select workload_id, metric, value, "
            "epoch(ts) - lag(epoch(ts)) over (partition by workload_id, metric order by ts) as step "
            "from stg_utilization_samples) group by all"
        )
        usage, activity = (self.con.sql(sql).pl() for sql in self.sql.values())
        return usage, activity


# --- learning ---------------------------------------------------------------------------------------------------


def learning(files: list[Path], scratch: Path, chunk: int) -> Stages:
    """The whole way, by chunks of workloads."""
    stages = Stages().begin()
    workloads = labels_of(files)
    calendar = calendar_of(files[0].parent.parent, workloads)
    stages.done("calendar")
    marts, slots = Marts(scratch), 0

    def shares() -> Iterator[Share]:
        nonlocal slots
        step = max(1, chunk // IN_A_FILE)
        for at in range(0, len(files), step):
            usage, activity = marts.of(files[at : at + step])
            stages.done("per slot")
            needs = needs_per_slot(usage, activity)
            slots += needs.height
            del usage
            stages.done("needs")
            yield Share(needs, activity)
            del needs, activity
            stages.done("levels to evidence")

    learned = learn(shares(), workloads, calendar, slot=SLOT, previous=None, seed=0)
    stages.done("clusters to records")
    with PersonaStore(scratch / "store") as store:
        store.publish(learned.catalog.version, learned.catalog.personas, learned.catalog.members)
    stages.done("publish")
    stages.facts = {
        "slots": slots,
        "patterns": learned.catalog.patterns.height,
        "personas": len(learned.catalog.personas),
        "members": len(learned.catalog.members),
        "activations": learned.activations.height,
    }
    return stages


# --- report -----------------------------------------------------------------------------------------------------


def _child(send: Any, work: Callable[..., Stages], *given: Any) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        send.send(work(*given[:1], Path(scratch), *given[1:]))


def apart(work: Callable[..., Stages], *given: Any) -> Stages:
    """Work done in a fresh process, so that memory is its own."""
    receive, send = SPAWN.Pipe(duplex=False)
    child = SPAWN.Process(target=_child, args=(send, work, *given))
    child.start()
    send.close()
    try:
        return receive.recv()
    finally:
        child.join()


def shown(results: dict[int, dict[str, Stages]], samples: dict[int, int]) -> Table:
    """Stages by number of workloads, with the ratio to the query."""
    table = Table("", *(f"{n} workloads" for n in results), title="seconds wall (CPU)")
    stages = {("query", "query"): None} | {(k, s): None for r in results.values() for k in r for s in r[k].wall}
    for kind, stage in stages:
        cells = (r[kind] for r in results.values())
        table.add_row(stage, *(f"{c.wall.get(stage, 0):.1f} ({c.cpu.get(stage, 0):.1f})" for c in cells))
    table.add_section()
    for name, of in (("wall", lambda s: sum(s.wall.values())), ("CPU", lambda s: sum(s.cpu.values()))):
        ratios = (of(r["learning"]) / of(r["query"]) for r in results.values())
        table.add_row(f"ratio, {name}", *(f"{ratio:.1f}" for ratio in ratios))
    per_second = (samples[n] / sum(r["learning"].wall.values()) for n, r in results.items())
    table.add_row("samples", *(f"{n:,}" for n in samples.values()))
    table.add_row("samples a second", *(f"{n:,.0f}" for n in per_second))
    table.add_row("peak GiB: learning", *(f"{r['learning'].rss_gib:.2f}" for r in results.values()))
    table.add_row("peak GiB: query", *(f"{r['query'].rss_gib:.2f}" for r in results.values()))
    for fact in next(iter(results.values()))["learning"].facts:
        table.add_row(fact, *(f"{r['learning'].facts[fact]:,}" for r in results.values()))
    return table


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workloads", type=int, nargs="+", default=[1000])
    parser.add_argument("--data", type=Path, default=Path(tempfile.gettempdir()) / "persona_scale")
    parser.add_argument("--chunk", type=int, default=200, help="workloads whose slots are held at a time")
    parser.add_argument("--json", type=Path, default=None)
    given = parser.parse_args()
    console, results, samples = Console(), {}, {}
    raw_files(given.data, max(given.workloads))
    for count in given.workloads:
        files = raw_files(given.data, count)
        samples[count] = sum(pl.scan_parquet(path).select(pl.len()).collect().item() for path in files)
        with console.status(f"{count} workloads: the query"):
            asked = apart(query, files)
        with console.status(f"{count} workloads: learning"):
            results[count] = {"query": asked, "learning": apart(learning, files, given.chunk)}
        console.print(shown(results, samples))
    if given.json is not None:
        told = {n: {"samples": samples[n], **{k: asdict(s) for k, s in r.items()}} for n, r in results.items()}
        given.json.write_text(json.dumps(told, indent=1))


if __name__ == "__main__":
    main()
