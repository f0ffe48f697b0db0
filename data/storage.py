"""Where trades are kept: the newest in memory, all of them in SQLite by a thread of its own."""

import contextlib
import sqlite3
import threading
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np
import pandas as pd

from data import alert_rows, sqlite
from data.database import NOTE_KEY, Database
from data.retention import Retention
from data.trades import Columns, Trade, Trades
from utils import logger
from utils.clock import monotonic_s
from utils.delays import Delays
from utils.errors import StorageError

LOG = logger.get("mirror")

FIRST_ROWS = 1_024  # a quiet symbol among a thousand must not cost what a busy one does
SLACK = 0.25  # room behind a full generation, as a share of its rows
RETRY_MOST_S = 5.0  # longest pause between attempts to write to a disk that fails
SLOW_S = 3.0  # a batch that takes longer is told

C = TypeVar("C", bound=Columns)


class _Generation:
    """Columns with room behind them. Rows [0, end) never change: a slice of them may be shared for ever."""

    def __init__(self, rows: int, kinds: Iterable[type]) -> None:
        self.columns: tuple[np.ndarray, ...] = tuple(np.empty(rows, kind) for kind in kinds)
        self.end = 0

    @property
    def room(self) -> int:
        return self.columns[0].size - self.end

    def append(self, rows: Columns) -> None:
        end = self.end + len(rows)
        for column, new in zip(self.columns, rows.columns, strict=True):
            column[self.end : end] = new
        self.end = end


class ColumnBuffer(Generic[C]):
    """The newest `capacity` rows of each symbol, shared between threads: a bounded deque of columns.

    The lock is held to append or to take references, never while computing. A snapshot is a slice of columns that
    do not change any more: no copy, no torn read. When a generation is full, its newest rows move to a fresh one.
    """

    def __init__(self, capacity: int, kind: type[C]) -> None:
        self.capacity = capacity
        self._kind = kind
        self._lock = threading.Lock()
        self._kept: dict[str, _Generation] = {}

    def append(self, rows: C) -> None:
        """Add rows of one symbol, by increasing id; late ones, older than the newest held, find their place."""
        if not len(rows):
            return
        with self._lock:
            kept = self._kept.get(rows.symbol)
            if kept is not None and kept.end and rows.columns[0][0] < kept.columns[0][kept.end - 1]:
                held = self._window(rows.symbol, kept)
                rows, kept = self._kind.concat(rows.symbol, [held, rows]).sorted_by_id(), None
            rows = rows[-self.capacity :]
            if kept is None or kept.room < len(rows):
                kept = self._kept[rows.symbol] = self._moved(rows.symbol, kept, len(rows))
            kept.append(rows)

    def snapshot(self, symbol: str, since_us: int = 0, limit: int | None = None) -> C:
        """The newest `limit` rows from `since_us` on, by id; read-only, shared, and never changed afterwards."""
        with self._lock:
            kept = self._kept.get(symbol)
            if kept is None:
                return self._kind.empty(symbol)
            rows = self._window(symbol, kept)
        if since_us:
            rows = rows[int(np.searchsorted(rows.columns[1], since_us)) :]
        if limit is not None:
            rows = rows[max(len(rows) - limit, 0) :]
        for column in rows.columns:
            column.flags.writeable = False
        return rows

    def forget(self, symbol: str) -> None:
        """Hold nothing of a symbol any more."""
        with self._lock:
            self._kept.pop(symbol, None)

    def symbols(self) -> tuple[str, ...]:
        """Symbols with rows."""
        with self._lock:
            return tuple(self._kept)

    def count(self, symbol: str) -> int:
        """Rows held of one symbol."""
        with self._lock:
            kept = self._kept.get(symbol)
            return 0 if kept is None else min(kept.end, self.capacity)

    def nbytes(self) -> int:
        """Bytes of all columns, their spare room included."""
        with self._lock:
            return sum(column.nbytes for kept in self._kept.values() for column in kept.columns)

    def _window(self, symbol: str, kept: _Generation) -> C:
        start = max(0, kept.end - self.capacity)
        return self._kind.made(symbol, (column[start : kept.end] for column in kept.columns))

    def _moved(self, symbol: str, kept: _Generation | None, coming: int) -> _Generation:
        """A fresh generation that begins with the newest rows of the old one, and has room for those coming."""
        held = self._kind.empty(symbol) if kept is None else self._window(symbol, kept)
        rows = len(held) + coming
        largest = int(self.capacity * (1 + SLACK)) + 1
        fresh = _Generation(max(min(max(2 * rows, FIRST_ROWS), largest), coming), self._kind.KINDS)
        room = fresh.columns[0].size - coming
        fresh.append(held[max(len(held) - min(room, self.capacity), 0) :])
        return fresh


class TickBuffer(ColumnBuffer[Trades]):
    """The newest `capacity` trades of each symbol."""

    def __init__(self, capacity: int) -> None:
        super().__init__(capacity, Trades)

    def first(self, symbol: str) -> Trade | None:
        """The oldest trade held."""
        return next(iter(self.snapshot(symbol)[:1]), None)

    def last(self, symbol: str) -> Trade | None:
        """The newest trade held."""
        return next(iter(self.snapshot(symbol, limit=1)), None)


Write = Callable[[sqlite3.Connection], None]
Committed = Callable[[str, int, int], None]  # symbol, rows new in the file, rows that were there already


class Mirror:
    """The writer thread: batches to SQLite, in one transaction each; a row leaves the queue after its commit only.

    A disk that is full, slow, locked or read-only is tried again until it works; rows wait meanwhile.

    Parameters
    ----------
    flush_s, flush_rows : a batch is written after this time, or when it is so large, whichever comes first
    max_queued : rows that may wait; more are refused, so that a disk that fails cannot fill the memory
    """

    def __init__(
        self,
        path: Path,
        venue: str,
        stream: str,
        *,
        flush_s: float = 0.25,
        flush_rows: int = 5_000,
        max_queued: int = 1_000_000,
    ) -> None:
        self.path, self.venue, self.stream = path, venue, stream
        self.on_commit: Committed = lambda symbol, new, known: None
        self.retention = Retention()
        self._flush_s, self._flush_rows, self.max_queued = flush_s, flush_rows, max_queued
        self._waiting: deque[Trades] = deque()
        self._queued_s: deque[float] = deque()  # when each of them came
        self.counting: contextlib.AbstractContextManager[Any] = contextlib.nullcontext()  # held while rows settle
        self._give_up_s = float("inf")
        self._writes: deque[tuple[Write, threading.Event | None]] = deque()  # rare rows: bars, gaps, rules, events
        self._rows = 0
        self._lock = threading.Lock()
        self._due = threading.Event()
        self._hurried = False
        self._stop = threading.Event()
        self._database = Database(path)
        self._connection: sqlite3.Connection | None = None  # of the newest batch
        self._failure: str | None = None  # why the newest attempt to write failed
        self._writing_since_s: float | None = None
        self._rules_changed = False
        self._instruments: dict[str, sqlite.Instrument] = {}
        self._commits_s: deque[float] = deque(maxlen=1_000)
        self.committed_s = 0.0  # monotonic time of the newest commit
        self.stored = Delays()  # from the queue to the end of the commit
        self._thread = threading.Thread(target=self._run, name="mirror", daemon=True)

    def start(self) -> None:
        """Take the file and begin to write; a disk that is full, locked or read-only is tried again later.

        Raises
        ------
        StorageError, DatabaseBusy, SchemaTooNew
        """
        try:
            self._database.connection()
        except StorageError as exc:
            if not sqlite.may_pass(exc):
                self._database.close()
                raise
            self._failed(exc, self._flush_s)
        self._thread.start()

    def stop(self, timeout_s: float = 4.0) -> None:
        """Write what waits, fold the log into the file, close it. Safe to call twice."""
        self._give_up_s = monotonic_s() + timeout_s - 1.0
        self._stop.set()
        self._due.set()
        if self._thread.is_alive():
            self._thread.join(timeout_s)
            left = self._rows + len(self._writes)
            if left:
                LOG.error("%d rows could not be written within %g s: %s", left, timeout_s, self.error)

    @property
    def error(self) -> str | None:
        """Why rows only wait in memory, if so: the newest attempt to write failed, or does not come to its end."""
        since_s = self._writing_since_s
        taken_s = 0.0 if since_s is None else monotonic_s() - since_s
        return f"the disk is slow: a write has taken {taken_s:.0f} s so far" if taken_s > SLOW_S else self._failure

    @property
    def storage_note(self) -> str | None:
        """What happened to the file, until it is dismissed."""
        return self._database.note

    def dismiss_note(self) -> None:
        """What happened to the file has been read."""
        self._database.dismiss()
        self.drop_note(NOTE_KEY)

    @property
    def waiting(self) -> int:
        """Rows that wait for their commit."""
        return self._rows

    @property
    def alive(self) -> bool:
        """Whether the thread runs."""
        return self._thread.is_alive()

    def commit_ms(self) -> tuple[float, float]:
        """Median and 99th percentile of the newest commits, milliseconds; NaN before the first."""
        taken = list(self._commits_s)
        return tuple(np.percentile(taken, [50, 99]) * 1_000) if taken else (np.nan, np.nan)

    def put(self, trades: Trades) -> int:
        """Queue trades; returns how many were taken: fewer than given when the queue is full."""
        with self._lock:
            taken = trades[: self.max_queued - self._rows]
            if len(taken):
                self._waiting.append(taken)
                self._queued_s.append(monotonic_s())
                self._rows += len(taken)
                if self._rows >= self._flush_rows and self.error is None:  # a disk that fails is left to its pauses
                    self._due.set()
            return len(taken)

    def hurry(self) -> None:
        """Write all that waits now: nothing will follow for a while."""
        self._hurried = True
        self._due.set()

    def queued(self, symbol: str) -> int:
        """Rows of one symbol that wait for their commit."""
        with self._lock:
            return sum(len(trades) for trades in self._waiting if trades.symbol == symbol)

    def put_bars(self, symbol: str, timeframe: str, frame: pd.DataFrame) -> None:
        """Queue closed bars; stored ones of the same time are replaced."""
        self._write(lambda connection: sqlite.put_bars(connection, self.venue, symbol, timeframe, frame))

    def put_gap(self, gap: Any) -> None:
        """Queue a gap, or what became of it."""
        row = asdict(gap)
        self._write(lambda connection: sqlite.put_gap(connection, self.venue, self.stream, row))

    def put_rule(self, body: Mapping[str, Any]) -> None:
        """Queue an alert rule."""
        self._write(lambda connection: alert_rows.put_rule(connection, body))
        self._write(self._note_change_of_rules)

    def drop_rule(self, rule_id: str) -> None:
        """Queue the end of an alert rule."""
        self._write(lambda connection: alert_rows.drop_rule(connection, rule_id))
        self._write(self._note_change_of_rules)

    def _note_change_of_rules(self, connection: sqlite3.Connection) -> None:
        self._rules_changed = True

    def put_note(self, key: str, value: str) -> None:
        """Queue a value that has to outlive the process."""
        self._write(lambda connection: sqlite.put_note(connection, key, value))

    def drop_note(self, key: str) -> None:
        """Queue the end of such a value."""
        self._write(lambda connection: sqlite.drop_note(connection, key))

    def write(self, write: Write) -> threading.Event:
        """Queue something that is written as one with its batch, at once; the event is set after its commit."""
        done = threading.Event()
        self._write(write, done)
        self._due.set()
        return done

    def _write(self, write: Write, done: threading.Event | None = None) -> None:
        self._writes.append((write, done))

    # --- the thread -----------------------------------------------------------------------------

    def _run(self) -> None:
        pause_s = self._flush_s
        while True:
            self._due.wait(pause_s)
            self._due.clear()
            last = self._stop.is_set()
            hurried, self._hurried = self._hurried, False
            try:
                self._database.connection()
                while self._flush() and (last or hurried or self._rows >= self._flush_rows):
                    pass
                self._failure, pause_s = None, self._flush_s
                self._tidy(last)
            except (sqlite3.Error, StorageError) as exc:
                pause_s = self._failed(exc, pause_s)
            except Exception as exc:  # a bug must not end the thread: rows stay queued, and the error is shown
                LOG.exception("the mirror failed")
                pause_s = self._failed(exc, pause_s)
            if last and (self._failure is None or monotonic_s() >= self._give_up_s):
                self._database.close()
                return

    def _tidy(self, last: bool) -> None:
        """Copy changed rules, and keep log and file small unless it is the end; what fails here stops no capture."""
        try:
            if self._rules_changed:
                self._rules_changed = False
                self._database.copy_rules()
            if not last:
                self._database.fold()
                self.retention.work(self._database.connection())
        except sqlite3.Error as exc:
            if sqlite.is_damage(exc):
                raise
            LOG.warning("%s cannot be tidied: %s", self.path.name, exc)

    def _failed(self, exc: Exception, pause_s: float) -> float:
        """Note an error and have the file seen to; the pause before the next attempt."""
        if isinstance(exc, sqlite3.Error):
            try:
                self._database.failed(exc)
            except StorageError as worse:
                exc = worse
        if self._failure != str(exc):
            LOG.error("%s cannot be written: %s", self.path.name, exc)
        self._failure = str(exc)
        return self._flush_s if self._stop.is_set() else min(2 * pause_s, RETRY_MOST_S)

    def _flush(self) -> bool:
        """Write one batch in one transaction; whether there was one."""
        with self._lock:
            batch = self._next_batch()
        writes = [self._writes[i] for i in range(len(self._writes))]
        if not batch and not writes:
            return False
        began_s = self._writing_since_s = monotonic_s()
        new: dict[str, int] = {}
        try:
            connection = self._database.connection()
            if connection is not self._connection:
                self._connection = connection
                self._instruments.clear()
            with sqlite.transaction(connection):
                for trades in _by_symbol(batch):
                    owner = self._owner(connection, trades.symbol)
                    new[trades.symbol] = sqlite.insert_trades(connection, owner, trades)
                for write, _ in writes:
                    write(connection)
        except BaseException:
            self._instruments.clear()  # their scales may have been rolled back
            raise
        finally:
            self._writing_since_s = None
        if not self._database.is_ours():
            return True  # the file was deleted meanwhile: the rows are still queued, and go to the next one
        self.committed_s = monotonic_s()
        self._commits_s.append(self.committed_s - began_s)
        self._settle(batch, new, len(writes))
        return True

    def _next_batch(self) -> list[Trades]:
        batch, rows = [], 0
        for trades in self._waiting:
            batch.append(trades)
            rows += len(trades)
            if rows >= self._flush_rows:
                break
        return batch

    def _settle(self, batch: list[Trades], new: dict[str, int], writes: int) -> None:
        """Take what was committed out of the queues and tell its owner, as one step for everybody who counts."""
        for _ in range(writes):
            done = self._writes.popleft()[1]
            if done is not None:
                done.set()
        rows: dict[str, int] = {}
        for trades in batch:
            rows[trades.symbol] = rows.get(trades.symbol, 0) + len(trades)
        with self.counting:
            with self._lock:
                for trades in batch:
                    self._waiting.popleft()
                    self.stored.add(self.committed_s - self._queued_s.popleft(), self.committed_s, len(trades))
                self._rows -= sum(rows.values())
            for symbol, count in rows.items():
                self.on_commit(symbol, new[symbol], count - new[symbol])

    def _owner(self, connection: sqlite3.Connection, symbol: str) -> sqlite.Instrument:
        owner = self._instruments.get(symbol)
        if owner is None:
            owner = sqlite.instrument(connection, self.venue, self.stream, symbol)
            self._instruments[symbol] = owner
        return owner


def _by_symbol(batch: list[Trades]) -> list[Trades]:
    """One table a symbol."""
    parts: dict[str, list[Trades]] = {}
    for trades in batch:
        parts.setdefault(trades.symbol, []).append(trades)
    return [Trades.concat(symbol, rows) for symbol, rows in parts.items()]
