"""Many parameters on the same bars: paths once, then the loop for each pair of thresholds."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from analytics.backtest.bars import Bars
from analytics.backtest.figures import Tally, block_sums, moments, tally
from analytics.backtest.guard import LookAhead, cuts_after, look_ahead
from analytics.backtest.life import NOTHING, half_lives_beyond
from analytics.backtest.loop import (
    C_EXIT,
    C_FEES,
    C_FUNDING,
    C_GROSS_X,
    C_GROSS_Y,
    C_SLIPPAGE,
    C_TRADED,
    Money,
    Rule,
    Use,
    trade,
)
from analytics.backtest.params import BacktestParams
from analytics.backtest.run import Path, money_of, path_of, rule_of, run_of, traded
from utils.compiled import compiled
from utils.errors import InputError

NO_EDGES = np.zeros(1, np.int64)


class Axes(NamedTuple):
    """What is tried: every combination with exit_z < entry_z < stop_z."""

    method: tuple[str, ...]
    window: tuple[int, ...]
    entry_z: tuple[float, ...]
    exit_z: tuple[float, ...]

    @property
    def shape(self) -> tuple[int, int, int, int]:
        return len(self.method), len(self.window), len(self.entry_z), len(self.exit_z)


@dataclass(frozen=True, slots=True)
class Figures:
    """What is said of one trial; NaN where there is not enough to say."""

    net: float = math.nan
    trades: float = math.nan  # closed ones
    sharpe: float = math.nan  # of a year
    sharpe_bar: float = math.nan
    skew: float = math.nan
    kurtosis: float = math.nan
    max_drawdown: float = math.nan
    win_rate: float = math.nan
    profit_factor: float = math.nan
    exposure: float = math.nan
    turnover: float = math.nan


@dataclass(frozen=True, slots=True, eq=False)
class Unit:
    """One method and window: its path, and whether it looks ahead."""

    at: tuple[int, int]  # in the axes
    params: BacktestParams
    path: Path
    life: np.ndarray
    guard: LookAhead


def axes_of(
    params: BacktestParams,
    method: Sequence[str] | None,
    window: Sequence[int] | None,
    entry_z: Sequence[float] | None,
    exit_z: Sequence[float] | None,
) -> Axes:
    """The axes, ascending; those not given have the one value of params.

    Raises
    ------
    InputError
        A value is out of its limits, or no combination is within them.
    """
    given = {"method": method, "window": window, "entry_z": entry_z, "exit_z": exit_z}
    values: dict[str, Any] = {name: [getattr(params, name)] if part is None else part for name, part in given.items()}
    for name, part in values.items():
        if not len(part):
            raise InputError(f"{name} needs a value", name)
    axes = Axes(
        method=tuple(dict.fromkeys(values["method"])),
        window=tuple(sorted({int(value) for value in values["window"]})),
        entry_z=tuple(sorted({float(value) for value in values["entry_z"]})),
        exit_z=tuple(sorted({float(value) for value in values["exit_z"]})),
    )
    if not any(pairs_of(axes, params)):
        raise InputError(f"no entry_z lies above an exit_z and below the stop_z of {params.stop_z:g}", "entry_z")
    for name in axes.method:
        for bars in axes.window:
            replace(params, method=name, window=bars)  # checks them
    return axes


def least_of(params: BacktestParams, axes: Axes) -> BacktestParams:
    """What the bars are checked for: the shortest window."""
    return replace(params, method=axes.method[0], window=axes.window[0])


def pairs_of(axes: Axes, params: BacktestParams) -> Iterator[tuple[int, int, BacktestParams]]:
    """Places of the thresholds that make a rule, and the parameters with them."""
    for i, entry in enumerate(axes.entry_z):
        for j, leave in enumerate(axes.exit_z):
            if 0 <= leave < entry < params.stop_z:
                yield i, j, replace(params, entry_z=entry, exit_z=leave)


def unit_of(bars: Bars, params: BacktestParams, axes: Axes, at: tuple[int, int]) -> Unit:
    """The path of one method and window.

    Raises
    ------
    TooFewObservations, DegenerateSeries
    """
    thresholds = next(pairs_of(axes, params))[2]
    params = replace(thresholds, method=axes.method[at[0]], window=axes.window[at[1]])
    path, life = path_of(bars, params), NOTHING
    if not math.isinf(params.time_stop):
        life = half_lives_beyond(bars.in_y, bars.in_x, path.zscore, min(axes.entry_z), params.half_life_bars)
    full = traded(bars, params, path, life, path.start)
    cuts = cuts_after(full.decisions, path.start + 1, bars.n)[-1:]
    guard = look_ahead(lambda end: run_of(bars.between(0, end), params).series, full.series, cuts)
    return Unit(at, params, path, life, guard)


class Attempt(NamedTuple):
    """What the compiled part leaves of a trial."""

    tally: Tally
    use: Use
    closed: int
    wins: int
    won: float
    lost: float
    traded: float
    net: float


@compiled
def attempt(
    y: np.ndarray,
    x: np.ndarray,
    units: np.ndarray,
    rates: np.ndarray,
    zscore: np.ndarray,
    life: np.ndarray,
    start: int,
    rule: Rule,
    money: Money,
    position: np.ndarray,
    equity: np.ndarray,
    edges: np.ndarray,
    sums: np.ndarray,
) -> Attempt:
    """A run of which only the figures are kept. edges, sums : of `block_sums`."""
    rows, use = trade(y, x, units, rates, zscore, life, start, rule, money, position, equity)
    block_sums(equity, edges, money.capital, money.compound, sums)
    closed, wins, won, lost, traded = 0, 0, 0.0, 0.0, 0.0
    for i in range(rows.shape[0]):
        row = rows[i]
        traded += row[C_TRADED]
        if row[C_EXIT] < 0:
            continue
        net = row[C_GROSS_Y] + row[C_GROSS_X] - row[C_FEES] - row[C_SLIPPAGE] - row[C_FUNDING]
        closed += 1
        wins += net > 0.0
        won, lost = won + max(net, 0.0), lost - min(net, 0.0)
    counted = tally(equity, start, money.capital, money.compound)
    return Attempt(counted, use, closed, wins, won, lost, traded, equity[-1] - money.capital)


class Ground:
    """Where the trials of one thread run: bars from a first to a last one, and arrays that are used again."""

    def __init__(self, bars: Bars, start: int, end: int, flat: bool) -> None:
        """flat: whether nothing may be held at the last bar."""
        self._bars, self._start, self._end, self._flat = bars.between(start, end), start, end, flat
        self._position, self.equity = np.empty(end - start, np.int8), np.empty(end - start)

    def figures(
        self,
        unit: Unit,
        params: BacktestParams,
        per_year: float,
        edges: np.ndarray = NO_EDGES,
        sums: np.ndarray | None = None,
    ) -> Figures:
        """Of one trial. edges, sums : blocks of bars, counted from the first, and the place for their sums."""
        bars, some = self._bars, slice(self._start, self._end)
        flatten = bars.n - 2 - params.latency_bars if self._flat else bars.n
        found = attempt(
            bars.y,
            bars.x,
            unit.path.units[some],
            bars.rates,
            unit.path.zscore[some],
            unit.life[some],
            0,
            rule_of(params, flatten),
            money_of(params),
            self._position,
            self.equity,
            edges,
            np.empty((edges.size - 1, 2)) if sums is None else sums,
        )
        return _figures(found, params.capital, per_year)


def _figures(found: Attempt, capital: float, per_year: float) -> Figures:
    values, bars = moments(found.tally), found.tally.bars
    return Figures(
        net=found.net,
        trades=float(found.closed),
        sharpe=values.sharpe * math.sqrt(per_year),
        sharpe_bar=values.sharpe,
        skew=values.skew,
        kurtosis=values.kurtosis,
        max_drawdown=found.tally.drawdown if bars else math.nan,
        win_rate=found.wins / found.closed if found.closed else math.nan,
        profit_factor=found.won / found.lost if found.lost > 0 else math.nan,
        exposure=found.use.market_bars / bars if bars else math.nan,
        turnover=found.traded / capital,
    )
