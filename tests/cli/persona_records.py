"""A catalog of two personas, one with every part, and who played them: as a refit and a replan leave them."""

from datetime import UTC, datetime, timedelta

import polars as pl

from persona_platform.frames import MEMBERSHIP, empty
from persona_platform.personas.catalog import PATTERNS, Catalog, catalog_frames
from persona_platform.personas.clustering import SELECTION
from persona_platform.personas.levels import LEVELS
from persona_platform.personas.lineage import LINEAGE
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
from persona_platform.settings import Project
from resources.frames import FrameStore

GIB = 2.0**30
SINCE, UNTIL = datetime(2026, 2, 2, tzinfo=UTC), datetime(2026, 3, 2, tzinfo=UTC)
NAMES = {"p001": "weekday nights, 16 cores, 2 h", "p002": "resting, 0.5 cores"}


def nightly() -> Persona:
    """Every part of a record, and names that are long."""
    amounts = {"cpu_cores": 16.0, "mem_bytes": 64 * GIB, "disk_bytes": 1.5 * 2.0**40}
    steps = [9.1, 15.1, 20.4, 22.6, 27.2]
    needs = {"cpu_cores": steps, "mem_bytes": [v * GIB for v in steps], "net_out_bytes": [v * 2.0**20 for v in steps]}
    week = [0.4 if hour % 24 == 2 and hour < 120 else 0.0 for hour in range(168)]
    return Persona(
        persona_id="p001",
        version=3,
        kind="active",
        name=NAMES["p001"],
        description="Weekday nights: needs 16 cores and 64 GiB (80 %), lasts 2 h in the median; by 14 workloads.",
        requirement=Requirement(
            [
                Size(amounts, "premium-ssd-zone-redundant", 0.8, 0.7, 0.88),
                Size({**amounts, "cpu_cores": 32.0}, "", 0.2, 0.12, 0.3),
            ],
            needs,
            {need: [0.9 * v for v in values] for need, values in needs.items()},
            {need: [1.1 * v for v in values] for need, values in needs.items()},
            {need: values[1] for need, values in needs.items()},
            dict.fromkeys(needs, 1.8),
            0.02,
        ),
        duration=Duration(900, [1.0, 1.0, 0.9, 0.5, 0.1], [1.0, 0.9, 0.8, 0.4, 0.0], [1.0, 1.0, 1.0, 0.6, 0.2],
                          7200.0, 7300.0, 0.04),
        recurrence=Recurrence(
            week, week, week,
            [EventUplift("end_of_quarter_reporting", 6.2, 3.1, 12.4, 1.8, 1.4, 2.3, 4, 44)],
            [82_000.0, 86_400.0, 90_000.0, 260_000.0, 262_000.0], 86_400.0, 0.93,
        ),
        shape="ramp",
        variability=0.2,
        main_need="cpu_cores",
        relations=[Relation("mem_bytes", 4 * GIB, 0.94)],
        leads=[Lead("queue_depth", 2, 0.83)],
        complements=[Complement("p002", 0.38)],
        priority="critical",
        sla=0.99,
        members=[Member(f"warehouse-batch-europe-{i:02d}", 0.3 - i / 100) for i in range(14)],
        trained_from=SINCE,
        trained_until=UNTIL,
        stability=0.91,
        drift=0.14,
        born=1,
    )  # fmt: skip


def resting() -> Persona:
    """Next to nothing."""
    return Persona(
        persona_id="p002",
        version=1,
        kind="resting",
        name=NAMES["p002"],
        description="Resting.",
        requirement=Requirement([], {}, {}, {}, {"cpu_cores": 0.5}, {}, 0.0),
        duration=Duration(900, [1.0], [1.0], [1.0], 0.0, 0.0, 0.0),
        recurrence=Recurrence([0.0] * 168, [], [], [], [], 0.0, 0.0),
        shape="flat",
        variability=0.0,
        main_need="cpu_cores",
        relations=[],
        leads=[],
        complements=[],
        priority="standard",
        sla=0.95,
        members=[],
        trained_from=SINCE,
        trained_until=UNTIL,
        stability=1.0,
        drift=0.0,
        born=3,
    )


def lineage() -> pl.DataFrame:
    """Three refits: p001 came with the first, took in p009 with the second, and was kept since."""
    rows = [
        (1, SINCE, "new", "p001", None, 1.0, 0.0),
        (2, UNTIL, "kept", "p001", None, 0.9, 0.3),
        (2, UNTIL, "merged", "p001", "p009", 0.8, 0.0),
        (3, UNTIL, "kept", "p001", None, 0.9, 0.14),
    ]
    return pl.DataFrame(rows, schema=LINEAGE, orient="row")


def membership() -> pl.DataFrame:
    """Two workloads over a day, one gap."""
    slots = [UNTIL - timedelta(days=1) + i * timedelta(minutes=15) for i in range(96)]
    rows = [(w, at, 0, "p001" if at.hour == 2 else "p002", 0.97) for w in ("a", "b") for at in slots if at.hour != 9]
    return pl.DataFrame(rows, schema=MEMBERSHIP, orient="row")


def learned(project: Project) -> pl.DataFrame:
    """Leaves catalog and membership in a project's frames; returns the membership."""
    store = FrameStore(project.frames)
    catalog = Catalog(
        3,
        timedelta(minutes=15),
        (nightly(), resting()),
        empty(PATTERNS),
        empty(LEVELS),
        empty(SELECTION),
        9,
        lineage(),
    )
    store.write("personas/catalog", catalog_frames(catalog), "one")
    played = membership()
    store.write("personas/membership", played, "one")
    return played
