"""p-values and critical values: one source, and the published values."""

import numpy as np
import pytest
from scipy.stats import norm
from statsmodels.tsa.adfvalues import mackinnonp

from analytics.cointegration import engle_granger, johansen, phillips_ouliaris
from analytics.null_tables import JOHANSEN, KPSS_LAWS, MACKINNON, ZIVOT_ANDREWS, ZIVOT_ANDREWS_PROBABILITIES
from analytics.significance import LEVELS, Law, law, mackinnon_critical_values, mackinnon_pvalue, mackinnon_pvalues
from analytics.stationarity import adf, kpss, phillips_perron, zivot_andrews

WALKS = np.random.default_rng(5).standard_normal((2, 300)).cumsum(axis=1)


@pytest.mark.parametrize("trend, series", list(MACKINNON))
def test_mackinnon_p_equals_statsmodels_over_the_whole_table(trend, series):
    for statistic in np.linspace(-22, 4, 521):
        ours = mackinnon_pvalue(float(statistic), trend, series)
        assert ours == pytest.approx(mackinnonp(statistic, regression=trend, N=series), abs=1e-12)


def test_many_p_values_are_those_of_one_and_what_is_missing_stays_so():
    statistics = np.array([[-40.0, -3.4, np.nan], [-1.0, 0.5, 9.0]])
    found = mackinnon_pvalues(statistics, "c", 2)
    assert np.isnan(found[0, 2])
    known = np.isfinite(statistics)
    assert found[known].tolist() == [mackinnon_pvalue(at, "c", 2) for at in statistics[known]]


@pytest.mark.parametrize("trend, series", list(MACKINNON))
def test_mackinnon_critical_values_are_where_p_is_the_level(trend, series):
    for name, at in mackinnon_critical_values(trend, series).items():
        assert mackinnon_pvalue(at, trend, series) == pytest.approx(LEVELS[name], abs=1e-10)


# MacKinnon (2010), infinite sample: trend, series, 1 %, 5 %, 10 %
PUBLISHED = [("c", 1, -3.43035, -2.86154, -2.56677), ("ct", 1, -3.95877, -3.41049, -3.12705)]
PUBLISHED += [("c", 2, -3.89644, -3.33613, -3.04445), ("ct", 2, -4.32762, -3.78057, -3.49631)]


@pytest.mark.parametrize("trend, series, one, five, ten", PUBLISHED)
def test_critical_values_are_the_published_asymptotic_ones(trend, series, one, five, ten):
    assert list(mackinnon_critical_values(trend, series).values()) == pytest.approx([one, five, ten], abs=4e-3)


RESULTS = {
    "adf": adf(WALKS[0]),
    "phillips_perron": phillips_perron(WALKS[0]),
    "zivot_andrews": zivot_andrews(WALKS[0]),
    "kpss": kpss(WALKS[0]),
    "engle_granger": engle_granger(*WALKS),
    "phillips_ouliaris": phillips_ouliaris(*WALKS),
    "johansen": johansen(*WALKS),
}


@pytest.mark.parametrize("name", RESULTS)
def test_a_statistic_is_beyond_a_critical_value_exactly_where_p_is_below_the_level(name):
    found = RESULTS[name]
    sign = 1 if name in ("kpss", "johansen") else -1  # large or small statistics speak against the null
    values = [sign * at for at in found.critical_values.values()]
    assert values == sorted(values, reverse=True)
    for level, at in zip(LEVELS.values(), values, strict=True):
        assert (found.pvalue < level) == (sign * found.statistic > at)


def test_a_law_reads_its_quantiles_back_and_ends_at_its_outermost():
    probabilities = np.array([0.01, 0.05, 0.5, 0.95, 0.99])
    normal = Law(probabilities, norm.ppf(probabilities))
    for at in (-1.9, -0.3, 0.0, 1.5):
        assert normal.below(at) == pytest.approx(norm.cdf(at), abs=1e-12)
        assert normal.above(at) == pytest.approx(norm.sf(at), abs=1e-12)
        assert normal.quantile(norm.cdf(at)) == pytest.approx(at)
    assert normal.below(-9) == pytest.approx(0.01) and normal.is_outside(-9) and not normal.is_outside(0)
    assert normal.above(9) == pytest.approx(0.01) and normal.is_outside(9)


@pytest.mark.parametrize("n", [60, 80, 100, 500, 10_000])
@pytest.mark.parametrize("kind", ["c", "t", "ct"])
def test_surfaces_give_rising_quantiles_at_every_size(kind, n):
    assert (np.diff(law(ZIVOT_ANDREWS_PROBABILITIES, ZIVOT_ANDREWS[kind], n).quantiles) > 0).all()


def test_tables_hold_the_published_values():
    # Zivot and Andrews (1992), tables 2 to 4, 5 %; Kwiatkowski et al. (1992), table 1; Osterwald-Lenum (1992), 1.1*
    limits = [law(ZIVOT_ANDREWS_PROBABILITIES, ZIVOT_ANDREWS[kind], 10**9).quantile(0.05) for kind in ("c", "t", "ct")]
    assert limits == pytest.approx([-4.80, -4.42, -5.08], abs=0.07)
    assert kpss(WALKS[0]).critical_values == pytest.approx({"1%": 0.739, "5%": 0.463, "10%": 0.347}, abs=5e-3)
    assert kpss(WALKS[0], "ct").critical_values == pytest.approx({"1%": 0.216, "5%": 0.146, "10%": 0.119}, abs=2.5e-3)
    vector = johansen(*WALKS)
    assert vector.trace[0].critical_values["5%"] == pytest.approx(17.95, abs=0.15)
    assert vector.max_eigenvalue[0].critical_values["5%"] == pytest.approx(14.90, abs=0.15)
    assert vector.trace[1].critical_values["5%"] == pytest.approx(8.18, abs=0.15)


@pytest.mark.parametrize("table", [*KPSS_LAWS.values(), *JOHANSEN.values()])
def test_quantiles_rise(table):
    assert (np.diff(table) > 0).all()


def test_the_limit_law_of_kpss_is_a_sum_of_squared_normals():
    rng = np.random.default_rng(6)
    weights = 1 / (np.pi * np.arange(1, 301)) ** 2
    sums = np.concatenate([rng.standard_normal((2_000, 300)) ** 2 @ weights for _ in range(10)])
    levels = [0.01, 0.05, 0.10]
    for level, at in zip(levels, kpss(WALKS[0]).critical_values.values(), strict=True):
        assert np.mean(sums > at) == pytest.approx(level, abs=4 * np.sqrt(level / sums.size))
