"""What the file holds, looked up at most every few seconds, however many ask: spans, rows and coverage."""

import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from data.stored import StoredBars, StoredTrades, read_bar_spans, read_coverage, read_trade_spans
from utils.clock import US_PER_S, monotonic_s

KEPT_S = 5.0  # how old an answer may be ...
KEPT_TIMES = 50  # ... or so many times what it took: looking takes at most 2 % of one processor
COUNT_S = 1.0  # longest time spent on counting rows, of trades and of bars each
SETTLED_US = 5 * US_PER_S  # a closed minute is expected in the file from then on
MINUTE_US = 60 * US_PER_S
ANSWERS_KEPT = 128


@dataclass(frozen=True, slots=True)
class Holdings:
    """What is stored: trades by instrument, bars by symbol and width."""

    trades: tuple[StoredTrades, ...]
    bars: tuple[StoredBars, ...]


@dataclass(frozen=True, slots=True, eq=False)
class SymbolCoverage:
    """Minutes of one symbol, cell by cell: int64 arrays of one length."""

    symbol: str
    expected: np.ndarray  # closed minutes since the first stored one
    stored: np.ndarray
    complete: np.ndarray  # of these, those that miss no trade

    @property
    def share(self) -> float:
        """Complete minutes of those expected; NaN where none is."""
        expected = int(self.expected.sum())
        return int(self.complete.sum()) / expected if expected else float("nan")


@dataclass(frozen=True, slots=True, eq=False)
class Coverage:
    """The same for several symbols on one grid; a cell is `cell_us` wide."""

    first_us: int
    cell_us: int
    cells: int
    symbols: tuple[SymbolCoverage, ...]


class Inventory:
    """Looks into one file; safe from any thread."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._answers: dict[tuple[Any, ...], tuple[float, Any]] = {}  # until when it is good, and the answer

    def holdings(self) -> Holdings:
        """What is stored, of every market.

        Raises
        ------
        StorageError
        """
        return self._kept(
            ("holdings",),
            lambda: Holdings(read_trade_spans(self._path, COUNT_S), read_bar_spans(self._path, COUNT_S)),
        )

    def oldest_us(self) -> int | None:
        """Time of the oldest stored trade."""
        return min((row.first_us for row in self.holdings().trades), default=None)

    def coverage(self, venue: str, symbols: Iterable[str], span_us: int, cell_us: int, now_us: int) -> Coverage:
        """Minutes stored over the newest `span_us`, in cells of `cell_us`, whole minutes; the last one holds `now_us`.

        Raises
        ------
        StorageError
        """
        last_us = now_us // cell_us * cell_us
        cells = -(-span_us // cell_us)
        first_us = last_us - (cells - 1) * cell_us
        rows = [self._symbol(venue, symbol, first_us, cell_us, cells, now_us) for symbol in symbols]
        return Coverage(first_us, cell_us, cells, tuple(rows))

    def _symbol(self, venue: str, symbol: str, first_us: int, cell_us: int, cells: int, now_us: int) -> SymbolCoverage:
        where = (venue, symbol, first_us, cell_us, cells)
        since_us, stored, complete = self._kept(where, lambda: read_coverage(self._path, *where))
        opens_us = first_us + cell_us * np.arange(cells)
        closed_us = (now_us - SETTLED_US) // MINUTE_US * MINUTE_US
        begin_us = closed_us if since_us is None else since_us
        ends_us = np.clip([opens_us, opens_us + cell_us], begin_us, max(begin_us, closed_us))
        # A minute that was written sooner than expected counts as expected.
        expected = np.maximum((ends_us[1] - ends_us[0]) // MINUTE_US, stored)
        return SymbolCoverage(symbol, expected, stored, complete)

    def _kept(self, key: tuple[Any, ...], look: Callable[[], Any]) -> Any:
        """An answer that is good still, or a new one; one looks, the others wait for it."""
        with self._lock:
            began_s = monotonic_s()
            known = self._answers.get(key)
            if known is not None and began_s < known[0]:
                return known[1]
            answer = look()
            now_s = monotonic_s()
            self._answers.pop(key, None)
            self._answers[key] = now_s + max(KEPT_S, KEPT_TIMES * (now_s - began_s)), answer
            if len(self._answers) > ANSWERS_KEPT:
                self._answers.pop(next(iter(self._answers)))
            return answer
