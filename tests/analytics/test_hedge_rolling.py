"""Ratios as paths: each bar against the plain computation of its window, and never against later bars."""

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import theilslopes

from analytics.hedge import (
    KalmanNoise,
    RatioPath,
    ewm_ols,
    huber,
    kalman_path,
    rolling_huber,
    rolling_kalman,
    rolling_theil_sen,
    rolling_tls,
    theil_sen,
    tls,
)
from analytics.hedge.rolling import ewm_decay, ewm_state, ewm_step
from utils.errors import InputError

WINDOWED = {"huber": (rolling_huber, huber), "theil_sen": (rolling_theil_sen, theil_sen), "tls": (rolling_tls, tls)}
FIELDS = tuple(RatioPath.__dataclass_fields__)
NOISE = KalmanNoise(4.0, 1e-8, 1e-3)
PATHS = {name: (lambda y, x, path=path: path(y, x, 30)) for name, (path, _) in WINDOWED.items()}
PATHS |= {"ewm": lambda y, x: ewm_ols(y, x, span=30), "kalman": lambda y, x: rolling_kalman(y, x, NOISE)}
each_window = pytest.mark.parametrize("name", WINDOWED)
each_path = pytest.mark.parametrize("name", PATHS)


def legs(n: int, seed: int = 1, ticks: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """A pair at prices of its own, with heavy-tailed errors; on coarse ticks where asked."""
    rng = np.random.default_rng(seed)
    x = 60_000 + 10 * rng.standard_normal(n).cumsum()
    y = 0.04 * x + 100 + rng.standard_t(4, n)
    return (np.round(y), np.round(x, -1)) if ticks else (y, x)


@each_window
@pytest.mark.parametrize("ticks", [False, True])
def test_each_window_is_the_method_on_its_bars(name, ticks):
    path, method = WINDOWED[name]
    y, x = legs(150, ticks=ticks)
    found = path(y, x, 41)
    for end in range(41, 151, 5):
        window = slice(end - 41, end)
        fit = method(y[window], x[window])
        assert found.hedge_ratio[end - 1] == pytest.approx(fit.hedge_ratio, rel=1e-9)
        assert found.intercept[end - 1] == pytest.approx(fit.intercept, rel=1e-8)
        assert found.stderr[end - 1] == pytest.approx(fit.stderr, rel=1e-8)


def test_huber_equals_statsmodels_in_each_window():
    y, x = legs(120)
    found = rolling_huber(y, x, 60)
    for end in range(60, 121, 6):
        told = x[end - 60 : end] - x[end - 60 : end].mean()
        reference = sm.RLM(y[end - 60 : end], sm.add_constant(told), M=sm.robust.norms.HuberT()).fit(
            tol=1e-13, maxiter=300
        )
        assert found.hedge_ratio[end - 1] == pytest.approx(reference.params[1], rel=1e-8)
        assert found.stderr[end - 1] == pytest.approx(reference.bse[1], rel=1e-7)


@pytest.mark.parametrize("window", [20, 21])
@pytest.mark.parametrize("ticks", [False, True])
def test_theil_sen_equals_scipy_in_each_window(window, ticks):
    y, x = legs(120, 2, ticks)
    found = rolling_theil_sen(y, x, window)
    for end in range(window, 121):
        expected = theilslopes(y[end - window : end], x[end - window : end])
        assert found.hedge_ratio[end - 1] == expected.slope
        width = expected.high_slope - expected.low_slope
        assert found.stderr[end - 1] == pytest.approx(width / 2 / 1.959963984540054, rel=1e-12)


@each_window
def test_total_spread_and_score_are_those_of_the_line(name):
    y, x = legs(120)
    found = WINDOWED[name][0](y, x, 50)
    for end in (50, 77, 120):
        spread = y[end - 50 : end] - found.hedge_ratio[end - 1] * x[end - 50 : end]
        assert found.spread_mean[end - 1] == pytest.approx(spread.mean(), rel=1e-10)
        assert found.spread_std[end - 1] == pytest.approx(spread.std(ddof=1), rel=1e-8)
        assert found.zscore[end - 1] == pytest.approx((spread[-1] - spread.mean()) / spread.std(ddof=1), abs=1e-8)


@each_window
def test_one_window_alone_gives_the_same_bits(name):
    path = WINDOWED[name][0]
    y, x = legs(200, 3)
    whole, last = path(y, x, 30), path(y[-30:], x[-30:], 30)
    for field in FIELDS:
        assert getattr(last, field)[-1] == getattr(whole, field)[-1], field


@each_path
@settings(max_examples=15)
@given(cut=st.integers(1, 150), ticks=st.booleans())
def test_bars_to_come_change_no_value_of_the_past(name, cut, ticks):
    y, x = legs(200, 4, ticks)
    whole, past = PATHS[name](y, x), PATHS[name](y[:-cut], x[:-cut])
    for field in FIELDS:
        np.testing.assert_array_equal(getattr(past, field), getattr(whole, field)[:-cut], err_msg=field)


@each_path
def test_score_follows_from_the_other_columns(name):
    y, x = legs(200)
    path = PATHS[name](y, x)
    known = np.isfinite(path.zscore)
    assert known[40:].all() and not known[:10].any()
    expected = (y - path.hedge_ratio * x - path.spread_mean) / path.spread_std
    np.testing.assert_allclose(path.zscore[known], expected[known], atol=1e-8)


@each_path
def test_shifts_of_the_legs_change_neither_ratio_nor_score(name):
    y, x = legs(200, 5)
    one, other = PATHS[name](y, x), PATHS[name](y + 1e4, x - 5e4)
    np.testing.assert_allclose(other.hedge_ratio, one.hedge_ratio, rtol=1e-7)
    np.testing.assert_allclose(other.zscore, one.zscore, atol=1e-6)


@each_path
def test_a_leg_that_stands_still_has_no_ratio_and_a_line_no_score(name):
    y, x = legs(120)
    still = np.where(np.arange(120) < 60, x, x[60])
    if name != "kalman":  # whose state lives on
        assert np.isnan(PATHS[name](y, still).hedge_ratio[-1]) or name == "ewm"
        flat = PATHS[name](2 * x + 1, x)
        assert np.isnan(flat.zscore[29:]).all() and np.isnan(flat.spread_std[29:]).all()
    path = PATHS[name](np.full(120, 5.0), x) if name != "kalman" else None
    assert path is None or np.isnan(path.zscore).all()


@each_window
def test_a_line_before_its_window_is_full_is_nothing(name):
    y, x = legs(29)
    path = PATHS[name](y, x)
    assert all(np.isnan(getattr(path, field)).all() and getattr(path, field).size == 29 for field in FIELDS)


@each_window
def test_wrong_input_is_named(name):
    path = WINDOWED[name][0]
    y, x = legs(60)
    with pytest.raises(InputError, match="window must be >= 10 bars, was 9"):
        path(y, x, 9)
    with pytest.raises(InputError, match="one length"):
        path(y, x[:-1], 20)
    with pytest.raises(InputError, match="index 7"):
        path(np.where(np.arange(60) == 7, np.nan, y), x, 20)
    before = y.copy(), x.copy()
    path(y, x, 20)
    np.testing.assert_array_equal((y, x), before)


# --- exponentially weighted -----------------------------------------------------------------------------------


@pytest.mark.parametrize("decay", [{"span": 30.0}, {"half_life": 12.0}])
def test_weighted_moments_are_those_of_pandas(decay):
    y, x = legs(300)
    path = ewm_ols(y, x, **decay)
    given_ = {name.replace("_", ""): value for name, value in decay.items()}
    frame = pd.DataFrame({"y": y - y[0], "x": x - x[0]})
    ewm = frame.ewm(adjust=True, **given_)
    covariance = ewm["x"].cov(frame["y"], bias=True)
    slope = covariance / ewm["x"].var(bias=True)
    known = np.isfinite(path.hedge_ratio)
    assert known.argmax() == int(np.ceil(ewm_decay(**decay)[1] - 1e-9)) - 1
    np.testing.assert_allclose(path.hedge_ratio[known], slope[known], rtol=1e-9)
    rest = ewm["y"].var(bias=False) - slope * ewm["x"].cov(frame["y"], bias=False)
    np.testing.assert_allclose(path.spread_std[known], np.sqrt(rest)[known], rtol=1e-8)
    mean = y[0] + ewm["y"].mean() - slope * (x[0] + ewm["x"].mean())
    np.testing.assert_allclose(path.intercept[known], mean[known], rtol=1e-9)


def test_weighted_errors_are_those_of_weighted_least_squares_with_as_many_bars():
    y, x = legs(400)
    keep, span = ewm_decay(span=60)
    weights = keep ** np.arange(399, -1, -1.0)
    reference = sm.WLS(y, sm.add_constant(x - x.mean()), weights).fit()
    n_eff = weights.sum() ** 2 / (weights**2).sum()
    expected = reference.bse[1] * np.sqrt(398 / (n_eff - 2))
    assert n_eff == pytest.approx(span, rel=1e-3)
    assert ewm_ols(y, x, span=60).stderr[-1] == pytest.approx(expected, rel=1e-8)


def test_weighted_digits_survive_a_high_price_level():
    rng = np.random.default_rng(6)
    steps = rng.integers(-3, 4, (2, 3_000)).cumsum(axis=1).astype(float)
    low, high = (ewm_ols(0.01 * steps[0] + 0.0, 0.01 * steps[1], span=60), None)
    high = ewm_ols(1e5 + 0.01 * steps[0], 1e5 + 0.01 * steps[1], span=60)
    np.testing.assert_allclose(high.hedge_ratio, low.hedge_ratio, atol=1e-8)
    np.testing.assert_allclose(high.zscore, low.zscore, atol=1e-6)


def test_a_step_is_the_bar_of_the_path_to_the_bit():
    y, x = legs(150)
    keep = ewm_decay(span=30)[0]
    path, state = ewm_ols(y, x, span=30), ewm_state(y[:100], x[:100], keep)
    for t in range(100, 150):
        state, fit = ewm_step(state, y[t], x[t], keep)
        for field in FIELDS:
            assert getattr(fit, field) == getattr(path, field)[t], field


def test_a_decay_is_asked_for_once():
    y, x = legs(60)
    for wrong in ({}, {"span": 20.0, "half_life": 3.0}, {"span": 1.0}, {"half_life": 0.0}):
        with pytest.raises(InputError):
            ewm_ols(y, x, **wrong)


def test_the_filter_as_a_path_is_a_forecast():
    y, x = legs(400)
    path, filtered = rolling_kalman(y, x, train=200), kalman_path(y, x, train=200)
    assert np.isnan(path.zscore[:201]).all()
    np.testing.assert_array_equal(path.hedge_ratio[201:], filtered.hedge_ratio[200:-1])
    np.testing.assert_array_equal(path.zscore[201:], filtered.zscore[201:])
    assert (path.stderr[201:] >= filtered.stderr[200:-1]).all()
