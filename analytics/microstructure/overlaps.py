"""Covariance of two legs from trades at their own times: every pair of returns whose intervals overlap."""

from dataclasses import dataclass

import numpy as np

from analytics.correlation.intervals import BLOCKS, MIN_OBS, interval
from utils.compiled import compiled
from utils.errors import DegenerateSeries, InputError, TooFewObservations


@dataclass(frozen=True, slots=True)
class HayashiYoshida:
    """Covariance of two legs that trade at different times, over the whole sample."""

    covariance: float  # of log prices, summed over the sample: not per second
    correlation: float  # may leave -1..1 in small samples: the three sums are estimated apart
    low: float  # 95 % interval of the correlation; NaN where there are too few returns for one
    high: float
    variance_x: float  # realised, summed like the covariance
    variance_y: float
    n_x: int  # returns between distinct times
    n_y: int


def hayashi_yoshida(
    ts_x_us: np.ndarray, price_x: np.ndarray, ts_y_us: np.ndarray, price_y: np.ndarray, thin_us: int = 0
) -> HayashiYoshida:
    """Hayashi-Yoshida covariance and correlation of log prices, dimensionless, from trades at their own times.

        covariance = sum of r_x r_y over all pairs of returns whose intervals overlap
        correlation = covariance / sqrt(sum r_x^2 sum r_y^2)

    No grid, hence no loss of correlation at short widths as long as both legs react at once. Real legs do not: inside
    a burst one follows the other by tens of milliseconds, and the estimate on every trade is far too low (0.10
    where bars say 0.68); a series thinned to 250 to 500 ms mends it. Bounce leaves the covariance right and makes
    the correlation too small. The interval leaves out each of 20 stretches of time in turn.

    Parameters
    ----------
    ts_x_us, ts_y_us : int arrays, microseconds, not decreasing; both legs over one span of time
        Of trades at one time the last one counts: give them in order of trade id.
    price_x, price_y : float arrays of the same lengths, > 0
    thin_us : width of `thinned`; 0 takes every trade

    Raises
    ------
    InputError
        Lengths differ, time steps back, or a price is not finite and positive.
    TooFewObservations
        A leg traded at fewer than two times.
    DegenerateSeries
        A leg's price never moves.

    References
    ----------
    T. Hayashi and N. Yoshida, Bernoulli 11 (2005).
    """
    ts_x_us, x, n_x = tick_returns(ts_x_us, price_x, thin_us, "x")
    ts_y_us, y, n_y = tick_returns(ts_y_us, price_y, thin_us, "y")
    edges = _edges(ts_x_us, ts_y_us)
    sums = _co_moves(ts_x_us, x, ts_y_us, y, edges), _squares(ts_x_us, x, edges), _squares(ts_y_us, y, edges)
    blocks = np.stack(sums)
    covariance, variance_x, variance_y = blocks.sum(axis=1).tolist()
    if variance_x == 0 or variance_y == 0:
        raise DegenerateSeries("a leg's price never moves")
    correlation = covariance / float(np.sqrt(variance_x * variance_y))
    low = high = float("nan")
    if min(n_x, n_y) >= MIN_OBS:
        low, high = _left_out(correlation, blocks)
    return HayashiYoshida(covariance, correlation, low, high, variance_x, variance_y, n_x, n_y)


def thinned(ts_us: np.ndarray, price: np.ndarray, width_us: int) -> tuple[np.ndarray, np.ndarray]:
    """Times and prices of the last trade in each cell of `width_us`, each at its own time.

    Cells are counted from the epoch, as bars are. Taking the next trade at least one width after the last one taken
    would pick the first print of each burst instead, before the other leg has followed.

    Raises
    ------
    InputError
    """
    if width_us < 1:
        raise InputError(f"width_us must be >= 1, was {width_us}", "width_us")
    cell = ts_us // width_us
    last = np.append(cell[1:] != cell[:-1], True)[: cell.size]
    return ts_us[last], price[last]


def tick_returns(ts_us: np.ndarray, price: np.ndarray, thin_us: int, leg: str) -> tuple[np.ndarray, np.ndarray, int]:
    """Times, the log return that ends at each, and the number of returns between distinct times.

    Of trades at one time the first carries the return to the last price of that time, the others 0: sums over them
    are those of the collapsed series, without a copy of it. The first return of all is 0. Thinned where `thin_us`
    is not 0.

    Raises
    ------
    InputError, TooFewObservations
    """
    ts_us, price = np.ascontiguousarray(ts_us, np.int64), np.ascontiguousarray(price, np.float64)
    if ts_us.ndim != 1 or ts_us.shape != price.shape:
        raise InputError(f"times and prices of {leg} must be of one length, were {ts_us.shape} and {price.shape}", leg)
    if thin_us:
        _check(ts_us, price, leg)  # here, since a fault could be thinned away
        ts_us, price = thinned(ts_us, price, thin_us)
    if ts_us.size == 0:
        raise TooFewObservations(have=0, need=2, what=f"times with trades of {leg}")
    with np.errstate(divide="ignore", invalid="ignore"):
        returns = np.log(price)
    n_obs, steps_back = _level_to_return(ts_us, returns)
    if steps_back or not np.isfinite(returns @ returns):
        _check(ts_us, price, leg)
    if n_obs < 1:
        raise TooFewObservations(have=1, need=2, what=f"times with trades of {leg}")
    return ts_us, returns, n_obs


def _check(ts_us: np.ndarray, price: np.ndarray, leg: str) -> None:
    """Times that do not step back, and prices that are prices."""
    back = np.flatnonzero(ts_us[1:] < ts_us[:-1])
    if back.size:
        raise InputError(f"times of {leg} must not step back, do at index {back[0] + 1}", leg)
    bad = np.flatnonzero(~(np.isfinite(price) & (price > 0)))
    if bad.size:
        raise InputError(f"prices of {leg} must be finite and > 0, was {price[bad[0]]:g} at index {bad[0]}", leg)


def _edges(tx: np.ndarray, ty: np.ndarray) -> np.ndarray:
    """Ends of BLOCKS equal stretches of time, the last one at the last trade of either leg."""
    start, end = min(tx[0], ty[0]), max(tx[-1], ty[-1])
    return start + (end - start) * np.arange(1, BLOCKS + 1) // BLOCKS


def _squares(ts_us: np.ndarray, returns: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Sum of squared returns that end in each block."""
    return np.array([piece @ piece for piece in np.split(returns, np.searchsorted(ts_us, edges[:-1], "right"))])


def _co_moves(tx: np.ndarray, x: np.ndarray, ty: np.ndarray, y: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Products of overlapping returns, each in the block where the first of its two intervals ends."""
    begun, over = max(tx[0], ty[0]), min(tx[-1], ty[-1])
    if begun >= over:
        return np.zeros(edges.size)
    after = np.append(begun, np.maximum(edges[:-1], begun))
    i, j = (np.minimum(np.searchsorted(leg, after, "right"), leg.size - 1) for leg in (tx, ty))
    sums = _overlaps(tx, x, ty, y, i, j, np.minimum(edges + 1, over))
    last_x, last_y = x[np.searchsorted(tx, over)], y[np.searchsorted(ty, over)]
    sums[np.searchsorted(edges, over)] += last_x * last_y  # the kernel stops where a leg could end under it
    return sums


def _left_out(correlation: float, blocks: np.ndarray) -> tuple[float, float]:
    """Interval of the correlation from its three sums in each block, shape (3, blocks)."""
    covariance, variance_x, variance_y = blocks.sum(axis=1)[:, None] - blocks
    with np.errstate(divide="ignore", invalid="ignore"):
        return interval(correlation, covariance / np.sqrt(variance_x * variance_y))


@compiled
def _level_to_return(ts_us: np.ndarray, level: np.ndarray) -> tuple[int, bool]:
    """Levels become returns in place, see `tick_returns`; their number, and whether time steps back anywhere."""
    count, steps_back = 0, False
    later, ts_later = level[-1], ts_us[-1]
    for k in range(level.size - 2, -1, -1):
        ts = ts_us[k]
        moves = ts != ts_later
        now = level[k] if moves else later
        level[k + 1] = later - now
        count += moves
        steps_back |= ts > ts_later
        later, ts_later = now, ts
    level[0] = 0.0
    return count, steps_back


@compiled
def _overlaps(
    tx: np.ndarray, x: np.ndarray, ty: np.ndarray, y: np.ndarray, i: np.ndarray, j: np.ndarray, until: np.ndarray
) -> np.ndarray:
    """Sum over each block of r_x r_y of overlapping intervals, from positions i, j while the first one ends < until.

    Two pointers: the interval that ends first has met all it overlaps. Each step waits for the one before it, so two
    blocks are walked side by side (1.7 times faster). The number of blocks is even.
    """
    sums, half = np.zeros(until.size), until.size // 2
    for low in range(half):
        high = low + half
        a, b, c, d = i[low], j[low], i[high], j[high]
        ax, by, cx, dy = tx[a], ty[b], tx[c], ty[d]
        first = second = 0.0
        while (min(ax, by) < until[low]) & (min(cx, dy) < until[high]):
            first += x[a] * y[b]
            second += x[c] * y[d]
            a, b, c, d = a + (ax <= by), b + (by <= ax), c + (cx <= dy), d + (dy <= cx)
            ax, by, cx, dy = tx[a], ty[b], tx[c], ty[d]
        while min(ax, by) < until[low]:
            first += x[a] * y[b]
            a, b = a + (ax <= by), b + (by <= ax)
            ax, by = tx[a], ty[b]
        while min(cx, dy) < until[high]:
            second += x[c] * y[d]
            c, d = c + (cx <= dy), d + (dy <= cx)
            cx, dy = tx[c], ty[d]
        sums[low], sums[high] = first, second
    return sums
