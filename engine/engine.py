"""One process: its market, its evaluator thread, and what pages, API and exports read."""

import contextlib
import math
import sqlite3
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Self, TypeVar

import numpy as np
import pandas as pd
import psutil

import config
from alerts.alert_engine import AlertEngine
from alerts.channels import open_channels
from alerts.market import Quiet, Readings
from alerts.notify import Heartbeat, Notifier
from alerts.past import Past, told, usual_bars, would_have_fired
from alerts.rules import AlertEvent
from analytics.correlation.lead_lag import LeadLag, lead_lag
from analytics.correlation.widths import WidthCorrelation, correlation_by_width
from analytics.microstructure import (
    BestQuote,
    PairCost,
    QuoteReading,
    TapeReading,
    pair_cost,
)
from analytics.pair import PairAnalysis, PairParams, analyse_pair, with_forming
from analytics.readings import SIGNAL_METRICS
from analytics.resampling import BarColumns
from analytics.signals import Signal, SignalParams, facts_of, signal, spread_volatility
from config import Settings
from data import alert_rows, health, sqlite
from data.feeds.binance import MARKETS
from data.feeds.control import ReplayControl
from data.feeds.feed import Feed
from data.feeds.gate import Gate, Moment
from data.feeds.recorder import RecordingStatus
from data.feeds.replay import ReplayFeed, ReplayPosition
from data.feeds.rest import Rest
from data.feeds.simulated import SimulatedFeed
from data.feeds.socket import QuoteFeed, SocketFeed
from data.health import Queue, Worker
from data.importers.plan import Market
from data.ingestion import Gap
from data.inventory import Coverage, Holdings, Inventory
from data.legs import closes, legs, trades_of
from data.quotes import Quotes
from data.recordings import Recorded, Recordings
from data.retention import Retention
from data.session import Session
from data.state_hash import TIMEFRAMES, state_hash
from data.storage import Mirror
from data.trades import Trades
from engine.alert_file import AlertFile
from engine.backtests import Backtests
from engine.choice import Choice
from engine.exports import Exports
from engine.imports import Imports
from engine.scans import Scans
from engine.status import (
    STALE_MOST_S,
    STALE_MUTE_S,
    STALE_TRADES,
    Status,
    SymbolStatus,
    System,
    backfill_status,
    channel,
    quote_feed_status,
    quote_status,
    symbol_status,
)
from engine.tapes import Tapes, check_followed
from engine.watchlist import Watchlist
from utils import logger
from utils.clock import US_PER_S, monotonic_s
from utils.delays import Delays
from utils.errors import (
    AnalysisError,
    InputError,
    PairscopeError,
    RecordingError,
    StorageError,
    TooFewObservations,
)
from utils.jobs import Jobs
from utils.remember import Memory
from utils.versions import versions

LOG = logger.get("engine")
Result = TypeVar("Result")

STEP_S = 0.1  # pause of the evaluator between rounds
EVALUATE_S = 1.0  # seconds between judgements of the alert rules
SETTLE_US = 300_000  # after the end of a second its trades are waited for, before rules are judged on its bar
BACKLOG = 200_000  # trades that wait for the disk before a replay waits for it too
WRITTEN_S = 1.5  # how long a switch waits for the disk
STORE_US = 60 * US_PER_S  # market time after which a hasty replay writes its bars
ANALYSES_KEPT = 64
TRADES_SINCE_US, TRADES_LOOKED_AT = 1_800 * US_PER_S, 60_000  # newest trades of a leg that lead and lag rest on ...
TRADES_EVERY_US = 5 * US_PER_S  # ... and how often: they cost 30 ms at most


class Engine:
    """Starts once, stops once; everything else may be called from any thread. As a context manager it does both."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.alert_file = AlertFile(settings.database, self._mirror, lambda message: self.notifier.retry(message))
        private = settings.notify_private
        channels = {name: url.get_secret_value() for name, url in settings.channels.items()}
        self.notifier = Notifier(open_channels(channels, private), self.alert_file, simulated=settings.notify_simulated)
        self.alerts = AlertEngine(self.alert_file, self.notifier)
        self._params = PairParams(window=config.DEFAULT_WINDOW, fee_bps=config.FEE_BPS, **config.ANALYSIS)
        self._readings = Readings(self, self._params, self._held(self._params), self.alerts.wanted)
        self._judged_s, self._judged_second = 0.0, 0
        self._heartbeat = None
        if settings.heartbeat_url is not None:
            url = settings.heartbeat_url.get_secret_value()
            self._heartbeat = Heartbeat(url, settings.heartbeat_s, self._judges, private)
        self._source: str = settings.source
        self._symbols = settings.symbols
        self._session: Session | None = None
        self._switching = threading.RLock()  # held while the market is changed
        self._relieved: set[str] = set()  # silent symbols for which a second connection was tried
        self._stop = threading.Event()
        self._evaluator = threading.Thread(target=self._run, name="evaluator", daemon=True)
        self._started_s = monotonic_s()
        self._process = psutil.Process()
        self._choice = Choice(settings, self._feed)
        self._analyses = Memory(ANALYSES_KEPT)
        self.tapes = Tapes(self)
        self._notes: dict[str, str] = {}
        self._inventory = Inventory(settings.database)
        self.replay = ReplayControl(self._replayed, self._replay_again)
        self._replay_files = settings.replay
        self._replay_speed = settings.speed
        self._replay_from: tuple[int, bool] | None = None  # where the next replay goes to first, and whether it plays
        self._archive = Recordings(settings.database.parent / "recordings", settings.record_gb * 1e9, settings.record)
        self.jobs = Jobs()
        self.scans = Scans(self, self.jobs)
        self.watchlist = Watchlist(self)
        self.backtests = Backtests(
            settings.database, self.jobs, self, self._archive, lambda: self.session, lambda: self._replay_files
        )
        self.imports = Imports(settings.database, self.jobs, self._mirror, self._market, self._imported)
        self.exports = Exports(self)

    # --- life ---------------------------------------------------------------------------------

    def start(self) -> None:
        """Open the market and start the evaluator.

        Raises
        ------
        StorageError
            The database cannot be used: busy, newer, not a database.
        RecordingError
        """
        self._open("binance-um" if self._source == "auto" else self._source)
        self.alerts.load()
        self._notes = sqlite.read_notes(self.settings.database)
        self._take_up_rules(anew=self.venue == "replay")
        self.notifier.start()
        self._evaluator.start()
        if self._heartbeat is not None:
            self._heartbeat.start()

    def stop(self) -> None:
        """Stop every thread; everything received is on disk afterwards. Safe to call twice."""
        self._stop.set()
        if self._evaluator.is_alive():
            self._evaluator.join(timeout=5)
        if self._heartbeat is not None:
            self._heartbeat.stop()
        self.jobs.stop()
        self.notifier.stop()
        with self._switching:
            self._choice.end()
            if self._session is not None:
                self._session.stop()
            self._archive.detach("Pairscope was stopped")

    def __enter__(self) -> Self:
        """Start. Raises as `start` does."""
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop, whatever happened."""
        self.stop()

    def health(self) -> str | None:
        """None while everything works, or the reason why not."""
        session = self._session
        if session is None:
            return "the engine has not started"
        if not self._evaluator.is_alive():
            return "the evaluator thread is dead"
        if not session.mirror.alive:
            return "the mirror thread is dead"
        if session.backfill is not None and not session.backfill.alive:
            return "the backfill thread is dead"
        if (dead := self.notifier.dead()) is not None:
            return f"the thread of channel {dead} is dead"
        return f"storage fails: {session.mirror.error}" if session.mirror.error else None

    # --- what pages, API and export read ------------------------------------------------------

    @property
    def session(self) -> Session:
        """The open market."""
        if self._session is None:
            raise PairscopeError("the engine has not started")
        return self._session

    @property
    def symbols(self) -> tuple[str, ...]:
        """The symbols followed, in the order they were given."""
        return self._symbols

    @property
    def source(self) -> str:
        """The source asked for; `auto` may stand for the exchange or the demo market."""
        return self._source

    @property
    def venue(self) -> str:
        """Where trades come from now."""
        return self.session.feed.venue

    def now_us(self) -> int:
        """The time of the open market, microseconds."""
        return self.session.feed.market_us()

    def ticks(self, symbol: str, limit: int = 1_000, since_us: int = 0) -> Trades:
        """The newest `limit` trades held of one symbol, by id, not older than `since_us`."""
        return self.session.buffer.snapshot(symbol, since_us, limit)

    def quotes(self, symbol: str, limit: int = 1_000, since_us: int = 0) -> Quotes:
        """The newest `limit` best quotes held of one symbol, by id, not older than `since_us`; none without a feed."""
        return self.session.quotes.snapshot(symbol, since_us, limit)

    def bars(self, symbol: str, timeframe: str, limit: int = 500) -> pd.DataFrame:
        """The newest `limit` bars of one symbol, the forming one last.

        Raises
        ------
        TimeframeError
        """
        return self.session.bars(symbol, timeframe, limit)

    def gaps(self) -> list[Gap]:
        """Runs of trade ids that did not arrive, newest last."""
        return self.session.ingestion.gaps()

    def columns(self, symbol: str, timeframe: str, limit: int) -> BarColumns:
        """The newest bars as plain columns, the forming one last; `complete` as far as trades are known to arrive."""
        found = self.session.resampler(symbol, timeframe)
        bars = found.columns(self.session.feed.market_us(), limit)
        bars.complete[:] &= bars.ts_us + found.width_us <= self.session.known_us(symbol)
        return bars

    def revised(self, symbol: str, timeframe: str, after_version: int) -> tuple[int, np.ndarray]:
        """Version of the bars, and opens of those that were changed later than another, after they had closed."""
        found = self.session.resampler(symbol, timeframe)
        version = found.version
        changed = found.closed_version > after_version
        return version, found.revised(after_version) if changed else np.array([], np.int64)

    def alert_history(
        self, limit: int = 1_000, rule_id: str | None = None, before: int | None = None
    ) -> list[dict[str, Any]]:
        """Changes of state of the alert rules, newest first, from the file; of one rule, or before a number."""
        return alert_rows.read_alert_history(self.settings.database, limit, rule_id, before)

    def would_have_fired(
        self,
        fields: Mapping[str, Any],
        bars: int | None = None,
        thresholds: Iterable[float] | None = None,
        go_on: Callable[[int], bool] | None = None,
    ) -> dict[str, Any]:
        """What a rule of these fields would have done over the newest bars, held or stored, and at other thresholds.

        Where no number of bars is asked for they are as many as usual for such a rule. `go_on` is told how many bars
        are done, and may end it: what is done by then is returned.

        Raises
        ------
        InputError, StorageError
        """
        rule = self.alerts.checked({**self.rule_defaults(), **fields})
        past = Past(self._past, self._params, self._held(self._params))
        return told(would_have_fired(rule, past, usual_bars(rule) if bars is None else bars, thresholds, go_on))

    def metric(self, symbol_y: str, symbol_x: str, timeframe: str, name: str) -> float:
        """A metric of a pair at its newest close, as rules are judged by it; NaN where it is not known.

        Raises
        ------
        InputError
        """
        try:
            found = self.analysis(symbol_y, symbol_x, timeframe, self._params).reading()
        except AnalysisError:
            return math.nan
        if name in SIGNAL_METRICS:
            found |= self.signal_reading(symbol_y, symbol_x, timeframe, self._params)
        return found.get(name, math.nan)

    def rule_defaults(self) -> dict[str, str]:
        """Pair and bar width of a rule that does not name them: the first two symbols followed."""
        symbol_x, symbol_y = self._pair()
        return {"symbol_y": symbol_y, "symbol_x": symbol_x, "timeframe": config.DEFAULT_TIMEFRAME}

    def analysis(
        self, symbol_y: str, symbol_x: str, timeframe: str, params: PairParams, bars: int | None = None
    ) -> PairAnalysis:
        """The one analysis of a pair, on its newest closed bars; computed once a bar, whoever asks.

        `bars` is how many closed bars it rests on: by default what the charts and the tests need. Between two
        closes only the provisional values of the forming bar move.

        Raises
        ------
        TooFewObservations, DegenerateSeries, InputError
        """
        if symbol_y == symbol_x:
            raise InputError(f"a pair needs two different symbols, both legs are {symbol_y}", "symbol_x")
        check_followed(symbol_y, self._symbols)
        check_followed(symbol_x, self._symbols)
        needed = max(bars, params.bars) if bars else self._held(params)
        session = self.session
        key = (id(session), symbol_y, symbol_x, timeframe, params, needed)
        y, x = legs(session, symbol_y, symbol_x, timeframe, needed)
        analysis = self._analyses.get(
            key,
            (y.version, x.version),
            lambda: analyse_pair(y.closes, x.closes, params, ts_us=y.ts_us, complete=y.complete & x.complete),
        )
        return with_forming(analysis, y.forming, x.forming)

    def closes(self, timeframe: str, limit: int, symbols: Iterable[str] | None = None) -> pd.DataFrame:
        """Newest `limit` closes of closed bars of all symbols, or of some; NaN where a symbol has no bar.

        Raises
        ------
        TimeframeError, InputError
        """
        wanted = tuple(self._symbols if symbols is None else symbols)
        for symbol in wanted:
            check_followed(symbol, self._symbols)
        return closes(self.session, wanted, timeframe, limit)

    def lead_lag(self, symbol_y: str, symbol_x: str) -> LeadLag:
        """Which leg moves first, from the newest trades of both; looked at anew each few seconds.

        Raises
        ------
        TooFewObservations, DegenerateSeries, InputError
        """
        return self._of_trades(lead_lag, symbol_y, symbol_x)

    def correlation_by_width(self, symbol_y: str, symbol_x: str) -> tuple[WidthCorrelation, ...]:
        """Correlation of the same trades at many bar widths; looked at anew each few seconds.

        Raises
        ------
        TooFewObservations, InputError
        """
        return self._of_trades(correlation_by_width, symbol_y, symbol_x)

    def _of_trades(self, compute: Callable[..., Result], symbol_y: str, symbol_x: str) -> Result:
        """What the newest trades of two legs say, computed once in TRADES_EVERY_US whoever asks."""
        if symbol_y == symbol_x:
            raise InputError(f"a pair needs two different symbols, both legs are {symbol_y}", "symbol_x")
        check_followed(symbol_y, self._symbols)
        check_followed(symbol_x, self._symbols)
        session = self.session
        key = (id(session), compute, symbol_y, symbol_x)
        # The newest look of a market whose time stands lacks what came after it: it counts for as long on our clock.
        look = self.now_us() // TRADES_EVERY_US, int(monotonic_s() * US_PER_S) // TRADES_EVERY_US

        def newest() -> Result:
            since_us = self.now_us() - TRADES_SINCE_US
            y, x = trades_of(session, symbol_y, symbol_x, since_us, TRADES_LOOKED_AT)
            return compute(x.ts_us, x.price, y.ts_us, y.price)

        return self._analyses.get(key, look, newest)

    def tape(self, symbol: str) -> TapeReading:
        """All measures of one symbol's tape, now. Raises as `Tapes.tape`."""
        return self.tapes.tape(symbol)

    def book(self, symbol: str) -> QuoteReading:
        """All measures of one symbol's best quotes, now. Raises as `Tapes.book`."""
        return self.tapes.book(symbol)

    def tape_reading(self, symbol: str) -> dict[str, float]:
        """Metrics of a symbol's tape and quotes, for alert rules; nothing before its first trade."""
        return self.tapes.metrics(symbol)

    def signal_reading(self, symbol_y: str, symbol_x: str, timeframe: str, params: PairParams) -> dict[str, float]:
        """Metrics of a pair's signal by the configured thresholds, by name."""
        rule = SignalParams.around(config.ENTRY_Z, config.EXIT_Z, config.STOP_Z)
        return self.signal(symbol_y, symbol_x, timeframe, params, rule).reading()

    def pair_cost(
        self, pair: tuple[str, str], hedge_ratio: float, log_prices: bool = False, notional: float = config.NOTIONAL
    ) -> PairCost:
        """What a round trip in y and x costs at the best quotes of now, for `notional` of y, quote currency.

        Raises
        ------
        TooFewObservations
            No quotes of a leg.
        InputError
        """
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
        """The signal of a pair at its newest close: what the analysis, tapes, quotes and the capture say together.

        What a round trip costs is measured at the quotes where there are any, for `notional` of y.

        Raises
        ------
        TooFewObservations, DegenerateSeries, InputError
        """
        analysis = self.analysis(symbol_y, symbol_x, timeframe, params)
        pair = (symbol_y, symbol_x)
        rows = symbol_status(self.session, monotonic_s())
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

    def status(self) -> Status:
        """How the capture stands, now."""
        session = self.session
        now_s = monotonic_s()
        symbols = symbol_status(session, now_s)
        mode, detail, retry_at_s = self._mode(session, symbols)
        feed = session.feed
        return Status(
            status="ok" if self.health() is None else "failing",
            mode=mode,
            source=self._source,
            venue=feed.venue,
            detail=detail,
            retry_in_s=None if retry_at_s is None else max(0.0, retry_at_s - now_s),
            reconnects=feed.state.reconnects,
            uptime_s=now_s - self._started_s,
            symbols=symbols,
            unattributed=dict(session.ingestion.unattributed),
            replay=asdict(feed.position) if isinstance(feed, ReplayFeed) else None,
            storage_error=session.mirror.error,
            memory_bytes=session.buffer.nbytes(),
            rss_bytes=self._process.memory_info().rss,
            schema_version=sqlite.SCHEMA_VERSION,
            sqlite_version=sqlite3.sqlite_version,
            backfill=backfill_status(session, now_s),
            storage_note=session.mirror.storage_note,
            log_bytes=sqlite.log_bytes(self.settings.database),
            quotes=quote_status(session, now_s),
            quote_feed=quote_feed_status(session, now_s),
            recording=self._recording_status(),
        )

    def symbol_status(self) -> dict[str, SymbolStatus]:
        """How each symbol stands, now: the part of `status` that every chart asks for."""
        return symbol_status(self.session, monotonic_s())

    def _recording_status(self) -> dict[str, Any] | None:
        """How the newest recording stands, or why none began."""
        found, failure = self._archive.status, self._archive.failure
        return {"running": False, "reason": failure} if failure else None if found is None else asdict(found)

    def state_hash(self) -> str:
        """One number for the state of a replay that stands: equal whenever its recordings came to that time."""
        with self._switching:
            readings = {}
            symbol_x, symbol_y = self._pair()
            with contextlib.suppress(AnalysisError, InputError):
                analysis = self.analysis(symbol_y, symbol_x, config.DEFAULT_TIMEFRAME, self._params)
                readings[f"{symbol_y}/{symbol_x}"] = analysis.reading()
            events = map(_comparable, self.alerts.events_of_market())
            return state_hash(self.session, readings, events)

    def _mode(self, session: Session, symbols: Mapping[str, SymbolStatus]) -> tuple[str, str, float | None]:
        """Mode, reason and the monotonic time of the next attempt."""
        state = session.feed.state
        if session.feed.venue == "demo":
            return "DEMO", self._choice.why, self._choice.retry_at_s
        if session.feed.venue == "replay":
            return "REPLAY", state.detail, None
        if session.mirror.error:
            return "MEMORY-ONLY", session.mirror.error, None
        unlisted = session.backfill.state.unlisted if session.backfill is not None else ()
        wrong = f"{', '.join(unlisted)} is not traded on {session.feed.venue}" if unlisted else ""
        if state.mode == "LIVE":
            silent_s = monotonic_s() - session.opened_s
            mute = {symbol for symbol in self._symbols if symbol not in symbols and silent_s > STALE_MUTE_S}
            stale = sorted(mute | {symbol for symbol in self._symbols if symbol in symbols and symbols[symbol].stale})
            if stale:
                return "STALE", wrong or f"no trade for a while: {', '.join(stale)}", None
            return "LIVE", wrong or state.detail, None
        return ("BLOCKED" if state.mode == "BLOCKED" else "RECONNECTING"), wrong or state.detail, state.retry_at_s

    # --- how it all stands, and what is stored ------------------------------------------------

    def system(self) -> System:
        """How every part stands, now."""
        session, now_s = self.session, monotonic_s()
        evaluator = health.worker("evaluator", "writes bars, judges alert rules", self._evaluator.is_alive())
        workers = [*health.workers(session), evaluator, *self._senders()]
        rules = self.alerts.rules()
        retention = self.settings.retention_days, self.settings.retention_gb
        return System(
            status=self.status(),
            symbols=health.symbols(session),
            connections=[*health.connections(session, now_s), *map(channel, self.notifier.status())],
            queues=[*health.queues(session), *self._outbox()],
            workers=workers,
            other_threads=health.other_threads(workers),
            disk=health.disk(self.settings.database, session, retention, self._oldest_us()),
            delays={name: delays.lately(now_s) for name, delays in health.delays(session).items()},
            commit_ms=session.mirror.commit_ms(),
            alert_rules=len(rules),
            alerts_firing=sum(self.alerts.state(rule.rule_id).state == "FIRING" for rule in rules),
            alert_events=self.alerts.last_seq,
            settings=self.settings.shown(),
            versions=versions(),
        )

    def _senders(self) -> list[Worker]:
        """The threads that send alerts."""
        dead = self.notifier.dead()
        return [health.worker(f"notifier-{name}", "sends alerts", name != dead) for name in self.notifier.names]

    def _outbox(self) -> list[Queue]:
        """Messages that wait for their channel, where there is one."""
        channels = self.notifier.status()
        return [Queue("for channels", sum(channel.waiting for channel in channels), None)] if channels else []

    def delays(self) -> dict[str, Delays]:
        """What trades have waited for, since the market was opened: see `System.delays`."""
        return health.delays(self.session)

    def holdings(self) -> Holdings:
        """What the file holds, of every market; some seconds old.

        Raises
        ------
        StorageError
        """
        return self._inventory.holdings()

    def _oldest_us(self) -> int | None:
        try:
            return self._inventory.oldest_us()
        except StorageError:  # told elsewhere
            return None

    def coverage(self, symbols: Iterable[str], span_us: int, cell_us: int) -> Coverage:
        """Which minutes of the newest `span_us` are stored and complete, in cells of `cell_us`; some seconds old.

        Raises
        ------
        StorageError
        """
        return self._inventory.coverage(self.venue, symbols, span_us, cell_us, self.now_us())

    # --- what users change --------------------------------------------------------------------

    def set_symbols(self, symbols: Iterable[str]) -> None:
        """Follow these symbols from now on. A recording or the demo market starts anew; the exchange goes on.

        Raises
        ------
        InputError
        """
        try:
            wanted = tuple(dict.fromkeys(config.clean_symbol(symbol) for symbol in symbols))
        except ValueError as exc:
            raise InputError(str(exc), "symbols") from None
        if not 1 <= len(wanted) <= config.MAX_SYMBOLS:
            raise InputError(f"needs 1 to {config.MAX_SYMBOLS} symbols, got {len(wanted)}", "symbols")
        with self._switching:
            if wanted == self._symbols:
                return
            session = self.session
            self._check_listed(session, wanted)
            if isinstance(session.feed, SocketFeed):
                session.follow(wanted)
                session.feed.set_symbols(wanted)
                self._symbols = wanted
            else:
                self._symbols = wanted
                self._open("demo" if session.feed.venue == "demo" else "replay")

    def _check_listed(self, session: Session, symbols: Iterable[str]) -> None:
        """A name that the exchange does not list would be acknowledged and stay silent for ever."""
        listing = session.backfill.listing if session.backfill is not None else None
        unknown = [symbol for symbol in symbols if listing is not None and symbol not in listing.trading]
        if unknown:
            raise InputError(f"{', '.join(unknown)} is not traded on {session.feed.venue}", "symbols")

    def switch(self, source: str) -> None:
        """Change the source: `auto`, `binance-um`, `binance-spot`, `demo` or `replay`.

        Raises
        ------
        InputError
            An unknown source, or `replay` without recordings.
        """
        if source not in ("auto", *MARKETS, "demo", "replay"):
            raise InputError(f"source must be auto, binance-um, binance-spot, demo or replay, was {source!r}", "source")
        if source == "replay" and not self._replay_files:
            raise InputError("there is no recording to replay: start with --replay FILE", "source")
        self._check_written()
        with self._switching:
            self._choice.forget()
            self._source = source
            self._open("binance-um" if source == "auto" else source)

    def _check_written(self) -> None:
        """A market is not closed while its trades cannot be written: they would be lost."""
        mirror, began_s = self.session.mirror, monotonic_s()
        while mirror.alive and mirror.waiting and mirror.committed_s < began_s:
            if mirror.error or monotonic_s() - began_s > WRITTEN_S:
                why = mirror.error or "busy"
                raise InputError(f"{mirror.waiting} trades wait for the database ({why}): not now", "source")
            self._stop.wait(STEP_S)

    def start_recording(self) -> RecordingStatus:
        """Record what the market sends, from now on, and the markets after it.

        Raises
        ------
        InputError
            A recording runs, or this market cannot be recorded.
        """
        with self._switching:
            return self._archive.start(self.session)

    def stop_recording(self) -> RecordingStatus:
        """End the recording. Raises InputError where none runs."""
        return self._archive.stop()

    def recordings(self) -> list[Recorded]:
        """The files that were recorded, newest first."""
        return self._archive.rows()

    def delete_recording(self, name: str) -> None:
        """Delete one of them.

        Raises
        ------
        NotFound
        InputError
            It is being written.
        """
        self._archive.delete(name)

    def replay_recordings(self, names: Iterable[str]) -> ReplayPosition:
        """Replay recorded files, by name, in place of the market that is open.

        Raises
        ------
        NotFound, InputError
            A name that is not there; none, or files that cannot be replayed together.
        """
        files = tuple(self._archive.path(name) for name in names)
        try:
            ReplayFeed(files)  # refused before the open market is closed
        except RecordingError as exc:
            raise InputError(str(exc), "recordings") from exc
        self._replay_files = files
        self.switch("replay")
        return self.replay.position()

    @property
    def replay_files(self) -> tuple[Path, ...]:
        """What the source `replay` plays."""
        return self._replay_files

    def dismiss_storage_note(self) -> None:
        """What happened to the database file has been read."""
        self.session.mirror.dismiss_note()

    def notes(self, prefix: str = "") -> dict[str, str]:
        """What is kept with the database under names that begin so: saved views, what was dismissed."""
        return {key: value for key, value in self._notes.items() if key.startswith(prefix)}

    def put_note(self, key: str, value: str) -> None:
        """Keep a value with the database, under a name."""
        self._notes = self._notes | {key: value}
        self.session.mirror.put_note(key, value)

    def drop_note(self, key: str) -> None:
        """Forget a value."""
        self._notes = {name: value for name, value in self._notes.items() if name != key}
        self.session.mirror.drop_note(key)

    def retry_live(self) -> None:
        """Ask the exchange again now, not at the time that was planned."""
        feed = self.session.feed
        if isinstance(feed, SocketFeed):
            feed.retry_now()
        else:
            self._choice.hurry(monotonic_s())

    # --- inside -------------------------------------------------------------------------------

    @contextlib.contextmanager
    def _mirror(self) -> Iterator[Mirror]:
        """The writer of the open market, which is not closed while it is held."""
        with self._switching:
            yield self.session.mirror

    def _market(self) -> Market:
        """Where imported data goes that does not tell where it is from: the exchange that is open, or the default."""
        feed = self.session.feed
        return Market(feed.venue, feed.stream) if self.session.live else Market(stream=self.settings.stream)

    def _imported(self, venue: str, symbols: Iterable[str]) -> None:
        """Bars were added to the file: those of the open market begin with them."""
        with self._switching:
            if self.session.live and venue == self.venue:
                self.session.take_up_history(symbols)

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
            return self.tape(symbol).liquidity
        except TooFewObservations:
            return math.nan

    def _pair(self) -> tuple[str, str]:
        """x and y of the pair that is watched by default."""
        return self._symbols[0], self._symbols[min(1, len(self._symbols) - 1)]

    def _open(self, market: str) -> None:
        """Close the open market, if any, and open another."""
        feed = self._feed(market)
        with self._switching:
            if self._session is not None:
                self._session.stop()
            self._archive.detach("another market was opened")
            session = Session(
                feed,
                self.settings.database,
                self.settings.buffer,
                history=self._history(market) if feed.contiguous else None,
                repair_most=self.settings.backfill,
                quote_feed=self._quote_feed(market),
                clock_us=(lambda: feed.moment_us) if isinstance(feed, ReplayFeed) else None,
            )
            session.ingestion.on_emit.append(self.tapes.add)
            session.mirror.retention = Retention(self.settings.retention_days, self.settings.retention_gb)
            self._prepare_replay(session)
            self._archive.attach(session, self._symbols)
            session.start(self._symbols)
            self._session = session
            self.tapes.clear()
            self._analyses = Memory(ANALYSES_KEPT)
            self._take_up_rules(anew=not session.live)
        LOG.info("market open: %s", feed.venue)

    def _feed(self, market: str) -> Feed:
        """A feed that has not started."""
        settings = self.settings
        if market == "demo":
            return SimulatedFeed(self._symbols, rate=settings.demo_rate, seed=settings.demo_seed)
        if market == "replay":
            return self._recordings()
        return SocketFeed(
            MARKETS[market],
            settings.ws_base(market),
            self._symbols,
            settings.stream,
            first_data_s=settings.live_deadline_s,
        )

    def _quote_feed(self, market: str) -> QuoteFeed | None:
        """A second connection, for best quotes, where the exchange is asked for them; not started."""
        if market not in MARKETS or not self.settings.quotes:
            return None
        return QuoteFeed(MARKETS[market], self.settings.ws_base(market), self._symbols)

    def _history(self, market: str) -> Rest | None:
        """Where the trades come from that a live market missed."""
        if market not in MARKETS or not self.settings.backfill:
            return None
        return Rest(MARKETS[market], self.settings.rest_base(market), self.settings.stream)

    def _recordings(self) -> ReplayFeed:
        """The configured recordings; of the symbols asked for those that they hold, or all of theirs."""
        if self._replay_from is None and self._session is not None and isinstance(self._session.feed, ReplayFeed):
            self._replay_speed = self._session.feed.position.speed
        feed = ReplayFeed(self._replay_files, self._replay_speed)
        known = tuple(symbol for symbol in self._symbols if symbol in feed.symbols)
        self._symbols = known or feed.symbols
        if set(self._symbols) == set(feed.symbols):
            return feed
        return ReplayFeed(self._replay_files, self._replay_speed, known)

    def _replayed(self) -> ReplayFeed:
        """The open replay."""
        feed = self.session.feed
        if not isinstance(feed, ReplayFeed):
            raise InputError(f"no recording is being replayed, the source is {self._source}", "source")
        return feed

    def _replay_again(self, at_us: int, plays: bool, speed: float) -> None:
        """Begin the open replay anew, go to a time, and play or stand there."""
        with self._switching:
            self._replayed()
            self._replay_speed, self._replay_from = speed, (at_us, plays)
            try:
                self._open("replay")
            finally:
                self._replay_from = None

    def _prepare_replay(self, session: Session) -> None:
        """Where a replay begins, and where it waits to be judged; before it starts."""
        feed = session.feed
        if not isinstance(feed, ReplayFeed):
            return
        feed.gate = Gate(lambda moment: self._is_judged(session, moment))
        if self._replay_from is not None:
            feed.begin_at(*self._replay_from)
        for symbol in self._symbols:  # from the first trade on, whoever looks at them later
            for timeframe in TIMEFRAMES:
                session.resampler(symbol, timeframe)

    def _is_judged(self, session: Session, moment: Moment) -> bool:
        """Whether a moment of a replay asks for anything."""
        return moment.last or moment.at_us % STORE_US == 0 or session.unsettled or bool(self.alerts.rules())

    def _gate(self) -> Gate | None:
        """Where the open replay waits; None where time passes by itself."""
        feed = self.session.feed
        return feed.gate if isinstance(feed, ReplayFeed) and not feed.ended else None

    def _run(self) -> None:
        """The evaluator thread."""
        while not self._stop.is_set():
            try:
                gate = self._gate()
                if gate is None:
                    self._stop.wait(STEP_S)
                    self._round()
                elif (moment := gate.next(STEP_S)) is not None:
                    self._judge(gate, moment)
                else:
                    self._store_replayed(gate)
                self.scans.tick(monotonic_s())
            except StorageError as exc:
                LOG.error("storage: %s", exc)
            except Exception:  # a bug must not end capture and alerts; it is logged and the next round goes on
                LOG.exception("the evaluator failed")

    def _round(self) -> None:
        """What is due by this machine's clock."""
        with self._switching:
            if self._source == "auto" and (market := self._choice.due(self.session, monotonic_s())) is not None:
                self._open(market)
            self.session.housekeep()
            if self.session.feed.venue == "replay":
                return  # its rules are judged by its own clock
        self._evaluate()

    def _judge(self, gate: Gate, moment: Moment) -> None:
        """What is due at a moment of a replay, which waits meanwhile."""
        try:
            self._let_mirror_catch_up(gate)
            with self._switching:
                if self._gate() is not gate:
                    return  # another market was opened since
                self.session.settle(moment.last)
                if not moment.last and self.alerts.rules():
                    self._judge_rules(monotonic_s(), whole=True)
                if moment.last or moment.at_us % STORE_US == 0:  # rarely: it costs more than all else
                    self.session.store_bars(moment.last)
                if moment.last:
                    self.session.mirror.hurry()
        finally:
            gate.done()

    def _store_replayed(self, gate: Gate) -> None:
        """Write the bars of a replay while it takes its time."""
        with self._switching:
            if self._gate() is gate:
                self.session.store_bars()

    def _let_mirror_catch_up(self, gate: Gate) -> None:
        """A replay is not to be faster than a disk that works: what cannot wait would be dropped."""
        while self._gate() is gate and self.session.mirror.error is None and self.session.mirror.waiting > BACKLOG:
            if self._stop.wait(STEP_S / 10):
                return

    def _relieve_mute(self) -> None:
        """A symbol that falls silent while others trade may be missing on this connection: another is tried, once."""
        session = self.session
        if not isinstance(session.feed, SocketFeed) or session.feed.state.mode != "LIVE":
            return
        rows = symbol_status(session, monotonic_s())
        usual = {symbol: counts.usual_trades_per_s for symbol, counts in session.ingestion.counts().items()}
        busy = [symbol for symbol in self._symbols if usual.get(symbol, 0.0) > STALE_TRADES / STALE_MOST_S]
        mute = {symbol for symbol in busy if rows[symbol].stale and rows[symbol].last_trade_age_s is not None}
        if mute - self._relieved and len(mute) < len(busy):
            session.feed.relieve(f"no trade of {', '.join(sorted(mute))} while others trade")
        self._relieved = mute

    def _evaluate(self) -> None:
        """Judge the alert rules, on the analyses that pages and API see: once a second, when its trades are here."""
        now_s, second = monotonic_s(), (self.now_us() - SETTLE_US) // US_PER_S
        if second == self._judged_second and now_s - self._judged_s < EVALUATE_S:
            return
        self._judged_s, self._judged_second = now_s, second
        self._relieve_mute()
        self._judge_rules(now_s)

    def _judge_rules(self, now_s: float, whole: bool = False) -> None:
        """Judge every rule on the market as it is now."""
        with self._switching:
            rows = symbol_status(self.session, now_s)
            live = self.session.live
            self._readings.begin(
                {name: Quiet(row.stale, row.last_trade_age_s if live else None) for name, row in rows.items()}
            )
            self.alerts.evaluate(self._readings, self.now_us(), self.venue, whole)

    def _judges(self) -> bool:
        """Whether rules have been judged lately, and nothing fails."""
        return monotonic_s() - self._judged_s < 10 * EVALUATE_S and self.health() is None

    def _held(self, params: PairParams) -> int:
        """Closed bars that an analysis rests on where nothing else is asked for."""
        return max(config.CHART_BARS + params.warm_up, params.bars)

    def _take_up_rules(self, anew: bool) -> None:
        """Judge the rules on the market that is open now."""
        self._readings.forget()
        self.alerts.take_up(self.venue, self.now_us(), anew)

    def _past(self, symbol: str, timeframe: str, bars: int) -> BarColumns:
        """The newest closed bars held, and of a live market stored, of a symbol, consecutive, oldest first."""
        held = self.columns(symbol, timeframe, bars + 1)[:-1]
        if not len(held) or len(held) >= bars or not self.session.live:
            return held
        stored = sqlite.read_bars(self.settings.database, self.venue, symbol, timeframe, int(held.ts_us[0]), bars)
        return BarColumns.joined(stored[-(bars - len(held)) :], held)


def _comparable(event: AlertEvent) -> dict[str, Any]:
    """What two replays of a recording have in common: not the number of an event, nor what is drawn at random."""
    drawn = {"seq", "event_id", "rule_id", "context", "outcome"}
    return {name: value for name, value in asdict(event).items() if name not in drawn}
