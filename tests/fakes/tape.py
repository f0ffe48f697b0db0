"""The ledger of the fake exchange: every trade it made."""

import math
import random
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from typing import overload

import numpy as np

from data.trades import Trade, Trades
from utils.clock import US_PER_MS

FIRST_ID = 3_000_000_000  # above 2^31, like the real ones
BASE_PRICES = (60_000.0, 3_000.0, 150.0, 600.0)  # quote currency, by position of the symbol
TICK_SIZE, STEP_SIZE = 0.01, 0.001
MOST_ROWS = 1_000  # a page


class Ledger(Sequence[Trade]):
    """The trades of one symbol, by id without holes; 25 bytes each, so that a day of them fits into memory."""

    def __init__(self, symbol: str, first_id: int) -> None:
        self.symbol, self.first_id = symbol, first_id
        self.times = array("q")  # microseconds
        self._price, self._qty, self._maker = array("d"), array("d"), array("b")

    def __len__(self) -> int:
        return len(self._maker)

    @overload
    def __getitem__(self, row: int) -> Trade: ...
    @overload
    def __getitem__(self, row: slice) -> list[Trade]: ...
    def __getitem__(self, row: int | slice) -> Trade | list[Trade]:
        if isinstance(row, slice):
            return [self[at] for at in range(*row.indices(len(self)))]
        at = range(len(self))[row]
        maker = bool(self._maker[at])
        return Trade(self.symbol, self.first_id + at, self.times[at], self._price[at], self._qty[at], maker)

    def append(self, ts_us: int, price: float, qty: float, buyer_is_maker: bool) -> Trade:
        """Enter the next trade."""
        trade = Trade(self.symbol, self.first_id + len(self), ts_us, price, qty, buyer_is_maker)
        self.times.append(ts_us)
        self._price.append(price)
        self._qty.append(qty)
        self._maker.append(buyer_is_maker)  # last: readers go by its length
        return trade

    def columns(self, start: int = 0, stop: int | None = None) -> Trades:
        """Rows as columns of the caller's own."""
        rows = slice(start, len(self) if stop is None else stop)
        columns = (np.array(column[rows]) for column in (self.times, self._price, self._qty, self._maker))
        ids = self.first_id + np.arange(*rows.indices(len(self)))
        return Trades.of(self.symbol, ids, *columns)


class Tape:
    """Trades of cointegrated symbols: one common random walk, and a deviation of each that dies away.

    Price, quantity and side depend on the seed and the order of calls alone; times are given.
    """

    def __init__(self, symbols: Sequence[str], seed: int = 7) -> None:
        self.symbols = tuple(symbols)
        first_ids = {symbol: FIRST_ID + 100_000_000 * n for n, symbol in enumerate(self.symbols)}
        self.trades = {symbol: Ledger(symbol, first_id) for symbol, first_id in first_ids.items()}
        self.former: list[Ledger] = []  # of listings that ended
        self._base = {symbol: BASE_PRICES[n % len(BASE_PRICES)] for n, symbol in enumerate(self.symbols)}
        self._away = dict.fromkeys(self.symbols, 0.0)
        self._walk = 0.0
        self._rng = random.Random(seed)

    def __len__(self) -> int:
        return sum(map(len, self.trades.values()))

    def any_symbol(self) -> str:
        """One of the symbols, at random."""
        return self._rng.choice(self.symbols)

    def make(self, symbol: str, ts_us: int) -> Trade:
        """The next trade of a symbol, entered in the ledger; times never step back and are whole milliseconds."""
        ledger, rng = self.trades[symbol], self._rng
        self._walk += rng.gauss(0, 2e-5)
        self._away[symbol] = 0.99 * self._away[symbol] + rng.gauss(0, 5e-5)
        price = round(self._base[symbol] * math.exp(self._walk + self._away[symbol]), 2)
        qty = max(round(rng.lognormvariate(-3, 1.5), 3), STEP_SIZE)
        time = max(ts_us // US_PER_MS * US_PER_MS, ledger.times[-1] if ledger.times else 0)
        return ledger.append(time, price, qty, rng.random() < 0.5)

    def relist(self, symbol: str, first_id: int = 1) -> None:
        """List a symbol anew: its ids start again, and what was before can no longer be asked for."""
        self.former.append(self.trades[symbol])
        self.trades[symbol] = Ledger(symbol, first_id)

    def page(self, symbol: str, query: Mapping[str, int]) -> list[Trade]:
        """Trades by `fromId` or by `startTime` and `endTime` (ms, inclusive), else the newest; at most `limit`."""
        ledger = self.trades[symbol]
        limit = min(max(query.get("limit", 500), 1), MOST_ROWS)
        if "fromId" in query:
            start = max(query["fromId"] - ledger.first_id, 0)
            return ledger[start : start + limit]
        end = bisect_right(ledger.times, query["endTime"] * US_PER_MS) if "endTime" in query else len(ledger)
        if "startTime" in query:
            start = bisect_left(ledger.times, query["startTime"] * US_PER_MS)
            return ledger[start : min(start + limit, end)]
        return ledger[max(end - limit, 0) : end]
