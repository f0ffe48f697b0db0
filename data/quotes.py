"""The quote: best bid and ask of one symbol; columns of many, and the newest of them in memory, in order.

A quote counts for what it says: the exchange prints 0 for a side that is empty, and such a quote is kept, because it
is what the market was. Which quotes a measure can use is the measure's affair (`analytics.microstructure.quotes`).
"""

import threading
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Protocol, Self

import numpy as np

from data.storage import ColumnBuffer
from data.trades import MAX_ID, Columns
from utils.clock import EARLIEST_US, LATEST_US, US_PER_S, monotonic_s
from utils.errors import InputError

QUOTES_KEPT = 200_000  # of one symbol, 48 bytes each
RATE_S = 10.0  # seconds over which quotes per second are counted
RENUMBERED_US = US_PER_S  # a quote so much newer than the newest, and of a lower id, is no old one


@dataclass(frozen=True, slots=True)
class Quote:
    """Best bid and ask, sizes in base currency; 0 is an empty side. Finite and >= 0, or it is not made.

    Raises
    ------
    InputError
        `field` names what is wrong: "bid", "bid_qty", "ask", "ask_qty", "time", "id" or "symbol".
    """

    symbol: str
    update_id: int
    ts_us: int
    bid: float
    bid_qty: float
    ask: float
    ask_qty: float

    def __post_init__(self) -> None:
        if not self.symbol:
            raise InputError("a quote needs a symbol", "symbol")
        if not 0 <= self.update_id <= MAX_ID:
            raise InputError(f"update id must be between 0 and 2^63-1, was {self.update_id}", "id")
        if not EARLIEST_US <= self.ts_us < LATEST_US:
            raise InputError(f"time must lie between 2010 and 2100 in microseconds, was {self.ts_us}", "time")
        for name in ("bid", "bid_qty", "ask", "ask_qty"):
            if not 0 <= getattr(self, name) < np.inf:
                raise InputError(f"{name} must be finite and >= 0, was {getattr(self, name)!r}", name)


@dataclass(frozen=True, slots=True, eq=False)
class Quotes(Columns):
    """Columns of one symbol's best quotes, by increasing update id where nothing else is said."""

    KINDS = (np.int64, np.int64, np.float64, np.float64, np.float64, np.float64)

    update_id: np.ndarray  # int64, increasing, never without holes
    ts_us: np.ndarray  # int64, microseconds UTC: of the matching engine; of receipt where the exchange prints none
    bid: np.ndarray  # float64, quote currency
    bid_qty: np.ndarray  # float64, base currency
    ask: np.ndarray
    ask_qty: np.ndarray

    def __iter__(self) -> Iterator[Quote]:
        return (Quote(self.symbol, *row) for row in zip(*(column.tolist() for column in self.columns), strict=True))

    @property
    def columns(self) -> tuple[np.ndarray, ...]:
        """update_id, ts_us, bid, bid_qty, ask, ask_qty."""
        return self.update_id, self.ts_us, self.bid, self.bid_qty, self.ask, self.ask_qty

    @classmethod
    def from_rows(cls, symbol: str, rows: Iterable[Quote]) -> Self:
        """Columns of single quotes of one symbol, in the order given."""
        table = [(q.update_id, q.ts_us, q.bid, q.bid_qty, q.ask, q.ask_qty) for q in rows]
        if not table:
            return cls.empty(symbol)
        return cls.made(symbol, map(np.array, zip(*table, strict=True), cls.KINDS))


class QuoteSink(Protocol):
    """Where a feed delivers quotes. Every call is safe from any thread and returns quickly."""

    def offer(self, quotes: Quotes) -> None:
        """Quotes of one symbol, checked, in order of arrival; repeats and disorder are welcome."""

    def reject(self, symbol: str | None, reason: str, count: int = 1) -> None:
        """Quotes that arrived and were refused; `symbol` is None where the frame does not tell."""


@dataclass(frozen=True, slots=True)
class QuoteCounts:
    """The books of one symbol: received = kept + deduped + older + rejected."""

    received: int
    kept: int
    deduped: int  # of the newest update id again
    older: int  # of a lower update id than the newest: dropped
    rejected: dict[str, int]
    renumbered: int  # times the exchange began to count anew; what was kept before is forgotten then
    last: Quote | None
    last_monotonic_s: float | None
    quotes_per_s: float


@dataclass(slots=True)
class _Books:
    """What is known of one symbol; guarded by the lock of the book."""

    received: int = 0
    kept: int = 0
    deduped: int = 0
    older: int = 0
    rejected: dict[str, int] = field(default_factory=dict)
    renumbered: int = 0
    last_id: int = -1
    last_us: int = 0
    last_s: float | None = None
    seconds: deque[tuple[int, int]] = field(default_factory=lambda: deque(maxlen=int(RATE_S) + 1))  # second, quotes


class QuoteBook:
    """Quotes as they count: by increasing update id, each once, never going back in time; the newest in memory.

    An older quote is of no use any more, so it is dropped and counted, not put in its place. Where an id is lower but
    the time more than a second later, the exchange has begun to count anew, and so does the book.
    """

    def __init__(self, capacity: int = QUOTES_KEPT) -> None:
        self.buffer = ColumnBuffer(capacity, Quotes)
        self.unattributed: dict[str, int] = {}  # refused frames that name no symbol
        self._books: dict[str, _Books] = {}
        self._lock = threading.Lock()

    def offer(self, quotes: Quotes) -> None:
        """Take quotes of one symbol; see `QuoteSink`."""
        if not len(quotes):
            return
        now_s = monotonic_s()
        with self._lock:
            books = self._books.setdefault(quotes.symbol, _Books())
            books.received += len(quotes)
            _count_rate(books, int(now_s), len(quotes))
            start = 0
            while start < len(quotes):
                start = self._take(books, quotes, start)
            books.last_s = now_s

    def reject(self, symbol: str | None, reason: str, count: int = 1) -> None:
        """Count quotes that were refused; see `QuoteSink`."""
        with self._lock:
            if symbol is None:
                self.unattributed[reason] = self.unattributed.get(reason, 0) + count
                return
            books = self._books.setdefault(symbol, _Books())
            books.received += count
            books.rejected[reason] = books.rejected.get(reason, 0) + count

    def snapshot(self, symbol: str, since_us: int = 0, limit: int | None = None) -> Quotes:
        """The newest `limit` quotes from `since_us` on, by id; read-only, shared, and never changed afterwards."""
        return self.buffer.snapshot(symbol, since_us, limit)

    def counts(self) -> dict[str, QuoteCounts]:
        """The books of every symbol, all at one moment."""
        now_s = monotonic_s()
        with self._lock:
            return {symbol: self._counts(symbol, books, now_s) for symbol, books in self._books.items()}

    def _take(self, books: _Books, quotes: Quotes, start: int) -> int:
        """Take the quotes from `start` on up to where the exchange begins to count anew; where that is."""
        ids, times = quotes.update_id[start:], quotes.ts_us[start:]
        if ids[0] > books.last_id and (ids[1:] > ids[:-1]).all():  # nearly always
            self._keep(books, quotes[start:])
            return len(quotes)
        newest = np.maximum.accumulate(np.maximum(ids, books.last_id))
        before = np.concatenate(([books.last_id], newest[:-1]))
        fresh = ids > before
        latest_us = np.maximum.accumulate(np.where(fresh, times, books.last_us))  # of those that count
        anew = np.flatnonzero((ids < before) & (times - latest_us > RENUMBERED_US))
        stop = int(anew[0]) if anew.size else ids.size
        repeated = int(np.count_nonzero((ids == before)[:stop]))
        kept = quotes[start : start + stop][fresh[:stop]]
        books.deduped += repeated
        books.older += stop - repeated - len(kept)
        if len(kept):
            self._keep(books, kept)
        if anew.size:
            books.renumbered += 1
            books.last_id = -1
            self.buffer.forget(quotes.symbol)
        return start + stop

    def _keep(self, books: _Books, quotes: Quotes) -> None:
        """Quotes that count; their times never go back."""
        in_time = np.maximum.accumulate(np.maximum(quotes.ts_us, books.last_us))
        self.buffer.append(Quotes(quotes.symbol, quotes.update_id, in_time, *quotes.columns[2:]))
        books.kept += len(quotes)
        books.last_id, books.last_us = int(quotes.update_id[-1]), int(in_time[-1])

    def _counts(self, symbol: str, books: _Books, now_s: float) -> QuoteCounts:
        newest = sum(count for second, count in books.seconds if second > now_s - RATE_S)
        return QuoteCounts(
            received=books.received,
            kept=books.kept,
            deduped=books.deduped,
            older=books.older,
            rejected=dict(books.rejected),
            renumbered=books.renumbered,
            last=next(iter(self.buffer.snapshot(symbol, limit=1)), None),
            last_monotonic_s=books.last_s,
            quotes_per_s=newest / RATE_S,
        )


def _count_rate(books: _Books, second: int, count: int) -> None:
    if books.seconds and books.seconds[-1][0] == second:
        count += books.seconds.pop()[1]
    books.seconds.append((second, count))
