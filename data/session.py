"""One open market: a feed, the sequencer behind it, memory, mirror and bars, under one start and one stop."""

import threading
from collections import deque
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pandas as pd

from analytics.resampling import BarColumns, timeframe_us
from data import history, sqlite
from data.backfill import Backfill
from data.feeds.feed import Feed, QuotingFeed
from data.feeds.rest import Rest
from data.feeds.socket import QuoteFeed
from data.history import History
from data.ingestion import Gap, Ingestion, still_missing
from data.quotes import QuoteBook
from data.rebuild import Rebuild
from data.resampler import Resampler
from data.storage import Mirror, TickBuffer
from data.trades import Trades
from utils.clock import US_PER_S, monotonic_s
from utils.errors import StorageError

RESUME_TRADES = 200_000  # newest stored trades per symbol that a live session begins with
ALWAYS_STORED = "1m"  # bars of this width are written for every symbol, watched or not
MAX_STORED_AT_ONCE = 2_000  # bars; a longer backlog is written over several rounds


class _Bars:
    """Bars of one symbol and width: trades wait in a list until somebody looks."""

    def __init__(self, timeframe: str, since_us: int | None, stored_least_us: int, version: int) -> None:
        self.resampler = Resampler(timeframe, since_us=since_us, version=version)
        self.marked: dict[tuple[int, int], tuple[int, int]] = {}  # ids of each open gap -> the times that were marked
        self._width_us = timeframe_us(timeframe)
        # The bar of this time and those before are not written: memory may hold only a part of its trades.
        self.stored_least_us = stored_least_us // self._width_us * self._width_us
        self.has_looked_back = False  # whether stored bars were looked for that lead up to its trades
        self._stored_through_us = 0
        self._stored_version = 0
        self._waiting: deque[Trades] = deque()
        self._lock = threading.Lock()

    def add(self, trades: Trades) -> None:
        self._waiting.append(trades)  # needs no lock: nobody ever puts another deque in its place

    def catch_up(self) -> Resampler:
        """The resampler with everything that has arrived."""
        with self._lock:
            waiting = [self._waiting.popleft() for _ in range(len(self._waiting))]
            if waiting:
                self.resampler.update(Trades.concat(waiting[0].symbol, waiting))
        return self.resampler

    def store_again(self, ts_us: int) -> None:
        """Bars from this time on have changed: the file has to be told."""
        self._stored_through_us = min(self._stored_through_us, (ts_us // self._width_us - 1) * self._width_us)

    def due(self, now_us: int, known_us: float) -> BarColumns | None:
        """Closed bars up to `known_us` that are new or have changed, if any; they count as stored from now on."""
        resampler = self.catch_up()
        with self._lock:  # no update in between
            if resampler.closed_version > self._stored_version:
                for ts_us in resampler.revised(self._stored_version)[:1].tolist():
                    self.store_again(ts_us)
            self._stored_version = resampler.version
            stored_us = max(self._stored_through_us, self.stored_least_us)
            rows = (resampler.closed_through(now_us) - stored_us) // self._width_us
            if rows < 1:
                return None
            bars = resampler.columns(now_us, rows + 1)[:-1]
        bars = bars[: int(np.searchsorted(bars.ts_us + self._width_us, known_us, side="right"))][:MAX_STORED_AT_ONCE]
        if not len(bars):
            return None
        self._stored_through_us = int(bars.ts_us[-1])
        return bars


class Session:
    """Everything that belongs to one market. Trades of another market are another session.

    clock_us : time as it passes in this market, microseconds, where that is not the time of this machine
    """

    def __init__(
        self,
        feed: Feed,
        database: Path,
        capacity: int,
        *,
        history: Rest | None = None,
        repair_most: int = 1_000_000,
        quote_feed: QuoteFeed | None = None,
        clock_us: Callable[[], int] | None = None,
    ) -> None:
        self.feed = feed
        self.quote_feed = quote_feed
        self.quotes = QuoteBook()
        self.database = database
        self.buffer = TickBuffer(capacity)
        self.mirror = Mirror(database, feed.venue, feed.stream)
        self._clock_us = clock_us
        self.ingestion = Ingestion(
            self.buffer, self.mirror, contiguous=feed.contiguous, clock_s=self.clock_s, clock_us=clock_us
        )
        self.ingestion.reconnects = lambda: feed.state.reconnects
        self.ingestion.market_us = feed.market_us
        self.history = history
        self.backfill = None
        if history is not None:
            self.backfill = Backfill(self.ingestion, history, lambda: self.symbols, most=repair_most)
        self.symbols: tuple[str, ...] = ()
        self.opened_s = monotonic_s()
        self._bars: dict[tuple[str, str], _Bars] = {}
        self._bars_lock = threading.Lock()
        self._first: dict[str, tuple[int, int]] = {}
        self._gaps_seen: set[Gap] = set()
        self._gaps_version = -1
        self._rebuild = Rebuild(database, feed.venue, feed.stream, self._beyond_memory, self.mirror.put_bars)
        self.ingestion.on_emit.append(self._emitted)

    def clock_s(self) -> float:
        """Seconds that pass in this market: on the monotonic clock, or on a clock of the market's own."""
        return monotonic_s() if self._clock_us is None else self._clock_us() / US_PER_S

    @property
    def live(self) -> bool:
        """Whether the trades come from the exchange, now."""
        return self.feed.venue.startswith("binance")

    def start(self, symbols: Iterable[str]) -> None:
        """Open the database, take up where the last live session ended, and let the feed run.

        Raises
        ------
        StorageError
        """
        self.mirror.start()
        self.follow(symbols)
        if isinstance(self.feed, QuotingFeed) and self.feed.quote_sink is None:
            self.feed.quote_sink = self.quotes
        self.feed.start(self.ingestion)
        if self.quote_feed is not None:
            self.quote_feed.start(self.quotes)
        if self.history is not None and self.backfill is not None:
            key = f"{self.feed.venue} closed until"
            self.history.on_closed = lambda until_us: self.mirror.put_note(key, str(until_us))
            self.history.stay_away(int(sqlite.read_note(self.database, key) or 0))
            self.backfill.start()

    def stop(self) -> None:
        """Stop the feed, put everything queued on disk, close the file."""
        self.feed.stop()
        if self.quote_feed is not None:
            self.quote_feed.stop()
        if self.backfill is not None:
            self.backfill.stop()
        self.housekeep(final=True)
        self.mirror.stop()

    def follow(self, symbols: Iterable[str]) -> None:
        """Take these symbols up: their bars are stored, and if live, memory begins with the newest stored trades."""
        self.symbols = tuple(symbols)
        if self.quote_feed is not None:
            self.quote_feed.set_symbols(self.symbols)
        for symbol in self.symbols:
            if self.live and not self.buffer.count(symbol):
                self._resume(symbol)
            self.resampler(symbol, ALWAYS_STORED)

    def _resume(self, symbol: str) -> None:
        """Go on where the last run ended: the next expected id follows the stored ones; what they miss is a gap."""
        stored = sqlite.read_trades(self.database, self.feed.venue, self.feed.stream, symbol, limit=RESUME_TRADES)
        if not len(stored):
            return
        missing: list[Gap] = []
        if self.feed.contiguous:
            rows = sqlite.read_gaps(self.database, self.feed.venue, self.feed.stream, symbol)
            known = [Gap(symbol, r["first_id"], r["last_id"], r["cause"], r["found_us"]) for r in rows]
            missing, filled = still_missing(known, stored)
            for gap in filled:
                self.mirror.put_gap(gap)
                self._rebuild.add(symbol, gap.first_id, gap.last_id)
        self._rebuild.begin(missing)
        self.buffer.append(stored)
        self.ingestion.resume(symbol, int(stored.trade_id[-1]), missing, int(stored.ts_us[-1]))

    def housekeep(self, final: bool = False) -> None:
        """What has to happen now and then."""
        self.settle(final)
        self.store_bars(final)

    @property
    def unsettled(self) -> bool:
        """Whether `settle` has anything to do."""
        return self.ingestion.holds or self.ingestion.gaps_version != self._gaps_version

    def settle(self, final: bool = False) -> None:
        """Give up held trades that have waited for long enough, and mark the bars that miss trades."""
        self.ingestion.tick(float("inf") if final else self.clock_s())
        self._mark_gaps()

    def store_bars(self, final: bool = False) -> None:
        """Write closed bars, some of them or, finally, all."""
        now_us = self.feed.market_us()
        for (symbol, timeframe), bars in list(self._bars.items()):
            while self._store_closed(symbol, timeframe, bars, now_us) and final:
                pass
        if self.live and self.mirror.error is None:
            self._rebuild.work()

    def resampler(self, symbol: str, timeframe: str) -> Resampler:
        """Bars of one symbol and width, up to date with every trade that has arrived.

        Raises
        ------
        TimeframeError
        """
        bars = self._bars.get((symbol, timeframe))
        if bars is None or self._waits_for_history(symbol, bars):
            with self._bars_lock:
                bars = self._bars.get((symbol, timeframe))
                if bars is None or self._waits_for_history(symbol, bars):
                    bars = self._new_bars(symbol, timeframe, 0 if bars is None else bars.resampler.version)
        return bars.catch_up()

    def bars(self, symbol: str, timeframe: str, limit: int) -> pd.DataFrame:
        """The newest `limit` bars, the forming one last.

        While the exchange is out of reach the bars after the last trade are not complete: trades may be missing.
        `revised` marks those that late or repaired trades have changed since a reader was given them as closed.
        """
        resampler = self.resampler(symbol, timeframe)
        frame = resampler.frame(self.feed.market_us(), limit)
        frame["revised"] = np.isin(frame.index.asi8, resampler.revised())
        known = frame.index.asi8 + timeframe_us(timeframe) <= self.known_us(symbol)
        return frame if known.all() else frame.assign(complete=frame["complete"].to_numpy() & known)

    def take_up_history(self, symbols: Iterable[str]) -> None:
        """Bars of these symbols were added to the file: those of memory are joined to them."""
        wanted = set(symbols)
        for symbol, timeframe in [key for key in list(self._bars) if key[0] in wanted]:
            with self._bars_lock:
                self._new_bars(symbol, timeframe, self._bars[symbol, timeframe].resampler.version)

    def _waits_for_history(self, symbol: str, bars: _Bars) -> bool:
        """Whether bars were begun before there was a trade that stored ones could lead up to."""
        return not bars.has_looked_back and self.live and bool(self.buffer.count(symbol))

    def _new_bars(self, symbol: str, timeframe: str, version: int = 0) -> _Bars:
        """Bars of one symbol and width, from the file and from memory; with the lock of bars held."""
        earlier = self._history(symbol, timeframe)  # before the other lock: trades do not wait for the disk
        with self.ingestion.emit_lock:  # no trade may pass between snapshot and list
            bars = self._bars[symbol, timeframe] = self._bars_of_memory(symbol, timeframe, earlier, version)
        return bars

    def _history(self, symbol: str, timeframe: str) -> History | None:
        """Stored bars that lead up to the trades held, where these are of the exchange."""
        first = self.buffer.first(symbol)
        if first is None or not self.live:
            return None
        try:
            return history.before(self.database, (self.feed.venue, self.feed.stream, symbol), timeframe, first)
        except StorageError:  # the disk is seen to elsewhere
            return None

    def _bars_of_memory(self, symbol: str, timeframe: str, earlier: History | None, version: int) -> _Bars:
        """Bars of the trades held behind those of the file, marked where trades are missing."""
        held = self.buffer.snapshot(symbol)
        cut = len(held) >= min(RESUME_TRADES, self.buffer.capacity)  # older trades may be in the file
        stored = len(held) and (cut or earlier is not None)
        bars = _Bars(timeframe, self._capture_since(symbol), int(held.ts_us[0]) if stored else 0, version)
        bars.has_looked_back = len(held) > 0
        if earlier is not None:
            bars.resampler.begin_with(earlier.parts, earlier.since_us)
            for times in earlier.broken:
                bars.resampler.mark_incomplete(*times)
            bars.add(earlier.edge)
            held = held[held.ts_us >= earlier.until_us]
        bars.add(held)
        self._mark(symbol, bars, self.ingestion.open_gaps())
        return bars

    def _beyond_memory(self, symbol: str, timeframe: str) -> float:
        """Time of the last bar that memory does not hold whole: all are where nobody watches this width."""
        bars = self._bars.get((symbol, timeframe))
        if bars is None:
            return float("inf")
        return max(bars.stored_least_us or -float("inf"), bars.resampler.forgotten_us)

    def known_us(self, symbol: str) -> float:
        """Time up to which trades arrive: of the last one, while this connection has not brought another."""
        if not self.live or (self.feed.state.mode == "LIVE" and self.ingestion.is_current(symbol)):
            return float("inf")
        last = self.buffer.last(symbol)
        return 0 if last is None else last.ts_us

    def _capture_since(self, symbol: str) -> int | None:
        """Time from which nothing is missing before the first trade; None where the capture began mid-market."""
        first = self.buffer.first(symbol)
        return first.ts_us if first is not None and self.feed.venue == "demo" else None

    def began(self, symbol: str) -> tuple[int, int] | None:
        """Least id of the first trades that arrived in this session, and their time, microseconds; None before."""
        return self._first.get(symbol)

    def _emitted(self, trades: Trades) -> None:
        if trades.symbol not in self._first:
            self._first[trades.symbol] = int(trades.trade_id.min()), int(trades.ts_us.min())
        for (symbol, _), bars in list(self._bars.items()):
            if symbol == trades.symbol:
                bars.add(trades)

    def _store_closed(self, symbol: str, timeframe: str, bars: _Bars, now_us: int) -> bool:
        """Write some bars that are due; whether there were any. While the disk fails they stay due."""
        if self.mirror.error is not None:
            return False
        due = bars.due(now_us, self.known_us(symbol))
        if due is not None:
            self.mirror.put_bars(symbol, timeframe, due.frame())
        return due is not None

    def _mark_gaps(self) -> None:
        """Pass gaps that opened, shrank or closed since the last look on to the bars and to the file."""
        version = self.ingestion.gaps_version
        if version == self._gaps_version:
            return
        self._gaps_version = version  # before the look: what changes now is seen the next time
        gaps = set(self.ingestion.gaps())
        for gap in sorted(gaps - self._gaps_seen, key=lambda gap: (gap.found_us, gap.first_id)):
            self.mirror.put_gap(gap)
        self._gaps_seen = gaps
        missing = [gap for gap in gaps if gap.filled_us is None]
        self._rebuild.look(missing)
        for (symbol, _), bars in list(self._bars.items()):
            self._mark(symbol, bars, missing)

    def _mark(self, symbol: str, bars: _Bars, missing: Iterable[Gap]) -> None:
        """Mark the bars that each open gap touches, and take the marks of what is there now away."""
        gaps = {(gap.first_id, gap.last_id): gap for gap in missing if gap.symbol == symbol}
        gone = {ids: bars.marked.pop(ids) for ids in bars.marked.keys() - gaps.keys()}
        for times in gone.values():
            bars.resampler.mark_complete(*times)
            bars.store_again(times[0])
        for ids in gaps.keys() - bars.marked.keys():
            found = self._times_around(gaps[ids])
            if found is None:  # beyond memory by now: a piece has the times of the gap that it is left of
                found = next((times for (a, b), times in gone.items() if a <= ids[0] and ids[1] <= b), None)
            if found is not None:
                bars.marked[ids] = found
                bars.resampler.mark_incomplete(*found)
                bars.store_again(found[0])

    def _times_around(self, gap: Gap) -> tuple[int, int] | None:
        """Times of the trades just before and just after a gap: its trades happened between them.

        None where memory holds neither, so that no bar there can be touched.
        """
        trades = self.buffer.snapshot(gap.symbol)
        before = int(np.searchsorted(trades.trade_id, gap.first_id)) - 1
        after = int(np.searchsorted(trades.trade_id, gap.last_id, side="right"))
        if before < 0 and (not len(trades) or int(trades.trade_id[0]) != gap.last_id + 1):
            return None
        first_us = int(trades.ts_us[max(before, 0)])
        last_us = int(trades.ts_us[after]) if after < len(trades) else gap.found_us
        return min(first_us, last_us), max(first_us, last_us)  # ids and times may disagree
