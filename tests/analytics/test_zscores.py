"""z-scores: rolling, exponentially weighted, robust; as paths and for the bar in progress."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import median_abs_deviation

from analytics.zscores import (
    ewm_moments,
    ewm_zscore,
    forming_robust_zscore,
    forming_zscore,
    robust_zscore,
    span_of,
    zscore,
)
from utils.errors import InputError

WALK = np.random.default_rng(41).standard_normal(300).cumsum()
TICKS = np.round(WALK, 0)  # full of ties
PATHS = {
    "rolling": lambda values: zscore(values, 20),
    "ewm": lambda values: ewm_zscore(values, 20),
    "robust": lambda values: robust_zscore(values, 20),
}
FORMING = {
    "rolling": lambda closed, value: forming_zscore(closed, value, 20),
    "ewm": lambda closed, value: ewm_moments(closed, 20).after(value).zscore,
    "robust": lambda closed, value: forming_robust_zscore(closed, value, 20),
}
each = pytest.mark.parametrize("name", PATHS)


def test_rolling_is_that_of_pandas():
    rolling = pd.Series(WALK).rolling(20)
    np.testing.assert_allclose(zscore(WALK, 20), (WALK - rolling.mean()) / rolling.std(), rtol=1e-8)


@pytest.mark.parametrize("span", [2, 7.5, 60])
def test_exponentially_weighted_is_that_of_pandas(span):
    ewm = pd.Series(WALK).ewm(span=span, min_periods=int(np.ceil(span)))
    np.testing.assert_allclose(ewm_zscore(WALK, span), (WALK - ewm.mean()) / ewm.std(), rtol=1e-9)


@pytest.mark.parametrize("window", [3, 4, 20, 61])
@pytest.mark.parametrize("values", [WALK, TICKS + 0.25 * (np.arange(300) % 5)], ids=["walk", "ties"])
def test_robust_is_that_of_the_sorted_window(values, window):
    expected = np.full(values.size, np.nan)
    for t in range(window - 1, values.size):
        part = values[t - window + 1 : t + 1]
        scale = median_abs_deviation(part, scale="normal")
        expected[t] = (values[t] - np.median(part)) / scale if scale > 0 else np.nan
    np.testing.assert_allclose(robust_zscore(values, window), expected, rtol=1e-12, atol=1e-12)


def test_one_bad_price_moves_the_robust_one_little():
    spoiled = WALK.copy()
    spoiled[150] = 1e6
    after = slice(151, 170)
    assert np.abs(robust_zscore(spoiled, 60) - robust_zscore(WALK, 60))[after].max() < 0.3
    assert np.abs(zscore(spoiled, 60) - zscore(WALK, 60))[after].max() > 0.3


@each
@given(cut=st.integers(1, 299), tied=st.booleans())
@settings(max_examples=30)
def test_later_bars_change_nothing(name, cut, tied):
    values = TICKS if tied else WALK
    np.testing.assert_allclose(PATHS[name](values[:cut]), PATHS[name](values)[:cut], rtol=1e-10, atol=1e-10)


@each
@pytest.mark.parametrize("cut", [1, 19, 20, 137])
def test_the_forming_bar_gets_what_the_path_would_show(name, cut):
    np.testing.assert_allclose(FORMING[name](WALK[:cut], WALK[cut]), PATHS[name](WALK)[cut], rtol=1e-9)


@each
@given(shift=st.floats(-1e4, 1e4), scale=st.floats(1e-2, 1e4))
@settings(max_examples=30)
def test_units_and_level_do_not_matter(name, shift, scale):
    np.testing.assert_allclose(PATHS[name](scale * WALK + shift), PATHS[name](WALK), rtol=1e-6, atol=1e-6)


@each
def test_turned_round_it_changes_its_sign(name):
    np.testing.assert_allclose(PATHS[name](-TICKS), -PATHS[name](TICKS), rtol=1e-12, atol=1e-12)


@each
def test_tiny_moves_of_a_high_price_keep_their_digits(name):
    moves = np.random.default_rng(42).integers(-5, 6, 400).cumsum()
    exact = PATHS[name](moves.astype(float))
    # The prices themselves are rounded to 1.5e-11, a billionth of a move.
    np.testing.assert_allclose(PATHS[name](100_000 + 0.01 * moves), exact, rtol=1e-7, atol=1e-7)


@each
def test_what_does_not_vary_has_no_score(name):
    assert np.isnan(PATHS[name](np.full(50, 1e5 + 0.1))).all()


@each
def test_too_few_bars_have_no_score(name):
    assert np.isnan(PATHS[name](WALK[:19])).all() and PATHS[name](WALK[:0]).size == 0
    assert np.isfinite(PATHS[name](WALK[:20])[-1])


@each
def test_a_path_may_begin_late_but_not_break(name):
    late = np.concatenate((np.full(5, np.nan), WALK))
    np.testing.assert_array_equal(PATHS[name](late)[5:], PATHS[name](WALK))
    broken = WALK.copy()
    broken[7] = np.nan
    with pytest.raises(InputError, match="index 7"):
        PATHS[name](broken)
    with pytest.raises(InputError, match="one dimension"):
        PATHS[name](WALK.reshape(2, -1))


@each
def test_arguments_stay_as_they_were(name):
    values = WALK.copy()
    PATHS[name](values)
    FORMING[name](values, 1.0)
    np.testing.assert_array_equal(values, WALK)


def test_windows_have_limits():
    with pytest.raises(InputError, match="window"):
        robust_zscore(WALK, 2)
    for span in (1, np.inf, np.nan):
        with pytest.raises(InputError, match="span"):
            ewm_zscore(WALK, span)


def test_a_span_halves_its_weights_in_its_half_life():
    assert (1 - 2 / (span_of(10.0) + 1)) ** 10 == pytest.approx(0.5)
