"""The live feed: one connection at a time to the exchange, kept alive for ever, in a thread of its own.

    dial -> CONNECTING -> first trade -> LIVE -> lost, silent or announced end -> RECONNECTING -> dial ...
                                               -> refused for good (451, 403)  -> BLOCKED, slow retry

An open connection and an acknowledged subscription prove nothing: a wrong route or name gets both and then silence.
Only a trade makes the feed LIVE, and its absence ends the connection.

A connection whose end is near (announced, or after a day) or that falls behind is relieved: a second one is opened
beside it, both deliver for a moment, repeats are dropped by id further on, then the old one is closed. Nothing is lost.
"""

import random
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import websocket

from data.feeds.binance import (
    QUOTES,
    STREAMS_PER_CONNECTION,
    Decoded,
    Market,
    decode,
    stream_name,
    stream_url,
    subscribe_frames,
)
from data.feeds.book_ticker import decode_quotes
from data.feeds.connection import Connection, Ending, ending_of
from data.feeds.feed import FeedState, Sink
from data.quotes import QuoteSink
from utils.clock import US_PER_S, monotonic_s, now_us
from utils.errors import FeedError, InputError
from utils.logger import get

URL_LIMIT = 4_096  # bytes of address up to which streams are named in it; longer ones are refused on the way
SLOW_S, SLOW_CAP_S = 5.0, 15.0  # an attempt that takes so long is no storm: the next one need not wait longer than this
LIVED_S = 5.0  # a connection that delivered for so long ends the growth of the backoff
RENEW_S = 23.5 * 3_600.0  # age at which a connection is relieved: the exchange cuts it after 24 h
LAG_S, LAG_HOLD_S = 5.0, 3.0  # relieved when event times fall behind by so much more than at best, for so long
OVERLAP_S = 1.0  # both connections deliver for so long
RELIEF_PAUSE_S = 60.0  # between two reliefs of one feed
JOIN_S = 2.0  # a name look-up cannot be broken off: its thread is then left to end alone, delivering nothing


def jitter_s(rng: random.Random, failures: int, base_s: float, cap_s: float) -> float:
    """Seconds to wait before the next attempt: uniform over (0, min(cap, base * 2^failures)), "full jitter".

    References
    ----------
    M. Brooker, Exponential Backoff and Jitter, AWS Architecture Blog (2015).
    """
    return rng.uniform(0.0, min(cap_s, base_s * 2 ** min(failures, 30)))


@dataclass(slots=True)
class _Session:
    """What one connection has done so far."""

    link: Connection
    symbols: tuple[str, ...]  # asked for
    wanted: frozenset[str]  # the same, to look up
    opened_s: float = 0.0
    heard_s: float | None = None  # when its newest row came
    unreadable: int = 0
    complaint: str = ""  # newest error the exchange sent
    shutdown: bool = False
    request_id: int = 1
    least_lag_us: int | None = None  # of the event times; clocks differ, so only what comes on top counts
    behind_since_s: float | None = None

    def note_lag(self, lag_us: int, now_s: float) -> None:
        """Remember whether the connection has fallen behind."""
        self.least_lag_us = lag_us if self.least_lag_us is None else min(self.least_lag_us, lag_us)
        if lag_us - self.least_lag_us < LAG_S * US_PER_S:
            self.behind_since_s = None
        elif self.behind_since_s is None:
            self.behind_since_s = now_s


@dataclass(slots=True)
class _Relief:
    """A second connection that is to follow the first."""

    session: _Session
    url: str
    thread: threading.Thread | None = None
    handed_over: threading.Event = field(default_factory=threading.Event)  # the feed's thread reads from now on
    ending: Ending | None = None  # why it is of no use


class SocketFeed:
    """Trades of one stream of one market, live. See `data.feeds.feed.Feed`.

    What it delivers is a `row` here: a trade, or what else a feed made from this one reads.

    Parameters
    ----------
    base_url : scheme, host, port and path prefix; the route of the stream is added.
    first_data_s : a connection without a trade for so long after opening is dropped.
    stale_s : the same between trades. All symbols together count: watch single ones by their age.
    backoff_s, backoff_cap_s : see `jitter_s`.
    dial_s : longest wait for connecting and for the handshake, each.
    renew_s : age at which a connection is relieved by a new one.
    """

    row, thread_name = "trade", "feed"

    def __init__(
        self,
        market: Market,
        base_url: str,
        symbols: Iterable[str],
        stream: str = "aggTrade",
        *,
        first_data_s: float = 8.0,
        stale_s: float = 30.0,
        backoff_s: float = 1.0,
        backoff_cap_s: float = 60.0,
        dial_s: float = 8.0,
        renew_s: float = RENEW_S,
        rng: random.Random | None = None,
    ) -> None:
        market.route(stream)
        self.venue, self.stream = market.venue, stream
        self.contiguous = stream in market.contiguous
        self.tap: Callable[[list[bytes]], None] | None = None  # is shown every message as it came; returns at once
        self.bugs = 0  # batches lost to errors of our own code; each is in the log
        self._market, self._base_url, self._symbols = market, base_url, _checked(symbols)
        self._first_data_s, self._stale_s, self._dial_s = first_data_s, stale_s, dial_s
        self._backoff_s, self._backoff_cap_s = backoff_s, backoff_cap_s
        self._rng = rng or random.Random()
        self._log = get(self.thread_name)
        self._failures = 0
        self._opened = 0
        self._link: Connection | None = None
        self._relief: _Relief | None = None
        self._relieve_why = ""  # asked for from outside
        self._relief_not_before_s = 0.0
        self._renew_s = renew_s
        self.reliefs = 0  # connections that took over from another
        self._state = FeedState("CONNECTING")
        self._stop, self._wake = threading.Event(), threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def state(self) -> FeedState:
        """How the feed stands."""
        return self._state

    @property
    def error_is_final(self) -> bool:
        """The exchange refuses this place or client: only a slow retry makes sense."""
        return self._state.mode == "BLOCKED"

    @property
    def symbols(self) -> tuple[str, ...]:
        """The symbols asked for."""
        return self._symbols

    def market_us(self) -> int:
        """The wall clock."""
        return now_us()

    def start(self, sink: Sink | QuoteSink) -> None:
        """Begin to connect and to deliver, in a thread of its own. Once in a feed's life."""
        if self._thread is not None:
            raise FeedError("this feed was already started")
        self._thread = threading.Thread(target=self._run, args=(sink,), name=self.thread_name, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Hang up and join; nothing is delivered afterwards."""
        self._stop.set()
        self._wake.set()
        relief = self._relief
        for link in (self._link, relief.session.link if relief else None):
            if link is not None:
                link.abort()
        if self._thread is not None:
            self._thread.join(JOIN_S)
        self._show("ENDED", "stopped")

    def set_symbols(self, symbols: Iterable[str]) -> None:
        """Follow these symbols from now on; an open connection is kept and its subscriptions changed.

        Raises
        ------
        InputError
            None, or more than one connection carries.
        """
        self._symbols = _checked(symbols)

    def retry_now(self) -> None:
        """End the wait for the next attempt, unless the exchange itself asked for it (429, 418)."""
        self._wake.set()

    def relieve(self, why: str) -> None:
        """Open a second connection to take over from the open one, which seems to miss something; not too often."""
        self._relieve_why = why

    # --- the thread ---------------------------------------------------------------------------

    def _run(self, sink: Sink | QuoteSink) -> None:
        while not self._stop.is_set():
            began_s = monotonic_s()
            ending = self._attempt(sink)
            if not self._stop.is_set():
                self._pause(ending, monotonic_s() - began_s)

    def _attempt(self, sink: Sink | QuoteSink) -> Ending:
        """One connection from dialling to its end, and those that relieve it."""
        url, named = self._address()
        session = _Session(Connection(), named, frozenset(named))
        ending = self._used(session, url, sink, dial=True)
        while not self._stop.is_set() and (relief := self._taken_over()) is not None:
            session = relief.session
            ending = self._used(session, relief.url, sink, dial=False)
        self._drop_relief()
        return self._judged(session, ending)

    def _used(self, session: _Session, url: str, sink: Sink | QuoteSink, dial: bool) -> Ending:
        """Read a connection to its end."""
        self._link = session.link
        try:
            if dial:
                self._open(session, url)
                self._opened += 1
                if self._opened == 1:
                    self._show("CONNECTING", f"connected, waiting for the first {self.row}")
            self._talk(session, sink)
            return Ending("stopped")
        except (FeedError, OSError, websocket.WebSocketException) as exc:
            return ending_of(exc, url)
        except Exception:  # noqa: BLE001 - a bug must not end the feed: it is logged, counted and shown
            self._count_bug()
            return Ending("an error of our own; its traceback is in the log")
        finally:
            session.link.close()
            self._link = None

    def _address(self) -> tuple[str, tuple[str, ...]]:
        """Where to connect, and the symbols that the address already names."""
        symbols = self._symbols
        url = stream_url(self._base_url, self._market, [stream_name(symbol, self.stream) for symbol in symbols])
        return (url, symbols) if len(url) <= URL_LIMIT else (url.partition("?")[0], ())

    def _open(self, session: _Session, url: str) -> None:
        if self._stop.is_set():  # asked after `_link` was set: a stop either sees the link or is seen here
            raise FeedError("stopped")
        session.link.dial(url, self._dial_s)
        session.opened_s = monotonic_s()
        self._log.info("connected to %s for %d symbols", url.partition("?")[0], len(self._symbols))

    def _talk(self, session: _Session, sink: Sink | QuoteSink) -> None:
        while not self._stop.is_set():
            self._follow_symbols(session)
            session.link.pump(monotonic_s())
            messages = session.link.receive()
            if messages:
                self._deliver(session, messages, sink)
            self._check(session, monotonic_s())
            if self._is_relieved(session, sink):
                return

    # --- relief -------------------------------------------------------------------------------

    def _is_relieved(self, session: _Session, sink: Sink | QuoteSink) -> bool:
        """Open a second connection where one is wanted; whether it has delivered long enough to go on alone."""
        now_s = monotonic_s()
        relief = self._relief
        if relief is None:
            why = self._wants_relief(session, now_s)
            if why and now_s >= self._relief_not_before_s:
                self._relief_not_before_s = now_s + RELIEF_PAUSE_S
                self._start_relief(why, sink)
            return False
        if relief.ending is not None:
            self._log.warning("no second connection: %s", relief.ending.detail)
            if relief.ending.retry_s is not None:  # the exchange asks for a pause
                self._relief_not_before_s = max(self._relief_not_before_s, now_s + relief.ending.retry_s)
            self._drop_relief()
            return False
        first_s = relief.session.heard_s
        asked_s = max(relief.session.opened_s, relief.session.link.asked_s)
        return first_s is not None and not relief.session.link.waiting and now_s - asked_s >= OVERLAP_S

    def _wants_relief(self, session: _Session, now_s: float) -> str:
        """Why this connection should be followed by another; empty while it is good."""
        if session.shutdown:
            return "the exchange announced that it closes this connection"
        if now_s - session.opened_s > self._renew_s:
            return f"it is {(now_s - session.opened_s) / 3_600:.1f} h old"
        if session.behind_since_s is not None and now_s - session.behind_since_s > LAG_HOLD_S:
            return f"it has fallen behind by more than {LAG_S:g} s"
        return self._relieve_why

    def _start_relief(self, why: str, sink: Sink | QuoteSink) -> None:
        self._relieve_why = ""
        url, named = self._address()
        relief = _Relief(_Session(Connection(), named, frozenset(named)), url)
        relief.thread = threading.Thread(
            target=self._warm_up, args=(relief, sink), name=f"{self.thread_name}-relief", daemon=True
        )
        self._log.info("a second connection follows the first: %s", why)
        self._relief = relief
        relief.thread.start()

    def _warm_up(self, relief: _Relief, sink: Sink | QuoteSink) -> None:
        """Dial the second connection and deliver from it until the feed's own thread takes it over."""
        session = relief.session
        try:
            self._open(session, relief.url)
            while not self._stop.is_set() and not relief.handed_over.is_set():
                self._follow_symbols(session)
                session.link.pump(monotonic_s())
                messages = session.link.receive()
                if messages:
                    self._deliver(session, messages, sink)
                self._check(session, monotonic_s())
        except (FeedError, OSError, websocket.WebSocketException) as exc:
            relief.ending = ending_of(exc, relief.url)
        except Exception:  # noqa: BLE001 - as in `_used`
            self._count_bug()
            relief.ending = Ending("an error of our own; its traceback is in the log")

    def _taken_over(self) -> _Relief | None:
        """The second connection, if there is a good one; it is the first one from now on."""
        relief, self._relief = self._relief, None
        if relief is None:
            return None
        relief.handed_over.set()
        assert relief.thread is not None
        relief.thread.join(self._dial_s + JOIN_S)
        if relief.ending is not None or relief.thread.is_alive():
            relief.session.link.abort()
            relief.session.link.close()
            return None
        self.reliefs += 1
        return relief

    def _drop_relief(self) -> None:
        relief, self._relief = self._relief, None
        if relief is not None:
            relief.handed_over.set()
            relief.session.link.abort()
            if relief.thread is not None:
                relief.thread.join(JOIN_S)
            relief.session.link.close()

    # --- one connection -----------------------------------------------------------------------

    def _follow_symbols(self, session: _Session) -> None:
        """Ask for what was added and against what was taken away."""
        wanted = self._symbols
        if wanted is session.symbols:
            return
        kept = session.wanted.intersection(wanted)
        changes = (
            ("UNSUBSCRIBE", [symbol for symbol in session.symbols if symbol not in kept]),
            ("SUBSCRIBE", [symbol for symbol in wanted if symbol not in kept]),
        )
        for method, symbols in changes:
            names = [stream_name(symbol, self.stream) for symbol in symbols]
            frames = subscribe_frames(names, session.request_id, method)
            session.request_id += len(frames)
            session.link.request(frames)
        session.symbols, session.wanted = wanted, frozenset(wanted)

    def _deliver(self, session: _Session, messages: list[bytes], sink: Sink | QuoteSink) -> None:
        if (tap := self.tap) is not None:
            tap(messages)
        try:
            self._hand_over(session, self._decoded(messages), sink)
        except Exception:  # noqa: BLE001 - one bad batch must not end the feed: it is logged and counted
            self._count_bug()

    def _decoded(self, messages: list[bytes]) -> Decoded:
        return decode(messages, self.stream)

    def _hand_over(self, session: _Session, batch: Decoded, sink: Sink | QuoteSink) -> None:
        wanted = session.wanted  # after an UNSUBSCRIBE a few more of the old ones come
        session.shutdown |= batch.shutdown
        for error in batch.errors:
            session.complaint = error
            self._log.warning("the exchange says: %s", error)
        for (symbol, reason), count in batch.rejected.items():
            session.unreadable += count
            sink.reject(symbol if symbol in wanted else None, reason, count)
        offer: Callable[[Any], None] = sink.offer
        fresh = [rows for rows in (*batch.trades, *batch.quotes) if rows.symbol in wanted]
        for rows in fresh:
            offer(rows)
        if fresh:
            session.heard_s = monotonic_s()
            if batch.event_us is not None:
                session.note_lag(now_us() - batch.event_us, session.heard_s)
            if self._state.mode != "LIVE":
                self._show("LIVE")

    def _check(self, session: _Session, now_s: float) -> None:
        """End a connection that went silent."""
        if session.heard_s is None:
            if now_s - session.opened_s > self._first_data_s:
                raise FeedError(self._no_data(session))
        elif now_s - session.heard_s > self._stale_s:
            raise FeedError(f"connected, but no {self.row} for {self._stale_s:g} s")

    def _no_data(self, session: _Session) -> str:
        text = f"connected and acknowledged, but no data: no {self.row} within {self._first_data_s:g} s"
        if session.complaint:
            return f"{text}; the exchange says: {session.complaint}"
        if session.unreadable:
            return f"{text}; {session.unreadable} frames were refused"
        return text

    # --- after a connection -------------------------------------------------------------------

    def _judged(self, session: _Session, ending: Ending) -> Ending:
        """The ending, with what the session knows of it; the backoff begins anew after a good one."""
        lived_s = (session.heard_s or 0.0) - session.opened_s
        if lived_s >= LIVED_S:
            self._failures = 0
        if session.shutdown and self._failures == 0:
            return Ending(ending.detail, 0.0)
        if session.complaint and session.complaint not in ending.detail:
            return Ending(f"{ending.detail}; the exchange says: {session.complaint}", ending.retry_s, ending.blocked)
        return ending

    def _pause(self, ending: Ending, lasted_s: float) -> None:
        """Wait for the next attempt; a stop ends it at once, and so does `retry_now` where that is allowed."""
        delay_s = ending.retry_s
        if delay_s is None:
            cap_s = min(self._backoff_cap_s, SLOW_CAP_S) if lasted_s >= SLOW_S else self._backoff_cap_s
            delay_s = jitter_s(self._rng, self._failures, self._backoff_s, cap_s)
        self._failures += 1
        self._wake.clear()
        if self._stop.is_set():  # asked after clearing: a stop is never slept through
            return
        mode = "BLOCKED" if ending.blocked else "RECONNECTING"
        self._show(mode, ending.detail, monotonic_s() + delay_s)
        bidden = ending.retry_s is not None and not ending.blocked
        (self._stop if bidden else self._wake).wait(delay_s)
        self._show(mode, ending.detail)

    def _show(self, mode: str, detail: str = "", retry_at_s: float | None = None) -> None:
        changed = (mode, detail) != (self._state.mode, self._state.detail)
        self._state = FeedState(mode, detail, max(0, self._opened - 1), retry_at_s)
        if changed:
            level = self._log.warning if mode in ("RECONNECTING", "BLOCKED") else self._log.info
            level("%s%s", mode, f": {detail}" if detail else "")

    def _count_bug(self) -> None:
        self.bugs += 1
        if self.bugs & (self.bugs - 1) == 0:  # the 1st, 2nd, 4th, 8th ...: the log is not flooded
            self._log.exception("error %d of our own in the feed", self.bugs)


class QuoteFeed(SocketFeed):
    """Best bid and ask of one market, live, over a connection of their own: theirs is another route than the trades'.

    Kept alive as a feed of trades is, and independent of it: nothing that befalls one touches the other.
    """

    row, thread_name = "quote", "quotes"

    def __init__(self, market: Market, base_url: str, symbols: Iterable[str], **options: Any) -> None:
        """options: those of `SocketFeed`."""
        super().__init__(market, base_url, symbols, QUOTES, **options)

    def _decoded(self, messages: list[bytes]) -> Decoded:
        return decode_quotes(messages, now_us())


def _checked(symbols: Iterable[str]) -> tuple[str, ...]:
    wanted = tuple(dict.fromkeys(symbol.upper() for symbol in symbols))
    if not 1 <= len(wanted) <= STREAMS_PER_CONNECTION:
        limit = f"one connection carries 1 to {STREAMS_PER_CONNECTION} streams"
        raise InputError(f"{limit}, symbols were {len(wanted)}", "symbols")
    return wanted
