"""Walking forward: stretches, plans that know only what was read before them, and that are the live ones."""

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest
from example_case import HOUR, START, case_of, daytime, with_future

from persona_platform.capacity.plan import make_plan
from persona_platform.capacity.planning import (
    fit_direct,
    fit_models,
    plan_at,
    validate_direct,
    validate_routes,
    weights_from,
)
from persona_platform.forecasting.combination import combine
from persona_platform.forecasting.demand import VALUES, direct_demand
from persona_platform.frames import EVIDENCE, empty
from persona_platform.replay.forward import Stretch, Walking, plans_with, stretches, validated_plans, walk_stretch

DAY = timedelta(days=1)
SLOTS = 3
DIRECT = Walking()
WHOLE = Walking(routes="all", plan_every=3, paths=16)


@pytest.fixture(scope="module")
def case(tmp_path_factory):
    """Ten days, six of them learned from; ``young`` begins on the fourth and wanders without any rhythm."""
    wander = 20 * np.exp(0.1 * np.random.default_rng(2).normal(size=7 * 24).cumsum())
    young = np.concatenate([np.full(3 * 24, np.nan), wander])
    return case_of(tmp_path_factory.mktemp("case"), {"web": daytime(10), "young": young})


def walked(case, stretch, walking=DIRECT, slots=SLOTS):
    return walk_stretch(case.history, case.sizing, case.observed, stretch, slots=slots, walking=walking)


@pytest.fixture(scope="module")
def direct(case):
    return walked(case, Stretch(case.scored_from, 30))


@pytest.mark.parametrize(
    ("origins", "slot", "refit_every", "lengths"),
    [
        (48, HOUR, DAY, [24, 24]),
        (50, HOUR, DAY, [24, 24, 2]),
        (5, HOUR, DAY, [5]),
        (5, HOUR, None, [5]),
        (4, DAY, HOUR, [1, 1, 1, 1]),
        (5, HOUR, 2.5 * HOUR, [2, 2, 1]),
        (0, HOUR, DAY, []),
        (0, HOUR, None, []),
    ],
)
def test_stretches_hold_every_origin_once_and_in_order(origins, slot, refit_every, lengths):
    cuts = stretches(START, origins, slot, refit_every)
    assert [cut.origins for cut in cuts] == lengths
    met = [cut.cut + i * slot for cut in cuts for i in range(cut.origins)]
    assert met == [START + i * slot for i in range(origins)]


def test_a_stretch_has_a_plan_for_each_of_its_origins(case, direct):
    plans = direct.plans
    assert plans.values.shape == (2, 30, SLOTS, len(VALUES))
    assert (plans.first, plans.slot, plans.origins) == (case.scored_from, HOUR, 30)
    assert plans.targets == tuple(case.sizing.targets["target"])
    web, young = plans.targets.index("web"), plans.targets.index("young")
    hours = 6 * 24 + np.arange(30)
    assert plans.history_s[web].tolist() == (3600 * hours).tolist()
    assert plans.history_s[young].tolist() == (3600 * (hours - 3 * 24)).tolist()
    begin = int(case.scored_from.timestamp()) * 1_000_000
    assert plans.data_until_us[web].tolist() == [begin + i * 3_600_000_000 for i in range(30)]


def test_the_plans_know_the_days_work(direct):
    """At 7 o'clock nothing but the past says that ten cores are needed at 8."""
    web = direct.plans.targets.index("web")
    needed = direct.plans.needed()[web]
    assert (needed[6, 0], needed[6, 1] <= 5) == (3, True)
    assert (needed[7, 1:] >= 10).all()
    assert (needed[8] >= 10).all()


def test_plans_are_the_live_chain_at_every_origin(case, direct):
    """Worked by hand, a frame for each origin: fit, demand, weights, plan."""
    history, sizing, cut = case.history, case.sizing, case.scored_from
    validated = validate_direct(history, sizing, case.observed, origin=cut, slots=SLOTS, seed=0)
    weights = weights_from(validated.backtest, HOUR)
    model = fit_direct(history, sizing, until=cut, seed=0, slots=SLOTS)
    for number in (0, 7, 29):
        origin = cut + number * HOUR
        seen = sizing.observed(history.before(origin))
        demand = combine(direct_demand(model, seen, history.calendar, origin, SLOTS, sizing.targets), weights, HOUR)
        plan = make_plan(
            demand,
            empty({name: EVIDENCE[name] for name in ("target", "slot", "persona_id", "expected")}),
            seen,
            sizing.targets,
            origin=origin,
            slot=HOUR,
        ).plan
        made = direct.plans.part(sorted(direct.plans.targets))
        assert plan["needed"].to_numpy().reshape(2, SLOTS).tolist() == made.needed()[:, number].tolist()
        for name in ("mean", "q50", "q90", "q95", "q99"):
            told = plan[name].to_numpy().reshape(2, SLOTS)
            np.testing.assert_allclose(made.values[:, number, :, VALUES.index(name)], told, rtol=1e-6)
        firsts = plan.group_by("target", maintain_order=True).first()
        assert firsts["history_s"].to_list() == made.history_s[:, number].tolist()
        assert firsts["cycle_s"].to_list() == made.cycle_s[:, number].tolist()
        assert firsts["data_until"].to_physical().to_list() == made.data_until_us[:, number].tolist()


@pytest.mark.parametrize("known", [0, 11, 29])
def test_no_plan_knows_what_comes(case, direct, known):
    """Origin ``known`` is the last whose past is as it was; from it on anything may come."""
    other = walked(with_future(case, case.scored_from + known * HOUR), Stretch(case.scored_from, 30))
    # Sums over rows of another length may differ in the last bit.
    np.testing.assert_allclose(
        other.plans.values[:, : known + 1], direct.plans.values[:, : known + 1], rtol=1e-12, atol=0
    )
    for name in ("history_s", "cycle_s", "data_until_us"):
        np.testing.assert_array_equal(
            getattr(other.plans, name)[:, : known + 1], getattr(direct.plans, name)[:, : known + 1]
        )
    if known < 29:
        assert not np.array_equal(other.plans.values[:, known + 1], direct.plans.values[:, known + 1])


def test_what_a_stretch_held_out_does_not_know_the_stretch(case, direct):
    other = walked(with_future(case, case.scored_from), Stretch(case.scored_from, 1))
    assert other.validated.backtest.equals(direct.validated.backtest)
    held_out = validated_plans(case.history, direct.validated, case.observed)
    assert held_out.first + held_out.origins * HOUR == case.scored_from
    assert held_out.values.shape[2] == SLOTS


def test_too_short_a_history_holds_nothing_out_and_is_planned_all_the_same(case):
    cut = START + 30 * HOUR
    found = walked(case, Stretch(cut, 2))
    assert found.validated.series is None
    assert validated_plans(case.history, found.validated, case.observed) is None
    web, young = found.plans.targets.index("web"), found.plans.targets.index("young")
    assert (found.plans.needed()[web] > 0).all()
    assert (found.plans.needed()[young] == -1).all()


@pytest.fixture(scope="module")
def whole(case):
    return walked(case, Stretch(case.scored_from + 5 * HOUR, 7), WHOLE)


def test_the_last_plan_stays_in_force_between_two(whole):
    """Origins 0, 3 and 6 plan; at 1 and 2 the slots are those that the plan of 0 has for then."""
    values = whole.plans.values
    assert values.shape == (2, 7, SLOTS, len(VALUES))
    told = [VALUES.index(name) for name in ("mean", "q50", "q90", "q95", "q99", "q_kappa")]
    assert np.isfinite(values[..., told]).all()
    for planned in (0, 3):
        np.testing.assert_array_equal(values[:, planned + 1, : SLOTS - 1], values[:, planned, 1:])
        np.testing.assert_array_equal(values[:, planned + 2, : SLOTS - 2], values[:, planned, 2:])
        assert (values[:, planned + 3, 0, told] != values[:, planned + 2, 1, told]).any()


def test_plans_of_all_routes_are_those_of_plan_at(case, whole):
    cut, past = case.scored_from + 5 * HOUR, case.history.before(case.scored_from + 5 * HOUR)
    weights = weights_from(validate_routes(past, case.sizing, origin=cut, slots=SLOTS + 3, seed=0), HOUR)
    models = fit_models(past, case.sizing, until=cut, previous=None, seed=0)
    origin = cut + 3 * HOUR
    plan = plan_at(
        models, weights, case.sizing, case.history, origin=origin, slots=SLOTS + 2, paths=WHOLE.paths, seed=0
    ).plan
    made = whole.plans.part(sorted(whole.plans.targets)).needed()
    by_slot = plan["needed"].to_numpy().reshape(2, SLOTS + 2)
    for late in range(3):
        assert made[:, 3 + late].tolist() == by_slot[:, late : late + SLOTS].tolist()
    often = plans_with(
        models, weights, case.sizing, case.history, case.observed, first=origin, origins=1, slots=SLOTS,
        walking=replace(WHOLE, plan_every=1),
    )  # fmt: skip
    assert often.part(sorted(often.targets)).needed()[:, 0].tolist() == by_slot[:, :SLOTS].tolist()


def test_no_plan_of_all_routes_knows_what_comes(case, whole):
    cut = case.scored_from + 5 * HOUR
    other = walked(with_future(case, cut + 3 * HOUR), Stretch(cut, 7), WHOLE)
    np.testing.assert_allclose(other.plans.values[:, :6], whole.plans.values[:, :6], rtol=1e-12, atol=0)
    assert not np.array_equal(other.plans.values[:, 6], whole.plans.values[:, 6], equal_nan=True)
