"""Cross products of a regression on lagged changes, and their Cholesky factor.

The lag rule of a unit-root or cointegration test needs the residual sum of squares of every number of lags. They all
come out of one factor with the explained changes as last rows; and the products of lagged changes differ from their
neighbours by two end terms only, so that a test costs O(n lags) and no regression is run twice.
"""

import numpy as np

from utils.compiled import compiled

THIN = 1e-9  # share of its square that a column must keep beside the others, else cross products lack digits


@compiled
def lagged_products(fixed: np.ndarray, change: np.ndarray, lags: int, after: int) -> np.ndarray:
    """Lower half of the cross products on the rows that `lags` lags leave.

    The order is: fixed columns, lagged changes (lag 1 of every leg, lag 2, ...), the last `after` of the fixed
    columns, the changes.

    Parameters
    ----------
    fixed : float array, shape (columns, n): trend terms and previous levels
    change : float array, shape (legs, n)
    """
    first, n = fixed.shape
    legs = change.shape[0]
    shift, end = first - after, first + legs * lags
    products = np.empty((end + legs, end + legs))
    for a in range(first):
        row = a if a < shift else a + legs * lags
        for b in range(a + 1):
            products[row, b if b < shift else b + legs * lags] = np.dot(fixed[a, lags:], fixed[b, lags:])
        for leg in range(legs):
            for lag in range(lags + 1):
                place = shift + legs * (lag - 1) + leg if lag > 0 else end + leg
                value = np.dot(fixed[a, lags:], change[leg, lags - lag : n - lag])
                products[max(row, place), min(row, place)] = value
    for i in range(legs):
        for j in range(legs):
            for gap in range(lags + 1):
                value = np.dot(change[i, lags:], change[j, lags - gap : n - gap])
                other = shift + legs * (gap - 1) + j if gap > 0 else end + j
                products[max(end + i, other), min(end + i, other)] = value
                for a in range(lags - gap):
                    value += change[i, lags - 1 - a] * change[j, lags - 1 - a - gap]
                    value -= change[i, n - 1 - a] * change[j, n - 1 - a - gap]
                    place, other = shift + legs * a + i, shift + legs * (a + gap) + j
                    products[max(place, other), min(place, other)] = value
    return products


@compiled
def factored(products: np.ndarray) -> tuple[np.ndarray, bool]:
    """Lower Cholesky factor, and whether every column keeps enough of itself beside the others."""
    size = products.shape[0]
    factor = np.zeros((size, size))
    for a in range(size):
        for b in range(a):
            value = products[a, b]
            for c in range(b):
                value -= factor[a, c] * factor[b, c]
            factor[a, b] = value / factor[b, b]
        left = products[a, a]
        for c in range(a):
            left -= factor[a, c] ** 2
        if not left > THIN * products[a, a]:
            return factor, False
        factor[a, a] = np.sqrt(left)
    return factor, True
