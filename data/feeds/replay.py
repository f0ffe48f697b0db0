"""Recordings played back as a feed, through the decoding that live frames go through.

    files -> blocks of trades -> merged by time -> paced -> sink

Each file is read a block at a time. A trade is due at the running maximum of trade time within its file (rows keep
the time that was recorded); trades of all files are released in that order, those of the file named earlier first
where times are equal. The order depends on nothing but the files: two replays deliver the same sequences.
Best quotes that a file holds go with its trades, where somebody takes them; they neither hold up nor move the clock.

With a gate the replay stops at every full second of market time, where a bar can close, until that moment has been
judged: what is judged, and on which trades, depends on nothing but the files either, at any speed. A silence of more
than QUIET seconds has no moments but its first ones, up to the second of the next trade.
"""

import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from zlib import crc32

from data.feeds.feed import FeedState, Sink
from data.feeds.gate import Gate, Moment
from data.feeds.merge import Chain, Merge, Rejected
from data.feeds.pace import Pace
from data.feeds.recording import Found, Recording
from data.feeds.span import last_trade_us
from data.quotes import QuoteSink
from data.trades import Trades
from utils import logger
from utils.clock import LATEST_US, US_PER_S, iso_from_us, monotonic_s
from utils.errors import InputError, RecordingError

TICK_S = 0.03  # wall time between two deliveries
QUIET = 60  # moments without a trade between them, after which the next one is that of the next trade
STEPS = ("trade", "second")

_LOG = logger.get("feed.replay")


@dataclass(frozen=True, slots=True)
class ReplayPosition:
    """How far a replay is."""

    files: int
    position_us: int  # market time reached
    first_us: int  # time of the first trade
    last_us: int | None  # time of the last trade; None until it is known
    bytes_read: int  # of the files as they lie on disk; a little ahead of what was released
    bytes_total: int
    speed: float  # times real time; 0 is as fast as possible
    share: float  # of the recording that was played: of its time, or of its bytes while its end is not known
    paused: bool
    seeking_us: int | None  # where it is going to without pause, if so
    standing: bool  # nothing is being delivered or judged, and nothing will be until it is told to go on
    ended: bool


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


def _chained(recordings: Iterable[Recording]) -> list[Chain]:
    """The parts of each recording together, in their order."""
    chains: dict[object, list[Recording]] = {}
    for recording in recordings:
        manifest = recording.manifest
        key = recording.path if manifest is None else (manifest.venue, manifest.session)
        chains.setdefault(key, []).append(recording)
    return [sorted(parts, key=lambda one: one.manifest.part if one.manifest else 0) for parts in chains.values()]


def _first_us(part: Recording) -> int:
    """The newest of the first trades of its symbols: the last trade is not before it."""
    return max(found.first_us for found in part.found.values())


class ReplayFeed:
    """Recordings as a feed: merged by trade time, at `speed` times real time, then ended.

    Frames carry ids. Rows of a recording without ids get 1, 2, 3, ... per symbol in the order they are played, equal
    rows all kept; `stream` then names the content, so that two such recordings never share ids. The market clock is
    the newest trade time delivered, or the newest moment that was judged, and stops at the last trade.

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
        recordings = [Recording(path) for path in dict.fromkeys(Path(path).resolve() for path in paths)]
        self._recordings = [recording for recording in recordings if recording.found]
        if not self._recordings:
            empty = f": {recordings[0].path.name} holds no trade" if recordings else ""
            raise RecordingError(f"a replay needs at least one recording{empty}")
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
        self._chains = _chained(self._recordings)
        self._merge = Merge(self._chains, every, self._chosen)
        self.quote_sink: QuoteSink | None = None
        self.gate: Gate | None = None  # where each moment waits to be judged; set before the start, None: nowhere
        self._moment_us = self._first_us // US_PER_S * US_PER_S  # the newest that was judged
        self._judged = 0  # trades that had been released by then
        self._quiet = 0  # moments since the newest trade
        self._next_us = self._moment_us + US_PER_S
        self._wants_trade = False  # a step to the next trade is asked for
        self._asked: object = None  # the newest command ...
        self._stood_for: object = self  # ... and the one after which there was nothing left to do
        self._plays_at_start = True
        self._last_us: int | None = None  # as far as the ends of the files tell
        self._ahead = threading.Thread(target=self._look_ahead, name="replay-span", daemon=True)
        self._ahead_lock = threading.Lock()
        self._end = ""  # why it ended, once it has
        self._wake, self._stopped = threading.Event(), threading.Event()
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
    def ended(self) -> bool:
        """Whether nothing will be delivered any more."""
        return bool(self._end)

    @property
    def moment_us(self) -> int:
        """The newest moment of market time: it never depends on how fast time passes."""
        return self._moment_us

    @property
    def position(self) -> ReplayPosition:
        """How far it is."""
        at_us, last_us = self._position_us, self._last_known_us()
        read = sum(recording.bytes_read for recording in self._recordings)
        total = sum(recording.size for recording in self._recordings)
        span_us = 0 if last_us is None else last_us - self._first_us
        share = (at_us - self._first_us) / span_us if span_us else read / total
        return ReplayPosition(
            files=len(self._recordings),
            position_us=at_us,
            first_us=self._first_us,
            last_us=last_us,
            bytes_read=read,
            bytes_total=total,
            speed=self._pace.speed,
            share=1.0 if self._is_over else min(share, 1.0),
            paused=self._pace.stands,
            seeking_us=None if self._end else self._pace.target_us,
            standing=bool(self._end) or self._stands,
            ended=bool(self._end),
        )

    @property
    def state(self) -> FeedState:
        """How the feed stands; the detail tells of files that ended early."""
        if self._thread is None:
            return FeedState("CONNECTING", "the replay has not been started")
        files = len(self._recordings)
        mode, what = "LIVE", f"playing {files} recording{'s' if files > 1 else ''}"
        if self._end:
            mode, what = "ENDED", self._end
        elif self._pace.target_us is not None:
            what = f"going to {iso_from_us(self._pace.target_us)}"
        elif self._pace.stands:
            mode, what = "PAUSED", "paused"
        return FeedState(mode, "; ".join([what, *filter(None, (recording.note for recording in self._recordings))]))

    def market_us(self) -> int:
        """Market time reached; before the first trade, its time."""
        return self._position_us

    # --- control ------------------------------------------------------------------------------

    def pause(self) -> None:
        """Stand still; nothing is delivered until it is told to go on."""
        self._pace.pause(self._reached_us())
        self._told()

    def play(self) -> None:
        """Go on."""
        self._pace.play(monotonic_s())
        self._told()

    def set_speed(self, speed: float) -> None:
        """Go on at another speed; 0 is as fast as possible. Raises InputError where it is below 0."""
        self._pace.set_speed(speed, monotonic_s(), self._reached_us())
        self._told()

    def step(self, to: str = "trade") -> None:
        """Go to the next time at which anything traded, or ("second") to the next full second, and stand there.

        Raises
        ------
        InputError
            Another word.
        """
        if to not in STEPS:
            raise InputError(f"a step goes to the next {' or '.join(STEPS)}, was {to!r}", "to")
        self.pause()
        if to == "trade":
            self._wants_trade = True
        else:
            self._pace.seek((self._position_us // US_PER_S + 1) * US_PER_S)
        self._told()

    def seek(self, at_us: int) -> None:
        """Go to a later time without pause, judging every moment on the way; there it stands or plays, as now.

        Raises
        ------
        InputError
            The time has passed: a replay goes forward only, and going back is to begin anew.
        """
        if at_us < self._position_us:
            raise InputError(f"the time must be {self._position_us} or later, was {at_us}", "at_us")
        self._pace.seek(at_us)
        self._told()

    def begin_at(self, at_us: int, plays: bool) -> None:
        """Before the start: go to a time first, then play or stand."""
        self._plays_at_start = plays
        self._pace.seek(at_us)

    def time_at(self, share: float) -> int:
        """The market time at a share of the recording. It may have to be read to its end.

        Raises
        ------
        InputError
            Not a share of 0 to 1.
        """
        if not 0 <= share <= 1:
            raise InputError(f"share must be between 0 and 1, was {share!r}", "share")
        self.look_ahead(wait=True)
        last_us = self._last_known_us() or self._position_us
        return self._first_us + round(share * (last_us - self._first_us))

    def look_ahead(self, wait: bool = False) -> None:
        """Find out when the last trade was, in a thread of its own."""
        with self._ahead_lock:
            if self._ahead.ident is None and not self._stopped.is_set():
                self._ahead.start()
        if wait and self._ahead.ident is not None:
            self._ahead.join()

    # --- life ---------------------------------------------------------------------------------

    def read(self) -> Iterator[Trades]:
        """All trades in the order of time, without any clock; in place of `start`, and once."""
        try:
            while not self._merge.finished:
                yield from self._merge.step(LATEST_US)[0]
        finally:
            self._merge.close()

    def start(self, sink: Sink) -> None:
        """Begin to deliver."""
        if self.quote_sink is not None:
            self._merge = Merge(self._chains, self._found, self._chosen, quotes=True)
        if self._plays_at_start:
            self._pace.play(monotonic_s())
        if self._pace.speed:  # as fast as possible the end is known soon enough, and reading it would cost speed
            self.look_ahead()
        self._thread = threading.Thread(target=self._run, args=(sink,), name="replay", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop and join."""
        self._stopped.set()
        self._wake.set()
        if self.gate is not None:
            self.gate.close()
        for thread in (self._thread, self._ahead):
            if thread is not None and thread.ident is not None:
                thread.join()
        self._merge.close()
        self._end = self._end or "stopped"

    def _run(self, sink: Sink) -> None:
        try:
            while not self._merge.finished and not self._stopped.is_set():
                self._step(sink)
            if self._merge.finished and self.gate is not None:
                self.gate.stop_at(Moment(self._position_us, last=True))
        except Exception:
            _LOG.exception("the replay failed")
            self._end = "the replay failed: see the log"
            raise
        self._end = self._end_text() if self._merge.finished else "stopped"

    def _step(self, sink: Sink) -> None:
        asked = self._asked
        self._aim()
        due_us = self._pace.due_us(monotonic_s())
        until_us = due_us if self.gate is None else min(due_us, self._next_us - 1)
        self._deliver(sink, until_us)
        if self._merge.finished or not self._merge.is_through(until_us):
            return
        if until_us < due_us:
            self._judge()
        elif self._pace.target_us == due_us:
            self._pace.arrive(due_us, monotonic_s())
            self._position_us = max(self._position_us, due_us)
        elif not self._wants_trade:
            self._stood_for = asked
            self._wake.wait(TICK_S)
            self._wake.clear()

    def _aim(self) -> None:
        """Set a target where a step or a long silence asks for the time of the next trade, once that was read."""
        next_us = self._merge.next_us if self._wants_trade or self._quiet >= QUIET else None
        if next_us is None:
            return
        if self._wants_trade:
            self._wants_trade = False
            self._pace.seek(next_us)
        if self._quiet >= QUIET:
            self._quiet = 0
            self._next_us = max(self._next_us, next_us // US_PER_S * US_PER_S)

    def _judge(self) -> None:
        """Let a moment be judged, if its time has come."""
        if self._quiet >= QUIET:
            return  # the next trade has to be read first
        assert self.gate is not None
        self._moment_us, self._next_us = self._next_us, self._next_us + US_PER_S
        self._position_us = max(self._position_us, self._moment_us)
        self._quiet = 0 if self._merge.released > self._judged else self._quiet + 1
        self._judged = self._merge.released
        self.gate.stop_at(Moment(self._moment_us))

    def _deliver(self, sink: Sink, until_us: int) -> None:
        released, rejected = self._merge.step(until_us)
        if self.quote_sink is not None:
            quotes, refused = self._merge.quotes()
            for rows in quotes:
                self.quote_sink.offer(rows)
            _reject(self.quote_sink, refused)
        for trades in released:
            sink.offer(trades)
        _reject(sink, rejected)
        self._position_us = max(self._position_us, self._merge.position_us)  # the clock never leads the trades

    # --- what is known ------------------------------------------------------------------------

    @property
    def _stands(self) -> bool:
        still = self._pace.stands and self._pace.target_us is None and not self._wants_trade
        return still and self._stood_for is self._asked

    @property
    def _is_over(self) -> bool:
        return bool(self._end) and self._merge.finished

    def _told(self) -> None:
        """A command was given: look at it now."""
        self._asked = object()
        self.look_ahead()
        self._wake.set()

    def _reached_us(self) -> int:
        return max(self._first_us, self._merge.reached_us)

    def _last_known_us(self) -> int | None:
        if self._is_over:
            return self._position_us
        return None if self._last_us is None else max(self._last_us, self._position_us)

    def _look_ahead(self) -> None:
        stop, newest = self._stopped.is_set, [parts[-1] for parts in self._chains]
        ends = [last_trade_us(part.path, part.kind, stop) or _first_us(part) for part in newest]
        self._last_us = None if stop() else max(ends)

    def _end_text(self) -> str:
        text = f"played to the end: {self._merge.released:,} trades"
        return text if self._merge.released else f"{text}; the recording holds {', '.join(self.symbols)}"


def _reject(sink: Sink | QuoteSink, rejected: Rejected) -> None:
    for (symbol, reason), count in rejected.items():
        sink.reject(symbol, reason, count)
