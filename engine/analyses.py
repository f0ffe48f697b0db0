"""What is computed of the open market and kept: the one analysis of a pair, its signal, what newest trades say."""

import math
from collections.abc import Callable
from typing import Protocol, TypeVar

import numpy as np

import config
from analytics.correlation.lead_lag import LeadLag, lead_lag
from analytics.correlation.widths import WidthCorrelation, correlation_by_width
from analytics.microstructure import BestQuote, PairCost, pair_cost
from analytics.pair import PairAnalysis, PairParams, analyse_pair, with_forming
from analytics.readings import SIGNAL_METRICS
from analytics.signals import Signal, SignalParams, facts_of, signal, spread_volatility
from data.legs import legs, trades_of
from data.session import Session
from engine.status import symbol_status
from engine.tapes import Tapes, check_followed
from utils.clock import US_PER_S, monotonic_s
from utils.errors import AnalysisError, InputError, TooFewObservations
from utils.remember import Memory

Result = TypeVar("Result")

KEPT = 64
TRADES_SINCE_US, TRADES_LOOKED_AT = 1_800 * US_PER_S, 60_000  # newest trades of a leg that lead and lag rest on ...
TRADES_EVERY_US = 5 * US_PER_S  # ... and how often: they cost 30 ms at most


class Host(Protocol):
    """What analyses need of the engine."""

    tapes: Tapes

    @property
    def session(self) -> Session: ...
    @property
    def symbols(self) -> tuple[str, ...]: ...
    def now_us(self) -> int: ...


def bars_needed(params: PairParams) -> int:
    """Closed bars that an analysis rests on where nothing else is asked for: what the charts and the tests need."""
    return max(config.CHART_BARS + params.warm_up, params.bars)


class Analyses:
    """Those of the open market, each computed once, whoever asks; any thread may call."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._memory = Memory(KEPT)

    def clear(self) -> None:
        """Forget all: another market was opened."""
        self._memory = Memory(KEPT)

    def pair(
        self, symbol_y: str, symbol_x: str, timeframe: str, params: PairParams, bars: int | None = None
    ) -> PairAnalysis:
        """The one analysis of a pair, on its newest closed bars. See `Engine.analysis`."""
        self._check_pair(symbol_y, symbol_x)
        needed = max(bars, params.bars) if bars else bars_needed(params)
        session = self._host.session
        key = (id(session), symbol_y, symbol_x, timeframe, params, needed)
        y, x = legs(session, symbol_y, symbol_x, timeframe, needed)
        analysis = self._memory.get(
            key,
            (y.version, x.version),
            lambda: analyse_pair(y.closes, x.closes, params, ts_us=y.ts_us, complete=y.complete & x.complete),
        )
        return with_forming(analysis, y.forming, x.forming)

    def metric(self, symbol_y: str, symbol_x: str, timeframe: str, params: PairParams, name: str) -> float:
        """A metric of a pair at its newest close, as rules are judged by it; NaN where it is not known.

        Raises
        ------
        InputError
        """
        try:
            found = self.pair(symbol_y, symbol_x, timeframe, params).reading()
        except AnalysisError:
            return math.nan
        if name in SIGNAL_METRICS:
            found |= self.signal_reading(symbol_y, symbol_x, timeframe, params)
        return found.get(name, math.nan)

    def signal(
        self,
        symbol_y: str,
        symbol_x: str,
        timeframe: str,
        params: PairParams,
        rule: SignalParams,
        notional: float = config.NOTIONAL,
    ) -> Signal:
        """The signal of a pair at its newest close. See `Engine.signal`."""
        analysis = self.pair(symbol_y, symbol_x, timeframe, params)
        pair = (symbol_y, symbol_x)
        rows = symbol_status(self._host.session, monotonic_s())
        facts = facts_of(
            analysis,
            spread_volatility(analysis).ratio,
            float(np.min([self._liquidity(symbol) for symbol in pair])),
            stale=tuple(symbol for symbol in pair if symbol not in rows or rows[symbol].stale),
            open_gaps=sum(rows[symbol].gaps_open for symbol in pair if symbol in rows),
            params=rule,
            round_trip=self._round_trip(analysis, pair, notional),
        )
        return signal(analysis.path.zscore, facts, rule)

    def signal_reading(self, symbol_y: str, symbol_x: str, timeframe: str, params: PairParams) -> dict[str, float]:
        """Metrics of a pair's signal by the configured thresholds, by name."""
        rule = SignalParams.around(config.ENTRY_Z, config.EXIT_Z, config.STOP_Z)
        return self.signal(symbol_y, symbol_x, timeframe, params, rule).reading()

    def pair_cost(self, pair: tuple[str, str], hedge_ratio: float, log_prices: bool, notional: float) -> PairCost:
        """What a round trip in y and x costs at the best quotes of now. See `Engine.pair_cost`."""
        quotes = map(self._host.tapes.book, pair)
        y, x = (BestQuote(quote.bid, quote.bid_qty, quote.ask, quote.ask_qty) for quote in quotes)
        return pair_cost(notional, hedge_ratio, y, x, config.FEE_BPS, log_prices)

    def lead_lag(self, symbol_y: str, symbol_x: str) -> LeadLag:
        """Which leg moves first. See `Engine.lead_lag`."""
        return self._of_trades(lead_lag, symbol_y, symbol_x)

    def correlation_by_width(self, symbol_y: str, symbol_x: str) -> tuple[WidthCorrelation, ...]:
        """Correlation of the same trades at many bar widths. See `Engine.correlation_by_width`."""
        return self._of_trades(correlation_by_width, symbol_y, symbol_x)

    def _check_pair(self, symbol_y: str, symbol_x: str) -> None:
        if symbol_y == symbol_x:
            raise InputError(f"a pair needs two different symbols, both legs are {symbol_y}", "symbol_x")
        check_followed(symbol_y, self._host.symbols)
        check_followed(symbol_x, self._host.symbols)

    def _of_trades(self, compute: Callable[..., Result], symbol_y: str, symbol_x: str) -> Result:
        """What the newest trades of two legs say, computed once in TRADES_EVERY_US whoever asks."""
        self._check_pair(symbol_y, symbol_x)
        session = self._host.session
        key = (id(session), compute, symbol_y, symbol_x)
        # The newest look of a market whose time stands lacks what came after it: it counts for as long on our clock.
        look = self._host.now_us() // TRADES_EVERY_US, int(monotonic_s() * US_PER_S) // TRADES_EVERY_US

        def newest() -> Result:
            since_us = self._host.now_us() - TRADES_SINCE_US
            y, x = trades_of(session, symbol_y, symbol_x, since_us, TRADES_LOOKED_AT)
            return compute(x.ts_us, x.price, y.ts_us, y.price)

        return self._memory.get(key, look, newest)

    def _round_trip(self, analysis: PairAnalysis, pair: tuple[str, str], notional: float) -> float:
        """Measured cost of a round trip, price units of y for one unit of it; NaN where quotes do not tell."""
        ratio = float(analysis.path.hedge_ratio[-1])
        if not math.isfinite(ratio):
            return math.nan
        try:
            return self.pair_cost(pair, ratio, analysis.params.log_prices, notional).per_unit
        except TooFewObservations:
            return math.nan

    def _liquidity(self, symbol: str) -> float:
        try:
            return self._host.tapes.tape(symbol).liquidity
        except TooFewObservations:
            return math.nan
