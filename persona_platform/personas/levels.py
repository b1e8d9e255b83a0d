"""Levels: the one to four heights that a workload's need stands at, and the thresholds between them.

Learned once, then frozen: a threshold moves only with the workload's own slow drift. Heights are found on the
log of one need, since a job that doubles matters alike at 2 and at 32 cores: the one that tells heights apart
best, cpu first.
"""

from typing import Final

import numpy as np
import polars as pl

from persona_platform.frames import SIZED_RESOURCES, TS, need_columns
from persona_platform.personas.segments import BINS, best_cuts
from persona_platform.personas.steps import LEAST_STEP, NOISE_STEP, between_steps, noise

LEVELS: Final = {
    "workload_id": pl.String,
    "need": pl.String,  # the need whose log is cut
    "floor": pl.Float64,  # added before the log, so that zero and nearly zero are one height
    "drift_per_day": pl.Float64,  # of the log, 0 unless clear
    "anchor": TS,  # where the drift is 0
    "thresholds": pl.List(pl.Float64),  # ascending; empty for a steady workload
    "bands": pl.List(pl.Float64),  # half the width of each threshold's hysteresis
    "centres": pl.List(pl.Float64),  # mean log height of each level
    "step": pl.Float64,  # change from slot to slot that parts two heights; null: slots are judged one by one
    "short_phases": pl.List(pl.Int32),  # slots of the local day at which runs of one slot are real
    "keeps_short": pl.Boolean,  # runs of one slot are this workload's habit, at any time
    "dip_phases": pl.List(pl.Int32),  # slots of the local day at which dips of one slot are real
}

MAX_LEVELS: Final = 4
TRIFLE: Final = {"cpu_cores": 0.02, "gpus": 0.02, "mem_bytes": 32 * 2.0**20}
"""Amounts that nobody would provision for: a move from 0.002 to 0.007 cores is no step to another level."""
HYSTERESIS: Final = 0.15
"""Half the band around a threshold, as a share of the gap between the levels that it parts."""
CLEAR_DRIFT: Final = 0.9
"""Share of day pairs a week or more apart that must agree on the sign before a drift is believed."""


def learn_levels(line: pl.DataFrame) -> pl.DataFrame:
    """Levels of every workload of a timeline, as :data:`LEVELS` with no short runs known yet."""
    candidates = [c for c in _candidates(line) if line[c].null_count() < line.height]
    if line.is_empty():
        return pl.DataFrame(schema=LEVELS)
    ids = line["workload_id"].unique(maintain_order=True)
    found: dict[str, dict] = {}
    left = line
    for need in candidates:
        for row in _levels_of(left, need):
            if row["thresholds"] or row["workload_id"] not in found:
                found[row["workload_id"]] = row
        # The first need that tells heights apart is the one that is believed.
        told = [name for name, row in found.items() if row["thresholds"]]
        left = line.filter(~pl.col("workload_id").is_in(told))
    rows = [found[name] if name in found else _steady(name, candidates) for name in ids]
    return pl.DataFrame(rows, schema=LEVELS)


def _candidates(line: pl.DataFrame) -> list[str]:
    """The needs that may carry levels: cpu, then gpus, then memory; without them the rest in their order."""
    columns = need_columns(line)
    sized = [c for c in ("cpu_cores", "gpus", "mem_bytes") if c in SIZED_RESOURCES and c in columns]
    return sized or columns


def _steady(name: str, candidates: list[str]) -> dict:
    return {
        "workload_id": name,
        "need": candidates[0] if candidates else "",
        "floor": 1.0,
        "drift_per_day": 0.0,
        "anchor": None,
        "thresholds": [],
        "bands": [],
        "centres": [],
        "step": None,
        "short_phases": [],
        "keeps_short": False,
        "dip_phases": [],
    }


def log_height(need: str, floor: pl.Expr, drift: pl.Expr, anchor: pl.Expr) -> pl.Expr:
    """The log of a need, its floor added and its drift taken off."""
    days = (pl.col("slot") - anchor).dt.total_seconds() / 86_400
    return (pl.col(need) + floor).log() - (drift * days).fill_null(0.0)


def _levels_of(line: pl.DataFrame, need: str) -> list[dict]:
    """The levels of each workload by one need."""
    read = line.select("workload_id", "slot", "tick", "stretch", need).drop_nulls(need)
    # 1 % of the 99th percentile: below it a need is as good as nothing, and logs of noise stay short.
    scale = read.group_by("workload_id", maintain_order=True).agg(
        floor=pl.max_horizontal(
            pl.col(need).quantile(0.99) * 0.01, pl.col(need).max() * 0.001, pl.lit(TRIFLE.get(need, 1e-9))
        ),
        anchor=pl.col("slot").max(),
    )
    height = log_height(need, pl.col("floor"), pl.lit(0.0), pl.col("anchor"))
    logs = read.join(scale, on="workload_id", how="left", maintain_order="left").with_columns(x=height)
    drift = _drift(logs)
    settled = logs.join(drift, on="workload_id", how="left", maintain_order="left").with_columns(
        x=log_height(need, pl.col("floor"), pl.col("drift_per_day"), pl.col("anchor"))
    )
    facts = (
        scale.join(drift, on="workload_id", how="left", maintain_order="left")
        .join(
            settled.group_by("workload_id").agg(noise=noise().fill_null(0.0)),
            on="workload_id",
            how="left",
            maintain_order="left",
        )
        .with_columns(step=pl.max_horizontal(pl.lit(LEAST_STEP), NOISE_STEP * pl.col("noise")))
    )
    stepped = settled.join(
        facts.select("workload_id", "step", "noise"), on="workload_id", how="left", maintain_order="left"
    )
    held = stepped.with_columns(x=between_steps(["workload_id", "stretch"], pl.col("step")))
    by_slot = best_cuts(*_histograms(stepped), MAX_LEVELS)
    by_step = best_cuts(*_histograms(held), MAX_LEVELS)
    cuts = [b if b.thresholds else a for a, b in zip(by_slot, by_step, strict=True)]
    stepwise = [bool(b.thresholds) for b in by_step]
    return [
        {
            **_steady(row["workload_id"], [need]),
            "floor": row["floor"],
            "anchor": row["anchor"],
            "drift_per_day": row["drift_per_day"],
            "thresholds": cut.thresholds,
            "bands": [HYSTERESIS * gap for gap in np.diff(cut.centres)],
            "centres": cut.centres,
            "step": row["step"] if steps else None,
        }
        for row, cut, steps in zip(facts.iter_rows(named=True), cuts, stepwise, strict=True)
    ]


def _histograms(logs: pl.DataFrame) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Counts of log heights (workloads, BINS), their lowest edges, bin widths and slot-to-slot noise.

    The noise is the 30 % quantile of absolute steps, scaled to the standard deviation of normal noise: it
    holds even for a job that runs in one slot of four, where half of all steps are jumps.
    """
    code = pl.col("workload_id").rle_id()
    spread = logs.group_by("workload_id", maintain_order=True).agg(
        low=pl.col("x").min(),
        width=((pl.col("x").max() - pl.col("x").min()) / BINS).clip(1e-9),
        noise=pl.col("noise").first(),
    )
    binned = logs.select("workload_id", "x", row=code).join(spread, on="workload_id", how="left", maintain_order="left")
    bins = ((binned["x"] - binned["low"]) / binned["width"]).floor().clip(0, BINS - 1).cast(pl.Int64)
    flat = np.bincount(
        binned["row"].to_numpy().astype(np.int64) * BINS + bins.to_numpy(), minlength=spread.height * BINS
    )
    noise = spread["noise"].fill_null(0.0).to_numpy()
    return flat.reshape(-1, BINS).astype(float), spread["low"].to_numpy(), spread["width"].to_numpy(), noise


def _drift(logs: pl.DataFrame) -> pl.DataFrame:
    """The slope of each workload's low days in log per day, 0 unless clear.

    Days are compared whole weeks apart, so that a quiet weekend is no slope (Theil and Sen's estimator on
    those pairs). Clear means: over at least two weeks, nearly all pairs agree, and the whole moves by 15 %
    or more.
    """
    days = (
        logs.group_by("workload_id", day=pl.col("slot").dt.truncate("1d"), maintain_order=True)
        .agg(low=pl.col("x").quantile(0.2), n=pl.len())
        .filter(pl.col("n") * 2 >= pl.col("n").max().over("workload_id"))
    )
    later = days.select("workload_id", "low", weeks=pl.int_range(1, 9).implode(), other="day").explode("weeks")
    earlier = later.with_columns(day=pl.col("other") - pl.duration(days=7 * pl.col("weeks")))
    pairs = days.join(earlier, on=["workload_id", "day"], suffix="_later").with_columns(
        slope=(pl.col("low_later") - pl.col("low")) / (7 * pl.col("weeks"))
    )
    slopes = pairs.group_by("workload_id").agg(
        slope=pl.col("slope").median(),
        agreed=pl.max_horizontal((pl.col("slope") > 0).mean(), (pl.col("slope") < 0).mean()),
        pairs=pl.len(),
        span=(pl.col("other").max() - pl.col("day").min()).dt.total_days(),
    )
    clear = (
        (pl.col("agreed") >= CLEAR_DRIFT)
        & (pl.col("pairs") >= 7)
        & (pl.col("span") >= 14)
        & ((pl.col("slope") * pl.col("span")).abs() >= np.log(1.15))
    )
    ids = logs.select("workload_id").unique(maintain_order=True)
    return ids.join(
        slopes.select("workload_id", drift_per_day=pl.when(clear).then("slope").otherwise(0.0)),
        on="workload_id",
        how="left",
        maintain_order="left",
    ).with_columns(pl.col("drift_per_day").fill_null(0.0))
