"""Spread and half-life."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from statsmodels.regression.linear_model import OLS
from statsmodels.tools import add_constant
from statsmodels.tsa.ar_model import AutoReg

from analytics.ar1 import phi_interval, phi_intervals, quantiles
from analytics.mean_reversion import half_life, spread, zscore
from tests.calibrate.ar1_surface import slopes
from tests.market import market
from utils.errors import DegenerateSeries, InputError, TooFewObservations

RUNS = 600
LEAST = 0.925  # 95 % less two and a half standard errors of 600 runs


def reverting(n: int, bars: float, rng: np.random.Generator) -> np.ndarray:
    """AR(1) with a half-life of `bars`, from its stationary distribution."""
    phi = 0.5 ** (1 / bars)
    values = np.empty(n)
    values[0] = rng.standard_normal() / np.sqrt(1 - phi**2)
    for t, shock in enumerate(rng.standard_normal(n - 1), start=1):
        values[t] = phi * values[t - 1] + shock
    return values


@pytest.mark.parametrize("n, bars", [(100, 5), (250, 5), (250, 20), (500, 20), (1_000, 50)])
def test_half_of_the_estimates_are_too_short_and_the_interval_covers(n, bars):
    rng = np.random.default_rng(31)
    found = [half_life(reverting(n, bars, rng)) for _ in range(RUNS)]
    assert np.mean([life.bars < bars for life in found]) == pytest.approx(0.5, abs=0.05)
    assert np.mean([life.uncorrected < bars for life in found]) > 0.55
    assert np.mean([life.low <= bars <= life.high for life in found]) >= LEAST


@pytest.mark.parametrize("n, bars", [(250, 10), (500, 20)])
def test_the_residual_of_a_fitted_ratio_covers_too(n, bars):
    rng = np.random.default_rng(35)
    found = []
    for _ in range(RUNS):
        x = 100 + rng.standard_normal(n).cumsum()
        y = 3 + 2 * x + reverting(n, bars, rng)
        slope, intercept = np.polyfit(x - 100, y, 1)
        found.append(half_life(spread(y, x - 100, slope, intercept), fitted=1))
    assert np.mean([life.bars < bars for life in found]) == pytest.approx(0.5, abs=0.05)
    assert np.mean([life.low <= bars <= life.high for life in found]) >= LEAST


@pytest.mark.parametrize("fitted", [0, 1])
def test_a_random_walk_has_an_open_end(fitted):
    phi = np.ones(1)
    found = [phi_interval(slope, 299, fitted) for slope in slopes(299, phi, RUNS, 32)[fitted, 0]]
    assert np.mean([high == 1 for _, _, high in found]) >= 0.955
    assert np.mean([middle == 1 for _, middle, _ in found]) == pytest.approx(0.5, abs=0.06)


def test_no_evidence_of_reversion_is_infinite():
    life = half_life(np.random.default_rng(36).standard_normal(300).cumsum())
    assert life.high == np.inf and not life.reverts
    assert half_life(reverting(500, 5, np.random.default_rng(37))).reverts
    rising = half_life(np.arange(60.0) ** 2)
    assert rising.bars == rising.high == np.inf


# J. D. Hamilton, Time Series Analysis (1994), table B.5, case 2: n (phi - 1) under a unit root, 2.5 % and 97.5 %
DICKEY_FULLER = [(100, -16.3, 0.47), (1_000_000, -16.9, 0.41)]


@pytest.mark.parametrize("n, rare_low, rare_high", DICKEY_FULLER)
def test_at_a_unit_root_it_is_the_published_distribution(n, rare_low, rare_high):
    low, _, high = n * (quantiles(np.ones(1), n, 0)[0] - 1)
    assert [low, high] == pytest.approx([rare_low, rare_high], abs=0.25)


@pytest.mark.parametrize("phi", [0.0, 0.5, 0.8, 0.93, 0.98, 1.0])
def test_the_surface_agrees_with_fresh_simulation(phi):
    simulated = np.quantile(slopes(120, np.array([phi]), 20_000, 77)[:, 0], [0.025, 0.5, 0.975], axis=1).T
    for fitted in (0, 1):
        np.testing.assert_allclose(quantiles(np.array([phi]), 120, fitted)[0], simulated[fitted], atol=0.006)


def test_many_intervals_are_those_of_one():
    slopes, widenings = np.linspace(0.5, 1.02, 23), np.linspace(1.0, 3.0, 23)
    many = phi_intervals(slopes, 400, 1, widenings)
    one = [phi_interval(slope, 400, 1, widening) for slope, widening in zip(slopes, widenings, strict=True)]
    assert np.array_equal(many, np.transpose(one))


@pytest.mark.parametrize("fitted", [0, 1])
@pytest.mark.parametrize("n", [19, 30, 100, 501, 2_000, 50_000])
def test_a_larger_slope_never_shortens_anything(n, fitted):
    found = np.array([phi_interval(slope, n, fitted) for slope in np.linspace(-0.8, 1.05, 400)])
    assert (np.diff(found, axis=0) >= 0).all()
    assert (np.diff(found, axis=1) >= 0).all()


def test_far_from_a_random_walk_it_is_the_textbook_interval():
    life = half_life(reverting(20_000, 2, np.random.default_rng(38)))
    plain = 0.5 ** (1 / life.uncorrected)
    ends = [-np.log(2) / np.log(plain + side * 1.96 * life.stderr) for side in (-1, 1)]
    assert [life.low, life.high] == pytest.approx(ends, rel=5e-3)


def test_the_regression_is_that_of_statsmodels():
    values = reverting(300, 10, np.random.default_rng(39))
    fit = AutoReg(values, lags=1, trend="c").fit()
    life = half_life(values)
    assert life.uncorrected == pytest.approx(-np.log(2) / np.log(fit.params[1]), rel=1e-8)
    assert life.stderr == pytest.approx(fit.bse[1] * np.sqrt(299 / 297), rel=1e-8)


def test_clustered_volatility_widens_the_interval_by_whites_ratio():
    calm = reverting(500, 5, np.random.default_rng(43))
    stormy = calm * np.where(np.arange(500) // 60 == 3, 8, 1)
    fit = OLS(stormy[1:], add_constant(stormy[:-1])).fit()
    ratio = fit.HC1_se[1] / fit.bse[1]  # both divide by n - 2
    found = half_life(stormy)
    low, _, high = phi_interval(fit.params[1], 499, widening=ratio)
    assert ratio > 1.1
    assert [0.5 ** (1 / found.low), 0.5 ** (1 / found.high)] == pytest.approx([low, high], rel=1e-9)


@pytest.mark.parametrize("fitted", [0, 1])
@pytest.mark.parametrize("widening", [1.0, 1.5, 4.0])
def test_a_wider_interval_holds_the_narrower(widening, fitted):
    for slope in np.linspace(-0.4, 1.02, 60):
        narrow, wide = phi_interval(slope, 200, fitted), phi_interval(slope, 200, fitted, widening)
        assert wide[0] <= narrow[0] and wide[1] == narrow[1] and wide[2] >= narrow[2]


@given(shift=st.floats(-1e4, 1e4), scale=st.floats(1e-2, 1e4))
def test_half_life_ignores_price_units(shift, scale):
    series = reverting(300, 10, np.random.default_rng(33))
    assert half_life(scale * series + shift).bars == pytest.approx(half_life(series).bars, rel=1e-6)
    assert half_life(-series).bars == pytest.approx(half_life(series).bars, rel=1e-9)


def test_a_spread_that_turns_within_a_bar_has_none_of_it():
    life = half_life(np.diff(np.random.default_rng(40).standard_normal(400)))
    assert life.bars == life.low == life.high == 0


def test_a_fitted_ratio_makes_the_same_residual_look_slower():
    prices = pd.read_csv(market("econometrics/crude.csv.gz"))
    slope, intercept = np.polyfit(prices["WTI"], prices["Brent"], 1)
    residual = spread(prices["Brent"], prices["WTI"], slope, intercept)
    given, fitted = half_life(residual), half_life(residual, fitted=1)
    assert given.low <= given.uncorrected < given.bars < given.high
    assert given.bars < fitted.bars and given.low == fitted.low and given.high < fitted.high


def test_spread_is_y_minus_the_hedge():
    assert spread([10.0, 12.0], [1.0, 2.0], 3.0, 1.0).tolist() == [6.0, 5.0]


def test_the_zscore_is_found_here_too():
    assert np.isnan(zscore(np.ones(50), 20)).all()


def test_what_has_no_half_life_is_named():
    with pytest.raises(DegenerateSeries, match="last bar"):
        half_life(np.append(np.ones(40), 2.0))
    with pytest.raises(DegenerateSeries):
        half_life(np.ones(100))
    with pytest.raises(TooFewObservations):
        half_life(np.arange(10.0))
    with pytest.raises(InputError, match="index 3"):
        half_life(np.where(np.arange(50) == 3, np.nan, np.arange(50.0)))
    with pytest.raises(InputError, match="fitted"):
        half_life(np.arange(50.0) % 7, fitted=2)
