"""ADF, Phillips-Perron and KPSS against published values, statsmodels and arch."""

import numpy as np
import pandas as pd
import pytest
from arch.unitroot import PhillipsPerron
from hypothesis import given, settings
from hypothesis import strategies as st
from statsmodels.tsa.stattools import adfuller
from statsmodels.tsa.stattools import kpss as statsmodels_kpss

from analytics.stationarity import adf, kpss, phillips_perron
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
        assert found.n_obs == reference.nobs


@pytest.mark.parametrize("lags", ["aic", 3])
def test_adf_keeps_its_digits_where_prices_are_large_and_moves_are_small(lags):
    values = autoregression(400, 5, 0.9, 0.5)
    assert adf(1e5 + 0.01 * values, lags=lags).statistic == pytest.approx(adf(values, lags=lags).statistic, abs=1e-7)


def test_adf_falls_back_to_orthogonal_columns_where_a_series_nearly_follows_its_past():
    wave = np.sin(np.arange(200) / 5) + 1e-7 * np.random.default_rng(1).standard_normal(200)
    for lags in ("aic", 1, 2):
        how = {"autolag": "AIC"} if lags == "aic" else {"autolag": None, "maxlag": lags}
        reference = adfuller(wave, result_object=True, **how)
        found = adf(wave, lags=lags)
        assert (found.lags, found.statistic) == (reference.lags, pytest.approx(reference.statistic, rel=1e-5))


# Quarterly US inflation, the values in arch's documentation.
INFLATION = [("c", -8.1356), ("ct", -8.2022)]


@pytest.mark.parametrize("trend, statistic", INFLATION)
def test_phillips_perron_matches_published_values(trend, statistic):
    inflation = np.diff(np.log(pd.read_csv(market("econometrics/macrodata.csv"))["cpi"].to_numpy()))
    found = phillips_perron(inflation, trend=trend)
    assert found.statistic == pytest.approx(statistic, abs=5e-5)
    assert (found.lags, found.pvalue) == (15, pytest.approx(0, abs=5e-5))


@pytest.mark.parametrize("lags", ["auto", 0, 4])
@pytest.mark.parametrize("trend", ["n", "c", "ct"])
def test_phillips_perron_equals_arch(trend, lags):
    for seed, (n, phi) in enumerate([(40, 0.5), (250, 0.97), (1_000, 1.0)]):
        values = 20 + autoregression(n, seed, phi, 0.4)
        reference = PhillipsPerron(values, trend=trend, lags=None if lags == "auto" else lags)
        found = phillips_perron(values, trend=trend, lags=lags)
        assert found.statistic == pytest.approx(reference.stat, abs=1e-8)
        assert found.pvalue == pytest.approx(reference.pvalue, abs=1e-3)  # arch's polynomials are its own
        assert (found.lags, found.n_obs) == (reference.lags, reference.nobs)


@pytest.mark.filterwarnings("ignore::statsmodels.tools.sm_exceptions.InterpolationWarning")
@pytest.mark.filterwarnings("ignore::FutureWarning")
@pytest.mark.parametrize("trend", ["c", "ct"])
def test_kpss_equals_statsmodels_where_its_table_ends_not(trend):
    for seed, (n, phi) in enumerate([(50, 0.0), (200, 0.5), (500, 0.9), (1_000, 0.99)]):
        values = autoregression(n, seed, phi)
        statistic, pvalue, lags, critical = statsmodels_kpss(values, regression=trend, nlags="auto")[:4]
        found = kpss(values, trend=trend)
        assert (found.statistic, found.lags) == (pytest.approx(statistic, abs=1e-8), lags)
        assert kpss(values, trend=trend, lags=3).statistic == pytest.approx(
            statsmodels_kpss(values, regression=trend, nlags=3)[0], abs=1e-8
        )
        if 0.01 < pvalue < 0.1:
            assert found.pvalue == pytest.approx(pvalue, abs=5e-3)
        published = [critical[level] for level in found.critical_values]
        assert list(found.critical_values.values()) == pytest.approx(published, rel=0.02)


def test_p_values_of_random_walks_are_uniform_near_five_percent():
    rng = np.random.default_rng(8)
    share = np.mean([adf(rng.standard_normal(250).cumsum(), lags=1).pvalue < 0.05 for _ in range(1_500)])
    assert 0.035 <= share <= 0.065


def test_kpss_tells_a_walk_from_noise_and_marks_bounds():
    rng = np.random.default_rng(9)
    noise, walk = rng.standard_normal(500), (0.1 + rng.standard_normal(500)).cumsum()
    assert kpss(noise).pvalue >= 0.05 and not kpss(noise).pvalue_is_bound
    assert kpss(walk).pvalue == pytest.approx(1e-4) and kpss(walk).pvalue_is_bound


WALK = np.random.default_rng(11).standard_normal(300).cumsum()


@settings(max_examples=25)
@given(shift=st.floats(-1e4, 1e4), scale=st.floats(1e-2, 1e4))
@pytest.mark.parametrize("test", [adf, phillips_perron, kpss])
def test_units_and_origin_of_prices_change_nothing(test, shift, scale):
    assert test(scale * WALK + shift).statistic == pytest.approx(test(WALK).statistic, abs=1e-6)


@pytest.mark.parametrize("test", [adf, phillips_perron, kpss])
def test_the_series_itself_stays_as_it_was(test):
    before = WALK.copy()
    test(WALK, trend="ct")
    assert np.array_equal(before, WALK)


@pytest.mark.parametrize("test", [phillips_perron, kpss])
def test_a_line_a_hole_and_a_wrong_rule_are_named(test):
    with pytest.raises(DegenerateSeries):
        test(np.arange(60.0), trend="ct")
    with pytest.raises(DegenerateSeries):
        test(np.full(60, 5.0))
    with pytest.raises(InputError, match="finite"):
        test(np.append(WALK, np.nan))
    with pytest.raises(InputError, match="trend"):
        test(WALK, trend="ctt")
    with pytest.raises(InputError, match="lags"):
        test(WALK, lags="aic")
    with pytest.raises(TooFewObservations):
        test(WALK, lags=300)
    with pytest.raises(TooFewObservations):
        test(WALK[:19])


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
