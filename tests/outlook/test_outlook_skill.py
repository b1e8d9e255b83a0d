from datetime import timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from outlook_scenes import MONDAY, Scene, planted_fleet, scene_of

from persona_platform.errors import InputError
from persona_platform.frames import TS
from persona_platform.outlook.baselines import ACTIVE, RESTING, UNREAD, label
from persona_platform.outlook.evaluation import Skill, brier_skill, calibration_error

TRACE = Path(__file__).parents[3] / "shared" / "traces" / "bitbrains_faststorage_1h.parquet"


def score(scene: Scene, split: timedelta, **how: object) -> Skill:
    start = scene.activations["start"].min()
    return brier_skill(*scene.inputs, slot=scene.slot, split=start + split, until=scene.until, **how)


@pytest.mark.parametrize(
    ("lead", "event", "every", "least"), [(1, "at", 17, 0.4), (4, "at", 17, 0.3), (96, "within", 193, 0.0)]
)
def test_the_outlook_beats_both_baselines_on_a_planted_fleet(lead: int, event: str, every: int, least: float):
    skill = score(planted_fleet(36, 42, seed=2), timedelta(days=28), lead=lead, event=event, every=every)
    assert skill.rows > 200
    assert skill.skill > least
    assert skill.calibration_error < 0.03


@pytest.mark.skipif(not TRACE.exists(), reason="the traces are not here")
def test_the_outlook_beats_both_baselines_on_real_machines():
    scene, split = bitbrains()
    skill = score(scene, split, every=3)
    assert skill.rows > 15_000
    assert skill.outlook < min(skill.climatology, skill.climatology_given_rest, skill.markov)
    assert skill.calibration_error < 0.02


def bitbrains() -> tuple[Scene, timedelta]:
    """Active by hysteresis around the median of log cpu, or by Otsu's threshold where two modes are apart.

    The rule is fitted on the first 60 %; machines with at least five starts there.
    """
    raw = pl.read_parquet(TRACE).filter(metric="cpu_pct").with_columns(pl.col("ts").cast(TS))
    start = raw["ts"].min()
    hours = int((raw["ts"].max() - start) / timedelta(hours=1)) + 1
    cut = int(hours * 0.6)
    played = {}
    for (name,), rows in raw.group_by("workload_id", maintain_order=True):
        level = np.full(hours, np.nan)
        level[((rows["ts"] - start).dt.total_hours()).to_numpy()] = np.log(rows["value"].to_numpy() + 0.1)
        numbers = active_or_resting(level, cut)
        starts = (numbers[1:cut] == 1) & (numbers[: cut - 1] == 0)
        if starts.sum() >= 5:
            played[name] = numbers
    return scene_of(played, {w: ["rest", "busy"] for w in played}, start=start, slot=timedelta(hours=1)), timedelta(
        hours=cut
    )


def active_or_resting(level: np.ndarray, cut: int) -> np.ndarray:
    train = level[:cut][np.isfinite(level[:cut])]
    if len(train) < 100 or train.std() < 1e-3:
        return np.full(len(level), -1)
    counts, edges = np.histogram(train, 64)
    share = np.cumsum(counts)[:-1] / counts.sum()
    center = np.cumsum(counts * (edges[1:] + edges[:-1]) / 2)[:-1] / counts.sum()
    between = (train.mean() * share - center) ** 2 / np.maximum(share * (1 - share), 1e-9)
    threshold = edges[between.argmax() + 1]
    high = train > threshold
    apart = high.any() and not high.all() and train[high].mean() - train[~high].mean() > np.log(2)
    if apart and between.max() / train.var() > 0.75 and min(high.mean(), 1 - high.mean()) > 0.03:
        on, off = level > threshold, level <= threshold
    else:
        low, middle, top = np.percentile(train, [25, 50, 75])
        on, off = level > middle + 0.25 * (top - low), level < middle
    marks = pl.Series(np.where(on, 1, np.where(off, 0, -1))).replace(-1, None)
    held = marks.fill_null(strategy="forward").fill_null(0).to_numpy()
    return np.where(np.isfinite(level), held, -1)


def test_labels_look_ahead_and_need_readings():
    played = np.array([[RESTING, RESTING, ACTIVE, UNREAD, RESTING, RESTING]], dtype=np.int8)
    assert label(played, 2, "at").tolist() == [[0, 1, -1, 0, 0, -1]]
    assert label(played, 2, "within").tolist() == [[0, 1, 1, -1, 0, -1]]


def test_calibration_error_of_a_calibrated_and_of_a_biased_forecast():
    rng = np.random.default_rng(0)
    chance = rng.random(60_000)
    happened = (rng.random(60_000) < chance).astype(float)
    assert calibration_error(chance, happened) < 0.01
    assert calibration_error(np.clip(chance + 0.2, 0, 1), happened) == pytest.approx(0.18, abs=0.02)


def test_where_nothing_rests_nothing_is_scored():
    scene = scene_of({"w": np.ones(7 * 96, dtype=int)}, {"w": ["rest", "busy"]})
    with pytest.raises(InputError, match="No workload rests"):
        brier_skill(*scene.inputs, slot=scene.slot, split=MONDAY + timedelta(days=4), until=scene.until, every=50)
