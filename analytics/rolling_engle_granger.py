"""Engle-Granger on the newest bars, at every bar: the sums that one look shares with the next are made once.

The residual of y on x is e = y - b x - a, so every sum of its regression is a quadratic in b of sums that do not know
b. Those of neighbouring windows have most of their rows in common: a block of looks shares the rows inside all its
windows, and each look adds the rows on either side. Nothing is subtracted, so a wild bar that left leaves no
rounding behind. Where the quadratic would lose digits a look is computed from its residual.
"""

import numpy as np

from analytics.cointegrating_regression import COLLINEAR
from analytics.dickey_fuller import most_lags
from analytics.stacked_dickey_fuller import level_statistic, statistics
from utils.compiled import compiled
from utils.errors import DegenerateSeries

BLOCK = 48  # looks
AIC = 2.0  # cost of a lag


def both_directions(y: np.ndarray, x: np.ndarray, window: int) -> np.ndarray:
    """The smaller Engle-Granger statistic of the two directions in each window of n bars, shape (n - window + 1,).

    Equal to `engle_granger` with a constant and AIC lags, without its checks of the input; window >= 100.

    Raises
    ------
    DegenerateSeries
    """
    found = _rolling(np.ascontiguousarray(y), np.ascontiguousarray(x), window, most_lags(window, "n"))
    if np.isnan(found).any():
        raise DegenerateSeries("in one window a leg is constant, or the legs are the same up to scale and shift")
    return found.min(axis=0)


@compiled
def _rolling(y: np.ndarray, x: np.ndarray, window: int, most: int) -> np.ndarray:
    """Statistic of y on x and of x on y in each window, shape (2, looks); NaN where there is none."""
    looks, block = y.size - window + 1, min(BLOCK, window // 2)
    found = np.empty((2, looks))
    for start in range(0, looks, block):
        end = min(start + block, looks)
        middle = start + window // 2  # a bar of all windows: a leg that is constant in one of them becomes 0 there
        bars = slice(start, end + window - 1)
        found[:, start:end] = _block(y[bars] - y[middle], x[bars] - x[middle], window, most, block)
    return found


@compiled
def _block(y: np.ndarray, x: np.ndarray, window: int, most: int, block: int) -> np.ndarray:
    """Statistics of at most `block` looks, shape (2, looks)."""
    found, ones = np.empty((2, y.size - window + 1)), np.ones(y.size)
    of_y, yy = _window_sums(y, ones, window, block), _window_sums(y, y, window, block)
    of_x, xx = _window_sums(x, ones, window, block), _window_sums(x, x, window, block)
    xy = _window_sums(x, y, window, block)
    rows = window - 1 - most
    lagged_yy, lagged_xx = _lagged_sums(y, y, rows, most, block), _lagged_sums(x, x, rows, most, block)
    mixed = _lagged_sums(y, x, rows, most, block) + _lagged_sums(x, y, rows, most, block)
    found[0] = _direction(y, x, (yy, xy, xx, of_y, of_x), (lagged_yy, mixed, lagged_xx), window)
    found[1] = _direction(x, y, (xx, xy, yy, of_x, of_y), (lagged_xx, mixed, lagged_yy), window)
    return found


@compiled
def _window_sums(one: np.ndarray, other: np.ndarray, rows: int, block: int) -> np.ndarray:
    """Sums of one * other over `rows` rows from each start on; what a sum is does not depend on later rows."""
    starts = one.size - rows + 1
    sums = np.full(starts, np.dot(one[block - 1 : rows], other[block - 1 : rows]))
    before = after = 0.0
    for row in range(block - 2, -1, -1):
        before += one[row] * other[row]
        if row < starts:
            sums[row] += before
    for start in range(1, starts):
        after += one[rows + start - 1] * other[rows + start - 1]
        sums[start] += after
    return sums


@compiled
def _lagged_sums(one: np.ndarray, other: np.ndarray, rows: int, most: int, block: int) -> np.ndarray:
    """Sums of the change of one and that of the other 0 to `most` bars back, shape (most + 1, looks)."""
    now, then = np.diff(one), np.diff(other)
    sums = np.empty((most + 1, now.size - most - rows + 1))
    for lag in range(most + 1):
        sums[lag] = _window_sums(now[most:], then[most - lag : then.size - lag], rows, block)
    return sums


@compiled
def _direction(
    y: np.ndarray, x: np.ndarray, levels: tuple[np.ndarray, ...], lagged: tuple[np.ndarray, ...], window: int
) -> np.ndarray:
    """Statistic of y on x at each look, from the sums of squares and products of levels and changes."""
    yy, xy, xx, of_y, of_x = levels
    changes_yy, mixed, changes_xx = lagged
    own = xx - of_x * of_x / window
    slope = (xy - of_x * of_y / window) / own
    square, most = slope * slope, mixed.shape[0] - 1
    left = yy - of_y * of_y / window - square * own
    head, tail = _ends(y, x, slope, (of_y - slope * of_x) / window, most)
    products, whole = changes_yy - slope * mixed + square * changes_xx, changes_yy[0] + square * changes_xx[0]
    found, _ = statistics(left, products, head, tail, whole, window, AIC)
    for look in range(left.size):
        if np.isnan(found[look]) or not left[look] > COLLINEAR * (yy[look] + square[look] * xx[look]):
            found[look] = _from_residual(y[look : look + window], x[look : look + window], most)
    return found


@compiled
def _ends(
    y: np.ndarray, x: np.ndarray, slope: np.ndarray, intercept: np.ndarray, most: int
) -> tuple[np.ndarray, np.ndarray]:
    """Residuals of the first and of the last most + 1 bars of each look, oldest first, each (most + 1, looks)."""
    looks = slope.size
    head, tail = np.empty((most + 1, looks)), np.empty((most + 1, looks))
    for k in range(most + 1):
        first, last = slice(k, k + looks), slice(y.size - looks - most + k, y.size - most + k)
        head[k] = y[first] - slope * x[first] - intercept
        tail[k] = y[last] - slope * x[last] - intercept
    return head, tail


@compiled
def _from_residual(y: np.ndarray, x: np.ndarray, most: int) -> float:
    """Statistic of y on x in one window, of its residual; NaN where there is none."""
    dy, dx = y - y.mean(), x - x.mean()
    sxy, sxx, syy = np.dot(dx, dy), np.dot(dx, dx), np.dot(dy, dy)
    if not sxx * syy - sxy * sxy > COLLINEAR * sxx * syy:
        return np.nan
    return level_statistic(dy - sxy / sxx * dx, most, AIC)
