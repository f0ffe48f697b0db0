"""Closes of two legs on one grid, for a look back: from the open market, from the file, from recordings.

Bars that are not there at all leave a hole; the first bar after one counts as incomplete, as nobody knows what led to
it.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from analytics.resampling import fill, summarise, timeframe_us
from data.feeds.replay import ReplayFeed
from data.history import MINUTE
from data.legs import legs
from data.session import Session
from data.sqlite import read_timeframes
from data.stored import Owner, Span, bar_pages, read_trade_spans, trade_pages
from data.trades import Trades
from utils.clock import LATEST_US
from utils.errors import Cancelled, InputError, NotFound

MOST_TRADES = 40_000_000  # that are read at a time: 33 bytes each

Cancel = Callable[[], bool]


@dataclass(frozen=True, slots=True, eq=False)
class PairBars:
    """Closes of both legs, one value a bar, oldest first."""

    ts_us: np.ndarray  # opens of the bars
    y: np.ndarray
    x: np.ndarray
    complete: np.ndarray  # whether no trade of either leg is known to miss
    width_us: int
    what: str  # where they are from, in words

    @property
    def n(self) -> int:
        return int(self.ts_us.size)

    @property
    def incomplete(self) -> int:
        """Bars that miss trades, or follow a hole."""
        return int(np.count_nonzero(~self.complete))

    @property
    def missing(self) -> int:
        """Bars between the first and the last that are not there."""
        return int((self.ts_us[-1] - self.ts_us[0]) // self.width_us) + 1 - self.n if self.n else 0


@dataclass(frozen=True, slots=True, eq=False)
class _Leg:
    ts_us: np.ndarray
    close: np.ndarray
    complete: np.ndarray

    def __getitem__(self, rows: slice | np.ndarray) -> "_Leg":
        return _Leg(self.ts_us[rows], self.close[rows], self.complete[rows])


_NOTHING = _Leg(np.empty(0, np.int64), np.empty(0), np.empty(0, bool))


def of_market(session: Session, pair: tuple[str, str], timeframe: str, rows: int) -> PairBars:
    """The newest closed bars of the open market: those in memory, which pages show, and live ones in the file before.

    pair : y and x

    Raises
    ------
    TimeframeError, StorageError
    """
    y, x = legs(session, *pair, timeframe, rows)
    held = tuple(_Leg(leg.ts_us, leg.closes, leg.complete) for leg in (y, x))
    if session.live and 0 < y.ts_us.size < rows:
        before = Span(until_us=int(y.ts_us[0]), limit=rows - y.ts_us.size)
        older = [_read_bars(session.database, session.feed.venue, symbol, timeframe, before) for symbol in pair]
        held = tuple(_joined(old, new) for old, new in zip(older, held, strict=True))
    return _together(held[0], held[1], timeframe, rows, f"open market, {session.feed.venue}")


def of_file(
    path: Path,
    venue: str,
    pair: tuple[str, str],
    timeframe: str,
    rows: int,
    cancel: Cancel | None = None,
    *,
    until_us: int = LATEST_US,
) -> PairBars:
    """The newest stored bars of a venue that open before a time: of this width, else of narrower ones, else of trades.

    Before the first of them come those made of stored minutes, which are kept of every symbol.

    Raises
    ------
    NotFound
        Neither bars nor trades of both legs are stored.
    TimeframeError, StorageError, Cancelled
    """
    width_us = timeframe_us(timeframe)
    stored = set(read_timeframes(path, venue, pair[0])) & set(read_timeframes(path, venue, pair[1]))
    fitting = [name for name in stored if width_us % timeframe_us(name) == 0]
    if not fitting:
        return _of_stored_trades(path, venue, pair, timeframe, rows, cancel, until_us)
    widest = max(fitting, key=timeframe_us)
    widths = [widest, MINUTE] if MINUTE in fitting and widest != MINUTE else [widest]
    y, x = (_of_stored_bars(path, (venue, symbol, timeframe), widths, rows, until_us) for symbol in pair)
    made = "bars" if widest == timeframe else f"{widest} bars"
    return _together(y, x, timeframe, rows, f"stored {made}, {venue}")


def of_recordings(
    paths: Iterable[Path], pair: tuple[str, str], timeframe: str, rows: int, cancel: Cancel | None = None
) -> PairBars:
    """The newest bars of recorded files, read from end to end.

    Raises
    ------
    NotFound
        They do not hold both legs.
    RecordingError, TimeframeError, InputError, Cancelled
    """
    width_us, files = timeframe_us(timeframe), tuple(paths)
    feed = ReplayFeed(files, 0, pair)
    absent = [symbol for symbol in pair if symbol not in feed.symbols]
    if absent:
        raise NotFound(f"{', '.join(absent)} is not in this recording; it holds {', '.join(feed.symbols)}", "symbol")
    parts: dict[str, list[Trades]] = {symbol: [] for symbol in pair}
    for trades in _watched(feed.read(), cancel):
        parts[trades.symbol].append(trades)
    held = [Trades.concat(symbol, parts[symbol]).sorted_by_id() for symbol in pair]
    y, x = (_of_trades(trades, width_us, feed.contiguous) for trades in held)
    names = files[0].name if len(files) == 1 else f"{files[0].name} and {len(files) - 1} more"
    return _together(y, x, timeframe, rows, f"recording {names}")


def _of_stored_trades(
    path: Path, venue: str, pair: tuple[str, str], timeframe: str, rows: int, cancel: Cancel | None, until_us: int
) -> PairBars:
    width_us = timeframe_us(timeframe)
    spans = {row.symbol: row for row in read_trade_spans(path, 0.0) if row.venue == venue and row.symbol in pair}
    absent = [symbol for symbol in pair if symbol not in spans]
    if absent:
        raise NotFound(f"nothing of {', '.join(absent)} is stored of {venue}", "source")
    last_us = min(until_us, *(row.last_us for row in spans.values())) // width_us * width_us
    since_us = max(max(row.first_us for row in spans.values()), last_us - rows * width_us)
    span = Span(since_us, last_us + width_us)

    def leg(symbol: str) -> _Leg:
        owner: Owner = (venue, spans[symbol].stream, symbol)
        trades = Trades.concat(symbol, _watched(trade_pages(path, owner, span), cancel))
        return _of_trades(trades, width_us, owner[1] == "aggTrade")

    return _together(leg(pair[0]), leg(pair[1]), timeframe, rows, f"stored trades, {venue}")


def _of_stored_bars(path: Path, bars: tuple[str, str, str], widths: Iterable[str], rows: int, until_us: int) -> _Leg:
    """The newest bars of venue, symbol and timeframe, of bars of some widths, each before the first of those so far."""
    venue, symbol, timeframe = bars
    width_us, held = timeframe_us(timeframe), _NOTHING
    for width in widths:
        times, missing = width_us // timeframe_us(width), rows - held.ts_us.size
        if missing > 0:
            span = Span(until_us=int(held.ts_us[0]) if held.ts_us.size else until_us, limit=missing * times)
            held = _joined(_wider(_read_bars(path, venue, symbol, width, span), width_us, times), held)
    return held


def _read_bars(path: Path, venue: str, symbol: str, timeframe: str, span: Span) -> _Leg:
    pages = list(bar_pages(path, venue, symbol, timeframe, span))
    if not pages:
        return _NOTHING
    columns = [np.concatenate([page[name].to_numpy() for page in pages]) for name in ("ts_us", "close", "complete")]
    return _Leg(columns[0], columns[1], columns[2].astype(bool))


def _joined(old: _Leg, new: _Leg) -> _Leg:
    columns = ((getattr(leg, name) for leg in (old, new)) for name in ("ts_us", "close", "complete"))
    return _Leg(*(np.concatenate(tuple(column)) for column in columns))


def _wider(leg: _Leg, width_us: int, times: int) -> _Leg:
    """Bars of `times` narrower ones each: complete where all of these are there and complete."""
    if times == 1 or not leg.ts_us.size:
        return leg
    number = leg.ts_us // width_us
    starts = np.flatnonzero(np.diff(number, prepend=number[0] - 1))
    ends = np.append(starts[1:], number.size) - 1
    whole = np.add.reduceat(leg.complete.astype(np.int64), starts)
    return _Leg(number[starts] * width_us, leg.close[ends], whole == times)


def _of_trades(trades: Trades, width_us: int, contiguous: bool) -> _Leg:
    """Closed bars of trades by increasing id; those around a missing id, and the first, are not complete."""
    parts = summarise(trades, width_us)
    if not len(parts):
        return _NOTHING
    first, last = int(parts.number[0]), int(parts.number[-1])
    made = fill(parts, first, last, width_us)
    complete = made.complete.copy()
    complete[0] = False  # its beginning was not seen
    if contiguous:
        for row in np.flatnonzero(np.diff(trades.trade_id) > 1):
            ends = sorted((int(trades.ts_us[row]), int(trades.ts_us[row + 1])))
            complete[ends[0] // width_us - first : ends[1] // width_us - first + 1] = False
    return _Leg(made.ts_us, made.close, complete)[:-1]  # the last one may not be over


def _together(y: _Leg, x: _Leg, timeframe: str, rows: int, what: str) -> PairBars:
    """The newest bars that both legs have."""
    ts_us, at_y, at_x = np.intersect1d(y.ts_us, x.ts_us, assume_unique=True, return_indices=True)
    ts_us, y, x = ts_us[-rows:], y[at_y[-rows:]], x[at_x[-rows:]]
    width_us = timeframe_us(timeframe)
    complete = y.complete & x.complete
    complete[1:] &= np.diff(ts_us) == width_us
    return PairBars(ts_us, y.close, x.close, complete, width_us, what)


def _watched(pages: Iterable[Trades], cancel: Cancel | None) -> Iterator[Trades]:
    """The same pages, while there are not too many trades and nobody cancels."""
    read = 0
    for page in pages:
        read += len(page)
        if cancel is not None and cancel():
            raise Cancelled(read, 0)
        if read > MOST_TRADES:
            raise InputError(f"at most {MOST_TRADES:,} trades can be made into bars at a time, there are more", "bars")
        yield page
