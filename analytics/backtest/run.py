"""`backtest`: from closes to trades, equity and what is said of them."""

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd

from analytics.backtest.bars import Bars, Funding, bars_of
from analytics.backtest.figures import bars_per_year, returns, tally_all
from analytics.backtest.guard import LookAhead, cuts_after, look_ahead
from analytics.backtest.life import NOTHING, half_lives, half_lives_beyond
from analytics.backtest.loop import C_AT, C_UNTIL, Money, Rule, Use, trade
from analytics.backtest.params import BacktestParams
from analytics.backtest.trades import Metrics, metrics, trade_table
from analytics.pair.path import scored_path
from utils.errors import DegenerateSeries, TooFewObservations


@dataclass(frozen=True, slots=True, eq=False)
class Path:
    """What the rule and the legs follow, one value a bar."""

    hedge_ratio: np.ndarray  # of the regression: of logarithms it is an elasticity
    zscore: np.ndarray
    units: np.ndarray  # units of x per unit of y
    start: int  # first bar with a z-score


@dataclass(frozen=True, slots=True, eq=False)
class Run:
    """What the loop leaves."""

    path: Path
    position: np.ndarray
    equity: np.ndarray
    rows: np.ndarray
    use: Use

    @property
    def decisions(self) -> np.ndarray:
        """Bars at whose close a trade was decided on, entries first."""
        decided = np.concatenate((self.rows[:, C_AT], self.rows[:, C_UNTIL]))
        return decided[decided >= 0].astype(np.int64)

    @property
    def series(self) -> dict[str, np.ndarray]:
        """All that is said of each bar."""
        found = {"hedge_ratio": self.path.hedge_ratio, "zscore": self.path.zscore}
        return found | {"position": self.position, "equity": self.equity}


@dataclass(frozen=True, slots=True, eq=False)
class BacktestResult:
    """A run of the rule over the past; arrays have one value a bar of the run, oldest first."""

    params: BacktestParams
    n_obs: int  # bars of the run
    start: int  # first bar with a z-score: figures begin there
    index: np.ndarray  # of each bar in what was given
    ts_us: np.ndarray | None
    complete: np.ndarray
    y: np.ndarray  # prices
    x: np.ndarray
    hedge_ratio: np.ndarray
    zscore: np.ndarray
    position: np.ndarray  # int8: decided at the close of bar t, filled at that of t + 1
    equity: np.ndarray  # at each close, open positions at their worth there
    trades: pd.DataFrame  # a row a trade, oldest first
    metrics: Metrics
    look_ahead: LookAhead

    @property
    def drawdown(self) -> np.ndarray:
        """Fall from the highest equity so far, share of it, shape (n,); 0 at a peak, 1 where nothing is left."""
        return np.minimum(1 - self.equity / np.maximum.accumulate(self.equity), 1.0)

    @property
    def returns(self) -> np.ndarray:
        """Return of each bar after `start`: change over the capital, or over the equity before where it compounds."""
        return returns(self.equity[self.start :], self.params.capital, self.params.compound)

    @property
    def coverage(self) -> float:
        """Share of the bars that are complete."""
        return float(self.complete.mean())

    def frame(self) -> pd.DataFrame:
        """One row a bar: times where known, prices, hedge ratio, z-score, position, equity, drawdown, complete."""
        columns: dict[str, np.ndarray] = {} if self.ts_us is None else {"ts_us": self.ts_us}
        columns |= {"y": self.y, "x": self.x, "hedge_ratio": self.hedge_ratio, "zscore": self.zscore}
        columns |= {"position": self.position, "equity": self.equity, "drawdown": self.drawdown}
        return pd.DataFrame(columns | {"complete": self.complete})

    def as_dict(self) -> dict[str, Any]:
        """Parameters, figures and the check for looking ahead, ready for JSON: None for undefined and infinite."""
        body = {"params": asdict(self.params), "metrics": asdict(self.metrics), "look_ahead": asdict(self.look_ahead)}
        body |= {"bars": {"n_obs": self.n_obs, "start": self.start, "coverage": self.coverage}}
        return {name: {key: _plain(value) for key, value in part.items()} for name, part in body.items()}


def backtest(
    y: np.ndarray,
    x: np.ndarray,
    params: BacktestParams | None = None,
    *,
    ts_us: np.ndarray | None = None,
    complete: np.ndarray | None = None,
    funding: Funding | None = None,
) -> BacktestResult:
    """The mean-reversion rule on a pair, traded over the past: decided at the close of t, filled at that of t + 1.

    Ratio and z-score are those that `analyse_pair` shows, decisions those of `mean_reversion_signal`. A long spread
    buys q units of y and sells q hedge_ratio units of x (log prices: q hedge_ratio y / x), with q so that both legs
    together are worth leverage x capital at the close of the decision. A position open at the end stays open.

    Parameters
    ----------
    y, x : closes of closed bars on one grid, shape (n,), oldest first, > 0; leading NaN are left out
    params : BacktestParams() by default
    ts_us : opens of the bars, microseconds; without them nothing is told per year
    complete : whether each bar is without known loss; all are by default
    funding : rates per 8 hours of y and of x, one number or one a bar each, positive where a long position pays

    Raises
    ------
    TooFewObservations
        No bar has a z-score yet.
    DegenerateSeries, InputError
    """
    params = params or BacktestParams()
    bars = bars_of(y, x, params, ts_us, complete, funding)
    run = run_of(bars, params)
    entries = run.rows[:, C_AT].astype(np.int64)
    lives = half_lives(bars.in_y, bars.in_x, entries, params.half_life_bars)
    known = bars.complete, bars.ts_us, params.latency_bars
    table = trade_table(run.rows, bars.n, run.path.zscore, lives, *known)
    start = run.path.start
    sums, per_year = tally_all(run.equity, start, params.capital, params.compound), bars_per_year(bars.ts_us)
    return BacktestResult(
        params=params,
        n_obs=bars.n,
        start=start,
        index=bars.index,
        ts_us=bars.ts_us,
        complete=bars.complete,
        y=bars.y,
        x=bars.x,
        hedge_ratio=run.path.hedge_ratio,
        zscore=run.path.zscore,
        position=run.position,
        equity=run.equity,
        trades=table,
        metrics=metrics(table, sums, run.use, params.capital, per_year, funding is not None),
        look_ahead=checked(bars, params, run),
    )


def run_of(bars: Bars, params: BacktestParams) -> Run:
    """The path and what the rule makes of it.

    Raises
    ------
    TooFewObservations, DegenerateSeries
    """
    path = path_of(bars, params)
    life = life_of(bars, params, path.zscore)
    return traded(bars, params, path, life, path.start)


def path_of(bars: Bars, params: BacktestParams) -> Path:
    """Ratio and z-score of every bar, each from the bars up to it.

    Raises
    ------
    TooFewObservations, DegenerateSeries
    """
    fits, (_, _, zscore), _ = scored_path(bars.in_y, bars.in_x, bars.numbers, params.pair)
    known = np.flatnonzero(np.isfinite(zscore))
    if not known.size and bars.n < params.pair.warm_up:
        raise TooFewObservations(have=bars.n, need=params.pair.warm_up)
    if not known.size:
        raise DegenerateSeries(f"no bar has a z-score with method {params.method}, window {params.window}")
    units = fits.hedge_ratio * bars.y / bars.x if params.log_prices else fits.hedge_ratio
    return Path(fits.hedge_ratio, np.ascontiguousarray(zscore), np.ascontiguousarray(units), int(known[0]))


def life_of(bars: Bars, params: BacktestParams, zscore: np.ndarray) -> np.ndarray:
    """Half-lives that a time stop asks for; empty without one."""
    if math.isinf(params.time_stop):
        return NOTHING
    return half_lives_beyond(bars.in_y, bars.in_x, zscore, params.entry_z, params.half_life_bars)


def traded(bars: Bars, params: BacktestParams, path: Path, life: np.ndarray, start: int) -> Run:
    """The loop over a path, from the close of bar `start` on."""
    position, equity = np.empty(bars.n, np.int8), np.empty(bars.n)
    given = bars.y, bars.x, path.units, bars.rates, path.zscore, life, start
    rows, use = trade(*given, rule_of(params, bars.n), money_of(params), position, equity)
    return Run(path, position, equity, rows, use)


def rule_of(params: BacktestParams, flatten: int) -> Rule:
    """The rule in plain numbers. flatten: the close from which on nothing is held."""
    limits = float(params.entry_z), float(params.exit_z), float(params.stop_z), float(params.time_stop)
    return Rule(*limits, params.reentry == "free", flatten)


def money_of(params: BacktestParams) -> Money:
    """Sizes and costs in plain numbers."""
    slip_y, slip_x = params.slippage_bps
    return Money(
        capital=float(params.capital),
        leverage=float(params.leverage),
        compound=bool(params.compound),
        lot_y=float(params.lot_y),
        lot_x=float(params.lot_x),
        fee=params.fee_bps / 10_000,
        slip_y=slip_y / 10_000,
        slip_x=slip_x / 10_000,
        latency=int(params.latency_bars),
        rolled=params.hedge == "rolled",
        roll_share=float(params.roll_share),
    )


def checked(bars: Bars, params: BacktestParams, run: Run) -> LookAhead:
    """Whether the run looks ahead."""
    cuts = cuts_after(run.decisions, run.path.start + 1, bars.n)
    return look_ahead(lambda end: run_of(bars.between(0, end), params).series, run.series, cuts)


def _plain(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value
