"""z-scores of a moving ratio by median and by fading weights, against the plain definition."""

import numpy as np
import pandas as pd
import pytest

from analytics.normal import MAD_NORMAL
from analytics.pair.scores import ewm_scores, robust_scores


def legs(n: int = 120, level: float = 1.0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Two legs and a ratio that moves."""
    random = np.random.default_rng(5)
    x = level + random.standard_normal(n).cumsum()
    ratio = 2 + 0.01 * random.standard_normal(n).cumsum()
    return 2 * x + random.standard_normal(n), x, ratio


def test_the_robust_score_is_that_of_median_and_deviation_of_each_window():
    y, x, ratio = legs()
    mean, width, z = robust_scores(y, x, ratio, 20)
    for t in (19, 20, 77, 119):
        spread = (y - ratio[t] * x)[t - 19 : t + 1]
        middle = np.median(spread)
        deviation = np.median(np.abs(spread - middle)) / MAD_NORMAL
        assert mean[t] == pytest.approx(middle, rel=1e-12)
        assert width[t] == pytest.approx(deviation, rel=1e-12)
        assert z[t] == pytest.approx((spread[-1] - middle) / deviation, rel=1e-9)
    assert np.isnan(z[:19]).all() and np.isfinite(z[19:]).all()


def test_the_fading_score_equals_pandas_on_the_spread_of_each_bars_own_ratio():
    y, x, ratio = legs()
    mean, width, z = ewm_scores(y, x, ratio, 20)
    for t in (19, 60, 95):  # within the reach of the weights
        spread = pd.Series((y - ratio[t] * x)[: t + 1])
        weighted = spread.ewm(span=20)
        assert mean[t] == pytest.approx(weighted.mean().iloc[-1], rel=1e-9)
        assert width[t] == pytest.approx(weighted.std(bias=True).iloc[-1], rel=1e-9)
        assert z[t] == pytest.approx((spread.iloc[-1] - mean[t]) / width[t], rel=1e-9)
    assert np.isnan(z[:19]).all()


@pytest.mark.parametrize("scored", [robust_scores, ewm_scores])
def test_later_bars_change_nothing(scored):
    y, x, ratio = legs()
    for whole, part in zip(scored(y, x, ratio, 20), scored(y[:70], x[:70], ratio[:70], 20), strict=True):
        np.testing.assert_array_equal(whole[:70], part)


@pytest.mark.parametrize("scored", [robust_scores, ewm_scores])
def test_a_price_level_takes_no_digits(scored):
    y, x, ratio = legs()
    far = np.round(1e-2 * y, 4), np.round(1e-2 * x, 4)
    z = scored(*far, ratio, 20)[2]
    shifted = scored(far[0] + 65_536, far[1] + 65_536, ratio, 20)[2]
    np.testing.assert_allclose(shifted, z, atol=1e-7)


@pytest.mark.parametrize("scored", [robust_scores, ewm_scores])
def test_a_spread_that_does_not_vary_has_no_score(scored):
    x = np.random.default_rng(6).standard_normal(50).cumsum()
    z = scored(2 * x + 1, x, np.full(50, 2.0), 20)[2]
    assert np.isnan(z).all()
    y, x, ratio = legs(50)
    ratio[30] = np.nan
    assert np.flatnonzero(np.isnan(scored(y, x, ratio, 20)[2])).tolist() == [*range(19), 30]


def test_one_bad_price_moves_the_robust_score_only_at_its_bar():
    y, x, ratio = legs()
    spiked = y.copy()
    spiked[60] += 1_000
    honest, seen = (robust_scores(leg, x, ratio, 20)[2] for leg in (y, spiked))
    assert seen[60] > 100
    after = slice(61, 80)
    assert np.abs(seen[after] - honest[after]).max() < 1.5


def test_prices_that_stand_on_coarse_ticks_have_no_robust_score_rather_than_a_huge_one():
    random = np.random.default_rng(0)
    x = np.round(100 * np.exp(random.normal(0, 0.001, 400).cumsum()))
    y = np.round(2 * x + 0.5 * random.standard_normal(400))
    z = robust_scores(y, x, np.full(400, 2.0), 30)[2]
    assert np.nanmax(np.abs(z), initial=0.0) < 50
    assert np.isnan(z[29:]).any()
