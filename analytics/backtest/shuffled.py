"""The same rule on pairs that have all but the reversion: the returns of both legs in another order."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from analytics.backtest.bars import Bars, Funding, bars_of
from analytics.backtest.figures import moments, tally_all
from analytics.backtest.parallel import Cancel, Progress, in_threads
from analytics.backtest.params import BacktestParams
from analytics.backtest.run import run_of
from analytics.pair.analyse import in_units
from utils.errors import AnalysisError, InputError


@dataclass(frozen=True, slots=True, eq=False)
class Benchmark:
    """What the rule earns on shuffled pairs."""

    own_net: float  # on the pair itself, quote currency
    own_sharpe: float  # a bar
    net: np.ndarray  # on each shuffled pair, shape (runs,); NaN where it could not be run
    sharpe: np.ndarray
    pvalue: float  # share of shuffled pairs on which it earns as much or more; NaN where it does not trade
    block_bars: int
    cancelled: bool


def shuffled(
    y: np.ndarray,
    x: np.ndarray,
    params: BacktestParams | None = None,
    *,
    ts_us: np.ndarray | None = None,
    complete: np.ndarray | None = None,
    funding: Funding | None = None,
    runs: int = 100,
    block_bars: int = 10,
    seed: int = 1,
    threads: int = 2,
    progress: Progress | None = None,
    cancel: Cancel | None = None,
) -> Benchmark:
    """The rule on the pair, and on pairs whose log returns come in another order: blocks of bars, both legs alike.

    Correlation and volatility stay, also within blocks; what the spread remembers beyond a block is gone. Where the
    steps are independent from block to block, the pair itself is one of the shuffled ones, and the p-value,
    (1 + how many earn as much) / (1 + runs), is what it says.

    Parameters
    ----------
    y, x, params, ts_us, complete, funding : as in `backtest`
    runs : shuffled pairs, >= 1
    block_bars : >= 1; reversion faster than it survives, and is then no part of the comparison

    Raises
    ------
    TooFewObservations, DegenerateSeries, InputError
    """
    params = params or BacktestParams()
    for name, value in (("runs", runs), ("block_bars", block_bars)):
        if value < 1:
            raise InputError(f"{name} must be >= 1, was {value}", name)
    bars = bars_of(y, x, params, ts_us, complete, funding)
    net, sharpe, trades = _earned(bars, params)
    randoms = np.random.default_rng(seed).spawn(runs)
    jobs: list[Callable[[], tuple[float, float]]] = [
        partial(_on_shuffled, bars, params, block_bars, random) for random in randoms
    ]
    found = in_threads(jobs, threads, progress, cancel)
    nets, sharpes = np.array([(math.nan, math.nan) if part is None else part for part in found]).T
    known = nets[np.isfinite(nets)]
    pvalue = (1 + np.count_nonzero(known >= net)) / (1 + known.size) if trades and known.size else math.nan
    return Benchmark(net, sharpe, nets, sharpes, pvalue, block_bars, None in found)


def in_blocks(legs: np.ndarray, block_bars: int, random: np.random.Generator) -> np.ndarray:
    """Prices whose log returns are those of `legs`, shape (legs, n), with blocks in another order; the ends stay."""
    steps = np.diff(np.log(legs), axis=1)
    edges = np.arange(block_bars, steps.shape[1], block_bars)
    blocks = np.split(np.arange(steps.shape[1]), edges)
    order = np.concatenate([blocks[at] for at in random.permutation(len(blocks))])
    return legs[:, :1] * np.exp(np.concatenate((np.zeros((len(legs), 1)), steps[:, order].cumsum(axis=1)), axis=1))


def _on_shuffled(
    bars: Bars, params: BacktestParams, block_bars: int, random: np.random.Generator
) -> tuple[float, float]:
    y, x = np.ascontiguousarray(in_blocks(np.stack((bars.y, bars.x)), block_bars, random))
    in_y, in_x = in_units(y, x, params.pair)
    try:
        return _earned(replace(bars, y=y, x=x, in_y=in_y, in_x=in_x), params)[:2]
    except AnalysisError:
        return math.nan, math.nan


def _earned(bars: Bars, params: BacktestParams) -> tuple[float, float, int]:
    """Net, Sharpe ratio a bar, and number of trades."""
    run = run_of(bars, params)
    found = moments(tally_all(run.equity, run.path.start, params.capital, params.compound))
    return float(run.equity[-1] - params.capital), found.sharpe, len(run.rows)
