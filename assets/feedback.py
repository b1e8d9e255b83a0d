"""Group ``feedback``, planning's half: predicted against observed. Outcomes: :mod:`assets.inventory`."""

from datetime import datetime, timedelta
from pathlib import Path

import dagster as dg
import polars as pl

from assets.capacity import PLAN
from assets.forecasts import DEMAND
from assets.inputs import planning_inputs
from assets.metadata import CAPACITY_TEAM, table
from persona_platform import frames
from resources.named_files import newest_first
from resources.project import ProjectResource

CALIBRATION = dg.AssetKey(["feedback", "calibration"])
WINDOW = timedelta(days=7)


@dg.asset(
    key=CALIBRATION,
    deps=[PLAN],
    ins={"demand": dg.AssetIn(DEMAND)},
    group_name="feedback",
    owners=[CAPACITY_TEAM],
    kinds={"polars"},
    pool="planning",
    description="How often observed demand stayed within what past plans needed, by target and lead, beside the "
    "quantile that was asked for.",
)
def calibration(
    context: dg.AssetExecutionContext, project: ProjectResource, demand: dict[str, pl.DataFrame]
) -> dg.MaterializeResult[pl.DataFrame]:
    """Compares the plans of the last week with what came."""
    from persona_platform.feedback.calibration import calibration as calibrate

    inputs = planning_inputs(project, context)
    plans = past_plans(project.project.plans, inputs.origin - WINDOW)
    frame = calibrate(
        plans, demand["observed"], inputs.slot, targets=project.frames.read("capacity/units", name="targets")
    )
    return dg.MaterializeResult(value=frame, metadata={"plans": plans["plan_id"].n_unique(), "coverage": table(frame)})


def past_plans(folder: Path, since: datetime) -> pl.DataFrame:
    """The kept plans made since an instant, as one PLAN frame; columns that older ones lack are null."""
    kept = pl.scan_parquet(newest_first(folder), glob=False, schema=pl.Schema(frames.PLAN), missing_columns="insert")
    return kept.filter(pl.col("origin") >= since).collect()


default_assets = [calibration]
