"""The reading of best quotes, kept up to date at the cost of the new ones."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol, Self

import numpy as np

from analytics.microstructure.cells import read
from analytics.microstructure.meter import Recent, in_order, until
from analytics.microstructure.quotes import (
    MAX_AGE_S,
    EffectiveSpread,
    QuotedSpread,
    QuoteOfi,
    microprice,
    ofi_of,
    quote_imbalance,
    whole_age_us,
)
from analytics.microstructure.reading import MAX_WINDOW_S
from analytics.resampling import Tape
from utils.clock import US_PER_S
from utils.compiled import compiled
from utils.errors import InputError, TooFewObservations

(
    QUOTES,  # that came
    COUNTED,  # of them with both sides
    DEPTH,  # over those: sum of (bid size + ask size) / 2
    SECONDS,  # for which a quote that counts was in force
    SPREAD,  # integral of the spread over those seconds,
    SHARE,  # and of spread / mid
    EVENTS,  # changes between two quotes
    OFI,  # their sum
    TRADES,
    MATCHED,  # trades with a quote before them
    QTY,  # over those: quantity,
    PAID,  # quantity * effective spread,
    PAID_SHARE,  # and the same over the mid
) = range(13)
COLUMNS = 13
WAITING = (np.int64, np.float64, np.float64, np.bool_)  # time, price, quantity, whether the taker sold

TIME, BID, BID_QTY, ASK, ASK_QTY = range(5)  # memory: the newest quote, NaN where it does not count


class Book(Protocol):
    """Columns of one symbol's best quotes."""

    @property
    def update_id(self) -> np.ndarray: ...
    @property
    def ts_us(self) -> np.ndarray: ...
    @property
    def bid(self) -> np.ndarray: ...
    @property
    def bid_qty(self) -> np.ndarray: ...
    @property
    def ask(self) -> np.ndarray: ...
    @property
    def ask_qty(self) -> np.ndarray: ...
    def __getitem__(self, rows: np.ndarray) -> Self: ...


@dataclass(frozen=True, slots=True)
class QuoteParams:
    """Over what quotes are read.

    Raises
    ------
    InputError
        `field` names the value that is out of its limits.
    """

    window_s: int = 60  # whole seconds before the one in progress
    max_age_s: float = MAX_AGE_S  # for which a quote is in force at most

    def __post_init__(self) -> None:
        if not 1 <= self.window_s <= MAX_WINDOW_S:
            raise InputError(f"window_s must be 1 to {MAX_WINDOW_S}, was {self.window_s}", "window_s")
        whole_age_us(self.max_age_s)


@dataclass(frozen=True, slots=True)
class QuoteReading:
    """All measures of one symbol's best quotes at one moment, over the window unless said otherwise; NaN is undefined.

    The newest quote is NaN where it is one-sided, crossed or older than `max_age_s`.
    """

    now_us: int
    bid: float  # newest
    bid_qty: float
    ask: float
    ask_qty: float
    age_s: float  # of the newest quote, whether it counts or not
    quoted: QuotedSpread
    effective: EffectiveSpread
    microprice: float  # newest
    imbalance: float  # newest, -1..1
    ofi: QuoteOfi
    quotes_per_s: float
    window_s: float  # covered by quotes: shorter than asked for while they are young
    trades: int  # in the window, with a quote before them or not
    missing: Mapping[str, str]  # measure -> why it is NaN

    @property
    def mid(self) -> float:
        """Middle of the newest bid and ask, quote currency."""
        return self.bid + (self.ask - self.bid) / 2

    @property
    def microprice_distance_bp(self) -> float:
        """How far the microprice lies above the mid, basis points."""
        return 1e4 * (self.microprice - self.mid) / self.mid

    def reading(self) -> dict[str, float]:
        """One number a metric name; NaN where undefined."""
        return {
            "bid": self.bid,
            "ask": self.ask,
            "mid": self.mid,
            "quoted_spread": self.quoted.price,
            "quoted_spread_bp": self.quoted.bp,
            "quoted_spread_newest_bp": self.quoted.newest_bp,
            "effective_spread": self.effective.price,
            "effective_spread_bp": self.effective.bp,
            "microprice": self.microprice,
            "microprice_distance_bp": self.microprice_distance_bp,
            "quote_imbalance": self.imbalance,
            "quote_ofi": self.ofi.value,
            "quote_ofi_depths": self.ofi.normalised,
            "quote_depth": self.ofi.depth,
            "quotes_per_s": self.quotes_per_s,
            "quote_age_s": self.age_s,
        }


def quote_reading(quotes: Book, trades: Tape, now_us: int, params: QuoteParams | None = None) -> QuoteReading:
    """All measures of quotes, and of trades against them, at `now_us`; what is later counts for nothing.

    Parameters
    ----------
    quotes, trades : columns of one symbol, in any order: ids say which came first; of equal ids the first one counts

    Raises
    ------
    InputError
        A price or quantity of a trade that is none.
    TooFewObservations
        No quote up to now.
    """
    meter = QuoteMeter(params)
    meter.feed_quotes(quotes[quotes.ts_us <= now_us])
    meter.feed_trades(until(trades, now_us))
    return meter.reading(now_us)


class QuoteMeter:
    """State of one symbol's best quotes and of trades against them, fed batch by batch; not shared between threads.

    Quotes and trades come over two connections: a trade waits until a quote of its time or a later one is there, at
    most `max_age_s` by the times of trades. What is older than the newest of its kind is left out and counted.
    """

    def __init__(self, params: QuoteParams | None = None) -> None:
        self.params = params or QuoteParams()
        self.late_quotes = self.late_trades = 0
        self._age_us = whole_age_us(self.params.max_age_s)
        self._table = np.zeros((self.params.window_s + 1, COLUMNS))  # a ring: second s is in row s modulo its length
        self._seconds = np.full(self.params.window_s + 1, -1, np.int64)  # which second each row holds
        self._newest = np.full(5, np.nan)
        self._first_us = self._last_us = self._last_trade_us = 0
        self._last_quote_id = self._last_trade_id = -1
        self._mids = Recent((self.params.window_s + 1) * US_PER_S + self._age_us)  # that a trade may still need
        self._waiting: tuple[np.ndarray, ...] = tuple(np.empty(0, kind) for kind in WAITING)

    def feed_quotes(self, quotes: Book) -> None:
        """Take in quotes; those already known are passed over."""
        rows = _in_order(quotes, self._last_quote_id)
        self.late_quotes += quotes.update_id.size - rows.update_id.size
        if not rows.update_id.size:
            return
        ts_us = np.maximum.accumulate(np.maximum(rows.ts_us, self._last_us))
        columns = (np.ascontiguousarray(side, np.float64) for side in (rows.bid, rows.bid_qty, rows.ask, rows.ask_qty))
        self._first_us = self._first_us or int(ts_us[0])
        mids = _add_quotes(self._table, self._seconds, self._newest, self._age_us, ts_us, *columns)
        self._last_quote_id, self._last_us = int(rows.update_id[-1]), int(ts_us[-1])
        self._mids.add(ts_us, mids)
        self._settle()

    def feed_trades(self, trades: Tape) -> None:
        """Take in trades. Those already known are passed over.

        Raises
        ------
        InputError
            A price or quantity that is none; nothing of the batch is taken in then.
        """
        rows = in_order(trades, self._last_trade_id)
        found = read(rows)
        self.late_trades += trades.trade_id.size - found[0].size
        if not found[0].size:
            return
        ts_us = np.maximum(found[0], self._last_trade_us)
        self._last_trade_id, self._last_trade_us = int(rows.trade_id[-1]), int(ts_us[-1])
        waiting = zip(self._waiting, (ts_us, *found[1:]), strict=True)
        self._waiting = tuple(np.concatenate(columns) for columns in waiting)
        self._settle()

    def reading(self, now_us: int) -> QuoteReading:
        """All measures at `now_us`, or at the last quote or trade where that is later.

        Raises
        ------
        TooFewObservations
            No quote was fed.
        """
        if self._last_quote_id < 0:
            raise TooFewObservations(have=0, need=1, what="quotes")
        now_us = max(now_us, self._last_us, self._last_trade_us)
        opens = now_us // US_PER_S - self.params.window_s
        sums = self._sums(opens, now_us)
        newest = np.where(now_us - self._last_us <= self._age_us, self._newest[BID:], np.nan)
        bid, bid_qty, ask, ask_qty = newest.tolist()
        columns = newest.reshape(4, 1)
        covered_s = (now_us - max(self._first_us, opens * US_PER_S)) / US_PER_S
        age_s = (now_us - self._last_us) / US_PER_S
        return QuoteReading(
            now_us=now_us,
            bid=bid,
            bid_qty=bid_qty,
            ask=ask,
            ask_qty=ask_qty,
            age_s=age_s,
            quoted=_quoted(sums, bid, ask),
            effective=_effective(sums),
            microprice=float(microprice(*columns)[0]),
            imbalance=float(quote_imbalance(*columns)[0]),
            ofi=ofi_of(float(sums[OFI]), int(sums[EVENTS]), float(sums[DEPTH]), int(sums[COUNTED])),
            quotes_per_s=float(sums[QUOTES]) / covered_s if covered_s > 0 else np.nan,
            window_s=covered_s,
            trades=int(sums[TRADES]),
            missing=_missing(sums, bid, age_s, self.params),
        )

    def _sums(self, opens: int, now_us: int) -> np.ndarray:
        """Of each column over the window, with the quote in force and the trades that wait, as far as it is known."""
        sums = self._table[(self._seconds >= opens) & (self._seconds <= now_us // US_PER_S)].sum(axis=0)
        begin = max(self._last_us, opens * US_PER_S)
        in_force = max(0, min(now_us, self._last_us + self._age_us) - begin) / US_PER_S
        spread = self._newest[ASK] - self._newest[BID]
        if in_force and spread >= 0:
            sums[SECONDS] += in_force
            sums[SPREAD] += in_force * spread
            sums[SHARE] += in_force * spread / (self._newest[BID] + spread / 2)
        if self._waiting[0].size:
            table, seconds = np.zeros_like(self._table), np.full_like(self._seconds, -1)
            _add_trades(table, seconds, *self._against_mids(self._waiting))
            sums += table[(seconds >= opens) & (seconds <= now_us // US_PER_S)].sum(axis=0)
        return sums

    def _settle(self) -> None:
        """Book the trades whose quote is known now, or will not be waited for any longer."""
        ts_us = self._waiting[0]
        known = (ts_us <= self._last_us) | (self._last_trade_us - ts_us > self._age_us)
        size = int(np.count_nonzero(known))  # times do not step back: these are the first ones
        if size:
            _add_trades(self._table, self._seconds, *self._against_mids(column[:size] for column in self._waiting))
            self._waiting = tuple(column[size:] for column in self._waiting)

    def _against_mids(self, trades: Iterable[np.ndarray]) -> tuple[np.ndarray, ...]:
        """Time, mid before it (NaN where no quote counts), price, quantity and side of trades."""
        ts_us, *rest = trades
        times = self._mids.numbers
        if not times.size:
            return (ts_us, np.full(ts_us.size, np.nan), *rest)
        at = np.searchsorted(times, ts_us, "left") - 1
        in_force = (at >= 0) & (ts_us - times[at] <= self._age_us)
        return (ts_us, np.where(in_force, self._mids.values[at], np.nan), *rest)


def _in_order(quotes: Book, after_id: int) -> Book:
    """The quotes of larger ids by increasing id, each once: of equal ones the first."""
    ids = quotes.update_id
    if ids.size and ids[0] > after_id and (ids[1:] > ids[:-1]).all():
        return quotes
    rows = quotes[np.unique(ids, return_index=True)[1]]
    return rows[rows.update_id > after_id]


def _quoted(sums: np.ndarray, bid: float, ask: float) -> QuotedSpread:
    seconds = float(sums[SECONDS])
    price, share = (float(sums[column]) / seconds if seconds > 0 else np.nan for column in (SPREAD, SHARE))
    newest = ask - bid
    return QuotedSpread(price, 1e4 * share, newest, 1e4 * newest / (bid + newest / 2), seconds)


def _effective(sums: np.ndarray) -> EffectiveSpread:
    qty = float(sums[QTY])
    price, share = (float(sums[column]) / qty if qty > 0 else np.nan for column in (PAID, PAID_SHARE))
    return EffectiveSpread(price, 1e4 * share, int(sums[MATCHED]))


def _missing(sums: np.ndarray, bid: float, age_s: float, params: QuoteParams) -> dict[str, str]:
    """What is undefined, and why."""
    missing = {}
    if not sums[SECONDS] > 0:
        missing["quoted_spread"] = "no quote with both sides was in force in the window"
    if not sums[MATCHED]:
        missing["effective_spread"] = "no trade of the window follows a quote" if sums[TRADES] else "no trade came"
    if not sums[EVENTS]:
        missing["quote_ofi"] = "no two quotes of the window follow each other"
    if np.isnan(bid):
        old = age_s > params.max_age_s
        missing["microprice"] = f"the newest quote is {age_s:.0f} s old" if old else "the newest quote does not count"
    return missing


@compiled
def _add_quotes(
    table: np.ndarray,
    seconds: np.ndarray,
    newest: np.ndarray,
    age_us: int,
    ts_us: np.ndarray,
    bid: np.ndarray,
    bid_qty: np.ndarray,
    ask: np.ndarray,
    ask_qty: np.ndarray,
) -> np.ndarray:
    """Add quotes, oldest first, after `newest`, which is moved on; the mid of each, NaN where it does not count."""
    mids = np.empty(ts_us.size)
    for k in range(ts_us.size):
        now = ts_us[k]
        if newest[BID] == newest[BID]:
            begin = np.int64(newest[TIME])
            spread = newest[ASK] - newest[BID]
            share = spread / (newest[BID] + spread / 2)
            end = min(now, begin + age_us)
            while begin < end:
                second = begin // US_PER_S
                stop = min(end, (second + 1) * US_PER_S)
                row = _row(table, seconds, second)
                if row >= 0:
                    passed = (stop - begin) / US_PER_S
                    table[row, SECONDS] += passed
                    table[row, SPREAD] += passed * spread
                    table[row, SHARE] += passed * share
                begin = stop
        row = _row(table, seconds, now // US_PER_S)
        if row >= 0:
            table[row, QUOTES] += 1
        counts = 0 < bid[k] <= ask[k] < np.inf and 0 < bid_qty[k] < np.inf and 0 < ask_qty[k] < np.inf
        mids[k] = bid[k] + (ask[k] - bid[k]) / 2 if counts else np.nan
        if row >= 0 and counts:
            table[row, COUNTED] += 1
            table[row, DEPTH] += (bid_qty[k] + ask_qty[k]) / 2
            if newest[BID] == newest[BID] and now - newest[TIME] <= age_us:
                table[row, EVENTS] += 1
                table[row, OFI] += (bid[k] >= newest[BID]) * bid_qty[k] - (bid[k] <= newest[BID]) * newest[BID_QTY]
                table[row, OFI] += (ask[k] >= newest[ASK]) * newest[ASK_QTY] - (ask[k] <= newest[ASK]) * ask_qty[k]
        newest[:] = np.nan
        newest[TIME] = now
        if counts:
            newest[BID], newest[BID_QTY], newest[ASK], newest[ASK_QTY] = bid[k], bid_qty[k], ask[k], ask_qty[k]
    return mids


@compiled
def _add_trades(
    table: np.ndarray,
    seconds: np.ndarray,
    ts_us: np.ndarray,
    mid: np.ndarray,
    price: np.ndarray,
    qty: np.ndarray,
    sold: np.ndarray,
) -> None:
    """Add trades, each with the mid before it, NaN where there is none."""
    for k in range(ts_us.size):
        row = _row(table, seconds, ts_us[k] // US_PER_S)
        if row < 0:
            continue
        table[row, TRADES] += 1
        if mid[k] == mid[k]:
            paid = 2 * (mid[k] - price[k] if sold[k] else price[k] - mid[k])
            table[row, MATCHED] += 1
            table[row, QTY] += qty[k]
            table[row, PAID] += qty[k] * paid
            table[row, PAID_SHARE] += qty[k] * paid / mid[k]


@compiled
def _row(table: np.ndarray, seconds: np.ndarray, second: np.int64) -> np.int64:
    """Row of a second, cleared where it held an older one; -1 where it holds a newer one."""
    row = second % seconds.size
    if seconds[row] > second:
        return np.int64(-1)
    if seconds[row] < second:
        seconds[row] = second
        table[row] = 0.0
    return row
