import io
from dataclasses import fields
from datetime import timedelta

import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from outlook_scenes import (
    MONDAY,
    activations_of,
    calendar_of,
    chance,
    daily,
    fit,
    fitted_fleet,
    outlook,
    patterns_of,
    scene_of,
    sums,
    workloads_of,
)

from persona_platform.errors import InputError
from persona_platform.frames import ACTIVATION_KEYS, ACTIVATION_OUTLOOK, OTHER, OUTLOOK, PERSONA_OUTLOOK
from persona_platform.outlook.model import fit_outlook, model_frames, model_from_frames
from persona_platform.outlook.predict import predict_outlook
from persona_platform.outlook.state import STATE, current_state

HOUR = timedelta(hours=1)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(st.lists(st.integers(-1, 3), min_size=1, max_size=80), min_size=1, max_size=4),
    st.integers(1, 30),
)
def test_probabilities_sum_to_one_whatever_was_played(numbers: list[list[int]], slots: int):
    played = {f"w{i}": np.array(values) for i, values in enumerate(numbers)}
    personas = {w: ["rest", "a", "b", OTHER][: max(2, 1 + i)] for i, w in enumerate(played)}
    scene = scene_of(played, personas, slot=HOUR, horizon=timedelta(days=2))
    frames = outlook(scene, fit(scene), slots)
    assert np.allclose(sums(frames), 1.0)
    assert frames.slots["probability"].is_between(0.0, 1.0 + 1e-9).all()
    assert frames.activations["probability"].is_between(0.0, 1.0).all()
    assert frames.personas["probability"].is_between(0.0, 1.0).all()
    assert frames.slots.height == frames.slots.unique(["workload_id", "slot", "persona_id"]).height


def test_columns_are_the_contracts_and_horizons_are_nested():
    scene, model = fitted_fleet()
    frames = outlook(scene, model, 96)
    assert frames.slots.schema == pl.Schema(OUTLOOK)
    assert frames.activations.schema == pl.Schema(ACTIVATION_OUTLOOK)
    assert frames.personas.schema == pl.Schema(PERSONA_OUTLOOK)
    wide = frames.activations.pivot("horizon_s", index=["workload_id", "persona_id"], values="probability")
    assert (wide["900"] <= wide["3600"]).all()
    assert (wide["3600"] <= wide["86400"]).all()
    assert frames.personas.filter(pl.col("members_q50") > pl.col("members_q95")).is_empty()


def test_a_short_horizon_says_what_it_covers():
    scene, model = fitted_fleet()
    assert outlook(scene, model, 48).activations["horizon_s"].unique().sort().to_list() == [900, 3600, 43200]


def test_the_first_quarter_of_an_hour_is_the_first_slot():
    scene, model = fitted_fleet()
    frames = outlook(scene, model, 4)
    first = frames.slots.filter(pl.col("slot") == scene.until)
    both = frames.activations.filter(horizon_s=900).join(first, on=["workload_id", "persona_id"])
    assert both.height
    assert np.allclose(both["probability"], both["probability_right"])


def test_members_of_a_persona_are_counted():
    scene, model = fitted_fleet()
    rows = outlook(scene, model, 96).personas.filter(persona_id="p001", horizon_s=86400)
    assert rows["probability"][0] > 0.99  # five nightly workloads
    assert 4.0 < rows["expected_members"][0] <= 5.0
    assert rows["members_q95"][0] == 5.0


def test_a_workload_in_many_personas_keeps_eight_and_other():
    rng = np.random.default_rng(5)
    played = rng.integers(0, 12, 400)
    scene = scene_of(
        {"w": played}, {"w": ["rest", *(f"p{i}" for i in range(11))]}, slot=HOUR, horizon=timedelta(days=1)
    )
    frames = outlook(scene, fit(scene), 6)
    kept = set(frames.slots["persona_id"])
    assert len(kept - {OTHER}) == 8
    assert chance(frames, "w", OTHER).min() > 0.0
    assert np.allclose(sums(frames), 1.0)


def test_the_model_survives_parquet():
    scene, model = fitted_fleet()
    kept = {}
    for name, frame in model_frames(model).items():
        buffer = io.BytesIO()
        frame.write_parquet(buffer)
        kept[name] = pl.read_parquet(io.BytesIO(buffer.getvalue()))
    again = model_from_frames(kept)
    for field in fields(model):
        before, after = getattr(model, field.name), getattr(again, field.name)
        if isinstance(before, np.ndarray):
            assert before.dtype == after.dtype, field.name
            np.testing.assert_array_equal(before, after)
        elif field.name == "roster":
            assert before.rows.equals(after.rows)
        else:
            assert before == after
    assert outlook(scene, again, 24).slots.equals(outlook(scene, model, 24).slots)


def test_the_same_data_and_seed_give_the_same_model():
    scene, model = fitted_fleet()
    again = fit_outlook(
        *(frame.sample(fraction=1.0, shuffle=True, seed=3) for frame in scene.inputs),
        slot=scene.slot,
        until=scene.until,
        seed=0,
    )
    assert outlook(scene, again, 8).slots.equals(outlook(scene, model, 8).slots)


def test_nothing_at_or_after_until_is_seen():
    scene, _ = fitted_fleet()
    until = MONDAY + timedelta(days=14)
    past = scene.activations.filter(pl.col("start") < until).with_columns(pl.col("end").clip(upper_bound=until))
    state = current_state(past, scene.patterns, until, scene.slot)
    slots = [
        predict_outlook(
            fit_outlook(data, *scene.inputs[1:], slot=scene.slot, until=until, seed=0),
            state,
            scene.workloads,
            scene.calendar,
            until,
            8,
        ).slots
        for data in (scene.activations, past)
    ]
    assert slots[0].equals(slots[1])


class TestLittleIsKnown:
    def test_nothing_was_ever_played(self):
        scene = scene_of({}, {"w": ["rest", "job"], "v": [OTHER]})
        empty = pl.DataFrame(schema=ACTIVATION_KEYS)
        model = fit_outlook(
            empty, scene.patterns, scene.workloads, scene.calendar, slot=scene.slot, until=MONDAY, seed=0
        )
        state = current_state(empty, scene.patterns, MONDAY, scene.slot)
        assert state.is_empty()
        frames = predict_outlook(model, state, scene.workloads, scene.calendar, MONDAY, 8)
        assert np.allclose(sums(frames), 1.0)

    def test_no_patterns_and_no_workloads(self):
        calendar = calendar_of(MONDAY, MONDAY + timedelta(days=1))
        model = fit_outlook(
            pl.DataFrame(schema=ACTIVATION_KEYS),
            patterns_of({}),
            workloads_of([]),
            calendar,
            slot=HOUR,
            until=MONDAY,
            seed=0,
        )
        frames = predict_outlook(model, pl.DataFrame(schema=STATE), workloads_of(["new"]), calendar, MONDAY, 3)
        assert chance(frames, "new", OTHER).tolist() == [1.0, 1.0, 1.0]
        assert model_from_frames(model_frames(model)).states == 0

    def test_no_events_and_no_edge_of_a_month(self):
        scene = scene_of({"w": daily(7, at=8, length=8)}, {"w": ["rest", "job"]})
        plain = scene.calendar.with_columns(is_month_begin=False, is_month_end=False)
        model = fit_outlook(
            scene.activations,
            scene.patterns,
            scene.workloads,
            plain,
            slot=scene.slot,
            until=scene.until,
            seed=0,
        )
        assert model.kinds == ()

    def test_one_workload_with_one_sample(self):
        scene = scene_of({"w": np.array([0])}, {"w": ["rest", "job"]})
        frames = outlook(scene, fit(scene), 96)
        assert np.allclose(sums(frames), 1.0)
        assert chance(frames, "w", "rest")[0] > 0.9

    def test_a_newcomer_plays_by_its_personas_prior(self):
        played = {f"w{i}": daily(28, at=8, length=8) for i in range(5)}
        personas = {w: ["rest", "night"] for w in [*played, "newcomer"]}
        played["newcomer"] = np.append(np.full(28 * 96 - 2, -1), [0, 0])
        scene = scene_of(played, personas)
        p = chance(outlook(scene, fit(scene), 96), "newcomer", "night")
        assert p[9] > 0.6
        assert p[40] < 0.1

    @pytest.mark.parametrize("persona", ["rest", "night"])
    def test_a_workload_that_the_model_never_saw(self, persona: str):
        scene = scene_of(
            {f"w{i}": daily(28, at=8, length=8) for i in range(5)},
            {f"w{i}": ["rest", "night"] for i in range(5)},
        )
        model = fit(scene)
        state = pl.DataFrame(
            {
                "workload_id": ["new"],
                "pattern": [0],
                "persona_id": [persona],
                "since": [scene.until - timedelta(hours=2)],
                "start_seen": [False],
            },
            schema=STATE,
        )
        frames = predict_outlook(model, state, workloads_of(["new"]), scene.calendar, scene.until, 96)
        p = chance(frames, "new", "night")
        assert np.allclose(sums(frames), 1.0)
        assert p[9] > 0.6
        assert p[60] < 0.1

    def test_an_unknown_persona_is_other(self):
        scene, model = fitted_fleet()
        state = pl.DataFrame(
            {
                "workload_id": ["new"],
                "pattern": [0],
                "persona_id": ["p999"],
                "since": [scene.until - HOUR],
                "start_seen": [True],
            },
            schema=STATE,
        )
        frames = predict_outlook(model, state, workloads_of(["new"]), scene.calendar, scene.until, 4)
        assert chance(frames, "new", OTHER).tolist() == [1.0] * 4
        assert frames.activations.is_empty()
        assert frames.personas.is_empty()

    def test_own_history_outgrows_the_persona(self):
        # the persona runs at 02:00, one member at 14:00
        played = {f"w{i}": daily(28, at=8, length=8) for i in range(5)} | {"odd": daily(28, at=56, length=8)}
        scene = scene_of(played, {w: ["rest", "batch"] for w in played})
        p = chance(outlook(scene, fit(scene), 96), "odd", "batch")
        assert p[57] > 0.85
        assert p[9] < 0.1

    def test_a_constant_workload_stays_what_it_is(self):
        scene = scene_of({"w": np.zeros(7 * 96, dtype=int)}, {"w": ["steady"]})
        patterns = scene.patterns.with_columns(kind=pl.lit("steady"))
        activations = scene.activations.with_columns(kind=pl.lit("steady"))
        model = fit_outlook(
            activations, patterns, scene.workloads, scene.calendar, slot=scene.slot, until=scene.until, seed=0
        )
        state = current_state(activations, patterns, scene.until, scene.slot)
        frames = predict_outlook(model, state, scene.workloads, scene.calendar, scene.until, 96)
        assert np.allclose(chance(frames, "w", "steady"), 1.0)

    def test_a_gap_of_a_week_is_neither_an_end_nor_a_survival(self):
        played = daily(35, at=8, length=8)
        played[10 * 96 + 12 : 17 * 96 + 12] = -1  # cut and resumed in the middle of an activation
        scene = scene_of({"w": played}, {"w": ["rest", "night"]})
        p = chance(outlook(scene, fit(scene), 96), "w", "night")
        assert p[9] > 0.93
        assert p[17] < 0.1


class TestState:
    def test_the_newest_activation_counts(self):
        scene = scene_of({"w": daily(2, at=8, length=8)}, {"w": ["rest", "night"]})
        origin = MONDAY + timedelta(days=1, hours=3)
        state = current_state(scene.activations, scene.patterns, origin, scene.slot)
        assert state.schema == pl.Schema(STATE)
        assert state.row(0) == ("w", 1, "night", MONDAY + timedelta(days=1, hours=2), True)

    def test_a_pattern_without_persona_is_other(self):
        activations = activations_of({"w": np.array([0, 1])}, MONDAY)
        state = current_state(activations, patterns_of({}), MONDAY + timedelta(minutes=30), timedelta(minutes=15))
        assert state["persona_id"].to_list() == [OTHER]

    @pytest.mark.parametrize(("late", "known"), [(0, True), (3, True), (4, False), (700, False)])
    def test_what_was_not_read_for_long_is_not_known(self, late: int, known: bool):
        scene = scene_of({"w": daily(28, at=8, length=8)}, {"w": ["rest", "night"]})
        origin = scene.until + late * scene.slot
        state = current_state(scene.activations, scene.patterns, origin, scene.slot)
        assert state["pattern"].is_not_null().to_list() == [known]

    def test_a_stale_state_gives_way_to_the_hour_of_the_week(self):
        scene = scene_of({"w": daily(28, at=32, length=40)}, {"w": ["rest", "day"]})
        model = fit(scene)
        for hour, low, high in ((12, 0.7, 1.0), (3, 0.0, 0.2)):
            origin = scene.until + timedelta(days=5, hours=hour)
            p = chance(outlook(scene, model, 96, origin), "w", "day")
            assert low <= p[0] <= high
        assert chance(outlook(scene, model, 96, scene.until + timedelta(days=5)), "w", "day")[44] > 0.85


class TestFaults:
    def test_the_calendar_must_cover_the_horizon(self):
        scene, model = fitted_fleet()
        with pytest.raises(InputError, match="does not cover every slot of the horizon in zone UTC"):
            outlook(scene, model, 96 * 20)

    def test_the_calendar_must_have_the_zone(self):
        scene, model = fitted_fleet()
        elsewhere = scene.workloads.with_columns(timezone=pl.lit("Asia/Kolkata"))
        with pytest.raises(InputError, match="lacks the zone Asia/Kolkata; it has UTC"):
            predict_outlook(model, pl.DataFrame(schema=STATE), elsewhere, scene.calendar, scene.until, 4)

    def test_the_calendar_must_reach_back(self):
        scene, _ = fitted_fleet()
        ahead = scene.calendar.filter(pl.col("slot") >= scene.until)
        with pytest.raises(InputError, match="covers none of the activations"):
            fit_outlook(*scene.inputs[:3], ahead, slot=scene.slot, until=scene.until, seed=0)

    def test_a_horizon_has_slots(self):
        scene, model = fitted_fleet()
        with pytest.raises(InputError, match="must be at least one"):
            outlook(scene, model, 0)
