"""The plan: whole units of the operating quantile or the expected demand, and an id of its content."""

from datetime import UTC, datetime, timedelta

import polars as pl
import pytest

from persona_platform.capacity.plan import above_max, check_plan, make_plan
from persona_platform.capacity.sizing import whole_units
from persona_platform.errors import InputError
from persona_platform.frames import DEMAND, EVIDENCE, OBSERVED, PLAN, TARGETS, TS

SLOT = timedelta(minutes=15)
ORIGIN = datetime(2026, 3, 2, 10, tzinfo=UTC)
TARGET = pl.DataFrame([("t", "pool", 0.95, 1)], schema=TARGETS, orient="row")


def demand(*sizes: dict[str, float], route: str = "combined", target: str = "t") -> pl.DataFrame:
    plain = dict.fromkeys(("mean", "q10", "q50", "q90", "q95", "q99", "q_kappa"), 1.0)
    rows = [
        {
            "origin": ORIGIN,
            "target": target,
            "slot": ORIGIN + i * SLOT,
            "route": route,
            "kappa": 0.95,
            **plain,
            **size,
        }
        for i, size in enumerate(sizes)
    ]
    return pl.DataFrame(rows, schema=DEMAND)


def expected(*rows: tuple[int, str, float], target: str = "t") -> pl.DataFrame:
    full = [{"target": target, "slot": ORIGIN + i * SLOT, "persona_id": p, "expected": e} for i, p, e in rows]
    return pl.DataFrame(full, schema={n: EVIDENCE[n] for n in ("target", "slot", "persona_id", "expected")})


def observed(days: float = 30.0, target: str = "t") -> pl.DataFrame:
    ends = [ORIGIN - timedelta(days=days), ORIGIN - SLOT]
    return pl.DataFrame(
        [{"target": target, "slot": s, "demand": 1.0, "saturated": False} for s in ends], schema=OBSERVED
    )


def plan_of(frame: pl.DataFrame, evidence: pl.DataFrame | None = None, **given):
    wanted = {"observed": observed(), "targets": TARGET, **given}
    return make_plan(
        frame,
        expected() if evidence is None else evidence,
        wanted.pop("observed"),
        wanted.pop("targets"),
        origin=ORIGIN,
        slot=SLOT,
        **wanted,
    )


@pytest.mark.parametrize(
    ("size", "personas", "needed"),
    [
        ({"q_kappa": 3.2}, (), 4),
        ({"q_kappa": 3.0}, (), 3),
        ({"q_kappa": 3.0000000001}, (), 3),
        ({"q_kappa": 10 * 0.3}, (), 3),
        ({"q_kappa": 3.001}, (), 4),
        ({"q_kappa": 1e6 + 1e-5}, (), 1_000_000),
        ({"q_kappa": 0.0, "mean": 0.0}, (), 0),
        ({"q_kappa": -0.4, "mean": -0.4}, (), 0),
        ({"q_kappa": 0.0, "mean": 2.1}, (), 3),
        ({"q_kappa": 1.0}, ((0, "p001", 2.5), (0, "other", 0.6)), 4),
    ],
)
def test_needed_is_the_operating_quantile_or_the_expected_demand_in_whole_units(size, personas, needed):
    made = plan_of(demand({"mean": 0.0, **size}), expected(*personas))
    assert made.plan.schema == PLAN
    assert made.plan["needed"].to_list() == [needed]


def test_only_the_combined_rows_of_known_targets_make_the_plan():
    frames = [
        demand({}, {"q_kappa": 5.0}),
        demand({"q_kappa": 99.0}, route="mixture"),
        demand({}, target="u"),
    ]
    made = plan_of(pl.concat(frames), pl.concat([expected((0, "p001", 0.2)), expected((0, "p001", 9.0), target="u")]))
    assert made.plan.select("target", "needed").rows() == [("t", 1), ("t", 5)]
    assert made.evidence.schema == EVIDENCE
    assert made.evidence["target"].to_list() == ["t"]


def test_the_id_is_of_the_content():
    made = plan_of(demand({}, {"q_kappa": 5.0}), expected((0, "a", 0.2), (0, "b", 0.1)))
    again = plan_of(demand({}, {"q_kappa": 5.0}).reverse(), expected((0, "b", 0.1), (0, "a", 0.2)))
    assert made.plan_id == again.plan_id
    assert set(made.plan["plan_id"]) == set(made.evidence["plan_id"]) == {made.plan_id}
    assert plan_of(demand({}, {"q_kappa": 5.1}), expected((0, "a", 0.2), (0, "b", 0.1))).plan_id != made.plan_id
    assert plan_of(demand({}, {"q_kappa": 5.0}), expected((0, "a", 0.3), (0, "b", 0.1))).plan_id != made.plan_id


@pytest.mark.parametrize(
    ("days", "given", "cycle_s"),
    [(30, {}, 7 * 86400), (14, {}, 7 * 86400), (13, {}, 86400), (30, {"cycle": timedelta(days=1)}, 86400)],
)
def test_the_plan_says_how_much_history_stands_behind_it(days, given, cycle_s):
    row = plan_of(demand({}), observed=observed(days), **given).plan.row(0, named=True)
    assert (row["history_s"], row["cycle_s"], row["data_until"]) == (days * 86400, cycle_s, ORIGIN)


def test_a_target_that_was_never_read_has_no_history():
    row = plan_of(demand({}), observed=observed().clear()).plan.row(0, named=True)
    assert (row["history_s"], row["data_until"]) == (0, None)


def test_no_demand_is_an_empty_plan():
    made = plan_of(demand({}).clear())
    assert made.plan.is_empty()
    assert made.plan.schema == PLAN


@pytest.mark.parametrize("column", ["q_kappa", "mean", "q50", "q99"])
@pytest.mark.parametrize("value", [float("nan"), float("inf"), None])
def test_what_is_no_number_is_refused(column, value):
    with pytest.raises(InputError, match=f"target t at 2026-03-02 10:00 has {column}"):
        plan_of(demand({column: value}))


def test_an_expected_demand_that_is_no_number_and_a_slot_twice_are_refused():
    with pytest.raises(InputError, match="persona p001"):
        plan_of(demand({}), expected((0, "p001", float("nan"))))
    with pytest.raises(InputError, match="2 times"):
        plan_of(pl.concat([demand({}), demand({})]))


def test_a_made_plan_is_sound():
    made = plan_of(demand({}, {"q_kappa": 5.0}))
    assert check_plan(made.plan, pl.DataFrame({"target": ["t"], "max": [3]})) == []


@pytest.mark.parametrize(
    ("column", "value", "says"),
    [
        ("needed", pl.lit(-1), "negative"),
        ("needed", pl.lit(None), "negative"),
        ("needed", pl.lit(0), "fewer units than the mean"),
        ("q90", pl.lit(0.5), "out of order"),
        ("q99", pl.lit(float("nan")), "finite"),
        ("slot", pl.lit(ORIGIN - SLOT, TS), "before the plan's origin"),
        ("target", pl.lit("u"), "no limits"),
    ],
)
def test_a_plan_out_of_bounds_is_told_row_by_row(column, value, says):
    plan = plan_of(demand({})).plan.with_columns(value.alias(column))
    assert any(says in sentence for sentence in check_plan(plan, pl.DataFrame({"target": ["t"]})))


def test_a_need_above_the_maximum_is_named_and_is_no_fault():
    plan = plan_of(demand({"q_kappa": 5.0}, {"q_kappa": 9.0}, {"q_kappa": 2.0})).plan
    sentences = above_max(
        plan, pl.DataFrame({"target": ["t", "u"], "max": [3, None]}, schema_overrides={"max": pl.Int64})
    )
    assert sentences == ["Target t needs up to 9 units in 2 slots; its maximum is 3."]


def test_whole_units_keeps_null_and_knows_no_negative():
    frame = pl.DataFrame({"x": [None, -5.0, 0.0, 1e-12, 0.2, 1e6 + 0.5]})
    assert frame.select(whole_units(pl.col("x"))).to_series().to_list() == [None, 0, 0, 0, 1, 1_000_001]
