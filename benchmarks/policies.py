"""Every policy over the development traces: one table, the losing rows included.

`python benchmarks/policies.py TRACES --out FOLDER` replays each series at each lead time (5 and 15 minutes, one step
for coarser data) with `persona replay`'s own code, models learned anew weekly, and writes FOLDER/policies.md. A
stopped run goes on where it was; `--only crane` runs the cases with such a name. `--dead-band` and `--min-history-days`
try other limits for ours: that is where their defaults come from.

Costs are read off each policy's frontier at equal unserved share, settings picked in hindsight for all alike. Intervals
are of a paired bootstrap: series are drawn with replacement, and within each its days. Series of one owner, and days
that follow each other, are taken as independent, so the intervals are rather too narrow.
"""

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl

from persona_platform.capacity.limits import Limits, limits_frame
from persona_platform.capacity.targets import Target
from persona_platform.errors import InputError
from persona_platform.replay.bootstrap import level_costs
from persona_platform.replay.cases import Case, CaseOptions, read_case
from persona_platform.replay.forward import Walking
from persona_platform.replay.run import NAMES, ReplayOptions, replay
from persona_platform.replay.scores import LEVELS, Comparison
from persona_platform.replay.terms import Terms

FIVE = timedelta(minutes=5)
LEADS = (timedelta(minutes=5), timedelta(minutes=15))
NOW = datetime(2026, 1, 1, tzinfo=UTC)
REPLICATES = 500
CRANE = ("00", "01", "02", "05", "07", "10", "12", "14")
POOLS = (20, 20, 30, 50, 100, 200)


HEAD = (
    "Made by `python benchmarks/policies.py TRACES --out FOLDER`. Median over series of the cost at equal unserved "
    "share, [95 % interval of a paired bootstrap over series and days]; in brackets the series that both reach, where "
    "not all. Below 1, ours is cheaper. Gap closed: from tuned reactive (0) to knowing the future (1). A series left "
    "alone counts as plain reactive. All settings are picked in hindsight, for every policy alike."
)


@dataclass(frozen=True)
class Subject:
    """A case of the table: a data set's series, of which each that has its own time span is replayed by itself."""

    name: str
    file: str
    options: CaseOptions


def subjects(out: Path, traces: Path) -> Iterator[Subject]:
    """What is replayed."""
    five = CaseOptions(slot=FIVE)
    yield Subject("nasa_http_1995", "nasa_http_1995", replace(five, metric="requests"))
    yield Subject("worldcup98", "worldcup98", replace(five, metric="requests"))
    yield Subject("azure2019_region", "azure2019_region", replace(five, metric="cpu_raw_sum"))
    for number in CRANE:
        yield Subject("crane_series", "crane_series", replace(five, include=(f"series{number}",)))
    yield Subject("smd_machines", "smd_machines", replace(five, metric="cpu_norm"))
    yield Subject("nab nyc_taxi", "nab_aws", CaseOptions(metric="active_users", include=("*taxi*",)))
    yield Subject("bikeshare", "bikeshare_dc_weather", CaseOptions(metric="active_users"))
    yield Subject("metro_traffic", "metro_traffic_weather", CaseOptions(metric="requests"))
    airports = CaseOptions(metric="departures", include=("airport_*",))
    yield Subject("nyc_flights airports", "nyc_flights_weather", airports)
    yield from _pools(out, traces)
    yield Subject("google2011_job_arrivals", "google2011_job_arrivals", replace(five, metric="jobs"))
    yield Subject("alibaba_genai_requests", "alibaba_genai_requests", CaseOptions(metric="requests", include=("all",)))
    yield Subject("nasa_ipsc_1993", "nasa_ipsc_1993", CaseOptions(metric="cpu_cores"))


def _pools(out: Path, traces: Path) -> Iterator[Subject]:
    """Pools of 20 to 200 of the virtual machines, drawn with a seed; a machine may be in several."""
    file = traces / "bitbrains_faststorage_5m.parquet"
    ids = pl.scan_parquet(file, glob=False).select(pl.col("workload_id").unique().sort()).collect()["workload_id"]
    rng = np.random.default_rng(0)
    for number, size in enumerate(POOLS):
        members = sorted(rng.choice(ids.to_list(), size, replace=False))
        labels = out / f"pool{size}-{number}.csv"
        pl.DataFrame({"workload_id": members, "pool": f"pool{size}_{number}"}).write_csv(labels)
        options = CaseOptions(metric="cpu_pct", slot=FIVE, include=tuple(members), group_by="pool", workloads=labels)
        yield Subject("bitbrains pools", "bitbrains_faststorage_5m", options)


@dataclass(frozen=True)
class Series:
    """One target at one lead time: unit-hours by policy at each level, as measured and in each replicate."""

    subject: str
    target: str
    lead: timedelta
    left_alone: bool
    costs: dict[str, np.ndarray]  # (levels, 1 + replicates)


def replayed(case: Case, lead: timedelta, folder: Path, limits: Limits) -> Comparison:
    """The case with all policies."""
    names = case.sizing.targets["target"].to_list()
    options = ReplayOptions(
        terms=Terms(lead),
        limits=limits_frame([Target(name, name, limits=limits) for name in names]),
        walking=Walking(refit_every=timedelta(days=7)),
        activations=0,
        files=False,
        variants=False,
    )
    return replay(case, options, folder, lambda *_: None)


def series_of(subject: str, lead: timedelta, comparison: Comparison) -> list[Series]:
    """The costs of every target, each with days of its own drawn."""
    days = len(next(iter(comparison.outcomes.values())).blocks[0].measured.days)
    found = []
    for number, target in enumerate(comparison.targets):
        rng = np.random.default_rng([number, days])
        drawn = np.ones((1 + REPLICATES, days))
        drawn[1:] = rng.multinomial(days, np.full(days, 1 / days), size=REPLICATES)
        costs = {
            name: level_costs(outcome, comparison.targets, LEVELS, drawn)[:, number]
            for name, outcome in comparison.outcomes.items()
        }
        found.append(Series(subject, target, lead, target in comparison.left_alone, costs))
    return found


def median_with_interval(values: np.ndarray, seed: int = 0) -> tuple[float, float, float, int]:
    """Median over series of (series, 1 + replicates), its 95 % interval, and how many series have a value."""
    known = values[np.isfinite(values[:, 0])]
    if not len(known):
        return (float("nan"),) * 3 + (0,)
    rng = np.random.default_rng(seed)
    drawn = rng.integers(0, len(known), (REPLICATES, len(known)))
    redone = [np.nanmedian(known[rows, 1 + i]) for i, rows in enumerate(drawn) if np.isfinite(known[rows, 1 + i]).any()]
    low, high = np.quantile(redone, [0.025, 0.975])
    return float(np.median(known[:, 0])), float(low), float(high), len(known)


def ratio(series: Sequence[Series], rival: str, level: int) -> np.ndarray:
    """(series, 1 + replicates) cost of ours to the rival's."""
    return np.stack([s.costs["ours"][level] / s.costs[rival][level] for s in series])


def gap(series: Sequence[Series], level: int) -> np.ndarray:
    """(series, 1 + replicates) of the way from tuned reactive to the clairvoyant."""
    rows = []
    for one in series:
        tuned, bound = one.costs["reactive_tuned"][level], one.costs["clairvoyant"][level]
        way = np.where(tuned - bound > 0.001 * tuned, tuned - bound, np.nan)
        rows.append((tuned - one.costs["ours"][level]) / way)
    return np.stack(rows)


def told(values: np.ndarray, total: int) -> str:
    """A median with its interval, and of how many series where not of all."""
    value, low, high, known = median_with_interval(values)
    if not known:
        return "not reached"
    among = "" if known == total else f" ({known}/{total})"
    return f"{value:.2f} [{low:.2f}, {high:.2f}]{among}"


def table(series: Sequence[Series], level: int) -> list[str]:
    """The table of one unserved share, a row for each data set and lead, and one over all of a lead."""
    rivals = ("reactive_tuned", "last_value", "seasonal_naive", "aws_predictive", "reactive", "clairvoyant")
    lines = [
        "| data | lead | series | left alone | gap closed | "
        + " | ".join(f"ours / {rival}" for rival in rivals)
        + " |",
        "|" + "---|" * (5 + len(rivals)),
    ]
    groups = list(dict.fromkeys((s.subject, s.lead) for s in series))
    rows: list[tuple[str, timedelta | None, list[Series]]] = [
        (name, lead, [s for s in series if (s.subject, s.lead) == (name, lead)]) for name, lead in groups
    ]
    fine = [s for s in series if s.lead in LEADS]
    rows += [("**all of this lead**", lead, [s for s in fine if s.lead == lead]) for lead in LEADS]
    rows.append(("**all**", None, list(series)))
    for name, lead, some in (row for row in rows if row[2]):
        alone = sum(s.left_alone for s in some)
        cells = [told(gap(some, level), len(some)), *(told(ratio(some, rival, level), len(some)) for rival in rivals)]
        length = f"{lead.total_seconds() / 60:.0f} min" if lead else ""
        lines.append(f"| {name} | {length} | {len(some)} | {alone} | " + " | ".join(cells) + " |")
    return lines


def wins(series: Sequence[Series], level: int) -> list[str]:
    """Won, lost (by more than 1 %) and level series against each other policy."""
    lines = ["| against | cheaper | dearer | same | only ours reaches | only it reaches |", "|" + "---|" * 6]
    for rival in (name for name in NAMES if name not in ("ours", "clairvoyant")):
        found = ratio(series, rival, level)[:, 0]
        ours = np.array([np.isfinite(s.costs["ours"][level][0]) for s in series])
        its = np.array([np.isfinite(s.costs[rival][level][0]) for s in series])
        cheaper, dearer = int((found < 0.99).sum()), int((found > 1.01).sum())
        same = int(np.isfinite(found).sum()) - cheaper - dearer
        lines.append(f"| {rival} | {cheaper} | {dearer} | {same} | {(ours & ~its).sum()} | {(its & ~ours).sum()} |")
    return lines


def losing(series: Sequence[Series], level: int) -> list[str]:
    """Every series at which ours is dearer by more than 1 % than tuned reactive, last value or seasonal naive."""
    lines = []
    for one in series:
        over = {
            rival: one.costs["ours"][level][0] / one.costs[rival][level][0]
            for rival in ("reactive_tuned", "last_value", "seasonal_naive")
        }
        worse = [f"{rival} {value:.2f}" for rival, value in over.items() if value > 1.01]
        if worse:
            alone = ", left alone" if one.left_alone else ""
            minutes = one.lead.total_seconds() / 60
            lines.append(f"- {one.subject} {one.target}, {minutes:.0f} min{alone}: {', '.join(worse)}")
    return lines


def page(series: Sequence[Series]) -> str:
    """The whole page, in Markdown."""
    parts = ["# Policies on the development traces", HEAD]
    for number, level in enumerate(LEVELS):
        parts += [
            f"## At {level:.1%} of demand unserved".replace(".0%", "%").replace("%", " %"),
            "\n".join(table(series, number)),
            "\n".join(wins(series, number)),
            "Where ours loses by more than 1 %:\n\n" + ("\n".join(losing(series, number)) or "nowhere"),
        ]
    return "\n\n".join(parts) + "\n"


def main() -> None:
    """Replays what the command line names and writes the page."""
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("traces", type=Path)
    words.add_argument("--out", type=Path, required=True)
    words.add_argument("--only", default="")
    words.add_argument("--lead", type=int, help="minutes: replay only at this lead time, where there are two")
    words.add_argument("--dead-band", type=float, default=Limits.dead_band, help="of ours, instead of the default")
    words.add_argument("--min-history-days", type=float, help="of ours, instead of the default")
    asked = words.parse_args()
    history = Limits.min_history if asked.min_history_days is None else timedelta(days=asked.min_history_days)
    limits = Limits(dead_band=asked.dead_band, min_history=history)
    asked.out.mkdir(parents=True, exist_ok=True)
    series: list[Series] = []
    for number, subject in enumerate(subjects(asked.out, asked.traces)):
        if asked.only not in subject.name:
            continue
        try:
            case = read_case([asked.traces / f"{subject.file}.parquet"], subject.options, now=NOW)
        except InputError as fault:
            print(f"{subject.name}: {fault}", flush=True)
            continue
        leads = [lead for lead in LEADS if lead >= case.history.slot] or [case.history.slot]
        for lead in leads:
            if asked.lead and len(leads) > 1 and lead != timedelta(minutes=asked.lead):
                continue
            if asked.lead and len(leads) == 1 and timedelta(minutes=asked.lead) != LEADS[-1]:
                continue
            folder = asked.out / f"{number:02}-{subject.name.replace(' ', '-')}-{lead.total_seconds() / 60:.0f}min"
            comparison = replayed(case, lead, folder, limits)
            series += series_of(subject.name, lead, comparison)
            targets = ", ".join(comparison.targets[:3])
            print(f"{subject.name} {targets} at {lead}: gap closed {told(gap(series[-1:], 1), 1)}", flush=True)
    (asked.out / "policies.md").write_text(page(series), encoding="utf-8")


if __name__ == "__main__":
    main()
