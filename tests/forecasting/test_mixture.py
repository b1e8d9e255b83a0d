from datetime import timedelta

import numpy as np
import polars as pl
import pytest
from forecasting_scenes import HOUR, START, Paths, catalog, persona, slots, targets, units, workloads

from persona_platform.forecasting.mixture import mixture_demand
from persona_platform.frames import DEMAND, MEMBERSHIP, QUANTILE_COLUMNS, TS

HISTORY = 24 * 10
ORIGIN = START + HISTORY * HOUR
RNG = np.random.default_rng(0)
NAMES = [f"w{i:02d}" for i in range(12)]
FLEET = workloads(web=NAMES[:8], batch=NAMES[8:])
TARGETS = targets("web", "batch", hold=1)
UNITS = units(web={"cpu_cores": 4.0, "mem_bytes": 8.0}, batch={"cpu_cores": 2.0})
CATALOG = catalog(
    [(n, p, k, i) for n in NAMES for p, k, i in ((0, "resting", "p001"), (1, "active", "p002"))],
    persona("p001", 1.0), persona("p002", 30.0),
)  # fmt: skip


def lived(names=NAMES, history=HISTORY, sizes=(1.0, 4.0), active=0.3, seed=0):
    """Needs and membership of workloads that alternate at random between a small and a large pattern."""
    rng = np.random.default_rng(seed)
    shape = (len(names), history)
    pattern = (rng.random(shape) < active).astype(int)
    cpu = np.array(sizes)[pattern] * rng.lognormal(0, 0.4, shape)
    keys = {"workload_id": np.repeat(names, history), "slot": pl.concat([slots(history)] * len(names))}
    needs = pl.DataFrame({**keys, "cpu_cores": cpu.ravel(), "mem_bytes": 2 * cpu.ravel()}).with_columns(
        saturated=pl.lit(value=False)
    )
    playing = pl.DataFrame({**keys, "pattern": pattern.ravel()}).with_columns(
        persona_id=pl.concat_str(pl.lit("p00"), pl.col("pattern") + 1), probability=1.0
    )
    return needs, playing.select(pl.col(name).cast(dtype) for name, dtype in MEMBERSHIP.items())


def paths(count=400, ahead=12, names=NAMES, active=0.3, seed=1):
    return Paths(
        list(names),
        (np.random.default_rng(seed).random((count, len(names), ahead)) < active).astype(np.int16),
    )


NEEDS, PLAYED = lived()


def mixture(simulated, needs=NEEDS, played=PLAYED, fleet=FLEET, which=TARGETS, unit=UNITS, known=CATALOG, seed=0):
    return mixture_demand(simulated, needs, played, known, fleet, which, unit, origin=ORIGIN, slot=HOUR, seed=seed)


def per_slot(frame, target):
    return (
        frame.filter(pl.col("target") == target)
        .group_by("slot", maintain_order=True)
        .agg(pl.col("expected").sum())["expected"]
        .to_numpy()
    )


def test_the_mean_is_probability_times_requirement_summed_over_workloads_and_personas():
    simulated = paths(2000)
    found = mixture(simulated)
    # Needs are independent from slot to slot here, so hardly anything of the newest reading is left.
    recent = (
        NEEDS.join(PLAYED, on=["workload_id", "slot"])
        .group_by("workload_id", "pattern", maintain_order=True)
        .agg(pl.col("cpu_cores").sort_by("slot").tail(96).mean())
    )
    mean = {(w, p): cpu for w, p, cpu in recent.iter_rows()}
    share = simulated.patterns.mean(axis=0)
    for target, amount, members in (("web", 4.0, range(8)), ("batch", 2.0, range(8, 12))):
        seed_formula = sum((1 - share[w]) * mean[NAMES[w], 0] + share[w] * mean[NAMES[w], 1] for w in members) / amount
        drawn = found.demand.filter(pl.col("target") == target)["mean"].to_numpy()
        np.testing.assert_allclose(drawn[2:], seed_formula[2:], rtol=0.04)
        np.testing.assert_allclose(per_slot(found.expected, target), drawn, rtol=0.03)


def test_expected_names_the_personas_and_their_shares():
    found = mixture(paths(200)).expected
    assert found.columns == ["target", "slot", "persona_id", "expected"]
    by_persona = dict(
        found.filter(pl.col("target") == "web").group_by("persona_id").agg(pl.col("expected").mean()).iter_rows()
    )
    assert by_persona["p002"] / by_persona["p001"] == pytest.approx(0.3 * 4 / 0.7, rel=0.25)


def test_rows_are_demand_with_ordered_quantiles_and_the_quantile_at_kappa():
    found = mixture(paths(), which=targets("web", "batch", kappa=0.9, hold=3)).demand
    assert found.schema == pl.Schema(DEMAND)
    assert found["slot"].unique().sort().to_list() == [ORIGIN + i * HOUR for i in range(12)]
    assert np.all(np.diff(found.select(list(QUANTILE_COLUMNS)).to_numpy(), axis=1) >= 0)
    np.testing.assert_allclose(found["q_kappa"], found["q90"])


def test_the_largest_need_binds():
    greedy = units(web={"cpu_cores": 4.0, "mem_bytes": 0.8}, batch={"cpu_cores": 2.0})
    ratio = mixture(paths(), unit=greedy).demand["mean"] / mixture(paths()).demand["mean"]
    assert sorted(set(ratio.round(6))) == [1.0, 10.0]


def test_a_window_holds_at_least_each_of_its_slots():
    one = mixture(paths()).demand.sort("target", "slot")
    three = mixture(paths(), which=targets("web", "batch", hold=3)).demand.sort("target", "slot")
    assert np.all(three["q95"].to_numpy() >= one["q95"].to_numpy())
    assert three["mean"].mean() > 1.05 * one["mean"].mean()


def steady(memory, count=24 * 10):
    """One workload whose needs remember their past by `memory` a slot, and end at the top of their range."""
    noise = np.random.default_rng(2).normal(size=count)
    score = np.zeros(count)
    for i in range(1, count):
        score[i] = memory * score[i - 1] + np.sqrt(1 - memory**2) * noise[i]
    score[-1] = 2.5
    keys = {"workload_id": ["a"] * count, "slot": slots(count)}
    needs = pl.DataFrame({**keys, "cpu_cores": 10 + 2 * score}).with_columns(saturated=pl.lit(value=False))
    played = pl.DataFrame(keys).with_columns(pattern=0, persona_id=pl.lit("p001"), probability=1.0)
    return needs, played.select(pl.col(name).cast(dtype) for name, dtype in MEMBERSHIP.items())


def test_the_activation_that_runs_starts_from_its_newest_reading_and_forgets_it():
    needs, played = steady(0.9)
    fleet, unit = workloads(web=["a"]), units(web={"cpu_cores": 1.0})
    simulated = Paths(["a"], np.zeros((500, 1, 60), dtype=np.int16))
    found = mixture(simulated, needs, played, fleet, targets("web"), unit).demand.sort("slot")
    newest, usual = needs["cpu_cores"][-1], needs["cpu_cores"].tail(96).mean()
    assert found["mean"][0] > usual + 0.6 * (newest - usual)
    assert found["mean"][-1] == pytest.approx(usual, abs=0.5)
    other = Paths(["a"], np.ones((500, 1, 60), dtype=np.int16))
    known = catalog([("a", 1, "active", "p002")], persona("p002", 30.0))
    assert mixture(other, needs, played, fleet, targets("web"), unit, known).demand["mean"][0] == pytest.approx(
        30, rel=0.1
    )


def test_workloads_that_rise_together_widen_the_quantiles_and_keep_the_mean():
    names, history = [f"v{i:02d}" for i in range(30)], 96
    rng = np.random.default_rng(3)
    fleet, unit = workloads(web=names), units(web={"cpu_cores": 1.0})
    known = catalog([(n, 0, "steady", "p001") for n in names], persona("p001", 1.0))
    tides = {
        "together": np.repeat(rng.normal(size=(1, history)), 30, axis=0),
        "apart": rng.normal(size=(30, history)),
    }
    start = ORIGIN - history * HOUR
    spread = {}
    for name, tide in tides.items():
        keys = {
            "workload_id": np.repeat(names, history),
            "slot": pl.concat([slots(history, start=start)] * 30),
        }
        needs = pl.DataFrame({**keys, "cpu_cores": np.exp(0.3 * tide).ravel()}).with_columns(
            saturated=pl.lit(value=False)
        )
        played = pl.DataFrame(keys).with_columns(pattern=0, persona_id=pl.lit("p001"), probability=1.0)
        played = played.select(pl.col(column).cast(dtype) for column, dtype in MEMBERSHIP.items())
        simulated = Paths(names, np.zeros((1000, 30, 4), dtype=np.int16))
        last = mixture(simulated, needs, played, fleet, targets("web"), unit, known).demand.sort("slot").tail(1)
        spread[name] = (last["q95"] - last["q50"]).item()
        assert last["mean"].item() == pytest.approx(needs["cpu_cores"].mean() * 30, rel=0.05)
    assert spread["together"] > 2 * spread["apart"]


def test_a_newcomer_needs_what_its_persona_needs():
    fleet = workloads(web=[*NAMES[:8], "new"], batch=NAMES[8:])
    base = paths(300)
    known = pl.DataFrame({"workload_id": ["new"], "pattern": [-1], "persona_id": ["p002"]})
    fresh = np.concatenate([base.patterns, np.full((300, 1, 12), -1, np.int16)], axis=1)
    with_new = mixture(Paths([*NAMES, "new"], fresh, known), fleet=fleet).expected
    without = mixture(base).expected
    extra = per_slot(with_new, "web") - per_slot(without, "web")
    np.testing.assert_allclose(extra, 30.0 / 4.0, rtol=0.01)


def test_a_workload_not_read_for_over_a_week_is_gone_and_one_unread_since_yesterday_counts_in_part():
    quiet = ~((pl.col("workload_id") == "w08") & (pl.col("slot") >= ORIGIN - timedelta(days=2)))
    gone = ~((pl.col("workload_id") == "w08") & (pl.col("slot") >= ORIGIN - timedelta(days=9)))
    sizes = []
    for kept in (pl.lit(value=True), quiet, gone, pl.col("workload_id") != "w08"):
        found = mixture(paths(), NEEDS.filter(kept), PLAYED.filter(kept)).expected
        sizes.append(per_slot(found, "batch").mean())
    assert sizes[0] > sizes[1] > sizes[2] == pytest.approx(sizes[3])
    assert (sizes[1] - sizes[3]) / (sizes[0] - sizes[3]) == pytest.approx(0.75, abs=0.1)


def test_one_seed_one_result_and_nothing_after_the_origin_counts():
    future = NEEDS.with_columns(slot=pl.col("slot") + timedelta(hours=HISTORY), cpu_cores=1e9)
    later = PLAYED.with_columns(slot=pl.col("slot") + timedelta(hours=HISTORY))
    found = mixture(paths(), pl.concat([NEEDS, future]), pl.concat([PLAYED, later]))
    assert found.demand.equals(mixture(paths()).demand)
    assert not found.demand.equals(mixture(paths(), seed=1).demand)


@pytest.mark.parametrize(
    "simulated",
    [
        Paths([], np.zeros((5, 0, 3), np.int16)),
        Paths(NAMES, np.zeros((0, 12, 3), np.int16)),
        Paths(["ghost"], np.zeros((5, 1, 3), np.int16)),
    ],
)
def test_nothing_simulated_is_no_rows(simulated):
    found = mixture(simulated)
    assert found.demand.is_empty()
    assert found.expected.is_empty()
    assert found.expected.schema["slot"] == TS


def test_needs_never_read_give_zero_demand_and_not_an_error():
    found = mixture(paths(20), NEEDS.clear(), PLAYED.clear(), known=catalog([]))
    assert found.demand["q99"].to_list() == [0.0] * 24


def test_pools_are_drawn_in_chunks_without_changing_the_mean():
    names = [f"x{i:04d}" for i in range(700)]
    needs, played = lived(names, history=24)
    fleet, unit = workloads(web=names), units(web={"cpu_cores": 1.0})
    known = catalog([(n, p, "active", f"p00{p + 1}") for n in names for p in (0, 1)])
    shifted = timedelta(hours=HISTORY - 24)
    needs, played = (f.with_columns(pl.col("slot") + shifted) for f in (needs, played))
    found = mixture(paths(100, 48, names), needs, played, fleet, targets("web"), unit, known)
    np.testing.assert_allclose(per_slot(found.expected, "web"), found.demand.sort("slot")["mean"], rtol=0.02)
