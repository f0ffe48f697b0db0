"""Jarque-Bera, the fitted Student t and Q-Q lines against scipy and simulation."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from analytics.normality import LEVELS, QUANTILES, SIZES, jarque_bera, quantile_line, student_fit
from utils.errors import DegenerateSeries, InputError, TooFewObservations

RNG = np.random.default_rng(31)


@pytest.mark.parametrize("n", [20, 100, 1_000])
def test_jarque_bera_is_scipys_statistic(n):
    values = RNG.gamma(4.0, 1.0, n)
    found, expected = jarque_bera(values), stats.jarque_bera(values)
    assert found.statistic == pytest.approx(expected.statistic, rel=1e-10)
    assert found.skewness == pytest.approx(stats.skew(values), rel=1e-10)
    assert found.excess_kurtosis == pytest.approx(stats.kurtosis(values), rel=1e-9, abs=1e-12)


def test_with_many_observations_the_pvalue_is_that_of_chi_squared():
    values = np.random.default_rng(4).standard_normal(400_000)
    found = jarque_bera(values)
    assert found.pvalue == pytest.approx(stats.chi2.sf(found.statistic, 2), rel=0.02)
    np.testing.assert_allclose(QUANTILES[-1], stats.chi2.isf(LEVELS, 2), atol=6e-4)


@pytest.mark.parametrize("n", [40, 150, 600])
def test_pvalues_between_the_simulated_sizes_are_right_where_chi_squared_is_not(n):
    samples = [jarque_bera(row) for row in np.random.default_rng(n).standard_normal((6_000, n))]
    pvalues = np.array([one.pvalue for one in samples])
    textbook = stats.chi2.sf([one.statistic for one in samples], 2)
    for level in (0.5, 0.1, 0.05):
        noise = np.sqrt(level * (1 - level) / pvalues.size)
        assert abs(np.mean(pvalues < level) - level) < 3.5 * noise
    assert np.mean(textbook < 0.1) < 0.1 - 3 * np.sqrt(0.09 / pvalues.size)


def test_the_table_falls_from_level_to_level_and_what_lies_beyond_is_a_bound():
    assert (np.diff(QUANTILES, axis=1) > 0).all() and (np.diff(SIZES) > 0).all()
    far, near = jarque_bera(RNG.standard_t(2, 500)), jarque_bera(np.random.default_rng(1).standard_normal(500))
    assert far.pvalue == 0.001 and far.pvalue_is_bound
    assert near.pvalue > 0.05 and not near.pvalue_is_bound


@given(st.floats(-1e5, 1e5), st.floats(1e-4, 1e4), st.booleans())
def test_the_test_knows_no_units(shift, scale, flip):
    values = np.random.default_rng(2).standard_t(5, 200)
    changed = (-scale if flip else scale) * values + shift
    # Values at 1e5 that move by 1e-4 have lost a part of their digits before they come here.
    assert jarque_bera(changed).statistic == pytest.approx(jarque_bera(values).statistic, rel=1e-5)


@pytest.mark.parametrize("df, n", [(2.5, 200), (4.0, 1_000), (30.0, 1_000)])
def test_no_other_student_t_is_likelier(df, n):
    values = np.random.default_rng(int(df)).standard_t(df, n)
    found = student_fit(values)
    ours = stats.t.logpdf(values, found.df, found.loc, found.scale).sum()
    assert ours >= stats.t.logpdf(values, *stats.t.fit(values)).sum() - 1e-3
    for nudged in ((1.05, 0, 1), (0.95, 0, 1), (1, 0.05, 1), (1, -0.05, 1), (1, 0, 1.05), (1, 0, 0.95)):
        params = found.df * nudged[0], found.loc + nudged[1] * found.scale, found.scale * nudged[2]
        assert stats.t.logpdf(values, *params).sum() <= ours + 1e-6


def test_the_fit_follows_units():
    values = np.random.default_rng(6).standard_t(4, 500)
    plain, small = student_fit(values), student_fit(1e-6 * values + 1e-5)
    assert small.df == pytest.approx(plain.df, rel=1e-3)
    assert small.scale == pytest.approx(1e-6 * plain.scale, rel=1e-3)
    assert small.loc == pytest.approx(1e-6 * plain.loc + 1e-5, abs=1e-9)


def test_the_interval_of_the_tails_covers_and_may_end_at_the_normal():
    rng = np.random.default_rng(12)
    found = [student_fit(rng.standard_t(4, 400)) for _ in range(300)]
    assert np.mean([one.df_low <= 4 <= one.df_high for one in found]) > 0.91
    assert student_fit(rng.standard_normal(500)).df_high == np.inf


def test_points_of_a_line_are_the_ordered_data_and_the_fitted_quantiles():
    values = RNG.standard_normal(80)
    line = quantile_line(values)
    np.testing.assert_array_equal(line.found, np.sort(values))
    expected = stats.norm.ppf((np.arange(1, 81) - 0.5) / 80, values.mean(), values.std(ddof=1))
    np.testing.assert_allclose(line.expected, expected, rtol=1e-12)
    assert (line.low < line.high).all() and line.against == "normal" and line.n_obs == 80


def test_a_long_line_is_thinned_but_keeps_both_ends():
    values = RNG.standard_normal(5_000)
    line = quantile_line(values)
    assert line.found.size <= 200
    assert (line.found[0], line.found[-1]) == (values.min(), values.max())


@pytest.mark.parametrize("n", [60, 700])
def test_honest_data_stays_inside_as_a_whole_and_heavy_tails_leave(n):
    rng = np.random.default_rng(n)
    inside = [quantile_line(rng.standard_normal(n)).outside == 0 for _ in range(300)]
    assert 0.91 <= np.mean(inside) <= 0.985
    heavy = [rng.standard_t(3, n) for _ in range(60)]
    left_normal = np.mean([quantile_line(values).outside > 0 for values in heavy])
    left_student = np.mean([quantile_line(values, "student").outside > 0 for values in heavy])
    assert left_normal > 0.5 > 0.12 > left_student


def test_what_cannot_be_asked_is_named():
    for ask in (jarque_bera, student_fit, quantile_line):
        with pytest.raises(TooFewObservations):
            ask(np.arange(10.0))
        with pytest.raises(DegenerateSeries):
            ask(np.ones(50))
        with pytest.raises(InputError, match="finite"):
            ask(np.append(np.arange(40.0), np.nan))
    with pytest.raises(InputError, match="normal or student"):
        quantile_line(np.arange(40.0), "cauchy")
