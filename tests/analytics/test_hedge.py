"""The OLS hedge ratio against statsmodels."""

import numpy as np
import pytest
import statsmodels.api as sm

from analytics.hedge import hac_lags, huber, ols, theil_sen, tls
from utils.errors import DegenerateSeries, InputError, TooFewObservations


@pytest.mark.parametrize("n, seed", [(30, 1), (100, 2), (500, 3), (2_000, 4)])
def test_slope_and_errors_equal_statsmodels(n, seed):
    rng = np.random.default_rng(seed)
    x = 60_000 + rng.standard_normal(n).cumsum()
    y = 0.04 * x + 100 + rng.standard_normal(n).cumsum() * 0.1
    fit = ols(y, x)
    reference = sm.OLS(y, sm.add_constant(x - x.mean())).fit()  # centred: raw prices cost the reference its digits
    robust = reference.get_robustcov_results("HAC", maxlags=hac_lags(n))
    assert fit.hedge_ratio == pytest.approx(reference.params[1], rel=1e-8)
    assert fit.intercept == pytest.approx(reference.params[0] - reference.params[1] * x.mean(), rel=1e-7)
    assert fit.stderr_classical == pytest.approx(reference.bse[1], rel=1e-7)
    assert fit.stderr == pytest.approx(robust.bse[1], rel=1e-7)
    to_origin = np.array([1.0, -x.mean()])
    assert fit.intercept_stderr == pytest.approx(np.sqrt(to_origin @ robust.cov_params() @ to_origin), rel=1e-7)
    assert fit.r_squared == pytest.approx(reference.rsquared, rel=1e-7)
    assert fit.low < fit.hedge_ratio < fit.high


def test_the_interval_covers_the_truth_when_the_errors_are_correlated():
    rng, covered = np.random.default_rng(5), 0
    for _ in range(400):
        x = rng.standard_normal(500).cumsum()
        noise = np.zeros(500)
        for t, shock in enumerate(rng.standard_normal(499), start=1):
            noise[t] = 0.3 * noise[t - 1] + shock
        fit = ols(2 * x + noise, x)
        covered += fit.low <= 2 <= fit.high
    assert covered / 400 >= 0.89


def test_what_cannot_be_fitted_is_named():
    x = np.arange(20.0)
    with pytest.raises(DegenerateSeries, match="x is constant"):
        ols(x, np.ones(20))
    with pytest.raises(TooFewObservations) as caught:
        ols(x[:5], x[:5])
    assert (caught.value.have, caught.value.need) == (5, 10)
    with pytest.raises(InputError, match="index 3"):
        ols(np.where(x == 3, np.nan, x), x)


# --- other methods ------------------------------------------------------------------------------------


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


@pytest.mark.parametrize("seed", range(5))
def test_theil_sen_is_the_median_of_all_slopes(seed):
    y, x = noisy(seed, 120)
    rows, columns = np.triu_indices(x.size, 1)
    slopes = (y[columns] - y[rows]) / (x[columns] - x[rows])
    assert theil_sen(y, x).hedge_ratio == pytest.approx(np.median(slopes), rel=1e-12)


@pytest.mark.parametrize("scale", [1e-4, 1.0, 1e4])
@pytest.mark.parametrize("sign", [1, -1])
def test_total_least_squares_is_the_direction_of_least_variance(scale, sign):
    rng = np.random.default_rng(4)
    x = scale * rng.standard_normal(200).cumsum()
    y = sign * 2 * x + scale * rng.standard_normal(200)
    normal = np.linalg.svd(np.column_stack((x - x.mean(), y - y.mean())))[2][-1]
    assert tls(y, x).hedge_ratio == pytest.approx(-normal[0] / normal[1], rel=1e-10)
    assert tls(x, y).hedge_ratio == pytest.approx(1 / tls(y, x).hedge_ratio, rel=1e-10)


@pytest.mark.parametrize("method", [huber, theil_sen, tls])
def test_intervals_cover_the_truth(method):
    covered = 0
    for seed in range(300):
        rng = np.random.default_rng(seed)
        x = rng.standard_normal(250).cumsum()
        seen = x + (0.3 * rng.standard_normal(250) if method is tls else 0.0)  # its own assumption: noise in both
        fit = method(2 * x + 0.3 * rng.standard_normal(250), seen)
        covered += fit.low <= 2 <= fit.high
    assert 0.90 <= covered / 300 <= 0.99


@pytest.mark.parametrize("method", [huber, theil_sen])
def test_one_bad_price_does_not_move_a_robust_ratio(method):
    rng = np.random.default_rng(6)
    x = rng.standard_normal(200).cumsum()
    y = 2 * x + 0.3 * rng.standard_normal(200)
    spiked = np.where(np.arange(200) == np.argmax(x), 100 * y, y)
    assert method(spiked, x).hedge_ratio == pytest.approx(method(y, x).hedge_ratio, abs=0.02)
    assert abs(ols(spiked, x).hedge_ratio - 2) > 1


@pytest.mark.parametrize("method", [huber, theil_sen, tls])
def test_what_no_method_can_fit_is_named(method):
    x = np.random.default_rng(7).standard_normal(50).cumsum()
    with pytest.raises(DegenerateSeries):
        method(x, np.ones(50))
    with pytest.raises(TooFewObservations):
        method(x[:5], x[:5])
    with pytest.raises(InputError, match="finite"):
        method(x, np.where(x == x[3], np.inf, x))


def test_a_perfect_line_has_no_scale_for_huber():
    x = np.arange(50.0)
    with pytest.raises(DegenerateSeries, match="one line"):
        huber(2 * x + 1, x)
