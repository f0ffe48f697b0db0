"""Tapes and best quotes of the followed symbols, each kept from the moment somebody reads it."""

import contextlib
import threading
from typing import Protocol

from analytics.microstructure import LevelLearner, LiveQuotes, LiveTape, QuoteReading, TapeReading
from analytics.readings import TAPE_METRICS
from analytics.resampling import UNIT_US, timeframe_us
from config import Settings
from data import sqlite
from data.session import Session
from data.trades import Trades
from utils.clock import US_PER_S
from utils.errors import InputError, TooFewObservations

LEVELS_OF = "1m"  # stored bars that tell what is usual at a time of day ...
LEVELS_DAYS = 30  # ... of so many days


class Host(Protocol):
    """What tapes need of the engine."""

    settings: Settings

    @property
    def session(self) -> Session: ...
    @property
    def symbols(self) -> tuple[str, ...]: ...
    def now_us(self) -> int: ...


class Tapes:
    """Those of the open market; any thread may call."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._tapes: dict[str, LiveTape] = {}
        self._books: dict[str, LiveQuotes] = {}
        self._lock = threading.Lock()

    def tape(self, symbol: str) -> TapeReading:
        """All measures of one symbol's tape, now.

        Raises
        ------
        TooFewObservations, InputError
        """
        check_followed(symbol, self._host.symbols)
        with self._lock:
            tape = self._tapes.get(symbol)
            if tape is None:
                tape = self._tapes[symbol] = self._new_tape(self._host.session, symbol)
        return tape.reading(self._host.now_us())

    def every(self) -> dict[str, TapeReading]:
        """All measures of every tape that has a trade, now."""
        found = {}
        for symbol in self._host.symbols:
            with contextlib.suppress(TooFewObservations):
                found[symbol] = self.tape(symbol)
        return found

    def book(self, symbol: str) -> QuoteReading:
        """All measures of one symbol's best quotes, now.

        Raises
        ------
        TooFewObservations
            No quote yet, or none asked for.
        InputError
        """
        check_followed(symbol, self._host.symbols)
        with self._lock:
            book = self._books.get(symbol)
            if book is None:
                book = self._books[symbol] = _new_book(self._host.session, symbol)
        return book.reading(self._host.now_us())

    def metrics(self, symbol: str) -> dict[str, float]:
        """Metrics of a symbol's tape, and of its quotes where there are any; nothing before its first trade."""
        found: dict[str, float] = {}
        with contextlib.suppress(TooFewObservations):
            found |= self.tape(symbol).reading()
            found |= self.book(symbol).reading()
        return {name: found[name] for name in TAPE_METRICS if name in found}

    def add(self, trades: Trades) -> None:
        """Pass arrived trades on to the tape of their symbol, where somebody reads it."""
        tape = self._tapes.get(trades.symbol)
        if tape is not None:
            tape.add(trades)

    def clear(self) -> None:
        """Forget all: another market was opened."""
        with self._lock:  # or a tape of the old one, on its way, would stay
            self._tapes.clear()
            self._books.clear()

    def _new_tape(self, session: Session, symbol: str) -> LiveTape:
        """The tape of a symbol, and what its stored bars tell of times of day."""

        def levels(before_us: int) -> LevelLearner:
            learner, width_us = LevelLearner(), timeframe_us(LEVELS_OF)
            if not session.live:  # the file holds other runs, of other markets as it were
                return learner
            until_us = before_us // width_us * width_us - width_us  # the bar in which the tape begins is the tape's
            spans = (session.feed.venue, symbol, LEVELS_OF, until_us - LEVELS_DAYS * UNIT_US["d"], until_us)
            frame = sqlite.read_bar_table(self._host.settings.database, *spans)
            told = (frame["trades"] > 0) | (frame["volume"] == 0)  # an import may bring bars without a count
            bars = frame[frame["complete"] & told]
            notional = (bars["vwap"] * bars["volume"]).fillna(0.0).to_numpy()  # there is no VWAP without a trade
            learner.learn(bars["ts_us"].to_numpy(), bars["trades"].to_numpy(), notional, width_us / US_PER_S)
            return learner

        return LiveTape(lambda: session.buffer.snapshot(symbol), levels)


def _new_book(session: Session, symbol: str) -> LiveQuotes:
    def numbering() -> int:
        counts = session.quotes.counts().get(symbol)
        return 0 if counts is None else counts.renumbered

    return LiveQuotes(
        lambda since_us: session.quotes.snapshot(symbol, since_us),
        lambda since_us: session.buffer.snapshot(symbol, since_us),
        numbering,
        lambda: session.ingestion.gaps_version,
    )


def check_followed(symbol: str, symbols: tuple[str, ...]) -> None:
    """Refuse a symbol that is not followed.

    Raises
    ------
    InputError
    """
    if symbol not in symbols:
        raise InputError(f"symbol {symbol!r} is not followed; followed are {', '.join(symbols)}", "symbol")
