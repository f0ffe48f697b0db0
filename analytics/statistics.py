"""Rolling statistics of one and two series, summed inside their windows.

Sums of raw prices near 1e5 that move by 0.01 leave no digits, and sums that bars enter and leave keep the rounding of
what has left. Here nothing is ever taken out: the series is cut into blocks of `window` bars, every window is the end
of one block and the beginning of the next, and its sums are those of the two pieces, each counted from the first value
of the newer block. That value lies inside the window, so the sums stay as small as the window's own moves. A value
therefore rests on its window alone: nothing looks ahead, and a bad price or NaN is forgotten with its window.
"""

from dataclasses import dataclass

import numpy as np

from utils.compiled import compiled
from utils.errors import InputError

FLAT_SHARE = 1e-12  # a centred sum of squares below this share of its uncentred one is rounding, not variation
ROUNDING = 4 * float(np.finfo(float).eps)  # of a price, relative: what moves less has no digits
SUM_Y, SUM_X, SUM_XX, SUM_XY, SUM_YY = range(5)


@dataclass(frozen=True, slots=True, eq=False)
class RollingFit:
    """Least squares of y on x with a constant over each window; NaN until the first window is full.

    Also NaN where x does not vary in the window (no slope), and spread_std, zscore and stderr where the residual does
    not, and correlation where y does not.
    """

    hedge_ratio: np.ndarray  # slope
    intercept: np.ndarray  # mean of y - slope * x over the window
    spread_std: np.ndarray  # standard deviation (ddof 1) of y - slope * x over the window
    zscore: np.ndarray  # (y - slope * x - intercept) / spread_std at the window's last bar
    stderr: np.ndarray  # of the slope, for independent residuals of one variance: too small on wandering spreads
    correlation: np.ndarray  # Pearson's, of y and x themselves: levels that wander look alike; within -1..1


@dataclass(frozen=True, slots=True)
class LastFit:
    """The newest window of `RollingFit` alone."""

    hedge_ratio: float
    intercept: float
    spread_std: float
    zscore: float
    stderr: float
    correlation: float


def rolling_fit(y: np.ndarray, x: np.ndarray, window: int) -> RollingFit:
    """Slope, intercept, residual spread, z-score and the slope's error of y on x over each window, causally.

    slope = S_xy / S_xx, spread = y - slope x, z = (spread - mean(spread)) / std(spread), all over one window, so
    that z is the z-score of the spread that the bar's own slope makes; stderr = sqrt(S_ee / ((window - 2) S_xx)).

    Parameters
    ----------
    y, x : float arrays, shape (n,), oldest first; windows that hold a value that is not finite are NaN
    window : bars, >= 3

    Raises
    ------
    InputError
    """
    y, x = _pair(y, x)
    _check_window(window, 3)
    return RollingFit(*_fits(_plain(y), _plain(x), int(window)))


def last_fit(y: np.ndarray, x: np.ndarray, window: int) -> LastFit:
    """The newest window of `rolling_fit`; costs the window, whatever the history.

    Raises
    ------
    InputError
        Also where there are fewer than `window` bars.
    """
    y, x = _pair(y, x)
    _check_window(window, 3)
    if y.size < window:
        raise InputError(f"window must be <= {y.size} bars, was {window}", "window")
    newest = _fits(_plain(y[-window:]), _plain(x[-window:]), int(window))[:, -1]
    return LastFit(*newest.tolist())


def rolling_beta(y: np.ndarray, x: np.ndarray, window: int) -> np.ndarray:
    """Slope of y on x with a constant over each window, shape (n,), NaN until the first is full.

    Raises
    ------
    InputError
    """
    return rolling_fit(y, x, window).hedge_ratio


def rolling_correlation(y: np.ndarray, x: np.ndarray, window: int) -> np.ndarray:
    """Pearson correlation over each window, shape (n,), within -1..1; NaN until full or where a series is flat.

    Raises
    ------
    InputError
    """
    y, x = _pair(y, x)
    _check_window(window, 2)
    return _correlations(_plain(y), _plain(x), int(window))


def rolling_mean_std(values: np.ndarray, window: int) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation (ddof 1) over each window, shape (n,) each; NaN until the first is full.

    A series that does not vary has a standard deviation of 0, never of its rounding.

    Raises
    ------
    InputError
    """
    values, _ = _pair(values, values)
    _check_window(window, 2)
    mean, std = _moments(_plain(values), int(window))
    return mean, std


@compiled
def _add_up(y: np.ndarray, x: np.ndarray, window: int, start: int, older: np.ndarray, sums: np.ndarray) -> int:
    """Sums of the windows that end in the block that begins at `start`; its number of bars.

    `sums` has the rows named above and a column a bar: distances from the level, which is the block's first value.
    `older`, one row longer than a block, holds the sums over the last bars of the block before; its first and last
    row stay 0.
    """
    level_y, level_x = y[start], x[start]
    sy = sx = sxx = sxy = syy = 0.0
    for k in range(window - 1 if start > 0 else 0, 0, -1):
        dy, dx = y[start - window + k] - level_y, x[start - window + k] - level_x
        sy, sx, sxx, sxy, syy = sy + dy, sx + dx, sxx + dx * dx, sxy + dx * dy, syy + dy * dy
        older[k, SUM_Y], older[k, SUM_X] = sy, sx
        older[k, SUM_XX], older[k, SUM_XY], older[k, SUM_YY] = sxx, sxy, syy
    sy = sx = sxx = sxy = syy = 0.0
    size = min(window, y.size - start)
    for k in range(size):
        dy, dx = y[start + k] - level_y, x[start + k] - level_x
        sy, sx, sxx, sxy, syy = sy + dy, sx + dx, sxx + dx * dx, sxy + dx * dy, syy + dy * dy
        sums[SUM_Y, k], sums[SUM_X, k] = sy + older[k + 1, SUM_Y], sx + older[k + 1, SUM_X]
        sums[SUM_XX, k], sums[SUM_XY, k] = sxx + older[k + 1, SUM_XX], sxy + older[k + 1, SUM_XY]
        sums[SUM_YY, k] = syy + older[k + 1, SUM_YY]
    return size


@compiled
def _varies(moment: float, raw: float, level: float, window: int) -> bool:
    """Whether a centred sum of squares is more than the rounding of its sums and of prices at this level."""
    rounding = ROUNDING * level
    return moment > FLAT_SHARE * raw and moment > window * rounding * rounding


@compiled
def _fits(y: np.ndarray, x: np.ndarray, window: int) -> np.ndarray:
    """Slope, intercept, residual std, z, slope error and correlation, shape (6, n)."""
    fits = np.full((6, y.size), np.nan)
    older, sums = np.zeros((window + 1, 5)), np.empty((5, window))
    for start in range(0, y.size, window):
        size = _add_up(y, x, window, start, older, sums)
        for k in range(0 if start > 0 else window - 1, size):
            at = start + k
            mean_y, mean_x = sums[SUM_Y, k] / window, sums[SUM_X, k] / window
            sxx = sums[SUM_XX, k] - sums[SUM_X, k] * mean_x
            sxy = sums[SUM_XY, k] - sums[SUM_X, k] * mean_y
            if not (_varies(sxx, sums[SUM_XX, k], x[start], window) and np.isfinite(sxy)):
                continue
            slope = sxy / sxx
            fits[0, at] = slope
            fits[1, at] = mean_y + y[start] - slope * (mean_x + x[start])
            syy = sums[SUM_YY, k] - sums[SUM_Y, k] * mean_y
            if _varies(syy, sums[SUM_YY, k], y[start], window):
                fits[5, at] = min(1.0, max(-1.0, sxy / (np.sqrt(sxx) * np.sqrt(syy))))
            rest = syy - slope * sxy
            if _varies(rest, sums[SUM_YY, k], y[start], window):
                std = np.sqrt(rest / (window - 1))
                fits[2, at] = std
                # Never y - a - b x: the intercept carries the price level and takes the digits with it.
                fits[3, at] = (y[at] - y[start] - mean_y - slope * (x[at] - x[start] - mean_x)) / std
                fits[4, at] = np.sqrt(rest / ((window - 2) * sxx))
    return fits


@compiled
def _correlations(y: np.ndarray, x: np.ndarray, window: int) -> np.ndarray:
    """Correlation of every window, shape (n,)."""
    found = np.full(y.size, np.nan)
    older, sums = np.zeros((window + 1, 5)), np.empty((5, window))
    for start in range(0, y.size, window):
        size = _add_up(y, x, window, start, older, sums)
        for k in range(0 if start > 0 else window - 1, size):
            mean_y, mean_x = sums[SUM_Y, k] / window, sums[SUM_X, k] / window
            sxx = sums[SUM_XX, k] - sums[SUM_X, k] * mean_x
            syy = sums[SUM_YY, k] - sums[SUM_Y, k] * mean_y
            both = _varies(sxx, sums[SUM_XX, k], x[start], window) and _varies(syy, sums[SUM_YY, k], y[start], window)
            if both:
                sxy = sums[SUM_XY, k] - sums[SUM_X, k] * mean_y
                found[start + k] = min(1.0, max(-1.0, sxy / (np.sqrt(sxx) * np.sqrt(syy))))
    return found


@compiled
def _moments(values: np.ndarray, window: int) -> np.ndarray:
    """Mean and standard deviation, shape (2, n)."""
    found = np.full((2, values.size), np.nan)
    older, sums = np.zeros((window + 1, 5)), np.empty((5, window))
    for start in range(0, values.size, window):
        size = _add_up(values, values, window, start, older, sums)
        for k in range(0 if start > 0 else window - 1, size):
            mean = sums[SUM_Y, k] / window
            moment = sums[SUM_YY, k] - sums[SUM_Y, k] * mean
            if np.isfinite(moment):
                found[0, start + k] = mean + values[start]
                flat = not _varies(moment, sums[SUM_YY, k], values[start], window)
                found[1, start + k] = 0.0 if flat else np.sqrt(moment / (window - 1))
    return found


def _pair(y: object, x: object) -> tuple[np.ndarray, np.ndarray]:
    y, x = np.asarray(y, np.float64), np.asarray(x, np.float64)
    if y.shape != x.shape or y.ndim != 1:
        raise InputError(f"y and x must be one-dimensional and of one length, were {y.shape} and {x.shape}")
    return y, x


def _plain(values: np.ndarray) -> np.ndarray:
    """Contiguous and writable: the one kind of array that the kernels are compiled for."""
    return np.require(values, None, ["C", "W"])


def _check_window(window: int, least: int) -> None:
    if window < least:
        raise InputError(f"window must be >= {least}, was {window}", "window")
