"""Variance ratio and Hurst exponent against arch, exact noise of known exponent, and simulation."""

import numpy as np
import pytest
from arch.unitroot import VarianceRatio as ArchVarianceRatio
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm

from analytics.stationarity import hurst, variance_ratio
from tests.calibrate.unit_roots import fractional_noise
from utils.errors import DegenerateSeries, InputError, TooFewObservations

WALK = np.random.default_rng(1).standard_normal(500).cumsum()
LEVELS = (0.01, 0.05, 0.10)


@pytest.mark.parametrize("horizon", [2, 5, 8, 16])
@pytest.mark.parametrize("seed, n", [(1, 300), (2, 500), (3, 1_000)])
def test_ratio_and_statistic_equal_arch(horizon, seed, n):
    values = 100 + (np.random.default_rng(seed).standard_t(4, n) + 0.01).cumsum()
    reference = ArchVarianceRatio(values, lags=horizon)
    found = variance_ratio(values, horizon)
    assert found.statistic == pytest.approx(reference.stat, abs=1e-8)
    assert found.ratio == pytest.approx(reference.vr, abs=1e-10)
    assert found.n_obs == n - 1


def test_both_tails_of_the_ratio_are_seen():
    rng = np.random.default_rng(4)
    found = [variance_ratio(rng.standard_normal(400).cumsum(), 16) for _ in range(3_000)]
    alarms = np.array([one.pvalue < 0.05 for one in found])
    below = np.array([one.ratio < 1 for one in found])
    assert 0.04 <= alarms.mean() <= 0.065
    assert 0.015 <= (alarms & below).mean() <= 0.035  # the normal law finds 0.6 % here


@pytest.mark.parametrize("horizon", [2, 8, 30])
def test_critical_values_are_where_p_is_the_level(horizon):
    found = variance_ratio(WALK, horizon)
    for level, (low, high) in zip(LEVELS, found.critical_values.values(), strict=True):
        assert low < 0 < high
        assert (found.pvalue < level) == (not low <= found.statistic <= high)
    low, high = found.critical_values["5%"]
    assert low > -1.96 < 1.96 < high  # the ratio cannot fall as far as it can rise


def test_reversion_and_trend_are_told_by_sign():
    shocks = np.random.default_rng(5).standard_normal(1_001)
    bouncing, trending = shocks[1:] - 0.4 * shocks[:-1], shocks[1:] + 0.4 * shocks[:-1]
    down, up = variance_ratio(bouncing.cumsum()), variance_ratio(trending.cumsum())
    assert down.ratio < 1 < up.ratio and down.statistic < 0 < up.statistic
    assert max(down.pvalue, up.pvalue) < 0.001


@pytest.mark.parametrize("exponent", [0.1, 0.3, 0.5, 0.7, 0.9])
def test_the_exponent_of_fractional_noise_is_met_and_its_interval_covers(exponent):
    paths = fractional_noise(np.random.default_rng(6), 500, exponent, 400).cumsum(axis=1)
    found = [hurst(path) for path in paths]
    assert np.mean([one.exponent for one in found]) == pytest.approx(exponent, abs=0.025)
    assert np.mean([one.low <= exponent <= one.high for one in found]) >= 0.91 - 3 * np.sqrt(0.91 * 0.09 / 400)


def test_fractional_noise_has_the_covariance_it_claims():
    noise = fractional_noise(np.random.default_rng(7), 64, 0.8, 20_000)
    assert np.mean(noise**2) == pytest.approx(1, abs=0.02)
    assert np.mean(noise[:, 1:] * noise[:, :-1]) == pytest.approx(2**0.6 - 1, abs=0.02)


def test_the_estimate_is_the_least_point_of_its_objective():
    from analytics.random_walk import _Spectrum

    change = np.diff(WALK)
    spectrum, found = _Spectrum.of(change, 56), hurst(WALK)

    def objective(exponent: float) -> float:
        log_spectrum, _ = spectrum.model(exponent)
        return np.log(np.mean(spectrum.power * np.exp(-log_spectrum))) + log_spectrum.mean()

    assert found.frequencies == 56
    grid = np.linspace(0.01, 0.99, 981)
    assert found.exponent == pytest.approx(grid[np.argmin([objective(at) for at in grid])], abs=1e-3)
    _, slope = spectrum.model(0.4)
    rise = (spectrum.model(0.4 + 1e-6)[0] - spectrum.model(0.4 - 1e-6)[0]) / 2e-6
    assert slope == pytest.approx(rise, abs=1e-5)


def test_the_exponent_of_noise_around_a_mean_is_near_zero():
    found = hurst(np.random.default_rng(8).standard_normal(1_000))
    assert found.exponent < 0.05 and found.low < 0.01 and found.pvalue < 1e-6


def test_the_exponent_s_p_value_is_that_of_its_statistic():
    found = hurst(WALK)
    assert found.pvalue == pytest.approx(2 * norm.sf(abs(found.statistic)))
    assert list(found.critical_values.values()) == pytest.approx([norm.isf(level / 2) for level in LEVELS])


@settings(max_examples=25)
@given(shift=st.floats(-1e4, 1e4), scale=st.floats(1e-2, 1e4))
def test_units_and_origin_of_prices_change_nothing(shift, scale):
    assert variance_ratio(scale * WALK + shift).statistic == pytest.approx(variance_ratio(WALK).statistic, abs=1e-6)
    assert hurst(scale * WALK + shift).exponent == pytest.approx(hurst(WALK).exponent, abs=1e-6)


@pytest.mark.parametrize("test", [variance_ratio, hurst])
def test_what_cannot_be_tested_is_named(test):
    with pytest.raises(DegenerateSeries):
        test(np.full(300, 3.0))
    with pytest.raises(DegenerateSeries, match="line"):
        test(2.0 * np.arange(300))
    with pytest.raises(InputError, match="finite"):
        test(np.append(WALK, np.nan))
    with pytest.raises(TooFewObservations):
        test(WALK[:100])


def test_a_horizon_needs_enough_bars_and_more_than_one():
    with pytest.raises(TooFewObservations):
        variance_ratio(WALK, 40)
    with pytest.raises(InputError, match="horizon"):
        variance_ratio(WALK, 1)
