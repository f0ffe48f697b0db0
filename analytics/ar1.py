"""The distribution of an estimated first-order autocorrelation, and what it says of the true one.

The least-squares slope of s[t] on s[t-1] with a constant is too small: by some (1 + 3 phi) / n where n is large, by far
more near phi = 1, and more again where s is the residual of a fitted hedge ratio, which is fitted so as to revert. No
closed form holds over the range that matters, so the distribution was simulated, and inverted as D. W. K. Andrews
(Econometrica 61, 1993) does: an end of the interval is the phi under which the estimate would be a rare one.

With n transitions and c = 1 + n (1 - phi), the 2.5 %, 50 % and 97.5 % quantiles of
n (estimate - phi) / sqrt(n (1 - phi^2) + 1) are those of a normal deviate plus a polynomial in c^(-1/2) and c / n,
whose COEFFICIENTS come from 60,000 Gaussian paths at each of 12 lengths from 19 to 4,999 transitions and 10 to 30 phi
from -0.5 to 1. The polynomial misses the simulated quantiles by 0.01 to 0.05 as a rule; at most by 0.19, at phi = 1
where the lower one is -17 (plain) or -24 (fitted). `python -m tests.calibrate.ar1_surface` makes them anew.
"""

from functools import lru_cache

import numpy as np
from scipy.special import ndtri

from utils.compiled import compiled
from utils.errors import InputError

LEVELS = (0.025, 0.5, 0.975)
LEAST_PHI = -0.5  # nothing below is told apart: such a spread turns round within a bar
NODES = 128  # of phi at which the quantiles are computed for one inversion
POWERS = [(i, j) for i in range(1, 5) for j in range(3)]  # of c^(-1/2) and of c / n

# [fitted regressors][term][level]
COEFFICIENTS = np.array(
    (
        (
            (-3.838, -1.766, -4.700),
            (-0.877, -0.230, 1.189),
            (3.702, 1.061, 2.525),
            (-15.493, -2.664, 5.155),
            (43.282, 7.968, -1.859),
            (-25.760, -6.799, -1.395),
            (15.449, 2.001, -1.749),
            (-49.403, -11.012, 2.259),
            (54.558, 20.179, -36.400),
            (-11.001, -1.912, -0.242),
            (80.321, 11.229, 2.075),
            (-149.064, -40.748, 56.745),
        ),
        (
            (-4.380, -2.701, -5.748),
            (-1.704, -1.051, 0.253),
            (5.542, 1.787, 3.321),
            (-28.205, -7.266, 5.826),
            (48.223, 17.364, 6.380),
            (-58.255, -12.443, -8.050),
            (27.719, 6.973, -2.633),
            (1.931, -23.407, -15.345),
            (294.923, 42.523, -18.401),
            (-17.036, -4.940, -0.070),
            (111.008, 29.959, 11.366),
            (-831.457, -92.366, 35.427),
        ),
    )
)


def phi_interval(slope: float, n: int, fitted: int = 0, widening: float = 1.0) -> tuple[float, float, float]:
    """Lower end, median-unbiased estimate and upper end (95 %) of phi, each within -0.5 and 1.

    With fitted = 1 the lower end is that of a given series. How much a fitted hedge ratio takes away depends on how
    the steps of the spread and of x go together: most where they are independent, which the table has, and less the
    more they are correlated. That correlation is not known, so each end is the farther one; at 0.9 the interval still
    covers 90 to 95 %, at 0.7 and below 94 to 97 %.

    Parameters
    ----------
    slope : least-squares slope of s[t] on s[t-1] with a constant
    n : transitions, one fewer than bars
    fitted : 0 for a given series, 1 for the residual of a regression on one integrated series and a constant
    widening : >= 1, how many times as uncertain the slope is as under steps of one variance; `regression` measures it

    Raises
    ------
    InputError
    """
    low, phi, high = phi_intervals(np.array([slope]), n, fitted, np.array([widening]))[:, 0].tolist()
    return low, phi, high


def phi_intervals(slopes: np.ndarray, n: int, fitted: int, widenings: np.ndarray) -> np.ndarray:
    """`phi_interval` of many series of one length, shape (3, series).

    Raises
    ------
    InputError
    """
    if fitted not in (0, 1):
        raise InputError(f"fitted must be 0 or 1, was {fitted}", "fitted")
    phis, (rare_low, middle, _) = _curves(n, fitted)
    _, (_, given, rare_high) = _curves(n, 0)
    return _inverted(slopes, widenings, phis, given, rare_high, middle, rare_low)


@compiled
def _inverted(
    slopes: np.ndarray,
    widenings: np.ndarray,
    phis: np.ndarray,
    given: np.ndarray,
    rare_high: np.ndarray,
    middle: np.ndarray,
    rare_low: np.ndarray,
) -> np.ndarray:
    """Phi at which each slope lies on the lower end's curve, the median's and the upper end's, shape (3, series)."""
    found = np.empty((3, slopes.size))
    for i in range(slopes.size):
        # Much widened, a curve may turn: each end is then the farthest phi that the slope does not exclude.
        lower = given + widenings[i] * (rare_high - given)
        upper = middle + widenings[i] * (rare_low - middle)
        for k in range(1, phis.size):
            lower[k] = max(lower[k], lower[k - 1])
            upper[-1 - k] = min(upper[-1 - k], upper[-k])
        found[0, i] = np.interp(slopes[i], lower, phis)
        found[1, i] = np.interp(slopes[i], middle, phis)
        found[2, i] = np.interp(slopes[i], upper, phis)
    return found


@compiled
def regression(values: np.ndarray) -> tuple[float, float, float]:
    """Slope of s[t] on s[t-1] with a constant, its standard error, and how many times too small that is, at least 1.

    The last is White's standard error over the classical one. All NaN where only the last value differs.
    """
    n = values.size - 1
    level, change = values[:-1] - np.dot(values[:-1], np.ones(n)) / n, np.diff(values)
    change -= (values[-1] - values[0]) / n
    squares = np.dot(level, level)
    if squares == 0:
        return np.nan, np.nan, np.nan
    slope = np.dot(level, change) / squares
    residual = change - slope * level
    left = np.dot(residual, residual)
    classical = squares * left
    white = n * np.dot(level * level, residual * residual)
    widening = max(1.0, np.sqrt(white / classical)) if classical > 0 else 1.0
    return 1 + slope, np.sqrt(left / (n - 2) / squares), widening


def median_curve(n: int, fitted: int) -> tuple[np.ndarray, np.ndarray]:
    """Phi and the median of its estimate over n transitions, both ascending: read backwards, median-unbiased."""
    phis, curves = _curves(n, fitted)
    return phis, curves[1]


def quantiles(phis: np.ndarray, n: int, fitted: int) -> np.ndarray:
    """Quantiles of the estimate at each phi, shape (phis, levels)."""
    deviations = normal_quantiles() + terms(distance(phis, n), n) @ COEFFICIENTS[fitted]
    return phis[:, None] + deviations * (scale(phis, n) / n)[:, None]


def terms(distances: np.ndarray, n: int) -> np.ndarray:
    """What the quantiles are linear in, shape (phis, terms)."""
    near, share = distances**-0.5, distances / n
    return np.column_stack([near**i * share**j for i, j in POWERS])


def distance(phi: np.ndarray, n: int) -> np.ndarray:
    """c = 1 + n (1 - phi): how far from a random walk, as seen over n bars."""
    return 1 + n * (1 - phi)


def scale(phi: np.ndarray, n: int) -> np.ndarray:
    """About the standard deviation of n times the estimate."""
    return np.sqrt(n * (1 - phi * phi) + 1)


def deviation(estimates: np.ndarray, phi: np.ndarray, n: int) -> np.ndarray:
    """The error of an estimate in units of that scale."""
    return n * (estimates - phi) / scale(phi, n)


def normal_quantiles() -> np.ndarray:
    """LEVELS of a standard normal, which the deviation becomes far from a random walk."""
    return ndtri(np.array(LEVELS))


@lru_cache(maxsize=64)  # a page asks for the same number of bars again and again
def _curves(n: int, fitted: int) -> tuple[np.ndarray, np.ndarray]:
    """Phi, ascending, and the quantiles of its estimate, ascending with it, shape (levels, phis)."""
    phis = _nodes(n)
    return phis, np.ascontiguousarray(quantiles(phis, n, fitted).T)


def _nodes(n: int) -> np.ndarray:
    """Phi in ascending order, dense near 1: even in the logarithm of the distance."""
    distances = np.geomspace(1 + n * (1 - LEAST_PHI), 1, NODES)
    return 1 - (distances - 1) / n
