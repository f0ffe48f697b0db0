"""The trade: one print of the tape, checked once when it is made, and columns of many."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np

from utils.clock import EARLIEST_US, LATEST_US
from utils.errors import InputError

MAX_ID = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Trade:
    """One print of the tape. Price and quantity are finite and positive, or it is not made.

    Raises
    ------
    InputError
        `field` names what is wrong: "price", "qty", "time", "id" or "symbol".
    """

    symbol: str
    trade_id: int
    ts_us: int
    price: float
    qty: float
    buyer_is_maker: bool  # True: the taker sold

    def __post_init__(self) -> None:
        if not self.symbol:
            raise InputError("a trade needs a symbol", "symbol")
        if not 0 <= self.trade_id <= MAX_ID:
            raise InputError(f"trade id must be between 0 and 2^63-1, was {self.trade_id}", "id")
        if not EARLIEST_US <= self.ts_us < LATEST_US:
            raise InputError(f"time must lie between 2010 and 2100 in microseconds, was {self.ts_us}", "time")
        if not 0 < self.price < np.inf:
            raise InputError(f"price must be finite and > 0, was {self.price!r}", "price")
        if not 0 < self.qty < np.inf:
            raise InputError(f"quantity must be finite and > 0, was {self.qty!r}", "qty")


@dataclass(frozen=True, slots=True, eq=False)
class Columns:
    """Columns of one symbol: an id, microseconds UTC, then what a row is.

    All have one length n; they are shared, not copied: treat them as read-only.
    """

    KINDS: ClassVar[tuple[type, ...]]  # of the columns

    symbol: str

    def __len__(self) -> int:
        return self.columns[0].size

    def __getitem__(self, rows: slice | np.ndarray) -> Self:
        return self.made(self.symbol, (column[rows] for column in self.columns))

    @property
    def columns(self) -> tuple[np.ndarray, ...]:
        """All of them, in the order of the fields."""
        raise NotImplementedError

    @classmethod
    def of(cls, symbol: str, *columns: object) -> Self:
        """Columns from any sequences; no check of values: that was done where each row was made."""
        arrays = zip(columns, cls.KINDS, strict=True)
        return cls.made(symbol, (np.asarray(column, kind) for column, kind in arrays))

    @classmethod
    def made(cls, symbol: str, columns: Iterable[np.ndarray]) -> Self:
        """These columns as they are."""
        return cls(symbol, *columns)

    @classmethod
    def empty(cls, symbol: str) -> Self:
        """No rows."""
        return cls.made(symbol, (np.empty(0, kind) for kind in cls.KINDS))

    @classmethod
    def concat(cls, symbol: str, parts: Iterable["Columns"]) -> Self:
        """The parts one after the other."""
        kept = [part for part in parts if len(part)]
        if not kept:
            return cls.empty(symbol)
        return cls.made(symbol, map(np.concatenate, zip(*(part.columns for part in kept), strict=True)))

    def sorted_by_id(self) -> Self:
        """The same rows by increasing id; itself where they already are."""
        ids = self.columns[0]
        if ids.size < 2 or bool(np.all(ids[1:] > ids[:-1])):
            return self
        return self[np.argsort(ids, kind="stable")]


@dataclass(frozen=True, slots=True, eq=False)
class Trades(Columns):
    """Columns of one symbol's trades, by increasing trade id where nothing else is said."""

    KINDS = (np.int64, np.int64, np.float64, np.float64, np.uint8)

    trade_id: np.ndarray  # int64
    ts_us: np.ndarray  # int64, microseconds UTC
    price: np.ndarray  # float64, quote currency
    qty: np.ndarray  # float64, base currency
    buyer_is_maker: np.ndarray  # uint8, 1: the taker sold

    def __iter__(self) -> Iterator[Trade]:
        rows = zip(*(column.tolist() for column in self.columns), strict=True)
        return (Trade(self.symbol, i, ts, price, qty, bool(maker)) for i, ts, price, qty, maker in rows)

    @property
    def columns(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """trade_id, ts_us, price, qty, buyer_is_maker."""
        return self.trade_id, self.ts_us, self.price, self.qty, self.buyer_is_maker

    @classmethod
    def from_rows(cls, symbol: str, rows: Iterable[Trade]) -> Self:
        """Columns of single trades of one symbol, in the order given."""
        table = [(t.trade_id, t.ts_us, t.price, t.qty, t.buyer_is_maker) for t in rows]
        return cls.of(symbol, *zip(*table, strict=True)) if table else cls.empty(symbol)
