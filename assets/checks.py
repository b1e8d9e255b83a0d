"""Asset checks written in Python; dbt's tests come with the models, ``plan_within_bounds`` with the plan."""

from statistics import median

import dagster as dg
import polars as pl

from assets.feedback import CALIBRATION
from assets.metadata import table
from assets.personas import CATALOG, current_catalog
from assets.raw import SAMPLES, project_warehouse
from persona_platform.personas.lineage import churn, newest_refit
from resources.project import ProjectResource

QUARANTINE_WARN = 0.01
STABLE = 0.6
COVERAGE_SLACK = 0.10
ENOUGH_SLOTS = 100


@dg.asset_check(asset=SAMPLES, name="few_rows_quarantined", pool="warehouse")
def few_rows_quarantined(project: ProjectResource) -> dg.AssetCheckResult:
    """Warns when more than 1 % of the rows broke the contract: a feed has changed."""
    warehouse = project_warehouse(project)
    state = warehouse.state()
    share = state.quarantined / max(1, state.samples + state.quarantined)
    return dg.AssetCheckResult(
        passed=share <= QUARANTINE_WARN,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={"share": share, "newest": table(warehouse.quarantine(20))},
    )


@dg.asset_check(asset=CATALOG, name="personas_stable")
def personas_stable(project: ProjectResource) -> dg.AssetCheckResult:
    """Warns when the median persona is found again in under 60 % of the bootstrap fits (Jaccard)."""
    found = [persona.stability for persona in current_catalog(project).personas]
    stability = median(found) if found else 1.0
    return dg.AssetCheckResult(
        passed=stability >= STABLE,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={"median stability": stability},
    )


@dg.asset_check(asset=CATALOG, name="catalog_churn")
def catalog_churn(project: ProjectResource) -> dg.AssetCheckResult:
    """Warns when the newest refit tells other personas from the one before: ids would mean little to their readers."""
    found = current_catalog(project)
    sentences = churn(found.refits, found.lineage)
    return dg.AssetCheckResult(
        passed=not sentences,
        severity=dg.AssetCheckSeverity.WARN,
        description=" ".join(sentences) or None,
        metadata={
            "newest refits": table(found.refits.sort("version", descending=True), rows=2),
            "lineage": table(newest_refit(found.lineage).drop("trained_until")),
        },
    )


@dg.asset_check(asset=CALIBRATION, name="coverage_in_band")
def coverage_in_band(project: ProjectResource) -> dg.AssetCheckResult:
    """Warns when demand stayed within the plan more than 10 points less often than was asked for."""
    frame = project.frames.read("feedback/calibration")
    judged = frame.filter(pl.col("slots") >= ENOUGH_SLOTS)
    low = judged.filter(pl.col("coverage") < pl.col("kappa") - COVERAGE_SLACK)
    return dg.AssetCheckResult(
        passed=low.height == 0,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={"judged": judged.height, "below the band": table(low)},
    )


default_checks = [few_rows_quarantined, personas_stable, catalog_churn, coverage_in_band]
