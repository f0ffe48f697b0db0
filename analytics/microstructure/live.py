"""A meter between threads: the feed adds trades, readers ask, and whoever asks pays for what was added since."""

import threading
from collections.abc import Callable

from analytics.microstructure.columns import Rows
from analytics.microstructure.meter import TapeMeter
from analytics.microstructure.quote_meter import Book, QuoteMeter, QuoteParams, QuoteReading
from analytics.microstructure.reading import TapeParams, TapeReading
from analytics.microstructure.velocity import LevelLearner
from analytics.resampling import Tape
from utils.clock import US_PER_S

AGAIN_US = 5 * US_PER_S  # least time between two readings of the whole tape
OVERLAP_US = 2 * US_PER_S  # read again: a meter passes over what it knows, and what came late is not missed
BACK_WINDOWS = 2  # how far back a reader looks who has not read for long
MOST_WAITING = 20_000  # trades that wait for a reader; a feed that nobody reads pays for itself from there on


class LiveTape:
    """Readings of one symbol, at the cost of the trades since the last; safe to share between threads.

    A meter takes trades by increasing id. Those that a repair brings late make it begin anew from the whole tape held,
    at most once in five seconds of a market whose time goes on.

    Parameters
    ----------
    held : all trades in memory, oldest first
    levels : what is known of times of day before a time, microseconds, as learned from stored bars
    """

    def __init__(
        self,
        held: Callable[[], Tape],
        levels: Callable[[int], LevelLearner] | None = None,
        params: TapeParams | None = None,
    ) -> None:
        self._held, self._levels, self._params = held, levels, params
        self._lock = threading.Lock()
        self._waiting: list[Tape] = []
        self._rows = 0
        self._meter: TapeMeter | None = None
        self._begun_us = self._read_us = 0  # time of the reading for which the meter was begun, and of the newest one

    @property
    def waiting(self) -> int:
        """Trades that wait for a reader."""
        return self._rows

    def add(self, trades: Tape) -> None:
        """Take trades that have just arrived, from the one thread that receives them."""
        with self._lock:
            if self._meter is None:
                return  # nobody has asked yet; the first reader reads what is held
            self._waiting.append(trades)
            self._rows += trades.trade_id.size
            if self._rows > MOST_WAITING:
                self._catch_up(self._meter)

    def reading(self, now_us: int) -> TapeReading:
        """All measures at `now_us`.

        Raises
        ------
        TooFewObservations
            No trade yet.
        """
        with self._lock:
            meter = self._meter
            if meter is not None:
                self._catch_up(meter)
            if meter is None or (meter.late and _may_begin_again(now_us, self._begun_us, self._read_us)):
                meter = self._meter = self._begin(now_us)
            self._read_us = now_us
            return meter.reading(now_us)

    def _begin(self, now_us: int) -> TapeMeter:
        held = self._held()
        first_us = int(held.ts_us.min()) if held.ts_us.size else now_us
        meter = TapeMeter(self._params, None if self._levels is None else self._levels(first_us))
        meter.feed(held)
        meter.late = 0
        self._begun_us = now_us
        return meter

    def _catch_up(self, meter: TapeMeter) -> None:
        waiting, self._waiting, self._rows = self._waiting, [], 0
        if waiting:
            meter.feed(Rows.joined(waiting))


class LiveQuotes:
    """Readings of one symbol's best quotes, at the cost of those since the last; safe to share between threads.

    Parameters
    ----------
    quotes, trades : those held that are not older than a time, microseconds, oldest first
    numbering : grows whenever the exchange has begun to number its quotes anew, which asks for a new meter
    repairs : grows whenever older trades have come than are read again, which asks for one too: at most once in five
        seconds of a market whose time goes on
    """

    def __init__(
        self,
        quotes: Callable[[int], Book],
        trades: Callable[[int], Tape],
        numbering: Callable[[], int] = lambda: 0,
        repairs: Callable[[], int] = lambda: 0,
        params: QuoteParams | None = None,
    ) -> None:
        self._quotes, self._trades, self._numbering, self._repairs = quotes, trades, numbering, repairs
        self._params = params or QuoteParams()
        self._lock = threading.Lock()
        self._meter, self._number, self._repaired = QuoteMeter(self._params), -1, -1
        self._begun_us = self._read_us = 0

    def reading(self, now_us: int) -> QuoteReading:
        """All measures at `now_us`.

        Raises
        ------
        TooFewObservations
            No quote yet.
        """
        with self._lock:
            number, repaired = self._numbering(), self._repairs()
            late = repaired != self._repaired and _may_begin_again(now_us, self._begun_us, self._read_us)
            if number != self._number or now_us < self._read_us or late:
                self._meter, self._number, self._repaired = QuoteMeter(self._params), number, repaired
                self._begun_us, self._read_us = now_us, 0
            begin_us = max(self._read_us - OVERLAP_US, now_us - BACK_WINDOWS * self._params.window_s * US_PER_S)
            self._meter.feed_quotes(self._quotes(begin_us))
            self._meter.feed_trades(self._trades(begin_us))
            self._read_us = now_us
            return self._meter.reading(now_us)


def _may_begin_again(now_us: int, begun_us: int, read_us: int) -> bool:
    """Whether late trades are worth a new meter: one is some time old, or the market's time stands."""
    return abs(now_us - begun_us) >= AGAIN_US or now_us == read_us
