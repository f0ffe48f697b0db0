"""Dickey-Fuller statistics of many residuals side by side, from sums of their products.

One Cholesky factor of a residual gives the squared error of every number of lags, and the products of lagged changes
follow from those of lag 0 by taking one row away and adding one. So who has the sums of products with each lag
already, shared by many residuals, needs no pass over the bars. Arrays have the residuals along their last axis: the
same step for all of them is one loop that the processor does several numbers at a time.
"""

import math

import numpy as np

from utils.compiled import compiled

KEPT = 3e-6  # share of a sum of squares that must be left of it for digits of 1e-8 in the statistic
FIXED = -1.0  # in place of the cost of a lag: the most lags are the ones to use


@compiled
def statistics(
    left: np.ndarray, products: np.ndarray, head: np.ndarray, tail: np.ndarray, whole: np.ndarray, n: int, cost: float
) -> tuple[np.ndarray, np.ndarray]:
    """t-statistic of the level in a regression of the change on it and its own lags, no constant, and the lags used.

    NaN where the sums lack digits for it: then the residual itself has to be taken.

    Parameters
    ----------
    left : float array, shape (residuals,), sums of squares over all n bars
    products : shape (most + 1, residuals), of changes with those 0 to `most` bars back, rows from `most` on
    head, tail : shape (most + 1, residuals), the first and the last bars, oldest first
    whole : shape (residuals,), what the sums of squared changes were put together from
    n : bars
    cost : of one more lag in the criterion, 2 for AIC; FIXED takes `most` lags
    """
    sums = moments(left, products, head, tail)
    along = factors(sums)[-1]
    found, used = np.full(left.size, np.nan), np.full(left.size, -1)
    for i in range(left.size):
        if along[-1, i] ** 2 > KEPT * whole[i]:
            found[i], used[i] = _statistic(sums[:, :, i], along[:-1, i], head[:, i], n, cost)
    return found, used


@compiled
def level_statistic(residual: np.ndarray, most: int, cost: float) -> float:
    """The same t-statistic of one residual, from its bars; NaN where it follows its past without error."""
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
    lags = most if cost == FIXED else _best_lags(products, with_level, level, rows - most, cost)
    if lags < 0:
        return np.nan
    level = _add_rows(products[: lags + 1], with_level[: lags + 1], level, residual, change, most)
    return _level_t(products, with_level, level, lags, rows - lags)


@compiled
def moments(left: np.ndarray, products: np.ndarray, head: np.ndarray, tail: np.ndarray) -> np.ndarray:
    """Sums of products of the previous level, the changes 1 to `most` bars back and the change, lower half.

    Over the rows that `most` lags leave, shape (most + 2, most + 2, residuals). The changes i + 1 and j + 1 bars back
    have the products of those i and j bars back but for one row at either end, and
    2 sum e_t (e_t+1 - e_t) = e_end^2 - e_begin^2 - sum (e_t+1 - e_t)^2.
    """
    most, residuals = head.shape[0] - 1, left.size
    sums = np.empty((most + 2, most + 2, residuals))
    early, late = head[1:] - head[:-1], tail[1:] - tail[:-1]
    sums[0, 0] = left - (head[:most] ** 2).sum(axis=0) - tail[most] ** 2
    with_level = (tail[most] ** 2 - head[most] ** 2 - products[0]) / 2
    sums[-1, 0] = with_level
    for k in range(most):
        with_level = with_level + products[k] + head[most] * early[most - 1 - k] - tail[most] * late[most - 1 - k]
        sums[k + 1, 0] = with_level
    for lag in range(most + 1):
        sums[-1, lag if lag else -1] = total = products[lag].copy()
        for k in range(most - lag):
            _add_product(total, early[most - 1 - k], early[most - 1 - k - lag], 1.0)
            _add_product(total, late[most - 1 - k], late[most - 1 - k - lag], -1.0)
            sums[k + lag + 1, k + 1] = total
    return sums


@compiled
def factors(sums: np.ndarray) -> np.ndarray:
    """Cholesky factor of each residual's sums, side by side; NaN where there is none."""
    factor = np.empty_like(sums)
    inverse = np.empty(sums.shape[1:])
    for i in range(sums.shape[0]):
        for j in range(i + 1):
            total = factor[i, j]
            total[:] = sums[i, j]
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
def _statistic(sums: np.ndarray, along: np.ndarray, head: np.ndarray, n: int, cost: float) -> tuple[float, int]:
    """t-statistic and lags of one residual; `along` is the last row of the factor of its sums."""
    most = sums.shape[0] - 2
    lags = most if cost == FIXED else _least(along, sums[-1, -1], n - 1 - most, cost)
    if lags < 0:
        return np.nan, -1
    with_level, products = np.empty(lags + 1), np.empty((lags + 1, lags + 1))
    for i in range(lags + 1):
        with_level[i] = sums[i if i else -1, 0]
        products[i, 0] = sums[-1, i if i else -1]
        products[i, 1 : i + 1] = sums[i, 1 : i + 1]
    level = _add_rows(products, with_level, sums[0, 0], head, head[1:] - head[:-1], most)
    return _level_t(products, with_level, level, lags, n - 1 - lags), lags


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
def _best_lags(products: np.ndarray, with_level: np.ndarray, level: float, n: int, cost: float) -> int:
    """Lags with the least criterion on n rows; -1 where the changes follow their past without error."""
    terms = with_level.size
    gram = np.empty((terms, terms))
    gram[1:, 1:] = products[1:, 1:]
    gram[:, 0] = with_level
    gram[0, 0] = level
    along = products[:, 0].copy()
    along[0] = with_level[0]
    return _least(along, products[0, 0], n, cost) if _solve(gram, along) else -1


@compiled
def _least(along: np.ndarray, left: float, n: int, cost: float) -> int:
    """Lags with the least criterion; `along` squared is what the level, then each lag, takes of the squares left."""
    best, lags = np.inf, -1
    for i in range(along.size):
        left -= along[i] * along[i]
        if left <= 0:
            return -1
        score = n * math.log(left / n) + cost * (i + 1)
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
