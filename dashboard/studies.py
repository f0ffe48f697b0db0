"""What the Advanced page looks at: one series of the pair, and studies of it, computed once for each new bar."""

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from hashlib import blake2b
from typing import TypeVar

import numpy as np

import config
from analytics.autocorrelation import MIN_OBS as MEMORY_OBS
from analytics.autocorrelation import Autocorrelation, autocorrelation
from analytics.correlation.intervals import MIN_OBS as CORRELATION_OBS
from analytics.correlation.matrix import CorrelationMatrix, alike, correlation_matrix
from analytics.correlation.surface import MAX_LAG, CorrelationSurface, correlation_surface
from analytics.descriptive import Density, Summary, density, describe, distance_ranks
from analytics.normality import MIN_OBS as FIT_OBS
from analytics.normality import QuantileLine, quantile_line
from analytics.resampling import timeframe_us
from analytics.returns import log_returns
from analytics.seasonality import Decomposition, decompose
from dashboard import formats
from dashboard.charts.base import BLOCK_BARS
from dashboard.view import SEASONS, View
from engine import Engine
from utils.clock import US_PER_S
from utils.errors import InputError, TooFewObservations
from utils.remember import Memory

BP = 10_000.0
MOST_SYMBOLS = 40  # of the heat map: more cannot be read, and cost more than a refresh may
SURFACE_BARS = 7_200  # newest closes that the surface rests on, where so many are held
SURFACE_WIDTHS = (1, 2, 5, 10, 15, 30, 60)  # times the bar width chosen
SECONDS = dict(zip(SEASONS, (60, 3_600, 86_400, 604_800), strict=True))  # of each season
LAGS = 30  # bars, of the autocorrelation
PERIODS = (4, config.CHART_BARS // 2)  # bars of a season that can be told from others and seen twice

Result = TypeVar("Result")
REMEMBERED = Memory(64)


@dataclass(frozen=True, slots=True, eq=False)
class Subject:
    """One series: a leg of the pair, or the spread."""

    name: str  # `ETHUSDT`, `spread ETH − 0.0433 BTC`
    ts_us: np.ndarray  # opens of the closed bars, shape (n,)
    levels: np.ndarray  # closes, shape (n,)
    changes: np.ndarray  # log returns in basis points, or changes of the spread in its own unit, shape (n - 1,)
    level_unit: str
    unit: str  # of the changes
    what: str  # what a change is called: `returns`, `changes`


@dataclass(frozen=True, slots=True, eq=False)
class Distribution:
    """The changes of a subject as numbers, as densities, and against two fitted distributions."""

    summary: Summary
    density: Density
    normal: QuantileLine
    student: QuantileLine


@dataclass(frozen=True, slots=True, eq=False)
class Remembering:
    """Whether changes, and their sizes, remember themselves."""

    changes: Autocorrelation
    sizes: Autocorrelation  # of the ranks of their distances from the median


def subject_of(engine: Engine, view: View) -> Subject:
    """The series that the view looks at, on its newest closed bars.

    The spread is that of the newest hedge ratio all along: what a holder of it would have seen.

    Raises
    ------
    TooFewObservations, DegenerateSeries, InputError
    """
    if view.subject == "spread":
        return _spread(engine, view)
    symbol = view.symbol_y if view.subject == "y" else view.symbol_x
    frame = engine.closes(view.timeframe, config.CHART_BARS, [symbol]).dropna()
    closes = frame[symbol].to_numpy(float)
    if closes.size < 2:
        raise TooFewObservations(have=closes.size, need=2, what="bars")
    changes = BP * log_returns(closes)
    return Subject(symbol, frame.index.asi8, closes, changes, formats.quote(symbol), "bp", "returns")


def _spread(engine: Engine, view: View) -> Subject:
    found = engine.analysis(view.symbol_y, view.symbol_x, view.timeframe, view.params)
    ratio = float(found.path.hedge_ratio[-1])
    y, x = (np.log(leg) if view.log_prices else leg for leg in (found.y, found.x))
    shown = slice(-config.CHART_BARS, None)
    levels = (y - ratio * x)[shown]
    legs = formats.base(view.symbol_y), formats.base(view.symbol_x)
    name = f"spread {legs[0]} − {formats.significant(ratio, 3)} {legs[1]}"
    unit = "log" if view.log_prices else formats.quote(view.symbol_y)
    ts_us = found.ts_us if found.ts_us is not None else np.arange(found.n_obs)
    return Subject(name, ts_us[shown], levels, np.diff(levels), unit, unit, "changes")


def distribution(subject: Subject) -> Distribution:
    """How the changes are distributed.

    Raises
    ------
    TooFewObservations, DegenerateSeries
    """
    _check_enough(subject, FIT_OBS)
    return _once(("distribution",), subject.changes, lambda: _distribution(subject.changes))


def _distribution(changes: np.ndarray) -> Distribution:
    lines = quantile_line(changes, "normal"), quantile_line(changes, "student")
    return Distribution(describe(changes), density(changes), *lines)


def remembering(subject: Subject) -> Remembering:
    """How the changes and their sizes depend on those before.

    Raises
    ------
    TooFewObservations, DegenerateSeries
    """
    _check_enough(subject, MEMORY_OBS)
    return _once(("remembering",), subject.changes, lambda: _remembering(subject.changes))


def _remembering(changes: np.ndarray) -> Remembering:
    return Remembering(autocorrelation(changes, LAGS), autocorrelation(distance_ranks(changes), LAGS))


def _check_enough(subject: Subject, need: int) -> None:
    """Said in bars, as readers wait for those."""
    if subject.changes.size < need:
        raise TooFewObservations(have=subject.levels.size, need=need + 1, what="bars")


def season_period(view: View, season: str) -> int:
    """Bars of a season, 0 where it cannot be looked at with bars of this width."""
    width_us = timeframe_us(view.timeframe)
    bars, rest = divmod(SECONDS[season] * US_PER_S, width_us)
    return bars if not rest and PERIODS[0] <= bars <= PERIODS[1] else 0


def seasons(view: View) -> list[str]:
    """The seasons that can be looked at with bars of this width, the shortest first."""
    return [season for season in SEASONS if season_period(view, season)]


def season_of(view: View) -> str:
    """The season of the view, or the nearest one that fits its bars.

    Raises
    ------
    InputError
        None fits.
    """
    fitting = seasons(view)
    if not fitting:
        low, high = PERIODS
        raise InputError(
            f"no minute, hour, day or week is {low} to {high} whole bars of {formats.timeframe(view.timeframe)}"
        )
    order = SEASONS
    return min(fitting, key=lambda season: abs(order.index(season) - order.index(view.season)))


def decomposition(subject: Subject, period: int) -> Decomposition:
    """Trend, season and rest of the levels.

    Raises
    ------
    TooFewObservations, DegenerateSeries
    """
    if subject.levels.size < 2 * period:
        raise TooFewObservations(have=subject.levels.size, need=2 * period, what="bars")
    return _once(("decomposition", period), subject.levels, lambda: decompose(subject.levels, period))


def matrix(engine: Engine, view: View) -> CorrelationMatrix:
    """Correlation of the newest returns of all symbols followed, those that move alike beside each other.

    Their order is that of some bars ago, so that it does not change with each bar.

    Raises
    ------
    TooFewObservations, InputError
    """
    closes = engine.closes(view.timeframe, config.CHART_BARS, engine.symbols[:MOST_SYMBOLS])
    if len(closes) <= CORRELATION_OBS:
        raise TooFewObservations(have=len(closes), need=CORRELATION_OBS + 1, what="bars")
    study = ("matrix", *closes.columns)
    found = _once(study, closes.to_numpy(float), lambda: correlation_matrix(closes))
    block = closes.index.asi8 // (BLOCK_BARS * timeframe_us(view.timeframe))
    settled = closes[block < block[-1]]
    if len(settled) < CORRELATION_OBS:
        return found.ordered(alike(found.correlation))
    order = _once(("order", *study), settled.to_numpy(float), lambda: alike(correlation_matrix(settled).correlation))
    return found.ordered(order)


def surface(engine: Engine, view: View) -> CorrelationSurface:
    """Correlation of the pair over bar widths and lags.

    Raises
    ------
    TooFewObservations, DegenerateSeries, InputError
    """
    if view.symbol_y == view.symbol_x:
        raise InputError(f"a pair needs two different symbols, both legs are {view.symbol_y}")
    closes = engine.closes(view.timeframe, SURFACE_BARS, [view.symbol_y, view.symbol_x]).dropna()
    base_us = timeframe_us(view.timeframe)
    widths_us = tuple(base_us * times for times in SURFACE_WIDTHS)
    need = 2 * (CORRELATION_OBS + MAX_LAG + 1)  # of the second width too: a surface has two rows at least
    if len(closes) < need + 1:
        raise TooFewObservations(have=len(closes), need=need + 1, what="bars")
    study = ("surface", widths_us, int(closes.index.asi8[0]))  # wide bars begin where the clock says
    return _once(study, closes.to_numpy(float), lambda: correlation_surface(closes, widths_us))


def _once(study: tuple[Hashable, ...], values: np.ndarray, compute: Callable[[], Result]) -> Result:
    """A study of an array, computed once for each content of it: a bar that was corrected counts as new."""
    content = blake2b(np.ascontiguousarray(values).tobytes(), digest_size=16).digest()
    return REMEMBERED.get((*study, values.shape, content), None, compute)
