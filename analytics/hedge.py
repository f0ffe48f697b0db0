"""Hedge ratios: how many units of x offset one unit of y."""

from dataclasses import dataclass

import numpy as np

from analytics.checks import pair

MIN_OBS = 10
Z_95 = 1.959963984540054  # standard normal quantile of a 95 % interval


@dataclass(frozen=True, slots=True)
class HedgeFit:
    """A fitted line y = intercept + hedge_ratio x, with its uncertainty."""

    hedge_ratio: float
    intercept: float  # price units of y
    stderr: float  # of the hedge ratio, robust to autocorrelation and changing variance (HAC)
    stderr_classical: float  # of the hedge ratio, for independent errors of one variance
    intercept_stderr: float  # HAC
    r_squared: float
    n_obs: int
    method: str

    @property
    def low(self) -> float:
        """Lower end of the 95 % interval of the hedge ratio."""
        return self.hedge_ratio - Z_95 * self.stderr

    @property
    def high(self) -> float:
        """Upper end of the 95 % interval of the hedge ratio."""
        return self.hedge_ratio + Z_95 * self.stderr


def ols(y: np.ndarray, x: np.ndarray) -> HedgeFit:
    """Ordinary least squares of y on x with a constant.

    hedge_ratio = S_xy / S_xx. Standard errors are Newey-West with the Bartlett kernel and
    floor(4 (n/100)^(2/9)) lags, without a small-sample factor. On integrated prices that are not cointegrated
    they understate: the slope itself is then spurious.

    Parameters
    ----------
    y, x : float arrays, shape (n,), oldest first, n >= 10

    Raises
    ------
    InputError, TooFewObservations, DegenerateSeries

    References
    ----------
    W. K. Newey and K. D. West, Econometrica 55 (1987).
    """
    y, x = pair(y, x, MIN_OBS)
    n = y.size
    y_mean, x_mean = float(y.mean()), float(x.mean())
    dy, dx = y - y_mean, x - x_mean
    sxx, syy = float(dx @ dx), float(dy @ dy)
    slope = float(dx @ dy) / sxx
    residual = dy - slope * dx
    rss = float(residual @ residual)
    # (X'X)^-1 and the meat in centred coordinates: intercept at x_mean, slope. The two decouple.
    scores = np.column_stack((residual, dx * residual))
    meat = _bartlett(scores, hac_lags(n))
    bread = np.diag((1 / n, 1 / sxx))
    covariance = bread @ meat @ bread
    to_origin = np.array([1.0, -x_mean])
    return HedgeFit(
        hedge_ratio=slope,
        intercept=y_mean - slope * x_mean,
        stderr=float(np.sqrt(covariance[1, 1])),
        stderr_classical=float(np.sqrt(rss / (n - 2) / sxx)),
        intercept_stderr=float(np.sqrt(to_origin @ covariance @ to_origin)),
        r_squared=1 - rss / syy,
        n_obs=n,
        method="ols",
    )


def hac_lags(n: int) -> int:
    """Lags of the Newey-West covariance: floor(4 (n/100)^(2/9))."""
    return int(4 * (n / 100) ** (2 / 9))


def _bartlett(scores: np.ndarray, lags: int) -> np.ndarray:
    """Long-run sum of outer products of the scores, shape (n, k) -> (k, k), Bartlett weights."""
    total = scores.T @ scores
    for lag in range(1, lags + 1):
        cross = scores[lag:].T @ scores[:-lag]
        total = total + (1 - lag / (lags + 1)) * (cross + cross.T)
    return total
