"""The OLS hedge ratio against statsmodels."""

import numpy as np
import pytest
import statsmodels.api as sm

from analytics.hedge import hac_lags, ols
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
