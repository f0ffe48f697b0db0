"""Returns of an equity curve, and what is said of them: one pass over the bars, no arrays in between."""

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from utils.compiled import compiled

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
    drawdown: float  # deepest fall from a peak, share of the peak
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
def tally(equity: np.ndarray, start: int, capital: float, compound: bool) -> Tally:
    """The sums over the bars after `start`."""
    first = second = third = fourth = below = deepest = 0.0
    peak, peak_at, longest = equity[start], start, 0
    for t in range(start + 1, equity.size):
        change = equity[t] - equity[t - 1]
        if change != 0.0:
            base = equity[t - 1] if compound else capital
            value = change / base if base > 0.0 else 0.0
            square = value * value
            first += value
            second += square
            third += square * value
            fourth += square * square
            if value < 0.0:
                below += square
        if equity[t] >= peak:
            peak, peak_at = equity[t], t
        else:
            deepest, longest = max(deepest, 1.0 - equity[t] / peak), max(longest, t - peak_at)
    return Tally(equity.size - 1 - start, first, second, third, fourth, below, deepest, longest)


@compiled
def block_sums(equity: np.ndarray, edges: np.ndarray, capital: float, compound: bool, sums: np.ndarray) -> None:
    """Sum of returns, and of squares, of each block edges[i] < bar <= edges[i + 1], into `sums`, shape (blocks, 2)."""
    for block in range(edges.size - 1):
        first = second = 0.0
        for t in range(edges[block] + 1, edges[block + 1] + 1):
            base = equity[t - 1] if compound else capital
            value = (equity[t] - equity[t - 1]) / base if base > 0.0 else 0.0
            first += value
            second += value * value
        sums[block, 0], sums[block, 1] = first, second


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
