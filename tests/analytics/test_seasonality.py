"""Seasonal-trend decomposition: parts that add up, a known season found again."""

import numpy as np
import pytest
from statsmodels.tsa.seasonal import STL

from analytics.seasonality import bars_a_day, decompose
from utils.errors import DegenerateSeries, InputError, TooFewObservations

HOURS = np.arange(24 * 12)
SEASON = np.sin(2 * np.pi * HOURS / 24)
NOISE = 0.2 * np.random.default_rng(4).standard_normal(HOURS.size)


def test_parts_add_up_and_find_what_was_put_in():
    observed = 100 + 0.02 * HOURS + SEASON + NOISE
    found = decompose(observed, 24)
    np.testing.assert_allclose(found.trend + found.seasonal + found.residual, observed, rtol=1e-12)
    assert np.abs(found.seasonal - SEASON).mean() < 0.12
    assert np.abs(found.trend - (100 + 0.02 * HOURS))[24:-24].max() < 0.2
    assert found.seasonal_strength > 0.9 and found.trend_strength > 0.9
    assert (found.period, found.n_obs) == (24, 288)


def test_small_periods_are_exactly_statsmodels():
    values = SEASON + NOISE
    expected = STL(values, period=8, robust=True).fit()
    np.testing.assert_allclose(decompose(values, 8).seasonal, expected.seasonal, atol=1e-10)


def test_jumps_change_the_picture_by_little():
    values = 0.02 * HOURS + SEASON + NOISE
    exact = STL(values, period=24, robust=True).fit()
    assert np.abs(decompose(values, 24).trend - exact.trend).max() < 0.02
    assert np.abs(decompose(values, 24).seasonal - exact.seasonal).max() < 0.05


def test_an_outlier_stays_in_the_residual():
    values = SEASON + NOISE
    struck = values.copy()
    struck[100] += 50
    assert np.abs(decompose(struck, 24).seasonal - decompose(values, 24).seasonal).max() < 0.2
    assert decompose(struck, 24).residual[100] > 45


def test_noise_has_little_season():
    found = decompose(np.random.default_rng(1).standard_normal(24 * 20), 24)
    assert found.seasonal_strength < 0.45


def test_shift_and_scale_pass_through_and_the_argument_is_left_alone():
    values = SEASON + NOISE
    kept = values.copy()
    plain, changed = decompose(values, 24), decompose(1e-3 * values + 1e4, 24)
    np.testing.assert_allclose(changed.seasonal, 1e-3 * plain.seasonal, atol=1e-8)
    np.testing.assert_allclose(changed.trend, 1e-3 * plain.trend + 1e4, atol=1e-8)
    np.testing.assert_array_equal(values, kept)


def test_two_seasons_are_the_least():
    with pytest.raises(TooFewObservations) as caught:
        decompose(SEASON[:47], 24)
    assert (caught.value.have, caught.value.need) == (47, 48)
    assert decompose(SEASON[:48] + NOISE[:48], 24).n_obs == 48


def test_what_cannot_be_taken_apart_is_named():
    with pytest.raises(InputError, match="period must be >= 2"):
        decompose(SEASON, 1)
    with pytest.raises(DegenerateSeries):
        decompose(np.ones(100), 24)


def test_the_time_of_day_has_its_period():
    assert (bars_a_day(3_600), bars_a_day(60), bars_a_day(43_200)) == (24, 1_440, 2)
    for odd in (86_400, 7_000, 0, -60):
        with pytest.raises(InputError, match="divide a day"):
            bars_a_day(odd)
