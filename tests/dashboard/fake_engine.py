"""An engine without threads: a seeded market up to a chosen moment, and a status that a test sets as it likes."""

import threading
from collections.abc import Iterable, Iterator
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd

import config
from alerts.alert_engine import AlertEngine
from alerts.notify import Notifier
from analytics.correlation.lead_lag import LeadLag, lead_lag
from analytics.correlation.widths import WidthCorrelation, correlation_by_width
from analytics.microstructure import (
    BestQuote,
    PairCost,
    QuoteReading,
    TapeReading,
    pair_cost,
    quote_reading,
    tape_reading,
)
from analytics.pair import PairAnalysis, PairParams, analyse_pair
from analytics.resampling import timeframe_us
from analytics.signals import Signal, SignalParams, facts_of, signal, spread_volatility
from data import health
from data.exporters import Span, Table, numbered, table_of
from data.inventory import Coverage, Holdings, SymbolCoverage
from data.pair_bars import PairBars
from data.quotes import Quotes
from data.recordings import Recorded
from data.stored import StoredBars, StoredTrades
from data.trades import Trades
from engine import Status, SymbolStatus, System
from engine.backtest_report import BacktestRequest
from engine.backtests import Backtests, BarSource
from engine.last_scans import LastScans
from engine.scans import COMPARED, Scans
from engine.watchlist import Watchlist
from utils.clock import US_PER_S
from utils.delays import Delay
from utils.errors import AnalysisError, InputError, StorageError, TooFewObservations
from utils.jobs import Jobs
from utils.versions import versions

START_US = 1_723_161_600_000_000  # 2024-08-09 00:00:00 UTC
PRICES = {"BTCUSDT": 61_234.1, "ETHUSDT": 2_675.37}


def closes(symbol: str, bars: int) -> np.ndarray:
    """A seeded price path; all symbols share most of their steps, so they are a pair."""
    rng = np.random.default_rng(7)
    market = rng.normal(0, 4e-5, bars).cumsum()
    own = np.random.default_rng(sum(map(ord, symbol))).normal(0, 2e-5, bars)
    reverting = np.zeros(bars)
    for i in range(1, bars):
        reverting[i] = 0.97 * reverting[i - 1] + own[i]
    price = PRICES.get(symbol, 100.0) * np.exp(market + reverting)
    return np.round(price, 2 if PRICES.get(symbol, 100.0) < 10_000 else 1)


def symbol_status(**more: Any) -> SymbolStatus:
    """A symbol that is well."""
    row = SymbolStatus(
        received=21_313,
        stored=21_300,
        deduped=0,
        rejected={},
        dropped={},
        queued=13,
        last_trade_id=77,
        last_trade_us=START_US,
        last_trade_age_s=0.1,
        last_price=61_234.1,
        gaps_open=0,
        gaps_filled=0,
        trades_per_s=48.0,
        stale=False,
    )
    return replace(row, **more)


class _NoMessages:
    """An outbox that nothing waits in."""

    def mark(self, marks: Iterable[Any]) -> threading.Event:
        return threading.Event()

    def waiting(self) -> list[Any]:
        return []


class FakeBacktests(Backtests):
    """Real backtests as real jobs, of the bars of a fake engine."""

    def __init__(self, engine: "FakeEngine") -> None:
        super().__init__(config.ROOT / "absent.db", engine.jobs, engine, None, None, lambda: engine.replay_files)
        self._engine = engine

    def sources(self, symbol_y: str, symbol_x: str, timeframe: str) -> list[BarSource]:
        if self._engine.failing:
            raise RuntimeError("a bug, as a test ordered")
        ends = (START_US, self._engine.now_us())
        stored = BarSource("stored:binance-um", "database, binance-um", *ends, 1_200, 1_180)
        return [BarSource("market", "open market, binance-um", None, None, None, None), stored]

    def _place_now(self, request: BacktestRequest) -> str:
        return f"{request.source} of {self._engine.venue}"

    def _read(self, request: BacktestRequest, cancel: Any = None) -> tuple[PairBars, str]:
        frames = [
            self._engine.bars(symbol, request.timeframe, request.bars + 1)[:-1]
            for symbol in (request.symbol_y, request.symbol_x)
        ]
        y, x = frames
        complete = np.ones(len(y), bool)
        complete[100:103] = False
        width_us = timeframe_us(request.timeframe)
        legs = y["close"].to_numpy(), x["close"].to_numpy()
        bars = PairBars(y.index.asi8, *legs, complete[: len(y)], width_us, f"open market, {self._engine.venue}")
        return bars, self._place_now(request)


class FakeEngine:
    """The engine's reading side over `bars` closed bars of one second; what pages call is noted in `calls`."""

    def __init__(
        self, bars: int = 1_200, symbols: tuple[str, ...] = ("BTCUSDT", "ETHUSDT"), mode: str = "LIVE"
    ) -> None:
        self.settings = config.Settings(_env_file=None)
        self.symbols = symbols
        self.replay_files: tuple[Any, ...] = ()
        self.source = "auto"
        self.bars_held = bars
        self.alerts = AlertEngine()
        self.alert_file = SimpleNamespace(event=lambda event_id: [], statistics=list, outbox=lambda *asked: [])
        self.notifier = Notifier({}, _NoMessages())
        self.rows = {symbol: symbol_status() for symbol in symbols}
        self.mode, self.detail, self.retry_in_s = mode, "", None
        self.replay: dict[str, Any] | None = None
        self.jobs = Jobs()
        self.backtests = FakeBacktests(self)
        self.gap_list: list[Any] = []
        self.calls: list[tuple[Any, ...]] = []
        self.quoted = True
        self.tapes = SimpleNamespace(every=self._every_tape)
        self.exports = SimpleNamespace(ticks=self._ticks_table, bars=self._bars_table)
        self.session = SimpleNamespace(feed=SimpleNamespace(stream="aggTrade"))
        self.imports: Any = SimpleNamespace(jobs=list)
        self.kept = {"guide dismissed": "1"}
        self.failing = False
        self.storage_error: str | None = None
        self.storage_note: str | None = None
        self.backfill: dict[str, Any] | None = None
        self.scans = Scans(self, self.jobs)
        self.scans._last = LastScans(None, COMPARED)
        self.watchlist = Watchlist(self)

    @property
    def venue(self) -> str:
        return "demo" if self.mode == "DEMO" else "binance-um"

    def now_us(self) -> int:
        return START_US + self.bars_held * US_PER_S + US_PER_S // 2

    def dismiss_storage_note(self) -> None:
        self.storage_note = None

    def metric(self, symbol_y: str, symbol_x: str, timeframe: str, name: str) -> float:
        try:
            return self.analysis(symbol_y, symbol_x, timeframe, PairParams()).reading().get(name, float("nan"))
        except (AnalysisError, InputError):
            return float("nan")

    def alert_history(self, limit: int = 1_000, rule_id: str | None = None, before: int | None = None) -> list[Any]:
        return []

    def notes(self, prefix: str = "") -> dict[str, str]:
        return {key: value for key, value in self.kept.items() if key.startswith(prefix)}

    def put_note(self, key: str, value: str) -> None:
        self.kept[key] = value

    def drop_note(self, key: str) -> None:
        self.kept.pop(key, None)

    def gaps(self) -> list[Any]:
        return self.gap_list

    def symbol_status(self) -> dict[str, SymbolStatus]:
        return self.rows

    def status(self) -> Status:
        return Status(
            status="ok",
            mode=self.mode,
            source=self.source,
            venue=self.venue,
            detail=self.detail,
            retry_in_s=self.retry_in_s,
            reconnects=0,
            uptime_s=1.0,
            symbols=self.rows,
            unattributed={},
            replay=self.replay,
            storage_error=self.storage_error,
            storage_note=self.storage_note,
            backfill=self.backfill,
            memory_bytes=0,
            rss_bytes=1,
            schema_version=1,
            sqlite_version="3",
        )

    def bars(self, symbol: str, timeframe: str, limit: int = 500) -> pd.DataFrame:
        if self.failing:
            raise RuntimeError("a bug, as a test ordered")
        width_us = timeframe_us(timeframe)
        count = self.bars_held + 1 if self.bars_held else 0
        close = closes(symbol, count)
        index = pd.DatetimeIndex(
            (START_US + width_us * np.arange(count)).astype("datetime64[us]"), tz="UTC", name="time"
        )
        opened = np.concatenate((close[:1], close[:-1]))
        frame = pd.DataFrame(
            {
                "open": opened,
                "high": np.maximum(opened, close) + 0.5,
                "low": np.minimum(opened, close) - 0.5,
                "close": close,
                "volume": 1.0 + np.arange(count) % 7,
                "vwap": close,
                "trades": 5 + np.arange(count) % 3,
                "taker_buy_volume": 0.5,
                "complete": True,
                "revised": False,
            },
            index=index,
        )
        frame.iloc[-1:, frame.columns.get_loc("complete")] = False
        return frame.iloc[-limit:]

    def analysis(
        self, symbol_y: str, symbol_x: str, timeframe: str, params: PairParams, bars: int | None = None
    ) -> PairAnalysis:
        if symbol_y == symbol_x:
            raise InputError(f"a pair needs two different symbols, both legs are {symbol_y}")
        needed = max(bars or config.CHART_BARS + params.warm_up, params.bars)
        y, x = (self.bars(symbol, timeframe, needed + 1) for symbol in (symbol_y, symbol_x))
        forming = (float(y["close"].iloc[-1]), float(x["close"].iloc[-1])) if len(y) else None
        y, x = y[:-1], x[:-1]
        return analyse_pair(
            y["close"].to_numpy(),
            x["close"].to_numpy(),
            params,
            ts_us=y.index.asi8,
            complete=y["complete"].to_numpy(bool),
            forming=forming,
        )

    def closes(self, timeframe: str, limit: int, symbols: Iterable[str] | None = None) -> pd.DataFrame:
        wanted = self.symbols if symbols is None else symbols
        return pd.DataFrame({symbol: self.bars(symbol, timeframe, limit + 1)["close"][:-1] for symbol in wanted})

    def lead_lag(self, symbol_y: str, symbol_x: str) -> LeadLag:
        return lead_lag(*self._trades_of(symbol_x, symbol_y))

    def correlation_by_width(self, symbol_y: str, symbol_x: str) -> tuple[WidthCorrelation, ...]:
        return correlation_by_width(*self._trades_of(symbol_x, symbol_y))

    def _trades_of(self, *symbols: str) -> Iterator[np.ndarray]:
        """Times and prices of the trades of symbols, those of each a little later than of the one before."""
        if self.failing:
            raise RuntimeError("a bug, as a test ordered")
        for place, symbol in enumerate(symbols):
            trades = self.ticks(symbol, 1_000_000)
            yield from (trades.ts_us + place * 150_000, trades.price)

    def ticks(self, symbol: str, limit: int = 1_000, since_us: int = 0) -> Trades:
        """Five trades in each second held, around its close."""
        close = closes(symbol, self.bars_held + 1).repeat(5) if self.bars_held else np.empty(0)
        rng, n = np.random.default_rng(3), close.size
        ts_us = START_US + np.arange(n) * US_PER_S // 5
        qty = np.round(0.001 + rng.lognormal(-3, 1.2, n), 3)
        return Trades.of(symbol, np.arange(1, n + 1), ts_us, close, qty, rng.integers(0, 2, n))[-limit:]

    def tape(self, symbol: str) -> TapeReading:
        if self.failing:
            raise RuntimeError("a bug, as a test ordered")
        return tape_reading(self.ticks(symbol, 1_000_000), self.now_us())

    def _every_tape(self) -> dict[str, TapeReading]:
        return {symbol: self.tape(symbol) for symbol in self.symbols} if self.bars_held else {}

    def book(self, symbol: str) -> QuoteReading:
        """A quote in each fifth of a second, a tick around the trades."""
        if not self.quoted:
            raise TooFewObservations(0, 1, "quotes")
        trades = self.ticks(symbol, 1_000)
        size, tick = np.full(len(trades), 2.0), 0.1
        quotes = Quotes.of(
            symbol, trades.trade_id, trades.ts_us - 1, trades.price - tick, size, trades.price + tick, 3 * size
        )
        return quote_reading(quotes, trades, self.now_us())

    def pair_cost(
        self, pair: tuple[str, str], hedge_ratio: float, log_prices: bool = False, notional: float = config.NOTIONAL
    ) -> PairCost:
        legs = (self.book(symbol) for symbol in pair)
        y, x = (BestQuote(leg.bid, leg.bid_qty, leg.ask, leg.ask_qty) for leg in legs)
        return pair_cost(notional, hedge_ratio, y, x, config.FEE_BPS, log_prices)

    def signal(
        self,
        symbol_y: str,
        symbol_x: str,
        timeframe: str,
        params: PairParams,
        rule: SignalParams,
        notional: float = config.NOTIONAL,
    ) -> Signal:
        analysis = self.analysis(symbol_y, symbol_x, timeframe, params)
        liquidity = min(self.tape(symbol).liquidity for symbol in (symbol_y, symbol_x))
        stale = tuple(symbol for symbol in (symbol_y, symbol_x) if self.rows[symbol].stale)
        facts = facts_of(analysis, spread_volatility(analysis).ratio, liquidity, stale, params=rule)
        return signal(analysis.path.zscore, facts, rule)

    def system(self) -> System:
        if self.failing:
            raise RuntimeError("a bug, as a test ordered")
        worker = health.worker("mirror", "writes to the database", self.storage_error is None)
        return System(
            status=self.status(),
            symbols={symbol: health.SymbolHealth(40.0, 0.045, 0, 21_313) for symbol in self.rows},
            connections=[health.Connection("binance-um", self.mode, 2, self.detail, self.retry_in_s)],
            queues=[health.Queue("for the database", 13, 1_000_000), health.Queue("for missing trades", 0, None)],
            workers=[worker, health.worker("evaluator", "judges alert rules", True)],
            other_threads={"MainThread": 1, "pool": 3},
            disk=health.Disk(
                "var/pairscope.db", 12_400_000, 40_000, 5 * 10**11, 30.0, 0.0, START_US, self.storage_error, None
            ),
            delays={"readable": Delay(3.5e-5, 0.0041, 4_000), "stored": Delay(0.13, 0.26, 4_000)},
            commit_ms=(1.2, 9.5),
            alert_rules=0,
            alerts_firing=0,
            alert_events=0,
            settings=self.settings.shown(),
            versions=versions(),
        )

    def holdings(self) -> Holdings:
        if self.storage_error is not None:
            raise StorageError(f"the database cannot be read: {self.storage_error}")
        if self.failing:
            raise RuntimeError("a bug, as a test ordered")
        if not self.bars_held:
            return Holdings((), ())
        ends = (START_US, self.now_us())
        trades = [StoredTrades("binance-um", "aggTrade", symbol, 21_300, 21_313, *ends) for symbol in self.symbols]
        return Holdings(tuple(trades), tuple(StoredBars("binance-um", s, "1m", 20, 19, *ends) for s in self.symbols))

    def coverage(self, symbols: tuple[str, ...], span_us: int, cell_us: int) -> Coverage:
        cells = span_us // cell_us
        expected = np.where(np.arange(cells) >= cells // 4, cell_us // (60 * US_PER_S), 0)
        if not self.bars_held:
            expected[:] = 0
        stored = np.where(np.arange(cells) == cells // 2, 0, expected)
        complete = np.where(np.arange(cells) == cells - 3, 0, stored)
        rows = tuple(SymbolCoverage(symbol, expected, stored, complete) for symbol in symbols)
        first_us = self.now_us() // cell_us * cell_us - (cells - 1) * cell_us
        return Coverage(first_us, cell_us, cells, rows)

    def _ticks_table(self, symbol: str, span: Span) -> Table:
        trades = self.ticks(symbol, span.limit or 10**9)
        return table_of(pd.DataFrame({"trade_id": trades.trade_id, "price": trades.price}))

    def _bars_table(self, symbol: str, timeframe: str, span: Span) -> Table:
        return table_of(numbered(self.bars(symbol, timeframe, 10**9)))

    def recordings(self) -> list[Recorded]:
        if self.failing:
            raise RuntimeError("a bug, as a test ordered")
        ended_us = START_US + 3_600 * US_PER_S
        told = ("binance-um", "aggTrade", self.symbols, START_US, ended_us, "s1", 1, False)
        return [Recorded("binance-um-20240809T000000Z-001.gz", 12_400_000, *told)] if self.bars_held else []

    def set_symbols(self, symbols: tuple[str, ...]) -> None:
        self.calls.append(("set_symbols", tuple(symbols)))
        try:
            self.symbols = tuple(config.clean_symbol(symbol) for symbol in symbols)
        except ValueError as exc:
            raise InputError(str(exc), "symbols") from None
        self.rows = {symbol: self.rows.get(symbol, symbol_status()) for symbol in self.symbols}

    def switch(self, source: str) -> None:
        self.calls.append(("switch", source))
        self.source = source

    def retry_live(self) -> None:
        self.calls.append(("retry_live",))
