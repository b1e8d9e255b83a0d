"""The catalogue of what workloads are like. Only declarations: a new archetype is a few lines of this module.

A *play* is one true persona: when it is active, at which sizes, and how its demand moves. An *archetype* is a
kind of workload: the play it is known for (the steady ones have none), what it does otherwise, and what it
may play besides or instead.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from persona_platform.fleet.timing import AtEvents, Duration, EveryHours, Irregular, OnDays, Timing


@dataclass(frozen=True)
class Size:
    """A provisionable size, and how often it is drawn."""

    name: str
    cores: float
    mem_gib: float
    probability: float
    gpus: int = 0


@dataclass(frozen=True)
class Traffic:
    """Disk and network beside the cores: megabytes per second for each busy core."""

    disk_read: float = 1.0
    disk_write: float = 1.0
    net_in: float = 1.0
    net_out: float = 1.0


@dataclass(frozen=True)
class Play:
    """One true persona. Two sizes at the same times are one play; one size at other times is another."""

    persona: str
    sizes: tuple[Size, ...]
    timing: Timing | None = None  # None: always
    duration: Duration = field(default_factory=lambda: Duration(24))
    drawn_per: Literal["workload", "activation"] = "workload"
    curve: str = "flat"
    traffic: Traffic = field(default_factory=Traffic)
    uplifts: Mapping[str, float] = field(default_factory=dict)  # by kind of event: the ratio of the need
    weather: bool = False
    sway: float = 1.0  # how much it follows the fleet's and its own slow movements; jobs hardly do
    rough: float = 0.04  # standard deviation of the logarithm from reading to reading


@dataclass(frozen=True)
class Archetype:
    """A kind of workload."""

    name: str
    pool: str
    team: str
    tier: str
    zones: tuple[str, ...]
    play: Play | None
    signals: tuple[str, ...]  # the activities that are measured
    beside: tuple[str, ...]  # archetypes whose play it may have as its second
    instead: str  # the archetype whose play it changes to
    base: Play | None = None  # what it plays otherwise; None: it rests
    rest: float = 0.02  # cores at rest, as a share of its smallest size
    rest_mem: float = 0.12  # memory at rest, likewise
    rest_curve: str = "quiet"
    headroom: tuple[float, float] = (1.15, 1.3)  # its limit over its largest size, drawn for each workload
    storage_class: str = "standard"
    stored_gib: float = 0.0  # 0: its storage is not measured


NEW_YORK, BERLIN, KOLKATA = "America/New_York", "Europe/Berlin", "Asia/Kolkata"
JOB: Final = Traffic(disk_read=9.0, disk_write=4.0, net_in=2.0, net_out=1.2)
WEB: Final = Traffic(disk_read=0.3, disk_write=0.5, net_in=1.6, net_out=7.0)
JOB_SIZES: Final = (Size("16 cores", 16, 64, 0.8), Size("32 cores", 32, 128, 0.2))
REPLICAS: Final = (Size("8 cores", 8, 16, 0.3), Size("16 cores", 16, 32, 0.5), Size("24 cores", 24, 48, 0.2))


def _job(persona: str, sizes: tuple[Size, ...], timing: Timing, duration: Duration, traffic: Traffic = JOB) -> Play:
    """Work that runs as hard as its size lets it, each time with a newly drawn size."""
    return Play(persona, sizes, timing, duration, "activation", "flat", traffic, sway=0.15, rough=0.025)


_ALL: Final = (
    Archetype(
        "office-web", "web", "workplace", "critical", (NEW_YORK, NEW_YORK, BERLIN, KOLKATA),
        Play(
            "office hours", REPLICAS, OnDays("working", 8.25), Duration(10.0, 0.04), curve="office",
            traffic=WEB,
        ),
        ("requests", "active_users", "latency_ms"), ("nightly-batch", "month-end-close"), "consumer-shop",
        rest=0.14, rest_mem=0.6, rest_curve="trickle", headroom=(1.1, 1.8),
    ),
    Archetype(
        "nightly-batch", "batch", "analytics", "batch", (NEW_YORK, BERLIN, NEW_YORK, KOLKATA),
        _job("night jobs", JOB_SIZES, OnDays("every", 1.0), Duration(2.0, 0.2)),
        ("jobs",), ("weekly-report", "month-end-close"), "dawn-batch", headroom=(1.05, 1.15),
    ),
    Archetype(
        "database", "data", "storage", "critical", (NEW_YORK, BERLIN, "UTC"),
        _job(
            "nightly backup", (Size("12 cores", 12, 64, 1.0),), OnDays("every", 3.0, spread=0.75),
            Duration(1.0, 0.15), Traffic(disk_read=60, disk_write=2, net_in=0.5, net_out=55),
        ),
        ("requests", "latency_ms"), ("month-end-close", "patching"), "weekly-report",
        base=Play(
            "always-on database", (Size("3 cores", 3, 48, 0.6), Size("5 cores", 5, 64, 0.4)), curve="always",
            traffic=Traffic(disk_read=6, disk_write=9, net_in=2, net_out=4), sway=0.6,
        ),
        storage_class="ssd", stored_gib=800,
    ),
    Archetype(
        "weather-retail", "web", "stores", "standard", (NEW_YORK, BERLIN),
        Play(
            "store hours", REPLICAS, OnDays("every", 9.0, weekdays=(0, 1, 2, 3, 4, 5), spread=0.25),
            Duration(12.0, 0.02), curve="store", traffic=WEB, uplifts={"payday": 1.2}, weather=True,
        ),
        ("requests", "active_users", "latency_ms"), ("nightly-batch", "weekly-report"), "consumer-shop",
        rest=0.1, rest_mem=0.6, rest_curve="trickle", headroom=(1.2, 2.1),
    ),
    Archetype(
        "dev-sandbox", "dev", "platform", "standard", (NEW_YORK, BERLIN, KOLKATA),
        Play(
            "sandbox sessions", (Size("4 cores", 4, 16, 0.7), Size("8 cores", 8, 32, 0.3)),
            OnDays("working", 10.0, share=0.5, spread=1.0, jitter=0.6), Duration(5.5, 0.35),
            sway=0.4, rough=0.22, curve="office",
            traffic=Traffic(disk_read=3, disk_write=5, net_in=3, net_out=0.6),
        ),
        (), ("seldom-tool", "weekly-report"), "nightly-batch", rest_mem=0.25, headroom=(1.3, 1.8),
    ),
    Archetype(
        "gpu-training", "gpu", "research", "batch", (NEW_YORK, BERLIN, "UTC"),
        _job(
            "training",
            (
                Size("1 gpu", 8, 64, 0.3, 1),
                Size("4 gpus", 24, 256, 0.45, 4),
                Size("8 gpus", 48, 512, 0.25, 8),
            ),
            Irregular(0.35), Duration(16.0, 0.8, longest=120),
            Traffic(disk_read=12, disk_write=1, net_in=6, net_out=0.5),
        ),
        ("jobs",), ("gpu-inference",), "gpu-inference", headroom=(1.05, 1.15), storage_class="nvme",
    ),
    Archetype(
        "consumer-shop", "web", "storefront", "critical", (NEW_YORK, NEW_YORK, BERLIN),
        Play(
            "consumer evenings", REPLICAS, OnDays("every", 7.5), Duration(16.0, 0.02), curve="shop",
            traffic=WEB, uplifts={"campaign": 1.8, "payday": 1.25},
        ),
        ("requests", "active_users", "latency_ms"), ("nightly-batch", "campaign-mailer"), "office-web",
        rest=0.11, rest_mem=0.6, rest_curve="trickle", headroom=(1.25, 2.1),
    ),
    Archetype(
        "cron-fanout", "batch", "platform", "standard", (NEW_YORK, BERLIN, "UTC"),
        _job("four-hourly fan-out", (Size("12 cores", 12, 24, 1.0),), EveryHours(4), Duration(0.25)),
        ("jobs",), ("nightly-batch", "weekly-report"), "nightly-batch",
    ),
    Archetype(
        "month-end-close", "data", "finance", "critical", (NEW_YORK, BERLIN),
        _job(
            "month close", (Size("24 cores", 24, 192, 0.7), Size("48 cores", 48, 384, 0.3)),
            OnDays("month_close", 17.0), Duration(6.0, 0.2),
        ),
        ("jobs",), ("weekly-report", "patching"), "weekly-report", storage_class="ssd",
    ),
    Archetype(
        "weekly-report", "data", "analytics", "standard", (NEW_YORK, BERLIN, KOLKATA),
        _job("Monday reports", JOB_SIZES, OnDays("every", 6.0, weekdays=(0,)), Duration(3.0, 0.15)),
        ("jobs",), ("nightly-batch", "month-end-close"), "nightly-batch",
    ),
    Archetype(
        "dawn-batch", "batch", "billing", "standard", (NEW_YORK, BERLIN),
        _job("dawn jobs", JOB_SIZES, OnDays("working", 5.0), Duration(1.5, 0.2)),
        ("jobs",), ("month-end-close", "weekly-report"), "nightly-batch", headroom=(1.05, 1.15),
    ),
    Archetype(
        "gpu-inference", "gpu", "assistant", "critical", (NEW_YORK, BERLIN),
        Play(
            "assistant hours", (Size("1 gpu", 6, 48, 0.5, 1), Size("2 gpus", 12, 96, 0.5, 2)),
            OnDays("every", 7.0), Duration(15.5, 0.03), curve="assistant", uplifts={"campaign": 1.2},
            traffic=Traffic(disk_read=0.5, disk_write=0.2, net_in=0.8, net_out=1.5),
        ),
        ("requests", "latency_ms"), ("gpu-training",), "gpu-training", rest=0.08, rest_mem=0.5,
        storage_class="nvme", headroom=(1.3, 1.9),
    ),
    Archetype(
        "campaign-mailer", "batch", "marketing", "standard", (NEW_YORK, BERLIN),
        _job(
            "campaign mailing", (Size("16 cores", 16, 32, 1.0),), AtEvents("campaign", delay=1.0),
            Duration(3.0, 0.25),
        ),
        ("jobs",), ("weekly-report",), "nightly-batch",
    ),
    Archetype(
        "seldom-tool", "dev", "security", "standard", (NEW_YORK, BERLIN, "UTC"),
        _job(
            "now and then", (Size("8 cores", 8, 32, 1.0),),
            OnDays("working", 13.0, share=0.12, spread=1.0, jitter=2.0), Duration(1.5, 0.4),
        ),
        (), ("dev-sandbox", "weekly-report"), "dev-sandbox",
    ),
    Archetype(
        "stream-ingest", "data", "platform", "critical", ("UTC", BERLIN), None,
        ("requests",), (), "nightly-batch",
        base=Play(
            "steady stream", (Size("4 cores", 4, 24, 0.5), Size("6 cores", 6, 32, 0.5)), curve="always",
            traffic=Traffic(disk_read=1, disk_write=14, net_in=16, net_out=3), sway=0.5,
        ),
        storage_class="ssd", stored_gib=1500, headroom=(1.4, 1.8),
    ),
    Archetype(
        "patching", "batch", "platform", "batch", (BERLIN, "UTC"),
        _job(
            "patch night", (Size("10 cores", 10, 32, 1.0),), AtEvents("maintenance", delay=0.5),
            Duration(2.0, 0.2),
        ),
        ("jobs",), ("weekly-report", "nightly-batch"), "weekly-report",
    ),
)  # fmt: skip

ARCHETYPES: Final = {archetype.name: archetype for archetype in _ALL}

DECK: Final = (
    *ARCHETYPES,
    "office-web", "nightly-batch", "consumer-shop", "database",
    "dev-sandbox", "gpu-training", "office-web", "cron-fanout",
)  # fmt: skip
"""Workload n is the n-th card, over and over: every archetype is there early, the common ones more often."""

PERSONAS: Final = {
    play.persona: play for archetype in _ALL for play in (archetype.base, archetype.play) if play is not None
}
"""Every true persona by its label."""
