"""The demonstration's replay: the last days walked forward with the live plan and ``decide()``, beside three others.

The models are those of the last refit, which must have learned from nothing inside the days replayed.
"""

from datetime import datetime, timedelta
from typing import Final

import polars as pl
from rich.console import Console
from rich.progress import Progress

from persona_platform.cli.reading import Snapshot
from persona_platform.settings import Project
from resources.frames import FrameStore
from resources.warehouse import read_mart

PLAN_EVERY: Final = 4
"""Slots between two plans of the replay: hourly, where the live platform plans each slot."""
AHEAD_SLOTS: Final = 5
TRAINING: Final = timedelta(days=21)
RESULT: Final = "replay/comparison"


def replay_last_days(project: Project, until: datetime, span: timedelta, console: Console) -> None:
    """Replays ``span`` before ``until`` and keeps scores and decisions as frames of ``replay/comparison``."""
    from assets.inputs import History
    from persona_platform.capacity.limits import limits_frame
    from persona_platform.capacity.planning import Models, Sizing
    from persona_platform.forecasting.demand import from_bytes
    from persona_platform.outlook.model import model_from_frames
    from persona_platform.replay.engine import Terms, record
    from persona_platform.replay.forward import Walking, plans_with
    from persona_platform.replay.ours import PLANNED_BEFORE, Ours
    from persona_platform.replay.policies import Clairvoyant, Reactive, ReactiveTuned
    from persona_platform.replay.scores import compare
    from persona_platform.utilization.needs import needs_per_slot
    from resources.project import ProjectResource
    from resources.targets import configured_targets

    frames, settings = FrameStore(project.frames), project.settings()
    snapshot = Snapshot.open(project)
    slot, since = snapshot.slot, until - span - TRAINING
    usage = read_mart(project.marts, "usage_per_slot", since=since, until=until)
    activity = read_mart(project.marts, "activity_per_slot", since=since, until=until)
    calendar = read_mart(project.marts, "calendar_per_slot", since=since, until=until + timedelta(days=1))
    history = History(needs_per_slot(usage, activity), frames.read("raw/workloads"), calendar, slot)
    sizing = Sizing(frames.read("capacity/units", name="targets"), frames.read("capacity/units", name="units"))
    models = Models(
        snapshot.catalog,
        model_from_frames(frames.read_all("outlook/model")),
        from_bytes(frames.read("forecasts/model")["model"][0]),
    )
    weights = frames.read("forecasts/combination", name="weights")
    observed, lead_time = sizing.observed(history), timedelta(seconds=300)
    start = until - span - PLANNED_BEFORE
    with Progress(console=console, transient=True) as progress:
        task = progress.add_task("Replaying the last two days", total=None)
        plans = plans_with(
            models,
            weights,
            sizing,
            history,
            observed,
            first=start,
            origins=int((until - start) / slot),
            slots=AHEAD_SLOTS,
            walking=Walking(
                routes="all",
                plan_every=PLAN_EVERY,
                paths=settings.planning.paths,
                seed=settings.project.seed,
            ),
            progress=lambda done, of: progress.update(task, completed=done, total=of),
        )
    limits = limits_frame(configured_targets(ProjectResource(home=str(project.home))))
    recording = record(observed, step=slot, scored_from=until - span, terms=Terms(lead_time))
    prices = dict(limits.select("target", "price_per_hour").iter_rows())
    policies = [Reactive(), ReactiveTuned(), Clairvoyant(), Ours([plans], limits)]
    comparison = compare(recording, policies, prices)
    frames.write(
        RESULT,
        {
            "scores": comparison.scores,
            "decisions": comparison.decisions,
            "span": pl.DataFrame(
                {
                    "step_s": [slot.total_seconds()],
                    "lead_time_s": [lead_time.total_seconds()],
                    "scored_from": [comparison.scored_from],
                    "scored_until": [comparison.scored_until],
                }
            ),
        },
        f"until-{until:%Y%m%dT%H%M}",
    )
    console.print(f"Replayed {span.days} days of {len(recording.targets)} targets with the live plan and decide().")


def kept_comparison(project: Project):  # noqa: ANN201 (replay.scores is imported late)
    """The kept comparison, or None where none was made."""
    from persona_platform.replay.scores import Comparison

    frames = FrameStore(project.frames)
    if not frames.has(RESULT):
        return None
    span = frames.read(RESULT, name="span").row(0, named=True)
    return Comparison(
        scores=frames.read(RESULT, name="scores"),
        decisions=frames.read(RESULT, name="decisions"),
        step=timedelta(seconds=span["step_s"]),
        lead_time=timedelta(seconds=span["lead_time_s"]),
        scored_from=span["scored_from"],
        scored_until=span["scored_until"],
    )
