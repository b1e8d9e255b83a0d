"""Young workloads: pinball of the next day at the operating quantile, ours against one global model without personas.

`python benchmarks/persona_newcomers.py --seeds 201-206` generates fleets of 96 workloads. 70 % are known by six weeks;
from them personas and peers are learned. The others begin at eight instants spread over the week after, and at ages of
0 h, 6 h, 1, 2 and 7 days their next 24 h are predicted, at 0.99, 0.95 or 0.80 by their tier. Each workload's pinball is
divided by its mean need, so that large ones do not rule; the plain sums are shown too. The global model is boosted
quantile regression (newcomer_rivals.py), the other rivals the workload's own quantile so far and its pool's by hour.
`--labels few` hides team and name. The goal: under 48 h of history (the ages of 0 h, 6 h and 1 day together) at least
10 % under the global model.

The second table is the persona mixture's demand of each pool's young workloads, 0.95 quantile, with newcomers met as
newcomers and, as before, as steady strangers. `--json OUT` keeps everything.

Method and constants were chosen on seeds 100 to 103; seeds from 200 on are for reporting.
"""

import argparse
import json
import os
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import newcomer_rivals as rivals
import numpy as np
import polars as pl
import polars.selectors as cs
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from persona_platform.calendars.slots import calendar
from persona_platform.fleet import FleetSpec, generate
from persona_platform.forecasting.mixture import mixture_demand
from persona_platform.frames import TS
from persona_platform.outlook.model import OutlookModel, fit_outlook
from persona_platform.outlook.simulate import simulate
from persona_platform.outlook.state import current_state
from persona_platform.personas.assignment import play
from persona_platform.personas.catalog import Catalog
from persona_platform.personas.learning import learn
from persona_platform.personas.newcomers.labels import LABELS, with_prefix
from persona_platform.personas.newcomers.meeting import newcomer_quantiles
from persona_platform.personas.newcomers.peers import no_peers
from persona_platform.personas.newcomers.places import marked_line
from persona_platform.personas.portrait.drawing import SLA

SLOT = timedelta(minutes=15)
PER_DAY = 96
KNOWN_DAYS, STARTS, AGES = 42, 8, (0, 24, 96, 192, 672)
UNDER_48H = (0, 24, 96)
END = datetime(2026, 4, 27, tzinfo=UTC)
GOAL = 0.9
NAMES = ("ours", "global model", "own so far", "pool by hour")


@dataclass(frozen=True)
class Scene:
    """A generated fleet, who is young in it, and what was learned from the others."""

    needs: pl.DataFrame
    workloads: pl.DataFrame
    calendar: pl.DataFrame
    start: datetime
    young: list[str]
    catalog: Catalog
    outlook: OutlookModel
    panel: rivals.Panel

    @property
    def ids(self) -> list[str]:
        """All workloads, in the order of the panel."""
        return self.workloads["workload_id"].to_list()

    def phase(self, start: int, age: int) -> tuple[datetime, pl.DataFrame]:
        """The origin, and what was read of the young before it."""
        first = self.start + start * SLOT
        origin = first + age * SLOT
        seen = (pl.col("slot") >= first) & (pl.col("slot") < origin)
        return origin, self.needs.filter(pl.col("workload_id").is_in(self.young) & seen)


def scene(seed: int, workloads: int, *, few_labels: bool, drawn: int | None = None) -> Scene:
    """Generates a fleet and learns from its known part."""
    days = KNOWN_DAYS + 15
    fleet = generate(replace(FleetSpec.ending(END, days, seed=seed, workloads=workloads), drawn=drawn))
    start = END - timedelta(days=days)
    people = fleet.workloads.sort("workload_id")
    needs = (
        fleet.samples.filter(pl.col("metric").is_in(["cpu_cores", "mem_bytes", "gpus"]))
        .group_by("workload_id", "metric", slot=pl.col("ts").dt.truncate("15m").cast(TS))
        .agg(pl.col("value").mean())
        .pivot(on="metric", index=["workload_id", "slot"], values="value")
        .with_columns(saturated=pl.lit(value=False))
        .select("workload_id", "slot", "saturated", cs.by_name("cpu_cores", "mem_bytes", "gpus", require_all=False))
    )
    if few_labels:
        number = dict(zip(people["workload_id"], (f"{i:04d}" for i in range(people.height)), strict=True))
        people = people.with_columns(pl.col("workload_id").replace_strict(number), team=pl.lit(""))
        needs = needs.with_columns(pl.col("workload_id").replace_strict(number))
    needs = needs.sort("workload_id", "slot")
    year = calendar(
        people["timezone"].unique(), start - timedelta(days=1), END + timedelta(days=2), SLOT,
        events=fleet.events, countries=["US", "DE", "IN"],
    )  # fmt: skip
    chosen = np.random.default_rng(seed).choice(people.height, round(0.3 * people.height), replace=False)
    young = people["workload_id"].gather(np.sort(chosen)).to_list()
    until = start + timedelta(days=KNOWN_DAYS)
    known = needs.filter(~pl.col("workload_id").is_in(young) & (pl.col("slot") < until))
    learned = learn(known, people, year, slot=SLOT, previous=None, seed=0)
    outlook = fit_outlook(learned.activations, learned.catalog.patterns, people, year, slot=SLOT, until=until, seed=0)
    panel = panel_of(needs, people, year, start, days * PER_DAY)
    return Scene(needs, people, year, start, young, learned.catalog, outlook, panel)


def panel_of(
    needs: pl.DataFrame, workloads: pl.DataFrame, year: pl.DataFrame, start: datetime, slots: int
) -> rivals.Panel:
    """The fleet as the rivals see it, with the calendar of every slot, read or not."""
    times = pl.DataFrame({"slot": pl.Series([start + i * SLOT for i in range(slots)], dtype=TS)})
    grid = workloads.select("workload_id").join(times, how="cross").with_columns(saturated=pl.lit(value=False))
    line = marked_line(
        grid.join(needs.select("workload_id", "slot", "cpu_cores"), on=["workload_id", "slot"], how="left"),
        workloads,
        year,
        SLOT,
    )
    shape = (workloads.height, slots)
    names = sorted(line["mark"].unique())
    labels = workloads.select("workload_id").join(with_prefix(workloads), on="workload_id", maintain_order="left")
    return rivals.Panel(
        need=line["cpu_cores"].fill_null(float("nan")).to_numpy().reshape(shape),
        hour=(line["phase"].to_numpy() * 24.0 / PER_DAY).reshape(shape),
        weekday=(line["hour_of_week"].to_numpy() // 24).reshape(shape),
        off=line["off_day"].to_numpy().reshape(shape),
        mark=line["mark"].replace_strict({n: i for i, n in enumerate(names)}).to_numpy().reshape(shape),
        labels=labels.select(LABELS).to_numpy().astype(str),
        kappa=workloads["tier"].replace_strict(SLA).to_numpy(),
        pool=workloads["pool"].to_numpy().astype(str),
        per_day=PER_DAY,
    )


def starts() -> np.ndarray:
    """Instants spread over the week after the known part, at odd hours of its days."""
    return KNOWN_DAYS * PER_DAY + np.arange(STARTS) * (7 * PER_DAY // STARTS)


def asked_cases(case: Scene) -> rivals.Cases:
    """Every young workload at every start and age, a day ahead."""
    who = np.array([case.ids.index(name) for name in case.young])
    grid = np.meshgrid(np.array(AGES), starts(), who, np.arange(PER_DAY), indexing="ij")
    age, start, w, lead = (values.ravel() for values in grid)
    return rivals.Cases(w, start, age, lead)


def ours(case: Scene) -> np.ndarray:
    """Our quantiles, in the order of :func:`asked_cases`."""
    tables = case.catalog.peer_tables
    assert tables is not None
    people = case.workloads.filter(pl.col("workload_id").is_in(case.young))
    levels = np.unique(case.panel.kappa)
    column = np.searchsorted(levels, people["tier"].replace_strict(SLA).to_numpy())
    found = []
    for age in AGES:
        for start in starts():
            origin, seen = case.phase(int(start), age)
            said = newcomer_quantiles(
                tables, people, seen, case.calendar, slot=SLOT, origin=origin, slots=PER_DAY, quantiles=levels.tolist()
            )
            main = said.filter(pl.col("need") == "cpu_cores")["value"].to_numpy()
            found.append(main.reshape(people.height, PER_DAY, len(levels))[np.arange(people.height), :, column])
    return np.stack(found).ravel()


def pinball(observed: np.ndarray, said: np.ndarray, level: np.ndarray | float) -> np.ndarray:
    """Pinball loss, NaN where nothing was observed."""
    return np.where(observed >= said, level * (observed - said), (1 - level) * (said - observed))


def scores(case: Scene, seed: int) -> dict[str, dict[int, dict[str, float]]]:
    """By method and age: relative pinball, plain pinball and the share of slots covered."""
    cases, panel = asked_cases(case), case.panel
    known = np.flatnonzero(~np.isin(case.ids, case.young))
    until = KNOWN_DAYS * PER_DAY
    by_hour = rivals.pool_by_hour(panel, known, until, cases)
    said = {
        "ours": ours(case),
        "global model": rivals.global_model(panel, known, until, list(AGES), cases, seed),
        "own so far": rivals.own_so_far(panel, cases, by_hour),
        "pool by hour": by_hour,
    }
    observed, mean = panel.need[cases.w, cases.at], np.nanmean(panel.need[:, until:], axis=1)[cases.w]
    found: dict[str, dict[int, dict[str, float]]] = {}
    for name, values in said.items():
        loss = pinball(observed, values, panel.kappa[cases.w])
        found[name] = {
            age: {
                "relative": float(np.nanmean((loss / mean)[cases.age == age])),
                "plain": float(np.nanmean(loss[cases.age == age])),
                "covered": float(np.mean((values >= observed)[(cases.age == age) & ~np.isnan(observed)])),
            }
            for age in AGES
        }
    return found


def mixture_scores(case: Scene, paths: int = 128) -> dict[str, dict[int, float]]:
    """The persona mixture's pinball of each pool's young demand over its mean, with and without newcomers."""
    people = case.workloads.filter(pl.col("workload_id").is_in(case.young))
    pools = people["pool"].unique().sort().to_list()
    targets = pl.DataFrame({"target": pools, "pool": pools, "kappa": 0.95, "hold_slots": 1})
    units = pl.DataFrame({"target": pools, "need": "cpu_cores", "amount": 1.0})
    demand = (
        case.needs.join(people.select("workload_id", target="pool"), on="workload_id")
        .group_by("target", "slot")
        .agg(observed=pl.col("cpu_cores").sum())
    )
    usual = demand.group_by("target").agg(mean=pl.col("observed").mean())
    found: dict[str, dict[int, float]] = {}
    for name, catalog in (("newcomers", case.catalog), ("strangers", replace(case.catalog, peers=no_peers()))):
        found[name] = {}
        for age in AGES[1:]:
            losses = []
            for start in starts()[::4]:
                origin, seen = case.phase(int(start), age)
                played = play(seen, people, case.calendar, catalog)
                assert played.newcomers is not None
                new = played.newcomers
                state = current_state(played.activations, new.known_as(catalog.patterns), origin, SLOT)
                future = simulate(
                    case.outlook, state, people, case.calendar, origin, PER_DAY, paths, 0, roles=new.roles
                )
                said = mixture_demand(
                    future, seen, played.membership, catalog, people, targets, units,
                    origin=origin, slot=SLOT, seed=0, newcomers=new.sizes,
                )  # fmt: skip
                both = said.demand.join(demand, on=["target", "slot"]).join(usual, on="target")
                losses.append(
                    np.mean(
                        pinball(both["observed"].to_numpy(), both["q_kappa"].to_numpy(), 0.95) / both["mean"].to_numpy()
                    )
                )
            found[name][age] = float(np.mean(losses))
    return found


def hours(age: int) -> str:
    """An age in words."""
    return f"{age // 4} h" if age < 2 * PER_DAY else f"{age // PER_DAY} d"


def shown(results: list[dict], console: Console) -> float:
    """Prints the tables; returns ours to the global model under 48 h."""
    table = Table(title=f"Pinball over the workload's mean need, the next 24 h, mean of {len(results)} fleets")
    for column in ("age", *NAMES, "ours / global", "worst fleet", "plain sums", "covered"):
        table.add_column(column, justify="right")

    def mean(name: str, ages: tuple[int, ...], what: str) -> np.ndarray:
        return np.array([np.mean([r["scores"][name][age][what] for age in ages]) for r in results])

    for title, ages in [*((hours(age), (age,)) for age in AGES), ("under 48 h", UNDER_48H)]:
        relative = {name: mean(name, ages, "relative") for name in NAMES}
        plain = mean("ours", ages, "plain").mean() / mean("global model", ages, "plain").mean()
        table.add_row(
            title,
            *(f"{relative[name].mean():.4f}" for name in NAMES),
            f"{relative['ours'].mean() / relative['global model'].mean():.3f}",
            f"{(relative['ours'] / relative['global model']).max():.3f}",
            f"{plain:.3f}",
            f"{mean('ours', ages, 'covered').mean():.3f}",
        )
    console.print(table)
    pools = Table(title="Demand of a pool's young workloads by the persona mixture: 0.95 pinball over mean demand")
    for column in ("age", "newcomers", "strangers", "ratio"):
        pools.add_column(column, justify="right")
    for age in AGES[1:]:
        pair = [np.mean([r["mixture"][name][age] for r in results]) for name in ("newcomers", "strangers")]
        pools.add_row(hours(age), *(f"{value:.4f}" for value in pair), f"{pair[0] / pair[1]:.3f}")
    console.print(pools)
    ours_now, rival = (mean(name, UNDER_48H, "relative").mean() for name in NAMES[:2])
    met = "reached" if ours_now <= GOAL * rival else "missed"
    console.print(f"Under 48 h: {ours_now / rival:.3f} of the global model; goal at most {GOAL}: {met}.")
    return float(ours_now / rival)


def seeds_of(text: str) -> list[int]:
    """``201-204,300`` as numbers."""
    found: list[int] = []
    for part in text.split(","):
        first, _, last = part.partition("-")
        found += range(int(first), int(last or first) + 1)
    return found


def main() -> None:
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--seeds", default="201-206")
    words.add_argument("--workloads", type=int, default=96)
    words.add_argument("--labels", choices=("all", "few"), default="all")
    words.add_argument("--drawn", type=int, help="archetypes that each fleet's seed draws, instead of the usual ones")
    words.add_argument("--json", type=Path)
    asked = words.parse_args()
    console, results = Console(width=140), []
    with Progress(console=console, transient=True) as progress:
        seeds = seeds_of(asked.seeds)
        bar = progress.add_task("fleets", total=3 * len(seeds))
        for seed in seeds:
            case = scene(seed, asked.workloads, few_labels=asked.labels == "few", drawn=asked.drawn)
            progress.advance(bar)
            found = {"seed": seed, "scores": scores(case, seed)}
            progress.advance(bar)
            found["mixture"] = mixture_scores(case)
            progress.advance(bar)
            results.append(found)
    ratio = shown(results, console)
    if asked.json:
        head = {
            "labels": asked.labels,
            "drawn": asked.drawn,
            "workloads": asked.workloads,
            "under_48h": ratio,
            "goal": GOAL,
        }
        asked.json.write_text(json.dumps({**head, "fleets": results}, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
