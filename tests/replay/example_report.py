"""A made-up fleet's report: two pools, five personas, days of demand, a plan, actions and a replay."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl

from persona_platform.capacity.plan_series import plan_series
from persona_platform.forecasting.demand import VALUES
from persona_platform.frames import (
    ACTIONS,
    ACTIVATION_OUTLOOK,
    COMBINATION,
    DEMAND,
    EVIDENCE,
    INVENTORY,
    LIMITS,
    OBSERVED,
    OTHER,
    OUTCOMES,
    PERSONA_OUTLOOK,
    PLAN,
    UNITS,
    conform,
)
from persona_platform.personas.record import (
    Duration,
    EventUplift,
    Member,
    Persona,
    Recurrence,
    Requirement,
    Size,
)
from persona_platform.replay.engine import Terms, record
from persona_platform.replay.ours import Ours, Setting
from persona_platform.replay.outcomes import AS_PLANNED
from persona_platform.replay.policies import Clairvoyant, Reactive, ReactiveTuned
from persona_platform.replay.report import ReportData
from persona_platform.replay.scores import compare

SLOT = timedelta(minutes=15)
ORIGIN = datetime(2024, 3, 14, 7, 30, tzinfo=UTC)
START = ORIGIN - timedelta(days=2)
TARGETS = ("analytics", "storefront")
GIB = 2.0**30
SWEPT = (Setting(), Setting(0.5), Setting(0.99))


def persona(persona_id, name, kind, sizes, members, hours, rate, **other):
    week = [rate if (hour // 24, hour % 24) in hours else rate / 60 for hour in range(168)]
    return Persona(
        persona_id=persona_id,
        version=3,
        kind=kind,
        name=name,
        description=name,
        requirement=Requirement(sizes, {}, {}, {}, {"cpu_cores": 8.0, "mem_bytes": 12 * GIB}, {}, 0.0),
        duration=Duration(
            900,
            [1.0, 0.9, 0.5, 0.1],
            [1.0, 0.8, 0.4, 0.0],
            [1.0, 1.0, 0.6, 0.2],
            other.get("lasts", 7200.0),
            7000.0,
            0.04,
        ),
        recurrence=Recurrence(
            week, week, week, other.get("uplifts", []), other.get("between", [86400.0] * 5), 86400.0, 0.9
        ),
        shape="flat",
        variability=0.1,
        main_need="cpu_cores",
        relations=[],
        leads=[],
        complements=[],
        priority=other.get("tier", "standard"),
        sla=0.95,
        members=[Member(f"{persona_id}-{i}", 0.2) for i in range(members)],
        trained_from=START,
        trained_until=ORIGIN,
        stability=0.91,
        drift=0.1,
        born=1,
    )


def personas():
    def size(cores, memory, probability):
        return Size({"cpu_cores": cores, "mem_bytes": memory * GIB}, "standard", probability, 0.0, 1.0)

    nights = {(day, hour) for day in range(5) for hour in (2, 3)}
    days = {(day, hour) for day in range(5) for hour in (7, 8, 9)}
    month_end = [
        EventUplift("campaign", 1.3, 0.7, 2.2, 1.0, 0.9, 1.1, 2, 12),
        EventUplift("month_end", 6.2, 3.1, 9.9, 1.0, 0.9, 1.1, 2, 12),
    ]
    nightly = [size(16.0, 32.0, 0.8), size(32.0, 64.0, 0.2)]
    office = [size(4.0, 8.0, 0.56), size(8.0, 8.0, 0.3), size(8.0, 16.0, 0.1), size(16.0, 16.0, 0.04)]
    backup = [size(2.0, 4.0, 1.0)]
    weekly = {"lasts": 2700.0, "between": [604800.0] * 5, "tier": "batch"}
    return (
        persona("p001", "weekday nights, 16 cores, 2 h", "active", nightly, 24, nights, 0.83, uplifts=month_end),
        persona("p002", "office hours, 4 cores, 9 h", "active", office, 61, days, 0.31, lasts=32400.0),
        persona("p003", "Sundays <full backup>, 2 cores", "active", backup, 9, {(6, 6)}, 0.97, **weekly),
        persona("p004", "always on, 1 core", "steady", [], 112, set(), 0.0, tier="critical"),
        persona("p005", "resting", "resting", [], 85, set(), 0.0),
    )


def clock(at):
    return (at.hour + at.minute / 60) if at.weekday() < 5 else 0.0


def shape(target, at):
    """The demand that is expected, in units."""
    hour = clock(at)
    if target == "storefront":
        return 14 + 30 * np.clip(np.sin((hour - 6.5) / 12 * np.pi), 0, 1) ** 0.7
    return 6 + 34 * (2 <= hour < 4) + 12 * (9 <= hour < 17)


def observed(rng):
    rows = [
        {"target": t, "slot": at, "demand": float(shape(t, at) * rng.lognormal(0, 0.08)), "saturated": False}
        for t in TARGETS
        for at in (START + i * SLOT for i in range((ORIGIN - START) // SLOT))
    ]
    frame = pl.DataFrame(rows, schema=OBSERVED)
    lost = pl.col("slot").is_between(ORIGIN - timedelta(hours=30), ORIGIN - timedelta(hours=29))
    lost &= pl.col("target") == "storefront"
    return frame.with_columns(demand=pl.when(~lost).then("demand"))


def demand(origin, slots=96):
    rows = []
    for target in TARGETS:
        for i in range(slots):
            at = origin + i * SLOT
            mean = max(shape(target, at + j * SLOT) for j in range(2))
            q = {"q10": 0.88, "q50": 1.02, "q90": 1.15, "q95": 1.2, "q99": 1.32}
            rows.append({"origin": origin, "target": target, "slot": at, "route": "combined", "mean": mean,
                         "kappa": 0.95, "q_kappa": 1.2 * mean,
                         **{k: v * mean for k, v in q.items()}})  # fmt: skip
    return pl.DataFrame(rows, schema=DEMAND)


def plan(origin, slots=96):
    rows = demand(origin, slots).with_columns(
        plan_id=pl.lit(f"plan-{origin:%d%H%M}"),
        needed=pl.col("q_kappa").ceil().cast(pl.Int64),
        history_s=30 * 86400,
        cycle_s=7 * 86400,
        data_until=pl.col("origin"),
        suitable=pl.lit(None, pl.Boolean),
    )
    return conform(rows, PLAN, "plan")


def evidence(rows):
    shares = {"analytics": {"p001": 0.7, OTHER: 0.3}, "storefront": {"p002": 0.85, "p004": 0.15}}
    split = [{"target": t, "persona_id": p, "share": s} for t, of in shares.items() for p, s in of.items()]
    joined = rows.join(pl.DataFrame(split), on="target").with_columns(expected=pl.col("mean") * pl.col("share"))
    return conform(joined, EVIDENCE, "evidence")


def limits():
    base = {
        "provisioner": "simulated", "mode": "act", "min": 2, "max": 120, "step_share": 0.5, "step_units": 10,
        "dead_band": 0.1, "cooldown_up_s": 300, "cooldown_down_s": 600, "min_history_s": 7 * 86400,
        "stale_after_s": 3600, "expiry_s": 3600, "lead_time_prior_s": 300.0,
    }  # fmt: skip
    prices = zip(TARGETS, (0.384, 0.192), strict=True)
    return pl.DataFrame([{"target": t, "price_per_hour": p, **base} for t, p in prices], schema=LIMITS)


def inventories(decisions):
    """What the replay held over the last day, as observations of it."""
    last = decisions.filter(pl.col("ts") >= ORIGIN - timedelta(days=1))
    return last.select(
        inventory_id=pl.lit("inventory"),
        target="target",
        observed_at="ts",
        usable=pl.col("capacity").cast(pl.Int64),
        booting=(pl.col("billed") - pl.col("capacity")).cast(pl.Int64),
        ready_at=pl.lit(None, dtype=INVENTORY["ready_at"]),
        floor=pl.col("billed").cast(pl.Int64),
        observed_demand="demand",
    )


def outcomes(actions):
    late = pl.int_range(pl.len()) % 5 == 3
    raised = pl.col("to_floor") > pl.col("from_floor")
    ready = pl.col("need_at") + pl.when(late).then(pl.duration(minutes=4)).otherwise(pl.duration(minutes=-8))
    return actions.with_columns(
        requested_at="decided_at",
        ready_at=pl.when(raised).then(ready),
        outcome=pl.when(raised & late)
        .then(pl.lit("unmet"))
        .when(raised)
        .then(pl.lit("met"))
        .otherwise(pl.lit("released")),
        ahead_s=pl.when(raised).then(pl.when(late).then(-240.0).otherwise(480.0)),
        peak_demand=pl.col("wanted") * 0.9,
    ).select(*OUTCOMES)


def persona_outlook():
    table = {
        "p001": (0.02, 0.06, 0.995, 22.4, 24),
        "p002": (0.61, 0.97, 1.0, 58.2, 61),
        "p003": (0.0, 0.0, 0.004, 0.0, 0),
    }
    rows = [
        {"origin": ORIGIN, "persona_id": p, "horizon_s": h, "probability": values[i],
         "expected_members": values[3], "members_q50": values[3], "members_q95": float(values[4])}
        for p, values in table.items()
        for i, h in enumerate((900, 3600, 86400))
    ]  # fmt: skip
    return pl.DataFrame(rows, schema=PERSONA_OUTLOOK)


def activation_outlook():
    rows = [
        {"origin": ORIGIN, "workload_id": f"web-{i:02d}", "persona_id": "p002", "horizon_s": h,
         "probability": p / (1 + i / 9)}
        for i in range(18)
        for h, p in ((900, 0.35), (3600, 0.82), (86400, 0.98))
    ]  # fmt: skip
    return pl.DataFrame(rows, schema=ACTIVATION_OUTLOOK)


def combination():
    rows = [
        {"target": t, "lead_slots": lead, "route": route, "weight": weight, "pinball": 0.4, "relative": 0.8}
        for t in TARGETS
        for lead, mixed in ((4, 0.3), (24, 0.45), (96, 0.6))
        for route, weight in (("mixture", mixed), ("direct", 0.9 - mixed), ("seasonal_naive", 0.1))
    ]
    return pl.DataFrame(rows, schema=COMBINATION)


def plans(seen, first, origins, slots=8):
    """The plans of each step, as replay takes them, of a fleet that has been watched for a month."""
    values = np.empty((len(TARGETS), origins, slots, len(VALUES)))
    for i in range(origins):
        values[:, i] = demand(first + i * SLOT, slots).select(VALUES).to_numpy().reshape(len(TARGETS), slots, -1)
    made = plan_series(values, TARGETS, seen, first=first, slot=SLOT)
    return replace(made, history_s=np.full_like(made.history_s, 30 * 86400))


def performed(recording, floors):
    """ACTIONS with ``decided_at``: the scored changes of floors (targets, walked steps)."""
    rows = []
    scored = recording.scored_from - recording.walked_from
    for target, held in zip(recording.targets, floors, strict=True):
        for i in np.flatnonzero(np.diff(held)) + 1:
            if i < scored:
                continue
            now = recording.at(recording.walked_from + int(i))
            rows.append({"key": f"{target}-{i}", "target": target, "from_floor": held[i - 1], "to_floor": held[i],
                         "wanted": held[i], "act_at": now, "need_at": now + SLOT, "expires_at": now + 5 * SLOT,
                         "bound_by": "none", "waits_for_approval": False, "cost": 0.1, "decided_at": now})  # fmt: skip
    return pl.DataFrame(rows, schema={**ACTIONS, "decided_at": OUTCOMES["need_at"]}).sort("decided_at", "target")


def report_data():
    seen = observed(np.random.default_rng(5))
    terms = Terms(timedelta(minutes=5))
    recording = record(seen, step=SLOT, scored_from=ORIGIN - timedelta(days=1), terms=terms)
    first = ORIGIN - timedelta(days=1, hours=4)
    ours = Ours([plans(seen, first, (ORIGIN - first) // SLOT)], limits(), sweep=SWEPT)
    price = dict(limits().select("target", "price_per_hour").iter_rows())
    comparison = compare(recording, [ours, Reactive(), ReactiveTuned(), Clairvoyant()], price)
    walked = performed(recording, ours.walk(recording).floor[0])
    held = comparison.decisions.filter(pl.col("policy") == "ours", pl.col("setting") == AS_PLANNED)
    actions = walked.with_columns(plan_id=pl.format("plan-{}", pl.col("decided_at").dt.strftime("%d%H%M")))
    acted_on = pl.concat([plan(at, 8) for at in walked["decided_at"].unique()] + [plan(ORIGIN)])
    units = [
        ("analytics", "cpu_cores", 16.0),
        ("analytics", "mem_bytes", 32 * GIB),
        ("storefront", "requests", 240.0),
    ]
    return ReportData(
        title="Persona Platform: example fleet",
        origin=ORIGIN,
        slot=SLOT,
        personas=personas(),
        persona_outlook=persona_outlook(),
        activation_outlook=activation_outlook(),
        observed=seen,
        demand=demand(ORIGIN),
        combination=combination(),
        plan=plan(ORIGIN),
        evidence=evidence(acted_on),
        units=pl.DataFrame(units, schema=UNITS, orient="row"),
        limits=limits(),
        inventories=inventories(held),
        actions=actions.select(*ACTIONS, "decided_at", "plan_id"),
        outcomes=outcomes(walked),
        comparison=comparison,
        notes=("Now is the end of the data, Thu 14 Mar 07:30: the clock is later.",),
    )
