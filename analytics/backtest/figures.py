"""Returns of an equity curve, and what is said of them: one pass over the bars, no arrays in between."""

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from utils.compiled import compiled

NO_EDGES, NO_SUMS = np.zeros(1, np.int64), np.empty((0, 2))
YEAR_US = 365 * 24 * 3_600 * 1_000_000  # the market never closes
ROUNDING = 1e-12  # a variance below this share of the mean square is none


class Tally(NamedTuple):
    """Sums over the returns of an equity curve; a return is the change over the capital, or over the equity before."""

    bars: int
    first: float  # sum of returns
    second: float  # of their squares
    third: float
    fourth: float
    below: float  # of the squares of those below 0
    drawdown: float  # deepest fall from a peak, share of the peak, at most 1: a debt is no deeper fall
    drawdown_bars: int  # longest time below a peak


@dataclass(frozen=True, slots=True)
class Returns:
    """Moments of the returns a bar; NaN where they do not vary."""

    n_obs: int
    mean: float
    std: float  # ddof 1
    downside: float  # root mean square of the returns below 0
    skew: float
    kurtosis: float  # 3 for a normal

    @property
    def sharpe(self) -> float:
        """mean / std, a bar."""
        return self.mean / self.std if self.std > 0 else math.nan

    @property
    def sortino(self) -> float:
        """mean / downside, a bar; NaN where nothing was lost."""
        return self.mean / self.downside if self.downside > 0 else math.nan


@compiled
def tally(
    equity: np.ndarray,
    start: int,
    spans: np.ndarray,
    capital: float,
    compound: bool,
    edges: np.ndarray,
    sums: np.ndarray,
) -> Tally:
    """The sums over the bars after `start`, and those over blocks of them.

    Parameters
    ----------
    spans : first and last bar of each stretch in which equity may change, ascending, shape (k, 2)
    edges : of the blocks, edges[i] < bar <= edges[i + 1]; one edge alone is no block
    sums : sum of returns and of their squares of each block are added to it, shape (blocks, 2)
    """
    first = second = third = fourth = below = deepest = 0.0
    peak, peak_at, longest, done, block, lowest = equity[start], start, 0, start, 0, equity[start]
    scale, block_first, block_second = 1.0 / capital, 0.0, 0.0
    edge = edges[1] if edges.size > 1 else equity.size
    for span in range(spans.shape[0]):
        begin = max(done + 1, spans[span, 0])
        if equity[begin - 1] >= peak:
            peak_at = begin - 1
        for t in range(begin, spans[span, 1] + 1):
            value = equity[t] - equity[t - 1]
            if compound:
                value = value / equity[t - 1] if equity[t - 1] > 0.0 else 0.0
            else:
                value *= scale
            square = value * value
            first, second = first + value, second + square
            third, fourth = third + square * value, fourth + square * square
            below += square if value < 0.0 else 0.0
            while t > edge:
                sums[block, 0], sums[block, 1] = sums[block, 0] + block_first, sums[block, 1] + block_second
                block_first = block_second = 0.0
                block += 1
                edge = edges[block + 1] if block + 1 < edges.size else equity.size
            block_first, block_second = block_first + value, block_second + square
            if equity[t] >= peak:
                deepest, longest = max(deepest, 1.0 - lowest / peak), max(longest, t - 1 - peak_at)
                peak, peak_at, lowest = equity[t], t, equity[t]
            else:
                lowest = min(lowest, equity[t])
        done = max(done, spans[span, 1])
    if block + 1 < edges.size:
        sums[block, 0], sums[block, 1] = sums[block, 0] + block_first, sums[block, 1] + block_second
    deepest = min(max(deepest, 1.0 - lowest / peak), 1.0)
    if equity[-1] < peak:
        longest = max(longest, equity.size - 1 - peak_at)
    return Tally(equity.size - 1 - start, first, second, third, fourth, below, deepest, longest)


def tally_all(equity: np.ndarray, start: int, capital: float, compound: bool) -> Tally:
    """The sums over all bars after `start`."""
    spans = np.array([[start + 1, equity.size - 1]])
    return tally(equity, start, spans, capital, compound, NO_EDGES, NO_SUMS)


def returns(equity: np.ndarray, capital: float, compound: bool) -> np.ndarray:
    """Return of each bar after the first, shape (n - 1,): change over the capital, or over the equity before."""
    change = np.diff(equity)
    if not compound:
        return change / capital
    before = equity[:-1]
    return np.divide(change, before, out=np.zeros(change.size), where=before > 0)


def moments(sums: Tally) -> Returns:
    """Moments of the returns behind the sums."""
    n, nan = sums.bars, math.nan
    if n < 2:
        return Returns(n, nan, nan, nan, nan, nan)
    mean = sums.first / n
    square = sums.second / n
    variance = square - mean * mean
    downside = math.sqrt(sums.below / n)
    if variance <= ROUNDING * square:
        return Returns(n, mean, nan, downside, nan, nan)
    third = sums.third / n - 3 * mean * square + 2 * mean**3
    fourth = sums.fourth / n - 4 * mean * sums.third / n + 6 * mean**2 * square - 3 * mean**4
    std = math.sqrt(variance * n / (n - 1))
    return Returns(n, mean, std, downside, third / variance**1.5, fourth / variance**2)


def bars_per_year(ts_us: np.ndarray | None) -> float:
    """Bars in 365 days of 24 hours, by the time that these took; NaN where times are not known."""
    if ts_us is None or ts_us.size < 2:
        return math.nan
    return YEAR_US * (ts_us.size - 1) / float(ts_us[-1] - ts_us[0])
