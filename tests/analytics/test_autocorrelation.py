"""Autocorrelation and Ljung-Box against statsmodels, and what clustering variance does to them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from statsmodels.stats.diagnostic import acorr_ljungbox
from statsmodels.tsa.stattools import acf

from analytics.autocorrelation import autocorrelation, ljung_box
from utils.errors import DegenerateSeries, InputError, TooFewObservations


def moving_average(n: int, seed: int = 1) -> np.ndarray:
    shocks = np.random.default_rng(seed).standard_normal(n + 1)
    return shocks[1:] + 0.6 * shocks[:-1] + 50


def garch(rng: np.random.Generator, n: int) -> np.ndarray:
    returns, variance = np.empty(n + 200), 1.0
    for t, shock in enumerate(rng.standard_normal(n + 200)):
        returns[t] = np.sqrt(variance) * shock
        variance = 0.05 + 0.1 * returns[t] ** 2 + 0.85 * variance
    return returns[200:]


def test_values_and_bartletts_band_are_those_of_statsmodels():
    values = moving_average(300)
    found = autocorrelation(values, 25)
    result = acf(values, nlags=25, alpha=0.05, fft=False, result_object=True)
    expected, interval = result.acf, result.confint
    np.testing.assert_allclose(found.values, expected[1:], atol=1e-12)
    np.testing.assert_allclose(found.band_bartlett, (interval[:, 1] - expected)[1:], rtol=1e-8)
    assert found.band_plain == pytest.approx(1.96 / np.sqrt(300), rel=1e-4)
    np.testing.assert_array_equal(found.lags, np.arange(1, 26))


def test_the_shown_band_is_whites_error_of_a_regression_on_the_past():
    values = garch(np.random.default_rng(3), 400)
    centred = values - values.mean()
    products = centred[3:] * centred[:-3]
    by_hand = 1.959964 * np.sqrt(np.sum(products**2)) / np.sum(centred**2)
    assert autocorrelation(values, 5).band[2] == pytest.approx(by_hand, rel=1e-6)


@pytest.mark.parametrize("lags", [1, 5, 10])
def test_the_plain_form_is_statsmodels(lags):
    values = moving_average(200)
    found, expected = ljung_box(values, lags), acorr_ljungbox(values, lags=[lags]).iloc[0]
    assert found.plain_statistic == pytest.approx(expected["lb_stat"], rel=1e-10)
    assert found.plain_pvalue == pytest.approx(expected["lb_pvalue"], rel=1e-8)


def test_the_robust_form_of_one_lag_is_the_squared_t():
    values = garch(np.random.default_rng(9), 300)
    centred = values - values.mean()
    products = centred[1:] * centred[:-1]
    assert ljung_box(values, 1).statistic == pytest.approx(products.sum() ** 2 / np.sum(products**2), rel=1e-10)


def test_clustering_variance_fools_the_plain_form_and_not_the_robust_one():
    rng = np.random.default_rng(77)
    found = [ljung_box(garch(rng, 500)) for _ in range(400)]
    assert np.mean([test.plain_pvalue < 0.05 for test in found]) > 0.1
    assert 0.02 <= np.mean([test.pvalue < 0.05 for test in found]) <= 0.085
    rng = np.random.default_rng(78)
    outside = [np.abs(one.values) > one.band for one in (autocorrelation(garch(rng, 500), 10) for _ in range(300))]
    assert 0.035 <= np.mean(outside) <= 0.065


def test_memory_is_found():
    assert ljung_box(moving_average(200)).pvalue < 1e-3
    found = autocorrelation(moving_average(200), 5)
    assert found.values[0] > found.band[0]


@given(st.floats(-1e5, 1e5), st.floats(1e-3, 1e3))
def test_units_and_shifts_do_not_matter(shift, scale):
    values = moving_average(100)
    before, after = ljung_box(values), ljung_box(scale * values + shift)
    assert after.statistic == pytest.approx(before.statistic, rel=1e-4)
    assert after.plain_statistic == pytest.approx(before.plain_statistic, rel=1e-4)
    np.testing.assert_allclose(
        autocorrelation(scale * values + shift).values, autocorrelation(values).values, atol=1e-6
    )


def test_lags_follow_the_sample():
    assert autocorrelation(moving_average(60)).lags.size == 30
    assert (ljung_box(moving_average(80)).lags, ljung_box(moving_average(500)).lags) == (8, 10)
    with pytest.raises(TooFewObservations, match="needs 200 observations, has 100"):
        ljung_box(moving_average(100), 20)
    for ask in (ljung_box, autocorrelation):
        with pytest.raises(InputError, match="lags must be >= 1, was 0"):
            ask(moving_average(100), 0)


def test_a_series_of_two_spikes_is_no_evidence():
    values = np.zeros(200)
    values[50], values[120] = 1.0, -1.0
    found = ljung_box(values)
    assert found.statistic == 0 and found.pvalue == 1


def test_what_cannot_be_asked_is_named():
    for ask in (ljung_box, autocorrelation):
        with pytest.raises(TooFewObservations):
            ask(np.arange(29.0))
        with pytest.raises(DegenerateSeries):
            ask(np.ones(50))
        with pytest.raises(InputError, match="finite"):
            ask(np.append(np.arange(40.0), np.inf))
