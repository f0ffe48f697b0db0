"""Spread, z-score and half-life."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analytics.mean_reversion import half_life, spread, zscore
from utils.errors import DegenerateSeries, TooFewObservations


def reverting(n: int, bars: float, rng: np.random.Generator) -> np.ndarray:
    """AR(1) with a half-life of `bars`, from its stationary distribution."""
    phi = 0.5 ** (1 / bars)
    values = np.empty(n)
    values[0] = rng.standard_normal() / np.sqrt(1 - phi**2)
    for t, shock in enumerate(rng.standard_normal(n - 1), start=1):
        values[t] = phi * values[t - 1] + shock
    return values


# bars of data, true half-life, median of the corrected estimate as simulated for the design (+-15 %)
MEDIANS = [(250, 5, 5.07), (250, 20, 21.1), (500, 20, 21.1), (1_000, 50, 52.4)]


@pytest.mark.parametrize("n, bars, median", MEDIANS)
def test_the_correction_takes_the_bias_away_and_the_interval_covers(n, bars, median):
    rng = np.random.default_rng(31)
    found = [half_life(reverting(n, bars, rng)) for _ in range(600)]
    assert np.median([life.bars for life in found]) == pytest.approx(median, rel=0.15)
    assert np.median([life.uncorrected for life in found]) < bars
    assert np.mean([life.low <= bars <= life.high for life in found]) >= 0.90


def test_a_random_walk_has_an_open_end():
    walk = np.random.default_rng(32).standard_normal(300).cumsum()
    assert half_life(walk).high == np.inf


@given(shift=st.floats(-1e4, 1e4), scale=st.floats(1e-2, 1e4))
def test_half_life_ignores_price_units(shift, scale):
    series = reverting(300, 10, np.random.default_rng(33))
    assert half_life(scale * series + shift).bars == pytest.approx(half_life(series).bars, rel=1e-6)


def test_zscore_is_the_rolling_one_of_the_field():
    values = np.random.default_rng(34).standard_normal(300).cumsum()
    rolling = pd.Series(values).rolling(20)
    np.testing.assert_allclose(zscore(values, 20), (values - rolling.mean()) / rolling.std(), rtol=1e-8)
    assert np.isnan(zscore(np.ones(50), 20)).all()


def test_spread_is_y_minus_the_hedge():
    assert spread([10.0, 12.0], [1.0, 2.0], 3.0, 1.0).tolist() == [6.0, 5.0]


def test_what_has_no_half_life_is_named():
    with pytest.raises(DegenerateSeries):
        half_life(np.ones(100))
    with pytest.raises(TooFewObservations):
        half_life(np.arange(10.0))
