"""Bars of a timeframe from trades: pure, and the same code for a whole history and for one live batch.

A trade belongs to the bar that contains its time: bars include their open, exclude their end, are labelled by their
open and aligned to the epoch. The trades of a bar are summed into a *part* (`summarise`), parts of one bar are joined
in any order (`join`), and parts become a row of bars without holes (`fill`). `bars()` does the three at once;
`data/resampler.py` keeps the parts and joins what arrives.

Open and close belong to the smallest and largest trade id of the bar, never to arrival: repair and reconnection
reorder trades, and two thirds of consecutive trades share a millisecond.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Protocol, Self

import numpy as np
import pandas as pd

from utils.clock import US_PER_S
from utils.errors import InputError, TimeframeError

UNIT_US = {"s": US_PER_S, "m": 60 * US_PER_S, "h": 3_600 * US_PER_S, "d": 86_400 * US_PER_S}
# Wider bars would not open where people expect: weeks counted from the epoch begin on a Thursday.
MAX_TIMEFRAME_US = UNIT_US["d"]
# About 0.9 GB; reached only when one stray time stretches a tape over years of short bars.
MAX_BARS = 10_000_000
# Trades summed at a time: their columns stay in the processor's cache (1.8 times faster at ten million trades).
BLOCK = 1 << 16

NUMBER, FIRST_ID, LAST_ID, TRADES = range(4)
OPEN, HIGH, LOW, CLOSE, VOLUME, VALUE, TAKER_BUY = range(7)


class Tape(Protocol):
    """Columns of one symbol's trades, all of one length; `data.trades.Trades` is one."""

    @property
    def trade_id(self) -> np.ndarray: ...
    @property
    def ts_us(self) -> np.ndarray: ...
    @property
    def price(self) -> np.ndarray: ...
    @property
    def qty(self) -> np.ndarray: ...
    @property
    def buyer_is_maker(self) -> np.ndarray: ...


@dataclass(frozen=True, slots=True, eq=False)
class BarColumns:
    """Consecutive bars as plain columns, oldest first: what a frame is made of, for paths that need no pandas.

    A bar without trades has `trades` 0, `volume` 0, the close before it as open, high, low and close, and no VWAP.
    """

    ts_us: np.ndarray  # int64, open time, microseconds UTC
    open: np.ndarray  # float64, quote currency
    high: np.ndarray
    low: np.ndarray
    close: np.ndarray
    volume: np.ndarray  # float64, base currency
    vwap: np.ndarray  # float64, quote currency; NaN where nothing traded
    trades: np.ndarray  # int64
    taker_buy_volume: np.ndarray  # float64, base currency; the part of volume whose taker bought
    complete: np.ndarray  # bool; False while the bar forms or where trades of it are missing

    def __len__(self) -> int:
        return self.ts_us.size

    def __getitem__(self, rows: slice) -> Self:
        return type(self)(*(getattr(self, name)[rows] for name in self.__slots__))

    def frame(self) -> pd.DataFrame:
        """The bars as a DataFrame; its index `time` is the open time, `datetime64[us, UTC]`. No column is copied."""
        # A view and a zone: pandas 3 keeps microseconds as they are, so nothing is converted row by row.
        time = pd.DatetimeIndex(self.ts_us.view("M8[us]"), tz="UTC", name="time", copy=False)
        columns = {name: getattr(self, name) for name in self.__slots__[1:]}
        return pd.DataFrame(columns, index=time, copy=False)

    @classmethod
    def joined(cls, *parts: "BarColumns") -> Self:
        """Bars that follow one another, as one."""
        return cls(*(np.concatenate([getattr(part, name) for part in parts]) for name in cls.__slots__))

    @classmethod
    def of(cls, frame: pd.DataFrame) -> Self:
        """The columns of a frame of bars: the inverse of `frame()`."""
        columns = (frame[name].to_numpy() for name in cls.__slots__[1:])
        return cls(frame.index.as_unit("us").asi8, *columns)


@dataclass(frozen=True, slots=True, eq=False)
class Parts:
    """Sums over some or all trades of bars that have any, one column of the two tables a part.

    A part may cover some of a bar's trades only; `join` makes one of several.
    """

    whole: np.ndarray  # int64, shape (4, n): NUMBER (open time / width), FIRST_ID, LAST_ID, TRADES
    real: np.ndarray  # float64, shape (7, n): OPEN, HIGH, LOW, CLOSE, VOLUME, VALUE (sum of price * qty), TAKER_BUY

    def __len__(self) -> int:
        return self.whole.shape[1]

    def __getitem__(self, rows: slice | np.ndarray) -> Self:
        return type(self)(self.whole[:, rows], self.real[:, rows])

    @property
    def number(self) -> np.ndarray:
        """Number of the bar each part belongs to: its open time divided by the width."""
        return self.whole[NUMBER]

    def copy(self) -> Self:
        """The same parts in tables of their own."""
        return type(self)(self.whole.copy(), self.real.copy())

    @classmethod
    def empty(cls, size: int = 0) -> Self:
        """Room for `size` parts."""
        return cls(np.zeros((4, size), np.int64), np.zeros((7, size)))

    @classmethod
    def concat(cls, *parts: "Parts") -> Self:
        """The parts one after the other."""
        return cls(np.concatenate([p.whole for p in parts], axis=1), np.concatenate([p.real for p in parts], axis=1))


def timeframe_us(text: str) -> int:
    """Width of a bar, microseconds, from text such as `1s`, `15s`, `3m`, `4h` or `1d`.

    Raises
    ------
    TimeframeError
        Not a whole number followed by s, m, h or d, or not between 1s and 1d.
    """
    match = re.fullmatch(r"([1-9][0-9]{0,5})([smhd])", text)
    width_us = int(match[1]) * UNIT_US[match[2]] if match else 0
    if not 0 < width_us <= MAX_TIMEFRAME_US:
        limit = "must be a whole number followed by s, m, h or d, from 1s to 1d"
        raise TimeframeError(f"timeframe {limit}, was {text[:40]!r}", "timeframe")
    return width_us


def bars(trades: Tape, timeframe: str) -> pd.DataFrame:
    """Bars from the first trade's to the last trade's, those without trades included.

    Columns open, high, low, close, volume, vwap, trades, taker_buy_volume, complete; index `time`, the open, UTC.
    VWAP is the sum of price * qty over the sum of qty.

    Parameters
    ----------
    trades : columns of one symbol, in any order, left unchanged
        Of rows with the same trade id the first one counts.
    timeframe : width of a bar
        See `timeframe_us`.

    Nothing but these trades is known here: the last bar is taken as still forming (`complete` False), the first as
    whole. `data.resampler.Resampler` knows when the capture began and what is missing.

    Raises
    ------
    TimeframeError, InputError
        The second where the trades span more than `MAX_BARS` bars.
    """
    width_us = timeframe_us(timeframe)
    parts = summarise(trades, width_us)
    if not len(parts):
        return fill(parts, 0, -1, width_us).frame()
    columns = fill(parts, int(parts.number[0]), int(parts.number[-1]), width_us)
    columns.complete[-1] = False
    return columns.frame()


def aggregate(frame: pd.DataFrame, timeframe: str) -> pd.DataFrame:
    """Wider bars from consecutive bars, as `bars()` makes them from the same trades.

    `complete` where bars that are complete cover the wide bar from its open to its end: a frame that begins or ends
    inside a wide bar leaves that one incomplete. The frame is left unchanged.

    Raises
    ------
    TimeframeError
        The timeframe cannot be read, or is not a multiple of the frame's own.
    InputError
        The rows do not follow each other at one distance.
    """
    wide_us = timeframe_us(timeframe)
    narrow = BarColumns.of(frame)
    if not len(narrow):
        return frame.copy()
    width_us = _spacing_us(narrow.ts_us)
    if wide_us % width_us:
        raise TimeframeError(f"timeframe must be a multiple of {width_us // US_PER_S}s, was {timeframe}", "timeframe")
    number = narrow.ts_us // wide_us
    first, last = int(number[0]), int(number[-1])
    columns = fill(_parts_of(narrow, number), first, last, wide_us, before=float(narrow.open[0]))
    covered = np.bincount(number[narrow.complete] - first, minlength=last - first + 1)
    return replace(columns, complete=covered == wide_us // width_us).frame()


def summarise(trades: Tape, width_us: int) -> Parts:
    """One part for each bar that the trades touch, by increasing bar number.

    Trades may come in any order; of rows with the same trade id the first one counts.
    """
    columns = _ordered(trades)
    size = columns[0].size
    if size <= BLOCK:
        return _summarise_block(columns, width_us) if size else Parts.empty()
    blocks = (tuple(column[row : row + BLOCK] for column in columns) for row in range(0, size, BLOCK))
    return join(Parts.concat(*_stitched(_summarise_block(block, width_us) for block in blocks)))


@np.errstate(over="ignore")  # a sum beyond floats is inf, as any other float operation gives
def join(parts: Parts) -> Parts:
    """One part for each bar, by increasing bar number, from parts in any order that share no trade."""
    number, first_id, last_id, _ = parts.whole
    grows = parts.whole[:3, 1:] > parts.whole[:3, :-1]
    if grows[NUMBER].all():
        return parts
    in_order = (grows[NUMBER] | ((number[1:] == number[:-1]) & grows[FIRST_ID] & grows[LAST_ID])).all()
    by_first = parts if in_order else parts[np.lexsort((first_id, number))]
    by_last = parts if in_order else parts[np.lexsort((last_id, number))]
    starts, ends = _runs(by_first.number)
    whole, real = by_first.whole[:, starts], by_first.real[:, starts]
    whole[LAST_ID], real[CLOSE] = by_last.whole[LAST_ID, ends], by_last.real[CLOSE, ends]
    whole[TRADES] = np.add.reduceat(by_first.whole[TRADES], starts)
    real[HIGH] = np.maximum.reduceat(by_first.real[HIGH], starts)
    real[LOW] = np.minimum.reduceat(by_first.real[LOW], starts)
    real[VOLUME:] = np.add.reduceat(by_first.real[VOLUME:], starts, axis=1)
    return Parts(whole, real)


def fill(parts: Parts, first: int, last: int, width_us: int, before: float = np.nan) -> BarColumns:
    """Every bar from number `first` to `last`, all of them marked complete, from parts joined and inside that range.

    Bars without trades carry the close before them; `before` is the close that precedes the first part. Where there
    are no such bars the columns are those of the parts, not copied.
    """
    size = last - first + 1
    if size > MAX_BARS:
        raise InputError(f"trades may span at most {MAX_BARS} bars, these span {size}: choose a wider timeframe")
    ts_us = np.arange(first * width_us, (last + 1) * width_us, width_us, dtype=np.int64)
    complete = np.ones(size, np.bool_)
    if len(parts) == size:
        start, high, low, close, volume, _, taker_buy = parts.real
        return BarColumns(
            ts_us, start, high, low, close, volume, _vwap(parts), parts.whole[TRADES], taker_buy, complete
        )
    at = parts.number - first
    close = _carried(parts, at, size, before)
    columns = BarColumns(
        ts_us=ts_us,
        open=close.copy(),
        high=close.copy(),
        low=close.copy(),
        close=close,
        volume=np.zeros(size),
        vwap=np.full(size, np.nan),
        trades=np.zeros(size, np.int64),
        taker_buy_volume=np.zeros(size),
        complete=complete,
    )
    columns.open[at], columns.high[at], columns.low[at] = parts.real[OPEN], parts.real[HIGH], parts.real[LOW]
    columns.volume[at], columns.taker_buy_volume[at] = parts.real[VOLUME], parts.real[TAKER_BUY]
    columns.trades[at], columns.vwap[at] = parts.whole[TRADES], _vwap(parts)
    return columns


def _carried(parts: Parts, at: np.ndarray, size: int, before: float) -> np.ndarray:
    """The close of every bar, carried through those without trades; `at` are the positions of the parts."""
    closes, edges = np.empty(len(parts) + 1), np.empty(len(parts) + 2, np.int64)
    closes[0], closes[1:] = before, parts.real[CLOSE]
    edges[0], edges[1:-1], edges[-1] = 0, at, size
    return closes.repeat(edges[1:] - edges[:-1])


def _vwap(parts: Parts) -> np.ndarray:
    """Value over volume, kept between low and high: the two sums round apart, and a mean lies between."""
    with np.errstate(over="ignore", invalid="ignore"):  # inf / inf, where the sums left the range of floats
        return np.clip(parts.real[VALUE] / parts.real[VOLUME], parts.real[LOW], parts.real[HIGH])


def _ordered(trades: Tape) -> tuple[np.ndarray, ...]:
    """trade_id, ts_us, price, qty, buyer_is_maker by increasing id, each id once; not copied where they are so."""
    columns = (trades.trade_id, trades.ts_us, trades.price, trades.qty, trades.buyer_is_maker)
    ids = columns[0]
    if (ids[1:] > ids[:-1]).all():
        return columns
    order = np.argsort(ids, kind="stable")
    new = np.append(True, np.diff(ids[order]) > 0)
    return tuple(column[order[new]] for column in columns)


@np.errstate(over="ignore")
def _summarise_block(columns: tuple[np.ndarray, ...], width_us: int) -> Parts:
    """Parts of trades that stand in order of id; at least one trade."""
    number = columns[1] // width_us
    if (number[1:] < number[:-1]).any():  # ids and times disagree: stable, so ids keep their order inside a bar
        order = np.argsort(number, kind="stable")
        number, columns = number[order], tuple(column[order] for column in columns)
    trade_id, _, price, qty, buyer_is_maker = columns
    starts, ends = _runs(number)
    parts = Parts.empty(starts.size)
    parts.whole[:] = number[starts], trade_id[starts], trade_id[ends], ends - starts + 1
    parts.real[OPEN], parts.real[CLOSE] = price[starts], price[ends]
    np.maximum.reduceat(price, starts, out=parts.real[HIGH])
    np.minimum.reduceat(price, starts, out=parts.real[LOW])
    np.add.reduceat(qty, starts, out=parts.real[VOLUME])
    np.add.reduceat(price * qty, starts, out=parts.real[VALUE])
    np.add.reduceat(qty * (buyer_is_maker == 0), starts, out=parts.real[TAKER_BUY])
    return parts


def _stitched(blocks: Iterable[Parts]) -> Iterator[Parts]:
    """The same parts, with the bar that two blocks share joined: what follows has nothing left to join, as a rule."""
    pending = Parts.empty()
    for block in blocks:
        if len(pending) and pending.number[-1] == block.number[0]:
            seam = join(Parts.concat(pending[-1:], block[:1]))
            block.whole[:, :1], block.real[:, :1] = seam.whole, seam.real
            pending = pending[:-1]
        yield pending
        pending = block
    yield pending


def _runs(number: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """First and last position of each run of equal numbers."""
    change = (number[1:] != number[:-1]).nonzero()[0]
    edges = np.empty(change.size + 2, np.intp)
    edges[0], edges[1:-1], edges[-1] = 0, change + 1, number.size
    return edges[:-1], edges[1:] - 1


def _spacing_us(ts_us: np.ndarray) -> int:
    """The one distance between open times; a lone bar, whose width nobody can tell, counts as the narrowest."""
    steps = np.diff(ts_us)
    if not steps.size:
        return US_PER_S
    if steps[0] <= 0 or (steps != steps[0]).any():
        raise InputError("bars must follow each other at one distance: fill holes before widening them")
    return int(steps[0])


def _parts_of(narrow: BarColumns, number: np.ndarray) -> Parts:
    """Parts from bars that have trades, each bar standing for its trades; `number` counts the wide bars."""
    rows = np.flatnonzero(narrow.trades)
    picked = (narrow.open, narrow.high, narrow.low, narrow.close, narrow.volume, narrow.vwap * narrow.volume)
    real = np.stack([column[rows] for column in (*picked, narrow.taker_buy_volume)])
    return join(Parts(np.stack((number[rows], rows, rows, narrow.trades[rows])), real))
