"""Recorded files in play, released in the order of time; which market time is due is not decided here."""

from collections import Counter
from collections.abc import Generator, Iterator, Sequence
from dataclasses import replace
from typing import TypeVar

import numpy as np

from data.feeds.recording import Block, Found, FrameReader, Recording
from data.quotes import QUOTES_KEPT, Quotes
from data.trades import Columns, Trades
from utils.clock import LATEST_US

C = TypeVar("C", bound=Columns)
Chain = Sequence[Recording]  # the parts of one recording, or one file, read one after the other
Rejected = Counter[tuple[str | None, str]]  # (symbol or None, reason)


class Reader:
    """One recording in play, a block at a time."""

    def __init__(
        self, parts: Chain, kinds: dict[str, str], symbols: frozenset[str] | None, quotes: bool = False
    ) -> None:
        self.rejected_quotes: Rejected = Counter()  # in the newest block
        self.ended = False  # no block is left; rows of the last one may still be pending
        self.watermark_us = 0  # rows of the blocks to come are due at this time or later
        self.other = 0
        frames = FrameReader(quotes)  # one for all parts: it goes on from one to the next
        self._blocks = _blocks(parts, frames)
        self._kinds = kinds  # symbol -> the kind that is played, one for all files: the first seen stays
        self._symbols = symbols
        self._pending: list[tuple[np.ndarray, Trades]] = []  # when due, rows; one for each symbol
        self._quotes: dict[str, tuple[np.ndarray, Quotes]] = {}  # by symbol; they hold nothing up

    @property
    def finished(self) -> bool:
        """Whether all of the recording was released."""
        return self.ended and not self._pending

    @property
    def next_us(self) -> int | None:
        """When the next rows are due, as far as they were read."""
        return min((int(due_us[0]) for due_us, _ in self._pending), default=None)

    def is_through(self, until_us: int) -> bool:
        """Whether nothing due at or before a time is left, in the rows read or in those to come."""
        if self._pending:
            return min(int(due_us[0]) for due_us, _ in self._pending) > until_us
        return self.ended or self.watermark_us > until_us

    def close(self) -> None:
        """Read no further."""
        self._blocks.close()

    def load(self) -> Rejected:
        """Read the next block where the current one is used up; what was rejected in it."""
        block = None if self._pending else next(self._blocks, None)
        if block is None:
            self.ended = self.ended or not self._pending
            self.rejected_quotes = Counter()
            return Counter()
        self.other += block.other
        floor_us = self.watermark_us
        for kind, rows in block.trades:
            if self._is_played(kind, rows):
                trades = rows if kind == "ticks" else rows.sorted_by_id()  # so that no cut parts disordered ids
                due_us = np.maximum.accumulate(np.maximum(trades.ts_us, floor_us))
                self._pending.append((due_us, trades))
                self.watermark_us = max(self.watermark_us, int(due_us[-1]))
        for quotes in block.quotes:
            if self._is_chosen(quotes.symbol):
                self._hold(quotes)
        self.rejected_quotes = self._chosen(block.rejected_quotes)
        return self._chosen(block.rejected)

    def release(self, until_us: int) -> Iterator[tuple[np.ndarray, Trades]]:
        """Pending rows due at or before a time."""
        pending, self._pending = self._pending, []
        for due_us, trades in pending:
            cut = int(np.searchsorted(due_us, until_us, "right"))
            if cut:
                yield due_us[:cut], trades[:cut]
            if cut < due_us.size:
                self._pending.append((due_us[cut:], trades[cut:]))

    def release_quotes(self, until_us: int) -> Iterator[tuple[np.ndarray, Quotes]]:
        """The same of quotes."""
        for symbol, (due_us, quotes) in self._quotes.items():
            cut = int(np.searchsorted(due_us, until_us, "right"))
            if cut:
                self._quotes[symbol] = due_us[cut:], quotes[cut:]
                yield due_us[:cut], quotes[:cut]

    def _hold(self, quotes: Quotes) -> None:
        """Keep quotes until they are due, the newest QUOTES_KEPT of them: who takes them holds no more either."""
        due_us, held = self._quotes.get(quotes.symbol, (np.empty(0, np.int64), Quotes.empty(quotes.symbol)))
        floor_us = int(due_us[-1]) if due_us.size else 0
        new_us = np.maximum.accumulate(np.maximum(quotes.ts_us, floor_us))
        rows = Quotes.concat(quotes.symbol, (held, quotes))[-QUOTES_KEPT:]
        self._quotes[quotes.symbol] = np.concatenate((due_us, new_us))[-QUOTES_KEPT:], rows

    def _chosen(self, rejected: Rejected) -> Rejected:
        return Counter({key: count for key, count in rejected.items() if self._is_chosen(key[0])})

    def _is_chosen(self, symbol: str | None) -> bool:
        return self._symbols is None or symbol is None or symbol in self._symbols

    def _is_played(self, kind: str, trades: Trades) -> bool:
        if not self._is_chosen(trades.symbol):
            return False
        if self._kinds.setdefault(trades.symbol, kind) == kind:
            return True
        self.other += len(trades)  # trades and aggregates of one symbol are the same prints, counted apart
        return False


class Merge:
    """All files in play, released in the order of time."""

    def __init__(
        self,
        recordings: Sequence[Chain],
        found: dict[str, Found],
        symbols: frozenset[str] | None,
        quotes: bool = False,
    ) -> None:
        self._kinds = {symbol: first.kind for symbol, first in found.items()}
        self._readers = [Reader(parts, self._kinds, symbols, quotes) for parts in recordings]
        self._count: Counter[str] = Counter()  # trades released, by symbol
        self.reached_us = 0  # everything due until here was released
        self.position_us = 0  # newest trade released

    @property
    def finished(self) -> bool:
        """Whether everything was released."""
        return all(reader.finished for reader in self._readers)

    @property
    def released(self) -> int:
        """Trades released."""
        return self._count.total()

    @property
    def other(self) -> int:
        """Lines read that carry no trade of this replay."""
        return sum(reader.other for reader in self._readers)

    @property
    def next_us(self) -> int | None:
        """When the next trade is due; None where a block has to be read first, or none is left."""
        times = [reader.next_us for reader in self._readers if not reader.finished]
        known = [time for time in times if time is not None]
        return min(known) if len(known) == len(times) and known else None

    def is_through(self, until_us: int) -> bool:
        """Whether everything due at or before a time was released."""
        return self.reached_us >= until_us and all(reader.is_through(until_us) for reader in self._readers)

    def close(self) -> None:
        """Read no further."""
        for reader in self._readers:
            reader.close()

    def step(self, due_us: int) -> tuple[list[Trades], Rejected]:
        """Read a block where one is needed; release what is due and whose place in the order is certain."""
        rejected: Rejected = Counter()
        for reader in self._readers:
            rejected += reader.load()
        certain_us = min((reader.watermark_us for reader in self._readers if not reader.ended), default=LATEST_US)
        self.reached_us = min(due_us, certain_us)
        parts: dict[str, list[tuple[np.ndarray, Trades]]] = {}
        for reader in self._readers:
            for due, trades in reader.release(self.reached_us):
                parts.setdefault(trades.symbol, []).append((due, trades))
                self.position_us = max(self.position_us, int(due[-1]))
        return [self._numbered(_by_time(symbol, rows)) for symbol, rows in parts.items()], rejected

    def quotes(self) -> tuple[list[Quotes], Rejected]:
        """Quotes due by the newest step that were not released yet; what was rejected in its blocks."""
        rejected: Rejected = Counter()
        parts: dict[str, list[tuple[np.ndarray, Quotes]]] = {}
        for reader in self._readers:
            rejected += reader.rejected_quotes
            for due, quotes in reader.release_quotes(self.reached_us):
                parts.setdefault(quotes.symbol, []).append((due, quotes))
        return [_by_time(symbol, rows) for symbol, rows in parts.items()], rejected

    def _numbered(self, trades: Trades) -> Trades:
        """With ids 1, 2, 3, ... where the recording has none."""
        before = self._count[trades.symbol]
        self._count[trades.symbol] += len(trades)
        if self._kinds[trades.symbol] != "ticks":
            return trades
        return replace(trades, trade_id=np.arange(before + 1, before + 1 + len(trades), dtype=np.int64))


def _blocks(parts: Chain, frames: FrameReader) -> Generator[Block, None, None]:
    for part in parts:
        yield from part.blocks(frames)


def _by_time(symbol: str, rows: Sequence[tuple[np.ndarray, C]]) -> C:
    """Rows of several files in the order in which they are due."""
    if len(rows) == 1:
        return rows[0][1]
    order = np.argsort(np.concatenate([due_us for due_us, _ in rows]), kind="stable")
    return type(rows[0][1]).concat(symbol, [columns for _, columns in rows])[order]
