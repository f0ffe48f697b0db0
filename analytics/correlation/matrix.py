"""Correlation of many symbols, over timeframes and over windows."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Self

import numpy as np
import pandas as pd
from scipy.cluster.hierarchy import leaves_list, linkage
from scipy.spatial.distance import squareform

from analytics.correlation.intervals import LEAST_BLOCKS, MIN_OBS, SAME, block_starts, spread
from analytics.correlation.pearson import from_moments
from analytics.resampling import timeframe_us
from analytics.statistics import rolling_correlation
from utils.clock import US_PER_S
from utils.errors import InputError, TimeframeError

FLAT = 1e-12  # a pair's variance below this share of the symbol's mean square is rounding


@dataclass(frozen=True, slots=True, eq=False)
class CorrelationMatrix:
    """Correlations of returns of every pair of symbols, each with its interval and count; all shapes (n, n).

    Each pair uses the bars that both symbols have, so the matrix as a whole need not be positive semidefinite: of
    pairs from different days it may not be a correlation matrix of anything.
    """

    symbols: tuple[str, ...]
    correlation: np.ndarray  # -1..1; NaN for fewer than MIN_OBS common returns and for a symbol that does not move
    low: np.ndarray  # 95 % interval; NaN on the diagonal and where a pair is the same series twice
    high: np.ndarray
    n_obs: np.ndarray  # int64, common returns

    def frame(self) -> pd.DataFrame:
        """The correlations, symbols on both sides."""
        return pd.DataFrame(self.correlation, list(self.symbols), list(self.symbols))

    def ordered(self, order: np.ndarray) -> Self:
        """The same with the symbols in another order, such as that of `alike`; positions, each once."""
        square = np.ix_(order, order)
        names = ("correlation", "low", "high", "n_obs")
        return type(self)(
            tuple(self.symbols[at] for at in order), **{name: getattr(self, name)[square] for name in names}
        )


@dataclass(frozen=True, slots=True, eq=False)
class TimeframeCorrelation:
    """One correlation matrix for each timeframe."""

    symbols: tuple[str, ...]
    timeframes: tuple[str, ...]
    matrices: tuple[CorrelationMatrix, ...]

    @property
    def correlation(self) -> np.ndarray:
        """All of them, shape (timeframes, symbols, symbols): the surface."""
        return np.stack([matrix.correlation for matrix in self.matrices])

    def of(self, y: str, x: str) -> pd.DataFrame:
        """One pair: a row for each timeframe with correlation, low, high, n_obs."""
        i, j = self.symbols.index(y), self.symbols.index(x)
        names = ("correlation", "low", "high", "n_obs")
        rows = [[getattr(matrix, name)[i, j] for name in names] for matrix in self.matrices]
        return pd.DataFrame(rows, list(self.timeframes), names)


def correlation_matrix(prices: pd.DataFrame) -> CorrelationMatrix:
    """Pearson correlation of log returns of every pair of columns, dimensionless, with 95 % intervals.

    A return needs the price of its row and of the row before. Each pair takes the rows where both have one; its
    interval leaves out blocks of rows in turn, as `pearson` does: with no row missing the two agree.

    Parameters
    ----------
    prices : one column a symbol, one row a closed bar, oldest first, > 0; NaN where a symbol has none

    Raises
    ------
    InputError
        Fewer than two rows, or a price <= 0 or infinite.
    """
    symbols = tuple(map(str, prices.columns))
    values = prices.to_numpy(np.float64)
    bad = np.argwhere((values <= 0) | np.isinf(values))
    if bad.size:
        row, column = bad[0]
        raise InputError(f"prices must be > 0, {symbols[column]} was {values[row, column]:g} in row {row}", "prices")
    if values.shape[0] < 2:
        raise InputError(f"prices must have at least two rows, had {values.shape[0]}", "prices")
    return _of_returns(symbols, np.diff(np.log(values), axis=0))


def correlation_by_timeframe(closes: pd.DataFrame, timeframes: Iterable[str]) -> TimeframeCorrelation:
    """The correlation matrix at each timeframe, from closes of bars of one base timeframe.

    The close of a wide bar, aligned to the epoch, is that of the narrow bar which ends with it: where that one is
    not there (not closed yet, or missing) the wide bar has no close. Nothing later is used, and the wide bar that
    still forms is left out.

    Parameters
    ----------
    closes : closed bars only; index their open times, UTC, increasing; columns symbols; NaN where a symbol has none
    timeframes : multiples of the base, which is the smallest distance in the index

    Raises
    ------
    InputError
    TimeframeError
        A timeframe cannot be read or is not a multiple of the base.
    """
    timeframes = tuple(timeframes)
    matrices = tuple(correlation_matrix(wide_closes(closes, timeframe_us(timeframe))) for timeframe in timeframes)
    return TimeframeCorrelation(tuple(map(str, closes.columns)), timeframes, matrices)


def wide_closes(closes: pd.DataFrame, width_us: int) -> pd.DataFrame:
    """Closes of wider bars, aligned to the epoch, from those of narrow ones, units of the data.

    One row for each wide bar from the first to the last that closed, two at least; NaN where the narrow bar that
    ends with it is missing.

    Parameters
    ----------
    closes : as `correlation_by_timeframe` takes them
    width_us : a multiple of the base, microseconds

    Raises
    ------
    InputError
    TimeframeError
        Not a multiple of the base.
    """
    ts_us, base_us = _opens(closes)
    if width_us % base_us:
        base, was = (f"{width / US_PER_S:g}s" for width in (base_us, width_us))
        raise TimeframeError(f"timeframe must be a multiple of {base}, was {was}", "timeframes")
    return _wide(closes, ts_us + base_us, width_us)


def alike(correlation: np.ndarray) -> np.ndarray:
    """Positions in an order that puts series which move alike beside each other, shape (n,).

    Average linkage on the distances 1 - correlation, leaves in the order of the least sum of neighbours' distances.
    An unknown correlation counts as 0. Of the two directions it is the one that has the first series in its first half.

    References
    ----------
    Z. Bar-Joseph, D. K. Gifford and T. S. Jaakkola, Bioinformatics 17 (2001), on the order of the leaves.
    """
    if len(correlation) < 3:
        return np.arange(len(correlation))
    distance = 1 - np.nan_to_num((correlation + correlation.T) / 2)
    np.fill_diagonal(distance, 0.0)
    near = squareform(np.maximum(distance, 0.0), checks=False)
    order: np.ndarray = leaves_list(linkage(near, "average", optimal_ordering=True))
    return order[::-1] if 2 * int(np.flatnonzero(order == 0)[0]) >= order.size else order


def rolling_correlations(y: np.ndarray, x: np.ndarray, windows: Iterable[int]) -> np.ndarray:
    """Pearson correlation over each of several windows, shape (windows, n): NaN until a window is full.

    Raises
    ------
    InputError
    """
    return np.stack([rolling_correlation(y, x, window) for window in windows])


def _of_returns(symbols: tuple[str, ...], returns: np.ndarray) -> CorrelationMatrix:
    """Of returns with holes, shape (rows, n)."""
    present = np.isfinite(returns)
    scaled = _scaled(returns, present)
    whole = _moments(scaled, present)
    n_obs = np.rint(whole[0]).astype(np.int64)
    correlation = np.where(n_obs >= MIN_OBS, np.clip(_steady(whole), -1.0, 1.0), np.nan)
    low, high = _intervals(scaled, present, whole, correlation)
    known = np.isfinite(np.diagonal(correlation))
    np.fill_diagonal(correlation, np.where(known, 1.0, np.nan))
    return CorrelationMatrix(symbols, correlation, low, high, n_obs)


def _intervals(
    scaled: np.ndarray, present: np.ndarray, whole: np.ndarray, correlation: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Both ends for every pair; one block's sums are held at a time, so that memory does not grow with blocks."""
    with np.errstate(divide="ignore", invalid="ignore"):
        z = np.arctanh(np.where(np.abs(correlation) < 1 - SAME, correlation, np.nan))
        squares, blocks = np.zeros_like(z), np.zeros_like(z)
        for rows in _row_blocks(len(scaled)):
            sums = _moments(scaled[rows], present[rows])
            moved = np.arctanh(from_moments(whole - sums)) - z
            squares += np.where(sums[0] > 0, moved * moved, 0.0)
            blocks += sums[0] > 0
        low, high = spread(z, squares, blocks)
    enough = (blocks >= LEAST_BLOCKS) & np.isfinite(squares)
    return np.where(enough, low, np.nan), np.where(enough, high, np.nan)


def _row_blocks(rows: int) -> Iterator[slice]:
    """Blocks of rows, as `pearson` cuts them."""
    starts = block_starts(rows).tolist()
    return (slice(low, high) for low, high in zip(starts, [*starts[1:], rows], strict=True))


def _steady(sums: np.ndarray) -> np.ndarray:
    """`from_moments`, NaN where a symbol does not move over a pair's common rows."""
    n, sy, sx, syy, sxx, _ = sums
    with np.errstate(divide="ignore", invalid="ignore"):
        moves = (syy - sy * sy / n > FLAT * syy) & (sxx - sx * sx / n > FLAT * sxx)
    return np.where(moves, from_moments(sums), np.nan)


def _moments(scaled: np.ndarray, present: np.ndarray) -> np.ndarray:
    """n, sum y, sum x, sum yy, sum xx, sum yx of each pair (row symbol y, column symbol x), shape (6, n, n)."""
    there = present.astype(np.float64)
    count, sums, squares = there.T @ there, scaled.T @ there, (scaled * scaled).T @ there
    return np.stack((count, sums, sums.T, squares, squares.T, scaled.T @ scaled))


def _scaled(returns: np.ndarray, present: np.ndarray) -> np.ndarray:
    """Each column without its mean and by its largest move, 0 where absent: sums keep their digits."""
    count = np.maximum(present.sum(axis=0), 1)
    moves = np.where(present, returns, 0.0)
    moves = np.where(present, moves - moves.sum(axis=0) / count, 0.0)
    largest = np.abs(moves).max(axis=0)
    return moves / np.where(largest > 0, largest, 1.0)


def _opens(closes: pd.DataFrame) -> tuple[np.ndarray, int]:
    """Open times, microseconds, and the width of the bars."""
    if not isinstance(closes.index, pd.DatetimeIndex) or closes.index.tz is None:
        raise InputError("closes must have an index of times in UTC", "closes")
    ts_us = closes.index.as_unit("us").asi8
    if ts_us.size < 2 or (np.diff(ts_us) <= 0).any():
        raise InputError("closes must have at least two rows at increasing times", "closes")
    return ts_us, int(np.diff(ts_us).min())


def _wide(closes: pd.DataFrame, ends_us: np.ndarray, wide_us: int) -> pd.DataFrame:
    """One row for each wide bar from the first to the last that closed, NaN where its close is missing."""
    last = np.flatnonzero(ends_us % wide_us == 0)
    number = ends_us[last] // wide_us
    size = int(number[-1] - number[0]) + 1 if last.size else 0
    values = np.full((max(size, 2), closes.shape[1]), np.nan)
    if last.size:
        values[number - number[0]] = closes.to_numpy(np.float64)[last]
    return pd.DataFrame(values, columns=closes.columns)
