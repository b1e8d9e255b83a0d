"""What the warehouse tells its callers: reports of an ingest, its state, the days to rebuild."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta


@dataclass(frozen=True)
class FileReport:
    """What became of the rows of one file: ``rows`` = new + replaced + unchanged + all quarantined."""

    file: str
    rows: int = 0
    new: int = 0
    replaced: int = 0
    unchanged: int = 0
    quarantined: Mapping[str, int] = field(default_factory=dict)
    days: tuple[date, ...] = ()
    """Days whose samples changed."""
    already_ingested: bool = False
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class IngestReport:
    """What became of each file, in the order in which they were given."""

    files: tuple[FileReport, ...]

    @property
    def new(self) -> int:
        """Rows that were not held before."""
        return sum(report.new for report in self.files)

    @property
    def quarantined(self) -> int:
        """Rows that broke the contract."""
        return sum(sum(report.quarantined.values()) for report in self.files)

    @property
    def days(self) -> list[date]:
        """UTC days whose samples or covariates changed, sorted."""
        return sorted({day for report in self.files for day in report.days})


@dataclass(frozen=True)
class WarehouseState:
    """What is held. Times are null, and counts 0, while nothing is."""

    slot: timedelta | None
    """The planning interval; null until a series has two readings, unless given."""
    history_since: date | None
    """UTC day of the oldest sample."""
    newest: datetime | None
    """End of the newest sample's interval: over the series, last reading plus step (a slot at most)."""
    samples: int
    workloads: int
    quarantined: int
    files: int
    datasets: tuple[str, ...]
    metrics: tuple[str, ...] = ()
    """Names of the metrics held, sorted; those that no model uses among them."""


@dataclass(frozen=True)
class StaleDays:
    """Days whose marts are older than their raw rows, and the token that says when this was true."""

    days: tuple[date, ...]
    samples: tuple[int, ...]
    """Samples held for each of the days."""
    token: int
