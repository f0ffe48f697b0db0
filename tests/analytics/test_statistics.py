"""Rolling statistics against the plainest computation, in more digits."""

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from hypothesis import given
from hypothesis import strategies as st

from analytics.statistics import last_fit, rolling_beta, rolling_correlation, rolling_fit, rolling_mean_std
from utils.errors import InputError

RNG = np.random.default_rng(11)
FIELDS = ("hedge_ratio", "intercept", "spread_std", "zscore", "stderr", "correlation")


def walks(n: int, move: float, level: float = 1e5) -> tuple[np.ndarray, np.ndarray]:
    """Two related random walks at a price level."""
    x = level + move * RNG.standard_normal(n).cumsum()
    y = 0.7 * x + move * RNG.standard_normal(n).cumsum()
    return y, x


def exact(y: np.ndarray, x: np.ndarray, window: int, end: int) -> dict[str, float]:
    """All of one window's fit, and its correlation: two passes in long double."""
    y, x = (leg[end - window : end].astype(np.longdouble) for leg in (y, x))
    dy, dx = y - y.mean(), x - x.mean()
    slope = (dx @ dy) / (dx @ dx)
    rest = dy - slope * dx
    std = np.sqrt((rest @ rest) / (window - 1))
    values = {
        "hedge_ratio": slope,
        "intercept": y.mean() - slope * x.mean(),
        "spread_std": std,
        "zscore": rest[-1] / std,
        "stderr": np.sqrt((rest @ rest) / (window - 2) / (dx @ dx)),
        "correlation": (dx @ dy) / np.sqrt((dx @ dx) * (dy @ dy)),
    }
    return {name: float(value) for name, value in values.items()}


@pytest.mark.parametrize("window", [20, 60, 200])
@pytest.mark.parametrize("move", [1.0, 0.05, 0.01])
def test_digits_survive_a_high_price_level_and_small_moves(window, move):
    y, x = walks(20_000, move)
    fit, correlation = rolling_fit(y, x, window), rolling_correlation(y, x, window)
    mean, std = rolling_mean_std(y, window)
    for end in RNG.integers(window, y.size, 100):
        expected = exact(y, x, window, end)
        assert fit.hedge_ratio[end - 1] == pytest.approx(expected["hedge_ratio"], rel=0, abs=1e-12)
        assert fit.intercept[end - 1] == pytest.approx(expected["intercept"], rel=1e-11)
        assert fit.spread_std[end - 1] == pytest.approx(expected["spread_std"], rel=1e-11)
        assert fit.zscore[end - 1] == pytest.approx(expected["zscore"], rel=0, abs=1e-10)
        assert fit.stderr[end - 1] == pytest.approx(expected["stderr"], rel=1e-11)
        assert (
            fit.correlation[end - 1] == correlation[end - 1] == pytest.approx(expected["correlation"], rel=0, abs=1e-12)
        )
        piece = y[end - window : end].astype(np.longdouble)
        assert mean[end - 1] == pytest.approx(float(piece.mean()), rel=1e-15)
        assert std[end - 1] == pytest.approx(float(piece.std(ddof=1)), rel=1e-12)


def test_a_bad_price_is_forgotten_with_its_window():
    """Sums that bars enter and leave keep the rounding of a spike: these are never taken apart."""
    y, x = walks(400, 0.01)
    struck_y, struck_x = y.copy(), x.copy()
    struck_y[150], struck_x[150] = 1e9, 1e-3
    clean, struck = rolling_fit(y, x, 20), rolling_fit(struck_y, struck_x, 20)
    after = np.r_[20:150, 170:400]
    for name in FIELDS:
        np.testing.assert_array_equal(getattr(struck, name)[after], getattr(clean, name)[after])
        assert not np.array_equal(getattr(struck, name)[150:170], getattr(clean, name)[150:170])


@pytest.mark.parametrize("hole", [np.nan, np.inf])
def test_a_hole_silences_the_windows_that_hold_it_and_no_other(hole):
    y, x = walks(200, 1.0)
    y[77] = hole
    held = (np.arange(200) >= 77) & (np.arange(200) < 87) | (np.arange(200) < 9)
    for values in (*map(rolling_fit(y, x, 10).__getattribute__, FIELDS), *rolling_mean_std(y, 10)):
        np.testing.assert_array_equal(np.isnan(values), held)
    np.testing.assert_array_equal(np.isnan(rolling_correlation(x, y, 10)), held)
    assert np.isnan(last_fit(y[:80], x[:80], 10).zscore)


def test_slope_error_is_that_of_statsmodels():
    y, x = walks(60, 1.0, level=100.0)
    expected = sm.OLS(y[-25:], sm.add_constant(x[-25:])).fit()
    assert last_fit(y, x, 25).stderr == pytest.approx(expected.bse[1], rel=1e-10)
    assert rolling_fit(y, x, 25).stderr[-1] == pytest.approx(expected.bse[1], rel=1e-10)


def test_correlation_and_moments_agree_with_pandas_where_pandas_keeps_its_digits():
    y, x = walks(2_000, 1.0, level=100.0)
    frame = pd.DataFrame({"y": y, "x": x})
    expected = frame["y"].rolling(50).corr(frame["x"])
    np.testing.assert_allclose(rolling_correlation(y, x, 50), expected, atol=1e-8)
    mean, std = rolling_mean_std(y, 50)
    np.testing.assert_allclose(mean, frame["y"].rolling(50).mean(), rtol=1e-10)
    np.testing.assert_allclose(std, frame["y"].rolling(50).std(), rtol=1e-8)


@given(st.integers(3, 40), st.integers(0, 100))
def test_the_last_window_alone_gives_the_last_value(window, more):
    rng = np.random.default_rng(window * 1_000 + more)
    x = 50 + rng.standard_normal(window + more).cumsum()
    y = x + rng.standard_normal(window + more)
    fit, last = rolling_fit(y, x, window), last_fit(y, x, window)
    for name in FIELDS:
        assert getattr(last, name) == pytest.approx(getattr(fit, name)[-1], rel=1e-7, abs=1e-9, nan_ok=True)


@given(st.integers(1, 199), st.integers(3, 60))
def test_later_bars_change_no_earlier_value(cut, window):
    rng = np.random.default_rng(3)
    x = 1_000 + rng.standard_normal(200).cumsum()
    y = x + rng.standard_normal(200)
    early_y, early_x = y[:-cut], x[:-cut]
    whole, part = rolling_fit(y, x, window), rolling_fit(early_y, early_x, window)
    for name in FIELDS:
        np.testing.assert_array_equal(getattr(whole, name)[:-cut], getattr(part, name))
    whole, part = rolling_correlation(y, x, window), rolling_correlation(early_y, early_x, window)
    np.testing.assert_array_equal(whole[:-cut], part)
    for whole, part in zip(rolling_mean_std(y, window), rolling_mean_std(early_y, window), strict=True):
        np.testing.assert_array_equal(whole[:-cut], part)


@given(st.floats(-1e5, 1e5), st.floats(1e-3, 1e3), st.floats(1e-3, 1e3))
def test_units_and_shifts_do_what_they_should(shift, y_unit, x_unit):
    y, x = walks(120, 1.0, level=100.0)
    before, after = rolling_fit(y, x, 15), rolling_fit(y_unit * y + shift, x_unit * x - shift, 15)
    close = {"rtol": 1e-6, "atol": 1e-7}
    np.testing.assert_allclose(after.hedge_ratio, y_unit / x_unit * before.hedge_ratio, rtol=1e-6, atol=1e-4 * y_unit)
    np.testing.assert_allclose(after.spread_std, y_unit * before.spread_std, rtol=1e-6)
    np.testing.assert_allclose(after.zscore, before.zscore, **close)
    np.testing.assert_allclose(after.stderr, y_unit / x_unit * before.stderr, rtol=1e-6)
    correlation = rolling_correlation(y_unit * y + shift, x_unit * x - shift, 15)
    np.testing.assert_allclose(correlation, rolling_correlation(y, x, 15), **close)


def test_nothing_is_said_before_the_window_is_full():
    y, x = walks(30, 1.0)
    assert np.isnan(rolling_beta(y, x, 20)[:19]).all() and np.isfinite(rolling_beta(y, x, 20)[19:]).all()
    assert np.isnan(rolling_beta(y, x, 31)).all()


def test_a_flat_window_has_no_slope_and_a_perfect_line_no_zscore():
    x = np.concatenate((np.full(30, 5.0), np.arange(30.0)))
    y = 2 * x + 1
    fit = rolling_fit(y, x, 10)
    assert np.isnan(fit.hedge_ratio[:30]).all()
    assert fit.hedge_ratio[-1] == pytest.approx(2)
    assert np.isnan(fit.zscore).all() and np.isnan(fit.spread_std).all() and np.isnan(fit.stderr).all()
    assert fit.correlation[-1] == pytest.approx(1, abs=1e-12) and np.isnan(fit.correlation[:30]).all()
    assert np.isnan(rolling_correlation(y, np.full(60, 3.0), 10)).all()


@pytest.mark.parametrize("level", [1.0, 1e5, 1e9])
def test_a_price_that_only_moves_by_its_rounding_is_flat(level):
    """One unit in the last place up and down is no price move: its z-score would be made of nothing."""
    flicker = np.where(RNG.random(100) > 0.5, level, np.nextafter(level, np.inf))
    other, _ = walks(100, 1.0)
    assert np.isnan(rolling_correlation(flicker, other, 20)).all()
    assert np.isnan(rolling_fit(other, flicker, 20).hedge_ratio).all()
    fit = rolling_fit(flicker, other, 20)
    assert np.isfinite(fit.hedge_ratio[19:]).all() and np.isnan(fit.zscore).all() and np.isnan(fit.stderr).all()
    assert (rolling_mean_std(flicker, 20)[1][19:] == 0).all()
    assert np.isnan(last_fit(flicker, other, 20).zscore) and np.isnan(last_fit(other, flicker, 20).hedge_ratio)


def test_a_price_that_moves_by_a_tick_is_not_flat():
    price = 1e5 + 0.01 * (np.arange(100) % 7 == 0)
    other, _ = walks(100, 1.0)
    assert np.isfinite(rolling_correlation(price, other, 20)[19:]).all()
    assert np.isfinite(rolling_fit(price, other, 20).zscore[19:]).all()


def test_a_window_longer_than_the_series_is_all_unknown():
    y, x = walks(10, 1.0)
    for values in (rolling_correlation(y, x, 11), *rolling_mean_std(y, 11), rolling_fit(y, x, 11).stderr):
        assert values.shape == (10,) and np.isnan(values).all()
    assert rolling_beta(np.empty(0), np.empty(0), 5).shape == (0,)


def test_arguments_of_any_layout_are_read_and_left_alone():
    y, x = walks(100, 1.0)
    columns = pd.DataFrame({"y": y, "x": x}).to_numpy()
    columns.flags.writeable = False
    np.testing.assert_array_equal(rolling_beta(columns[:, 0], columns[:, 1], 20), rolling_beta(y, x, 20))
    np.testing.assert_array_equal(rolling_beta(list(y), list(x), np.int64(20)), rolling_beta(y, x, 20))


def test_a_wrong_window_or_shape_is_named():
    y, x = walks(30, 1.0)
    with pytest.raises(InputError, match="window must be >= 3, was 2"):
        rolling_fit(y, x, 2)
    with pytest.raises(InputError, match="one length"):
        rolling_fit(y, x[:-1], 5)
    with pytest.raises(InputError, match="<= 30 bars, was 31"):
        last_fit(y, x, 31)
