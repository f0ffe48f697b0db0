"""From what arrives to what counts: one sequencer per symbol, and the books that prove that nothing is lost.

A trade below the next expected id is a repeat and dropped, at it is emitted, above it is held: for a moment, since
reordered trades arrive soon, then the hole becomes a gap and the rest goes on. A trade whose id lies in an open gap
is accepted late. Live rows, a second connection and repairs all come through `offer`.
"""

import math
import threading
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace

import numpy as np

from data.storage import Mirror, TickBuffer
from data.trades import Trades
from utils.clock import LATEST_US, US_PER_S, monotonic_s, now_us
from utils.delays import Delays

HOLD_S = 0.25  # tolerance for trades that arrive out of order
HELD_MOST = 200_000  # rows of one symbol held before a hole is given up at once
RATE_S = 10.0  # seconds over which trades per second are counted
USUAL_S = 300.0  # time constant of the usual rate
FAR_IDS = 10_000_000  # a jump of ids that no market makes while we listen
FILLED_KEPT = 1_000  # filled gaps of one symbol kept in memory; the file has them all
RENUMBERED_US = US_PER_S  # a trade so much newer than the newest, and of a lower id, is no repeat


@dataclass(frozen=True, slots=True)
class Gap:
    """A run of ids that did not arrive. While `filled_us` is None all of it is missing: what came is split off."""

    symbol: str
    first_id: int
    last_id: int
    cause: str  # "missed" on an open connection, "reconnect" between two, "offline" between two runs
    found_us: int
    filled_us: int | None = None
    note: str = ""  # why it stays open


@dataclass(frozen=True, slots=True)
class SymbolCounts:
    """The books of one symbol: received = stored + deduped + rejected + dropped + queued, always."""

    received: int
    stored: int
    deduped: int
    rejected: dict[str, int]
    dropped: dict[str, int]
    queued: int  # counted, not derived: rows held for a hole, and rows that wait for their commit
    held: int
    last_trade_id: int | None
    last_trade_us: int | None
    last_trade_monotonic_s: float | None
    trades_per_s: float
    usual_trades_per_s: float
    gaps_open: int
    gaps_filled: int
    lag_s: float | None = None  # market time at which the newest trade arrived, minus its own


@dataclass(slots=True)
class _Hole:
    """An open gap, and how far it reached when it was found."""

    gap: Gap
    whole_last_id: int

    def filled(self, ids: np.ndarray, at_us: int) -> tuple[list["_Hole"], Gap | None]:
        """What is left without some of its ids, increasing; and a gap that is filled now, if any."""
        gap = self.gap
        edges = np.concatenate(([gap.first_id - 1], ids, [gap.last_id + 1]))
        left = [(int(edges[i]) + 1, int(edges[i + 1]) - 1) for i in np.flatnonzero(np.diff(edges) > 1)]
        if not left:
            return [], replace(gap, last_id=self.whole_last_id, filled_us=at_us, note="")
        reach = [first - 1 for first, _ in left[1:]] + [self.whole_last_id]  # each piece closes as its share
        holes = [_Hole(replace(gap, first_id=a, last_id=b), c) for (a, b), c in zip(left, reach, strict=True)]
        if left[0][0] > gap.first_id:
            return holes, replace(gap, last_id=left[0][0] - 1, filled_us=at_us, note="")
        return holes, None


def still_missing(known: Iterable[Gap], stored: Trades) -> tuple[list[Gap], list[Gap]]:
    """What the gaps of earlier runs still miss, and what of them is there by now; holes they do not know are new.

    `stored` are the newest stored trades of their symbol, by id: gaps before them are taken as they are.
    """
    ids = stored.trade_id
    missing, filled, at_us = [], [], now_us()
    holes = [(int(ids[i]) + 1, int(ids[i + 1]) - 1) for i in np.flatnonzero(np.diff(ids) > 1)]
    for gap in known:
        inside = ids[(ids >= gap.first_id) & (ids <= gap.last_id)]
        left, done = _Hole(gap, gap.last_id).filled(inside, at_us) if inside.size else ([_Hole(gap, gap.last_id)], None)
        missing += [hole.gap for hole in left]
        filled += [] if done is None else [done]
    for first, last in holes:
        covered = [(gap.first_id, gap.last_id) for gap in missing if gap.first_id <= last and gap.last_id >= first]
        start = first
        for low, high in [*sorted(covered), (last + 1, last + 1)]:
            if start < low:
                missing.append(Gap(stored.symbol, start, low - 1, "offline", at_us))
            start = max(start, high + 1)
    return missing, filled


@dataclass(slots=True)
class _Books:
    """What is known of one symbol; guarded by the lock of the ingestion."""

    received: int = 0
    stored: int = 0
    deduped: int = 0
    rejected: dict[str, int] = field(default_factory=dict)
    dropped: dict[str, int] = field(default_factory=dict)
    next_id: int | None = None
    resumed: bool = False  # the next id comes from an earlier run
    reconnects: int = 0  # of the feed when the newest trade came
    held: dict[int, tuple[float, Trades]] = field(default_factory=dict)  # id -> arrival, table of one row; by arrival
    holes: list[_Hole] = field(default_factory=list)  # open ones
    filled: deque[Gap] = field(default_factory=lambda: deque(maxlen=FILLED_KEPT))
    filled_count: int = 0
    last_trade_us: int | None = None
    last_trade_s: float | None = None  # of an accepted trade: repeats do not make a silent symbol young
    first_arrival_s: float = 0.0
    last_arrival_s: float | None = None
    lag_us: int | None = None
    arrivals: deque[tuple[float, int]] = field(default_factory=deque)  # time, rows
    usual_per_s: float = 0.0


class Ingestion:
    """The sink behind every feed; safe from any thread.

    Parameters
    ----------
    buffer, mirror : where accepted trades go; without a mirror they are counted as dropped for the disk
    contiguous : ids follow each other, so a hole is a loss. Otherwise (raw futures trades, whose ids have
        legitimate holes) a batch is ordered by id and what is not newer than the newest is a repeat.
    hold_s : how long a trade above a hole waits for the missing ones
    clock_s, clock_us : time that passes, and time that gaps are noted with
    """

    def __init__(
        self,
        buffer: TickBuffer,
        mirror: Mirror | None,
        *,
        contiguous: bool,
        hold_s: float = HOLD_S,
        clock_s: Callable[[], float] = monotonic_s,
        clock_us: Callable[[], int] | None = None,
    ) -> None:
        self.on_emit: list[Callable[[Trades], None]] = []
        self.reconnects: Callable[[], int] = lambda: 0  # of the feed so far
        self.market_us: Callable[[], int] | None = None  # the clock of this market: without it lags are not known
        self.readable = Delays()  # from a trade's hand-over by the feed until everybody reads it
        self.unattributed: dict[str, int] = {}
        self.gaps_version = 0  # moves on with every change of any gap
        self.emit_lock = threading.RLock()  # held while rows are accepted: order, books and listeners agree
        self._buffer, self._mirror = buffer, mirror
        self._contiguous, self._hold_s, self._clock_s = contiguous, hold_s, clock_s
        self._clock_us = clock_us or (lambda: now_us())
        self._books: dict[str, _Books] = {}
        self._arrived_s = 0.0  # when the batch in hand came
        if mirror is not None:
            mirror.counting, mirror.on_commit = self.emit_lock, self._committed

    # --- what arrives -----------------------------------------------------------------------------

    def offer(self, trades: Trades) -> None:
        """Take trades of one symbol, in order of arrival; repeats and disorder are sorted out here."""
        if not len(trades):
            return
        now_s = self._clock_s()
        with self.emit_lock:
            self._arrived_s = now_s
            books = self._of(trades.symbol)
            books.received += len(trades)
            if not self._contiguous:
                self._accept_newer(books, trades)
            elif books.next_id is not None and self._follows(books, trades):
                self._emit(books, trades)
            else:
                self._sequence(books, trades, now_s)

    def reject(self, symbol: str | None, reason: str, count: int = 1) -> None:
        """Count trades that arrived and were refused."""
        with self.emit_lock:
            if symbol is None:
                self.unattributed[reason] = self.unattributed.get(reason, 0) + count
                return
            books = self._of(symbol)
            books.received += count
            books.rejected[reason] = books.rejected.get(reason, 0) + count

    def resume(self, symbol: str, last_id: int, missing: Iterable[Gap] = (), last_us: int | None = None) -> None:
        """Expect the id after `last_id` next: the newest trade that an earlier run stored; and what it missed."""
        with self.emit_lock:
            books = self._of(symbol)
            if books.next_id is None:
                books.next_id, books.resumed, books.last_trade_us = last_id + 1, True, last_us
                books.holes = [_Hole(gap, gap.last_id) for gap in missing]
                self.gaps_version += 1

    def tick(self, now_s: float) -> None:
        """Give up holes that have been open for too long; to be called a few times a second."""
        with self.emit_lock:
            for books in self._books.values():
                while books.held and now_s - next(iter(books.held.values()))[0] >= self._hold_s:
                    self._give_up(books)

    # --- what is asked ------------------------------------------------------------------------------

    def counts(self) -> dict[str, SymbolCounts]:
        """The books of every symbol, all of one moment."""
        now_s = self._clock_s()
        with self.emit_lock:
            return {symbol: self._count(symbol, books, now_s) for symbol, books in self._books.items()}

    def gaps(self) -> list[Gap]:
        """Open gaps and the newest filled ones, by the time they were found."""
        with self.emit_lock:
            every = [gap for books in self._books.values() for gap in books.filled]
            every += [hole.gap for books in self._books.values() for hole in books.holes]
        return sorted(every, key=lambda gap: (gap.found_us, gap.symbol, gap.first_id))

    def is_current(self, symbol: str) -> bool:
        """Whether a symbol has delivered on the connection that is open now: before that, silence proves nothing."""
        with self.emit_lock:
            books = self._books.get(symbol)
            return (
                books is not None
                and books.last_trade_s is not None
                and not books.resumed
                and (books.reconnects == self.reconnects())
            )

    @property
    def holds(self) -> bool:
        """Whether trades wait for those before them."""
        with self.emit_lock:
            return any(books.held for books in self._books.values())

    def open_gaps(self) -> list[Gap]:
        """What is missing now, by symbol and id."""
        with self.emit_lock:
            found = [hole.gap for books in self._books.values() for hole in books.holes]
        return sorted(found, key=lambda gap: (gap.symbol, gap.first_id))

    def explain(self, gap: Gap, note: str, first_id: int | None = None, last_id: int | None = None) -> None:
        """Say why an open gap, or these ids of it, stay open; the rest of it becomes gaps of its own."""
        first = gap.first_id if first_id is None else first_id
        last = gap.last_id if last_id is None else last_id
        runs = [(gap.first_id, first - 1, ""), (first, last, note), (last + 1, gap.last_id, "")]
        with self.emit_lock:
            holes = self._of(gap.symbol).holes
            for at, hole in enumerate(holes):
                if hole.gap == gap:
                    pieces = [replace(gap, first_id=a, last_id=b, note=text) for a, b, text in runs if a <= b]
                    holes[at : at + 1] = [_Hole(piece, piece.last_id) for piece in pieces[:-1]] + [
                        _Hole(pieces[-1], hole.whole_last_id)
                    ]
                    self.gaps_version += 1
                    return

    # --- inside, with the lock held -----------------------------------------------------------------

    def _of(self, symbol: str) -> _Books:
        books = self._books.get(symbol)
        if books is None:
            books = self._books[symbol] = _Books()
        return books

    def _follows(self, books: _Books, trades: Trades) -> bool:
        """Whether a batch is just what is expected: the common case, told without a loop."""
        ids = trades.trade_id
        return (
            not books.held
            and int(ids[0]) == books.next_id
            and int(ids[-1]) - int(ids[0]) == len(trades) - 1
            and bool(np.all(ids[1:] > ids[:-1]))
        )

    def _accept_newer(self, books: _Books, trades: Trades) -> None:
        ids, first = np.unique(trades.trade_id, return_index=True)
        newer = ids >= (books.next_id or 0)
        fresh = trades[first[newer]]
        books.deduped += len(trades) - len(fresh)
        if len(fresh):
            self._emit(books, fresh)

    def _sequence(self, books: _Books, trades: Trades, now_s: float) -> None:
        """The general case: any order, repeats, holes."""
        ids, first = np.unique(trades.trade_id, return_index=True)
        books.deduped += len(trades) - ids.size
        trades = trades[first]
        if books.next_id is None:
            books.next_id = int(ids[0])
        far = ids > books.next_id + FAR_IDS
        if far.any() and not books.resumed and books.reconnects == self.reconnects():
            books.rejected["id"] = books.rejected.get("id", 0) + int(far.sum())  # nobody trades so much in a moment
            trades, ids = trades[~far], ids[~far]
        below = ids < books.next_id
        if below.any():
            self._accept_late(books, trades[below])
            trades = trades[~below]
        run = int(np.searchsorted(trades.trade_id - np.arange(len(trades)), books.next_id, side="right"))
        if run and not books.held:
            self._emit(books, trades[:run])
            trades = trades[run:]
        for row in range(len(trades)):
            one = trades[row : row + 1]
            if books.held.setdefault(int(one.trade_id[0]), (now_s, one))[1] is not one:
                books.deduped += 1
        self._drain(books)
        while len(books.held) > HELD_MOST:
            self._give_up(books)

    def _drain(self, books: _Books) -> None:
        """Emit what is held and follows now."""
        ready = []
        next_id = books.next_id
        while books.held and next_id in books.held:
            arrived_s, trade = books.held.pop(next_id)
            self._arrived_s = min(self._arrived_s, arrived_s)  # what waited longest speaks for all of them
            ready.append(trade)
            next_id += 1
        if ready:
            self._emit(books, Trades.concat(ready[0].symbol, ready))

    def _give_up(self, books: _Books) -> None:
        """The hole before the first held trade becomes a gap, and the trades behind it go on."""
        first = min(books.held)
        self._arrived_s = books.held[first][0]
        symbol = books.held[first][1].symbol
        assert books.next_id is not None
        gap = Gap(symbol, books.next_id, first - 1, self._cause(books), self._clock_us())
        books.holes.append(_Hole(gap, gap.last_id))
        books.next_id = first
        self.gaps_version += 1
        self._drain(books)

    def _cause(self, books: _Books) -> str:
        if books.resumed:
            return "offline"
        return "missed" if books.reconnects == self.reconnects() else "reconnect"

    def _accept_late(self, books: _Books, trades: Trades) -> None:
        """Trades below the next id: the missing ones of open gaps, emitted together, repeats, and a new numbering."""
        ids, missed = trades.trade_id, np.zeros(len(trades), bool)
        for hole in list(books.holes):
            inside = (ids >= hole.gap.first_id) & (ids <= hole.gap.last_id)
            if inside.any():
                missed |= inside
                self._fill(books, hole, ids[inside])
        # A repeat is as old as it was. What is new and yet counted from lower on was numbered anew by the exchange.
        newer = trades.ts_us > (books.last_trade_us or LATEST_US) + RENUMBERED_US
        renumbered = int((newer & ~missed).sum())
        if renumbered:
            books.rejected["renumbered"] = books.rejected.get("renumbered", 0) + renumbered
        books.deduped += int((~missed).sum()) - renumbered
        if missed.any():
            self._emit(books, trades[missed], late=True)

    def _fill(self, books: _Books, hole: _Hole, ids: np.ndarray) -> None:
        """Take ids, increasing, out of the gap that they lie in."""
        left, filled = hole.filled(ids, self._clock_us())
        at = books.holes.index(hole)
        books.holes[at : at + 1] = left
        if filled is not None:
            books.filled.append(filled)
            books.filled_count += 1
        self.gaps_version += 1

    def _emit(self, books: _Books, trades: Trades, late: bool = False) -> None:
        """Accepted: to memory, to the disk's queue, to the listeners."""
        if not late:  # a repair does not make a silent symbol young
            books.last_trade_s = self._clock_s()
            self._note_arrival(books, trades.ts_us, books.last_trade_s)
            books.next_id = int(trades.trade_id[-1]) + 1
            books.last_trade_us = int(trades.ts_us[-1])
            books.lag_us = None if self.market_us is None else self.market_us() - books.last_trade_us
            books.resumed, books.reconnects = False, self.reconnects()
        self._buffer.append(trades)
        taken = 0 if self._mirror is None else self._mirror.put(trades)
        if taken < len(trades):
            reason = "memory_only" if self._mirror is None else "storage"
            books.dropped[reason] = books.dropped.get(reason, 0) + len(trades) - taken
        for listener in self.on_emit:
            listener(trades)
        if not _is_history(trades.ts_us):
            now_s = self._clock_s()
            self.readable.add(now_s - self._arrived_s, now_s, len(trades))

    def _committed(self, symbol: str, new: int, known: int) -> None:
        books = self._books[symbol]
        books.stored += new
        books.deduped += known

    def _note_arrival(self, books: _Books, ts_us: np.ndarray, now_s: float) -> None:
        """Count arrivals. Of history, delivered at once, only its newest seconds: it is no haste of the market."""
        rows, arrivals = ts_us.size, books.arrivals
        if _is_history(ts_us):
            rows = int((ts_us > ts_us[-1] - RATE_S * US_PER_S).sum())
            arrivals.clear()
        if books.last_arrival_s is None:
            books.first_arrival_s = now_s
        else:
            weight = math.exp((books.last_arrival_s - now_s) / USUAL_S)
            books.usual_per_s = weight * books.usual_per_s + rows / USUAL_S
        books.last_arrival_s = now_s
        if arrivals and now_s - arrivals[-1][0] < 0.1:
            arrivals[-1] = (arrivals[-1][0], arrivals[-1][1] + rows)
        else:
            arrivals.append((now_s, rows))
        while now_s - arrivals[0][0] > RATE_S:
            arrivals.popleft()

    def _count(self, symbol: str, books: _Books, now_s: float) -> SymbolCounts:
        held = len(books.held)
        recent = sum(rows for at_s, rows in books.arrivals if now_s - at_s <= RATE_S)
        waiting = 0 if self._mirror is None else self._mirror.queued(symbol)
        return SymbolCounts(
            received=books.received,
            stored=books.stored,
            deduped=books.deduped,
            rejected=dict(books.rejected),
            dropped=dict(books.dropped),
            queued=held + waiting,
            held=held,
            last_trade_id=None if books.next_id is None else books.next_id - 1,
            last_trade_us=books.last_trade_us,
            last_trade_monotonic_s=books.last_trade_s,
            trades_per_s=recent / RATE_S,
            usual_trades_per_s=_usual_per_s(books),
            gaps_open=len(books.holes),
            gaps_filled=books.filled_count,
            lag_s=None if books.lag_us is None else books.lag_us / US_PER_S,
        )


def _is_history(ts_us: np.ndarray) -> bool:
    """Whether a batch was not traded just now: it spans more than what rates are counted over."""
    return bool(ts_us[-1] - ts_us[0] > RATE_S * US_PER_S)


def _usual_per_s(books: _Books) -> float:
    """The usual rate, as a mean over what has been seen: a young one is not weighed down by the time before."""
    seen_s = (books.last_arrival_s or 0.0) - books.first_arrival_s
    return books.usual_per_s / -math.expm1(-max(seen_s, 1.0) / USUAL_S)
