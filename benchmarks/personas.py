"""Are personas true and stable? Learned personas against the known truth of generated fleets, and on real traces.

`python benchmarks/personas.py` generates fleets of 160 workloads over 8 weeks of 15-minute slots, with 8 to 16
archetypes each, gaps, noise and drift; 30 % of the workloads play two personas, 8 % change theirs midway. Half of
the fleets have the usual archetypes, half have archetypes drawn at random, which nothing was tuned on. It reports

- the adjusted Rand index of learned and true personas over the slots that are active in truth, and F1 of active,
- the median persona's bootstrap Jaccard,
- the adjusted Rand index of two refits a week apart, over the six weeks that both saw.

With `--traces FOLDER` the last two on real traces as well. Methods were tuned on seeds 1 to 14 and, of drawn
archetypes, 101 to 108; the report is on others. Intervals, newcomers and scale have benchmarks of their own:
persona_intervals.py, persona_newcomers.py, persona_scale.py.
"""

import argparse
import json
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
from rich.console import Console
from rich.progress import track
from rich.table import Table
from sklearn.metrics import adjusted_rand_score

from persona_platform.calendars.days import calendar_days
from persona_platform.calendars.slots import calendar_slots
from persona_platform.fleet import ARCHETYPES, FleetSpec, generate
from persona_platform.frames import RESOURCES, TS
from persona_platform.personas.assignment import play
from persona_platform.personas.catalog import Catalog
from persona_platform.personas.learning import learn
from persona_platform.replay.cases import read_case
from persona_platform.replay.cases_options import CaseOptions

END = datetime(2026, 11, 2, tzinfo=UTC)
WEEK = timedelta(weeks=1)
SLOT = timedelta(minutes=15)
USUAL_SEEDS, DRAWN_SEEDS = 201, 301
TRACES = ("bitbrains_faststorage_1h", "nyc_flights_weather", "smd_machines")
"""Those with many series of the same time."""


@dataclass(frozen=True)
class Data:
    """What is learned from."""

    needs: pl.DataFrame
    workloads: pl.DataFrame
    calendar: pl.DataFrame
    slot: timedelta
    truth: pl.DataFrame | None = None


@dataclass(frozen=True)
class Row:
    """One fleet or trace; null where there is no truth, or too little time."""

    name: str
    workloads: int
    true_personas: int | None
    personas: int
    adjusted_rand: float | None
    f1: float | None
    jaccard: float
    week_to_week: float | None


def fleet(seed: int, *, drawn: bool, workloads: int) -> Data:
    """A generated fleet, some of its samples late."""
    rng = np.random.default_rng(1000 + seed)
    count = int(rng.integers(8, 17))
    spec = FleetSpec(END - 8 * WEEK, END, seed=seed, workloads=workloads)
    if drawn:
        spec = replace(spec, drawn=count)
    else:
        spec = replace(spec, archetypes=tuple(sorted(rng.choice(list(ARCHETYPES), count, replace=False).tolist())))
    made = generate(spec)
    wide = (
        pl.concat([made.samples, made.late])
        .filter(pl.col("metric").is_in([*RESOURCES, "cpu_cores_alloc"]))
        .pivot(on="metric", index=["workload_id", "ts"], values="value")
        .sort("workload_id", "ts")
    )
    needs = wide.select(
        "workload_id",
        pl.col("ts").cast(TS).alias("slot"),
        (pl.col("cpu_cores") >= 0.999 * pl.col("cpu_cores_alloc")).fill_null(value=False).alias("saturated"),
        *[name for name in RESOURCES if name in wide.columns],
    )
    zones = made.workloads["timezone"].unique().to_list()
    margin = timedelta(days=2)
    days = calendar_days(zones, (spec.start - margin).date(), (spec.end + margin).date(), ["US", "DE", "IN"])
    calendar = calendar_slots(days, made.events, zones, spec.start, spec.end, SLOT)
    return Data(needs, made.workloads, calendar, SLOT, made.truth.membership)


def trace(path: Path) -> Data:
    """A trace as replay reads it."""
    history = read_case([path], CaseOptions(), now=END).history
    return Data(history.needs, history.workloads, history.calendar, history.slot)


def judged(name: str, data: Data) -> Row:
    """Learns from all of the data, and from all but the last and all but the first week."""
    catalog = learned(data, data.needs, None)
    membership = played(data, data.needs, catalog)
    rand = f1 = personas = None
    if data.truth is not None:
        rand, f1, personas = against(data.truth, membership)
    return Row(
        name,
        data.needs["workload_id"].n_unique(),
        personas,
        sum(p.kind == "active" for p in catalog.personas),
        rand,
        f1,
        float(np.median([p.stability for p in catalog.personas if p.kind == "active"] or [1.0])),
        week_to_week(data),
    )


def learned(data: Data, needs: pl.DataFrame, previous: Catalog | None) -> Catalog:
    """The catalog of some of the needs."""
    return learn(needs, data.workloads, data.calendar, slot=data.slot, previous=previous, seed=0).catalog


def played(data: Data, needs: pl.DataFrame, catalog: Catalog) -> pl.DataFrame:
    """Membership, with the kind of the pattern."""
    kinds = catalog.patterns.select("workload_id", "pattern", found="kind")
    membership = play(needs, data.workloads, data.calendar, catalog).membership
    return membership.join(kinds, on=["workload_id", "pattern"], how="left")


def against(truth: pl.DataFrame, membership: pl.DataFrame) -> tuple[float, float, int]:
    """Adjusted Rand index over the slots active in truth (what was not found active is one label), and F1."""
    both = membership.join(truth.select("workload_id", "slot", "persona", "kind"), on=["workload_id", "slot"])
    active = both.filter(pl.col("kind") == "active")
    said = active.select(pl.when(pl.col("found") == "active").then("persona_id").otherwise(pl.lit("rest")))
    hits = (active["found"] == "active").sum()
    return (
        float(adjusted_rand_score(active["persona"].to_numpy(), said.to_series().to_numpy())),
        2 * hits / (active.height + (both["found"] == "active").sum()),
        active["persona"].n_unique(),
    )


def week_to_week(data: Data) -> float | None:
    """The adjusted Rand index of two refits a week apart over the slots that both saw and found active."""
    first, last = data.needs["slot"].min(), data.needs["slot"].max()
    assert isinstance(first, datetime)
    assert isinstance(last, datetime)
    if last - first < 3 * WEEK:
        return None
    common = data.needs.filter(pl.col("slot").is_between(first + WEEK, last - WEEK))
    early, late = (data.needs.filter(when) for when in (pl.col("slot") < last - WEEK, pl.col("slot") > first + WEEK))
    before = learned(data, early, None)
    after = learned(data, late, before)
    sides = [played(data, common, c).filter(pl.col("found") == "active") for c in (before, after)]
    both = sides[0].join(sides[1], on=["workload_id", "slot"], suffix="_after")
    if both.is_empty():
        return None
    return float(adjusted_rand_score(both["persona_id"].to_numpy(), both["persona_id_after"].to_numpy()))


def shown(rows: list[Row], title: str) -> Table:
    """Every row, and the median and the worst."""
    table = Table("", "workloads", "true", "found", "ARI", "F1", "Jaccard", "week to week", title=title)
    for row in rows:
        figures = (row.adjusted_rand, row.f1, row.jaccard, row.week_to_week)
        counts = (row.workloads, row.true_personas if row.true_personas is not None else "", row.personas)
        table.add_row(row.name, *map(str, counts), *("" if f is None else f"{f:.3f}" for f in figures))
    for name, of in (("median", np.median), ("worst", np.min)):
        columns = ("adjusted_rand", "f1", "jaccard", "week_to_week")
        values = [[v for r in rows if (v := getattr(r, c)) is not None] for c in columns]
        table.add_row(name, "", "", "", *(f"{of(v):.3f}" if v else "" for v in values), style="bold")
    return table


def main() -> None:
    """Prints the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fleets", type=int, default=20, help="of each kind; 0: only traces")
    parser.add_argument("--workloads", type=int, default=160)
    parser.add_argument("--seed", type=int, default=None, help="the first seed of both kinds, for tuning")
    parser.add_argument("--traces", type=Path, default=None)
    parser.add_argument("--json", type=Path, default=None)
    given = parser.parse_args()
    console, found = Console(), {}
    for title, drawn in (("usual archetypes", False), ("archetypes drawn at random", True)):
        if not given.fleets:
            break
        first = given.seed if given.seed is not None else DRAWN_SEEDS if drawn else USUAL_SEEDS
        rows = [
            judged(f"seed {seed}", fleet(seed, drawn=drawn, workloads=given.workloads))
            for seed in track(range(first, first + given.fleets), title, console=console)
        ]
        found[title] = rows
        console.print(shown(rows, title))
    if given.traces is not None:
        paths = [path for name in TRACES if (path := given.traces / f"{name}.parquet").exists()]
        rows = [judged(path.stem, trace(path)) for path in track(paths, "traces", console=console)]
        found["traces"] = rows
        console.print(shown(rows, "real traces"))
    if given.json is not None:
        given.json.write_text(json.dumps({k: [asdict(r) for r in v] for k, v in found.items()}, indent=1))


if __name__ == "__main__":
    main()
