"""Rolling statistics against the plainest computation, in more digits."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analytics.statistics import last_fit, rolling_beta, rolling_correlation, rolling_fit, rolling_mean_std
from utils.errors import InputError

RNG = np.random.default_rng(11)


def walks(n: int, move: float, level: float = 1e5) -> tuple[np.ndarray, np.ndarray]:
    """Two related random walks at a price level."""
    x = level + move * RNG.standard_normal(n).cumsum()
    y = 0.7 * x + move * RNG.standard_normal(n).cumsum()
    return y, x


def exact(y: np.ndarray, x: np.ndarray, window: int, end: int) -> tuple[float, float, float, float]:
    """Slope, intercept, residual std and z of one window: two passes in long double."""
    y, x = (leg[end - window : end].astype(np.longdouble) for leg in (y, x))
    dy, dx = y - y.mean(), x - x.mean()
    slope = (dx @ dy) / (dx @ dx)
    rest = dy - slope * dx
    std = np.sqrt((rest @ rest) / (window - 1))
    return float(slope), float(y.mean() - slope * x.mean()), float(std), float(rest[-1] / std)


@pytest.mark.parametrize("window", [20, 60, 200])
@pytest.mark.parametrize("move", [1.0, 0.05, 0.01])
def test_digits_survive_a_high_price_level_and_small_moves(window, move):
    y, x = walks(20_000, move)
    fit = rolling_fit(y, x, window)
    for end in RNG.integers(window, y.size, 100):
        slope, intercept, std, z = exact(y, x, window, end)
        assert fit.hedge_ratio[end - 1] == pytest.approx(slope, rel=1e-9, abs=1e-12)
        assert fit.intercept[end - 1] == pytest.approx(intercept, rel=1e-9)
        assert fit.spread_std[end - 1] == pytest.approx(std, rel=1e-8)
        assert fit.zscore[end - 1] == pytest.approx(z, abs=1e-8)


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
    for name in ("hedge_ratio", "intercept", "spread_std", "zscore"):
        assert getattr(last, name) == pytest.approx(getattr(fit, name)[-1], rel=1e-7, abs=1e-9, nan_ok=True)


@given(st.integers(1, 60))
def test_later_bars_change_no_earlier_value(cut):
    rng = np.random.default_rng(3)
    x = 1_000 + rng.standard_normal(200).cumsum()
    y = x + rng.standard_normal(200)
    whole, part = rolling_fit(y, x, 25), rolling_fit(y[:-cut], x[:-cut], 25)
    for name in ("hedge_ratio", "intercept", "spread_std", "zscore"):
        np.testing.assert_array_equal(getattr(whole, name)[:-cut], getattr(part, name))
    np.testing.assert_array_equal(rolling_correlation(y, x, 25)[:-cut], rolling_correlation(y[:-cut], x[:-cut], 25))


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
    assert np.isnan(fit.zscore).all() and np.isnan(fit.spread_std).all()
    assert np.isnan(rolling_correlation(y, np.full(60, 3.0), 10)).all()


def test_a_wrong_window_or_shape_is_named():
    y, x = walks(30, 1.0)
    with pytest.raises(InputError, match="window must be >= 3, was 2"):
        rolling_fit(y, x, 2)
    with pytest.raises(InputError, match="one length"):
        rolling_fit(y, x[:-1], 5)
    with pytest.raises(InputError, match="<= 30 bars, was 31"):
        last_fit(y, x, 31)
