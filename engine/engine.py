"""One process: its market and its rooms, and what pages, API and exports read."""

import contextlib
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd
import psutil

import config
from alerts.alert_engine import AlertEngine
from alerts.channels import open_channels
from alerts.notify import Heartbeat, Notifier
from alerts.past import Past, told, usual_bars, would_have_fired
from alerts.rules import AlertEvent
from analytics.correlation.lead_lag import LeadLag
from analytics.correlation.widths import WidthCorrelation
from analytics.microstructure import PairCost, QuoteReading, TapeReading
from analytics.pair import PairAnalysis, PairParams
from analytics.resampling import BarColumns
from analytics.signals import Signal, SignalParams
from config import Settings
from data import alert_rows, health, sqlite
from data.feeds.binance import MARKETS
from data.feeds.feed import Feed
from data.feeds.recorder import RecordingStatus
from data.feeds.replay import ReplayFeed, ReplayPosition
from data.feeds.socket import SocketFeed
from data.health import Queue, Worker
from data.importers.plan import Market
from data.ingestion import Gap
from data.inventory import Coverage, Holdings, Inventory
from data.legs import closes
from data.quotes import Quotes
from data.recordings import Recorded, Recordings
from data.retention import Retention
from data.session import Session
from data.state_hash import state_hash
from data.storage import Mirror
from data.trades import Trades
from engine.alert_file import AlertFile
from engine.analyses import Analyses, bars_needed
from engine.backtests import Backtests
from engine.choice import Choice
from engine.evaluator import Evaluator
from engine.exports import Exports
from engine.imports import Imports
from engine.markets import feed_of, history_of, quote_feed_of
from engine.replays import Replays
from engine.scans import Scans
from engine.status import (
    Status,
    SymbolStatus,
    System,
    backfill_status,
    channel,
    mode_of,
    quote_feed_status,
    quote_status,
    recording_status,
    symbol_status,
)
from engine.tapes import Tapes, check_followed
from engine.watchlist import Watchlist
from utils import logger
from utils.clock import monotonic_s
from utils.delays import Delays
from utils.errors import AnalysisError, InputError, PairscopeError, StorageError
from utils.jobs import Jobs
from utils.versions import versions

LOG = logger.get("engine")

WRITTEN_S, LOOK_S = 1.5, 0.1  # how long a switch waits for the disk, and how often it looks


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
        self._heartbeat = None
        if settings.heartbeat_url is not None:
            url = settings.heartbeat_url.get_secret_value()
            self._heartbeat = Heartbeat(url, settings.heartbeat_s, self._judges, private)
        self._source: str = settings.source
        self._symbols = settings.symbols
        self._session: Session | None = None
        self._switching = threading.RLock()  # held while the market is changed
        self._started_s = monotonic_s()
        self._process = psutil.Process()
        self._choice = Choice(settings, self._feed)
        self.tapes = Tapes(self)
        self._analyses = Analyses(self)
        self._notes: dict[str, str] = {}
        self._inventory = Inventory(settings.database)
        self._replays = Replays(self, self._switching, lambda: self._open("replay"))
        self.replay = self._replays.control
        self._archive = Recordings(settings.database.parent / "recordings", settings.record_gb * 1e9, settings.record)
        self.jobs = Jobs()
        self.scans = Scans(self, self.jobs)
        self.watchlist = Watchlist(self)
        self.backtests = Backtests(
            settings.database, self.jobs, self, self._archive, lambda: self.session, lambda: self._replays.files
        )
        self.imports = Imports(settings.database, self.jobs, self._mirror, self._market, self._imported)
        self.exports = Exports(self)
        self._evaluator = Evaluator(self, self._switching, self._choose, self._params)

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
        self._evaluator.take_up(anew=self.venue == "replay")
        self.notifier.start()
        self._evaluator.start()
        if self._heartbeat is not None:
            self._heartbeat.start()

    def stop(self) -> None:
        """Stop every thread; everything received is on disk afterwards. Safe to call twice."""
        self._evaluator.stop()
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
        if not self._evaluator.alive:
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
        past = Past(self._past, self._params, bars_needed(self._params))
        return told(would_have_fired(rule, past, usual_bars(rule) if bars is None else bars, thresholds, go_on))

    def metric(self, symbol_y: str, symbol_x: str, timeframe: str, name: str) -> float:
        """A metric of a pair at its newest close, as rules are judged by it; NaN where it is not known.

        Raises
        ------
        InputError
        """
        return self._analyses.metric(symbol_y, symbol_x, timeframe, self._params, name)

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
        return self._analyses.pair(symbol_y, symbol_x, timeframe, params, bars)

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
        return self._analyses.lead_lag(symbol_y, symbol_x)

    def correlation_by_width(self, symbol_y: str, symbol_x: str) -> tuple[WidthCorrelation, ...]:
        """Correlation of the same trades at many bar widths; looked at anew each few seconds.

        Raises
        ------
        TooFewObservations, InputError
        """
        return self._analyses.correlation_by_width(symbol_y, symbol_x)

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
        return self._analyses.signal_reading(symbol_y, symbol_x, timeframe, params)

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
        return self._analyses.pair_cost(pair, hedge_ratio, log_prices, notional)

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
        return self._analyses.signal(symbol_y, symbol_x, timeframe, params, rule, notional)

    def status(self) -> Status:
        """How the capture stands, now."""
        session = self.session
        now_s = monotonic_s()
        symbols = symbol_status(session, now_s)
        mode, detail, retry_at_s = mode_of(session, self._symbols, symbols, self._choice)
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
            recording=recording_status(self._archive),
        )

    def symbol_status(self) -> dict[str, SymbolStatus]:
        """How each symbol stands, now: the part of `status` that every chart asks for."""
        return symbol_status(self.session, monotonic_s())

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

    # --- how it all stands, and what is stored ------------------------------------------------

    def system(self) -> System:
        """How every part stands, now."""
        session, now_s = self.session, monotonic_s()
        evaluator = health.worker("evaluator", "writes bars, judges alert rules", self._evaluator.alive)
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
        if source == "replay" and not self._replays.files:
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
            time.sleep(LOOK_S)

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
        self._replays.choose(self._archive.path(name) for name in names)
        self.switch("replay")
        return self.replay.position()

    @property
    def replay_files(self) -> tuple[Path, ...]:
        """What the source `replay` plays."""
        return self._replays.files

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
                history=history_of(market, self.settings) if feed.contiguous else None,
                repair_most=self.settings.backfill,
                quote_feed=quote_feed_of(market, self.settings, self._symbols),
                clock_us=(lambda: feed.moment_us) if isinstance(feed, ReplayFeed) else None,
            )
            session.ingestion.on_emit.append(self.tapes.add)
            session.mirror.retention = Retention(self.settings.retention_days, self.settings.retention_gb)
            self._replays.prepare(session, self._evaluator.is_due)
            self._archive.attach(session, self._symbols)
            session.start(self._symbols)
            self._session = session
            self.tapes.clear()
            self._analyses.clear()
            self._evaluator.take_up(anew=not session.live)
        LOG.info("market open: %s", feed.venue)

    def _feed(self, market: str) -> Feed:
        """A feed that has not started."""
        if market != "replay":
            return feed_of(market, self.settings, self._symbols)
        feed = self._replays.feed()
        self._symbols = tuple(symbol for symbol in self._symbols if symbol in feed.symbols) or feed.symbols
        return feed

    def _choose(self) -> None:
        """With the source auto, open the market that is due in place of the open one."""
        if self._source == "auto" and (market := self._choice.due(self.session, monotonic_s())) is not None:
            self._open(market)

    def _judges(self) -> bool:
        """Whether rules have been judged lately, and nothing fails."""
        return self._evaluator.judges() and self.health() is None

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
