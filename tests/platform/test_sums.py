"""Sums are added in the order of the rows, whatever polars makes of them."""

import numpy as np
import polars as pl

from persona_platform.sums import average, one_thread, total


def frame(rows: int = 60_000, groups: int = 4) -> pl.DataFrame:
    """Values of very different sizes, so that the order in which they are added shows."""
    rng = np.random.default_rng(0)
    value = rng.random(rows) * 10.0 ** rng.integers(0, 9, rows)
    return pl.DataFrame({"group": rng.integers(0, groups, rows), "value": value})


def test_a_groups_values_are_added_in_the_order_of_its_rows() -> None:
    rows = frame()
    found = rows.group_by("group").agg(total("value").alias("sum"), average("value").alias("mean")).sort("group")
    for group, added, mean in found.iter_rows():
        own = rows.filter(pl.col("group") == group).select(pl.col("value").implode())
        assert added == own.select(pl.col("value").list.sum()).item()
        assert mean == own.select(pl.col("value").list.mean()).item()
    expected = rows.group_by("group").agg(pl.col("value").sum()).sort("group")["value"].to_numpy()
    np.testing.assert_allclose(found["sum"].to_numpy(), expected, rtol=1e-12)


def test_again_is_the_same_to_the_last_digit() -> None:
    rows = frame()
    first = rows.group_by("group").agg(total("value"), mean=average("value")).sort("group")
    for _ in range(20):
        assert rows.group_by("group").agg(total("value"), mean=average("value")).sort("group").equals(first)


def test_nulls_are_left_out_and_nothing_is_nought() -> None:
    rows = pl.DataFrame({"group": [0, 0, 1], "value": [1.5, None, None]}, schema_overrides={"value": pl.Float64})
    found = rows.group_by("group").agg(sum=total(pl.col("value") * 2), mean=average("value")).sort("group")
    assert found.rows() == [(0, 3.0, 1.5), (1, 0.0, None)]


def test_products_take_one_thread_and_then_as_many_as_before() -> None:
    from threadpoolctl import threadpool_info

    def threads() -> list[int]:
        return [found["num_threads"] for found in threadpool_info() if found["user_api"] == "blas"]

    before = threads()
    with one_thread():
        assert set(threads()) == {1}
    assert threads() == before
