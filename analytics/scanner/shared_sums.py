"""Engle-Granger of many pairs on the same bars, in both directions: the sums that all pairs share are made once.

The residual of y on x is e = y - b x, so every sum of its regression is a quadratic in b of sums that do not know b.
Those are products of two symbols' levels, and of their changes at each lag: matrix products. A pair then costs one
Cholesky factor a direction. Both directions use the same products, so the two orders of a lag are added up before
they are multiplied, which halves the work again.
"""

import numpy as np

from analytics.stacked_dickey_fuller import KEPT, statistics
from utils.compiled import compiled

SIDE = 48  # pairs side by side: their sums and factors stay near the processor


@compiled
def engle_granger_statistics(
    one: np.ndarray, other: np.ndarray, pairs: np.ndarray, most: int, cost: float, mixed: np.ndarray, turned: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Statistic, lags and hedge ratio of each pair, y = one's and y = other's, each of shape (2, pairs).

    The statistic is NaN where the shared sums lack digits for it.

    Parameters
    ----------
    one, other : float arrays, shape (symbols, n): levels without their trend
    pairs : int array, shape (2, pairs): row of one, row of other
    most : lags to choose from
    cost : of one more lag, or FIXED, as for `statistics`
    mixed, turned : scratch, shapes (most + 1, rows of one, rows of other) and (rows of other, n - 1)
    """
    n, count = one.shape[1], pairs.shape[1]
    found, slopes = np.empty((2, count)), np.empty((2, count))
    used = np.empty((2, count), np.int64)
    cross = np.dot(one, other.T)
    changes_one, changes_other = _changes(one), _changes(other)
    _mixed_products(changes_one, changes_other, most, mixed, turned)
    own_one, own_other = _own_products(changes_one, most), _own_products(changes_other, most)
    squares_one, squares_other = _squares(one), _squares(other)
    for start in range(0, count, SIDE):
        part = slice(start, min(start + SIDE, count))
        i, j = pairs[0, part], pairs[1, part]
        xy, both = np.empty(i.size), np.empty((most + 1, i.size))
        for p in range(i.size):
            xy[p] = cross[i[p], j[p]]
            for lag in range(most + 1):
                both[lag, p] = mixed[lag, i[p], j[p]]
        y, x = _leg(one, squares_one, own_one, i, most), _leg(other, squares_other, own_other, j, most)
        found[0, part], used[0, part], slopes[0, part] = _direction(y, x, xy, both, n, cost)
        found[1, part], used[1, part], slopes[1, part] = _direction(x, y, xy, both, n, cost)
    return found, used, slopes


@compiled
def _direction(
    y: tuple[np.ndarray, ...], x: tuple[np.ndarray, ...], xy: np.ndarray, both: np.ndarray, n: int, cost: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Statistic, lags and hedge ratio of y on x, pairs side by side."""
    yy, changes_yy, head_y, tail_y = y
    xx, changes_xx, head_x, tail_x = x
    slope = xy / xx
    square = slope * slope
    left = yy - square * xx
    products, whole = changes_yy - slope * both + square * changes_xx, changes_yy[0] + square * changes_xx[0]
    found, used = statistics(left, products, head_y - slope * head_x, tail_y - slope * tail_x, whole, n, cost)
    found[~(left > KEPT * (yy + square * xx))] = np.nan
    return found, used, slope


@compiled
def _leg(
    levels: np.ndarray, squares: np.ndarray, own: np.ndarray, rows: np.ndarray, most: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Of one leg of each pair: sum of squares, lagged products of changes, first and last bars."""
    end = levels.shape[1] - 1 - most
    lagged, head, tail = (
        np.empty((most + 1, rows.size)),
        np.empty((most + 1, rows.size)),
        np.empty((most + 1, rows.size)),
    )
    for k in range(most + 1):
        for p in range(rows.size):
            lagged[k, p], head[k, p], tail[k, p] = own[k, rows[p]], levels[rows[p], k], levels[rows[p], end + k]
    return squares[rows], lagged, head, tail


@compiled
def _changes(levels: np.ndarray) -> np.ndarray:
    return levels[:, 1:] - levels[:, :-1]


@compiled
def _squares(levels: np.ndarray) -> np.ndarray:
    found = np.empty(levels.shape[0])
    for row in range(found.size):
        found[row] = np.dot(levels[row], levels[row])
    return found


@compiled
def _own_products(changes: np.ndarray, most: int) -> np.ndarray:
    """Of each symbol's changes with its own 0 to `most` bars back, rows from `most` on, shape (most + 1, symbols)."""
    rows = changes.shape[1]
    found = np.empty((most + 1, changes.shape[0]))
    for symbol in range(changes.shape[0]):
        for lag in range(most + 1):
            found[lag, symbol] = np.dot(changes[symbol, most:], changes[symbol, most - lag : rows - lag])
    return found


@compiled
def _mixed_products(one: np.ndarray, other: np.ndarray, most: int, mixed: np.ndarray, turned: np.ndarray) -> None:
    """Of each pair's changes, sum of one[t] other[t - lag] + other[t] one[t - lag], rows from `most` on, into `mixed`.

    In the second term t - lag is written as t, so that one's changes stand alone and a lag is one matrix product.
    """
    rows = other.shape[1]
    for lag in range(most + 1):
        for symbol in range(other.shape[0]):
            line, change = turned[symbol], other[symbol]
            line[: most - lag] = 0.0
            line[most - lag : most] = change[most : most + lag]
            line[most : rows - lag] = change[most - lag : rows - 2 * lag] + change[most + lag :]
            line[rows - lag :] = change[rows - 2 * lag : rows - lag]
        np.dot(one, turned.T, mixed[lag])
