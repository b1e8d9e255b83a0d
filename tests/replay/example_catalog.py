"""A made-up catalog in full: records with every part, how many personas were chosen, ten refits and their lineage."""

from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl

from persona_platform.personas.lineage import LINEAGE, REFITS
from persona_platform.personas.record import (
    Complement,
    Duration,
    EventUplift,
    Lead,
    Member,
    Persona,
    Recurrence,
    Relation,
    Requirement,
    Size,
)

GIB = 2.0**30
SINCE = datetime(2026, 1, 5, tzinfo=UTC)
UNTIL = datetime(2026, 3, 2, tzinfo=UTC)


def size(cores, memory, probability, width=0.05, storage="gp3"):
    amounts = {"cpu_cores": cores, "mem_bytes": memory * GIB, "disk_bytes": 100 * GIB}
    return Size(amounts, storage, probability, max(0.0, probability - width), min(1.0, probability + width))


def requirement(sizes, **medians):
    spread = np.array([0.6, 1.0, 1.35, 1.5, 1.8])
    quantiles = {need: (value * spread).tolist() for need, value in medians.items()}
    return Requirement(
        sizes=sizes,
        quantiles=quantiles,
        low={need: [0.9 * v for v in values] for need, values in quantiles.items()},
        high={need: [1.12 * v for v in values] for need, values in quantiles.items()},
        mean=dict(medians),
        peak_to_mean=dict.fromkeys(medians, 1.8),
        saturated=0.03,
    )


def duration(median_slots, slots, slot_s=900):
    at = np.arange(slots)
    alive = 1 / (1 + (at / median_slots) ** 6)
    wide = 0.06 * np.sqrt(alive * (1 - alive)) * 2
    low, high = np.clip(alive - wide, 0, 1), np.clip(alive + wide, 0, 1)
    median_s = float(median_slots * slot_s)
    return Duration(slot_s, alive.tolist(), low.tolist(), high.tolist(), median_s, 1.05 * median_s, 0.04)


def recurrence(hours, rate, period_s, uplifts=()):
    week = [rate if (h // 24, h % 24) in hours else rate / 80 for h in range(168)]
    between = [period_s * f for f in (0.97, 1.0, 1.04, 3.0, 3.1)] if period_s else []
    return Recurrence(week, [0.9 * v for v in week], [1.15 * v for v in week], list(uplifts), between, period_s, 0.93)


def persona(persona_id, name, kind, **parts):
    members = parts.pop("members", 20)
    known = {
        "requirement": requirement([size(2, 4, 1.0, 0.0)], cpu_cores=1.6, mem_bytes=3.2 * GIB),
        "duration": duration(8, 24),
        "recurrence": recurrence(set(), 0.0, 0.0),
        "shape": "flat",
        "variability": 0.12,
        "main_need": "cpu_cores",
        "relations": [],
        "leads": [],
        "complements": [],
        "priority": "standard",
        "stability": 0.91,
        "drift": 0.14,
        "born": 1,
        **parts,
    }
    return Persona(
        persona_id=persona_id,
        version=10,
        kind=kind,
        name=name,
        description=f"{name.capitalize()}: played by {members} workloads.",
        sla=0.95,
        members=[Member(f"{persona_id}-worker-{i:02d}", round(0.4 / (1 + i / 4), 3)) for i in range(members)],
        trained_from=SINCE,
        trained_until=UNTIL,
        **known,
    )


def personas():
    nights = {(day, hour) for day in range(5) for hour in (2, 3)}
    days = {(day, hour) for day in range(5) for hour in (7, 8, 9)}
    month_end = [
        EventUplift("month_end", 6.2, 3.1, 9.9, 1.8, 1.4, 2.3, 4, 44),
        EventUplift("black_friday_campaign", 1.0, 0.2, 4.8, 1.0, 0.5, 2.0, 0, 0),
    ]
    nightly = persona(
        "p001",
        "weekday nights, 16 cores, 2 h",
        "active",
        members=24,
        requirement=requirement([size(16, 32, 0.8), size(32, 64, 0.2)], cpu_cores=15.1, mem_bytes=29 * GIB,
                                disk_write_bytes=40 * 2.0**20, net_in_bytes=3 * 2.0**20),
        recurrence=recurrence(nights, 0.43, 86400.0, month_end),
        relations=[Relation("mem_bytes", 1.9 * GIB, 0.94), Relation("disk_write_bytes", 2.6 * 2.0**20, 0.71)],
        leads=[Lead("queue_depth", 2, 0.83), Lead("latency_ms", -1, 0.4)],
        complements=[Complement("p002", 0.38)],
        shape="ramp",
    )  # fmt: skip
    office = persona(
        "p002",
        "working hours, 4 cores, 9 h",
        "active",
        members=61,
        requirement=requirement(
            [size(4, 8, 0.5), size(8, 8, 0.2), size(8, 16, 0.1), *(size(2**i, 32, 0.04) for i in range(5))],
            cpu_cores=4.4, mem_bytes=7.5 * GIB, requests=120.0,
        ),
        duration=duration(36, 60),
        recurrence=recurrence(days, 0.31, 86400.0),
        complements=[Complement("p001", 0.38)],
    )  # fmt: skip
    backup = persona(
        "p003",
        "Sundays <full backup>, 2 cores, 45 min",
        "active",
        members=2,
        recurrence=recurrence({(6, 6)}, 0.97, 604800.0),
        duration=duration(3, 8),
        priority="batch",
    )
    steady = persona("p004", "steady, 1 core", "steady", members=112, priority="critical", duration=duration(900, 1344))
    resting = persona("p005", "resting", "resting", members=85, requirement=requirement([], mem_bytes=0.2 * GIB))
    return nightly, office, backup, steady, resting


def selection():
    rows = [
        (
            "active",
            k,
            12_000 - 900 * min(k, 6) + 160 * max(0, k - 6),
            0.95 - 0.03 * k if 3 <= k <= 8 else None,
            1.2 - 0.1 * min(k, 7),
            k == 6,
        )
        for k in range(1, 15)
    ]
    rows += [("steady", 1, 10.0, 1.0, 0.5, True), ("resting", 1, 10.0, 1.0, 0.5, True)]
    schema = {"kind": pl.String, "k": pl.Int64, "bic": pl.Float64, "jaccard": pl.Float64, "pinball": pl.Float64,
              "chosen": pl.Boolean}  # fmt: skip
    return pl.DataFrame(rows, schema=schema, orient="row")


def refits(count=10):
    rows = []
    for v in range(1, count + 1):
        at = UNTIL - timedelta(days=count - v)
        odd = v == 6
        rows.append(
            (v, at, 5, 0 if v == 1 else 3 if odd else 5, 5 if v == 1 else 1 if odd else 0, int(odd), int(odd), int(odd),
             None if v == 1 else 0.72 if odd else 0.95, None if v == 1 else 0.2, 0.88 + 0.004 * v)
        )  # fmt: skip
    return pl.DataFrame(rows, schema=REFITS, orient="row")


def lineage(count=10):
    ids = [f"p{i:03d}" for i in range(1, 6)]
    rows = []
    for v in range(1, count + 1):
        at = UNTIL - timedelta(days=count - v)
        for name in ids:
            later = name == "p003"
            event = "new" if v == 1 and not later else "kept"
            if later and v < 6:
                continue
            if later and v == 6:
                rows.append((v, at, "split", name, "p001", 0.9, 0.0))
                continue
            rows.append((v, at, event, name, None, 0.97, 0.05 * v if event == "kept" else 0.0))
        if v == 6:
            rows.append((v, at, "merged", "p001", "p090", 0.84, 0.0))
            rows.append((v, at, "gone", "p091", None, 0.3, 0.0))
    return pl.DataFrame(rows, schema=LINEAGE, orient="row")
