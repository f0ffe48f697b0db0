"""The Ornstein-Uhlenbeck fit and the time to the exit."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.stats import norm
from statsmodels.tsa.ar_model import AutoReg

from analytics.mean_reversion import HalfLife, half_life
from analytics.ornstein_uhlenbeck import exit_bars, expected_exit, ornstein_uhlenbeck
from tests.analytics.test_mean_reversion import reverting
from utils.errors import DegenerateSeries, InputError, TooFewObservations

SPREAD = 50 + 2 * reverting(500, 8, np.random.default_rng(51))


def theta(bars: float) -> float:
    return np.log(2) / bars


def first_seen(z: float, level: float, phi: float) -> float:
    """Exact mean number of steps of the discrete process from z to the level, by its integral equation."""
    step, top = np.sqrt(1 - phi * phi), max(z, 3) + 5
    nodes, weights = np.polynomial.legendre.leggauss(300)
    nodes, weights = level + (top - level) * (1 + nodes) / 2, weights * (top - level) / 2
    density = norm.pdf(nodes[None, :], phi * nodes[:, None], step) * weights
    bars = np.linalg.solve(np.eye(nodes.size) - density, np.ones(nodes.size))
    return 1 + float((norm.pdf(nodes, phi * z, step) * weights) @ bars)


def test_the_fit_is_that_of_statsmodels():
    fit = AutoReg(SPREAD, lags=1, trend="c").fit()
    (constant, phi), covariance = fit.params, fit.cov_params()
    found = ornstein_uhlenbeck(SPREAD)
    assert found.phi == pytest.approx(phi, rel=1e-8) and found.theta == pytest.approx(-np.log(phi), rel=1e-8)
    assert found.mean == pytest.approx(constant / (1 - phi), rel=1e-8)
    assert found.std == pytest.approx(np.sqrt(fit.sigma2 / (1 - phi**2)), rel=1e-8)
    assert found.sigma == pytest.approx(found.std * np.sqrt(2 * found.theta), rel=1e-12)
    of_mean = np.array([1 / (1 - phi), constant / (1 - phi) ** 2])
    assert found.mean_stderr == pytest.approx(np.sqrt(of_mean @ covariance @ of_mean), rel=1e-6)
    assert found.theta_stderr == pytest.approx(fit.bse[1] / phi, rel=1e-6)


def test_standard_errors_are_those_of_repetition():
    rng = np.random.default_rng(52)
    fits = [ornstein_uhlenbeck(reverting(1_000, 5, rng)) for _ in range(400)]
    for name in ("theta", "mean", "sigma", "std"):
        claimed = np.median([getattr(fit, f"{name}_stderr") for fit in fits])
        assert np.std([getattr(fit, name) for fit in fits]) == pytest.approx(claimed, rel=0.12), name


def test_a_given_phi_is_used():
    life = half_life(SPREAD)
    found = ornstein_uhlenbeck(SPREAD, phi=life.phi)
    assert np.log(2) / found.theta == pytest.approx(life.bars)
    assert found.theta < ornstein_uhlenbeck(SPREAD).theta and found.std > ornstein_uhlenbeck(SPREAD).std


@given(shift=st.floats(-1e4, 1e4), scale=st.floats(1e-2, 1e4))
def test_units_go_where_they_belong(shift, scale):
    found, plain = ornstein_uhlenbeck(scale * SPREAD + shift), ornstein_uhlenbeck(SPREAD)
    assert found.theta == pytest.approx(plain.theta, rel=1e-6)
    assert found.mean == pytest.approx(scale * plain.mean + shift, rel=1e-6, abs=1e-6 * scale)
    assert [found.sigma, found.std] == pytest.approx([scale * plain.sigma, scale * plain.std], rel=1e-6)
    assert found.zscore(scale * 55 + shift) == pytest.approx(plain.zscore(55), rel=1e-6)


def test_a_high_price_keeps_the_digits_of_small_moves():
    moves = np.round(reverting(300, 8, np.random.default_rng(53)), 2)
    assert ornstein_uhlenbeck(1e7 + moves).theta == pytest.approx(ornstein_uhlenbeck(moves).theta, rel=1e-6)


def test_what_does_not_revert_is_refused():
    with pytest.raises(DegenerateSeries, match="does not revert"):
        ornstein_uhlenbeck(np.arange(60.0) ** 2)
    with pytest.raises(DegenerateSeries, match="does not revert"):
        ornstein_uhlenbeck(SPREAD, phi=1.0)
    with pytest.raises(DegenerateSeries, match="turns round"):
        ornstein_uhlenbeck(np.diff(np.random.default_rng(54).standard_normal(100)))
    with pytest.raises(DegenerateSeries, match="constant"):
        ornstein_uhlenbeck(np.ones(60))
    with pytest.raises(TooFewObservations):
        ornstein_uhlenbeck(SPREAD[:19])
    with pytest.raises(InputError, match="index 4"):
        ornstein_uhlenbeck(np.where(np.arange(500) == 4, np.inf, SPREAD))


@pytest.mark.parametrize("z, level", [(2, 0), (2, 0.5), (3, 1), (1, -1), (6, 0)])
def test_the_continuous_time_is_the_double_integral(z, level):
    def slowness(u: float) -> float:
        return np.exp(norm.logsf(u) - norm.logpdf(u))

    assert exit_bars(z, level, 0.1, continuous=True) == pytest.approx(quad(slowness, level, z)[0] / 0.1, rel=1e-8)


@pytest.mark.parametrize("z, level", [(2, 0), (2, 0.5), (2, 1), (3, 1)])
@pytest.mark.parametrize("bars, share", [(2, 0.065), (5, 0.02), (20, 0.003), (50, 0.001)])
def test_the_time_at_closes_is_that_of_the_discrete_process(z, level, bars, share):
    exact = first_seen(z, level, 0.5 ** (1 / bars))
    assert exit_bars(z, level, theta(bars)) == pytest.approx(exact, rel=share)
    assert exit_bars(z, level, theta(bars), continuous=True) < 0.93 * exact


def test_the_integral_equation_is_that_of_simulated_bars():
    rng, phi, z = np.random.default_rng(55), 0.5 ** (1 / 5), np.full(20_000, 2.0)
    bars = np.zeros(z.size)
    away = z > 0.5
    while away.any():
        bars[away] += 1
        z[away] = phi * z[away] + np.sqrt(1 - phi**2) * rng.standard_normal(int(away.sum()))
        away = z > 0.5
    assert first_seen(2, 0.5, phi) == pytest.approx(bars.mean(), abs=3 * bars.std() / np.sqrt(bars.size))


def test_the_exit_has_plain_limits():
    assert exit_bars(0.4, 0.5, 0.1) == exit_bars(-0.5, 0.5, 0.1) == 0
    assert exit_bars(-2, 0.5, 0.1) == exit_bars(2, 0.5, 0.1)
    assert exit_bars(2, 0.5, 0.0) == np.inf
    assert exit_bars(2, 0.5, np.inf) == exit_bars(2, 0.5, 50.0) == 1
    with pytest.raises(InputError, match="theta"):
        exit_bars(2, 0.5, np.nan)
    with pytest.raises(InputError, match="finite"):
        exit_bars(np.nan, 0.5, 0.1)


@given(z=st.floats(0.6, 6), farther=st.floats(0, 2), slower=st.floats(1, 10))
def test_farther_and_slower_take_longer(z, farther, slower):
    assert exit_bars(z + farther, 0.5, 0.1) >= exit_bars(z, 0.5, 0.1)
    assert exit_bars(z, 0.5, 0.1 / slower) >= exit_bars(z, 0.5, 0.1)


def test_the_exit_carries_the_uncertainty_of_the_half_life():
    life = HalfLife(bars=20, low=10, high=np.inf, uncorrected=15, phi=0.966, stderr=0.02, n_obs=500)
    found = expected_exit(2, 0.5, life)
    assert found.bars == exit_bars(2, 0.5, theta(20)) and found.low == exit_bars(2, 0.5, theta(10))
    assert found.high == np.inf
