import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.special import ndtri

from persona_platform.errors import InputError
from persona_platform.forecasting.panel import make_panel, trailing, window_max, window_maxima
from persona_platform.forecasting.quantiles import LEVELS, at_levels, pinball, sorted_quantiles

values = st.floats(-1e6, 1e6)


@settings(deadline=None, max_examples=50)
@given(arrays(np.float64, (3, 5), elements=values), st.lists(st.floats(0.001, 0.999), min_size=2, max_size=6))
def test_quantiles_between_levels_never_cross(known, wanted):
    wanted = np.sort(wanted)
    found = at_levels(known, LEVELS, wanted)
    assert np.all(np.diff(found, axis=1) >= -1e-6 * (1 + np.abs(known).max()))


def test_a_normal_distribution_is_kept_between_and_beyond_the_levels():
    found = at_levels(3 + 2 * ndtri(np.array([LEVELS])), LEVELS, [0.02, 0.8, 0.999])
    np.testing.assert_allclose(found[0], 3 + 2 * ndtri([0.02, 0.8, 0.999]))


@settings(deadline=None, max_examples=50)
@given(st.lists(values, min_size=1, max_size=30), st.integers(1, 5))
def test_window_max_is_the_largest_of_its_slots(readings, hold):
    found = window_max(readings, hold)
    for i in range(len(readings)):
        if i + hold <= len(readings):
            assert found[i] == max(readings[i : i + hold])
        else:
            assert np.isnan(found[i])


@pytest.mark.parametrize(
    ("readings", "hold", "wanted"),
    [
        ([1, np.nan, 3, 2], 2, [1, 3, 3, np.nan]),
        ([1, np.nan, np.nan, 2], 3, [np.nan, np.nan, np.nan, np.nan]),
        ([np.nan, np.nan], 1, [np.nan, np.nan]),
        ([], 2, []),
        ([5], 2, [np.nan]),
    ],
)
def test_a_window_with_fewer_than_half_of_its_slots_read_is_unread(readings, hold, wanted):
    np.testing.assert_array_equal(window_max(readings, hold), wanted)


def test_window_max_of_a_series_keeps_nulls():
    import polars as pl

    assert window_max(pl.Series("demand", [1.0, None, 3.0]), 1).to_list() == [1.0, None, 3.0]


def test_a_window_has_at_least_one_slot():
    with pytest.raises(InputError, match="at least one slot"):
        window_max([1.0], 0)


def test_windows_do_not_reach_into_the_next_series():
    panel = make_panel(["a", "b"], [np.array([1.0, 2]), np.array([9.0, 8, 7])], [0, 0], 1, hold=[2, 1])
    np.testing.assert_array_equal(window_maxima(panel), [2, np.nan, 9, 8, 7])


def test_trailing_statistics_stay_in_their_series_and_keep_the_digits_of_the_small_one():
    panel = make_panel(["big", "small"], [np.array([1e12, 3e12]), np.array([1e-3, np.nan, 3e-3])], [0, 0], 1)
    mean, deviation = trailing(panel, 2)
    np.testing.assert_allclose(mean, [1e12, 2e12, 1e-3, 1e-3, 3e-3])
    np.testing.assert_allclose(deviation, [0, 1e12, 0, 0, 0], atol=1e-9)


def test_high_quantiles_of_few_samples_are_their_maximum():
    ordered = np.array([[1.0, 2.0, 3.0], [1.0, 5.0, np.nan], [np.nan] * 3])
    np.testing.assert_array_equal(sorted_quantiles(ordered, [0.5, 0.99]), [[2, 3], [3, 5], [np.nan, np.nan]])


@settings(deadline=None, max_examples=50)
@given(st.lists(values, min_size=5, max_size=40), st.sampled_from([0.1, 0.5, 0.9]))
def test_the_sample_quantile_has_the_lowest_pinball_up_to_one_sample(samples, level):
    ordered = np.sort(samples)
    best = min(pinball(ordered, q, level).mean() for q in ordered)
    found = pinball(ordered, sorted_quantiles(ordered[None], [level])[0], level).mean()
    assert found <= best + (ordered[-1] - ordered[0]) / len(samples) + 1e-9
