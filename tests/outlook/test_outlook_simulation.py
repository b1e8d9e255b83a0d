import numpy as np
import polars as pl
import pytest
from outlook_scenes import Scene, chance, daily, fit, fitted_fleet, outlook, scene_of

from persona_platform.outlook.frailty import enlarged, estimate
from persona_platform.outlook.members import member_counts
from persona_platform.outlook.simulate import Simulated, simulate
from persona_platform.outlook.state import current_state
from persona_platform.outlook.tables import OutlookModel


def draw(scene: Scene, model: OutlookModel, slots: int, paths: int, seed: int = 0) -> Simulated:
    state = current_state(scene.activations, scene.patterns, scene.until, scene.slot)
    return simulate(model, state, scene.workloads, scene.calendar, scene.until, slots, paths, seed)


def test_shape_type_and_patterns():
    scene, model = fitted_fleet()
    drawn = draw(scene, model, 20, 7)
    assert drawn.patterns.shape == (7, 30, 20)
    assert drawn.patterns.dtype == np.int16
    assert drawn.workload_ids == sorted(scene.truth)
    known = scene.patterns.select("workload_id", pl.col("pattern").cast(pl.Int16), "persona_id")
    assert drawn.played.sort("workload_id", "pattern").equals(known.sort("workload_id", "pattern"))


def test_paths_agree_with_the_prediction():
    scene, model = fitted_fleet()
    paths = 1000
    drawn, frames = draw(scene, model, 96, paths), outlook(scene, model, 96)
    for w, pattern, persona in drawn.played.iter_rows():
        seen = (drawn.patterns[:, drawn.workload_ids.index(w)] == pattern).mean(axis=0)
        said = chance(frames, w, persona)
        # four standard errors, and 0.02 for shocks that outlast the first start of a day
        assert np.all(np.abs(seen - said) < 0.02 + 4 * np.sqrt(said * (1 - said) / paths + 1e-6)), (
            w,
            persona,
        )


def test_a_seed_is_one_result():
    scene, model = fitted_fleet()
    first, again, other = (draw(scene, model, 40, 5, seed).patterns for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_members_move_together_where_they_did():
    # on half of the days all of twelve start, at times of their own; on the others none does
    rng = np.random.default_rng(0)
    on = set(np.flatnonzero(rng.random(42) < 0.5).tolist())
    played = {f"w{i:02d}": daily(42, at=40 + 2 * i, length=4, only=lambda d: d in on) for i in range(12)}
    scene = scene_of(played, {w: ["rest", "burst"] for w in played})
    model = fit(scene)
    started = (draw(scene, model, 96, 400).patterns == 1).any(axis=2).sum(axis=1)
    share = started.mean() / 12
    assert started.var() > 2.0 * 12 * share * (1 - share)  # independent members would give a factor of 1
    spread = outlook(scene, model, 96).personas.filter(persona_id="burst", horizon_s=86400)
    assert spread["members_q95"][0] >= np.quantile(started, 0.95) - 1.5
    assert spread["expected_members"][0] == pytest.approx(started.mean(), abs=0.8)


@pytest.mark.parametrize("variance", [1e-3, 0.05, 0.5, 1.0])
def test_enlarged_hazards_keep_the_chance(variance: float):
    hazards = np.array([0.01, 0.3, 0.05, 2.0])
    spent = np.concatenate([[0.0], np.cumsum(hazards)[:-1]])
    shock = np.random.default_rng(0).gamma(1 / variance, variance, size=400_000)
    survival = np.exp(-shock[:, None] * np.cumsum(enlarged(hazards, spent, variance))).mean(axis=0)
    assert survival == pytest.approx(np.exp(-np.cumsum(hazards)), abs=0.004)


@pytest.mark.parametrize("variance", [0.0, 0.4])
def test_the_variance_of_a_shock_is_found(variance: float):
    rng = np.random.default_rng(1)
    days, members, slots = 2000, 20, 10
    shock = rng.gamma(1 / variance, variance, days) if variance else np.ones(days)
    rate = np.full((days, members * slots), 0.04)
    happened = (rng.random(rate.shape) < 1 - (1 - rate) ** shock[:, None]).astype(float)
    day = np.repeat(np.arange(days), members * slots)
    found = estimate(np.zeros_like(day), day, rate.ravel(), happened.ravel(), 1)[0]
    assert found == pytest.approx(variance, abs=0.1)


@pytest.mark.parametrize("members", [3, 40, 400])
def test_counts_of_independent_members(members: int):
    chances = np.linspace(0.05, 0.6, members)
    counts = member_counts(np.zeros(members, dtype=int), chances, np.zeros(members, dtype=bool), np.array([1e-3]), 1)
    drawn = (np.random.default_rng(0).random((20_000, members)) < chances).sum(axis=1)
    assert counts["expected_members"][0] == pytest.approx(chances.sum())
    assert counts["probability"][0] == pytest.approx((drawn > 0).mean(), abs=0.01)
    assert counts["members_q50"][0] == pytest.approx(np.quantile(drawn, 0.5), abs=1)
    assert counts["members_q95"][0] == pytest.approx(np.quantile(drawn, 0.95), abs=1)
