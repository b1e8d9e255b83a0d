"""The newest frames of a project as the showing commands read them."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property

import polars as pl

from persona_platform.personas.catalog import Catalog, catalog_from_frames
from persona_platform.personas.portrait.naming import main_need
from persona_platform.settings import Project, find_project
from resources.frames import FrameStore
from resources.named_files import read_newest
from resources.warehouse import read_mart


@dataclass(frozen=True)
class Snapshot:
    """What the last refit, replan and observation left; each part is read when it is asked for."""

    project: Project
    frames: FrameStore

    @classmethod
    def open(cls, project: Project | None = None) -> "Snapshot":
        """The snapshot of a project folder."""
        found = project or find_project()
        return cls(found, FrameStore(found.frames))

    @cached_property
    def catalog(self) -> Catalog:
        """The newest catalog."""
        return catalog_from_frames(self.frames.read_all("personas/catalog"))

    @cached_property
    def plan(self) -> pl.DataFrame:
        """PLAN, the newest."""
        return self.frames.read("capacity/plan", name="plan")

    @property
    def origin(self) -> datetime:
        """The instant that the newest plan starts from."""
        return self.plan["origin"][0]

    @property
    def slot(self) -> timedelta:
        """The planning interval."""
        return self.catalog.slot

    @cached_property
    def inventory(self) -> pl.DataFrame | None:
        """INVENTORY, the newest; None before the first observation."""
        return read_newest(self.project.inventory, 1)

    def persona_outlook(self, horizon: timedelta) -> pl.DataFrame:
        """For each persona: the probability that a member plays it within the horizon, and what it adds.

        Columns: persona_id, name, probability, expected_members (a number), expected (probability times
        requirement at the busiest slot), need (what that is an amount of: the persona's main need).
        """
        from persona_platform.outlook.model import model_from_frames
        from persona_platform.outlook.predict import predict_outlook
        from persona_platform.outlook.state import current_state

        activations = self.frames.read("personas/activations")
        state = current_state(activations, self.catalog.patterns, self.origin, self.slot)
        slots = max(1, -(-horizon // self.slot))
        calendar = read_mart(
            self.project.marts,
            "calendar_per_slot",
            since=self.origin - timedelta(days=1),
            until=self.origin + horizon + self.slot,
        )
        predicted = predict_outlook(
            model_from_frames(self.frames.read_all("outlook/model")),
            state,
            self.frames.read("raw/workloads"),
            calendar,
            self.origin,
            slots,
            horizons=(int(horizon.total_seconds()),),
        )
        means = {p.persona_id: p.requirement.mean for p in self.catalog.personas}
        main = {persona: main_need(mean) if mean else "" for persona, mean in means.items()}
        needs = pl.DataFrame(
            {
                "persona_id": list(means),
                "name": [p.name for p in self.catalog.personas],
                "need": list(main.values()),
                "amount": [means[persona].get(need, 0.0) for persona, need in main.items()],
            },
            schema={"persona_id": pl.String, "name": pl.String, "need": pl.String, "amount": pl.Float64},
        )
        busiest = (
            predicted.slots.group_by("persona_id", "slot")
            .agg(pl.col("probability").sum())
            .group_by("persona_id")
            .agg(pl.col("probability").max().alias("playing"))
        )
        return (
            predicted.personas.join(needs, on="persona_id", how="left")
            .join(busiest, on="persona_id", how="left")
            .with_columns(expected=pl.col("playing") * pl.col("amount"))
            .sort("probability", "expected", descending=True, nulls_last=True)
            .select("persona_id", "name", "probability", "expected_members", "expected", "need")
        )

    def demand_within(self, horizon: timedelta) -> pl.DataFrame:
        """For each target, at its busiest slot within the horizon: demand and its quantiles, capacity, shortfall."""
        ahead = self.plan.filter(pl.col("slot") < self.origin + horizon)
        peak = ahead.group_by("target").agg(
            pl.col("mean").max().alias("expected"),
            pl.col("q50", "q90", "q95", "q99").max(),
            pl.col("kappa").first(),
            pl.col("needed").max(),
        )
        if self.inventory is None:
            held = pl.DataFrame(schema={"target": pl.String, "usable": pl.Int64, "booting": pl.Int64})
        else:
            held = self.inventory.select("target", "usable", "booting")
        return (
            peak.join(held, on="target", how="left")
            .with_columns(shortfall=(pl.col("needed") - pl.col("usable") - pl.col("booting")).clip(lower_bound=0))
            .sort("target")
        )

    def plan_by_hour(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Targets down, hours across for the first hours, the largest need of each."""
        ahead = rows.filter(pl.col("slot") < self.origin + timedelta(hours=12))
        return (
            ahead.with_columns(hour=pl.col("slot").dt.truncate("1h").dt.strftime("%H"), order=pl.col("slot"))
            .sort("order")
            .group_by("target", "hour", maintain_order=True)
            .agg(pl.col("needed").max())
            .pivot("hour", index="target", values="needed")
            .sort("target")
        )
