"""The persona route: paths of patterns become paths of needs, and those a distribution of demand.

On each path every activation draws one size for itself, shared in part with the other workloads of the
persona; the needs of a slot are a recent observation of that size. Its mean is the seed formula
``E = sum over workloads and personas of probability * requirement``, which also explains it by persona.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, NamedTuple, Protocol

import numpy as np
import polars as pl
from scipy.special import ndtr, ndtri

from persona_platform.forecasting.demand import demand_rows
from persona_platform.forecasting.panel import Ints
from persona_platform.forecasting.quantiles import LEVELS, Floats, sorted_quantiles
from persona_platform.forecasting.requirements import Requirements, requirements
from persona_platform.forecasting.units import check_units
from persona_platform.frames import DEMAND, MEMBERSHIP, TS, conform, empty, need_columns
from persona_platform.personas.catalog import Catalog

CHUNK: Final = 1_500_000
"""Path-workload-slots drawn at once: about 100 MB."""

EXPECTED: Final = {"target": pl.String, "slot": TS, "persona_id": pl.String, "expected": pl.Float64}

_OF_ACTIVATION: Final = 0.5  # share of what is not shared that an activation keeps for its whole length
_NODES: Final = ndtri((np.arange(32) + 0.5) / 32)  # normal scores over which a blended requirement is averaged


class Paths(Protocol):
    """What the outlook's simulation hands over."""

    @property
    def workload_ids(self) -> list[str]:
        """The workloads, in the order of the second axis."""
        ...

    @property
    def patterns(self) -> np.ndarray:
        """int16 (paths, workloads, slots); -1 is a pattern that was never shown."""
        ...


@dataclass(frozen=True)
class Mixture:
    """``demand``: DEMAND rows of the route mixture. ``expected``: target, slot, persona, expected (units)."""

    demand: pl.DataFrame
    expected: pl.DataFrame


def mixture_demand(
    simulated: Paths,
    needs: pl.DataFrame,
    membership: pl.DataFrame,
    catalog: Catalog,
    workloads: pl.DataFrame,
    targets: pl.DataFrame,
    units: pl.DataFrame,
    *,
    origin: datetime,
    slot: timedelta,
    seed: int,
    newcomers: pl.DataFrame | None = None,
) -> Mixture:
    """Demand of each target from simulated paths; slot i of a path is ``origin + i * slot``.

    The activation that runs at the origin starts from the size last observed and forgets it at the pace at
    which the workload's sizes do. The window maximum of the last ``hold_slots - 1`` slots is over what is
    left of the path: simulate so many slots more where that matters. Targets of a pool without a simulated
    workload have no rows. ``newcomers`` (newcomers.roles.SIZES) is what workloads without a history to draw from
    need. In ``expected`` the binding need is the one with the largest expected sum.
    """
    check_units(targets, units)
    wanted = [name for name in need_columns(needs) if name in set(units["need"])]
    paths, count, slots = simulated.patterns.shape
    if not (wanted and paths and count and slots):
        return Mixture(empty(DEMAND), empty(EXPECTED))
    pools = targets.select("target", "pool").join(units, on="target")
    pool_of = dict(workloads.select("workload_id", "pool").iter_rows())
    of_workload = np.array([pool_of.get(name, "") for name in simulated.workload_ids])
    table = requirements(
        _observations(needs, membership, workloads, pools, wanted, origin),
        wanted,
        _personas(simulated, catalog),
        catalog,
        simulated.workload_ids,
        highest=int(simulated.patterns.max()),
        origin=origin,
        slot=slot,
        newcomers=newcomers,
    )
    rng = np.random.default_rng(seed)
    shocks = rng.standard_normal((paths, len(table.persona_ids)), dtype=np.float32)
    demand, expected = [], []
    for pool in sorted(set(targets["pool"]) & set(of_workload)):
        totals = _pool_totals(simulated.patterns, np.flatnonzero(of_workload == pool), table, shocks, rng)
        for name, kappa, hold in (
            targets.filter(pl.col("pool") == pool).sort("target").select("target", "kappa", "hold_slots").iter_rows()
        ):
            amounts = dict(units.filter(pl.col("target") == name).select("need", "amount").iter_rows())
            of = [column for column, need in enumerate(wanted) if need in amounts]
            if not of:
                continue
            per_unit = np.array([amounts[wanted[column]] for column in of])
            when = pl.Series([origin + i * slot for i in range(slots)], dtype=TS)
            paths_of_demand = np.max(totals.paths[of] / per_unit[:, None, None], axis=0)
            demand.append(_distribution(paths_of_demand, name, kappa, hold, origin, when))
            expected.append(_explained(totals.expected[of] / per_unit[:, None, None], name, when, table))
    if not demand:
        return Mixture(empty(DEMAND), empty(EXPECTED))
    return Mixture(pl.concat(demand), pl.concat(expected))


class _Totals(NamedTuple):
    paths: Floats  # (needs, paths, slots)
    expected: Floats  # (needs, personas, slots)


def _observations(
    needs: pl.DataFrame,
    membership: pl.DataFrame,
    workloads: pl.DataFrame,
    pools: pl.DataFrame,
    wanted: list[str],
    origin: datetime,
) -> pl.DataFrame:
    """workload_id, slot, pattern, size, needs: what was read before the origin; size in units."""
    amounts = pools.filter(pl.col("need").is_in(wanted)).group_by("pool", "need").agg(pl.col("amount").min())
    wide = amounts.pivot(on="need", index="pool", values="amount").rename(
        lambda name: f"unit {name}" if name != "pool" else name
    )
    sizes = [(pl.col(name) / pl.col(f"unit {name}")) for name in wanted if f"unit {name}" in wide.columns]
    return (
        conform(membership, MEMBERSHIP, "membership")
        .select("workload_id", "slot", pl.col("pattern").cast(pl.Int64))
        .filter(pl.col("slot") < origin)
        .unique(["workload_id", "slot"], keep="first")
        .join(
            needs.select("workload_id", "slot", *wanted).unique(["workload_id", "slot"], keep="first"),
            on=["workload_id", "slot"],
        )
        .filter(pl.any_horizontal(pl.col(wanted).is_not_null()))
        .join(workloads.select("workload_id", "pool").unique("workload_id", keep="first"), on="workload_id")
        .join(wide, on="pool")
        .with_columns(size=pl.max_horizontal(sizes).fill_null(0.0))
        .select("workload_id", "slot", "pattern", "size", *wanted)
    )


def _personas(simulated: Paths, catalog: Catalog) -> pl.DataFrame:
    """workload_id, pattern, persona_id: from the catalog, else from the simulation."""
    columns = ("workload_id", pl.col("pattern").cast(pl.Int64), "persona_id")
    known = catalog.patterns.select(*columns)
    played = getattr(simulated, "played", None)
    if isinstance(played, pl.DataFrame):
        known = pl.concat([known, played.select(*columns)])
    return known.unique(["workload_id", "pattern"], keep="first", maintain_order=True)


def _pool_totals(
    patterns: np.ndarray, members: Ints, table: Requirements, shocks: np.ndarray, rng: np.random.Generator
) -> _Totals:
    """Needs of a pool's workloads together, on each path and as expected by persona."""
    paths, _, slots = patterns.shape
    needs = table.rows.shape[1]
    together = np.zeros((needs, paths, slots))
    expected = np.zeros((needs, len(table.persona_ids), slots))
    for some in _chunks(members, paths * slots):
        played = patterns[:, some, :]
        cell = some[None, :, None] * table.width + played.astype(np.int64) + 1
        begun = _begun(played)
        # Still in the activation that was running when the workload was last read.
        running = (begun == 0) & (played[:, :, :1] == table.now[some][None, :, None])
        memory = _memory(table, some, slots)
        row = table.start[cell] + _ranks(cell, begun, running, memory, some, table, shocks, rng)
        there = rng.random((paths, some.size)) < table.presence[some]
        for need in range(needs):
            together[need] += np.einsum("pws,pw->ps", table.rows[:, need][row], there)
        expected += _expected(cell, running, memory, some, table)
    return _Totals(together, expected)


def _chunks(members: Ints, each: int) -> Iterator[Ints]:
    size = max(1, CHUNK // each)
    for first in range(0, members.size, size):
        yield members[first : first + size]


def _begun(played: np.ndarray) -> Ints:
    """The slot in which each slot's activation begins, 0 for the first of a path."""
    begun = np.zeros(played.shape, dtype=np.int64)
    begun[:, :, 1:] = np.where(played[:, :, 1:] != played[:, :, :-1], np.arange(1, played.shape[2]), 0)
    return np.maximum.accumulate(begun, axis=2)


def _memory(table: Requirements, some: Ints, slots: int) -> Floats:
    """What is left of the newest reading's score at each slot, (workloads, slots)."""
    steps = np.maximum(table.age[some][:, None], 1.0) + np.arange(slots)
    return table.memory[some][:, None] ** steps


def _ranks(
    cell: Ints,
    begun: Ints,
    running: np.ndarray,
    memory: Floats,
    some: Ints,
    table: Requirements,
    shocks: np.ndarray,
    rng: np.random.Generator,
) -> Ints:
    """Which of its cell's rows each (path, workload, slot) draws.

    The score is normal in total, so that every row of a cell is equally likely and the mean is exact: a part
    of the persona and path, a part of the activation, and noise.
    """
    paths = cell.shape[0]
    shared = table.shared
    score = np.sqrt(1 - shared) * np.sqrt(1 - _OF_ACTIVATION) * rng.standard_normal(cell.shape, dtype=np.float32)
    own = rng.standard_normal(cell.shape, dtype=np.float32)
    score += np.sqrt((1 - shared) * _OF_ACTIVATION) * np.take_along_axis(own, begun, axis=2)
    if shared > 0:
        score += np.sqrt(shared) * shocks[np.arange(paths)[:, None, None], table.persona[cell]]
    blended = memory * table.score[some][:, None] + np.sqrt(1 - memory**2) * score
    score = np.where(running, blended, score)
    count = table.count[cell]
    return np.minimum((ndtr(score) * count).astype(np.int64), count - 1)


def _expected(cell: Ints, running: np.ndarray, memory: Floats, some: Ints, table: Requirements) -> Floats:
    """Probability times requirement, (needs, personas, slots), over the paths and these workloads."""
    paths, count, slots = cell.shape
    personas, needs = len(table.persona_ids), table.rows.shape[1]
    local = (cell - some[None, :, None] * table.width).ravel()
    at = np.arange(count)[None, :, None] * slots + np.arange(slots)
    key = local * (count * slots) + np.broadcast_to(at, cell.shape).ravel()
    cells = table.width * count * slots
    present = table.presence[some][None, :, None] / paths
    runs = np.bincount(key, running.ravel(), minlength=cells).reshape(table.width, count, slots)
    others = np.bincount(key, ~running.ravel(), minlength=cells).reshape(runs.shape) * present
    of_cell = some[None, :] * table.width + np.arange(table.width)[:, None]
    total = np.zeros((needs, personas, slots))
    now = some * table.width + np.maximum(table.now[some], -1) + 1  # where nothing runs, any cell
    share = memory[..., None] * table.score[some][:, None, None] + np.sqrt(1 - memory**2)[..., None] * _NODES
    held = table.count[now][:, None, None]
    rows = table.start[now][:, None, None] + np.minimum((ndtr(share) * held).astype(np.int64), held - 1)
    of_running = runs.sum(axis=0) * present[0]
    for need in range(needs):
        amount = others * table.mean[of_cell, need][..., None]
        np.add.at(total[need], table.persona[of_cell].ravel(), amount.reshape(-1, slots))
        np.add.at(total[need], table.persona[now], of_running * table.rows[:, need][rows].mean(axis=-1))
    return total


def _distribution(
    paths: Floats, target: str, kappa: float, hold: int, origin: datetime, when: pl.Series
) -> pl.DataFrame:
    """DEMAND rows of one target from its demand on each path, (paths, slots)."""
    largest = paths.copy()
    for later in range(1, min(hold, paths.shape[1])):
        largest[:, :-later] = np.maximum(largest[:, :-later], paths[:, later:])
    ordered = np.sort(largest.T, axis=1)
    rows = demand_rows(
        sorted_quantiles(ordered, LEVELS),
        np.full(when.len(), kappa),
        origin=origin,
        route="mixture",
        target=pl.repeat(target, when.len(), eager=True),
        slot=when,
    )
    return rows.with_columns(
        mean=pl.Series(largest.mean(axis=0)), q_kappa=pl.Series(sorted_quantiles(ordered, [kappa])[:, 0])
    )


def _explained(per_need: Floats, target: str, when: pl.Series, table: Requirements) -> pl.DataFrame:
    """Expected units by persona at each slot, of the need whose sum is the largest there."""
    binding = np.argmax(per_need.sum(axis=1), axis=0)
    by_persona = per_need[binding, :, np.arange(when.len())]  # (slots, personas)
    slot, persona = np.nonzero(by_persona > 0)
    return pl.DataFrame(
        {
            "target": pl.repeat(target, slot.size, eager=True),
            "slot": when.gather(slot),
            "persona_id": pl.Series(table.persona_ids, dtype=pl.String).gather(persona),
            "expected": by_persona[slot, persona],
        },
        schema=EXPECTED,
    )
