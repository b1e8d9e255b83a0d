"""The published GIFT-Eval protocol on the two BizITObs files: nine configurations, CRPS over seasonal naive.

`python benchmarks/gift_eval.py --data FOLDER --json OUT` reads `bizitobs_l2c_5min.parquet` and
`bizitobs_application_10s.parquet` (long: metric, ts, value; each metric is a series). Horizons are 48 (minutes and
hours) or 60 steps (seconds) times 1, 10 and 15; windows W = min(max(1, ceil(0.1 x steps / horizon)), 20), at the end,
not overlapping. Ours is learned once from what lies before the windows (`fit_forecaster`), then asked at each window
with its whole past (`Forecaster.quantiles`): the functions that everyone else calls too.

CRPS = mean over the quantiles 0.1 .. 0.9 of 2 x sum(pinball) / sum(|y|) over all series, windows and steps; MASE of
the median over the seasonal error of the window's context; ND = sum(|error of the median|) / sum(|y|). The summary is
the geometric mean over configurations of CRPS over that of seasonal naive in the same run.

`--without-last 0.2` leaves off that share of every series first: for tuning, so that the last windows are run once.
"""

import argparse
import json
import math
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import timedelta
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import polars as pl
from rich.console import Console
from rich.progress import track
from rich.table import Table
from scipy.stats import norm

from persona_platform.forecasting import fit_forecaster

LEVELS = np.arange(1, 10) / 10
L2C, APPLICATION = "bizitobs_l2c_5min.parquet", "bizitobs_application_10s.parquet"
TERMS = {"short": 1, "medium": 10, "long": 15}
MOST_WINDOWS = 20


@dataclass(frozen=True)
class Dataset:
    """Series of one step; ``values`` is (series, steps), none missing."""

    name: str
    step: timedelta
    base: int
    season: int
    ids: list[str]
    first: pl.Series
    values: np.ndarray

    def history(self, until: int) -> pl.DataFrame:
        """``series_id, ts, value`` of the first ``until`` steps."""
        count = len(self.ids)
        ts = self.first + pl.Series(np.arange(until) * (self.step // timedelta(microseconds=1))).cast(pl.Duration("us"))
        return pl.DataFrame(
            {
                "series_id": np.repeat(self.ids, until),
                "ts": pl.concat([ts] * count),
                "value": self.values[:, :until].ravel(),
            }
        )


@dataclass(frozen=True)
class Score:
    """One method on one configuration."""

    configuration: str
    method: str
    horizon: int
    windows: int
    crps: float
    mase: float
    nd: float


def datasets(folder: Path, without_last: float) -> list[Dataset]:
    """The three datasets: l2c at 5 minutes and by the hour (means), application at 10 seconds."""
    fine, hourly, seconds = timedelta(minutes=5), timedelta(hours=1), timedelta(seconds=10)
    l2c, application = (pl.read_parquet(folder / name) for name in (L2C, APPLICATION))
    means = l2c.group_by("metric", pl.col("ts").dt.truncate("1h")).agg(pl.col("value").mean())
    return [
        _dataset("l2c 5T", l2c, fine, 48, 288, without_last),
        _dataset("l2c H", means, hourly, 48, 24, without_last),
        _dataset("application 10S", application, seconds, 60, 360, without_last),
    ]


def _dataset(name: str, long: pl.DataFrame, step: timedelta, base: int, season: int, without_last: float) -> Dataset:
    wide = long.pivot(on="metric", index="ts", values="value").sort("ts")
    ids = sorted(c for c in wide.columns if c != "ts")
    kept = wide.head(round(wide.height * (1.0 - without_last)))
    if kept.select(ids).null_count().sum_horizontal().item() or kept["ts"].diff().drop_nulls().n_unique() != 1:
        raise SystemExit(f"{name}: every series must have a value at every step of {step}.")
    ts = kept["ts"].cast(pl.Datetime("us")).dt.replace_time_zone("UTC")
    return Dataset(name, step, base, season, ids, ts.head(1), kept.select(ids).to_numpy().T.astype(float))


def windows(steps: int, horizon: int) -> list[int]:
    """The first step of each window."""
    count = min(max(1, math.ceil(0.1 * steps / horizon)), MOST_WINDOWS)
    return [steps - horizon * (count - i) for i in range(count)]


def naive(context: np.ndarray, horizon: int, season: int) -> np.ndarray:
    """(series, horizon, levels): the value a season ago, with normal intervals from one-season differences."""
    ahead = np.arange(horizon)
    said = context[:, -season:][:, ahead % season]
    sigma = np.sqrt(np.mean((context[:, season:] - context[:, :-season]) ** 2, axis=1))
    width = sigma[:, None] * np.sqrt(ahead // season + 1)
    return said[:, :, None] + width[:, :, None] * norm.ppf(LEVELS)


def ours(data: Dataset, horizon: int, starts: list[int]) -> Iterator[np.ndarray]:
    """(series, horizon, levels) for each window."""
    model = fit_forecaster(data.history(starts[0]), data.step)
    for start in starts:
        said = model.quantiles(data.history(start), horizon, LEVELS.tolist())
        yield said.sort("series_id", "ts", "quantile")["value"].to_numpy().reshape(len(data.ids), horizon, len(LEVELS))


def references(data: Dataset, horizon: int, starts: list[int]) -> dict[str, np.ndarray]:
    """Naive and seasonal naive, (windows, series, horizon, levels)."""
    seasons = {"seasonal naive": data.season, "naive": 1}
    return {
        name: np.stack([naive(data.values[:, :start], horizon, season) for start in starts])
        for name, season in seasons.items()
    }


def scored(data: Dataset, term: str, *, with_ours: bool = True) -> list[Score]:
    """Ours, seasonal naive and naive on one configuration."""
    horizon, steps = data.base * TERMS[term], data.values.shape[1]
    starts = windows(steps, horizon)
    observed = np.stack([data.values[:, start : start + horizon] for start in starts])
    scale = np.stack(
        [np.abs(data.values[:, data.season : s] - data.values[:, : s - data.season]).mean(axis=1) for s in starts]
    )
    said = references(data, horizon, starts)
    if with_ours:
        said = {"ours": np.stack(list(ours(data, horizon, starts)))} | said
    found = []
    for name, values in said.items():
        error = observed[..., None] - values
        pinball = np.maximum(LEVELS * error, (LEVELS - 1) * error).sum(axis=(0, 1, 2))
        median = np.abs(error[..., LEVELS.tolist().index(0.5)])
        total = np.abs(observed).sum()
        crps, mase, nd = np.mean(2 * pinball / total), np.mean(median.mean(axis=2) / scale), median.sum() / total
        found.append(Score(f"{data.name} {term}", name, horizon, len(starts), float(crps), float(mase), float(nd)))
    return found


def geometric(scores: list[Score]) -> float:
    """Geometric mean over configurations of our CRPS over that of seasonal naive."""
    by = {(s.configuration, s.method): s.crps for s in scores}
    return math.exp(np.mean([math.log(by[c, "ours"] / by[c, "seasonal naive"]) for c, m in by if m == "ours"]))


def shown(scores: list[Score]) -> Table:
    """A row a configuration."""
    table = Table("configuration", "horizon", "windows", "ours CRPS", "MASE", "ND", "seasonal naive", "naive", "ratio")
    for row in (s for s in scores if s.method == "ours"):
        other = {s.method: s.crps for s in scores if s.configuration == row.configuration}
        cells = (
            row.crps,
            row.mase,
            row.nd,
            other["seasonal naive"],
            other["naive"],
            row.crps / other["seasonal naive"],
        )
        table.add_row(row.configuration, str(row.horizon), str(row.windows), *(f"{cell:.4f}" for cell in cells))
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--without-last", type=float, default=0.0, help="share of the steps, for tuning")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    console = Console(width=140)
    every = [(data, term) for data in datasets(given.data, given.without_last) for term in TERMS]
    scores = [s for data, term in track(every, "configurations", console=console) for s in scored(data, term)]
    console.print(shown(scores))
    mean = geometric(scores)
    console.print(f"Geometric mean of CRPS over seasonal naive: {mean:.3f}")
    if given.json:
        given.json.write_text(json.dumps({"geometric_mean": mean, "scores": [asdict(s) for s in scores]}, indent=1))


if __name__ == "__main__":
    main()
