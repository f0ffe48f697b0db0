"""Returns of closes, simple and logarithmic."""

import numpy as np

from utils.errors import InputError, TooFewObservations


def simple_returns(closes: np.ndarray) -> np.ndarray:
    """p_t / p_(t-1) - 1, dimensionless, shape (n - 1,): what a holder earns; they add up over assets.

    Raises
    ------
    InputError
        Not one-dimensional, or a price that is not finite or not positive.
    TooFewObservations
    """
    prices = _prices(closes)
    return np.diff(prices) / prices[:-1]


def log_returns(closes: np.ndarray) -> np.ndarray:
    """ln(p_t / p_(t-1)), dimensionless, shape (n - 1,); they add up over time.

    Raises
    ------
    InputError, TooFewObservations
    """
    # The difference of two logarithms near 11.5 would lose eight digits of a return of 1e-7.
    return np.log1p(simple_returns(closes))


def _prices(closes: np.ndarray) -> np.ndarray:
    """Prices of which there are two at least, all finite and positive."""
    prices = np.asarray(closes, np.float64)
    if prices.ndim != 1:
        raise InputError(f"closes must have one dimension, had {prices.ndim}", "closes")
    bad = np.flatnonzero(~(np.isfinite(prices) & (prices > 0)))
    if bad.size:
        raise InputError(f"closes must be finite and positive, was {prices[bad[0]]} at index {bad[0]}", "closes")
    if prices.size < 2:
        raise TooFewObservations(have=prices.size, need=2, what="prices")
    return prices
