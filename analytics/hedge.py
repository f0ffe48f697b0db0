"""Hedge ratios: how many units of x offset one unit of y."""

from dataclasses import dataclass

import numpy as np
from scipy.stats import theilslopes

from analytics.checks import pair
from utils.errors import DegenerateSeries

MIN_OBS = 10
HUBER_ROUNDS, HUBER_TOLERANCE = 100, 1e-12
MAD_NORMAL = 0.6744897501960817  # median absolute deviation of a standard normal
FLAT = 1e-12  # residuals below this share of the price are rounding
MOST_POINTS = 500  # of Theil-Sen, which looks at every pair of them
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


def huber(y: np.ndarray, x: np.ndarray, tuning: float = 1.345) -> HedgeFit:
    """Huber's M-estimate of the line: squares near it, absolute distances far from it.

    Iteratively reweighted least squares with weight min(1, tuning s / |residual|) and s = MAD / 0.6745, begun at OLS.
    At normal errors it has 95 % of the precision of OLS, and one bad price cannot drag it away.

    Parameters
    ----------
    y, x : float arrays, shape (n,), oldest first, n >= 10
    tuning : residuals beyond so many scales count by distance

    Raises
    ------
    InputError, TooFewObservations, DegenerateSeries

    References
    ----------
    P. J. Huber, Robust Statistics (1981), ch. 7; the errors are its first covariance, as in statsmodels' RLM.
    """
    y, x = pair(y, x, MIN_OBS)
    n, x_mean = y.size, float(x.mean())
    design = np.column_stack((np.ones(n), x - x_mean))
    weights = np.ones(n)
    params, scale = np.zeros(2), 0.0
    for _ in range(HUBER_ROUNDS):
        root = np.sqrt(weights)
        updated = np.linalg.lstsq(design * root[:, None], y * root, rcond=None)[0]
        residual = y - design @ updated
        scale = float(np.median(np.abs(residual))) / MAD_NORMAL
        if scale <= FLAT * np.abs(y).max():
            raise DegenerateSeries("more than half of the prices lie on one line: there is no scale of the residuals")
        moved = np.abs(updated - params).max()
        params = updated
        weights = tuning * scale / np.maximum(np.abs(residual), tuning * scale)
        if moved <= HUBER_TOLERANCE * (np.abs(params).max() + HUBER_TOLERANCE):
            break
    inside = np.abs(residual / scale) <= tuning
    share = inside.mean()
    correction = 1 + 2 / n * (1 - share) / share
    psi = np.clip(residual / scale, -tuning, tuning)
    variance = correction**2 * (psi @ psi) * scale**2 / (n - 2) / share**2
    sxx = float(design[:, 1] @ design[:, 1])
    return _independent(y, x, params[1], params[0] - params[1] * x_mean, np.sqrt(variance / sxx), variance, "huber")


def theil_sen(y: np.ndarray, x: np.ndarray) -> HedgeFit:
    """Theil-Sen: the median of the slopes between all pairs of points; up to 29 % of bad prices do not move it far.

    scipy computes slope and its 95 % interval (Sen's, from the distribution of Kendall's tau under independent
    errors); the standard error is its width / (2 * 1.96). The intercept is the median of y - slope x. Costs n^2:
    of more than MOST_POINTS observations every k-th is taken, and the interval is theirs.

    Raises
    ------
    InputError, TooFewObservations, DegenerateSeries

    References
    ----------
    P. K. Sen, Journal of the American Statistical Association 63 (1968).
    """
    y, x = pair(y, x, MIN_OBS)
    step = -(-y.size // MOST_POINTS)
    slope, _, low, high = theilslopes(y[::step], x[::step], 0.95)
    intercept = float(np.median(y - slope * x))
    residual = y - slope * x - intercept
    variance = float(residual @ residual) / (y.size - 2)
    return _independent(y, x, float(slope), intercept, (high - low) / (2 * Z_95), variance, "theil_sen")


def tls(y: np.ndarray, x: np.ndarray) -> HedgeFit:
    """Total least squares: the line nearest to the points, measured at right angles, with noise of one size in both.

        slope = (d + sign(S_xy) sqrt(d^2 + 4 S_xy^2)) / (2 S_xy),  d = S_yy - S_xx

    Unlike OLS it is the same line whichever leg is explained, but it depends on the units: legs of very different
    price levels want log prices. The standard error leaves each observation out (jackknife), for independent errors.

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
    residual = dy - slope * dx
    variance = float(residual @ residual) / (n - 2)
    return _independent(y, x, slope, float(y.mean() - slope * x.mean()), stderr, variance, "tls")


def _nearest(syy: np.ndarray | float, sxx: np.ndarray | float, sxy: np.ndarray | float) -> np.ndarray:
    """Slope of the nearest line from centred sums; by the larger of two equal forms, so that no digits cancel."""
    difference = syy - sxx
    root = np.sqrt(difference**2 + 4 * sxy**2)
    return np.where(difference >= 0, (difference + root) / (2 * sxy), 2 * sxy / (root - difference))


def _independent(
    y: np.ndarray, x: np.ndarray, slope: float, intercept: float, stderr: float, variance: float, method: str
) -> HedgeFit:
    """A fit whose errors hold for independent residuals of this variance."""
    residual, dy = y - slope * x, y - y.mean()
    residual -= residual.mean()
    return HedgeFit(
        hedge_ratio=float(slope),
        intercept=float(intercept),
        stderr=float(stderr),
        stderr_classical=float(stderr),
        intercept_stderr=float(np.sqrt(variance / y.size + (stderr * x.mean()) ** 2)),
        r_squared=float(1 - residual @ residual / (dy @ dy)),
        n_obs=y.size,
        method=method,
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
