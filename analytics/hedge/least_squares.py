"""Least squares: vertical distances (OLS), and distances at right angles (total least squares)."""

import numpy as np

from analytics.checks import pair
from analytics.hedge.fit import FLAT, MIN_OBS, HedgeFit, fitted
from utils.errors import DegenerateSeries


def ols(y: np.ndarray, x: np.ndarray) -> HedgeFit:
    """Ordinary least squares of y on x with a constant.

    hedge_ratio = S_xy / S_xx. `stderr` is Newey-West with the Bartlett kernel and floor(4 (n/100)^(2/9)) lags, without
    a small-sample factor: what other tools print, and too small where the spread takes its time. The interval low to
    high is the wider of it and of errors that follow an autoregression (`serial_error`). On prices that are not
    cointegrated the slope is spurious, whatever its errors; and where x moves with the errors it is biased: see `dols`.

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
    sxx = float(dx @ dx)
    slope = float(dx @ dy) / sxx
    residual = dy - slope * dx
    # (X'X)^-1 and the meat in centred coordinates: intercept at x_mean, slope. The two decouple.
    meat = bartlett(np.column_stack((residual, dx * residual)), hac_lags(n))
    bread = np.diag((1 / n, 1 / sxx))
    covariance = bread @ meat @ bread
    to_origin = np.array([1.0, -x_mean])
    return fitted(
        y,
        x,
        slope,
        y_mean - slope * x_mean,
        float(np.sqrt(covariance[1, 1])),
        dx / sxx,
        residual,
        "ols",
        classical=float(np.sqrt(residual @ residual / (n - 2) / sxx)),
        intercept_stderr=float(np.sqrt(to_origin @ covariance @ to_origin)),
    )


def tls(y: np.ndarray, x: np.ndarray) -> HedgeFit:
    """Total least squares: the line nearest to the points, measured at right angles, with noise of one size in both.

        slope = (d + sign(S_xy) sqrt(d^2 + 4 S_xy^2)) / (2 S_xy),  d = S_yy - S_xx

    Unlike OLS it is the same line whichever leg is explained, but it depends on the units: legs of very different
    price levels want log prices. The standard error leaves each observation out (jackknife), for independent errors;
    the interval allows for errors that remember.

    Raises
    ------
    InputError, TooFewObservations, DegenerateSeries

    References
    ----------
    G. H. Golub and C. F. Van Loan, SIAM Journal on Numerical Analysis 17 (1980).
    """
    y, x = pair(y, x, MIN_OBS)
    n = y.size
    dy, dx = y - y.mean(), x - x.mean()
    syy, sxx, sxy = float(dy @ dy), float(dx @ dx), float(dx @ dy)
    if abs(sxy) <= FLAT * np.sqrt(sxx * syy):
        raise DegenerateSeries("the legs are uncorrelated: the nearest line has no direction")
    slope = float(_nearest(syy, sxx, sxy))
    shrink = n / (n - 1)  # centred sums without one observation
    without = _nearest(syy - shrink * dy**2, sxx - shrink * dx**2, sxy - shrink * dx * dy)
    stderr = float(np.sqrt((n - 1) / n * np.sum((without - without.mean()) ** 2)))
    # sum((dx + slope dy) (dy - slope dx)) = 0 defines the slope; its derivative is minus the denominator here.
    weights = (dx + slope * dy) / (sxx - syy + 2 * slope * sxy)
    return fitted(y, x, slope, float(y.mean() - slope * x.mean()), stderr, weights, dy - slope * dx, "tls")


def _nearest(syy: np.ndarray | float, sxx: np.ndarray | float, sxy: np.ndarray | float) -> np.ndarray:
    """Slope of the nearest line from centred sums; by the larger of two equal forms, so that no digits cancel."""
    difference = syy - sxx
    root = np.sqrt(difference**2 + 4 * sxy**2)
    with np.errstate(divide="ignore", invalid="ignore"):  # of the form that is not taken
        return np.where(difference >= 0, (difference + root) / (2 * sxy), 2 * sxy / (root - difference))


def hac_lags(n: int) -> int:
    """Lags of the Newey-West covariance: floor(4 (n/100)^(2/9))."""
    return int(4 * (n / 100) ** (2 / 9))


def bartlett(scores: np.ndarray, lags: int) -> np.ndarray:
    """Long-run sum of outer products of the scores, shape (n, k) -> (k, k), Bartlett weights."""
    total = scores.T @ scores
    for lag in range(1, lags + 1):
        cross = scores[lag:].T @ scores[:-lag]
        total = total + (1 - lag / (lags + 1)) * (cross + cross.T)
    return total
