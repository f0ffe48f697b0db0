"""Many parameters on the same bars: paths once, then the loop for each pair of thresholds."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from analytics.backtest.bars import Bars
from analytics.backtest.figures import NO_EDGES, Tally, bars_per_year, moments, tally
from analytics.backtest.guard import LookAhead, cuts_after, look_ahead
from analytics.backtest.life import NOTHING, half_lives_beyond
from analytics.backtest.loop import (
    C_ENTRY,
    C_EXIT,
    C_FEES,
    C_FUNDING,
    C_GROSS_X,
    C_GROSS_Y,
    C_SLIPPAGE,
    C_TRADED,
    COLUMNS,
    Money,
    Rule,
    account,
    decide,
)
from analytics.backtest.params import BacktestParams
from analytics.backtest.run import Path, money_of, path_of, rule_of, run_of, traded
from utils.compiled import compiled
from utils.errors import InputError


class Axes(NamedTuple):
    """What is tried: every combination with exit_z < entry_z < stop_z."""

    method: tuple[str, ...]
    window: tuple[int, ...]
    entry_z: tuple[float, ...]
    exit_z: tuple[float, ...]

    @property
    def shape(self) -> tuple[int, int, int, int]:
        return len(self.method), len(self.window), len(self.entry_z), len(self.exit_z)


class Pair(NamedTuple):
    """Thresholds of a trial and their places in the axes."""

    entry_at: int
    exit_at: int
    entry_z: float
    exit_z: float


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
    if not pairs_of(axes, params):
        raise InputError(f"no entry_z lies above an exit_z and below the stop_z of {params.stop_z:g}", "entry_z")
    for name in axes.method:
        for bars in axes.window:
            replace(params, method=name, window=bars)  # checks them
    return axes


def least_of(params: BacktestParams, axes: Axes) -> BacktestParams:
    """What the bars are checked for: the shortest window."""
    return replace(params, method=axes.method[0], window=axes.window[0])


def pairs_of(axes: Axes, params: BacktestParams) -> list[Pair]:
    """The thresholds that make a rule, and their places."""
    return [
        Pair(i, j, entry, leave)
        for i, entry in enumerate(axes.entry_z)
        for j, leave in enumerate(axes.exit_z)
        if 0 <= leave < entry < params.stop_z
    ]


def unit_of(bars: Bars, params: BacktestParams, axes: Axes, at: tuple[int, int]) -> Unit:
    """The path of one method and window.

    Raises
    ------
    TooFewObservations, DegenerateSeries
    """
    pair = pairs_of(axes, params)[0]
    params = replace(params, method=axes.method[at[0]], window=axes.window[at[1]])
    params = replace(params, entry_z=pair.entry_z, exit_z=pair.exit_z)
    path, life = path_of(bars, params), NOTHING
    if not math.isinf(params.time_stop):
        life = half_lives_beyond(bars.in_y, bars.in_x, path.zscore, min(axes.entry_z), params.half_life_bars)
    full = traded(bars, params, path, life, path.start)
    cuts = cuts_after(full.decisions, path.start + 1, bars.n)[-1:]
    guard = look_ahead(lambda end: run_of(bars.between(0, end), params).series, full.series, cuts)
    return Unit(at, params, path, life, guard)


class Attempt(NamedTuple):
    """What the compiled part leaves of a trial."""

    bars: float  # and the rest of its `Tally`
    first: float
    second: float
    third: float
    fourth: float
    below: float
    drawdown: float
    drawdown_bars: float
    market_bars: float
    closed: float
    wins: float
    won: float
    lost: float
    traded: float
    net: float


class Scratch(NamedTuple):
    """Arrays that trials fill one after the other: fresh memory would cost more than the loop."""

    position: np.ndarray
    equity: np.ndarray
    events: np.ndarray
    rows: np.ndarray
    spans: np.ndarray


@compiled
def attempts(
    y: np.ndarray,
    x: np.ndarray,
    units: np.ndarray,
    rates: np.ndarray,
    zscore: np.ndarray,
    life: np.ndarray,
    limits: np.ndarray,
    rule: Rule,
    money: Money,
    scratch: Scratch,
    edges: np.ndarray,
    sums: np.ndarray,
    found: np.ndarray,
) -> None:
    """Runs of which only the figures are kept, one after the other without the interpreter in between.

    Parameters
    ----------
    limits : entry_z and exit_z of each trial, shape (k, 2)
    edges, sums : of `tally`, the latter of each trial, shape (k, blocks, 2)
    found : fields of `Attempt` of each trial, shape (k, fields), is filled
    """
    for k in range(limits.shape[0]):
        tried = Rule(limits[k, 0], limits[k, 1], rule.stop_z, rule.time_stop, rule.free, rule.flatten)
        count = decide(zscore, life, 0, tried, scratch.position, scratch.events)
        made, use = account(y, x, units, rates, 0, money, scratch.events[:count], scratch.equity, scratch.rows)
        closed, wins, won, lost, traded = _counted(scratch.rows[:made], scratch.spans, y.size - 1, money.latency)
        spans = scratch.spans[:made]
        told = tally(scratch.equity, 0, spans, money.capital, money.compound, edges, sums[k])
        row = found[k]  # in the order of `Attempt`
        row[0], row[1], row[2], row[3], row[4] = told.bars, told.first, told.second, told.third, told.fourth
        row[5], row[6], row[7], row[8] = told.below, told.drawdown, told.drawdown_bars, use.market_bars
        row[9], row[10], row[11], row[12], row[13] = closed, wins, won, lost, traded
        row[14] = scratch.equity[-1] - money.capital


@compiled
def _counted(rows: np.ndarray, spans: np.ndarray, last: int, latency: int) -> tuple[int, int, float, float, float]:
    """Closed trades, winners, what was won, lost and traded. Fills the first and last bar of each trade."""
    closed, wins, won, lost, traded = 0, 0, 0.0, 0.0, 0.0
    for i in range(rows.shape[0]):
        row = rows[i]
        spans[i, 0], spans[i, 1] = row[C_ENTRY], last
        traded += row[C_TRADED]
        if row[C_EXIT] < 0:
            continue
        spans[i, 1] = row[C_EXIT] + latency
        net = row[C_GROSS_Y] + row[C_GROSS_X] - row[C_FEES] - row[C_SLIPPAGE] - row[C_FUNDING]
        closed, wins = closed + 1, wins + (net > 0.0)
        won, lost = won + max(net, 0.0), lost - min(net, 0.0)
    return closed, wins, won, lost, traded


class Ground:
    """Where the trials of one thread run: bars from a first to a last one, and arrays that are used again."""

    def __init__(self, bars: Bars, params: BacktestParams, start: int, end: int, flat: bool) -> None:
        """params : thresholds aside; flat : whether nothing may be held at the last bar."""
        self._bars, self._some = bars.between(start, end), slice(start, end)
        flatten = end - start - 2 - params.latency_bars if flat else end - start
        self._rule, self._money = rule_of(params, flatten), money_of(params)
        self._per_year = bars_per_year(bars.ts_us)
        self._scratch = _scratch(end - start)

    @property
    def equity(self) -> np.ndarray:
        """At each bar, of the newest trial; the next one overwrites it."""
        return self._scratch.equity

    def figures(
        self, unit: Unit, pairs: Sequence[Pair], edges: np.ndarray = NO_EDGES, sums: np.ndarray | None = None
    ) -> list[Figures]:
        """Of each trial. edges, sums : blocks of bars, counted from the first, and zeros for their sums."""
        bars, path = self._bars, unit.path
        given = bars.y, bars.x, path.units[self._some], bars.rates, path.zscore[self._some], unit.life[self._some]
        limits = np.array([(pair.entry_z, pair.exit_z) for pair in pairs])
        sums = np.zeros((len(pairs), edges.size - 1, 2)) if sums is None else sums
        found = np.empty((len(pairs), len(Attempt._fields)))
        attempts(*given, limits, self._rule, self._money, self._scratch, edges, sums, found)
        return [_figures(Attempt(*row), self._money.capital, self._per_year) for row in found.tolist()]


def _scratch(n: int) -> Scratch:
    """For n bars; no close enters twice. What no trade reaches is never touched."""
    events, spans = np.empty((n, 4), np.int64), np.empty((n, 2), np.int64)
    return Scratch(np.empty(n, np.int8), np.empty(n), events, np.empty((n, len(COLUMNS))), spans)


def _figures(found: Attempt, capital: float, per_year: float) -> Figures:
    told = Tally(int(found.bars), *found[1:7], int(found.drawdown_bars))
    values = moments(told)
    return Figures(
        net=found.net,
        trades=found.closed,
        sharpe=values.sharpe * math.sqrt(per_year),
        sharpe_bar=values.sharpe,
        skew=values.skew,
        kurtosis=values.kurtosis,
        max_drawdown=told.drawdown if told.bars else math.nan,
        win_rate=found.wins / found.closed if found.closed else math.nan,
        profit_factor=found.won / found.lost if found.lost > 0 else math.nan,
        exposure=found.market_bars / told.bars if told.bars else math.nan,
        turnover=found.traded / capital,
    )
