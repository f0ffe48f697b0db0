"""What is worth knowing of a pair beside its test, in one pass over its spread."""

import math

import numpy as np

from analytics.ar1 import regression
from analytics.stacked_dickey_fuller import FIXED, level_statistic
from utils.compiled import compiled

MEASURES = (
    "spread_std",  # of the spread, ddof 1
    "spread",  # at the last bar, its mean taken off
    "hedge_stderr",
    "correlation",  # of one-bar changes
    "phi",  # plain first-order autocorrelation of the spread
    "widening",  # how many times as uncertain that is as it looks
    "stable_share",
    "ratio_least",  # smallest hedge ratio of the sub-windows
    "ratio_most",
)
WINDOW_BARS, LAG_BARS = 20, 10  # that a sub-window needs, and for each lag beside them
RETURNS = -1.941  # Dickey-Fuller t-statistic, no constant, below which 5 % of given walks lie


@compiled
def measured(
    levels_y: np.ndarray,
    levels_x: np.ndarray,
    pairs: np.ndarray,
    ratios: np.ndarray,
    lags: np.ndarray,
    windows: int,
    memory: int,
) -> np.ndarray:
    """MEASURES of each pair, shape (measures, pairs); NaN where one is not defined.

    Parameters
    ----------
    levels_y, levels_x : float arrays, shape (symbols, n): levels without their trend
    pairs : int array, shape (2, pairs): row of levels_y, row of levels_x
    ratios, lags : shape (pairs,), hedge ratio and lags of the test
    windows : equal parts of the sample for the last three
    memory : lags of Newey and West's error of the ratio
    """
    found = np.empty((9, pairs.shape[1]))
    for p in range(pairs.shape[1]):
        y, x = levels_y[pairs[0, p]], levels_x[pairs[1, p]]
        spread = y - ratios[p] * x
        found[0, p] = math.sqrt(np.dot(spread, spread) / (spread.size - 1))
        found[1, p] = spread[-1]
        found[2, p] = _ratio_stderr(x, spread, memory)
        found[3, p] = _correlation(y, x)
        found[4, p], _, found[5, p] = regression(spread)
        found[6, p] = _share_that_returns(spread, lags[p], windows)
        found[7, p], found[8, p] = _ratio_range(y, x, windows)
    return found


@compiled
def _ratio_stderr(x: np.ndarray, spread: np.ndarray, memory: int) -> float:
    """Newey and West's standard error of the slope, Bartlett's weights: that of `analytics.hedge.ols`."""
    scores = x * spread
    total = np.dot(scores, scores)
    for lag in range(1, memory + 1):
        total += 2 * (1 - lag / (memory + 1)) * np.dot(scores[lag:], scores[: scores.size - lag])
    return math.sqrt(max(total, 0.0)) / np.dot(x, x)


@compiled
def _correlation(y: np.ndarray, x: np.ndarray) -> float:
    """Correlation of one-bar changes; NaN where a leg moves by the same at each bar."""
    n = y.size - 1
    one, other = y[1:] - y[:-1] - (y[n] - y[0]) / n, x[1:] - x[:-1] - (x[n] - x[0]) / n
    squares = np.dot(one, one) * np.dot(other, other)
    return np.dot(one, other) / math.sqrt(squares) if squares > 0 else np.nan


@compiled
def _share_that_returns(spread: np.ndarray, lags: int, windows: int) -> float:
    """Share of the sub-windows in which the spread falls back to the mean of the whole sample."""
    bars = spread.size // windows
    if bars < WINDOW_BARS + LAG_BARS * lags:
        return np.nan
    hits = 0
    for window in range(windows):
        end = spread.size - (windows - 1 - window) * bars
        hits += level_statistic(spread[end - bars : end], lags, FIXED) < RETURNS
    return hits / windows


@compiled
def _ratio_range(y: np.ndarray, x: np.ndarray, windows: int) -> tuple[float, float]:
    """Smallest and largest hedge ratio of the sub-windows; NaN where x does not move in one."""
    least, most, bars = np.inf, -np.inf, y.size // windows
    ones = np.ones(bars)
    for window in range(windows):
        end = y.size - (windows - 1 - window) * bars
        dx = x[end - bars : end] - np.dot(x[end - bars : end], ones) / bars
        squares = np.dot(dx, dx)
        if not squares > 0:
            return np.nan, np.nan
        ratio = np.dot(dx, y[end - bars : end]) / squares
        least, most = min(least, ratio), max(most, ratio)
    return least, most
