"""Huber against statsmodels; Theil-Sen against every slope there is, also where prices repeat."""

import numpy as np
import pytest
import statsmodels.api as sm
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import theilslopes

from analytics.hedge import huber, ols, theil_sen
from analytics.hedge.robust import median_slope
from analytics.hedge.selection import kth, median
from analytics.hedge.slopes import FEW, ROOM, Slopes
from utils.errors import DegenerateSeries, InputError


def noisy(seed: int, n: int = 300) -> tuple[np.ndarray, np.ndarray]:
    """A line with heavy-tailed errors at the price level of the legs."""
    rng = np.random.default_rng(seed)
    x = 60_000 + 10 * rng.standard_normal(n).cumsum()
    return 0.04 * x + 100 + rng.standard_t(3, n), x


@pytest.mark.parametrize("seed", range(5))
def test_huber_equals_the_robust_regression_of_statsmodels(seed):
    y, x = noisy(seed)
    reference = sm.RLM(y, sm.add_constant(x - x.mean()), M=sm.robust.norms.HuberT()).fit(tol=1e-13, maxiter=300)
    fit = huber(y, x)
    assert fit.hedge_ratio == pytest.approx(reference.params[1], rel=1e-8)
    assert fit.stderr == pytest.approx(reference.bse[1], rel=1e-7)
    assert fit.intercept == pytest.approx(reference.params[0] - reference.params[1] * x.mean(), rel=1e-7)


def test_a_perfect_line_has_no_scale_for_huber():
    x = np.arange(50.0)
    with pytest.raises(DegenerateSeries, match="one line"):
        huber(2 * x + 1, x)
    with pytest.raises(InputError, match="tuning"):
        huber(*noisy(1), tuning=0.0)


# scipy needs n^2 memory: 2,000 is what it still does at ease. Above, the count of slopes below is the proof.
PRICES = {
    "as they are": lambda y, x: (y, x),
    "equal x": lambda y, x: (y, np.round(x, -1)),
    "coarse ticks": lambda y, x: (np.round(y), np.round(x, -1)),
    "mostly still": lambda y, x: (np.where(np.arange(y.size) % 10 < 7, y[0], np.round(y, 1)), np.round(x / 20)),
}


@pytest.mark.parametrize("name", PRICES)
@pytest.mark.parametrize("n", [11, 12, 150, 700, 1_500])
def test_slope_and_interval_are_those_of_scipy_to_the_bit(name, n):
    y, x = PRICES[name](*noisy(n, n))
    expected, found = theilslopes(y, x), median_slope(y, x)
    assert (found.slope, found.low, found.high) == (expected.slope, expected.low_slope, expected.high_slope)


@settings(max_examples=60)
@given(
    st.lists(st.tuples(st.integers(-4, 4), st.integers(-4, 4)), min_size=10, max_size=40).filter(
        lambda points: len({x for _, x in points}) > 1 and len({y for y, _ in points}) > 1
    )
)
def test_the_median_is_exact_among_any_ties(points):
    y, x = np.array(points, float).T
    slopes = Slopes.of(y, x)
    everyone = np.sort([(b - a) / (u - v) for i, (a, v) in enumerate(points) for b, u in points[:i] if u != v])
    assert slopes.at(range(slopes.count)) == everyone.tolist()
    assert median_slope(y, x).slope == np.median(everyone)


@pytest.mark.parametrize("coarse", [False, True])
def test_the_median_of_two_hundred_million_slopes_has_half_on_either_side(coarse):
    y, x = noisy(3, 20_000)
    if coarse:
        y, x = np.round(y), np.round(x, -2)
    slopes = Slopes.of(y, x)
    assert slopes.count > 1e8
    slope = slopes.at([slopes.count // 2])[0]
    below = sum(_fewer(slopes, row, slope, strict=True) for row in range(x.size))
    upto = sum(_fewer(slopes, row, slope, strict=False) for row in range(x.size))
    assert below <= slopes.count // 2 < upto


def _fewer(slopes: Slopes, row: int, slope: float, strict: bool) -> int:
    """Slopes from one point to all later ones that lie below."""
    run = slopes.x[row + 1 :] - slopes.x[row]
    with np.errstate(divide="ignore", invalid="ignore"):
        found = np.where(run > 0, (slopes.y[row + 1 :] - slopes.y[row]) / run, np.inf)
    return int((found < slope).sum() if strict else (found <= slope).sum())


def test_more_equal_slopes_than_are_held_at_a_time():
    rng = np.random.default_rng(4)
    x = rng.permutation(np.arange(1_800.0))
    y = np.where(rng.random(1_800) < 0.95, 0.0, rng.standard_normal(1_800))
    slopes = Slopes.of(y, x)
    assert slopes.count > 3 * ROOM > FEW
    ordered = np.sort([(y[j] - y[i]) / (x[j] - x[i]) for i in range(0, 1_800, 3) for j in range(i)])
    assert np.mean(ordered == 0) > 0.8 and slopes.at([slopes.count // 2]) == [0.0]
    assert slopes.at([0, slopes.count - 1])[0] <= ordered[0] and slopes.at([slopes.count - 1])[0] >= ordered[-1]


@given(st.lists(st.integers(0, 6), min_size=1, max_size=40), st.data())
def test_selection_in_place(values, data):
    k = data.draw(st.integers(0, len(values) - 1))
    array = np.array(values, float)
    assert kth(array, k, 0, array.size - 1) == sorted(values)[k]
    assert (array[:k] <= array[k]).all() and (array[k:] >= array[k]).all()
    assert median(array) == np.median(values)


@pytest.mark.parametrize("method", [huber, theil_sen])
def test_intervals_cover_independent_errors_and_such_that_remember(method):
    covered = np.zeros(2)
    for seed in range(150):
        rng = np.random.default_rng(seed)
        x, shocks = rng.standard_normal(250).cumsum(), rng.standard_t(4, 250)
        slow = shocks.copy()
        for t in range(1, 250):
            slow[t] += 0.8 * slow[t - 1]
        for row, errors in enumerate((shocks, slow)):
            fit = method(2 * x + 0.3 * errors, x)
            covered[row] += fit.low <= 2 <= fit.high
    assert (covered >= 0.91 * 150).all() and (covered < 150).all()


@pytest.mark.parametrize("method", [huber, theil_sen])
def test_one_bad_price_does_not_move_a_robust_ratio(method):
    rng = np.random.default_rng(6)
    x = rng.standard_normal(200).cumsum()
    y = 2 * x + 0.3 * rng.standard_normal(200)
    spiked = np.where(np.arange(200) == np.argmax(x), 100 * y, y)
    assert method(spiked, x).hedge_ratio == pytest.approx(method(y, x).hedge_ratio, abs=0.02)
    assert abs(ols(spiked, x).hedge_ratio - 2) > 1
