"""Recordings played back as a feed, through the decoding that live frames go through.

    files -> blocks of trades -> merged by time -> paced -> sink

Each file is read a block at a time. A trade is due at the running maximum of trade time within its file (rows keep
the time that was recorded); trades of all files are released in that order, those of the file named earlier first
where times are equal. The order depends on nothing but the files: two replays deliver the same sequences.
Best quotes that a file holds go with its trades, where somebody takes them; they neither hold up nor move the clock.
"""

import threading
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path
from typing import TypeVar
from zlib import crc32

import numpy as np

from data.feeds.feed import FeedState, Sink
from data.feeds.recording import Found, Recording
from data.quotes import QUOTES_KEPT, Quotes, QuoteSink
from data.trades import Columns, Trades
from utils import logger
from utils.clock import LATEST_US, US_PER_S, monotonic_s
from utils.errors import InputError, RecordingError

TICK_S = 0.03  # wall time between two deliveries

_LOG = logger.get("feed.replay")

C = TypeVar("C", bound=Columns)
Rejected = Counter[tuple[str | None, str]]  # (symbol or None, reason)


@dataclass(frozen=True, slots=True)
class ReplayPosition:
    """How far a replay is."""

    files: int
    position_us: int  # newest trade time released
    first_us: int  # time of the first trade
    last_us: int | None  # time of the last trade; None until all was played
    bytes_read: int  # of the files as they lie on disk; a little ahead of what was released
    bytes_total: int
    speed: float  # times real time; 0 is as fast as possible


class Pace:
    """Which market time is due at a monotonic time: a line through an anchor, at `speed` times real time."""

    def __init__(self, start_us: int, speed: float) -> None:
        self._lock = threading.Lock()
        self._anchor_us = start_us
        self._anchor_s: float | None = None  # None while it stands still
        self._speed = _checked(speed)

    @property
    def speed(self) -> float:
        """Times real time; 0 is as fast as possible."""
        return self._speed

    @property
    def stands(self) -> bool:
        """Whether it stands still, as it does until `play`."""
        return self._anchor_s is None

    def due_us(self, now_s: float) -> int:
        """Newest market time that may be released."""
        with self._lock:
            if self._anchor_s is None:
                return self._anchor_us
            if self._speed == 0:
                return LATEST_US
            return min(LATEST_US, self._anchor_us + round((now_s - self._anchor_s) * self._speed * US_PER_S))

    def play(self, now_s: float) -> None:
        """Go on from where it stands."""
        with self._lock:
            if self._anchor_s is None:
                self._anchor_s = now_s

    def pause(self, reached_us: int) -> None:
        """Stand still where the release has got to, which may lag behind what is due."""
        with self._lock:
            if self._anchor_s is not None:
                self._anchor_us, self._anchor_s = reached_us, None

    def set_speed(self, speed: float, now_s: float, reached_us: int) -> None:
        """Another speed from where the release has got to. Raises InputError where it is below 0 or not finite."""
        speed = _checked(speed)
        with self._lock:
            self._speed = speed
            if self._anchor_s is not None:
                self._anchor_us, self._anchor_s = reached_us, now_s


def _checked(speed: float) -> float:
    if not 0 <= speed < np.inf:
        raise InputError(f"speed must be >= 0 (0 = as fast as possible), was {speed!r}", "speed")
    return float(speed)


class _Reader:
    """One file in play, a block at a time."""

    def __init__(
        self, recording: Recording, kinds: dict[str, str], symbols: frozenset[str] | None, quotes: bool = False
    ) -> None:
        self.rejected_quotes: Rejected = Counter()  # in the newest block
        self.ended = False  # no block is left; rows of the last one may still be pending
        self.watermark_us = 0  # rows of the blocks to come are due at this time or later
        self.other = 0
        self._blocks = recording.blocks(quotes)
        self._kinds = kinds  # symbol -> the kind that is played, one for all files: the first seen stays
        self._symbols = symbols
        self._pending: list[tuple[np.ndarray, Trades]] = []  # when due, rows; one for each symbol
        self._quotes: dict[str, tuple[np.ndarray, Quotes]] = {}  # by symbol; they hold nothing up

    @property
    def finished(self) -> bool:
        """Whether all of the file was released."""
        return self.ended and not self._pending

    def load(self) -> Rejected:
        """Read the next block where the current one is used up; what was rejected in it."""
        block = None if self._pending else next(self._blocks, None)
        if block is None:
            self.ended = self.ended or not self._pending
            self.rejected_quotes = Counter()
            return Counter()
        self.other += block.other
        floor_us = self.watermark_us
        for kind, trades in block.trades:
            if self._is_played(kind, trades):
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


class _Merge:
    """All files in play, released in the order of time."""

    def __init__(
        self,
        recordings: Sequence[Recording],
        found: dict[str, Found],
        symbols: frozenset[str] | None,
        quotes: bool = False,
    ):
        self._kinds = {symbol: first.kind for symbol, first in found.items()}
        self._readers = [_Reader(recording, self._kinds, symbols, quotes) for recording in recordings]
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


def _by_time(symbol: str, rows: Sequence[tuple[np.ndarray, C]]) -> C:
    """Rows of several files in the order in which they are due."""
    if len(rows) == 1:
        return rows[0][1]
    order = np.argsort(np.concatenate([due_us for due_us, _ in rows]), kind="stable")
    return type(rows[0][1]).concat(symbol, [columns for _, columns in rows])[order]


def _check_together(recordings: Sequence[Recording], symbols: set[str]) -> None:
    """One symbol must be one instrument: spot and futures, or trades and aggregates, do not make one tape."""
    for one, two in combinations(recordings, 2):
        for symbol in sorted(one.found.keys() & two.found.keys() & symbols):
            here, there = one.found[symbol], two.found[symbol]
            if (here.kind, here.market) != (there.kind, there.market):
                raise RecordingError(
                    f"{one.path.name} holds {symbol} as {here}, {two.path.name} as {there}: "
                    f"they cannot be replayed together, drop {two.path.name} (or {one.path.name})"
                )


def _stream(recordings: Sequence[Recording], kinds: Iterable[str]) -> str:
    """Name under which ids are counted: the kind, and for rows without ids the content."""
    fingerprints = [recording.fingerprint() for recording in recordings if recording.kind == "ticks"]
    content = fingerprints[0] if len(fingerprints) == 1 else crc32(repr(fingerprints).encode())
    names = {"ticks": f"ticks-{content:08x}"}
    return "+".join(names.get(kind, kind) for kind in dict.fromkeys(kinds))


def _is_contiguous(found: Found) -> bool:
    """Raw futures ids have legitimate holes: insurance fund, ADL, ids that traded nothing."""
    return found.kind != "trade" or found.market == "spot"


class ReplayFeed:
    """Recordings as a feed: merged by trade time, at `speed` times real time, then ended.

    Frames carry ids. Rows of a recording without ids get 1, 2, 3, ... per symbol in the order they are played, equal
    rows all kept; `stream` then names the content, so that two such recordings never share ids. The market clock is
    the newest trade time delivered and stops at the end.

    Parameters
    ----------
    paths : recordings (data/feeds/recording.py says of which kinds); one named twice is played once
    speed : 1 as recorded, 20 twenty times faster, 0 as fast as possible
    symbols : play only these; None plays all

    Raises
    ------
    RecordingError
        A file cannot be replayed, or two files hold one symbol of different markets or kinds.
    InputError
        A speed below 0.
    """

    venue = "replay"

    def __init__(self, paths: Iterable[Path | str], speed: float = 1.0, symbols: Iterable[str] | None = None) -> None:
        self._recordings = [Recording(path) for path in dict.fromkeys(Path(path).resolve() for path in paths)]
        if not self._recordings:
            raise RecordingError("a replay needs at least one recording")
        every = {symbol: found for recording in self._recordings for symbol, found in recording.found.items()}
        chosen = frozenset(symbol.upper() for symbol in symbols) if symbols is not None else frozenset(every)
        self._found = every
        played = {symbol: found for symbol, found in every.items() if symbol in chosen} or every
        _check_together(self._recordings, set(played))
        self.stream = _stream(self._recordings, [found.kind for found in played.values()])
        self.contiguous = all(map(_is_contiguous, played.values()))
        self._first_us = min(r.found[s].first_us for r in self._recordings for s in r.found.keys() & played.keys())
        self._position_us = self._first_us
        self._pace = Pace(self._first_us, speed)
        self._chosen = chosen if symbols is not None else None
        self._merge = _Merge(self._recordings, every, self._chosen)
        self.quote_sink: QuoteSink | None = None
        self._end = ""  # why it ended, once it has
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def symbols(self) -> tuple[str, ...]:
        """Symbols found near the beginnings of the files, in the order of the files."""
        return tuple(self._found)

    @property
    def other(self) -> int:
        """Lines read so far that carry no trade of this replay: book events, answers, the other kind of trade."""
        return self._merge.other

    @property
    def position(self) -> ReplayPosition:
        """How far it is."""
        return ReplayPosition(
            files=len(self._recordings),
            position_us=self._position_us,
            first_us=self._first_us,
            last_us=self._position_us if self._end and self._merge.finished else None,
            bytes_read=sum(recording.bytes_read for recording in self._recordings),
            bytes_total=sum(recording.size for recording in self._recordings),
            speed=self._pace.speed,
        )

    @property
    def state(self) -> FeedState:
        """How the feed stands; the detail tells of files that ended early."""
        if self._thread is None:
            return FeedState("CONNECTING", "the replay has not been started")
        mode, what = "LIVE", f"playing {len(self._recordings)} recording(s) {self._speed_text()}"
        if self._end:
            mode, what = "ENDED", self._end
        elif self._pace.stands:
            mode, what = "PAUSED", "paused"
        return FeedState(mode, "; ".join([what, *filter(None, (recording.note for recording in self._recordings))]))

    def market_us(self) -> int:
        """Newest trade time delivered; before the first, its time."""
        return self._position_us

    def pause(self) -> None:
        """Stand still; nothing is delivered until `play`."""
        self._pace.pause(max(self._first_us, self._merge.reached_us))

    def play(self) -> None:
        """Go on."""
        self._pace.play(monotonic_s())

    def set_speed(self, speed: float) -> None:
        """Go on at another speed; 0 is as fast as possible. Raises InputError where it is below 0."""
        self._pace.set_speed(speed, monotonic_s(), max(self._first_us, self._merge.reached_us))

    def start(self, sink: Sink) -> None:
        """Begin to deliver."""
        if self.quote_sink is not None:
            self._merge = _Merge(self._recordings, self._found, self._chosen, quotes=True)
        self._pace.play(monotonic_s())
        self._thread = threading.Thread(target=self._run, args=(sink,), name="replay", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop and join."""
        self._stopped.set()
        if self._thread is not None:
            self._thread.join()
        self._end = self._end or "stopped"

    def _run(self, sink: Sink) -> None:
        try:
            while not self._merge.finished and not self._stopped.is_set():
                self._step(sink)
        except Exception:
            _LOG.exception("the replay failed")
            self._end = "the replay failed: see the log"
            raise
        self._end = self._end_text() if self._merge.finished else "stopped"

    def _step(self, sink: Sink) -> None:
        due_us = self._pace.due_us(monotonic_s())
        released, rejected = self._merge.step(due_us)
        if self.quote_sink is not None:
            self._deliver_quotes(self.quote_sink)
        for trades in released:
            sink.offer(trades)
        for (symbol, reason), count in rejected.items():
            sink.reject(symbol, reason, count)
        self._position_us = max(self._position_us, self._merge.position_us)  # the clock never leads the trades
        if self._merge.reached_us >= due_us and not self._merge.finished:
            self._stopped.wait(TICK_S)

    def _deliver_quotes(self, sink: QuoteSink) -> None:
        quotes, rejected = self._merge.quotes()
        for rows in quotes:
            sink.offer(rows)
        for (symbol, reason), count in rejected.items():
            sink.reject(symbol, reason, count)

    def _end_text(self) -> str:
        text = f"played to the end: {self._merge.released:,} trades"
        return text if self._merge.released else f"{text}; the recording holds {', '.join(self.symbols)}"

    def _speed_text(self) -> str:
        return f"at {self._pace.speed:g} times real time" if self._pace.speed else "as fast as possible"
