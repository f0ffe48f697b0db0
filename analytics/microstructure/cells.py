"""The tape summed over short stretches of one width, those without trades included: what readings are made of.

Sums over a window are sums over its cells, added up when they are asked for: nothing is ever subtracted, so no
rounding gathers however long the tape runs.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np

from analytics.microstructure.columns import flags, positive, same_length
from analytics.resampling import MAX_BARS, Tape
from utils.compiled import compiled
from utils.errors import InputError

(
    TRADES,
    BUY,  # quantity of taker buys, base currency
    SELL,
    BUY_NOTIONAL,  # quote currency
    SELL_NOTIONAL,
    CLOSE,  # price of the last trade up to the end of the cell
    PAIRS,  # trades here that follow two others: pairs of successive price changes
    BEFORE,  # over those pairs: sum of the earlier change,
    AFTER,  # of the later one,
    PRODUCT,  # of their product
    JUDGED,  # trades whose side the tick rule tells
    RIGHT,  # those of them whose side it tells rightly
    JUDGED_QTY,
    RIGHT_QTY,
    MOVED,  # judged trades at another price than the trade before
    RIGHT_MOVED,
) = range(16)
COLUMNS = 16

PRICE, CHANGE, SIDE, USED = range(4)  # memory: newest price, change and side by the tick rule; cells in use


@dataclass(frozen=True, slots=True, eq=False)
class Cells:
    """Consecutive cells, oldest first."""

    first: int  # number of the first one: its begin / width
    width_us: int
    table: np.ndarray  # float64, shape (n, COLUMNS)

    def __len__(self) -> int:
        return len(self.table)

    def __getitem__(self, rows: slice) -> Self:
        start, stop, _ = rows.indices(len(self))
        return type(self)(self.first + start, self.width_us, self.table[start:stop])

    @property
    def ts_us(self) -> np.ndarray:
        """Begin of each, int64 microseconds."""
        return np.arange(self.first, self.first + len(self)) * self.width_us

    @property
    def trades(self) -> np.ndarray:
        """Number of trades in each."""
        return self.table[:, TRADES]

    @property
    def close(self) -> np.ndarray:
        """Price of the last trade up to the end of each, quote currency; NaN before the first trade."""
        return self.table[:, CLOSE]

    @property
    def notional(self) -> np.ndarray:
        """Quote currency traded in each."""
        return self.table[:, BUY_NOTIONAL] + self.table[:, SELL_NOTIONAL]

    @property
    def signed_volume(self) -> np.ndarray:
        """Taker buys - taker sells of each, base currency."""
        return self.table[:, BUY] - self.table[:, SELL]

    def changes(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Of each cell with trades but the first: change of close, log return, signed volume, notional.

        Changes run from the close of the cell with trades before it.
        """
        rows = np.flatnonzero(self.trades)
        close, later = self.close[rows], rows[1:]
        return np.diff(close), np.diff(np.log(close)), self.signed_volume[later], self.notional[later]


def tape_cells(trades: Tape, width_us: int = 1_000_000) -> Cells:
    """Cells from the first trade's to the last trade's; the tape must stand in order of trade ids.

    Where times step back against the ids a trade counts at the latest time so far.

    Raises
    ------
    InputError
    """
    if width_us < 1:
        raise InputError(f"width_us must be >= 1, was {width_us}", "width_us")
    ts_us, price, qty, sold = read(trades)
    if not ts_us.size:
        return Cells(0, width_us, np.zeros((0, COLUMNS)))
    first = int(ts_us[0] // width_us)
    size = int(ts_us[-1] // width_us) - first + 1
    if size > MAX_BARS:
        raise InputError(f"trades may span at most {MAX_BARS} cells, these span {size}", "width_us")
    table, memory = np.zeros((size, COLUMNS)), new_memory()
    add_trades(table, memory, first, width_us, ts_us, price, qty, sold)
    return Cells(first, width_us, table)


def read(trades: Tape) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Times that never step back, prices, quantities and whether the taker sold.

    Raises
    ------
    InputError
    """
    ts_us = np.ascontiguousarray(trades.ts_us, np.int64)
    price, qty = (np.ascontiguousarray(column, np.float64) for column in (trades.price, trades.qty))
    sold = np.ascontiguousarray(flags(trades.buyer_is_maker))
    same_length(ts_us=ts_us, price=price, qty=qty, buyer_is_maker=sold)
    steps_back, all_positive = _scanned(ts_us, price, qty)
    if not all_positive:
        price, qty = positive(price, "price"), positive(qty, "qty")  # says which
    return np.maximum.accumulate(ts_us) if steps_back else ts_us, price, qty, sold


def new_memory() -> np.ndarray:
    """What `add_trades` remembers before the first trade."""
    return np.array([np.nan, np.nan, 0.0, 0.0])


@compiled
def add_trades(
    table: np.ndarray,
    memory: np.ndarray,
    first: int,
    width_us: int,
    ts_us: np.ndarray,
    price: np.ndarray,
    qty: np.ndarray,
    sold: np.ndarray,
) -> None:
    """Add trades to a table whose first row is cell `first`; rows come into use in turn and carry the close."""
    last, change, side = memory[PRICE], memory[CHANGE], memory[SIDE]
    used = int(memory[USED])
    for k in range(ts_us.size):
        row = ts_us[k] // width_us - first
        while used <= row:
            table[used] = 0.0
            table[used, CLOSE] = last
            used += 1
        cell, p, q = table[row], price[k], qty[k]
        cell[TRADES] += 1
        cell[SELL if sold[k] else BUY] += q
        cell[SELL_NOTIONAL if sold[k] else BUY_NOTIONAL] += p * q
        cell[CLOSE] = p
        moved = p - last  # NaN at the first trade of all
        if moved * change == moved * change:
            cell[PAIRS] += 1
            cell[BEFORE] += change
            cell[AFTER] += moved
            cell[PRODUCT] += change * moved
        if moved > 0:
            side = 1.0
        elif moved < 0:
            side = -1.0
        if side != 0:
            right = (side < 0) == sold[k]
            cell[JUDGED] += 1
            cell[RIGHT] += right
            cell[JUDGED_QTY] += q
            cell[RIGHT_QTY] += right * q
            if moved != 0:
                cell[MOVED] += 1
                cell[RIGHT_MOVED] += right
        last, change = p, moved
    memory[PRICE], memory[CHANGE], memory[SIDE], memory[USED] = last, change, side, used


@compiled
def _scanned(ts_us: np.ndarray, price: np.ndarray, qty: np.ndarray) -> tuple[bool, bool]:
    """Whether time steps back anywhere, and whether every price and quantity is finite and > 0."""
    steps_back, all_positive = False, True
    for k in range(ts_us.size):
        steps_back |= k > 0 and ts_us[k] < ts_us[k - 1]
        all_positive &= 0 < price[k] < np.inf and 0 < qty[k] < np.inf
    return steps_back, all_positive
