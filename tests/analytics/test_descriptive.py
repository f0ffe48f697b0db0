"""Returns, moments, densities and summaries against scipy, pandas and hand values."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from analytics.autocorrelation import ljung_box
from analytics.descriptive import density, describe, distance_ranks, moments, summary
from analytics.returns import log_returns, simple_returns
from tests.market import market
from utils.errors import DegenerateSeries, InputError, TooFewObservations

RNG = np.random.default_rng(5)
SAMPLE = RNG.gamma(2.0, 3.0, 400)


def test_returns_are_what_a_hand_computes():
    np.testing.assert_allclose(simple_returns([100.0, 110.0, 99.0]), [0.1, -0.1], rtol=1e-14)
    np.testing.assert_allclose(log_returns([100.0, 110.0, 99.0]), [np.log(1.1), np.log(0.9)], rtol=1e-14)


def test_log_returns_keep_their_digits_at_a_high_price_level():
    prices = 1e5 + 0.01 * RNG.standard_normal(500).cumsum()
    long = prices.astype(np.longdouble)
    exact = np.log1p(np.diff(long) / long[:-1]).astype(float)
    np.testing.assert_allclose(log_returns(prices), exact, rtol=1e-13)
    assert np.abs(np.diff(np.log(prices)) / exact - 1).max() > 1e-8  # what the plain formula loses


@given(st.integers(1, 98))
def test_later_closes_change_no_earlier_return(cut):
    prices = 100 * np.exp(0.01 * np.random.default_rng(1).standard_normal(100).cumsum())
    np.testing.assert_array_equal(log_returns(prices)[:-cut], log_returns(prices[:-cut]))
    np.testing.assert_array_equal(simple_returns(prices)[:-cut], simple_returns(prices[:-cut]))


@pytest.mark.parametrize("bad", [0.0, -1.0, np.nan, np.inf])
def test_a_price_without_a_logarithm_is_named(bad):
    with pytest.raises(InputError, match="at index 1"):
        log_returns([1.0, bad, 2.0])


def test_one_price_has_no_return():
    with pytest.raises(TooFewObservations, match="needs 2 prices, has 1"):
        simple_returns([1.0])
    with pytest.raises(InputError, match="one dimension"):
        simple_returns([[1.0, 2.0]])


def test_moments_agree_with_scipy():
    found = moments(SAMPLE)
    assert found.mean == pytest.approx(SAMPLE.mean(), rel=1e-12)
    assert found.std == pytest.approx(SAMPLE.std(ddof=1), rel=1e-12)
    assert found.mean_stderr == pytest.approx(stats.sem(SAMPLE), rel=1e-12)
    assert found.skewness == pytest.approx(stats.skew(SAMPLE, bias=False), rel=1e-10)
    assert found.excess_kurtosis == pytest.approx(stats.kurtosis(SAMPLE, bias=False), rel=1e-10)


def test_standard_errors_are_the_scatter_of_many_samples():
    samples = [moments(row) for row in np.random.default_rng(8).standard_normal((4_000, 60))]
    for name in ("mean", "std", "skewness", "excess_kurtosis"):
        scatter = np.std([getattr(one, name) for one in samples])
        stated = np.mean([getattr(one, f"{name}_stderr") for one in samples])
        assert stated == pytest.approx(scatter, rel=0.05)


def test_the_error_of_the_standard_deviation_knows_heavy_tails():
    samples = [moments(row) for row in np.random.default_rng(8).standard_t(9, (2_000, 400))]
    scatter, normal = np.std([one.std for one in samples]), np.mean([one.std for one in samples]) / np.sqrt(800)
    assert np.mean([one.std_stderr for one in samples]) == pytest.approx(scatter, rel=0.06)
    assert scatter > 1.12 * normal


@given(st.floats(-1e6, 1e6), st.floats(1e-3, 1e3))
def test_moments_follow_units_and_shifts(shift, scale):
    before, after = moments(SAMPLE), moments(scale * SAMPLE + shift)
    assert after.mean == pytest.approx(scale * before.mean + shift, rel=1e-9, abs=1e-9)
    assert after.std == pytest.approx(scale * before.std, rel=1e-5)
    assert after.skewness == pytest.approx(before.skewness, abs=1e-4)
    assert after.excess_kurtosis == pytest.approx(before.excess_kurtosis, abs=1e-4)


@pytest.mark.parametrize("scale", [1e-120, 1e120])
def test_no_power_under_or_overflows(scale):
    assert moments(scale * SAMPLE).excess_kurtosis == pytest.approx(moments(SAMPLE).excess_kurtosis, rel=1e-9)


def test_moments_refuse_what_has_none():
    with pytest.raises(TooFewObservations):
        moments(np.arange(19.0))
    with pytest.raises(DegenerateSeries):
        moments(np.full(50, 3.0))
    with pytest.raises(InputError, match="index 3"):
        moments(np.r_[1.0, 2.0, 3.0, np.nan, np.arange(30)])


def test_every_value_is_in_a_bin_or_counted_beside_them():
    values = np.append(RNG.standard_t(3, 1_000), [1e6, -1e6])
    found = density(values)
    assert found.counts.sum() + found.below + found.above == values.size
    assert found.below >= 1 and found.above >= 1 and found.counts.size <= 80
    assert found.edges[0] == found.grid[0] and found.edges[-1] == found.grid[-1]
    assert np.all(np.diff(found.edges) > 0) and found.edges.size == found.counts.size + 1


def test_densities_are_near_the_true_one():
    found = density(np.random.default_rng(3).standard_normal(20_000))
    true = stats.norm.pdf(found.grid)
    for estimate, wide in ((found.kernel, 0.02), (found.normal, 0.01), (found.student, 0.01)):
        assert np.abs(estimate - true).max() < wide
    heavy = density(np.random.default_rng(3).standard_t(3, 20_000))
    true = stats.t.pdf(heavy.grid, 3)
    assert np.abs(heavy.student - true).max() < 0.01 < 0.05 < np.abs(heavy.normal - true).max()


def test_the_kernel_is_scipys_at_silvermans_width():
    values = RNG.standard_normal(300)
    found = density(values)
    lower, upper = np.quantile(values, (0.25, 0.75))
    width = 0.9 * min(values.std(ddof=1), (upper - lower) / 1.34) / 300**0.2
    by_hand = stats.norm.pdf((found.grid[:, None] - values) / width).mean(axis=1) / width
    np.testing.assert_allclose(found.kernel, by_hand, rtol=1e-10)


def test_a_price_that_hardly_trades_still_has_a_density():
    values = np.zeros(400)
    values[7], values[200] = 1.0, -1.0
    found = density(values)
    assert found.counts.sum() == 400 and np.isfinite(found.kernel).all()


def test_a_summary_holds_the_parts_it_is_made_of():
    closes = 100 * np.exp(0.01 * np.random.default_rng(3).standard_t(4, 800).cumsum())
    returns = log_returns(closes)
    found = summary(closes)
    assert found.n_obs == 799 and found.missing == {}
    assert found.moments == moments(returns)
    assert found.quantiles[0.05] == pytest.approx(np.quantile(returns, 0.05))
    assert (found.least, found.greatest, found.zeros) == (returns.min(), returns.max(), 0.0)
    assert found.jarque_bera.pvalue <= 0.001 < 0.05 < found.ljung_box.pvalue
    assert 2 < found.student.df < 8
    simple = summary(closes, "simple")
    assert simple.moments.mean == pytest.approx(simple_returns(closes).mean())


def test_a_spread_is_described_by_its_changes_and_closes_by_their_returns():
    closes = np.exp(np.random.default_rng(5).standard_normal(300).cumsum() / 100)
    assert describe(log_returns(closes)).table().equals(summary(closes).table())
    with pytest.raises(InputError, match="finite"):
        describe(np.array([1.0, np.nan]))
    with pytest.raises(TooFewObservations):
        describe(np.empty(0))


def test_a_summary_says_what_few_bars_do_not_support():
    closes = 100 + RNG.standard_normal(26).cumsum()
    found = summary(closes)
    assert found.moments is not None and found.ljung_box is None
    assert found.missing == dict.fromkeys(("ljung_box", "clustering"), "needs 30 observations, has 25")
    still = summary(np.full(60, 5.0))
    assert still.zeros == 1 and still.moments is None and "constant" in still.missing["jarque_bera"]
    assert {"observations", "share of zeros"} <= set(still.table().index)
    with pytest.raises(InputError, match="log or simple"):
        summary(closes, "plain")


def test_ranks_of_distances_are_counted_from_the_median_and_know_no_units():
    values = np.array([3.0, 0.0, 1.0, -9.0, 1.5])
    np.testing.assert_array_equal(distance_ranks(values), [4, 3, 1, 5, 2])
    np.testing.assert_array_equal(distance_ranks(-7 * values + 2), distance_ranks(values))


def test_independent_moves_without_variance_do_not_cluster():
    rng = np.random.default_rng(19)
    found = [ljung_box(distance_ranks(rng.standard_t(2, 400))).pvalue < 0.05 for _ in range(400)]
    assert 0.02 <= np.mean(found) <= 0.08


def test_real_hourly_returns_are_heavy_tailed_and_cluster():
    found = summary(pd.read_csv(market("klines/usdm_1h_202510/BTCUSDT_1h.csv"))["close"].to_numpy())
    assert found.jarque_bera.pvalue_is_bound and found.student.df_high < 8
    assert found.clustering.pvalue < 0.01 < found.ljung_box.pvalue
    table = found.table()
    assert table.loc["Jarque-Bera", "pvalue"] == found.jarque_bera.pvalue
    assert table.loc["mean", "stderr"] == found.moments.mean_stderr
