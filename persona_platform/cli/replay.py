"""``persona replay``: what the platform would have done on recorded history, beside what people use today."""

import math
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, Self

import click
import polars as pl
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from persona_platform.cli.options import Duration, Instant, err, frame_table, json_option, out, print_json
from persona_platform.errors import InputError
from persona_platform.settings import find_project

POLICY_NAMES: Final = (
    *("static", "reactive", "reactive_tuned", "last_value", "histogram", "aws_predictive", "previous_day"),
    *("seasonal_naive", "ours", "clairvoyant"),
)

_OF_FILES: Final = (
    ("unit", "--unit", "auto"),
    ("group_by", "--group-by", "workload"),
    ("timezone", "--timezone", "UTC"),
)
"""Options with a default that say nothing of a project's own warehouse."""

TOLD: Final = (0.01, 0.05)
"""Unserved shares of which the first that can be compared is told."""


class Unit(click.ParamType):
    """``auto``, or an amount above 0."""

    name = "auto|amount"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float | str:
        """Parses, or fails with the sentence that says how to write it."""
        if value == "auto" or isinstance(value, float):
            return value
        try:
            return float(value)
        except ValueError:
            self.fail(f"{value!r} is neither auto nor an amount of the metric, for instance 4.", param, ctx)


class TwoPrices(click.ParamType):
    """``UNDER:OVER``: money of an unserved and of an idle unit-hour."""

    name = "under:over"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[float, float]:
        """Parses, or fails with the sentence that says how to write it."""
        if isinstance(value, tuple):
            return value
        try:
            under, over = (float(part) for part in str(value).split(":"))
        except ValueError:
            self.fail(
                f"{value!r} is not UNDER:OVER, the prices of an unserved and an idle unit-hour, as 19:1.", param, ctx
            )
        if not (0 < under < math.inf and 0 < over < math.inf):
            self.fail(f"Both prices must be above 0, and finite; they are {under:g} and {over:g}.", param, ctx)
        return under, over


@click.command()
@click.option(
    "--data",
    multiple=True,
    type=click.Path(path_type=Path),
    help="Sample files or folders; without: the project's warehouse.",
)
@click.argument("more", nargs=-1, type=click.Path(path_type=Path), metavar="[PATH]...")
@click.option("--out", "folder", type=click.Path(file_okay=False, path_type=Path), help="Where the results go.")
@click.option("--metric", help="Metric to replay; default: the first present of cpu, memory, gpus, requests, ...")
@click.option("--include", multiple=True, help="Only workloads (of a warehouse: targets) with such ids, as 'web-*'.")
@click.option(
    "--group-by",
    type=click.Choice(["workload", "dataset", "pool"]),
    default="workload",
    show_default=True,
    help="What becomes one target.",
)
@click.option(
    "--unit",
    type=Unit(),
    default="auto",
    show_default=True,
    help="Amount of the metric in one unit; auto: a twentieth of the mean demand.",
)
@click.option("--slot", type=Duration(), help="Step of the replay; default: the data's own.")
@click.option(
    "--lead-time",
    "leads",
    type=Duration(),
    multiple=True,
    help="From request to usable capacity; several are drawn at random.  [default: 5m]",
)
@click.option(
    "--prices", type=TwoPrices(), help="Money of an unserved and an idle unit-hour; sets what ours plans for."
)
@click.option("--from", "start", type=Instant(), help="Only readings from here on.")
@click.option("--to", "end", type=Instant(), help="Only readings before.")
@click.option(
    "--train-share",
    type=click.FloatRange(0.05, 0.95),
    default=0.6,
    show_default=True,
    help="Share of the time that is learned from and not scored.",
)
@click.option("--policies", help=f"Some of {', '.join(POLICY_NAMES)}; default: all.")
@click.option("--settings", type=click.IntRange(1), help="At most so many settings of each policy; default: all.")
@click.option("--refit", default="1d", show_default=True, help="How often models are learned anew; none: once.")
@click.option(
    "--routes",
    type=click.Choice(["direct", "all"]),
    help="all is the whole live forecast; direct leaves the simulated personas out and is much faster. Default: "
    "direct with --data, else all.",
)
@click.option(
    "--plan-every",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    help="Slots between two plans, with --routes all.",
)
@click.option("--billing", type=Duration(), help="A started unit is paid for whole multiples of this.")
@click.option(
    "--start-price", type=click.FloatRange(0), default=0.0, show_default=True, help="Unit-hours charged for a start."
)
@click.option("--scale-in-after", type=Duration(), help="Sizes fall only to the largest asked for within this long.")
@click.option(
    "--min", "minimum", type=click.IntRange(0), default=0, show_default=True, help="Units that no policy goes below."
)
@click.option("--max", "maximum", type=click.IntRange(0), help="Units that no policy goes above.")
@click.option("--backlog", is_flag=True, help="Unserved work waits and comes back.")
@click.option(
    "--activations",
    type=click.IntRange(0),
    default=24,
    show_default=True,
    help="Origins at which the outlook is judged; 0: not at all.",
)
@click.option("--act-on-all", is_flag=True, help="Act on targets too that training says are better left alone.")
@click.option("--timezone", default="UTC", show_default=True, help="Zone of workloads whose labels name none.")
@click.option("--holidays", multiple=True, help="Countries whose public holidays count, as US or DE-BE.")
@click.option("--events", multiple=True, type=click.Path(path_type=Path), help="Calendars (CSV, iCal).")
@click.option("--workloads", type=click.Path(path_type=Path), help="Labels of workloads (CSV).")
@click.option("--seed", default=0, show_default=True)
@click.option("--check-live", is_flag=True, help="Make every decision of the project's ledger again and compare.")
@json_option
def replay(
    more: tuple[Path, ...], data: tuple[Path, ...], folder: Path | None, check_live: bool, as_json: bool, **asked: Any
) -> None:
    """Replay recorded history with the live decision, beside the policies that people use today.

    Without --data the project's own warehouse is replayed. A stopped replay goes on where it was.
    """
    if check_live:
        from persona_platform.cli.check_live import check_live as remake

        raise SystemExit(remake(find_project(), err, as_json=as_json))
    if folder is None:
        raise InputError("Say where the results go: --out DIR.")
    if more and not data:
        raise InputError(f"{more[0]} is not named by an option; give files with --data {more[0]}.")
    # What is wrong on the command line is said before files are read for minutes.
    asked |= {"policies": _policies(asked["policies"]), "refit": _refit(asked["refit"]), "terms": _terms(asked)}
    if asked["start"] and asked["end"] and asked["start"] >= asked["end"]:
        raise InputError(f"--from {asked['start']} must come before --to {asked['end']}.")
    run = _from_files if data else _from_warehouse
    comparison = run([*data, *more], folder, asked)
    found = _summary(folder)
    if as_json:
        print_json(found)
        return
    _tell(found, comparison.left_alone, folder)


def _from_files(paths: list[Path], folder: Path, asked: dict[str, Any]) -> Any:
    from persona_platform.capacity.limits import Limits, limits_frame
    from persona_platform.capacity.targets import Prices, Target
    from persona_platform.capacity.targets import Unit as OneUnit
    from persona_platform.replay.cases import CaseOptions, read_case

    prices = asked["prices"]
    options = CaseOptions(
        metric=asked["metric"],
        include=asked["include"],
        group_by=asked["group_by"],
        unit=None if asked["unit"] == "auto" else asked["unit"],
        slot=asked["slot"],
        start=asked["start"],
        end=asked["end"],
        train_share=asked["train_share"],
        timezone=asked["timezone"],
        countries=asked["holidays"],
        workloads=asked["workloads"],
        events=asked["events"],
        prices=Prices(*prices) if prices else None,
    )
    with _bar() as bar:
        case = read_case(paths, options, now=datetime.now(UTC), progress=bar.reading)
        over = prices[1] if prices else 1.0
        names = case.sizing.targets["target"].to_list()
        limits = limits_frame(
            [Target(name, name, unit=OneUnit(price_per_hour=over), limits=Limits()) for name in names]
        )
        source = f"{', '.join(path.name for path in paths)}: {case.metric}"
        return _run(case, limits, asked, folder, source, bar, routes=asked["routes"] or "direct")


def _from_warehouse(_: list[Path], folder: Path, asked: dict[str, Any]) -> Any:
    from persona_platform.cli.own_history import own_case

    project = find_project()
    of_files = {"metric": "--metric", "slot": "--slot", "prices": "--prices", "workloads": "--workloads"}
    of_files |= {"events": "--events", "holidays": "--holidays"}
    given = [option for name, option in of_files.items() if asked[name]]
    given += [option for name, option, plain in _OF_FILES if asked[name] != plain]
    if given:
        raise InputError(f"{given[0]} is for files given with --data; a project says it in {project.config}.")
    with _bar() as bar:
        case, limits = own_case(
            project,
            include=asked["include"],
            start=asked["start"],
            end=asked["end"],
            train_share=asked["train_share"],
        )
        name = project.settings().project.name
        return _run(case, limits, asked, folder, name, bar, routes=asked["routes"] or "all")


def _run(
    case: Any, limits: pl.DataFrame, asked: dict[str, Any], folder: Path, source: str, bar: "_Bar", *, routes: Any
) -> Any:
    from persona_platform.replay.forward import Walking
    from persona_platform.replay.run import ReplayOptions
    from persona_platform.replay.run import replay as run_replay

    for note in case.notes:
        err.print(note, soft_wrap=True)
    options = ReplayOptions(
        terms=asked["terms"],
        limits=limits,
        walking=Walking(refit_every=asked["refit"], routes=routes, plan_every=asked["plan_every"], seed=asked["seed"]),
        policies=asked["policies"],
        prices=dict(limits.select("target", "price_per_hour").iter_rows()),
        activations=asked["activations"],
        judged=not asked["act_on_all"],
        settings=asked["settings"],
        source=source,
    )
    return run_replay(case, options, folder, bar.stage)


def _terms(asked: dict[str, Any]) -> Any:
    from persona_platform.replay.terms import Terms

    leads = asked["leads"] or (timedelta(minutes=5),)
    nothing = timedelta(0)
    return Terms(
        lead_time=leads[0],
        lead_times=tuple(leads) if len(leads) > 1 else (),
        billing_quantum=asked["billing"] or nothing,
        start_price=asked["start_price"],
        scale_in_after=asked["scale_in_after"] or nothing,
        minimum=asked["minimum"],
        maximum=asked["maximum"],
        backlog=asked["backlog"],
        seed=asked["seed"],
    )


def _refit(words: str) -> timedelta | None:
    from persona_platform.settings import parse_duration

    if words == "none":
        return None
    every = parse_duration(words)
    if every <= timedelta(0):
        raise InputError(f"--refit {words} is no time at all; give a time such as 1d, or none to learn once.")
    return every


def _policies(words: str | None) -> tuple[str, ...]:
    if words is None:
        return POLICY_NAMES
    names = tuple(name.strip() for name in words.split(",") if name.strip())
    if unknown := [name for name in names if name not in POLICY_NAMES]:
        raise InputError(f"There is no policy {unknown[0]}; choose among {', '.join(POLICY_NAMES)}.")
    if not names:
        raise InputError(f"--policies names none; choose among {', '.join(POLICY_NAMES)}.")
    return names


def _summary(folder: Path) -> dict[str, Any]:
    import json

    return json.loads((folder / "summary.json").read_text(encoding="utf-8"))


def _tell(found: dict[str, Any], left_alone: tuple[str, ...], folder: Path) -> None:
    """The answer in a table: ours against each rival at 1 % unserved, or at 5 % where nobody reaches that."""
    from persona_platform.replay.numbers import percent
    from persona_platform.replay.sections_replay_words import ABOVE, UNLIMITED, title

    rows = [row for row in found["overall"] if row["rival"] not in (ABOVE, UNLIMITED)]
    level = next((level for level in TOLD if any(row["targets"] for row in rows if row["level"] == level)), None)
    if rows and level is None:
        out.print(
            f"Ours and the others never both serve all but {100 * TOLD[-1]:g} % of demand: at these settings there is "
            "nothing to compare.",
            soft_wrap=True,
        )
    if level is not None:
        shown = pl.DataFrame(
            [
                {
                    "ours against": title(row["rival"]),
                    "cost": percent(row["cost_ratio"]) if row["targets"] else None,
                    "gap closed": percent(row["gap_closed"]) if row["gap_closed"] is not None else None,
                    "cheaper": row["wins"],
                    "dearer": row["losses"],
                    "of targets": row["targets"],
                }
                for row in rows
                if row["level"] == level
            ]
        )
        said = f"Cost of ours in % of each, {100 * level:g} % of demand unserved, medians over targets"
        out.print(frame_table(said, shown, right=("cost", "gap closed")))
    if left_alone:
        out.print(f"Better left to their autoscaler, by their training data: {', '.join(left_alone)}.", soft_wrap=True)
    out.print(f"The whole answer is in {folder / 'report.html'}.", soft_wrap=True)


class _Bar:
    """A progress bar for each stage of the replay, on standard error."""

    def __init__(self, progress: Progress) -> None:
        self.progress = progress
        self._tasks: dict[str, TaskID] = {}

    def reading(self, file: str, done: int, of: int) -> None:
        """Rows of a file."""
        self.stage(f"Reading {Path(file).name}", done, of)

    def stage(self, what: str, done: int, of: int) -> None:
        """Where a stage is."""
        family = "Replaying" if what.startswith("Replaying") else what
        if family not in self._tasks:
            self._tasks[family] = self.progress.add_task(what, total=of or None)
        self.progress.update(self._tasks[family], description=what, completed=done, total=of or None)

    def __enter__(self) -> Self:
        self.progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.progress.stop()


def _bar() -> _Bar:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f} %"),
        TimeElapsedColumn(),
    )
    return _Bar(Progress(*columns, console=err, transient=True, disable=not err.is_terminal))
