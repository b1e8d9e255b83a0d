"""The project folder as a Dagster resource: what every asset, op and sensor reaches the outside through.

It hands out domain objects and plain stores; nothing is opened before it is asked for.
"""

import json
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl

from persona_platform.errors import ConfigError
from persona_platform.now import Moment, parse_instant, resolve_now
from persona_platform.settings import Project, Settings
from resources.frames import FrameStore
from resources.lost_runs import mark_running


@dataclass(frozen=True)
class ProjectState:
    """What ingest learned and everything after it needs to know without opening the warehouse."""

    slot: timedelta
    history_since: date
    newest: datetime
    metrics: tuple[str, ...] = ()
    """Names of the metrics held."""

    def save(self, path: Path) -> None:
        """Writes the state atomically."""
        scratch = path.with_suffix(".partial")
        body = {
            "slot_s": self.slot.total_seconds(),
            "history_since": self.history_since.isoformat(),
            "newest": self.newest.isoformat(),
            "metrics": list(self.metrics),
        }
        scratch.write_text(json.dumps(body), encoding="utf-8")
        scratch.replace(path)

    @classmethod
    def load(cls, path: Path) -> "ProjectState | None":
        """The saved state, or None before the first ingest."""
        if not path.is_file():
            return None
        body: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return cls(
            slot=timedelta(seconds=body["slot_s"]),
            history_since=date.fromisoformat(body["history_since"]),
            newest=datetime.fromisoformat(body["newest"]),
            metrics=tuple(body.get("metrics", ())),
        )


class ProjectResource(dg.ConfigurableResource):
    """One project folder. ``at`` fixes the instant of a run; empty means the time the run was created."""

    home: str
    at: str = ""

    def setup_for_execution(self, context: dg.InitResourceContext) -> None:
        """Marks the run as this process's, so that it is missed when the process is killed."""
        if context.run is not None and context.instance is not None:
            mark_running(context.instance, context.run.run_id)

    @property
    def project(self) -> Project:
        """The folder's paths."""
        if not self.home:
            raise ConfigError("No project folder: set PERSONA_HOME, or start from a folder with persona.toml.")
        return Project(Path(self.home))

    @property
    def frames(self) -> FrameStore:
        """The frames on disk."""
        return FrameStore(self.project.frames)

    def settings(self) -> Settings:
        """The parsed ``persona.toml``."""
        return self.project.settings()

    def state(self) -> ProjectState | None:
        """What ingest left behind."""
        return ProjectState.load(state_path(self.project))

    def clock(self, context: Any) -> datetime:
        """The instant of this run: ``at`` when given, else when the run was created."""
        if self.at:
            return parse_instant(self.at)
        record = context.instance.get_run_record_by_id(context.run.run_id)
        return record.create_timestamp.astimezone(UTC) if record else datetime.now(UTC)

    def moment(self, context: Any) -> Moment:
        """The instant this run plans from, the same for each of its steps."""
        state = self.state()
        given = parse_instant(self.at) if self.at else None
        return resolve_now(
            given,
            self.clock(context),
            state.newest if state else None,
            state.slot if state else timedelta(minutes=15),
        )

    def slot(self) -> timedelta:
        """The planning interval. Raises :class:`ConfigError` before the first ingest."""
        state = self.state()
        if state is None:
            raise ConfigError("There are no samples yet: run `persona ingest PATH` first.")
        return state.slot

    def workloads(self) -> pl.DataFrame:
        """The workloads as last ingested."""
        return self.frames.read("raw/workloads")


def state_path(project: Project) -> Path:
    """Where ingest keeps :class:`ProjectState`."""
    return project.state / "state.json"
