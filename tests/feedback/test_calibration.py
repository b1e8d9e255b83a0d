"""How often demand stayed below the planned quantile, over plans of many origins."""

from datetime import UTC, datetime, timedelta
from statistics import NormalDist

import numpy as np
import polars as pl
import pytest

from persona_platform.feedback.calibration import CALIBRATION, calibration
from persona_platform.frames import OBSERVED, PLAN, TARGETS, TS

SLOT = timedelta(minutes=15)
START = datetime(2026, 3, 2, tzinfo=UTC)


def plans(quantiles: list[dict[str, float]], kappa: float = 0.95, leads: int = 1) -> pl.DataFrame:
    """One plan a slot; its quantiles are those of the slot it is made for, for every lead."""
    rows = [
        {
            "plan_id": f"p{i}",
            "origin": START + (i - lead) * SLOT,
            "target": "t",
            "slot": START + i * SLOT,
            "mean": 1.0,
            **size,
            "kappa": kappa,
            "needed": 1,
            "history_s": 0,
            "cycle_s": 0,
        }
        for i, size in enumerate(quantiles)
        for lead in range(leads)
    ]
    return pl.DataFrame(rows, schema=PLAN)


def observed(values: list[float | None], saturated: frozenset[int] = frozenset()) -> pl.DataFrame:
    rows = [
        {"target": "t", "slot": START + i * SLOT, "demand": value, "saturated": i in saturated}
        for i, value in enumerate(values)
    ]
    return pl.DataFrame(rows, schema=OBSERVED)


FLAT = {"q50": 1.0, "q90": 2.0, "q95": 4.0, "q99": 8.0}


def test_coverage_pinball_and_leads_by_hand():
    frame = calibration(plans([FLAT] * 4, leads=2), observed([1.0, 3.0, 4.0, 5.0]), SLOT)
    assert frame.schema == CALIBRATION
    assert frame["lead_s"].to_list() == [0, 900]
    assert frame["coverage"].to_list() == [0.75, 0.75]
    assert frame["slots"].to_list() == [4, 4]
    assert frame["pinball"][0] == pytest.approx((0.05 * 3 + 0.05 * 1 + 0 + 0.95 * 1) / 4)


def test_true_quantiles_are_calibrated_and_low_ones_are_not():
    rng = np.random.default_rng(0)
    values = rng.normal(10, 2, 4000).tolist()
    true = {
        name: NormalDist(10, 2).inv_cdf(level)
        for name, level in (("q50", 0.5), ("q90", 0.9), ("q95", 0.95), ("q99", 0.99))
    }
    for kappa in (0.9, 0.95, 0.99):
        found = calibration(plans([true] * 4000, kappa), observed(values), SLOT).row(0, named=True)
        assert found["coverage"] == pytest.approx(kappa, abs=4 * (kappa * (1 - kappa) / 4000) ** 0.5)
    low = {name: value - 1 for name, value in true.items()}
    assert calibration(plans([low] * 4000), observed(values), SLOT)["coverage"].item() < 0.93


@pytest.mark.parametrize(
    ("kappa", "quantile"),
    [(0.3, 1.0), (0.5, 1.0), (0.8, 1.75), (0.9, 2.0), (0.95, 4.0), (0.97, 6.0), (0.99, 8.0), (0.999, 8.0)],
)
def test_a_kappa_between_the_planned_quantiles_is_interpolated(kappa, quantile):
    below = calibration(plans([FLAT], kappa), observed([quantile - 1e-3]), SLOT)["coverage"].item()
    above = calibration(plans([FLAT], kappa), observed([quantile + 1e-3]), SLOT)["coverage"].item()
    assert (below, above) == (1.0, 0.0)


def test_a_window_is_held_against_its_largest_demand_and_needs_all_its_slots():
    targets = pl.DataFrame([("t", "p", 0.95, 2)], schema=TARGETS, orient="row")
    frame = calibration(plans([FLAT] * 6), observed([1.0, 9.0, 1.0, 1.0, None, 1.0]), SLOT, targets=targets)
    assert frame["slots"].item() == 3  # the windows of slots 0, 1, 2; 3 and 4 hold an unread slot, 5 is not over
    assert frame["coverage"].item() == pytest.approx(1 / 3)


def test_a_gap_is_unread_not_adjacent():
    values = observed([1.0, 9.0]).with_columns(slot=pl.Series([START, START + 4 * SLOT], dtype=TS))
    targets = pl.DataFrame([("t", "p", 0.95, 2)], schema=TARGETS, orient="row")
    assert calibration(plans([FLAT] * 6), values, SLOT, targets=targets).is_empty()


def test_a_saturated_slot_counts_only_as_a_miss():
    frame = calibration(plans([FLAT] * 3), observed([1.0, 9.0, 1.0], frozenset({0, 1})), SLOT)
    assert frame["slots"].item() == 2
    assert frame["coverage"].item() == 0.5


def test_nothing_to_judge_is_an_empty_frame():
    for frame in (
        calibration(plans([FLAT]), observed([]), SLOT),
        calibration(plans([]), observed([1.0]), SLOT),
        calibration(plans([FLAT]), observed([None]), SLOT),
        calibration(plans([FLAT]), observed([float("nan")]), SLOT),
    ):
        assert frame.is_empty()
        assert frame.schema == CALIBRATION
