"""What trading moves: price for flow, and what a round trip through the spread costs."""

from dataclasses import dataclass

import numpy as np

from analytics.checks import pair, series
from analytics.microstructure.columns import one_dimension, positive, same_length
from utils.errors import InputError, TooFewObservations

MIN_INTERVALS = 10
MIN_TRADES = 30


@dataclass(frozen=True, slots=True)
class KyleLambda:
    """Price impact of signed volume; a description of intervals, not a promise about the next order."""

    slope: float  # quote currency a unit of base currency bought net
    stderr: float  # holds where large intervals vary more than small ones (White)
    r_squared: float
    n_obs: int


def kyle_lambda(change: object, signed_volume: object) -> KyleLambda:
    """Kyle's lambda, quote currency per unit of base currency: slope of price change on taker buys - taker sells.

        change[t] = constant + lambda signed_volume[t] + error

    Parameters
    ----------
    change, signed_volume : float arrays, shape (n,), one value an interval, n >= 10
        `Cells.changes()` gives both, of seconds with trades: those without would add rows of zeros, which leave the
        slope as it is and make its error look smaller.

    The error is White's with n / (n - 2) (HC1).

    Raises
    ------
    InputError, TooFewObservations, DegenerateSeries

    References
    ----------
    A. S. Kyle, Econometrica 53 (1985); J. Hasbrouck, Empirical Market Microstructure (2007), ch. 7.
    """
    moved, flow = pair(change, signed_volume, MIN_INTERVALS)
    n = flow.size
    x, y = flow - flow.mean(), moved - moved.mean()
    squares = float(x @ x)
    slope = float(x @ y) / squares
    residual = y - slope * x
    stderr = np.sqrt(float((x * x) @ (residual * residual)) * n / (n - 2)) / squares
    return KyleLambda(slope, float(stderr), 1 - float(residual @ residual) / float(y @ y), n)


def amihud(returns: object, notional: object) -> float:
    """Amihud's illiquidity, |return| per million of quote currency traded: mean of |r| / notional * 1e6.

    Parameters
    ----------
    returns, notional : float arrays, shape (n,), one value an interval with trades, n >= 10

    Raises
    ------
    InputError, TooFewObservations

    References
    ----------
    Y. Amihud, Journal of Financial Markets 5 (2002).
    """
    moved = np.asarray(one_dimension(returns, "returns"), np.float64)
    traded = positive(notional, "notional")
    same_length(returns=moved, notional=traded)
    if not np.isfinite(moved).all():
        raise InputError("returns must be finite", "returns")
    if moved.size < MIN_INTERVALS:
        raise TooFewObservations(have=moved.size, need=MIN_INTERVALS, what="intervals with trades")
    return float(np.mean(np.abs(moved) / traded) * 1e6)


def roll_spread(prices: object) -> float:
    """Roll's effective spread, quote currency: 2 sqrt(-autocovariance of successive price changes).

    NaN where the autocovariance is not negative, as where takers follow each other in one direction: there is no
    bounce to measure then, which is not a spread of 0. Assumes that sides are independent of each other and of the
    price to come, and a spread that stays; on a tape whose orders run in series it is too small.

    Parameters
    ----------
    prices : shape (n,), of single trades, oldest first, n >= 30

    Raises
    ------
    InputError, TooFewObservations, DegenerateSeries

    References
    ----------
    R. Roll, Journal of Finance 39 (1984).
    """
    price = series(positive(prices, "prices"), "prices", MIN_TRADES)
    change = np.diff(price)
    before, after = change[:-1], change[1:]
    return roll_of(float(before.sum()), float(after.sum()), float(before @ after), before.size)


def roll_of(before: float, after: float, product: float, pairs: int) -> float:
    """Roll's spread from sums over pairs of successive changes; NaN without pairs."""
    if pairs < 1:
        return np.nan
    covariance = product / pairs - before / pairs * (after / pairs)
    return 2 * float(np.sqrt(-covariance)) if covariance < 0 else np.nan
