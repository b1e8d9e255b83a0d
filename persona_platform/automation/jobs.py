"""The planning location's jobs. All run in one process: a step's own process costs seconds of imports."""

from typing import Any, Final

import dagster as dg

LANE: Final = "persona_platform/lane"
"""Run tag: queued runs of one lane go one after another."""

RAW: Final = dg.AssetSelection.groups("raw")
LEARNED: Final = dg.AssetSelection.assets(
    ["personas", "catalog"],
    ["outlook", "model"],
    ["capacity", "units"],
    ["forecasts", "model"],
    ["forecasts", "combination"],
    ["capacity", "suitability"],
)


def planning_jobs() -> list[Any]:
    """``ingest`` (raw), ``replan`` (raw to plan) and ``refit`` (the same, learning anew on the way)."""
    everything = dg.AssetSelection.all()
    return [
        _job("ingest", RAW, "Samples, workloads and calendars from files into the warehouse."),
        _job(
            "replan",
            everything - LEARNED,
            "From raw to plan in one run, with the personas and models of the last refit.",
        ),
        _job("refit", everything, "Learns personas and models anew, then plans with them."),
    ]


def _job(name: str, selection: dg.AssetSelection, description: str) -> Any:
    return dg.define_asset_job(
        name,
        selection=selection,
        description=description,
        executor_def=dg.in_process_executor,
        tags={LANE: "planning"},
    )
