"""Zivot-Andrews against statsmodels and arch, and where its break lies."""

import numpy as np
import pytest
from arch.unitroot import ZivotAndrews as ArchZivotAndrews
from hypothesis import given, settings
from hypothesis import strategies as st
from statsmodels.tsa.stattools import zivot_andrews as statsmodels_zivot_andrews

from analytics.stationarity import zivot_andrews
from utils.errors import DegenerateSeries, InputError, TooFewObservations


def series_with_memory(n: int, seed: int, phi: float, step: float) -> np.ndarray:
    """AR(1) with a moving-average shock five steps back and a step after two fifths."""
    shocks, values = np.random.default_rng(seed).standard_normal(n + 5), np.zeros(n)
    for t in range(1, n):
        values[t] = phi * values[t - 1] + shocks[t + 5] + 0.6 * shocks[t]
    return values + step * (np.arange(n) >= 2 * n // 5)


@pytest.mark.parametrize("trend", ["c", "t", "ct"])
@pytest.mark.parametrize("n, seed, phi, step", [(80, 1, 0.5, 4), (150, 2, 0.9, 0), (300, 3, 1.0, 10), (400, 4, 0.7, 3)])
def test_statistic_break_and_lags_equal_statsmodels(trend, n, seed, phi, step):
    values = 50 + series_with_memory(n, seed, phi, step)
    statistic, _, _, lags, break_index = statsmodels_zivot_andrews(values, regression=trend, autolag="AIC")
    found = zivot_andrews(values, trend=trend)
    assert found.statistic == pytest.approx(statistic, abs=1e-8)
    assert (found.lags, found.break_index) == (lags, break_index)


@pytest.mark.parametrize("trend", ["c", "t", "ct"])
@pytest.mark.parametrize("lags", [0, 1, 6])
def test_statistic_equals_arch_with_the_same_lags(trend, lags):
    values = series_with_memory(200, 9, 0.95, 2)
    assert zivot_andrews(values, trend, lags).statistic == pytest.approx(
        ArchZivotAndrews(values, trend=trend, lags=lags).stat, abs=1e-8
    )


def test_a_stationary_series_with_a_step_is_told_from_a_walk_and_the_step_is_found():
    found = zivot_andrews(series_with_memory(500, 5, 0.5, 8), lags="bic")
    assert found.pvalue == pytest.approx(0.001) and found.pvalue_is_bound
    assert abs(found.break_index - 199) <= 2
    walk = zivot_andrews(np.random.default_rng(1).standard_normal(500).cumsum())
    assert walk.pvalue > 0.05 and not walk.pvalue_is_bound


WALK = np.random.default_rng(2).standard_normal(200).cumsum()


@settings(max_examples=25)
@given(shift=st.floats(-1e4, 1e4), scale=st.floats(1e-2, 1e4))
def test_units_and_origin_of_prices_change_nothing(shift, scale):
    one, other = zivot_andrews(WALK), zivot_andrews(scale * WALK + shift)
    assert other.statistic == pytest.approx(one.statistic, abs=1e-6)
    assert other.break_index == one.break_index


def test_walks_are_called_stationary_about_one_time_in_twenty():
    rng = np.random.default_rng(3)
    share = np.mean([zivot_andrews(rng.standard_normal(150).cumsum()).pvalue < 0.05 for _ in range(2_000)])
    assert 0.035 <= share <= 0.065


def test_what_cannot_be_tested_is_named():
    with pytest.raises(DegenerateSeries, match="line"):
        zivot_andrews(np.arange(100.0))
    with pytest.raises(DegenerateSeries):
        zivot_andrews(np.full(100, 7.0))
    with pytest.raises(TooFewObservations):
        zivot_andrews(WALK[:59])
    with pytest.raises(InputError, match="trend"):
        zivot_andrews(WALK, trend="n")
    with pytest.raises(InputError, match="finite"):
        zivot_andrews(np.append(WALK, np.inf))
