"""Do 95 % intervals of personas hold the truth? Requirement quantiles and event uplift, over generated fleets.

`python benchmarks/persona_intervals.py --fleets 8` draws fleets (8 weeks of 15-minute slots, seeds from `--seed` on),
learns personas, and compares each interval with what the generator draws from: quantiles of what all workloads of
`--population` other fleets wanted while they played the true persona (before any limit cut it), and the ratio by
which an event moves it (1 where it does not). The truth is the population's, not the few members': an interval
says what the persona needs, of which its members are a sample.

Learned personas count where they are a true one: nine tenths of the slots of each are the other's. Beside them the
same with true labels, so that intervals are judged apart from the clustering.
"""

import argparse
import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
from rich.progress import Progress, track

from persona_platform.calendars.days import calendar_days
from persona_platform.calendars.slots import calendar_slots
from persona_platform.fleet import FleetSpec, generate
from persona_platform.fleet.demand import needs as wanted_needs
from persona_platform.fleet.playing import play_out
from persona_platform.fleet.roster import workload
from persona_platform.fleet.spec import Fleet
from persona_platform.fleet.stage import Stage
from persona_platform.fleet.truth import membership
from persona_platform.frames import TS, need_columns
from persona_platform.personas.cutting import episodes
from persona_platform.personas.identity import identities
from persona_platform.personas.learning import learn
from persona_platform.personas.portrait.drawing import portraits
from persona_platform.personas.portrait.evidence import gather_evidence
from persona_platform.personas.record import REQUIREMENT_QUANTILES, Persona
from persona_platform.personas.timeline import event_slots, timeline

END = datetime(2026, 5, 4, tzinfo=UTC)
DAYS = 56
SLOT = timedelta(minutes=15)
NEEDS = ("cpu_cores", "mem_bytes")
LEVELS = (0.5, 0.9, 0.95, 0.99)
PURE = 0.9
KINDS = ("campaign", "maintenance", "payday")


@dataclass(frozen=True)
class Case:
    """One interval beside its truth; ``what`` is a need or a kind of event, ``at`` a quantile or its ratio."""

    labels: str
    persona: str
    members: int
    what: str
    at: float
    truth: float
    found: float
    low: float
    high: float

    @property
    def covers(self) -> bool:
        """Whether the truth is inside; half a bin is no error."""
        return self.low * 0.992 <= self.truth <= self.high * 1.008


def spec(seed: int, workloads: int, drawn: int | None = None) -> FleetSpec:
    """A fleet of the benchmark, of the usual archetypes or of some that its seed draws."""
    return replace(FleetSpec.ending(END, DAYS, seed=seed, workloads=workloads), drawn=drawn)


def population(specs: Iterable[FleetSpec]) -> dict[tuple[str, str], np.ndarray]:
    """Quantiles (LEVELS) of what was wanted while a true persona was played, by persona and need."""
    parts = []
    for of in specs:
        stage = Stage(of)
        for index in range(of.workloads):
            member = workload(stage.spec, index)
            played = play_out(stage, member)
            frame = membership(stage, member, played, wanted_needs(stage, member, played))
            parts.append(frame.filter(pl.col("persona") != "resting").select("persona", *NEEDS))
    pooled = pl.concat(parts)
    table = pooled.group_by("persona").agg(
        pl.concat_list(pl.col(n).quantile(q, "linear") for q in LEVELS).alias(n) for n in NEEDS
    )
    return {(row["persona"], n): np.array(row[n]) for row in table.iter_rows(named=True) for n in NEEDS}


def inputs(fleet: Fleet) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Needs of a fleet, and its calendar."""
    spec = fleet.spec
    read = (
        pl.concat([fleet.samples, fleet.late])
        .filter(~pl.col("workload_id").str.contains(":"))
        .with_columns(slot=pl.col("ts").dt.truncate("15m").cast(TS))
        .group_by("workload_id", "slot", "metric")
        .agg(pl.col("value").mean())
        .pivot(on="metric", index=["workload_id", "slot"], values="value")
        .with_columns(saturated=(pl.col("cpu_cores") >= 0.999 * pl.col("cpu_cores_alloc")).fill_null(value=False))
        .sort("workload_id", "slot")
    )
    columns = [c for c in need_columns(read) if c not in ("requests", "jobs", "active_users")]
    zones = fleet.workloads["timezone"].unique().to_list()
    edge = timedelta(days=2)
    days = calendar_days(zones, spec.start.date() - edge, spec.end.date() + edge, ["US", "DE", "IN"])
    calendar = calendar_slots(days, fleet.events, zones, spec.start, spec.end, SLOT)
    return read.select("workload_id", "slot", "saturated", *columns), calendar


def with_true_labels(fleet: Fleet, needs: pl.DataFrame, calendar: pl.DataFrame) -> dict[str, Persona]:
    """The record of each true persona, drawn from the slots in which it was truly played."""
    line = timeline(needs, fleet.workloads, calendar, SLOT)
    truth = fleet.truth.membership.select("workload_id", "slot", "persona", "kind")
    names = truth["persona"].unique().sort().to_list()
    joined = line.join(truth, on=["workload_id", "slot"], how="left", maintain_order="left").with_columns(
        pattern=pl.col("persona").replace_strict({n: i for i, n in enumerate(names)}, return_dtype=pl.Int64),
        active=pl.col("kind") == "active",
        leveled=pl.col("kind") != "steady",
        x=(pl.col("cpu_cores") + 0.02).log(),
    )
    slots = joined.with_columns(episode=pl.struct("workload_id", "stretch", "persona").rle_id())
    found = episodes(slots, need_columns(needs), SLOT)
    labels = slots.group_by("episode").agg(pl.col("pattern").first())
    labelled = found.join(labels, on="episode", maintain_order="left")
    evidence = gather_evidence(slots, labelled, event_slots(line, fleet.workloads, calendar), None, SLOT)
    present = sorted(labelled["pattern"].unique())
    patterns = (
        labelled.group_by("workload_id", "pattern")
        .agg(pl.col("kind").first(), slots=pl.col("read").sum())
        .with_columns(
            cluster=pl.col("pattern").replace_strict({p: i for i, p in enumerate(present)}, return_dtype=pl.Int64),
            probability=pl.lit(1.0),
            features=pl.lit([0.0], dtype=pl.List(pl.Float64)),
        )
        .sort("workload_id", "pattern")
    )
    named = identities(patterns.with_columns(kind=pl.lit("active")), None, {}, 0)
    ids = pl.col("cluster").replace_strict(dict(enumerate(named.ids)), return_dtype=pl.String)
    drawn = portraits(evidence, patterns.with_columns(persona_id=ids), fleet.workloads, named, [1.0] * len(present), 1)
    return {names[p]: persona for p, persona in zip(present, drawn.personas, strict=True) if names[p] != "resting"}


def learned(fleet: Fleet, needs: pl.DataFrame, calendar: pl.DataFrame) -> tuple[dict[str, Persona], int]:
    """Learned personas that are a true one, by its name; and how many were learned that are played at all."""
    found = learn(needs, fleet.workloads, calendar, slot=SLOT, previous=None, seed=0)
    ids = found.catalog.patterns.select("workload_id", "pattern", "persona_id")
    slots = fleet.truth.membership.select("workload_id", "slot", "persona").join_asof(
        found.activations.select("workload_id", "pattern", slot="start", last="end").sort("slot"),
        on="slot", by="workload_id", check_sortedness=False,
    )  # fmt: skip
    both = slots.filter(pl.col("slot") < pl.col("last")).join(ids, on=["workload_id", "pattern"])
    counts = both.group_by("persona", "persona_id").agg(n=pl.len())
    pure = counts.with_columns(
        mine=pl.col("n") / pl.col("n").sum().over("persona_id"), all=pl.col("n") / pl.col("n").sum().over("persona")
    ).filter((pl.col("mine") >= PURE) & (pl.col("all") >= PURE) & (pl.col("persona") != "resting"))
    by_id = {p.persona_id: p for p in found.catalog.personas}
    return {n: by_id[i] for n, i in pure.select("persona", "persona_id").iter_rows()}, len(by_id)


def cases(
    labels: str, personas: dict[str, Persona], truth: dict[tuple[str, str], np.ndarray], changes: pl.DataFrame
) -> list[Case]:
    """Every interval of some personas beside its truth."""
    ratios = {(row["persona"], row["event"]): row["ratio"] for row in changes.iter_rows(named=True)}
    found = []
    for name, persona in personas.items():
        need = persona.requirement
        members = len(persona.members)
        for what in NEEDS:
            for level, value in zip(LEVELS, truth[name, what], strict=True):
                at = REQUIREMENT_QUANTILES.index(level)
                bounds = need.quantiles[what][at], need.low[what][at], need.high[what][at]
                found.append(Case(labels, name, members, what, level, float(value), *bounds))
        # What the generator moves is cores: gpus are whole, whatever happens.
        for u in persona.recurrence.uplifts if persona.main_need == "cpu_cores" else ():
            ratio = ratios.get((name, u.kind), 1.0)
            found.append(Case(labels, name, members, f"event {u.kind}", ratio, ratio, u.need, u.need_low, u.need_high))
    return found


def table(found: list[Case]) -> pl.DataFrame:
    """Coverage and mean width (high over low, in per cent) by labels and what is told."""
    group = pl.when(pl.col("what").str.starts_with("event")).then(pl.lit("uplift")).otherwise(pl.lit("quantile"))
    return pl.DataFrame(
        [
            {
                "labels": c.labels,
                "persona": c.persona,
                "what": c.what,
                "at": c.at,
                "members": "1-2" if c.members < 3 else "3-5" if c.members < 6 else "6-",
                "covers": c.covers,
                "below": c.truth < c.low * 0.992,
                "width": np.log(max(c.high, 1e-9) / max(c.low, 1e-9)),
                "error": abs(np.log(max(c.found, 1e-9) / c.truth)),
            }
            for c in found
        ]
    ).with_columns(group=group)


def summary(rows: pl.DataFrame, *by: str) -> pl.DataFrame:
    """Coverage by some columns."""
    return (
        rows.group_by("labels", "group", *by)
        .agg(cases=pl.len(), covered=pl.col("covers").mean(), truth_below=pl.col("below").mean(),
             width=pl.col("width").mean(), error=pl.col("error").median())
        .sort("labels", "group", *by)
    )  # fmt: skip


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fleets", type=int, default=8)
    parser.add_argument("--workloads", type=int, default=90)
    parser.add_argument("--seed", type=int, default=100, help="of the first fleet")
    parser.add_argument("--population", type=int, default=12, help="other fleets that the truth is taken from")
    parser.add_argument("--drawn", type=int, help="archetypes that each fleet's seed draws, instead of the usual ones")
    parser.add_argument("--true-labels-only", action="store_true")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--out", help="Parquet file of all cases")
    options = parser.parse_args()
    others = [spec(10_000 + i, 115) for i in range(options.population)]
    usual = {} if options.drawn else population(track(others, "the population"))
    found: list[Case] = []
    matched = []
    with Progress() as progress:
        bar = progress.add_task("fleets", total=options.fleets)
        for seed in range(options.seed, options.seed + options.fleets):
            fleet = generate(spec(seed, options.workloads, options.drawn))
            # What a seed draws only that seed has: the population is then its own, many times as large.
            truth = usual or population([spec(seed, 12 * options.workloads, options.drawn)])
            needs, calendar = inputs(fleet)
            true = with_true_labels(fleet, needs, calendar)
            found += cases("true", true, truth, fleet.truth.uplifts)
            if not options.true_labels_only:
                mine, count = learned(fleet, needs, calendar)
                matched.append((len(mine), count, len(true)))
                found += cases("learned", mine, truth, fleet.truth.uplifts)
            progress.advance(bar)
    rows = table(found)
    if options.out:
        rows.write_parquet(options.out)
    if options.json:
        out = {"summary": summary(rows).to_dicts(), "by": summary(rows, "what", "at").to_dicts(), "matched": matched}
        print(json.dumps(out))
        return
    with pl.Config(tbl_rows=-1, tbl_cols=-1, float_precision=3, tbl_hide_dataframe_shape=True):
        print(summary(rows), summary(rows, "members"), summary(rows, "what", "at"), summary(rows, "persona"), sep="\n")
    if matched:
        m, k, t = np.sum(matched, axis=0)
        print(f"Learned personas that are a true one, both ways {PURE:.0%} pure: {m} of {k} learned, {t} true ones.")


if __name__ == "__main__":
    main()
