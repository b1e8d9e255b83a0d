"""What each workload needs in each of its patterns: recent observations to draw from, in order of size.

An observation is kept whole, so that the needs of one draw belong together. Where a pattern was hardly seen,
its persona's requirement stands in.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, NamedTuple

import numpy as np
import polars as pl
from scipy.special import ndtri

from persona_platform.forecasting.panel import Ints
from persona_platform.forecasting.quantiles import Floats, at_levels
from persona_platform.frames import OTHER, empty
from persona_platform.personas.catalog import Catalog
from persona_platform.personas.newcomers.peer_sums import GRADES
from persona_platform.personas.newcomers.roles import SIZES
from persona_platform.personas.record import REQUIREMENT_QUANTILES, Persona
from persona_platform.sums import average

RECENT: Final = 96
"""Observations of a pattern that are drawn from, its newest."""

_FEW: Final = 8  # observations below which the persona's requirement is drawn from as well
_GRADES: Final = GRADES  # sizes that a persona's requirement is laid out in, as a newcomer's are
_PAIRS: Final = 20.0  # neighbouring slots of a workload's own that weigh as much as the fleet's persistence
_MOST_SHARED: Final = 0.6
GONE: Final = timedelta(days=8)
"""A workload not read for so long before the newest reading of all is taken to be gone."""


@dataclass(frozen=True)
class Requirements:
    """Rows to draw from, by cell: one cell for each workload and pattern number, pattern -1 first.

    Cell of workload w and pattern p: ``w * width + p + 1``.
    """

    width: int
    rows: Floats  # (observations, needs), by cell and within it from small to large
    start: Ints  # (cells,) first row
    count: Ints  # (cells,) at least 1
    mean: Floats  # (cells, needs)
    persona: Ints  # (cells,) index into persona_ids
    persona_ids: list[str]
    now: Ints  # (workloads,) the pattern of the newest reading, -9 where there is none
    score: Floats  # (workloads,) normal score of the newest reading among its cell's rows
    age: Floats  # (workloads,) slots from the newest reading to the origin
    memory: Floats  # (workloads,) correlation of scores one slot apart within a pattern
    presence: Floats  # (workloads,) probability of being there at all
    shared: float  # share of the scores' variance that workloads of a persona have in common


def requirements(
    observed: pl.DataFrame,
    needs: list[str],
    persona_of: pl.DataFrame,
    catalog: Catalog,
    workload_ids: list[str],
    *,
    highest: int,
    origin: datetime,
    slot: timedelta,
    newcomers: pl.DataFrame | None = None,
) -> Requirements:
    """Requirements of the workloads, in this order.

    Args:
        observed: ``workload_id, slot, pattern`` (Int64), ``size`` and the need columns, before the origin.
        needs: the need columns to draw.
        persona_of: ``workload_id, pattern`` (Int64), ``persona_id``.
        catalog: whose personas stand in for what was hardly seen.
        workload_ids: the workloads, in the order of the result.
        highest: the highest pattern number that is played.
        origin: where drawing begins; observations end before it.
        slot: the planning interval.
        newcomers: SIZES: what workloads without a history to draw from need in each pattern.
    """
    index = pl.DataFrame({"workload_id": workload_ids}, schema={"workload_id": pl.String}).with_row_index("w")
    seen = observed.join(index, on="workload_id").with_columns(pl.col(needs).fill_null(0.0), pl.col("w").cast(pl.Int64))
    named = persona_of.join(index, on="workload_id").with_columns(pl.col("w").cast(pl.Int64))
    top = max(highest, *(int(frame["pattern"].to_numpy().max(initial=0)) for frame in (seen, named)))
    width = top + 2
    cells = len(workload_ids) * width
    recent = (
        seen.sort("w", "slot")
        .filter(pl.int_range(pl.len(), 0, -1).over("w", "pattern") <= RECENT)
        .with_columns(
            (pl.col("w") * width + pl.col("pattern") + 1).alias("cell"),
            ((pl.col("size").rank("ordinal").over("w", "pattern") - 0.5) / pl.len().over("w", "pattern")).alias(
                "grade"
            ),
        )
    )
    recent = recent.with_columns(pl.Series("score", ndtri(recent["grade"].to_numpy()), dtype=pl.Float64))
    persona_ids = sorted({p.persona_id for p in catalog.personas} | {OTHER} | set(named["persona_id"]))
    persona = np.full(cells, persona_ids.index(OTHER), dtype=np.int64)
    place = named["w"].to_numpy() * width + named["pattern"].to_numpy() + 1
    persona[place] = [persona_ids.index(name) for name in named["persona_id"]]
    stand_ins = _stand_ins(catalog, needs, persona_ids)
    given = _given(newcomers if newcomers is not None else empty(SIZES), needs, index, width)
    rows, start, count = _lay_out(recent, needs, cells, width, persona, stand_ins, given)
    total = np.add.reduceat(rows, start, axis=0) if cells else rows
    newest = recent.group_by("w").agg(pl.col("slot", "pattern", "score").sort_by("slot").last())
    w = newest["w"].to_numpy()
    now, score, age = np.full(len(workload_ids), -9), np.zeros(len(workload_ids)), np.zeros(len(workload_ids))
    now[w], score[w] = newest["pattern"].to_numpy(), newest["score"].to_numpy()
    age[w] = (newest["slot"] - origin).dt.total_microseconds().to_numpy() / (-slot / timedelta(microseconds=1))
    return Requirements(
        width=width,
        rows=rows,
        start=start,
        count=count,
        mean=total / count[:, None],
        persona=persona,
        persona_ids=persona_ids,
        now=now,
        score=score,
        age=age,
        memory=_memory(recent, len(workload_ids), slot),
        presence=_presence(seen, set(catalog.patterns["workload_id"]), workload_ids, slot),
        shared=_shared(recent, persona),
    )


def _stand_ins(catalog: Catalog, needs: list[str], persona_ids: list[str]) -> Floats:
    """Sizes of each persona's requirement, (personas, grades, needs), all needs rising together."""
    found = np.zeros((len(persona_ids), _GRADES, len(needs)))
    grades = (np.arange(_GRADES) + 0.5) / _GRADES
    by_id: dict[str, Persona] = {persona.persona_id: persona for persona in catalog.personas}
    for row, name in enumerate(persona_ids):
        if name not in by_id:
            continue
        requirement = by_id[name].requirement
        for column, need in enumerate(needs):
            known = requirement.quantiles.get(need)
            if known:
                sizes = np.maximum(at_levels(np.asarray(known), REQUIREMENT_QUANTILES, grades), 0.0)
                mean = requirement.mean.get(need, float(sizes.mean()))
                found[row, :, column] = sizes * (mean / sizes.mean() if sizes.mean() > 0 else 0.0)
    return found


class _Given(NamedTuple):
    """Cells whose sizes are known beforehand, and these, (cells, grades, needs)."""

    cell: Ints
    sizes: Floats


def _given(newcomers: pl.DataFrame, needs: list[str], index: pl.DataFrame, width: int) -> _Given:
    """What newcomers need, by cell; a need that is not said is none."""
    rows = newcomers.join(index, on="workload_id").filter(pl.col("need").is_in(needs))
    place = pl.col("w").cast(pl.Int64) * width + pl.col("pattern").cast(pl.Int64) + 1
    rows = rows.with_columns(cell=place).filter(pl.col("pattern").cast(pl.Int64) + 1 < width).sort("cell")
    cells, at = np.unique(rows["cell"].to_numpy(), return_inverse=True)
    sizes = np.zeros((len(cells), _GRADES, len(needs)))
    for row, (need, values) in zip(at, rows.select("need", "sizes").iter_rows(), strict=True):
        sizes[row, :, needs.index(need)] = values
    return _Given(cells.astype(np.int64), sizes)


def _lay_out(
    recent: pl.DataFrame, needs: list[str], cells: int, width: int, persona: Ints, stand_ins: Floats, given: _Given
) -> tuple[Floats, Ints, Ints]:
    """Rows of every cell: its observations, the persona's sizes where they are few, at least one row.

    Given sizes, which know of observations already, stand alone.
    """
    recent = recent.filter(~pl.col("cell").is_in(given.cell.tolist()))
    cell, own = recent["cell"].to_numpy(), recent.select(needs).to_numpy().astype(np.float64)
    seen = np.bincount(cell, minlength=cells)
    means = np.zeros((cells, len(needs)))
    np.add.at(means, cell, own)
    of_workload = means.reshape(-1, width, len(needs)).sum(axis=1) / np.maximum(
        seen.reshape(-1, width).sum(axis=1), 1
    ).reshape(-1, 1)
    means /= np.maximum(seen, 1)[:, None]
    few = np.flatnonzero(seen < _FEW)
    extra = stand_ins[persona[few]]
    typical = extra.mean(axis=1)
    # A size of the workload's own, once seen, outweighs the persona's: only the shape is borrowed.
    scale = np.where((seen[few] > 0)[:, None], means[few] / np.where(typical > 0, typical, np.inf), 1.0)
    extra = extra * scale[:, None, :]
    extra[np.searchsorted(few, given.cell)] = given.sizes
    bare = extra.sum(axis=(1, 2)) == 0
    unseen = bare & (seen[few] == 0)
    extra[unseen] = of_workload[few[unseen] // width][:, None, :]
    few, extra = few[~bare | unseen], extra[~bare | unseen]
    every_cell = np.concatenate([cell, np.repeat(few, _GRADES)])
    every_row = np.concatenate([own, extra.reshape(-1, len(needs))])
    size = np.concatenate([recent["size"].to_numpy(), np.tile(np.arange(_GRADES), few.size)])
    # Borrowed sizes take their place among the observations by the sum of their needs relative to the mean.
    typical = means[every_cell]
    relative = (every_row / np.where(typical > 0, typical, np.inf)).max(axis=1, initial=0.0)
    mixed = (seen[every_cell] > 0) & (seen[every_cell] < _FEW)
    size = np.where(mixed, relative, size)
    borrowed = np.arange(every_cell.size) >= cell.size
    order = np.lexsort((borrowed, size, every_cell))
    count = np.bincount(every_cell, minlength=cells)
    start = np.concatenate([[0], np.cumsum(count)[:-1]]).astype(np.int64) if cells else np.empty(0, np.int64)
    return every_row[order], start, count


def _memory(recent: pl.DataFrame, workloads: int, slot: timedelta) -> Floats:
    """Correlation of scores in neighbouring slots of one pattern, drawn towards the fleet's."""
    pairs = (
        recent.sort("w", "slot")
        .with_columns(pl.col("score").shift().over("w").alias("before"))
        .filter((pl.col("slot").diff().over("w") == slot) & (pl.col("pattern").diff().over("w") == 0))
    )
    w, product = pairs["w"].to_numpy(), (pairs["score"] * pairs["before"]).to_numpy()
    variance = ((pairs["score"] ** 2 + pairs["before"] ** 2) / 2).to_numpy()
    fleet = product.sum() / variance.sum() if variance.sum() > 0 else 0.0
    own = np.bincount(w, product, minlength=workloads) + _PAIRS * fleet
    return np.clip(own / (np.bincount(w, variance, minlength=workloads) + _PAIRS), 0.0, 0.98)


def _shared(recent: pl.DataFrame, persona: Ints) -> float:
    """Share of the variance of scores that workloads of a persona have in common at a slot."""
    groups = (
        recent.with_columns(pl.Series("persona", persona[recent["cell"].to_numpy()]))
        .group_by("persona", "slot", maintain_order=True)
        .agg(
            average("score").alias("mean"),
            average(pl.col("score") ** 2).alias("square"),
            pl.len().alias("n"),
        )
        .filter(pl.col("n") > 1)
    )
    if groups.is_empty():
        return 0.0
    # The mean of n scores of correlation r has the variance (1 + (n - 1) r) / n of one score.
    n, mean, square = (groups[name].to_numpy().astype(np.float64) for name in ("n", "mean", "square"))
    common = (n * mean**2 - square).sum() / ((n - 1) * square).sum()
    return float(np.clip(common, 0.0, _MOST_SHARED))


def _presence(seen: pl.DataFrame, learned: set[str], workload_ids: list[str], slot: timedelta) -> Floats:
    """1 for what is read now; the share of slots read for what is not; 0 for what is gone."""
    presence = np.array([0.0 if name in learned else 1.0 for name in workload_ids])
    newest = seen["slot"].max()
    if not isinstance(newest, datetime):
        return np.ones(len(workload_ids))  # nothing was read of anyone: there is no telling who is gone
    span = (
        seen.filter(pl.col("slot") > newest - GONE)
        .group_by("w")
        .agg(pl.col("slot").min().alias("first"), pl.col("slot").max().alias("last"), pl.len().alias("read"))
    )
    slots = ((newest - span["first"]).dt.total_microseconds() / (slot / timedelta(microseconds=1))).to_numpy() + 1
    reads_now = (span["last"] >= newest - 2 * slot).to_numpy()
    presence[span["w"].to_numpy()] = np.where(reads_now, 1.0, np.minimum(span["read"].to_numpy() / slots, 1.0))
    return presence
