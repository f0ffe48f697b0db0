"""Hedge ratios by least squares, and the interval that every ratio is shown with."""

import numpy as np
import pytest
import statsmodels.api as sm
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.signal import lfilter

from analytics.hedge import HedgeFit, dols, fmols, hac_lags, huber, kalman, ols, theil_sen, tls
from analytics.hedge.serial import serial_error
from utils.errors import DegenerateSeries, InputError, TooFewObservations

ALL = (ols, huber, theil_sen, tls, dols, fmols)


def legs(seed: int, n: int = 300, memory: float = 0.8) -> tuple[np.ndarray, np.ndarray]:
    """y = 2 x + a spread that remembers; x walks."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal(n).cumsum()
    return 2 * x + lfilter([1], [1, -memory], rng.standard_normal(n + 100))[100:], x


@pytest.mark.parametrize("n, seed", [(30, 1), (100, 2), (500, 3), (2_000, 4)])
def test_slope_and_errors_equal_statsmodels(n, seed):
    rng = np.random.default_rng(seed)
    x = 60_000 + rng.standard_normal(n).cumsum()
    y = 0.04 * x + 100 + rng.standard_normal(n).cumsum() * 0.1
    fit = ols(y, x)
    reference = sm.OLS(y, sm.add_constant(x - x.mean())).fit()  # centred: raw prices cost the reference its digits
    robust = reference.get_robustcov_results("HAC", maxlags=hac_lags(n))
    assert fit.hedge_ratio == pytest.approx(reference.params[1], rel=1e-8)
    assert fit.intercept == pytest.approx(reference.params[0] - reference.params[1] * x.mean(), rel=1e-7)
    assert fit.stderr_classical == pytest.approx(reference.bse[1], rel=1e-7)
    assert fit.stderr == pytest.approx(robust.bse[1], rel=1e-7)
    to_origin = np.array([1.0, -x.mean()])
    assert fit.intercept_stderr == pytest.approx(np.sqrt(to_origin @ robust.cov_params() @ to_origin), rel=1e-7)
    assert fit.r_squared == pytest.approx(reference.rsquared, rel=1e-7)
    assert fit.low < fit.hedge_ratio < fit.high


@pytest.mark.parametrize("memory", [0.0, 0.8, 0.95])
@pytest.mark.parametrize("n", [100, 500])
def test_the_interval_holds_the_truth_when_the_spread_remembers(n, memory):
    fits = [ols(*legs(seed, n, memory)) for seed in range(400)]
    covered = np.mean([fit.low <= 2 <= fit.high for fit in fits])
    assert 0.91 <= covered <= 0.985
    if memory == 0.95:
        plain = np.mean([abs(fit.hedge_ratio - 2) <= 1.96 * fit.stderr for fit in fits])
        assert plain < 0.65  # what the interval is there to replace


def test_the_interval_says_where_it_is_not_vouched_for():
    assert ols(*legs(1, 400)).interval_holds
    assert not ols(*legs(1, 60)).interval_holds
    wandering = [ols(*np.random.default_rng(seed).standard_normal((2, 400)).cumsum(axis=1)) for seed in range(100)]
    assert sum(not fit.interval_holds for fit in wandering) >= 30
    assert max(fit.memory for fit in wandering) == 1
    assert not fmols(*legs(1, 400, 0.9)).interval_holds
    assert 0.7 < ols(*legs(2, 2_000)).memory < 0.9


def test_a_weighted_sum_varies_as_its_autoregression_says():
    weights = np.random.default_rng(1).standard_normal(400).cumsum()
    weights -= weights.mean()
    errors = lfilter([1], [1, -0.6], np.random.default_rng(2).standard_normal((3_000, 500)), axis=1)[:, 100:]
    true = np.std(errors @ weights)
    said = [serial_error(weights, error - error.mean()).std for error in errors[:300]]
    assert np.median(said) == pytest.approx(true, rel=0.15)
    lag = np.abs(np.subtract.outer(np.arange(400), np.arange(400)))
    assert np.sqrt(weights @ 0.6**lag @ weights / 0.64) == pytest.approx(true, rel=0.05)


@pytest.mark.parametrize("scale", [1e-4, 1.0, 1e4])
@pytest.mark.parametrize("sign", [1, -1])
def test_total_least_squares_is_the_direction_of_least_variance(scale, sign):
    rng = np.random.default_rng(4)
    x = scale * rng.standard_normal(200).cumsum()
    y = sign * 2 * x + scale * rng.standard_normal(200)
    normal = np.linalg.svd(np.column_stack((x - x.mean(), y - y.mean())))[2][-1]
    assert tls(y, x).hedge_ratio == pytest.approx(-normal[0] / normal[1], rel=1e-10)
    assert tls(x, y).hedge_ratio == pytest.approx(1 / tls(y, x).hedge_ratio, rel=1e-10)


def test_total_least_squares_covers_under_noise_in_both_legs():
    covered = 0
    for seed in range(300):
        rng = np.random.default_rng(seed)
        walk = rng.standard_normal(250).cumsum()
        noise = 0.3 * lfilter([1], [1, -0.5], rng.standard_normal((2, 350)))[:, 100:]
        fit = tls(2 * walk + noise[0], walk + noise[1])
        covered += fit.low <= 2 <= fit.high
    assert 0.91 <= covered / 300 <= 0.99


@settings(max_examples=15)
@given(unit=st.sampled_from([1e-3, 0.5, 40.0]), shift=st.floats(-1e4, 1e4), method=st.sampled_from(ALL))
def test_units_and_shifts_of_the_legs_pass_through(unit, shift, method):
    y, x = legs(3, 120)
    both = unit if method is tls else 1.0  # measured at right angles: only a common unit passes
    plain, moved = method(y, x), method(unit * y + shift, both * x - shift)
    for name in ("hedge_ratio", "stderr", "low", "high"):
        assert getattr(moved, name) == pytest.approx(getattr(plain, name) * unit / both, rel=1e-6), name
    assert moved.memory == pytest.approx(plain.memory, rel=1e-5)


@pytest.mark.parametrize("method", ALL)
def test_a_high_price_level_costs_no_digits(method):
    y, x = legs(5, 200)
    y, x = np.round(y, 3) * 0.01, np.round(x, 3) * 0.01
    high = method(y + 1e5, x + 1e5)
    assert high.hedge_ratio == pytest.approx(method(y, x).hedge_ratio, rel=1e-7)
    assert high.high - high.low == pytest.approx(method(y, x).high - method(y, x).low, rel=1e-5)


@pytest.mark.parametrize("method", [*ALL, kalman])
def test_what_no_method_can_fit_is_named(method):
    x = np.random.default_rng(7).standard_normal(80).cumsum()
    with pytest.raises(DegenerateSeries, match="x is constant"):
        method(x, np.ones(80))
    with pytest.raises(TooFewObservations) as caught:
        method(x[:5], x[:5])
    assert caught.value.have == 5 and caught.value.need >= 10
    with pytest.raises(InputError, match="finite"):
        method(x, np.where(x == x[3], np.inf, x))
    with pytest.raises(InputError, match="index 3"):
        method(np.where(x == x[3], np.nan, x), x)


@pytest.mark.parametrize("method", [ols, tls, dols])
def test_a_perfect_line_has_its_slope_and_no_width(method):
    x = np.random.default_rng(9).standard_normal(100).cumsum()
    fit: HedgeFit = method(2 * x + 1, x)
    assert fit.hedge_ratio == pytest.approx(2)
    assert fit.high - fit.low < 1e-10


def test_no_method_changes_its_arguments():
    y, x = legs(6, 200)
    before = y.copy(), x.copy()
    for method in (*ALL, kalman):
        method(y, x)
    np.testing.assert_array_equal((y, x), before)
