"""What holds capacity for a pool: targets, their units and their prices, and the frames made of them.

Counting demand in units is forecasting's business; what a target may do is in
:mod:`persona_platform.capacity.limits`.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta

import polars as pl

from persona_platform.capacity.limits import Limits
from persona_platform.errors import ConfigError
from persona_platform.frames import NEEDS, SERVED_ACTIVITIES, SIZED_RESOURCES, TARGETS, UNITS, conform
from persona_platform.sums import average, total

TIER_KAPPA: Mapping[str, float] = {"critical": 0.99, "standard": 0.95, "batch": 0.80}
"""The quantile that the floor stands at where no prices are given, the most demanding tier first."""

UNITS_OF_MEAN_DEMAND = 20
"""An automatic unit is a twentieth of the mean demand: one unit of rounding is then 5 % of it."""

NOTABLE_SHARE = 0.10
"""A pool has the most demanding tier that at least this share of its workloads has."""


@dataclass(frozen=True)
class Unit:
    """What a target adds or removes one of."""

    amounts: Mapping[str, float] = field(default_factory=dict)
    """Of each need (one of ``frames.NEEDS``) in one unit; none: chosen as for a target without a unit."""
    price_per_hour: float = 1.0


@dataclass(frozen=True)
class Prices:
    """What a unit-hour costs the user, in money: demanded and not there, there and not demanded."""

    unserved: float
    idle: float


@dataclass(frozen=True)
class Target:
    """What holds capacity for the workloads of a pool."""

    name: str
    pool: str
    provisioner: str = "simulated"
    unit: Unit | None = None
    """None: chosen from the pool's demand at the first refit, then frozen."""
    tier: str | None = None
    """critical, standard or batch; None: that of the pool's workloads, see :func:`with_tiers`."""
    limits: Limits = field(default_factory=Limits)
    prices: Prices | None = None


def target_faults(target: Target) -> list[str]:
    """One clause for each thing that a target cannot have; empty for a sound one. Its limits are apart."""
    found = []
    if not target.name or target.name == "*":
        found.append(f"its name is {target.name!r}; give it a name, and not *, which means all")
    if target.tier is not None and target.tier not in TIER_KAPPA:
        found.append(f"its tier is {target.tier!r}; it must be one of {', '.join(TIER_KAPPA)}")
    if target.prices is not None and not (target.prices.unserved > 0 and target.prices.idle > 0):
        found.append(f"its prices are {target.prices}; both must be above 0")
    for need, amount in (target.unit.amounts if target.unit else {}).items():
        if need not in NEEDS:
            found.append(f"its unit names {need!r}; the needs are {', '.join(NEEDS)}")
        if not (math.isfinite(amount) and amount > 0):
            found.append(f"its unit has {amount} of {need}; an amount must be above 0")
    if target.unit and not target.unit.price_per_hour >= 0:
        found.append(f"its unit costs {target.unit.price_per_hour} an hour; a price must be 0 or more")
    return found


def kappa(target: Target) -> float:
    """The operating quantile: p_u / (p_u + p_o) with prices (the newsvendor's), else by tier."""
    if target.prices is not None:
        return target.prices.unserved / (target.prices.unserved + target.prices.idle)
    return TIER_KAPPA[target.tier or "standard"]


def hold_slots(cooldown_down: timedelta, slot: timedelta) -> int:
    """Slots in the window whose maximum is planned for: what a floor must cover before it can be lowered."""
    return max(1, -(-max(slot, cooldown_down) // slot))


def targets_frame(targets: Sequence[Target], slot: timedelta) -> pl.DataFrame:
    """TARGETS, one row a target, sorted by name."""
    if slot <= timedelta(0):
        raise ConfigError(f"The slot is {slot}; it must be above 0.")
    for target in targets:
        if faults := target_faults(target):
            raise ConfigError(f"Target {target.name} cannot be: {'; '.join(faults)}.")
    rows = [
        {
            "target": target.name,
            "pool": target.pool,
            "kappa": kappa(target),
            "hold_slots": hold_slots(target.limits.cooldown_down, slot),
        }
        for target in sorted(targets, key=lambda target: target.name)
    ]
    return conform(pl.DataFrame(rows, schema=TARGETS), TARGETS, "The targets")


def with_tiers(targets: Sequence[Target], workloads: pl.DataFrame) -> list[Target]:
    """The targets, one without a tier given its pool's: the most demanding one with a notable share."""
    shares = (
        workloads.group_by("pool", "tier")
        .len()
        .with_columns(share=pl.col("len") / pl.col("len").sum().over("pool"))
        .filter(pl.col("share") >= NOTABLE_SHARE)
    )
    notable = {(row["pool"], row["tier"]) for row in shares.iter_rows(named=True)}
    return [
        target
        if target.tier is not None
        else replace(target, tier=next((t for t in TIER_KAPPA if (target.pool, t) in notable), "standard"))
        for target in targets
    ]


def freeze_units(
    targets: Sequence[Target], needs: pl.DataFrame, workloads: pl.DataFrame, slot: timedelta
) -> tuple[pl.DataFrame, list[str]]:
    """UNITS of the targets, and one sentence for each target that gets none.

    A configured unit is taken as it is. Otherwise a unit holds a twentieth of the pool's mean demand of each
    sized resource that it has, or of the first served activity present where it has none of them. Slots in
    which fewer than half as many workloads were read as in the pool's median slot do not count.
    """
    if slot <= timedelta(0):
        raise ConfigError(f"The slot is {slot}; it must be above 0.")
    means = _mean_demand(needs, workloads)
    rows: list[dict[str, object]] = []
    reasons: list[str] = []
    for target in sorted(targets, key=lambda target: target.name):
        configured = target.unit.amounts if target.unit else {}
        amounts = configured or _automatic(means.get(target.pool, {}))
        if not amounts:
            reasons.append(_no_unit(target, workloads))
        rows += [{"target": target.name, "need": need, "amount": amount} for need, amount in amounts.items()]
    return conform(pl.DataFrame(rows, schema=UNITS), UNITS, "The units"), reasons


def _mean_demand(needs: pl.DataFrame, workloads: pl.DataFrame) -> dict[str, dict[str, float]]:
    """Mean over slots of the sum over the pool's workloads: pool -> need -> mean."""
    columns = [name for name in (*SIZED_RESOURCES, *SERVED_ACTIVITIES) if name in needs.columns]
    if not columns or needs.is_empty():
        return {}
    sums = (
        needs.join(workloads.select("workload_id", "pool"), on="workload_id", maintain_order="left")
        .group_by("pool", "slot", maintain_order=True)
        .agg(*(total(pl.col(name).fill_nan(None)) for name in columns), read=pl.len())
        .filter(pl.col("read") >= pl.col("read").median().over("pool") / 2)
    )
    means = sums.group_by("pool").agg(average(name) for name in columns)
    return {row["pool"]: {name: row[name] for name in columns} for row in means.iter_rows(named=True)}


def _automatic(means: Mapping[str, float]) -> dict[str, float]:
    present = [name for name, mean in means.items() if mean is not None and mean > 0]
    chosen = [n for n in SIZED_RESOURCES if n in present] or [n for n in SERVED_ACTIVITIES if n in present][:1]
    return {name: means[name] / UNITS_OF_MEAN_DEMAND for name in chosen}


def _no_unit(target: Target, workloads: pl.DataFrame) -> str:
    pools = workloads["pool"].drop_nulls().unique().sort().to_list() if workloads.height else []
    if target.pool not in pools:
        named = ", ".join(pools[:8]) or "none"
        return (
            f"Target {target.name} has no unit: no workload belongs to its pool {target.pool}; the pools are {named}."
        )
    return (
        f"Target {target.name} has no unit: the workloads of pool {target.pool} have no demand above 0 of "
        f"{', '.join((*SIZED_RESOURCES, *SERVED_ACTIVITIES))}; give it a unit in persona.toml."
    )
