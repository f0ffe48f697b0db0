"""Johansen against statsmodels, the published set, and simulation."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from statsmodels.tsa.api import VAR
from statsmodels.tsa.vector_ar.vecm import VECM, coint_johansen

from analytics.cointegration import johansen
from tests.market import market
from utils.errors import DegenerateSeries, InputError, TooFewObservations


def pair_of(seed: int, n: int = 300, phi: float = 0.9) -> tuple[np.ndarray, np.ndarray]:
    """A walk and 1.5 of it plus an AR(1) error whose steps remember the last three."""
    rng = np.random.default_rng(seed)
    x, shocks, error = 50 + rng.standard_normal(n).cumsum(), rng.standard_normal(n), np.zeros(n)
    for t in range(3, n):
        error[t] = phi * error[t - 1] + shocks[t] + 0.6 * shocks[t - 3]
    return 1.5 * x + error, x


def check(y: np.ndarray, x: np.ndarray, lags: int) -> None:
    reference = coint_johansen(np.column_stack((y, x)), 0, lags)
    found = johansen(y, x, lags)
    assert [test.statistic for test in found.trace] == pytest.approx(reference.lr1, abs=1e-8)
    assert [test.statistic for test in found.max_eigenvalue] == pytest.approx(reference.lr2, abs=1e-8)
    assert found.eigenvalues == pytest.approx(reference.eig, abs=1e-10)
    assert found.hedge_ratio == pytest.approx(-reference.evec[1, 0] / reference.evec[0, 0], rel=1e-7)


@pytest.mark.parametrize("lags", [1, 2, 7])
@pytest.mark.parametrize("seed, n, phi", [(1, 80, 0.5), (2, 300, 0.9), (3, 1_000, 1.0)])
def test_statistics_and_vector_equal_statsmodels(lags, seed, n, phi):
    check(*pair_of(seed, n, phi), lags)


@pytest.mark.parametrize("columns", [(0, 1), (2, 5), (6, 7)])
def test_pairs_of_the_published_set_equal_statsmodels(columns):
    data = np.loadtxt(market("econometrics/johansen_test_coint.csv"))
    check(data[:, columns[0]], data[:, columns[1]], 2)


def test_without_lags_the_levels_are_those_of_the_bar_before():
    # statsmodels' coint_johansen takes those of the same bar when it has no lags, VECM does not
    y, x = pair_of(4)
    reference = VECM(np.column_stack((y, x)), k_ar_diff=0, coint_rank=1, deterministic="co").fit()
    assert johansen(y, x, 0).hedge_ratio == pytest.approx(-reference.beta[1, 0] / reference.beta[0, 0], rel=1e-7)


@pytest.mark.parametrize("rule", ["aic", "bic"])
@pytest.mark.parametrize("seed", [1, 2, 3, 5])
def test_lags_are_those_of_a_vector_autoregression_one_longer(rule, seed):
    y, x = pair_of(seed)
    most = 16  # 12 (300/100)^(1/4)
    chosen = VAR(np.column_stack((y, x))).select_order(most + 1).selected_orders[rule]
    assert johansen(y, x, rule).lags == max(chosen - 1, 0)


@settings(max_examples=25)
@given(shift=st.floats(-1e4, 1e4), scale=st.floats(1e-2, 1e3))
def test_units_and_which_leg_is_y_change_only_the_ratio(shift, scale):
    y, x = pair_of(6)
    one, swapped, scaled = johansen(y, x), johansen(x, y), johansen(scale * y + shift, x)
    for other in (swapped, scaled):
        assert other.statistic == pytest.approx(one.statistic, abs=1e-6)
        assert other.rank == one.rank
    assert scaled.hedge_ratio == pytest.approx(scale * one.hedge_ratio, rel=1e-6)
    assert swapped.hedge_ratio == pytest.approx(1 / one.hedge_ratio, rel=1e-6)


def test_the_rank_is_told():
    rng = np.random.default_rng(7)
    walks = rng.standard_normal((2, 500)).cumsum(axis=1)
    assert johansen(*walks).rank == 0
    found = johansen(*pair_of(8, 500, 0.5))
    assert found.rank == 1 and found.hedge_ratio == pytest.approx(1.5, abs=0.05)
    assert johansen(*rng.standard_normal((2, 500)), 1).rank == 2


def test_walks_are_called_cointegrated_about_one_time_in_twenty():
    rng = np.random.default_rng(9)
    found = [johansen(*rng.standard_normal((2, 300)).cumsum(axis=1), 1) for _ in range(3_000)]
    assert 0.04 <= np.mean([one.pvalue < 0.05 for one in found]) <= 0.065
    assert 0.04 <= np.mean([one.max_eigenvalue[0].pvalue < 0.05 for one in found]) <= 0.065
    assert np.mean([one.statistic > 15.4943 for one in found]) > 0.09  # the value for walks with drift


def test_what_cannot_be_tested_is_named():
    y, x = pair_of(1)
    with pytest.raises(DegenerateSeries, match="same up to scale"):
        johansen(2 * x + 3, x)
    with pytest.raises(DegenerateSeries):
        johansen(y, np.full(300, 1.0))
    with pytest.raises(DegenerateSeries, match="without any error"):
        johansen(y, np.sin(np.arange(300) / 9), 3)
    with pytest.raises(InputError, match="lags"):
        johansen(y, x, "hqic")
    with pytest.raises(TooFewObservations):
        johansen(y, x, 60)
    with pytest.raises(TooFewObservations):
        johansen(y[:59], x[:59])
    with pytest.raises(InputError, match="finite"):
        johansen(y, np.where(np.arange(300) == 5, np.nan, x))
