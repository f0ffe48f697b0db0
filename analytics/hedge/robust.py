"""Ratios that a bad price cannot drag away: Huber's M-estimate, and Theil-Sen's median of slopes."""

import math
from dataclasses import dataclass, replace

import numpy as np
from scipy.special import stdtrit
from scipy.stats import rankdata

from analytics.checks import pair
from analytics.hedge.fit import FLAT, MIN_OBS, HedgeFit, fitted
from analytics.hedge.selection import median
from analytics.hedge.serial import serial_error
from analytics.hedge.slopes import Slopes
from analytics.normal import MAD_NORMAL, Z_95
from utils.compiled import compiled
from utils.errors import DegenerateSeries, InputError

TUNING = 1.345
NEWTON_ROUNDS, ALL_ROUNDS = 25, 200
SETTLED = 1e-12  # a step of less than this many scales of the residual ends the iteration


def huber(y: np.ndarray, x: np.ndarray, tuning: float = TUNING) -> HedgeFit:
    """Huber's M-estimate of the line: squares near it, absolute distances far from it.

    sum(psi) = sum(x psi) = 0 for psi = clip(residual, -+ tuning s), s = median |residual| / 0.6745, begun at OLS: by
    Newton's steps, and by reweighting where they do not settle. At normal errors it has 95 % of the precision of OLS.
    `stderr` is for independent errors; the interval takes psi as the errors, with their memory.

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
    if not tuning > 0:
        raise InputError(f"tuning must be > 0, was {tuning:g}", "tuning")
    y_mean, x_mean = float(y.mean()), float(x.mean())
    dy, dx = y - y_mean, x - x_mean
    slope, level, scale = huber_line(dy, dx, tuning, FLAT * float(np.abs(y).max()))
    if math.isnan(scale):
        raise DegenerateSeries("more than half of the prices lie on one line: there is no scale of the residuals")
    residual = dy - level - slope * dx
    psi = np.clip(residual, -tuning * scale, tuning * scale)
    share = float((np.abs(residual) <= tuning * scale).mean())
    sxx = float(dx @ dx)
    stderr = huber_stderr(float(psi @ psi), share, y.size, sxx)
    return fitted(y, x, slope, y_mean + level - slope * x_mean, stderr, dx / sxx, (psi - psi.mean()) / share, "huber")


@compiled
def huber_line(dy: np.ndarray, dx: np.ndarray, tuning: float, floor: float) -> tuple[float, float, float]:
    """Slope, level and scale of Huber's line through legs less their means; NaN where the scale is below `floor`."""
    n = dx.size
    sxx, sxy = 0.0, 0.0
    for i in range(n):
        sxx += dx[i] * dx[i]
        sxy += dx[i] * dy[i]
    slope, level, wide, step = sxy / sxx, 0.0, math.sqrt(sxx / n), np.inf
    size = np.empty(n)
    for round_ in range(ALL_ROUNDS):
        for i in range(n):  # anew each round: the median reorders it
            size[i] = abs(dy[i] - level - slope * dx[i])
        scale = median(size) / MAD_NORMAL
        if scale <= floor:
            return np.nan, np.nan, np.nan
        if step <= SETTLED * scale:
            return slope, level, scale
        limit = tuning * scale
        w, wx, wxx, g, gx = 0.0, 0.0, 0.0, 0.0, 0.0
        for i in range(n):
            rest = dy[i] - level - slope * dx[i]
            psi = min(max(rest, -limit), limit)
            weight = 1.0 if abs(rest) <= limit else 0.0  # Newton: far points keep their pull and lose their weight
            if weight == 0.0 and round_ >= NEWTON_ROUNDS:  # reweighting, slower and sure: they keep some
                weight = limit / abs(rest)
            w += weight
            wx += weight * dx[i]
            wxx += weight * dx[i] * dx[i]
            g += psi
            gx += psi * dx[i]
        determinant = w * wxx - wx * wx
        if determinant <= 1e-12 * w * wxx:
            w, wx, wxx, determinant = float(n), 0.0, sxx, n * sxx
        by_slope, by_level = (w * gx - wx * g) / determinant, (wxx * g - wx * gx) / determinant
        slope += by_slope
        level += by_level
        step = abs(by_slope) * wide + abs(by_level)
    return slope, level, scale


@compiled
def huber_stderr(psi_squares: float, share: float, n: int, sxx: float) -> float:
    """Standard error of the slope from the sum of psi^2 and the share of residuals inside; independent errors."""
    correction = 1 + 2 / n * (1 - share) / share
    return correction * math.sqrt(psi_squares / (n - 2) / sxx) / share


@dataclass(frozen=True, slots=True)
class MedianSlope:
    """The median of the slopes between all pairs of points, with Sen's interval for independent errors."""

    slope: float
    low: float
    high: float


def median_slope(y: np.ndarray, x: np.ndarray) -> MedianSlope:
    """Median slope and Sen's 95 % interval, exact at any n; scipy's theilslopes where its n^2 memory suffices.

    The interval's ends are the slopes with ranks (N -+ 1.96 sigma) / 2, N the number of slopes and sigma^2 the
    variance of Kendall's count under independence, less its ties; infinite where there are not so many slopes.

    Raises
    ------
    InputError, TooFewObservations, DegenerateSeries
    """
    y, x = pair(y, x, MIN_OBS)
    return _median_slope(Slopes.of(y, x), kendall_variance(y, x))


def _median_slope(slopes: Slopes, variance: float) -> MedianSlope:
    low, high = _interval(slopes, Z_95, variance)
    one, other = slopes.at([(slopes.count - 1) // 2, slopes.count // 2])
    return MedianSlope((one + other) / 2, low, high)


def _interval(slopes: Slopes, quantile: float, variance: float) -> tuple[float, float]:
    """Slopes `quantile` deviations of Kendall's count apart around the median, by scipy's rounding.

    All slopes where there are not so many, or so many ties that the variance, with all of them taken off, is gone.
    """
    reach = quantile * math.sqrt(max(variance, 0.0))
    if variance <= 0 or reach > slopes.count - 2:
        return -math.inf, math.inf
    low, high = slopes.at([round((slopes.count - reach) / 2) - 1, round((slopes.count + reach) / 2)])
    return low, high


def kendall_variance(y: np.ndarray, x: np.ndarray) -> float:
    """Variance of concordant less discordant pairs under independence, each leg's ties taken off, as Sen has it."""
    n = y.size
    return (n * (n - 1) * (2 * n + 5) - _tied(y) - _tied(x)) / 18


def _tied(values: np.ndarray) -> int:
    _, repeats = np.unique(values, return_counts=True)
    return int((repeats * (repeats - 1) * (2 * repeats + 5)).sum())


def theil_sen(y: np.ndarray, x: np.ndarray) -> HedgeFit:
    """Theil-Sen: the median of the slopes between all pairs of points; up to 29 % of bad prices do not move it far.

    Exact at any n. The standard error is the width of Sen's interval, which is for independent errors, over
    2 * 1.96. The interval shown multiplies the variance of Kendall's count by what the memory of the ranked residuals
    adds to it, and takes the slopes at those ranks. The intercept is the median of y - slope x.

    Raises
    ------
    InputError, TooFewObservations, DegenerateSeries

    References
    ----------
    P. K. Sen, Journal of the American Statistical Association 63 (1968); for the variance under memory, K. H. Hamed
    and A. R. Rao, Journal of Hydrology 204 (1998).
    """
    y, x = pair(y, x, MIN_OBS)
    slopes, variance = Slopes.of(y, x), kendall_variance(y, x)
    plain = _median_slope(slopes, variance)
    intercept = float(np.median(y - plain.slope * x))
    ranks_x, ranks_u = rankdata(x), rankdata(y - plain.slope * x)
    weights, errors = ranks_x - ranks_x.mean(), ranks_u - ranks_u.mean()
    independent = float(weights @ weights) * float(errors @ errors) / (y.size - 1)
    inflation = max(1.0, serial_error(weights, errors).std ** 2 / independent) if independent > 0 else 1.0
    low, high = _interval(slopes, float(stdtrit(y.size - 2, 0.975)), inflation * variance)
    stderr = (plain.high - plain.low) / (2 * Z_95)
    fit = fitted(y, x, plain.slope, intercept, stderr, weights, errors, "theil_sen")
    return replace(fit, low=min(low, plain.low), high=max(high, plain.high))
