"""Engle-Granger on the newest bars, at every bar: the sums that one look shares with the next are made once.

The residual of y on x is e = y - b x - a, so every sum of its regression is a quadratic in b of sums that do not know
b. Those of neighbouring windows have most of their rows in common: a block of looks shares the rows inside all its
windows, and each look adds the rows on either side. Nothing is subtracted, so a wild bar that left leaves no
rounding behind. Where the quadratic would lose digits a look is computed from its residual.
"""

import math

import numpy as np

from analytics.cointegrating_regression import COLLINEAR
from utils.compiled import compiled
from utils.errors import DegenerateSeries

BLOCK = 48  # looks
KEPT = 3e-6  # share of the squared changes of the legs that must be left unexplained for digits of 1e-8


def both_directions(y: np.ndarray, x: np.ndarray, window: int) -> np.ndarray:
    """The smaller Engle-Granger statistic of the two directions in each window of n bars, shape (n - window + 1,).

    Equal to `engle_granger` with a constant and AIC lags, without its checks of the input; window >= 100.

    Raises
    ------
    DegenerateSeries
    """
    most = min(math.ceil(12 * (window / 100) ** 0.25), window // 2 - 1)
    found = _rolling(np.ascontiguousarray(y), np.ascontiguousarray(x), window, most)
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
    moments = _moments(left, changes_yy - slope * mixed + square * changes_xx, head, tail)
    along = _factors(moments)[-1]
    sound = left > COLLINEAR * (yy + square * xx)
    sound &= along[-1] ** 2 > KEPT * (changes_yy[0] + square * changes_xx[0])
    found = np.full(left.size, np.nan)
    for look in range(left.size):
        if sound[look]:
            found[look] = _look(moments[:, :, look], along[:-1, look], head[:, look], window)
        if np.isnan(found[look]):
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
def _moments(left: np.ndarray, products: np.ndarray, head: np.ndarray, tail: np.ndarray) -> np.ndarray:
    """Sums of products of the previous level, the changes 1 to `most` bars back and the change, lower half.

    Over the rows that `most` lags leave, shape (most + 2, most + 2, looks). The changes i + 1 and j + 1 bars back have
    the products of those i and j bars back but for one row at either end, and
    2 sum e_t (e_t+1 - e_t) = e_end^2 - e_begin^2 - sum (e_t+1 - e_t)^2.
    """
    most, looks = head.shape[0] - 1, left.size
    moments = np.empty((most + 2, most + 2, looks))
    early, late = head[1:] - head[:-1], tail[1:] - tail[:-1]
    moments[0, 0] = left - (head[:most] ** 2).sum(axis=0) - tail[most] ** 2
    with_level = (tail[most] ** 2 - head[most] ** 2 - products[0]) / 2
    moments[-1, 0] = with_level
    for k in range(most):
        with_level = with_level + products[k] + head[most] * early[most - 1 - k] - tail[most] * late[most - 1 - k]
        moments[k + 1, 0] = with_level
    for lag in range(most + 1):
        moments[-1, lag if lag else -1] = total = products[lag].copy()
        for k in range(most - lag):
            _add_product(total, early[most - 1 - k], early[most - 1 - k - lag], 1.0)
            _add_product(total, late[most - 1 - k], late[most - 1 - k - lag], -1.0)
            moments[k + lag + 1, k + 1] = total
    return moments


@compiled
def _factors(moments: np.ndarray) -> np.ndarray:
    """Cholesky factor of each look, looks side by side; NaN where there is none."""
    factor = np.empty_like(moments)
    inverse = np.empty(moments.shape[1:])
    for i in range(moments.shape[0]):
        for j in range(i + 1):
            total = factor[i, j]
            total[:] = moments[i, j]
            for k in range(j):
                _add_product(total, factor[i, k], factor[j, k], -1.0)
            if j < i:
                total *= inverse[j]
            else:
                total[:] = np.sqrt(total)
                inverse[i] = 1 / total
    return factor


@compiled
def _add_product(total: np.ndarray, one: np.ndarray, other: np.ndarray, sign: float) -> None:
    for i in range(total.size):
        total[i] += sign * one[i] * other[i]


@compiled
def _look(moments: np.ndarray, along: np.ndarray, head: np.ndarray, window: int) -> float:
    """t-statistic of the level with AIC lags, of the moments of one look; `along` is the last row of their factor."""
    most = moments.shape[0] - 2
    lags = _least_aic(along, moments[-1, -1], window - 1 - most)
    if lags < 0:
        return np.nan
    with_level, products = np.empty(lags + 1), np.empty((lags + 1, lags + 1))
    for i in range(lags + 1):
        with_level[i] = moments[i if i else -1, 0]
        products[i, 0] = moments[-1, i if i else -1]
        products[i, 1 : i + 1] = moments[i, 1 : i + 1]
    level = _add_rows(products, with_level, moments[0, 0], head, head[1:] - head[:-1], most)
    return _level_t(products, with_level, level, lags, window - 1 - lags)


@compiled
def _from_residual(y: np.ndarray, x: np.ndarray, most: int) -> float:
    """Statistic of y on x in one window, of its residual; NaN where there is none."""
    dy, dx = y - y.mean(), x - x.mean()
    sxy, sxx, syy = np.dot(dx, dy), np.dot(dx, dx), np.dot(dy, dy)
    if not sxx * syy - sxy * sxy > COLLINEAR * sxx * syy:
        return np.nan
    return level_statistic(dy - sxy / sxx * dx, most)


@compiled
def level_statistic(residual: np.ndarray, most: int) -> float:
    """Dickey-Fuller t-statistic of a residual, no constant, lags by AIC up to `most`; NaN where it has no error.

    One Cholesky factor gives the squared error of every lag. The products of lagged changes follow from those of lag
    0 by taking one row away and adding one, so the cost is `most` products of length n.
    """
    change = np.diff(residual)
    rows = change.size
    products = np.empty((most + 1, most + 1))  # of changes i and j bars back, i >= j; rows from `most` on
    for lag in range(most + 1):
        products[lag, 0] = np.dot(change[most:], change[most - lag : rows - lag])
    with_level = np.empty(most + 1)  # of the previous level and the change i bars back
    with_level[0] = np.dot(residual[most:rows], change[most:])
    for k in range(most):
        first, last = change[most - 1 - k], change[rows - 1 - k]
        with_level[k + 1] = with_level[k] + products[k, 0] + residual[most] * first - residual[rows] * last
        for lag in range(most - k):
            gone, come = change[rows - 1 - k - lag], change[most - 1 - k - lag]
            products[k + lag + 1, k + 1] = products[k + lag, k] + first * come - last * gone
    level = np.dot(residual[most:rows], residual[most:rows])
    lags = _aic_lags(products, with_level, level, rows - most)
    if lags < 0:
        return np.nan
    level = _add_rows(products[: lags + 1], with_level[: lags + 1], level, residual, change, most)
    return _level_t(products, with_level, level, lags, rows - lags)


@compiled
def _add_rows(
    products: np.ndarray, with_level: np.ndarray, level: float, residual: np.ndarray, change: np.ndarray, most: int
) -> float:
    """Adds, in place, the rows that fewer lags than `most` leave; the sum of squares of the level with them."""
    lags = with_level.size - 1
    for t in range(lags, most):
        level += residual[t] * residual[t]
        for i in range(lags + 1):
            with_level[i] += residual[t] * change[t - i]
            for j in range(i + 1):
                products[i, j] += change[t - i] * change[t - j]
    return level


@compiled
def _aic_lags(products: np.ndarray, with_level: np.ndarray, level: float, n: int) -> int:
    """Lags with the least AIC on n rows; -1 where the changes follow their past without error."""
    terms = with_level.size
    gram = np.empty((terms, terms))
    gram[1:, 1:] = products[1:, 1:]
    gram[:, 0] = with_level
    gram[0, 0] = level
    along = products[:, 0].copy()
    along[0] = with_level[0]
    return _least_aic(along, products[0, 0], n) if _solve(gram, along) else -1


@compiled
def _least_aic(along: np.ndarray, left: float, n: int) -> int:
    """Lags with the least AIC; `along` squared is what the level and then each lag takes of the sum of squares left."""
    best, lags = np.inf, -1
    for i in range(along.size):
        left -= along[i] * along[i]
        if left <= 0:
            return -1
        score = n * math.log(left / n) + 2.0 * (i + 1)
        if score < best:
            best, lags = score, i
    return lags


@compiled
def _level_t(products: np.ndarray, with_level: np.ndarray, level: float, lags: int, n: int) -> float:
    """t-statistic of the level, which stands last in the factor."""
    gram = np.empty((lags + 1, lags + 1))
    gram[:lags, :lags] = products[1 : lags + 1, 1 : lags + 1]
    gram[lags, :lags] = with_level[1 : lags + 1]
    gram[lags, lags] = level
    along = np.append(products[1 : lags + 1, 0], with_level[0])
    if not _solve(gram, along):
        return np.nan
    left = products[0, 0] - np.dot(along, along)
    return along[lags] / math.sqrt(left / (n - lags - 1)) if left > 0 else np.nan


@compiled
def _solve(gram: np.ndarray, along: np.ndarray) -> bool:
    """Cholesky factor in place of the lower half of `gram`, factor^-1 along in place of `along`; whether it exists."""
    for i in range(along.size):
        for j in range(i + 1):
            total = gram[i, j]
            for k in range(j):
                total -= gram[i, k] * gram[j, k]
            if j < i:
                gram[i, j] = total / gram[j, j]
            elif total > 0:
                gram[i, i] = math.sqrt(total)
            else:
                return False
        for k in range(i):
            along[i] -= gram[i, k] * along[k]
        along[i] /= gram[i, i]
    return True
