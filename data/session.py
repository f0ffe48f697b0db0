"""One open market: a feed, the sequencer behind it, memory, mirror and bars, under one start and one stop."""

import threading
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd

from analytics.resampling import timeframe_us
from data import sqlite
from data.feeds.feed import Feed
from data.ingestion import Gap, Ingestion
from data.resampler import Resampler
from data.storage import Mirror, TickBuffer
from data.trades import Trades
from utils.clock import monotonic_s

RESUME_TRADES = 200_000  # newest stored trades per symbol that a live session begins with
ALWAYS_STORED = "1m"  # bars of this width are written for every symbol, watched or not
MAX_STORED_AT_ONCE = 2_000  # bars; a longer backlog is written over several rounds


class _Bars:
    """Bars of one symbol and width: trades wait in a list until somebody looks."""

    def __init__(self, timeframe: str, since_us: int | None) -> None:
        self.resampler = Resampler(timeframe, since_us=since_us)
        self.width_us = timeframe_us(timeframe)
        self.stored_through_us = 0
        self._waiting: list[Trades] = []
        self._lock = threading.Lock()

    def add(self, trades: Trades) -> None:
        self._waiting.append(trades)  # one writer, and list.append is atomic

    def catch_up(self) -> Resampler:
        """The resampler with everything that has arrived."""
        with self._lock:
            waiting, self._waiting = self._waiting, []
            if waiting:
                self.resampler.update(Trades.concat(waiting[0].symbol, waiting))
        return self.resampler


class Session:
    """Everything that belongs to one market. Trades of another market are another session."""

    def __init__(self, feed: Feed, database: Path, capacity: int) -> None:
        self.feed = feed
        self.database = database
        self.buffer = TickBuffer(capacity)
        self.mirror = Mirror(database, feed.venue, feed.stream)
        self.ingestion = Ingestion(self.buffer, self.mirror, contiguous=feed.contiguous)
        self.opened_s = monotonic_s()
        self._bars: dict[tuple[str, str], _Bars] = {}
        self._bars_lock = threading.Lock()
        self._gaps_seen: dict[tuple[str, int, int, int | None], None] = {}
        self.ingestion.on_emit.append(self._emitted)

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
        if self.live:
            for symbol in symbols:
                self.resume(symbol)
        for symbol in symbols:
            self.bars(symbol, ALWAYS_STORED, 1)
        self.feed.start(self.ingestion)

    def stop(self) -> None:
        """Stop the feed, put everything queued on disk, close the file."""
        self.feed.stop()
        self.housekeep(final=True)
        self.mirror.stop()

    def resume(self, symbol: str) -> None:
        """Fill memory with the newest stored trades; the next expected id follows them."""
        stored = sqlite.read_trades(self.database, self.feed.venue, self.feed.stream, symbol, limit=RESUME_TRADES)
        if len(stored):
            self.buffer.append(stored)
            self.ingestion.resume(symbol, int(stored.trade_id[-1]))

    def housekeep(self, final: bool = False) -> None:
        """What has to happen now and then: give up held trades, mark bars that miss trades, write closed bars."""
        self.ingestion.tick(float("inf") if final else monotonic_s())
        self._mark_gaps()
        now_us = self.feed.market_us()
        for (symbol, timeframe), bars in list(self._bars.items()):
            self._store_closed(symbol, timeframe, bars, now_us)

    def resampler(self, symbol: str, timeframe: str) -> Resampler:
        """Bars of one symbol and width, up to date with every trade that has arrived.

        Raises
        ------
        TimeframeError
        """
        bars = self._bars.get((symbol, timeframe))
        if bars is None:
            with self._bars_lock, self.ingestion.emit_lock:  # no trade may pass between snapshot and list
                bars = self._bars.get((symbol, timeframe))
                if bars is None:
                    bars = _Bars(timeframe, self._capture_since(symbol))
                    bars.add(self.buffer.snapshot(symbol))
                    self._mark(symbol, bars.catch_up(), self.ingestion.gaps())
                    self._bars[symbol, timeframe] = bars
        return bars.catch_up()

    def bars(self, symbol: str, timeframe: str, limit: int) -> pd.DataFrame:
        """The newest `limit` bars, the forming one last.

        While the exchange is out of reach the bars after the last trade are not complete: trades may be missing.
        """
        frame = self.resampler(symbol, timeframe).frame(self.feed.market_us(), limit)
        if self.live and self.feed.state.mode != "LIVE" and len(frame):
            last_us = self.ingestion.counts()[symbol].last_trade_us or 0
            blind = frame.index.asi8 + timeframe_us(timeframe) > last_us
            frame = frame.assign(complete=frame["complete"].to_numpy() & ~blind)
        return frame

    def _capture_since(self, symbol: str) -> int | None:
        """Time from which nothing is missing before the first trade; None where the capture began mid-market."""
        first = self.buffer.first(symbol)
        return first.ts_us if first is not None and self.feed.venue == "demo" else None

    def _emitted(self, trades: Trades) -> None:
        for (symbol, _), bars in list(self._bars.items()):
            if symbol == trades.symbol:
                bars.add(trades)

    def _store_closed(self, symbol: str, timeframe: str, bars: _Bars, now_us: int) -> None:
        closed_us = bars.catch_up().closed_through(now_us)
        if closed_us <= bars.stored_through_us:
            return
        wanted = (closed_us - bars.stored_through_us) // bars.width_us if bars.stored_through_us else MAX_STORED_AT_ONCE
        frame = bars.resampler.frame(now_us, int(min(wanted, MAX_STORED_AT_ONCE)) + 1)
        frame = frame[frame.index.asi8 <= closed_us]
        if len(frame):
            self.mirror.put_bars(symbol, timeframe, frame)
        bars.stored_through_us = closed_us

    def _mark_gaps(self) -> None:
        """Pass gaps that opened or closed since the last look on to the bars and to the file."""
        news = []
        for gap in self.ingestion.gaps():
            key = (gap.symbol, gap.first_id, gap.last_id, gap.filled_us)
            if key not in self._gaps_seen:
                self._gaps_seen[key] = None
                news.append(gap)
                self.mirror.put_gap(gap)
        for (symbol, _), bars in list(self._bars.items()) if news else ():
            self._mark(symbol, bars.catch_up(), news)

    def _mark(self, symbol: str, resampler: Resampler, gaps: Iterable[Gap]) -> None:
        for gap in gaps:
            if gap.symbol != symbol:
                continue
            first_us, last_us = self._times_around(gap)
            if gap.filled_us is None:
                resampler.mark_incomplete(first_us, last_us)
            else:
                resampler.mark_complete(first_us, last_us)

    def _times_around(self, gap: Gap) -> tuple[int, int]:
        """Times of the trades just before and just after a gap: its trades happened between them."""
        trades = self.buffer.snapshot(gap.symbol)
        before = int(np.searchsorted(trades.trade_id, gap.first_id)) - 1
        after = int(np.searchsorted(trades.trade_id, gap.last_id, side="right"))
        first_us = int(trades.ts_us[max(before, 0)]) if len(trades) else gap.found_us
        last_us = int(trades.ts_us[after]) if after < len(trades) else gap.found_us
        return first_us, last_us
