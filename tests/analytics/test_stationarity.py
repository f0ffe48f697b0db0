"""ADF and KPSS against published values and statsmodels."""

import numpy as np
import pandas as pd
import pytest
from statsmodels.tsa.stattools import adfuller

from analytics.stationarity import adf, kpss
from tests.market import market
from utils.errors import DegenerateSeries, InputError, TooFewObservations

# Quarterly US macro data, the values of statsmodels' own tests (five decimals hold): series, trend, lags, statistic, p.
MACRO = [
    ("realgdp", "c", 4, 0.97505319, 0.99399563),
    ("realgdp", "ct", 4, -1.8566374, 0.67682968),
    ("realgdp", "n", 4, 3.5227498, 0.99999),
    ("infl", "c", 1, -4.3346988, 0.00038661),
    ("infl", "ct", 1, -4.425093, 0.00199633),
    ("infl", "n", 1, -2.4511596, 0.013747),
]


@pytest.mark.parametrize("series, trend, lags, statistic, pvalue", MACRO)
def test_adf_matches_published_values(series, trend, lags, statistic, pvalue):
    values = pd.read_csv(market("econometrics/macrodata.csv"))[series].to_numpy()
    found = adf(values, trend=trend, lags=lags)
    assert found.statistic == pytest.approx(statistic, abs=1e-5)
    assert found.pvalue == pytest.approx(pvalue, abs=1e-5)


def autoregression(n: int, seed: int, phi: float, moving: float = 0.0) -> np.ndarray:
    """AR(1) with a moving-average shock seven steps back, so that long lags are of use."""
    rng = np.random.default_rng(seed)
    shocks = rng.standard_normal(n + 7)
    values = np.zeros(n)
    for t in range(1, n):
        values[t] = phi * values[t - 1] + shocks[t + 7] + moving * shocks[t]
    return values


@pytest.mark.parametrize("lags", ["aic", "bic", 0, 5])
@pytest.mark.parametrize("trend", ["n", "c", "ct", "ctt"])
def test_adf_equals_statsmodels_with_the_same_lags(trend, lags):
    for seed, (n, phi, moving) in enumerate([(40, 0.5, 0), (100, 0.9, 0.6), (500, 1.0, -0.8), (1_000, 0.97, 0.9)]):
        values = autoregression(n, seed, phi, moving)
        how = {"autolag": lags.upper()} if isinstance(lags, str) else {"autolag": None, "maxlag": lags}
        reference = adfuller(values, regression=trend, result_object=True, **how)
        found = adf(values, trend=trend, lags=lags)
        assert found.statistic == pytest.approx(reference.statistic, abs=1e-8)
        assert found.pvalue == pytest.approx(reference.pvalue, abs=1e-8)
        assert found.lags == reference.lags
        assert list(found.critical_values.values()) == pytest.approx(list(reference.critical_values.values()))


def test_p_values_of_random_walks_are_uniform_near_five_percent():
    rng = np.random.default_rng(8)
    share = np.mean([adf(rng.standard_normal(250).cumsum(), lags=1).pvalue < 0.05 for _ in range(1_500)])
    assert 0.035 <= share <= 0.065


def test_kpss_tells_a_walk_from_noise_and_marks_bounds():
    rng = np.random.default_rng(9)
    noise, walk = rng.standard_normal(500), (0.1 + rng.standard_normal(500)).cumsum()
    assert kpss(noise).pvalue >= 0.05
    assert kpss(walk).pvalue <= 0.01 and kpss(walk).pvalue_is_bound


def test_what_cannot_be_tested_is_named():
    with pytest.raises(DegenerateSeries):
        adf(np.ones(50))
    with pytest.raises(DegenerateSeries):
        adf(np.arange(50.0), lags=1)
    with pytest.raises(TooFewObservations):
        adf(np.arange(10.0))
    with pytest.raises(TooFewObservations):
        adf(np.random.default_rng(1).standard_normal(40), lags=30)
    with pytest.raises(InputError, match="trend"):
        adf(np.arange(50.0), trend="x")
    with pytest.raises(InputError, match="lags"):
        adf(np.arange(50.0), lags="hqic")
