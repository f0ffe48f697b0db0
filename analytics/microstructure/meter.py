"""The reading of a tape, kept up to date: an update costs the new trades, whatever was fed before."""

import numpy as np

from analytics.microstructure.cells import (
    BUY,
    CLOSE,
    COLUMNS,
    PRICE,
    SELL,
    TRADES,
    USED,
    Cells,
    add_trades,
    new_memory,
    read,
)
from analytics.microstructure.columns import Rows
from analytics.microstructure.reading import Carried, Stretch, TapeParams, TapeReading, read_cells
from analytics.microstructure.sizes import trade_sizes
from analytics.microstructure.toxicity import fill_buckets, new_buckets, of_buckets
from analytics.microstructure.velocity import LevelLearner
from analytics.resampling import Tape
from utils.clock import US_PER_S
from utils.compiled import compiled
from utils.errors import TooFewObservations

CELL_US = US_PER_S
SPARE = 4_096  # cells between two shifts of the table
MAX_SILENCE_S = 600  # a longer one may be a hole in the capture: it teaches nothing about the time of day


def tape_reading(trades: Tape, now_us: int, params: TapeParams | None = None) -> TapeReading:
    """All measures of a tape at `now_us`; trades after it count for nothing.

    The window holds the `window_s` whole seconds before the one in progress, and that one; the history the
    `history_s` seconds before. VPIN's buckets are each a `buckets`-th of the volume of the window as it stood when the
    bucket began (whole seconds), so that they follow the market and VPIN covers about one window; `bucket_volume`
    fixes them instead.

    Parameters
    ----------
    trades : columns of one symbol; of rows with the same trade id the first one counts
        In any order: ids say which trade came first.

    Raises
    ------
    InputError
        A price or quantity that is none.
    TooFewObservations
        No trade up to now.
    """
    meter = TapeMeter(params)
    meter.feed(until(trades, now_us))
    return meter.reading(now_us)


class TapeMeter:
    """State of one symbol's tape, fed batch by batch; not shared between threads.

    A trade that comes after one with a larger id, as from a repair, is left out and counted in `late`; whoever wants
    it in feeds a new meter.
    """

    def __init__(self, params: TapeParams | None = None, levels: LevelLearner | None = None) -> None:
        """levels: what is known of times of day, as learned from stored bars; the meter goes on teaching it."""
        self.params = params or TapeParams()
        self.late = 0
        self._levels = levels or LevelLearner()
        self._keep = self.params.window_s + self.params.history_s + 1
        self._table = np.zeros((self._keep + SPARE, COLUMNS))
        self._memory = new_memory()
        self._begun = self._first = 0  # cells: the tape's, the table's
        self._last_id, self._last_us = -1, 0
        self._taught = 0  # the first cell that the levels have not seen
        self._delta = 0.0
        self._buckets = new_buckets(self.params.buckets)
        self._sizes = Recent(self.params.window_s)

    def feed(self, trades: Tape) -> None:
        """Take in trades. Those already known are passed over.

        Raises
        ------
        InputError
            A price or quantity that is none; nothing of the batch is taken in then.
        """
        rows = in_order(trades, self._last_id)
        ts_us, price, qty, sold = read(rows)
        self.late += trades.trade_id.size - ts_us.size
        if not ts_us.size:
            return
        ts_us = np.maximum(ts_us, self._last_us)
        number = ts_us // CELL_US
        if self._last_id < 0:
            self._begun = self._first = self._taught = int(number[0])
        start = 0
        while start < number.size:
            self._make_room(int(number[start]))
            end = int(np.searchsorted(number, self._first + len(self._table)))
            self._add(number[start:end], *(column[start:end] for column in (ts_us, price, qty, sold)))
            start = end
        self._last_id, self._last_us = int(rows.trade_id[-1]), int(ts_us[-1])

    def reading(self, now_us: int) -> TapeReading:
        """All measures at `now_us`, or at the last trade where that is later.

        Raises
        ------
        TooFewObservations
            No trade was fed.
        """
        if self._last_id < 0:
            raise TooFewObservations(have=0, need=1, what="trades")
        now_us, params = max(now_us, self._last_us), self.params
        now = now_us // CELL_US
        opens = now - params.window_s
        window = Stretch(self._cells(opens, now + 1), self._covered(opens, now_us))
        history = Stretch(
            self._cells(opens - params.history_s, opens), self._covered(opens - params.history_s, opens * CELL_US)
        )
        carried = Carried(
            cumulative_delta=self._delta,
            sizes=trade_sizes(self._sizes.since(opens), params.fence),
            vpin=of_buckets(*self._buckets),
            normal=self._levels.normal(now_us),
        )
        return read_cells(now_us, window, history, carried, params)

    def _add(self, number: np.ndarray, ts_us: np.ndarray, price: np.ndarray, qty: np.ndarray, sold: np.ndarray) -> None:
        """Add trades for which the table has room."""
        add_trades(self._table, self._memory, self._first, CELL_US, ts_us, price, qty, sold)
        self._delta += float(qty.sum() - 2 * (qty @ sold))
        cell = number - self._first
        fill_buckets(*self._buckets, qty, sold, cell, self._bucket_sizes(int(cell[0]), int(cell[-1])))
        self._sizes.add(number, qty)
        self._teach()

    def _bucket_sizes(self, first: int, last: int) -> np.ndarray:
        """Size of a bucket that begins in each row up to the last; NaN before a window has passed."""
        params = self.params
        sizes = np.full(last + 1, np.nan if params.bucket_volume is None else params.bucket_volume)
        if params.bucket_volume is None:
            begin = max(first, self._begun - self._first + params.window_s)
            _window_volumes(self._table, params.window_s, begin, sizes)
            sizes /= params.buckets
        return sizes

    def _make_room(self, number: int) -> None:
        """Move the table so that it holds this cell and all that a reading in it asks for."""
        if number - self._first < len(self._table):
            return
        moved = number - self._keep - self._first
        kept = max(0, int(self._memory[USED]) - moved)
        self._table[:kept] = self._table[moved : moved + kept].copy()
        self._memory[USED] = kept
        self._first += moved

    def _cells(self, first: int, stop: int) -> Cells:
        """Cells from `first`, or from the tape's first, up to `stop`; those after the last trade are silent."""
        first = min(max(first, self._begun), max(stop, self._begun))
        rows = self._table[max(0, first - self._first) : min(int(self._memory[USED]), max(0, stop - self._first))]
        silent = max(0, stop - first) - len(rows)
        if silent:
            added = np.zeros((silent, COLUMNS))
            added[:, CLOSE] = self._memory[PRICE]
            rows = np.concatenate((rows, added))
        return Cells(first, CELL_US, rows)

    def _covered(self, first: int, until_us: int) -> float:
        """Seconds from a cell on that the tape covers."""
        return max(0, until_us - max(first, self._begun) * CELL_US) / US_PER_S

    def _teach(self) -> None:
        """Tell the levels of the cells that have closed."""
        begin, end = max(self._taught, self._first), self._first + int(self._memory[USED]) - 1
        if begin >= end:
            return
        closed = Cells(begin, CELL_US, self._table[begin - self._first : end - self._first])
        rows = _heard(closed.trades, MAX_SILENCE_S)
        self._levels.learn(closed.ts_us[rows], closed.trades[rows], closed.notional[rows], CELL_US / US_PER_S)
        self._taught = end


class Recent:
    """The newest of some values with increasing numbers, as far back as `span`; memory and moves grow with it only."""

    def __init__(self, span: int) -> None:
        self._span = span
        self._number, self._value = np.empty(0, np.int64), np.empty(0)
        self._begin = self._end = 0

    @property
    def numbers(self) -> np.ndarray:
        """Those held, increasing; as `values` to be used before the next `add`."""
        return self._number[self._begin : self._end]

    @property
    def values(self) -> np.ndarray:
        """One a number."""
        return self._value[self._begin : self._end]

    def add(self, number: np.ndarray, value: np.ndarray) -> None:
        """Take in values of these numbers, and forget those farther back than the span."""
        oldest = number[-1] - self._span
        start = int(np.searchsorted(number, oldest))
        number, value = number[start:], value[start:]
        self._begin += int(np.searchsorted(self.numbers, oldest))
        if self._end + value.size > self._value.size:
            self._move(value.size)
        end = self._end + value.size
        self._number[self._end : end], self._value[self._end : end] = number, value
        self._end = end

    def since(self, number: int) -> np.ndarray:
        """Values of this number and later ones."""
        return self.values[int(np.searchsorted(self.numbers, number)) :]

    def _move(self, more: int) -> None:
        """Begin at the front again, in arrays twice as large as what they must hold."""
        size, room = self._end - self._begin, 2 * (self._end - self._begin + more)
        number, value = np.empty(room, np.int64), np.empty(room)
        number[:size], value[:size] = self.numbers, self.values
        self._number, self._value, self._begin, self._end = number, value, 0, size


def in_order(trades: Tape, after_id: int) -> Tape:
    """The trades of larger ids by increasing id, each once: of equal ones the first."""
    ids = trades.trade_id
    if ids.size and ids[0] > after_id and (ids[1:] > ids[:-1]).all():
        return trades
    order = np.argsort(ids, kind="stable")
    sorted_ids = ids[order]
    new = np.diff(sorted_ids, prepend=after_id) > 0
    return Rows.of(trades, order[new & (sorted_ids > after_id)])


def until(trades: Tape, now_us: int) -> Tape:
    """The trades up to now."""
    known = trades.ts_us <= now_us
    return trades if known.all() else Rows.of(trades, known)


def _heard(trades: np.ndarray, most: int) -> np.ndarray:
    """Which cells are taught: all but stretches of more than `most` without trades."""
    taught = np.ones(trades.size, np.bool_)
    edges = np.concatenate(([-1], np.flatnonzero(trades), [trades.size]))
    for at in np.flatnonzero(np.diff(edges) > most + 1):
        taught[edges[at] + 1 : edges[at + 1]] = False
    return taught


@compiled
def _window_volumes(table: np.ndarray, window: int, begin: int, volumes: np.ndarray) -> None:
    """Volume of the `window` rows before each row from `begin` on, added up anew for each row with trades."""
    for row in range(begin, volumes.size):
        if table[row, TRADES] > 0:
            volume = 0.0
            for k in range(row - window, row):
                volume += table[k, BUY] + table[k, SELL]
            volumes[row] = volume
