"""How far chance alone moves the figures of a run: bands by resampling its own returns."""

import math
from dataclasses import dataclass

import numpy as np
from arch.bootstrap import StationaryBootstrap, optimal_block_length

from analytics.backtest.params import BacktestParams
from analytics.backtest.run import BacktestResult
from utils.errors import DegenerateSeries, InputError, TooFewObservations

PIECES = 1_000  # of the bars: resampled are sums over pieces, so that the cost does not grow with the bars
FEWEST = 50  # bars


@dataclass(frozen=True, slots=True, eq=False)
class Bands:
    """Ends of the bands of a run's figures, each (low, high)."""

    level: float  # share of the resamples inside
    net: tuple[float, float]  # quote currency
    sharpe: tuple[float, float]  # of a year, as in Metrics; NaN where the times of bars are not known
    sharpe_bar: tuple[float, float]
    max_drawdown: tuple[float, float]  # share of the peak, at most 1, as in Metrics
    bars: np.ndarray  # of the run at which equity is told
    equity_low: np.ndarray  # at each of them, by itself
    equity_high: np.ndarray
    block_bars: float  # mean length of the blocks
    resamples: int


def bands(
    result: BacktestResult, level: float = 0.95, resamples: int = 1_000, block_bars: float | None = None, seed: int = 1
) -> Bands:
    """Bands of net, Sharpe ratio, drawdown and equity by the stationary bootstrap of the run's own returns.

    Blocks of random length keep what memory the returns have. Their mean length is that of Politis and White, but not
    less than two holdings. What has lost all trades no more, as in the run: it stays with what it owes. Bands say how
    uncertain the figures of this rule on such a past are; not that the past will last, nor that the rule was chosen
    for it.

    Parameters
    ----------
    result : of a run with a trade
    level : share inside
    resamples : >= 100
    block_bars : mean length of a block; None finds it
    seed : of the resamples

    Raises
    ------
    InputError, TooFewObservations, DegenerateSeries

    References
    ----------
    D. N. Politis and J. P. Romano, JASA 89 (1994); D. N. Politis and H. White, Econometric Reviews 23 (2004).
    """
    if not 0 < level < 1:
        raise InputError(f"level must be between 0 and 1, was {level:g}", "level")
    if resamples < 100:
        raise InputError(f"resamples must be >= 100, was {resamples}", "resamples")
    values = result.returns
    if values.size < FEWEST:
        raise TooFewObservations(have=values.size, need=FEWEST)
    if not values.any():
        raise DegenerateSeries("nothing was traded: there is nothing to resample")
    per_piece = max(1, math.ceil(values.size / PIECES))
    starts = np.arange(0, values.size, per_piece)
    pieces = _pieces(values, starts, result.params.compound)
    length = _block(pieces[:, 1], result, per_piece) if block_bars is None else block_bars / per_piece
    if not length > 0:
        raise InputError(f"block_bars must be > 0, was {block_bars}", "block_bars")
    ends = np.minimum(starts + per_piece, values.size) + result.start
    whole = max(1, round(length))
    drawn = StationaryBootstrap(whole, pieces, seed=np.random.default_rng(seed))
    samples = np.stack([sample[0][0] for sample in drawn.bootstrap(resamples)])
    return _bands(samples, values.size, result, level, ends, whole, per_piece)


def _pieces(values: np.ndarray, starts: np.ndarray, compound: bool) -> np.ndarray:
    """Growth, sum of returns and sum of their squares over each piece, shape (pieces, 3)."""
    sums = np.add.reduceat(values, starts)
    growth = np.multiply.reduceat(1 + values, starts) - 1 if compound else sums
    return np.stack((growth, sums, np.add.reduceat(values * values, starts)), axis=1)


def _block(pieces: np.ndarray, result: BacktestResult, per_piece: int) -> float:
    """Mean length of a block, in pieces."""
    found = float(optimal_block_length(pieces)["stationary"].iloc[0])
    held = result.metrics.mean_bars
    least = 2 * held / per_piece if math.isfinite(held) else 1.0
    return min(max(found if math.isfinite(found) else 1.0, least, 1.0), pieces.size / 3)


def _bands(
    samples: np.ndarray, n: int, result: BacktestResult, level: float, ends: np.ndarray, block: int, per_piece: int
) -> Bands:
    """samples: of `_pieces`, shape (resamples, pieces, 3); block: mean length, in pieces."""
    capital, steps = result.params.capital, samples[:, :, 0]
    grown = np.cumprod(1 + steps, axis=1) if result.params.compound else 1 + np.cumsum(steps, axis=1)
    equity = capital * np.concatenate((np.ones((len(grown), 1)), _ended(grown, result.params, per_piece)), axis=1)
    fallen = np.minimum(1 - equity / np.maximum.accumulate(equity, axis=1), 1.0)
    mean, square = samples[:, :, 1].sum(axis=1) / n, samples[:, :, 2].sum(axis=1) / n
    with np.errstate(divide="ignore", invalid="ignore"):
        sharpe = mean / np.sqrt((square - mean * mean) * n / (n - 1))
    known = result.metrics
    year = known.sharpe / known.sharpe_bar if known.sharpe_bar else math.nan
    edges = [(1 - level) / 2, (1 + level) / 2]
    low, high = np.quantile(equity[:, 1:], edges, axis=0)
    per_bar = _pair(sharpe, edges)
    return Bands(
        level=level,
        net=_pair(equity[:, -1] - capital, edges),
        sharpe=(per_bar[0] * year, per_bar[1] * year),
        sharpe_bar=per_bar,
        max_drawdown=_pair(fallen.max(axis=1), edges),
        bars=ends,
        equity_low=low,
        equity_high=high,
        block_bars=float(block * per_piece),
        resamples=len(samples),
    )


def _ended(grown: np.ndarray, params: BacktestParams, per_piece: int) -> np.ndarray:
    """Each resample up to the fills that follow the loss of all, and from then on what is left or owed.

    grown : equity over the capital, shape (resamples, pieces). Returns that compound are 0 after the loss.
    """
    late = 0 if params.compound else (1 + params.latency_bars) // per_piece
    lost = grown <= 0
    last = np.where(lost.any(axis=1), lost.argmax(axis=1) + late, grown.shape[1] - 1)[:, None]
    return np.take_along_axis(grown, np.minimum(np.arange(grown.shape[1]), last), axis=1)


def _pair(values: np.ndarray, edges: list[float]) -> tuple[float, float]:
    low, high = np.nanquantile(values, edges).tolist()
    return low, high
