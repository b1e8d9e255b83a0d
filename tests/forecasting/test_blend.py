"""Several ways of forecasting, weighed by what was held out."""

from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest

from persona_platform.forecasting import fit_forecaster
from persona_platform.forecasting.blend import BANDS, ENOUGH, LEVELS, band_of, learn_weights
from persona_platform.forecasting.features import Rows
from persona_platform.forecasting.panel import make_panel
from persona_platform.forecasting.quantiles import normal_scores

START = datetime(2026, 3, 2, tzinfo=UTC)
STEP = timedelta(seconds=10)
HOUR = 360


def rows_of(series: int, count: int, ahead: int) -> Rows:
    whole = np.full(count, 0, dtype=np.int64)
    return Rows(whole + series, whole, whole + ahead)


def said_by(actual: np.ndarray, *errors: float) -> np.ndarray:
    """(rows, ways, LEVELS): each way a normal band around the truth, off by its error."""
    rng = np.random.default_rng(0)
    ways = []
    for error in errors:
        middle = actual + rng.normal(0.0, error, actual.size)
        ways.append(middle[:, None] + error * normal_scores(LEVELS))
    return np.stack(ways, axis=1)


def test_the_way_that_was_right_gets_the_weight_and_bands_that_were_not_seen_take_the_one_before():
    rng = np.random.default_rng(1)
    actual = rng.normal(10.0, 3.0, 600)
    weights = learn_weights(said_by(actual, 0.2, 8.0), actual, rows_of(0, 600, 3), ("a",), np.array([10.0]))
    assert weights.pooled.sum(axis=1) == pytest.approx(np.ones(len(BANDS)))
    band = int(band_of(np.array([3]))[0])
    assert weights.pooled[band, 0] > 0.9
    assert weights.pooled[-1] == pytest.approx(weights.pooled[band])
    assert weights.of(("b",), rows_of(0, 2, 3)) == pytest.approx(np.tile(weights.pooled[band], (2, 1)))


def test_each_series_moves_towards_what_suits_it():
    rng = np.random.default_rng(2)
    actual = rng.normal(10.0, 3.0, 800)
    right, wrong = said_by(actual[:400], 0.2, 4.0), said_by(actual[400:], 4.0, 0.2)
    series = np.repeat([0, 1], 400)
    rows = Rows(series, np.zeros(800, dtype=np.int64), np.full(800, 1))
    weights = learn_weights(np.concatenate([right, wrong]), actual, rows, ("a", "b"), np.full(2, 10.0))
    first, second = weights.table[:, 0]
    assert first[0] > weights.pooled[0, 0] > second[0]
    assert first[0] > 0.6
    assert second[1] > 0.6


def test_a_panel_before_a_length_ends_there():
    panel = make_panel(["a", "b"], [np.arange(5.0), np.arange(3.0)], [50, 30], 10)
    early = panel.before(np.array([2, 0]))
    assert early.lengths.tolist() == [2, 1]
    assert early.values.tolist() == [0.0, 1.0, 0.0]
    assert early.last_us.tolist() == [20, 10]


def test_an_hourly_cycle_of_ten_second_readings_is_kept_for_hours():
    rng = np.random.default_rng(3)
    steps = ENOUGH + 700
    cycle = 50 + 30 * np.sin(2 * np.pi * np.arange(HOUR) / HOUR) + rng.normal(0, 8, HOUR)
    values = np.resize(cycle, steps) * np.exp(rng.normal(0.0, 0.02, steps))
    ts = [START + i * STEP for i in range(steps)]
    history = pl.DataFrame({"series_id": "a", "ts": ts, "value": values}).head(ENOUGH + 100)
    forecaster = fit_forecaster(history, STEP)
    found = forecaster.quantiles(history, 600, [0.1, 0.5, 0.9])
    wide = found.pivot(on="quantile", index="ts", values="value").sort("ts")
    low, middle, high = (wide[c].to_numpy() for c in ("0.1", "0.5", "0.9"))
    actual = values[ENOUGH + 100 :]
    assert np.abs(middle - actual).mean() < 0.06 * actual.mean()
    assert 0.6 <= ((low <= actual) & (actual <= high)).mean() <= 0.98
