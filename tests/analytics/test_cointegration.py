"""Engle-Granger against statsmodels, published values, and the truth of simulations."""

import gzip

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from statsmodels.tsa.stattools import coint

from analytics.cointegration import both_directions, engle_granger
from tests.market import market
from utils.errors import DegenerateSeries, InputError, TooFewObservations


def simulated(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """A pair: short or long, tight or loose, with errors that remember one step or seven."""
    rng = np.random.default_rng(seed)
    n = int(rng.choice([40, 100, 300, 1_000]))
    x = 100 + rng.standard_normal(n).cumsum()
    shocks, error = rng.standard_normal(n), np.zeros(n)
    for t in range(1, n):
        memory = 0.5 * shocks[t - 1] * (seed % 3 == 0) - 0.8 * shocks[max(t - 7, 0)] * (seed % 4 == 0)
        error[t] = (0.5, 0.95, 1.0)[seed % 3] * error[t - 1] + shocks[t] + memory
    return 2 * x + 5 + error * (0.05 if seed % 5 == 0 else 1.0), x


@pytest.mark.parametrize("trend", ["c", "ct"])
@pytest.mark.parametrize("lags", ["aic", "bic", 0, 3])
def test_sixty_pairs_agree_with_statsmodels(trend, lags):
    chosen = set()
    for seed in range(60):
        y, x = simulated(seed)
        how = {"autolag": lags} if isinstance(lags, str) else {"autolag": None, "maxlag": lags}
        statistic, pvalue = coint(y, x, trend=trend, **how)[:2]
        found = engle_granger(y, x, trend=trend, lags=lags)
        assert found.statistic == pytest.approx(statistic, abs=1e-8), seed
        assert found.pvalue == pytest.approx(pvalue, abs=1e-6), seed
        chosen.add(found.lags)
    if lags == "aic":
        assert {0, 7} <= chosen  # the lag rule was really put to work


# data, y, x, lags, statistic, p-value; statsmodels 0.15, quoted in the description of the files
PUBLISHED = [
    ("macrodata.csv", "realcons", "realgdp", 0, -1.830170986148, 0.614955),
    ("sp100_prices.csv.gz", "BA", "CF", "aic", -3.413578, 0.04086),
    ("sp100_prices.csv.gz", "CF", "BA", "aic", -3.659055, 0.02067),
    ("sp100_prices.csv.gz", "BKR", "CE", "aic", -2.027841, 0.514),
    ("sp100_prices.csv.gz", "ABMD", "AZO", "aic", -1.760702, 0.649),
    ("sp100_prices.csv.gz", "AES", "BBY", "aic", -1.598654, 0.721),
]


@pytest.mark.parametrize("file, y, x, lags, statistic, pvalue", PUBLISHED)
def test_published_values_come_out(file, y, x, lags, statistic, pvalue):
    table = pd.read_csv(market(f"econometrics/{file}"))
    found = engle_granger(table[y].to_numpy(float), table[x].to_numpy(float), lags=lags)
    assert found.statistic == pytest.approx(statistic, abs=1e-6)
    assert found.pvalue == pytest.approx(pvalue, abs=1e-3)


def test_brent_and_wti_are_cointegrated():
    with gzip.open(market("econometrics/crude.csv.gz"), "rt", encoding="utf-8-sig") as file:
        table = pd.read_csv(file)
    found = engle_granger(np.log(table["WTI"].to_numpy()), np.log(table["Brent"].to_numpy()))
    assert found.statistic == pytest.approx(-5.539573, abs=1e-6)
    assert found.pvalue == pytest.approx(1.49e-05, rel=1e-2)


def test_independent_walks_are_called_cointegrated_about_one_time_in_twenty():
    rng = np.random.default_rng(21)
    shares = [engle_granger(*rng.standard_normal((2, 250)).cumsum(axis=1), lags=1).pvalue < 0.05 for _ in range(2_000)]
    assert 0.035 <= np.mean(shares) <= 0.065


def test_both_directions_are_the_two_tests_and_the_smaller_p_doubled():
    y, x = simulated(4)
    both = both_directions(y, x)
    assert both.y_on_x == engle_granger(y, x) and both.x_on_y == engle_granger(x, y)
    assert both.pvalue == min(1, 2 * min(both.y_on_x.pvalue, both.x_on_y.pvalue))
    assert both_directions(x, y).pvalue == both.pvalue
    walks = np.random.default_rng(7).standard_normal((2, 100)).cumsum(axis=1)
    assert both_directions(*walks).pvalue == 1  # never above


@settings(max_examples=25)
@given(shift=st.floats(-1e4, 1e4), scale=st.floats(1e-2, 1e3), mixed=st.floats(-2, 2))
def test_units_and_a_share_of_x_within_y_change_only_the_ratio(shift, scale, mixed):
    y, x = simulated(2)
    one, other = engle_granger(y, x, lags=2), engle_granger(scale * (y + mixed * x) + shift, x, lags=2)
    assert other.statistic == pytest.approx(one.statistic, abs=1e-6)
    assert other.hedge_ratio == pytest.approx(scale * (one.hedge_ratio + mixed), rel=1e-6, abs=1e-6)


def test_ratio_and_intercept_are_those_of_least_squares():
    y, x = simulated(7)
    slope, intercept = np.polyfit(x, y, 1)
    found = engle_granger(y, x)
    assert (found.hedge_ratio, found.intercept) == (pytest.approx(slope, rel=1e-9), pytest.approx(intercept, rel=1e-8))


def test_legs_that_are_one_and_too_short_ones_are_named():
    x = np.random.default_rng(1).standard_normal(200).cumsum()
    with pytest.raises(DegenerateSeries, match="same up to scale and shift"):
        engle_granger(3 * x + 1, x)
    with pytest.raises(DegenerateSeries, match="line"):
        engle_granger(x, np.arange(200.0), trend="ct")
    with pytest.raises(InputError, match="index 3"):
        engle_granger(x, np.where(np.arange(200) == 3, np.nan, x))
    with pytest.raises(InputError, match="trend"):
        engle_granger(x, x**2, trend="n")
    with pytest.raises(TooFewObservations):
        engle_granger(x[:20], x[:20])
