"""DOLS and FMOLS: arch's numbers, and an interval that holds where OLS is biased."""

import numpy as np
import pytest
from arch.unitroot.cointegration import DynamicOLS, FullyModifiedOLS
from scipy.signal import lfilter

from analytics.hedge import dols, fmols, hac_lags, ols
from analytics.hedge.cointegrating import dols_reach
from utils.errors import DegenerateSeries, TooFewObservations


def shared(seed: int, n: int, memory: float = 0.5, together: float = 0.5) -> tuple[np.ndarray, np.ndarray]:
    """A cointegrated pair whose spread is shocked together with x."""
    rng = np.random.default_rng(seed)
    steps, own = rng.standard_normal((2, n + 100))
    spread = lfilter([1], [1, -memory], together * steps + np.sqrt(1 - together**2) * own)[100:]
    x = steps[100:].cumsum()
    return 2 * x + spread, x


@pytest.mark.parametrize("n", [30, 100, 500, 1_500])
def test_dols_is_that_of_arch(n):
    y, x = shared(n, n)
    reach = dols_reach(n)
    reference = DynamicOLS(y + 5, x, trend="c", lags=reach, leads=reach).fit(kernel="bartlett", bandwidth=hac_lags(n))
    fit = dols(y + 5, x)
    assert fit.hedge_ratio == pytest.approx(reference.params.iloc[0], rel=1e-8)
    assert fit.intercept == pytest.approx(reference.params["const"], rel=1e-8)
    assert fit.stderr == pytest.approx(reference.std_errors.iloc[0], rel=1e-8)


@pytest.mark.parametrize("n", [30, 100, 500, 1_500])
def test_fmols_is_that_of_arch(n):
    y, x = shared(n, n)
    reference = FullyModifiedOLS(y + 5, x, trend="c").fit(kernel="bartlett", bandwidth=hac_lags(n))
    fit = fmols(y + 5, x)
    assert fit.hedge_ratio == pytest.approx(reference.params.iloc[0], rel=1e-8)
    assert fit.intercept == pytest.approx(reference.params["const"], rel=1e-8)
    assert fit.stderr == pytest.approx(reference.std_errors.iloc[0], rel=1e-8)


@pytest.mark.parametrize("method", [dols, fmols])
@pytest.mark.parametrize("n", [100, 500])
def test_the_interval_holds_where_x_moves_with_the_spread(method, n):
    fits = [(method(*shared(seed, n, together=0.8)), ols(*shared(seed, n, together=0.8))) for seed in range(300)]
    covered, biased = (np.mean([fit.low <= 2 <= fit.high for fit in column]) for column in zip(*fits, strict=True))
    assert 0.89 <= covered <= 0.995  # 300 runs of 93 % or more
    assert biased < covered - 0.05
    off, plain = (abs(np.mean([fit.hedge_ratio for fit in column]) - 2) for column in zip(*fits, strict=True))
    assert off < 0.5 * plain


def test_the_reach_follows_the_sample():
    assert [dols_reach(n) for n in (30, 100, 250, 500, 1_000, 2_000)] == [2, 4, 5, 5, 7, 8]


def test_a_line_has_no_ratio_by_changes():
    rng = np.random.default_rng(1)
    with pytest.raises(DegenerateSeries):
        fmols(rng.standard_normal(60), np.where(np.arange(60) % 2, 1.0, 1.0 + 1e-320))
    with pytest.raises(TooFewObservations) as caught:
        dols(rng.standard_normal(20), rng.standard_normal(20))
    assert (caught.value.have, caught.value.need) == (20, 30)
