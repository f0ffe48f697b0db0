"""Bars in the file that a repair has changed and that memory does not hold: made anew from the stored trades."""

from collections import deque
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pandas as pd

from analytics.resampling import bars, timeframe_us
from data import sqlite
from data.ingestion import Gap
from data.trades import Trades
from utils.errors import StorageError

MOST_IDS = 50_000  # of a repaired gap that one piece of work reads
MOST_WAITING = 10_000  # pieces; the oldest are given up first
NEIGHBOURS = 5_000  # stored trades first read on each side; doubled until the bars that they touch are whole

BeyondMemory = Callable[[str, str], float]  # symbol, timeframe -> bars up to this time are not kept in memory
PutBars = Callable[[str, str, pd.DataFrame], None]


class Rebuild:
    """Repaired gaps whose bars may lie beyond memory, worked off piece by piece."""

    def __init__(self, path: Path, venue: str, stream: str, beyond_memory: BeyondMemory, put_bars: PutBars) -> None:
        self._source = (path, venue, stream)
        self._beyond_memory, self._put_bars = beyond_memory, put_bars
        self._waiting: deque[tuple[str, int, int]] = deque(maxlen=MOST_WAITING)
        self._missing: set[tuple[str, int, int]] = set()  # at the last look
        self._timeframes: dict[str, tuple[str, ...]] = {}  # in the file when first asked: later ones are in memory

    def begin(self, missing: Iterable[Gap]) -> None:
        """What is missing already when a symbol is taken up."""
        self._missing |= {(gap.symbol, gap.first_id, gap.last_id) for gap in missing}

    def look(self, missing: Iterable[Gap]) -> None:
        """Take up what was missing at the last look and is not any more."""
        gaps = {(gap.symbol, gap.first_id, gap.last_id) for gap in missing}
        for symbol, first, last in self._missing - gaps:
            pieces = sorted((a, b) for name, a, b in gaps if name == symbol and a <= last and b >= first)
            for a, b in [*pieces, (last + 1, last + 1)]:
                self.add(symbol, first, a - 1)
                first = max(first, b + 1)
        self._missing = gaps

    def add(self, symbol: str, first_id: int, last_id: int) -> None:
        """Take up ids that were missing and are stored, or will be soon."""
        for first in range(first_id, last_id + 1, MOST_IDS):
            self._waiting.append((symbol, first, min(first + MOST_IDS - 1, last_id)))

    def work(self, rows: int = MOST_IDS) -> None:
        """Make the bars of some ids anew, those whose trades are all in the file by now; the others wait."""
        for _ in range(len(self._waiting)):
            if rows <= 0:
                return
            symbol, first, last = self._waiting.popleft()
            try:
                done = self._done(symbol, first, last)
            except StorageError:  # the disk is seen to elsewhere
                done = False
            if not done:
                self._waiting.append((symbol, first, last))
            rows -= last - first + 1

    def _done(self, symbol: str, first: int, last: int) -> bool:
        widths = {name: self._beyond_memory(symbol, name) for name in self._stored_timeframes(symbol)}
        if all(until_us == -np.inf for until_us in widths.values()):
            return True
        repaired = sqlite.read_ids(*self._source, symbol, first, last)
        if len(repaired) < last - first + 1:
            return False
        beside = [
            sqlite.read_beside(*self._source, symbol, trade_id, side) for trade_id, side in ((first, -1), (last, 1))
        ]
        around = Trades.concat(symbol, [*beside, repaired])  # the gap had marked the bars of its neighbours too
        for timeframe, until_us in widths.items():
            self._amend(symbol, timeframe, around.sorted_by_id(), until_us)
        return True

    def _amend(self, symbol: str, timeframe: str, repaired: Trades, until_us: float) -> None:
        """Replace those stored bars of one width that the repaired trades touch."""
        width_us = timeframe_us(timeframe)
        first_us = int(repaired.ts_us.min()) // width_us * width_us
        last_us = int(min(repaired.ts_us.max(), until_us)) // width_us * width_us
        path, venue, _ = self._source
        stored = sqlite.read_bar_times(path, venue, symbol, timeframe, first_us, last_us)
        if stored.size:
            frame = self._bars(symbol, timeframe, repaired, first_us, last_us + width_us)
            self._put_bars(symbol, timeframe, frame[np.isin(frame.index.asi8, stored)])

    def _stored_timeframes(self, symbol: str) -> tuple[str, ...]:
        if symbol not in self._timeframes:
            path, venue, _ = self._source
            self._timeframes[symbol] = sqlite.read_timeframes(path, venue, symbol)
        return self._timeframes[symbol]

    def _bars(self, symbol: str, timeframe: str, repaired: Trades, first_us: int, end_us: int) -> pd.DataFrame:
        """The bars of a span around these trades, complete where no id in or beside them is missing."""
        width_us = timeframe_us(timeframe)
        trades = self._spanning(symbol, repaired, first_us, end_us)
        frame = bars(trades, timeframe)
        holes = np.flatnonzero(np.diff(trades.trade_id) > 1)
        missing = [(int(trades.ts_us[i]), int(trades.ts_us[i + 1])) for i in holes]
        if trades.ts_us[0] >= first_us:
            missing.append((first_us, int(trades.ts_us[0])))  # nothing is known before the first stored trade
        if trades.ts_us[-1] < end_us:
            missing.append((int(trades.ts_us[-1]), end_us - 1))
        whole = [not any(a < open_us + width_us and open_us <= b for a, b in missing) for open_us in frame.index.asi8]
        return frame.assign(complete=whole)

    def _spanning(self, symbol: str, repaired: Trades, first_us: int, end_us: int) -> Trades:
        """The repaired trades with their stored neighbours, until these reach over both times or end."""
        first, last = int(repaired.trade_id[0]), int(repaired.trade_id[-1])
        before = self._beside(symbol, first, -1, lambda trades: bool(trades.ts_us[0] < first_us))
        after = self._beside(symbol, last, 1, lambda trades: bool(trades.ts_us[-1] >= end_us))
        return Trades.concat(symbol, [before, repaired, after])

    def _beside(self, symbol: str, trade_id: int, side: int, reaches: Callable[[Trades], bool]) -> Trades:
        rows = NEIGHBOURS
        while True:
            trades = sqlite.read_beside(*self._source, symbol, trade_id, side * rows)
            if len(trades) < rows or reaches(trades):
                return trades
            rows *= 2
